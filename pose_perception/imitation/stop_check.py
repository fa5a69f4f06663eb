"""Whether a robot that makes a step can come to rest after it, inside of its box and without touching itself."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.joint_limits import JointLimits
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.workspace import Workspace

# Postures on the way to a stop that are looked at.
_SAMPLES = 6
# What is nearer than allowed from the beginning may come nearer by rounding only, metres.
_ROUNDING_M = 1e-6


class Clearance(NamedTuple):
    """What a way comes near to.

    Attributes:
        is_inside: Whether tools and wrists stay in their box.
        is_apart: Whether capsules stay apart.
        distance_m: Between the nearest capsules where the way begins; infinite without capsules.
    """

    is_inside: bool
    is_apart: bool
    distance_m: float

    @property
    def is_free(self) -> bool:
        """Whether nothing speaks against the way."""
        return self.is_inside and self.is_apart


_FREE = Clearance(True, True, math.inf)


class StopCheck:
    """Looks at the way to a full stop."""

    def __init__(
        self, robot: Robot, capsules: CapsuleModel | None, workspace: Workspace | None, distance_m: float
    ) -> None:
        """Take what must be avoided.

        Args:
            robot: That moves.
            capsules: Its shape; None does not look at collisions.
            workspace: Where tools may be; None lets them be anywhere.
            distance_m: Capsules never come nearer to each other, metres.
        """
        self._robot, self._workspace, self._distance_m = robot, workspace, distance_m
        self._capsules = capsules if capsules is not None and len(capsules.pairs) > 0 else None

    def can_stop(self, q: FloatArray, velocity: FloatArray, limits: JointLimits) -> Clearance:
        """Return what happens if the robot makes a step and then brakes.

        Args:
            q: Joints with shape (n,), radians.
            velocity: In the step, shape (n,), rad/s.
            limits: That it brakes with.
        """
        if self._capsules is None and self._workspace is None:
            return _FREE
        return self.look(np.vstack([q, limits.braking(q, velocity, _SAMPLES)]))

    def look(self, way: FloatArray) -> Clearance:
        """Return what happens on a way with shape (S, n), radians.

        What is too near, or outside, where it begins may part only, or come back.
        """
        if self._capsules is None and self._workspace is None:
            return _FREE
        bodies = self._robot.kinematics.bodies(way)
        is_inside = self._workspace is None or self._workspace.contains(bodies)
        if self._capsules is None:
            return Clearance(is_inside, True, math.inf)
        distances = self._capsules.nearest(bodies).distances
        allowed = np.minimum(self._distance_m, distances[0] - _ROUNDING_M)
        return Clearance(is_inside, bool(np.all(distances[1:] >= allowed)), float(distances[0].min()))
