"""The last look at a command, by other means than those that made it: nothing that breaks a limit leaves."""

from __future__ import annotations

import numpy as np

from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot

# Rounding that is no breach.
_SLACK = 1e-6


class CommandGuard:
    """Compares each command with the one before it and with the robot's limits."""

    def __init__(self, robot: Robot, step_s: float) -> None:
        self._robot, self._step_s = robot, step_s

    def accepts(self, command: JointCommand, last: JointCommand | None) -> bool:
        """Return whether a command keeps the limits of position, velocity and acceleration.

        A joint outside of its limits may come back.

        Args:
            command: The next one.
            last: The one before it; None before the first.
        """
        robot = self._robot
        if not (np.isfinite(command.q).all() and np.isfinite(command.velocity).all()):
            return False
        if (np.abs(command.velocity) > robot.velocity + _SLACK).any():
            return False
        if last is None:
            return True
        step, change = command.q - last.q, command.velocity - last.velocity
        if (np.abs(step) > robot.velocity * self._step_s + _SLACK).any():
            return False
        leaves = ((command.q > robot.upper + _SLACK) & (step > 0)) | ((command.q < robot.lower - _SLACK) & (step < 0))
        return not leaves.any() and bool((np.abs(change) <= robot.acceleration * self._step_s + _SLACK).all())
