"""Differential inverse kinematics as a quadratic program: the joint velocities that follow targets best in the limits.

Elbow, wrist and tool are drawn to their targets, faster the farther they are; the posture is drawn to rest, a little;
changes of velocity cost. Position, velocity and acceleration limits are bounds, and pairs of capsules that are near may
approach each other only as fast as they can stop (control barrier functions: Ames et al., European Control Conference
2019). The barrier is soft, because its bound may contradict an acceleration limit; `retargeting.py` has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.capsules import CapsuleModel, Nearest
from pose_perception.imitation.joint_limits import VelocityBounds
from pose_perception.imitation.kinematics import Axes
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.target_filter import MovingTarget
from pose_perception.imitation.tasks import TaskConfig, normal_equations

# Marks of the solver for soft constraints, and its answers that are solutions.
_SOFT, _SOLVED = 8, (1, 2)


@dataclass(frozen=True)
class QpConfig(Config):
    """What a step is worth beside its tasks, and how pairs of capsules are kept apart."""

    posture_cost: float = option(0.001, "Cost of the posture's distance from rest.", minimum=0.0, maximum=100.0)
    smoothness_cost: float = option(0.1, "Cost of changes of the joint velocities.", minimum=0.0, maximum=100.0)
    damping: float = option(0.02, "Cost of joint velocities.", minimum=0.0001, maximum=100.0)
    recovery_hz: float = option(
        10.0,
        "Part of a distance that pairs of capsules may approach, or must part, in a second.",
        minimum=0.1,
        maximum=100,
    )
    nearest_m: float = option(
        0.03, "Distance that pairs of capsules are kept apart, in metres.", minimum=0.0, maximum=0.2
    )
    watched_m: float = option(
        0.15, "Distance within which pairs of capsules are watched, in metres.", minimum=0.01, maximum=1.0
    )
    watched_pairs: int = option(16, "How many pairs of capsules are watched at once.", minimum=1, maximum=200)
    approach_m_s2: float = option(
        1.5, "Deceleration with which capsules can stop their approach, in m/s².", minimum=0.01, maximum=100.0
    )


class QpSolver:
    """Solves one step after the other."""

    def __init__(self, robot: Robot, capsules: CapsuleModel | None, tasks: TaskConfig, config: QpConfig) -> None:
        """Load the solver.

        Raises:
            ConfigurationError: it is not installed.
        """
        try:
            import daqp
        except ImportError as error:
            raise ConfigurationError(
                "the quadratic program needs DAQP: pip install daqp, or choose least_squares"
            ) from error
        self._solve: Any = daqp.solve
        self._robot, self._capsules, self._tasks, self._config = robot, capsules, tasks, config

    def step(
        self,
        q: FloatArray,
        velocity: FloatArray,
        bounds: VelocityBounds,
        targets: Mapping[str, MovingTarget],
        posture: FloatArray,
    ) -> FloatArray | None:
        """Return the velocities of the next step with shape (n,), rad/s, in the bounds; None when there are none.

        Args:
            q: Joints with shape (n,), radians.
            velocity: In the last step, shape (n,), rad/s.
            bounds: Of the next.
            targets: By name of the arm.
            posture: That joints tend to where nothing else is asked for, shape (n,), radians.
        """
        config, kinematics = self._config, self._robot.kinematics
        bodies = kinematics.bodies(q)
        axes = kinematics.axes(bodies)
        priors = [
            (config.posture_cost, posture - q),
            (config.smoothness_cost, velocity),
            (config.damping, np.zeros_like(q)),
        ]
        hessian, wish = normal_equations(self._robot, bodies, axes, targets, self._tasks, priors)
        rows, fastest = self._barrier(bodies, axes)
        upper = np.concatenate([bounds.upper, fastest])
        lower = np.concatenate([bounds.lower, np.full(len(fastest), -1e30)])
        sense = np.concatenate([np.zeros(len(q), np.int32), np.full(len(fastest), _SOFT, np.int32)])
        solution, _, answer, _ = self._solve(hessian, -wish, rows, upper, lower, sense)
        if answer not in _SOLVED or not np.all(np.isfinite(solution)):
            return None
        return np.clip(solution, bounds.lower, bounds.upper)

    def _barrier(self, bodies: FloatArray, axes: Axes) -> tuple[FloatArray, FloatArray]:
        """Return rows (K, n) of approach speeds of near capsules, m/rad, and their largest values (K,), m/s."""
        if self._capsules is None:
            return np.zeros((0, len(self._robot.joints))), np.zeros(0)
        nearest = self._capsules.nearest(bodies)
        count = min(self._config.watched_pairs, len(nearest.distances))
        chosen = np.argpartition(nearest.distances, count - 1)[:count] if count else np.zeros(0, dtype=int)
        chosen = chosen[nearest.distances[chosen] < self._config.watched_m]
        rows = approach(self._robot, self._capsules, nearest, chosen, axes)
        spare = nearest.distances[chosen] - self._config.nearest_m
        fastest = np.minimum(
            self._config.recovery_hz * spare, np.sqrt(2 * self._config.approach_m_s2 * np.maximum(spare, 0.0))
        )
        return rows, np.where(spare > 0, fastest, self._config.recovery_hz * spare)


def approach(robot: Robot, capsules: CapsuleModel, nearest: Nearest, chosen: FloatArray, axes: Axes) -> FloatArray:
    """Return how fast pairs of capsules approach each other with the joints, shape (K, n), metres per radian.

    Args:
        robot: The robot.
        capsules: Its capsules.
        nearest: Where they are nearest to each other.
        chosen: Indices of K pairs.
        axes: Of the joints.
    """
    p, r = nearest.first[chosen], nearest.second[chosen]
    apart = p - r
    normal = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
    first, second = (robot.kinematics.moved_by[capsules.bodies[chosen, side]] for side in (0, 1))
    # With axes z through o: n . (z x (p - o)) = z . (p x n) - n . (z x o).
    turn, shift = axes.directions.T, normal @ axes.moments.T
    return second * (_cross(r, normal) @ turn - shift) - first * (_cross(p, normal) @ turn - shift)


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return cross products of rows (K, 3); NumPy's own is slow for few."""
    x, y, z = a.T
    u, v, w = b.T
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
