"""How a robot follows a person, measured from outside on what the nodes publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.targets import ArmTarget, target_points

# Rounding of commands that is no breach of a limit.
_SLACK = 1e-6


@dataclass(frozen=True)
class ImitationSummary:
    """What was measured.

    Attributes:
        states_s: Time in each state by its name, seconds.
        bone_angle_deg: Between bones of the robot and of the person as they were seen last, median and 95th
            percentile; NaN without any.
        wrist_m: Distance of the robot's wrists from where the person's would be at its size, likewise, metres.
        joint_error_rad: Largest distance of a joint from its command, likewise.
        commands: How many there were.
        beyond_limits: How many of them broke a limit of position or velocity.
        nearest_m: Smallest distance of two parts of the robot, metres; NaN when not known.
        latency_ms: From the stamp of an image to the first command with it, likewise.
        counts: How often something was refused, held or stopped, by its name.
    """

    states_s: dict[str, float]
    bone_angle_deg: tuple[float, float]
    wrist_m: tuple[float, float]
    joint_error_rad: tuple[float, float]
    commands: int
    beyond_limits: int
    nearest_m: float
    latency_ms: tuple[float, float]
    counts: dict[str, int]


class ImitationStatistics:
    """Collects measures of one session.

    Attributes:
        latency_ms: As of `ImitationSummary`.
        counts: As of `ImitationSummary`.
    """

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._states_s: dict[str, float] = {}
        self._last: tuple[float, str] | None = None
        self._angles: list[float] = []
        self._wrists: list[float] = []
        self._errors: list[float] = []
        self._commands = self._beyond = 0
        self._nearest = np.nan
        self.latency_ms = (np.nan, np.nan)
        self.counts: dict[str, int] = {}

    def add_state(self, time_s: float, state: str, nearest_m: float) -> None:
        """Take in a status: when, in seconds, the state, and the distance of the nearest two parts in metres."""
        if self._last is not None:
            before_s, before = self._last
            self._states_s[before] = self._states_s.get(before, 0.0) + time_s - before_s
        self._last = (time_s, state)
        self._nearest = float(np.fmin(self._nearest, nearest_m))

    def add_command(self, q: FloatArray, velocity: FloatArray, measured: FloatArray | None) -> None:
        """Take in a command, radians and rad/s, and where the robot was then; all with shape (n,)."""
        robot = self._robot
        self._commands += 1
        is_beyond = (
            (np.abs(velocity) > robot.velocity + _SLACK) | (q < robot.lower - _SLACK) | (q > robot.upper + _SLACK)
        )
        self._beyond += bool(is_beyond.any())
        if measured is not None:
            self._errors.append(float(np.abs(q - measured).max()))

    def add_person(self, targets: Mapping[str, ArmTarget], measured: FloatArray) -> None:
        """Take in what a person who is followed does, as targets by name of the arm, and where the robot is, (n,)."""
        for name, target in targets.items():
            points = self._robot.points(measured, name)
            for wanted, bone in ((target.upper, points.upper), (target.forearm, points.forearm)):
                if wanted is not None:
                    self._angles.append(float(np.degrees(np.arccos(np.clip(wanted @ bone, -1, 1)))))
            wrist = target_points(self._robot.arms[name], target, points.shoulder).wrist
            if wrist is not None:
                self._wrists.append(float(np.linalg.norm(points.wrist - wrist)))

    def summary(self) -> ImitationSummary:
        """Return what was measured so far."""
        return ImitationSummary(
            dict(self._states_s),
            _typical(self._angles),
            _typical(self._wrists),
            _typical(self._errors),
            self._commands,
            self._beyond,
            self._nearest,
            self.latency_ms,
            dict(self.counts),
        )


def imitation_table(summary: ImitationSummary) -> list[tuple[str, str]]:
    """Return rows of a title and a text."""
    total_s = sum(summary.states_s.values())
    states = [f"{name} {100 * time_s / total_s:.0f} %" for name, time_s in summary.states_s.items() if total_s > 0]
    refused = [f"{name} ({count})" for name, count in summary.counts.items() if count]
    rows = [
        ("robot", ", ".join(states) or "no status"),
        ("bones of the robot", f"off by {_pair(summary.bone_angle_deg, 1, 'degrees')} from those of the person now"),
        ("wrists of the robot", f"off by {_pair(summary.wrist_m, 1000, 'mm')}, at the robot's size"),
        ("joints", f"off by {_pair(summary.joint_error_rad, 1000, 'mrad')} from their commands"),
        ("image to command", _pair(summary.latency_ms, 1, "ms")),
        ("commands", f"{summary.commands}, {summary.beyond_limits} beyond a limit of position or velocity"),
        ("events", ", ".join(refused) or "none"),
    ]
    if np.isfinite(summary.nearest_m):
        rows.insert(-1, ("nearest parts", f"{1000 * summary.nearest_m:.0f} mm apart"))
    return rows


def _typical(values: list[float]) -> tuple[float, float]:
    if not values:
        return np.nan, np.nan
    median, high = np.percentile(values, [50, 95])
    return float(median), float(high)


def _pair(values: tuple[float, float], scale: float, unit: str) -> str:
    if not np.isfinite(values).all():
        return "unknown"
    return f"{scale * values[0]:.0f} {unit} (95 %: {scale * values[1]:.0f})"
