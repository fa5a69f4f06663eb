"""Damped least squares: the joint velocities that follow targets best, clamped to the limits. NumPy alone.

The fallback where the quadratic program cannot be installed. Clamping is not optimal, and there is no barrier between
capsules: before a collision the arm stops instead of sliding along (see `retargeting.py`).
Wampler, Manipulator inverse kinematic solutions based on vector formulations and damped least-squares methods, IEEE
Transactions on Systems, Man, and Cybernetics 16(1), 1986.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.joint_limits import VelocityBounds
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.target_filter import MovingTarget
from pose_perception.imitation.tasks import TaskConfig, normal_equations

# Costs of joint velocities, of their changes and of the way to rest, as in `QpConfig`.
_DAMPING, _SMOOTHNESS, _POSTURE = 0.02, 0.1, 0.001


class LeastSquaresSolver:
    """Solves one step after the other."""

    def __init__(self, robot: Robot, tasks: TaskConfig) -> None:
        self._robot, self._tasks = robot, tasks

    def step(
        self,
        q: FloatArray,
        velocity: FloatArray,
        bounds: VelocityBounds,
        targets: Mapping[str, MovingTarget],
        posture: FloatArray,
    ) -> FloatArray | None:
        """Return the velocities of the next step with shape (n,), rad/s, in the bounds.

        Args:
            q: Joints with shape (n,), radians.
            velocity: In the last step, shape (n,), rad/s.
            bounds: Of the next.
            targets: By name of the arm.
            posture: That joints tend to where nothing else is asked for, shape (n,), radians.
        """
        bodies = self._robot.kinematics.bodies(q)
        axes = self._robot.kinematics.axes(bodies)
        priors = [(_POSTURE, posture - q), (_SMOOTHNESS, velocity), (_DAMPING, np.zeros_like(q))]
        normal, wish = normal_equations(self._robot, bodies, axes, targets, self._tasks, priors)
        solution = np.linalg.solve(normal, wish)
        return np.clip(solution, bounds.lower, bounds.upper) if np.all(np.isfinite(solution)) else None
