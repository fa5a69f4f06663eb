"""A robot whose arms imitate: its arm joints, their limits, and where shoulders, elbows, wrists and tools are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.kinematics import Kinematics, LinkPoint
from pose_perception.imitation.robot_config import ArmConfig, RobotConfig, description_path, load_config
from pose_perception.imitation.urdf import Urdf, parse_urdf, rotation_from_rpy

# A bone shorter than this has no direction, metres.
_SHORTEST_M = 0.02


@dataclass(frozen=True)
class Arm:
    """One arm of a robot.

    Attributes:
        name: `left`, `right` or `single`.
        config: What its file says.
        joints: Which of the robot's joints are its own.
        shoulder, elbow, wrist, tool: Where these points are.
        palm_from_tool: Rotation with shape (3, 3).
        upper_m, forearm_m: Lengths of the bones, metres, in the rest posture.
    """

    name: str
    config: ArmConfig
    joints: slice
    shoulder: LinkPoint
    elbow: LinkPoint
    wrist: LinkPoint
    tool: LinkPoint
    palm_from_tool: FloatArray
    upper_m: float
    forearm_m: float


class ArmPoints(NamedTuple):
    """Where an arm is, in the base.

    Attributes:
        shoulder, elbow, wrist: With shape (..., 3), metres.
        tool: Pose with shape (..., 4, 4).
    """

    shoulder: FloatArray
    elbow: FloatArray
    wrist: FloatArray
    tool: FloatArray

    @property
    def upper(self) -> FloatArray:
        """Direction of the upper arm, shape (..., 3)."""
        return _unit(self.elbow - self.shoulder)

    @property
    def forearm(self) -> FloatArray:
        """Direction of the forearm, shape (..., 3)."""
        return _unit(self.wrist - self.elbow)


class Robot:
    """A robot description and what the configuration says of it, for the n joints of all arms.

    Attributes:
        config: Where the names come from.
        kinematics: Of the joints of all arms.
        arms: By name.
        lower, upper: Limits of the joints, shape (n,), radians: the tighter ones of description and configuration.
        velocity, acceleration: Largest speeds and accelerations, shape (n,), rad/s and rad/s²; likewise.
        rest: Posture with shape (n,), radians.
        base_from_torso: Rotation with shape (3, 3) of a person's torso.
    """

    def __init__(self, config: RobotConfig, urdf: Urdf) -> None:
        """Check a configuration against a robot description.

        Raises:
            ConfigurationError: a frame or joint is missing, or limits do not fit.
        """
        self.config = config
        joints = [joint for arm in config.arms.values() for joint in arm.joints]
        self.kinematics = Kinematics(urdf, config.base, joints, config.locked)
        arms = config.arms.values()
        limits = [urdf.joints_by_name[joint] for joint in joints]
        self.lower = np.maximum([joint.lower for joint in limits], _join(arm.lower_rad for arm in arms))
        self.upper = np.minimum([joint.upper for joint in limits], _join(arm.upper_rad for arm in arms))
        # A description that gives 0 does not know.
        speeds = [joint.velocity if joint.velocity > 0 else np.inf for joint in limits]
        self.velocity = np.minimum(speeds, _join(arm.velocity_rad_s for arm in arms))
        self.acceleration = _join(arm.acceleration_rad_s2 for arm in arms)
        self.rest = _join(arm.rest_rad for arm in arms)
        self.base_from_torso = rotation_from_rpy(*config.base_from_torso_rad)
        for name, low, high, rest in zip(joints, self.lower, self.upper, self.rest, strict=True):
            if not low < high or not low <= rest <= high:
                raise ConfigurationError(
                    f"robot {config.name}: joint {name!r} has limits {low:.3f} to {high:.3f} rad, "
                    f"and rests at {rest:.3f}"
                )
        self.arms: dict[str, Arm] = {}
        start = 0
        for side, arm in config.arms.items():
            self.arms[side] = self._arm(side, arm, slice(start, start + len(arm.joints)))
            start += len(arm.joints)

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints, in the order of all arrays."""
        return self.kinematics.joints

    def points(self, q: FloatArray, arm: str) -> ArmPoints:
        """Return where an arm is for joints with shape (..., n), radians."""
        return arm_points(self.arms[arm], self.kinematics.bodies(q))

    def _arm(self, side: str, config: ArmConfig, joints: slice) -> Arm:
        where = f"robot {self.config.name}, arm {side}"
        if config.gripper is not None:
            self.kinematics.urdf.check_joint(config.gripper.joint, f"{where}: gripper")
        shoulder, elbow, wrist = (
            self.kinematics.locate(point.frame, point.at, f"{where}: {name}")
            for name, point in (("shoulder", config.shoulder), ("elbow", config.elbow), ("wrist", config.wrist))
        )
        tool = self.kinematics.locate(config.tool, what=f"{where}: tool")
        palm_from_tool = rotation_from_rpy(*config.palm_from_tool_rad)
        arm = Arm(side, config, joints, shoulder, elbow, wrist, tool, palm_from_tool, 0.0, 0.0)
        points = arm_points(arm, self.kinematics.bodies(self.rest))
        lengths = [float(np.linalg.norm(b - a)) for a, b in pairwise(points[:3])]
        if min(lengths) < _SHORTEST_M:
            raise ConfigurationError(f"{where}: shoulder, elbow and wrist are {lengths} m apart; these are no bones")
        return Arm(side, config, joints, shoulder, elbow, wrist, tool, palm_from_tool, *lengths)


def arm_points(arm: Arm, bodies: FloatArray) -> ArmPoints:
    """Return where an arm is.

    Args:
        arm: The arm.
        bodies: Poses with shape (..., n + 1, 4, 4), as `Kinematics.bodies` returns them.
    """
    points = [bodies[..., p.body, :, :] @ p.pose[:, 3] for p in (arm.shoulder, arm.elbow, arm.wrist)]
    return ArmPoints(*(point[..., :3] for point in points), bodies[..., arm.tool.body, :, :] @ arm.tool.pose)


def load_robot(name: str, description: str | None = None, base_from_torso_deg: Sequence[float] | None = None) -> Robot:
    """Return a robot by the name of its configuration.

    Args:
        name: One of `robot_config.robot_names()`.
        description: Text of its URDF, as the topic `robot_description` carries it; None for that of example-robot-data.
        base_from_torso_deg: Roll, pitch and yaw of the person's torso in the robot's base, where it is mounted in
            another way than its configuration says.

    Raises:
        ConfigurationError: there is no such robot, or its description does not fit.
    """
    config = load_config(name)
    if base_from_torso_deg is not None:
        config = replace(config, base_from_torso_rad=tuple(np.radians(base_from_torso_deg).tolist()))
    text = description_path(config.urdf).read_text() if description is None else description
    return Robot(config, parse_urdf(text))


def _join(parts: Iterable[Sequence[float]]) -> FloatArray:
    return np.concatenate([np.asarray(part, dtype=float) for part in parts])


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
