"""Forward kinematics and Jacobians of the joints that imitate, in NumPy.

All other joints are locked. The arms of a robot are as deep as each other, so that each matrix product advances all of
them, and any number of joint vectors, by one joint: 14 joints take seven products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.urdf import REVOLUTE, Urdf, UrdfJoint, skew


class LinkPoint(NamedTuple):
    """A point, or a frame, that moves with one of the joints.

    Attributes:
        body: Index of the body: 0 for what does not move, j + 1 for what joint j carries.
        pose: In the frame of that body, shape (4, 4), metres.
    """

    body: int
    pose: FloatArray


class Axes(NamedTuple):
    """Where the axes of n joints are, as Jacobians need it.

    Attributes:
        directions: Unit vectors with shape (n, 3).
        moments: Cross products of directions with points on the axes, shape (n, 3), metres.
    """

    directions: FloatArray
    moments: FloatArray


class Kinematics:
    """The moving joints of a robot and the frames on them, all in the frame of a base link.

    Attributes:
        joints: Names of the n joints, in the order of all arrays.
        moved_by: Which joints move which bodies, shape (n + 1, n).
    """

    joints: tuple[str, ...]
    moved_by: npt.NDArray[np.bool_]

    def __init__(self, urdf: Urdf, base: str, joints: Sequence[str], locked: Mapping[str, float]) -> None:
        """Take the joints that move from a robot description.

        Args:
            urdf: The description.
            base: Link in whose frame all results are; no moving joint may carry it.
            joints: Names of the joints that move: revolute, parents before their children.
            locked: Positions of others, radians or metres; those that it does not name are at 0, or at the limit next
                to 0.

        Raises:
            ConfigurationError: a joint or link does not exist or does not fit.
        """
        self.joints = tuple(joints)
        self._urdf, self._locked = urdf, dict(locked)
        urdf.check_link(base, "base")
        for name in locked:
            urdf.check_joint(name, "locked")
        found = [urdf.check_joint(name, "joints") for name in joints]
        for joint in found:
            if joint.kind not in REVOLUTE:
                raise ConfigurationError(
                    f"joint {joint.name!r} of {urdf.name} is {joint.kind}; arms need revolute ones"
                )
        if any(joint.name in self.joints for joint in urdf.path(base)):
            raise ConfigurationError(f"base {base!r} of {urdf.name} is moved by a joint that imitates")
        root_from_base = np.eye(4)
        for joint in urdf.path(base):
            root_from_base = root_from_base @ joint.at(self._position(joint))
        self._base_from_root = np.linalg.inv(root_from_base)
        fixed = [self._locate(joint.parent) for joint in found]
        self._parents = np.array([point.body for point in fixed])
        constant = np.stack([p.pose @ j.parent_from_joint for p, j in zip(fixed, found, strict=True)])
        self._axes = np.stack([joint.axis for joint in found])
        self._prepare(constant)

    @property
    def urdf(self) -> Urdf:
        """The robot description."""
        return self._urdf

    def locate(self, link: str, at: Sequence[float] = (0.0, 0.0, 0.0), what: str = "frame") -> LinkPoint:
        """Return a frame of a link, moved by an offset in metres along the axes of the link.

        Raises:
            ConfigurationError: there is no such link.
        """
        self._urdf.check_link(link, what)
        point = self._locate(link)
        offset = np.eye(4)
        offset[:3, 3] = at
        return LinkPoint(point.body, point.pose @ offset)

    def bodies(self, q: FloatArray) -> FloatArray:
        """Return the poses of all bodies in the base with shape (..., n + 1, 4, 4) for joints (..., n), radians."""
        q = np.asarray(q, dtype=float)
        turn = np.sin(q)[..., None, None] * self._sine + (1 - np.cos(q))[..., None, None] * self._versine
        steps = self._constant + turn
        poses = np.empty((*q.shape[:-1], len(self.joints) + 1, 4, 4))
        poses[..., 0, :, :] = np.eye(4)
        for level, parents in self._levels:
            poses[..., level + 1, :, :] = poses[..., parents, :, :] @ steps[..., level, :, :]
        return poses

    def axes(self, bodies: FloatArray) -> Axes:
        """Return where the axes of the joints are.

        Args:
            bodies: Poses of the bodies with shape (n + 1, 4, 4), as `bodies` returns them.
        """
        directions = (bodies[1:, :3, :3] @ self._axes[..., None])[..., 0]
        moments = (skew(directions) @ bodies[1:, :3, 3:])[..., 0]
        return Axes(directions, moments)

    def point_jacobian(self, axes: Axes, body: int, position: FloatArray) -> FloatArray:
        """Return how a point moves with the joints, shape (3, n), metres per radian.

        Args:
            axes: Of the joints.
            body: That the point belongs to.
            position: Of the point in the base, shape (3,), metres.
        """
        return self.moved_by[body] * (-skew(position) @ axes.directions.T - axes.moments.T)

    def turn_jacobian(self, axes: Axes, body: int) -> FloatArray:
        """Return how a body turns with the joints, shape (3, n), in the axes of the base."""
        return self.moved_by[body] * axes.directions.T

    def _position(self, joint: UrdfJoint) -> float:
        return self._locked.get(joint.name, float(np.clip(0.0, joint.lower, joint.upper)))

    def _locate(self, link: str) -> LinkPoint:
        pose, body = self._base_from_root, 0
        for joint in self._urdf.path(link):
            if joint.name in self.joints:
                pose, body = np.eye(4), self.joints.index(joint.name) + 1
            else:
                pose = pose @ joint.at(self._position(joint))
        return LinkPoint(body, pose)

    def _prepare(self, constant: FloatArray) -> None:
        """Turn constant poses of the joints into factors of 1, sin q and 1 - cos q, and order them by depth."""
        n = len(self.joints)
        cross = np.zeros((n, 4, 4))
        cross[:, :3, :3] = skew(self._axes)
        self._constant, self._sine, self._versine = constant, constant @ cross, constant @ cross @ cross
        self.moved_by = np.zeros((n + 1, n), dtype=bool)
        depth = np.zeros(n + 1, dtype=int)
        for joint, parent in enumerate(self._parents):
            if parent > joint:
                raise ConfigurationError(f"joint {self.joints[joint]!r} is named before the one that carries it")
            self.moved_by[joint + 1] = self.moved_by[parent]
            self.moved_by[joint + 1, joint] = True
            depth[joint + 1] = depth[parent] + 1
        levels = [np.flatnonzero(depth[1:] == level) for level in range(1, depth.max() + 1)]
        self._levels = [(level, self._parents[level]) for level in levels]
