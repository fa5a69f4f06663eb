"""What a person's arms ask of a robot's: directions of the bones, orientation of the hand, opening of the gripper.

Bones are given as directions in the frame of the person's torso, so neither the size of the person nor that of the
robot matters, and wherever the person stands, turned or not, the robot does the same. What is not seen stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, HandPose, Skeleton
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.closed_form import shortest_rotation
from pose_perception.imitation.robot import Arm, Robot

# A bone of a person that is shorter is a mistake, metres.
_SHORTEST_M = 0.05
# The mirror of the torso: left and right change places.
_MIRROR = np.diag([1.0, -1.0, 1.0])
# What may be held for a calibration.
POSES = {
    # Arms stretched sideways, and arms that hang: directions in the torso by side.
    "t": {"left": (0.0, 1.0, 0.0), "right": (0.0, -1.0, 0.0)},
    "n": {"left": (0.0, 0.0, -1.0), "right": (0.0, 0.0, -1.0)},
}


@dataclass(frozen=True)
class MappingConfig(Config):
    """How a person's arms are mapped to the robot's."""

    person_arm: str = option(
        "right", "Which arm of the person a robot with a single arm follows.", choices=("left", "right")
    )
    mirrored: bool = option(
        False, "Whether the robot is the person's mirror image: its left arm follows the right one of the person."
    )
    mode: str = option(
        "directions",
        "directions: bones point as the person's do; clutch: wrists move as theirs do, from where both are at first.",
        choices=("directions", "clutch"),
    )
    clutch_scale: float = option(
        1.0, "Motion of the robot's wrists over that of the person's, in mode clutch.", minimum=0.01, maximum=10.0
    )
    use_hands: bool = option(True, "Whether the tool follows the orientation of the palm, where a hand is seen.")
    pinch_closed_m: float = option(
        0.025,
        "Distance of the tips of thumb and index finger at which the gripper is closed.",
        minimum=0.0,
        maximum=0.2,
    )
    pinch_open_m: float = option(
        0.10, "Distance of the tips of thumb and index finger at which the gripper is open.", minimum=0.01, maximum=0.3
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.pinch_closed_m < self.pinch_open_m:
            raise ConfigurationError("MappingConfig.pinch_closed_m must be smaller than pinch_open_m")


@dataclass(frozen=True)
class ArmTarget:
    """What one arm of the robot shall do, in its base; what is not known is None or NaN.

    Attributes:
        upper: Direction of the upper arm, unit vector with shape (3,).
        forearm: Direction of the forearm, likewise.
        tool: Rotation of the tool with shape (3, 3).
        opening: Of the gripper, 0 closed to 1 open.
        wrist: Position of the wrist with shape (3,), metres, where it counts instead of the bones (see `steering.py`).
    """

    upper: FloatArray | None = None
    forearm: FloatArray | None = None
    tool: FloatArray | None = None
    opening: float = math.nan
    wrist: FloatArray | None = None


class TargetPoints(NamedTuple):
    """Where elbow and wrist of the robot shall be, shape (3,) each, metres in the base; None where not known."""

    elbow: FloatArray | None
    wrist: FloatArray | None


class BodyArm(NamedTuple):
    """One arm of a person in the frame of the torso: x forward, y left, z up.

    Attributes:
        upper, forearm: Vectors along the bones, shape (3,), metres; None when an end is missing.
        palm: Rotation of the palm with shape (3, 3): x to the fingers, z out of its back; None when not seen.
        pinch: Distance of the tips of thumb and index finger, metres; NaN when unknown.
    """

    upper: FloatArray | None
    forearm: FloatArray | None
    palm: FloatArray | None
    pinch: float


@dataclass(frozen=True)
class Calibration:
    """What a person in a known pose tells.

    Attributes:
        turns: By side, the rotation with shape (3, 3) that corrects directions in the torso.
        lengths_m: By side, upper arm and forearm of the person, shape (2,).
    """

    turns: Mapping[str, FloatArray]
    lengths_m: Mapping[str, FloatArray]


def body_arms(skeleton: Skeleton, keypoints: Sequence[str]) -> dict[str, BodyArm]:
    """Return the arms of a person by side; empty when the torso is not known.

    Args:
        skeleton: The person.
        keypoints: Names of its keypoints, in order.
    """
    if skeleton.camera_from_torso is None:
        return {}
    torso_from_camera = skeleton.camera_from_torso[:3, :3].T
    at = {name: skeleton.positions[i] for i, name in enumerate(keypoints)}
    hands = {hand.side: hand for hand in skeleton.hands}
    arms = {}
    for side in ("left", "right"):
        shoulder, elbow, wrist = (at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
        upper, forearm = _bone(shoulder, elbow, torso_from_camera), _bone(elbow, wrist, torso_from_camera)
        palm, pinch = _hand(hands.get(side), torso_from_camera)
        arms[side] = BodyArm(upper, forearm, palm, pinch)
    return arms


class Mapper:
    """Maps the arms of a person to targets of a robot's arms."""

    def __init__(self, robot: Robot, config: MappingConfig, calibration: Calibration | None = None) -> None:
        self._robot, self._config, self._calibration = robot, config, calibration

    def targets(self, body: Mapping[str, BodyArm]) -> dict[str, ArmTarget]:
        """Return the target of each arm of the robot.

        Args:
            body: Arms of the person by side, as `body_arms` returns them; a missing one gives an empty target.
        """
        return {name: self._target(arm, body.get(self.person_side(name))) for name, arm in self._robot.arms.items()}

    def person_side(self, arm: str) -> str:
        """Return which arm of the person an arm of the robot follows."""
        if arm == "single":
            return self._config.person_arm
        return {"left": "right", "right": "left"}[arm] if self._config.mirrored else arm

    def turn(self, arm: str) -> FloatArray:
        """Return what turns vectors of the person, in the torso, into the robot's base for an arm, shape (3, 3)."""
        turn = np.eye(3)
        if self._calibration is not None:
            turn = self._calibration.turns.get(self.person_side(arm), turn)
        if self._config.mirrored:
            turn = _MIRROR @ turn
        return self._robot.base_from_torso @ turn

    def palm(self, arm: str, body: BodyArm) -> FloatArray | None:
        """Return the rotation of a palm in the robot's base, shape (3, 3); None when it is not seen or not wanted."""
        if body.palm is None or not self._config.use_hands:
            return None
        # A mirrored palm has its y axis reversed: the image of a right hand is a left one, whose axes are such.
        return self.turn(arm) @ body.palm @ (_MIRROR if self._config.mirrored else np.eye(3))

    def opening(self, body: BodyArm) -> float:
        """Return the opening of a gripper, 0 closed to 1 open; NaN when no pinch is seen."""
        closed, opened = self._config.pinch_closed_m, self._config.pinch_open_m
        return float(np.clip((body.pinch - closed) / (opened - closed), 0.0, 1.0))

    def _target(self, arm: Arm, body: BodyArm | None) -> ArmTarget:
        if body is None:
            return ArmTarget()
        turn, palm = self.turn(arm.name), self.palm(arm.name, body)
        tool = None if palm is None else palm @ arm.palm_from_tool
        return ArmTarget(_direction(turn, body.upper), _direction(turn, body.forearm), tool, self.opening(body))


def target_points(arm: Arm, target: ArmTarget, shoulder: FloatArray) -> TargetPoints:
    """Return where elbow and wrist of a robot shall be.

    Args:
        arm: Of the robot, whose bones give the lengths.
        target: Its target.
        shoulder: Where its shoulder is, shape (3,), metres in the base.
    """
    elbow = None if target.upper is None else shoulder + arm.upper_m * target.upper
    wrist = None if elbow is None or target.forearm is None else elbow + arm.forearm_m * target.forearm
    return TargetPoints(elbow, wrist if target.wrist is None else target.wrist)


def calibrate(frames: Sequence[Mapping[str, BodyArm]], pose: str) -> Calibration:
    """Return what corrects the directions of a person who holds a known pose.

    Args:
        frames: Arms of the person while they do.
        pose: `t` for arms stretched sideways, `n` for arms that hang.

    Raises:
        ConfigurationError: the pose has another name, or no frame shows a whole arm.
    """
    if pose not in POSES:
        raise ConfigurationError(f"calibration pose must be one of {', '.join(POSES)}; got {pose!r}")
    turns, lengths = {}, {}
    for side, direction in POSES[pose].items():
        arms = [frame[side] for frame in frames if side in frame]
        bones = np.array([(a.upper, a.forearm) for a in arms if a.upper is not None and a.forearm is not None])
        if not len(bones):
            continue
        lengths[side] = np.median(np.linalg.norm(bones, axis=2), axis=0)
        whole = np.median(bones.sum(axis=1), axis=0)
        turns[side] = shortest_rotation(whole / np.linalg.norm(whole), np.array(direction))
    if not turns:
        raise ConfigurationError("no frame shows a whole arm: calibration needs shoulder, elbow and wrist of one side")
    return Calibration(turns, lengths)


def _bone(start: FloatArray, end: FloatArray, torso_from_camera: FloatArray) -> FloatArray | None:
    bone = torso_from_camera @ (end - start)
    return bone if np.linalg.norm(bone) > _SHORTEST_M else None  # false for NaN, too


def _hand(hand: HandPose | None, torso_from_camera: FloatArray) -> tuple[FloatArray | None, float]:
    if hand is None:
        return None, math.nan
    palm = hand.camera_from_palm
    return None if palm is None else torso_from_camera @ palm[:3, :3], hand.pinch


def _direction(turn: FloatArray, bone: FloatArray | None) -> FloatArray | None:
    return None if bone is None else turn @ bone / np.linalg.norm(bone)
