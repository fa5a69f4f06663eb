"""Calibration of a person who holds a known pose for a moment, and what speaks against believing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.operator_check import OperatorCheck, OperatorConfig
from pose_perception.imitation.target_filter import TorsoFilter, torso_filter_config
from pose_perception.imitation.targets import POSES, BodyArm, Calibration, body_arms, calibrate

# Fewer frames of an arm say nothing of whether it moves.
_FEWEST_FRAMES = 5
# Single frames may be off by noise: of all angles to the mean this percentile counts.
_MOTION_PERCENTILE = 80.0


@dataclass(frozen=True)
class CalibrationConfig(Config):
    """How a person is calibrated."""

    pose: str = option("t", "Pose that is held: t, arms stretched sideways; n, arms that hang.", choices=("t", "n"))
    duration: float = option(1.0, "How long it is watched, in seconds.", minimum=0.2, maximum=10.0)
    largest_motion_deg: float = option(
        8.0, "A bone that turns farther from its mean moves, in degrees.", minimum=0.1, maximum=90.0
    )
    largest_angle_deg: float = option(
        30.0, "A bone farther from the pose is not in it, in degrees.", minimum=1.0, maximum=90.0
    )


class CalibrationSession:
    """Watches one person for a while: the configured one, or the nearest.

    Attributes:
        person: Identifier; empty as long as nobody was seen.
    """

    def __init__(
        self, begin_s: float, config: CalibrationConfig, operator: OperatorConfig, sides: Sequence[str]
    ) -> None:
        """Begin.

        Args:
            begin_s: Images taken before do not count, seconds.
            config: Settings.
            operator: Says who may be calibrated.
            sides: Arms that must be in the pose.
        """
        self._begin_s, self._config, self._sides = begin_s, config, tuple(sides)
        self._choice = OperatorCheck(operator, sides)
        self._torso = TorsoFilter(torso_filter_config())
        self._frames: list[dict[str, BodyArm]] = []
        self._min_score = operator.min_score
        self.person = ""

    def see(self, stamp_s: float, skeletons: Sequence[Skeleton], keypoints: Sequence[str]) -> None:
        """Take in what one image shows: its stamp in seconds, everybody in it, and the names of their keypoints."""
        if stamp_s < self._begin_s:
            return
        if not self.person:
            self.person = self._choice.choose(skeletons)
        person = next((s for s in skeletons if s.id == self.person), None)
        if person is not None:
            known = np.where(person.scores[:, None] >= self._min_score, person.positions, np.nan)
            self._frames.append(body_arms(self._torso.smooth(stamp_s, replace(person, positions=known)), keypoints))

    def is_over(self, now_s: float) -> bool:
        """Return whether the time to watch is over."""
        return now_s - self._begin_s >= self._config.duration

    def result(self) -> Calibration:
        """Return what the pose tells.

        Raises:
            InvalidInputError: nobody was seen well enough, or they moved or were in another pose; the message says how.
        """
        if not self.person:
            raise InvalidInputError("no person who can be calibrated is seen")
        for side in self._sides:
            for name in ("upper", "forearm"):
                self._check(side, name)
        return calibrate(self._frames, self._config.pose)

    def _check(self, side: str, name: str) -> None:
        bone = f"{side} {'upper arm' if name == 'upper' else 'forearm'}"
        seen = [getattr(frame[side], name) for frame in self._frames if side in frame]
        directions = _directions([vector for vector in seen if vector is not None])
        if len(directions) < _FEWEST_FRAMES:
            raise InvalidInputError(f"the {bone} is seen in {len(directions)} images; {_FEWEST_FRAMES} are needed")
        mean = directions.mean(axis=0)
        mean = mean / np.linalg.norm(mean)
        motion = float(np.percentile(_angles_deg(directions, mean), _MOTION_PERCENTILE))
        if motion > self._config.largest_motion_deg:
            raise InvalidInputError(
                f"the person moves: the {bone} by {motion:.0f} degrees, at most {self._config.largest_motion_deg:g}"
            )
        away = float(_angles_deg(np.array([POSES[self._config.pose][side]]), mean)[0])
        if away > self._config.largest_angle_deg:
            raise InvalidInputError(
                f"the person is not in the {self._config.pose.upper()} pose: the {bone} is {away:.0f} degrees away, at "
                f"most {self._config.largest_angle_deg:g}"
            )


@dataclass(frozen=True)
class PersonCalibration:
    """A calibration, and whose it is."""

    person: str
    calibration: Calibration


def _directions(vectors: Sequence[FloatArray]) -> FloatArray:
    found = np.array(vectors).reshape(-1, 3)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _angles_deg(directions: FloatArray, mean: FloatArray) -> FloatArray:
    return np.degrees(np.arccos(np.clip(directions @ mean, -1.0, 1.0)))
