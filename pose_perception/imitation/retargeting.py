"""From targets at the camera's rate to joint commands at the robot's: filter, solve, check that the robot can stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.closed_form_solver import ClosedFormSolver
from pose_perception.imitation.grippers import Grippers
from pose_perception.imitation.joint_limits import JointLimits, VelocityBounds
from pose_perception.imitation.least_squares import LeastSquaresSolver
from pose_perception.imitation.qp import QpConfig, QpSolver
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.stop_check import StopCheck
from pose_perception.imitation.target_filter import FilterConfig, MovingTarget, TargetFilter
from pose_perception.imitation.targets import ArmTarget
from pose_perception.imitation.tasks import TaskConfig
from pose_perception.imitation.workspace import Workspace

# Slower than this, a robot stands still, rad/s.
_STILL = 1e-6


@dataclass(frozen=True)
class RetargetingConfig(Config):
    """How targets become joint commands."""

    solver: str = option(
        "qp",
        "qp: quadratic program; least_squares: NumPy alone; closed_form: of arms with seven perpendicular axes.",
        choices=("qp", "least_squares", "closed_form"),
    )
    step_s: float = option(0.01, "Time between commands, in seconds.", minimum=0.001, maximum=0.1)
    speed_scale: float = option(1.0, "Part of the robot's velocities that is allowed.", minimum=0.01, maximum=1.0)
    stop_distance_m: float = option(
        0.022, "Capsules never come nearer to each other than this, in metres.", minimum=0.0, maximum=0.2
    )
    gripper_speed: float = option(
        2.0, "Largest speed of grippers, in ways from closed to open per second.", minimum=0.01, maximum=100.0
    )
    filter: FilterConfig = field(default_factory=FilterConfig)
    tasks: TaskConfig = field(default_factory=TaskConfig)
    qp: QpConfig = field(default_factory=QpConfig)


@dataclass(frozen=True)
class JointCommand:
    """What the robot shall do next.

    Attributes:
        q: Joints with shape (n,), radians.
        velocity: Shape (n,), rad/s.
        openings: Of the grippers by name of the arm, 0 closed to 1 open; NaN leaves a gripper as it is.
        distance_m: Between the two capsules that are nearest to each other; infinite without capsules.
        is_following: Whether every arm has a target.
        is_braking: Whether what the targets ask for was refused, because the robot could not stop in time.
    """

    q: FloatArray
    velocity: FloatArray
    openings: Mapping[str, float]
    distance_m: float
    is_following: bool
    is_braking: bool

    @property
    def is_moving(self) -> bool:
        """Whether any joint moves."""
        return bool((np.abs(self.velocity) > _STILL).any())


class _Solver(Protocol):
    def step(
        self,
        q: FloatArray,
        velocity: FloatArray,
        bounds: VelocityBounds,
        targets: Mapping[str, MovingTarget],
        posture: FloatArray,
    ) -> FloatArray | None: ...


class Retargeter:
    """Moves a robot after a person.

    Every command can be followed by a full stop: the way to it was looked at, and is taken as soon as another step
    could not be followed by one.
    """

    def __init__(
        self,
        robot: Robot,
        capsules: CapsuleModel | None,
        config: RetargetingConfig,
        workspace: Workspace | None = None,
    ) -> None:
        """Start at rest in the robot's rest posture.

        Args:
            robot: Whose arms move.
            capsules: Its shape; None does not look at collisions.
            config: Settings.
            workspace: Where tools may be and how fast; None lets them be anywhere.

        Raises:
            ConfigurationError: the solver is not installed, or does not fit the robot.
        """
        self._robot, self._config, self._workspace = robot, config, workspace
        self._stop_check = StopCheck(robot, capsules, workspace, config.stop_distance_m)
        self._limits = JointLimits(robot, config.step_s, config.speed_scale)
        self._solver = _solver(robot, capsules, config)
        self._filters = {name: TargetFilter(config.filter) for name in robot.arms}
        self._grippers = Grippers(robot, config.step_s, config.gripper_speed)
        self._q, self._velocity = robot.rest.copy(), np.zeros(len(robot.joints))

    def reset(self, q: FloatArray) -> None:
        """Start anew, at rest, where the robot is; grippers stay as they are commanded.

        Args:
            q: Measured joints with shape (n,), radians; outside of the limits by rounding or sag is fine.

        Raises:
            InvalidInputError: they are not n finite numbers.
        """
        if np.shape(q) != self._q.shape or not np.all(np.isfinite(q)):
            raise InvalidInputError(f"{self._robot.config.name} needs {len(self._q)} finite joints, got {q}")
        self._q, self._velocity = np.array(q, dtype=float), np.zeros_like(self._q)
        self.let_go()

    def reset_grippers(self, measured: Mapping[str, float]) -> None:
        """Leave grippers as they are until something is wanted of them; `measured` has openings by name of the arm."""
        self._grippers.forget(measured)

    def let_go(self) -> None:
        """Forget the targets: the robot comes to rest."""
        for target_filter in self._filters.values():
            target_filter.reset()

    def limit_speed(self, share: float) -> None:
        """Allow a part of the robot's velocities from now on, above 0 to 1; a faster robot brakes."""
        self._limits = JointLimits(self._robot, self._config.step_s, share * self._config.speed_scale)

    def stop_path(self, samples: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return how the robot comes to rest from where it is commanded to be.

        Args:
            samples: How many moments, at least 2; the last is at rest.

        Returns:
            Times from now with shape (S,), seconds; joints with shape (S, n), radians; velocities (S, n), rad/s.
        """
        return self._limits.stop(self._q, self._velocity, samples)

    def coast(self, seconds: float) -> tuple[FloatArray, FloatArray]:
        """Take in that the robot went on along the stop path for some time; return joints and velocities, (n,) each."""
        self._q, self._velocity = self._limits.coast(self._q, self._velocity, seconds)
        return self._q.copy(), self._velocity.copy()

    def halt(self) -> None:
        """Take in that the robot stands where it was last commanded to be."""
        self._velocity = np.zeros_like(self._q)

    def observe(self, stamp_s: float, targets: Mapping[str, ArmTarget]) -> None:
        """Take in the targets of one camera frame.

        Args:
            stamp_s: When it was taken, seconds.
            targets: By name of the arm.
        """
        for name, target in targets.items():
            self._filters[name].measure(stamp_s, target)

    def step(self, stamp_s: float) -> JointCommand:
        """Return the next command.

        Args:
            stamp_s: Of the command, seconds, in the time of the frames.
        """
        targets = {name: target_filter.predict(stamp_s) for name, target_filter in self._filters.items()}
        following = {name: t for name, t in targets.items() if t.target.upper is not None or t.target.wrist is not None}
        bounds = self._limits.bounds(self._q, self._velocity)
        velocity, distance = None, math.inf
        if following:
            velocity = self._solver.step(self._q, self._velocity, bounds, following, self._robot.rest)
        # An arm without a target stops; so does one whose filter has forgotten it.
        brake = np.clip(0.0, bounds.lower, bounds.upper)
        for name, arm in self._robot.arms.items():
            if velocity is not None and name not in following:
                velocity[arm.joints] = brake[arm.joints]
        is_safe = False
        if velocity is not None:
            if self._workspace is not None:
                velocity = self._workspace.slow(self._q, velocity, brake)
            clearance = self._stop_check.can_stop(self._q, velocity, self._limits)
            is_safe, distance = clearance.is_free, clearance.distance_m
        if velocity is None or not is_safe:
            velocity = brake
        self._q, self._velocity = self._q + self._config.step_s * velocity, velocity
        openings = self._grippers.step({name: target.target.opening for name, target in targets.items()})
        is_braking = bool(following) and not is_safe and bool(np.any(np.abs(velocity) > _STILL))
        return JointCommand(
            self._q.copy(), velocity.copy(), openings, distance, len(following) == len(targets), is_braking
        )


def _solver(robot: Robot, capsules: CapsuleModel | None, config: RetargetingConfig) -> _Solver:
    if config.solver == "qp":
        return QpSolver(robot, capsules, config.tasks, config.qp)
    if config.solver == "least_squares":
        return LeastSquaresSolver(robot, config.tasks)
    return ClosedFormSolver(robot, config.tasks)
