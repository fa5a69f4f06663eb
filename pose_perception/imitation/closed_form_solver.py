"""The closed form as a solver: joints towards its solution, as fast as limits allow, for arms that it fits.

There is no barrier between capsules: before a collision the arm stops instead of sliding along (see `retargeting.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.closed_form import ClosedForm
from pose_perception.imitation.joint_limits import VelocityBounds
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.target_filter import MovingTarget
from pose_perception.imitation.tasks import TaskConfig

# Part of the largest deceleration with which joints arrive, so that they do not overshoot.
_ARRIVE = 0.5


class ClosedFormSolver:
    """Solves one step after the other."""

    def __init__(self, robot: Robot, tasks: TaskConfig) -> None:
        """Check that the closed form fits all arms.

        Raises:
            ConfigurationError: it does not; the message says why.
        """
        self._robot, self._gain_hz = robot, tasks.gain_hz
        self._arms = {name: ClosedForm(robot, name) for name in robot.arms}

    def step(
        self,
        q: FloatArray,
        velocity: FloatArray,
        bounds: VelocityBounds,
        targets: Mapping[str, MovingTarget],
        posture: FloatArray,
    ) -> FloatArray | None:
        """Return the velocities of the next step with shape (n,), rad/s, in the bounds.

        An arm of which only one bone is known, or whose wrist is asked for, stops.

        Args:
            q: Joints with shape (n,), radians.
            velocity: In the last step, shape (n,), rad/s.
            bounds: Of the next.
            targets: By name of the arm.
            posture: Not used: the solution leaves no joint free but for the last three without a hand, which stay.
        """
        error = np.zeros_like(q)
        for name, moving in targets.items():
            target, joints = moving.target, self._robot.arms[name].joints
            if target.upper is None or target.forearm is None:
                continue
            # The solution is nearest to where the arm is, and turns by no more than a whole turn away from it.
            solution = self._arms[name].solve(target.upper, target.forearm, target.tool, q[joints])
            error[joints] = solution.q - q[joints]
        arrive = np.sqrt(2 * _ARRIVE * self._robot.acceleration * np.abs(error))
        wanted = np.sign(error) * np.minimum(self._gain_hz * np.abs(error), arrive)
        return np.clip(wanted, bounds.lower, bounds.upper) if np.isfinite(wanted).all() else None
