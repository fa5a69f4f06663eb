"""The part of a robot description (URDF) that kinematics needs: joints, what they connect, and their limits."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError

REVOLUTE = ("revolute", "continuous")
_MOVING = (*REVOLUTE, "prismatic")


@dataclass(frozen=True)
class UrdfJoint:
    """One joint of a robot description.

    Attributes:
        name: Of the joint.
        kind: `revolute`, `continuous`, `prismatic`, `fixed`, or another that is taken as fixed.
        parent, child: Names of the links that it connects.
        parent_from_joint: Pose of the child at position 0, shape (4, 4), metres.
        axis: Unit vector in the frame of the joint, shape (3,).
        lower, upper: Limits, radians or metres; infinite for a continuous joint.
        velocity: Largest speed, radians or metres per second; infinite when not given.
    """

    name: str
    kind: str
    parent: str
    child: str
    parent_from_joint: FloatArray
    axis: FloatArray
    lower: float
    upper: float
    velocity: float

    def at(self, position: float) -> FloatArray:
        """Return the pose of the child in the parent with shape (4, 4) at a position in radians or metres."""
        motion = np.eye(4)
        if self.kind in REVOLUTE:
            motion[:3, :3] = rotation_about(self.axis, position)
        elif self.kind == "prismatic":
            motion[:3, 3] = position * self.axis
        return self.parent_from_joint @ motion


@dataclass(frozen=True)
class Urdf:
    """A robot description.

    Attributes:
        name: Of the robot, as the description says.
        links: Names of the links.
        joints: By the name of the link that each carries.
    """

    name: str
    links: tuple[str, ...]
    joints: dict[str, UrdfJoint]

    @cached_property
    def joints_by_name(self) -> dict[str, UrdfJoint]:
        """The joints by their own names."""
        return {joint.name: joint for joint in self.joints.values()}

    def path(self, link: str) -> list[UrdfJoint]:
        """Return the joints from the root of the robot to a link, outwards."""
        found: list[UrdfJoint] = []
        while link in self.joints:
            found.append(self.joints[link])
            link = found[-1].parent
            if len(found) > len(self.joints):
                raise ConfigurationError(f"the robot description {self.name} has a loop at link {link}")
        return found[::-1]

    def check_link(self, link: str, what: str) -> None:
        """Check that a link exists.

        Raises:
            ConfigurationError: it does not; the message lists those that do.
        """
        if link not in self.links:
            raise ConfigurationError(f"{what}: {self.name} has no frame {link!r}; it has {', '.join(self.links)}")

    def check_joint(self, joint: str, what: str) -> UrdfJoint:
        """Return a joint that can move, by its name.

        Raises:
            ConfigurationError: there is none; the message lists those that there are.
        """
        found = self.joints_by_name.get(joint)
        moving = [name for name, item in self.joints_by_name.items() if item.kind in _MOVING]
        if found is None or found.name not in moving:
            raise ConfigurationError(f"{what}: {self.name} has no moving joint {joint!r}; it has {', '.join(moving)}")
        return found


def parse_urdf(text: str) -> Urdf:
    """Return the kinematics of a robot description.

    Args:
        text: The XML, as the topic `robot_description` carries it.

    Raises:
        ConfigurationError: it is no URDF, or a number in it is none.
    """
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise ConfigurationError(f"the robot description is no XML: {error}") from error
    if root.tag != "robot":
        raise ConfigurationError(f"the robot description is no URDF: its root is <{root.tag}>, not <robot>")
    name = root.get("name", "the robot")
    joints = [_joint(element, name) for element in root.findall("joint")]
    by_child = {joint.child: joint for joint in joints}
    if len(by_child) < len(joints):
        raise ConfigurationError(f"the robot description {name} hangs one link on two joints")
    return Urdf(name, tuple(link.get("name", "") for link in root.findall("link")), by_child)


def rotation_from_rpy(roll: float, pitch: float, yaw: float) -> FloatArray:
    """Return the rotation with shape (3, 3) of angles about the fixed axes x, y and z, in this order, radians."""
    x, y, z = np.eye(3)
    return rotation_about(z, yaw) @ rotation_about(y, pitch) @ rotation_about(x, roll)


def rotation_about(axis: FloatArray, angle: float) -> FloatArray:
    """Return the rotation with shape (3, 3) about a unit vector with shape (3,) by an angle in radians."""
    # Plain numbers, here and in `cross`: arrays this small are slow.
    x, y, z = axis.tolist()
    s, c = math.sin(angle), math.cos(angle)
    v = 1 - c
    return np.array(
        [
            [c + v * x * x, v * x * y - s * z, v * x * z + s * y],
            [v * x * y + s * z, c + v * y * y, v * y * z - s * x],
            [v * x * z - s * y, v * y * z + s * x, c + v * z * z],
        ]
    )


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cross product of two vectors with shape (3,)."""
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def skew(vectors: FloatArray) -> FloatArray:
    """Return the matrices with shape (..., 3, 3) that take the cross product with vectors (..., 3) from the left."""
    matrices = np.zeros((*vectors.shape, 3))
    matrices[..., 0, 1], matrices[..., 0, 2], matrices[..., 1, 2] = -vectors[..., 2], vectors[..., 1], -vectors[..., 0]
    return matrices - np.swapaxes(matrices, -1, -2)


def _joint(element: ElementTree.Element, robot: str) -> UrdfJoint:
    name, kind = element.get("name", ""), element.get("type", "fixed")
    ends = [end.get("link", "") for end in (element.find("parent"), element.find("child")) if end is not None]
    if len(ends) != 2:
        raise ConfigurationError(f"joint {name!r} of {robot} lacks a parent or a child")
    pose = np.eye(4)
    origin, axis_element, limit = element.find("origin"), element.find("axis"), element.find("limit")
    if origin is not None:
        pose[:3, :3] = rotation_from_rpy(*_numbers(origin, "rpy", name))
        pose[:3, 3] = _numbers(origin, "xyz", name)
    axis = np.array([1.0, 0.0, 0.0]) if axis_element is None else np.array(_numbers(axis_element, "xyz", name))
    if kind in _MOVING:
        if not np.linalg.norm(axis) > 1e-6:
            raise ConfigurationError(f"joint {name!r} of {robot} has no axis")
        axis = axis / np.linalg.norm(axis)
    lower, upper = -math.inf, math.inf
    if kind != "continuous" and limit is not None:
        lower, upper = _number(limit, "lower", name, 0.0), _number(limit, "upper", name, 0.0)
    velocity = math.inf if limit is None else _number(limit, "velocity", name, math.inf)
    return UrdfJoint(name, kind, ends[0], ends[1], pose, axis, lower, upper, velocity)


def _numbers(element: ElementTree.Element, key: str, joint: str) -> list[float]:
    words = element.get(key, "0 0 0").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ConfigurationError(f"joint {joint!r} has {key}={' '.join(words)!r}, which are no numbers") from error
    if len(numbers) != 3 or not np.all(np.isfinite(numbers)):
        raise ConfigurationError(f"joint {joint!r} has {key}={' '.join(words)!r}, which are not three finite numbers")
    return numbers


def _number(element: ElementTree.Element, key: str, joint: str, default: float) -> float:
    word = element.get(key)
    if word is None:
        return default
    try:
        return float(word)
    except ValueError as error:
        raise ConfigurationError(f"joint {joint!r} has {key}={word!r}, which is no number") from error
