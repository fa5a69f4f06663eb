"""Grippers that follow openings from 0, closed, to 1, open, no faster than allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.robot_config import GripperConfig


def grippers_of(robot: Robot) -> dict[str, GripperConfig]:
    """Return the grippers of a robot by name of the arm."""
    return {name: arm.config.gripper for name, arm in robot.arms.items() if arm.config.gripper is not None}


def opening_at(gripper: GripperConfig, position: FloatArray) -> FloatArray:
    """Return openings from 0 to 1 at positions of the gripper's joint, radians or metres; NaN stays NaN."""
    return np.clip((position - gripper.closed) / (gripper.open - gripper.closed), 0.0, 1.0)


def position_at(gripper: GripperConfig, opening: float) -> float:
    """Return the position of the gripper's joint, radians or metres, at an opening from 0 to 1."""
    return gripper.closed + opening * (gripper.open - gripper.closed)


def measured_openings(robot: Robot, joints: Sequence[str], positions: FloatArray) -> dict[str, float]:
    """Return the openings of those grippers whose joints are among some that were measured.

    Args:
        robot: Whose grippers are meant.
        joints: Names of m joints, of the robot or not.
        positions: Of them, shape (m,), radians or metres.
    """
    at = dict(zip(joints, positions, strict=True))
    found = {
        name: float(opening_at(gripper, at[gripper.joint]))
        for name, gripper in grippers_of(robot).items()
        if gripper.joint in at
    }
    return {name: opening for name, opening in found.items() if math.isfinite(opening)}


class Grippers:
    """Follows what is wanted of each gripper, and holds what is not wanted otherwise.

    A gripper is not commanded before something is wanted of it: what it holds, it goes on holding.
    """

    def __init__(self, robot: Robot, step_s: float, speed: float) -> None:
        """Start without commands.

        Args:
            robot: Whose grippers are meant.
            step_s: Time between commands, seconds.
            speed: Largest change of an opening, per second.
        """
        self._largest = speed * step_s
        self._robot = robot
        self._measured: Mapping[str, float] = {}
        self.forget({})

    def forget(self, measured: Mapping[str, float]) -> None:
        """Start anew.

        Args:
            measured: Openings by name of the arm, from which the first commands start; where one is not known, its
                first command is what is wanted first.
        """
        self._measured = measured
        self._openings = dict.fromkeys(grippers_of(self._robot), math.nan)

    def step(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """Return the openings that are commanded next, by name of the arm; NaN is no command.

        Args:
            wanted: Openings by name of the arm; NaN or none is whatever was commanded last.
        """
        for name, last in self._openings.items():
            goal = wanted.get(name, math.nan)
            if math.isnan(goal):
                continue
            start = self._measured.get(name, goal) if math.isnan(last) else last
            self._openings[name] = start + min(max(goal - start, -self._largest), self._largest)
        return dict(self._openings)
