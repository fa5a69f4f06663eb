"""Joints of a 7-joint arm from the directions of upper arm and forearm and the tool's orientation, in closed form.

For arms whose neighbouring axes are perpendicular. Only directions enter, no lengths (SEW-Mimic, arXiv 2602.01632).
With rotations e1 ... e7 about the axes where they are at zero joints, a and b the bones there, and targets u and f:

    e1 e2 e3 a = u and e1 e2 e3 e4 b = f

so the angle between the bones gives joint 4; joint 4 and both directions give the rotation e1 e2 e3, which falls into
its joints like Euler angles; and what is left of the tool's rotation gives joints 5 to 7 in the same way. Each step is
a rotation about one axis that brings a vector to another, or to a given dot product: subproblems 1 and 4 of Elias and
Wen, IK-Geo, Mechanism and Machine Theory 209, 2025. Steps with two solutions make eight candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.robot import Robot, arm_points
from pose_perception.imitation.urdf import cross, rotation_about

# Neighbouring axes count as perpendicular up to this cosine; and bones as fixed to their links up to this sine.
_PERPENDICULAR, _FIXED = 1e-3, 1e-3
# Vectors shorter than this have no direction: bones in line, or axes in line.
_NO_DIRECTION = 1e-6
# Joints this far outside of their limits are inside, radians: rounding.
_ROUNDING_RAD = 1e-9


class ArmJoints(NamedTuple):
    """A solution.

    Attributes:
        q: Joints of the arm with shape (7,), radians, inside of the limits.
        reached: Whether they fulfil the targets; otherwise they are the nearest that the arm can do.
    """

    q: FloatArray
    reached: bool


class ClosedForm:
    """Solves one arm of a robot."""

    def __init__(self, robot: Robot, arm: str) -> None:
        """Check that the arm is of the right kind.

        Raises:
            ConfigurationError: it has not 7 joints, neighbouring axes are not perpendicular, or a bone of the
                configuration is not fixed to the link that carries the next joint.
        """
        self._arm = robot.arms[arm]
        joints = self._arm.joints
        where = f"the closed form does not fit arm {arm} of {robot.config.name}"
        if joints.stop - joints.start != 7:
            raise ConfigurationError(f"{where}: it has {joints.stop - joints.start} joints, not 7")
        kinematics = robot.kinematics
        bodies = kinematics.bodies(np.zeros(len(robot.joints)))
        self._axes = kinematics.axes(bodies).directions[joints]
        cosines = np.abs((self._axes[1:] * self._axes[:-1]).sum(axis=1))
        if cosines.max() > _PERPENDICULAR:
            i = int(cosines.argmax())
            raise ConfigurationError(
                f"{where}: axes of joints {i + 1} and {i + 2} are not perpendicular (cosine {cosines[i]:.3f})"
            )
        self._lower, self._upper = robot.lower[joints], robot.upper[joints]
        points = arm_points(self._arm, bodies)
        self._upper_arm, self._forearm, self._tool = points.upper, points.forearm, points.tool[:3, :3]
        self._check_bones(robot, where)

    def solve(self, upper: FloatArray, forearm: FloatArray, tool: FloatArray | None, present: FloatArray) -> ArmJoints:
        """Return the joints for a pose of the arm; of several solutions the one nearest to where it is.

        Args:
            upper: Direction of the upper arm in the base, unit vector with shape (3,).
            forearm: Direction of the forearm likewise.
            tool: Rotation of the tool in the base with shape (3, 3); None leaves joints 5 to 7 where they are.
            present: Joints of the arm with shape (7,), radians.
        """
        cosine, is_clipped = _clip(float(upper @ forearm), self._reach())
        best, best_effort = present, (math.inf, math.inf)
        for q in self._candidates(upper, forearm, cosine, tool, present):
            near = self._wrap(q, present)
            excess = np.maximum(self._lower - near, near - self._upper).max()
            effort = (max(float(excess), _ROUNDING_RAD), float(np.abs(near - present).sum()))
            if effort < best_effort:
                best, best_effort = near, effort
        reached = not is_clipped and best_effort[0] <= _ROUNDING_RAD
        return ArmJoints(np.clip(best, self._lower, self._upper), reached)

    def _candidates(
        self, upper: FloatArray, forearm: FloatArray, cosine: float, tool: FloatArray | None, present: FloatArray
    ) -> Iterator[FloatArray]:
        k = self._axes
        for q4 in _to_dot_product(k[3], self._upper_arm, self._forearm, cosine):
            bend = rotation_about(k[3], q4)
            shoulder = self._shoulder(upper, forearm, bend @ self._forearm, present)
            for first in _three_angles(k[:3], shoulder, present[:3]):
                if tool is None:
                    yield np.array([*first, q4, *present[4:]])
                    continue
                rest = (shoulder @ bend).T @ tool @ self._tool.T
                for last in _three_angles(k[4:], rest, present[4:]):
                    yield np.array([*first, q4, *last])

    def _shoulder(self, upper: FloatArray, forearm: FloatArray, bent: FloatArray, present: FloatArray) -> FloatArray:
        """Return the rotation with shape (3, 3) that brings the zero upper arm and the bent forearm to the targets."""
        target, own = _frame(upper, forearm), _frame(self._upper_arm, bent)
        if target is not None and own is not None:
            return target @ own.T
        # A straight arm does not tell how it is turned about itself: as it is now, then.
        now = np.eye(3)
        for axis, angle in zip(self._axes[:3], present[:3], strict=True):
            now = now @ rotation_about(axis, float(angle))
        return shortest_rotation(now @ self._upper_arm, upper) @ now

    def _reach(self) -> tuple[float, float]:
        """Return the smallest and largest cosine between the bones that joint 4 can make, limits aside."""
        constant, sine, cosine = _wave(self._axes[3], self._upper_arm, self._forearm)
        radius = math.hypot(sine, cosine)
        return constant - radius, constant + radius

    def _wrap(self, q: FloatArray, present: FloatArray) -> FloatArray:
        """Return the same angles by whole turns as near to the present ones as the limits allow."""
        near = present + np.remainder(q - present + np.pi, 2 * np.pi) - np.pi
        near = np.where(near > self._upper + _ROUNDING_RAD, near - 2 * np.pi, near)
        near = np.where(near < self._lower - _ROUNDING_RAD, near + 2 * np.pi, near)
        # Where neither is inside, the nearer limit counts.
        other = near - 2 * np.pi
        over, under = near - self._upper, self._lower - other
        return np.where((over > 0) & (under < over), other, near)

    def _check_bones(self, robot: Robot, where: str) -> None:
        start = self._arm.joints.start
        generator = np.random.default_rng(0)
        q = generator.uniform(-1, 1, (20, len(robot.joints)))
        q[0] = 0.0
        bodies = robot.kinematics.bodies(q)
        points = arm_points(self._arm, bodies)
        for name, bone, body in (("upper arm", points.upper, start + 3), ("forearm", points.forearm, start + 4)):
            fixed = (np.swapaxes(bodies[:, body, :3, :3], 1, 2) @ bone[..., None])[..., 0]
            if np.linalg.norm(fixed - fixed[0], axis=1).max() > _FIXED:
                raise ConfigurationError(f"{where}: its {name} is not fixed to the link of joint {body - start}")


def shortest_rotation(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the rotation with shape (3, 3) by the smallest angle that brings one unit vector (3,) to another."""
    axis, cosine = cross(start, end), float(start @ end)
    sine = float(np.linalg.norm(axis))
    if sine < _NO_DIRECTION:
        if cosine > 0:
            return np.eye(3)
        axis = cross(start, np.eye(3)[int(np.argmin(np.abs(start)))])
        sine = float(np.linalg.norm(axis))
        return rotation_about(axis / sine, math.pi)
    return rotation_about(axis / sine, math.atan2(sine, cosine))


def _clip(value: float, limits: tuple[float, float]) -> tuple[float, bool]:
    clipped = min(max(value, limits[0]), limits[1])
    return clipped, abs(clipped - value) > 1e-9


def _frame(first: FloatArray, second: FloatArray) -> FloatArray | None:
    """Return the rotation whose x axis is the first vector and whose z axis is perpendicular to both."""
    normal = cross(first, second)
    length = np.linalg.norm(normal)
    if length < _NO_DIRECTION:
        return None
    z = normal / length
    return np.stack([first, cross(z, first), z], axis=1)


def _wave(axis: FloatArray, fixed: FloatArray, turned: FloatArray) -> tuple[float, float, float]:
    """Return c, s, k of `fixed · rotation(axis, q) turned` = c + s sin q + k cos q."""
    constant = float((fixed @ axis) * (axis @ turned))
    return constant, float(fixed @ cross(axis, turned)), float(fixed @ turned) - constant


def _to_dot_product(axis: FloatArray, fixed: FloatArray, turned: FloatArray, value: float) -> tuple[float, ...]:
    """Return the angles at which `fixed · rotation(axis, q) turned` is a value, or nearest to it (subproblem 4)."""
    constant, sine, cosine = _wave(axis, fixed, turned)
    middle, radius = math.atan2(sine, cosine), math.hypot(sine, cosine)
    half = math.acos(min(max((value - constant) / max(radius, 1e-12), -1.0), 1.0))
    return (middle - half, middle + half) if half > 0 else (middle,)


def _angle(axis: FloatArray, start: FloatArray, end: FloatArray) -> float:
    """Return the angle about a unit vector that brings one vector to another, or nearest to it (subproblem 1)."""
    return math.atan2(float(axis @ cross(start, end)), float(start @ end - (axis @ start) * (axis @ end)))


def _three_angles(axes: FloatArray, rotation: FloatArray, present: FloatArray) -> Iterator[tuple[float, float, float]]:
    """Yield the angles about three axes, each perpendicular to the next, whose product is a rotation."""
    first, second, third = axes
    turned = rotation @ third
    for middle in _to_dot_product(second, first, third, float(first @ turned)):
        lifted = rotation_about(second, middle) @ third
        # With the first axis in line with the third, only the sum of their angles counts.
        is_in_line = np.linalg.norm(cross(first, lifted)) < _NO_DIRECTION
        start = float(present[0]) if is_in_line else _angle(first, lifted, turned)
        left = rotation_about(second, middle).T @ rotation_about(first, start).T @ rotation
        across = second  # perpendicular to the third axis
        yield start, middle, _angle(third, across, left @ across)
