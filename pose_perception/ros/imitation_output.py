"""What the node `imitation` publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from pose_perception.config import Config, option
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.grippers import grippers_of, position_at
from pose_perception.imitation.imitator import Imitator, Status
from pose_perception.imitation.joint_path import JointPath
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.msg import ImitationStatus
from pose_perception.ros.conversions import (
    JointValues,
    header_message,
    imitation_status_message,
    joint_trajectory_message,
    positions_message,
    robot_state_message,
    target_markers_message,
)

PREVIEW, TRAJECTORY, POSITIONS = "preview", "joint_trajectory", "float64_multi_array"


@dataclass(frozen=True)
class RobotOutputConfig(Config):
    """Which robot imitates, and how it is commanded."""

    robot: str = option("panda", "Which robot: the name of a file in config/robots.")
    output: str = option(
        PREVIEW,
        "Commands as ~/joint_trajectory or ~/commands; preview: none, no robot moves.",
        choices=(PREVIEW, TRAJECTORY, POSITIONS),
    )
    base_from_torso_deg: str = option(
        "", "Roll, pitch and yaw of the person's torso in the robot's base, degrees; empty: as the robot's file says."
    )

    def base_from_torso(self) -> tuple[float, ...] | None:
        """Return roll, pitch and yaw in degrees, or None.

        Raises:
            ConfigurationError: they are not three finite numbers.
        """
        if not self.base_from_torso_deg.strip():
            return None
        try:
            angles = tuple(float(word) for word in self.base_from_torso_deg.split())
        except ValueError:
            angles = ()
        if len(angles) != 3 or not np.isfinite(angles).all():
            raise ConfigurationError(
                f"base_from_torso_deg must be three numbers like '-90 0 0', got {self.base_from_torso_deg!r}"
            )
        return angles


class ImitationOutput:
    """Publishers of commands, preview, status and markers; a topic of commands exists only when it is asked for.

    Each gripper has a topic of its own, as it has a controller of its own on most robots.

    Args:
        node: Owner of the publishers, which work while it is active.
        robot: Whose arms and grippers are commanded.
        output: How the robot is commanded.
        step_s: Time between commands, seconds.

    Attributes:
        on_message: Called with the topic and each message that was published; None when nobody wants them.
    """

    def __init__(self, node: LifecycleNode, robot: Robot, output: str, step_s: float) -> None:
        self._node, self._step_s = node, step_s
        self._joints, self._grippers = robot.joints, grippers_of(robot)
        self.on_message: Callable[[str, Any], None] | None = None
        self._preview = node.create_lifecycle_publisher(JointState, "~/preview", 10)
        self._status = node.create_lifecycle_publisher(ImitationStatus, "~/status", 10)
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", 10)
        self._has_positions = output == POSITIONS
        self._arms: Any = None
        self._gripper_topics: dict[str, Any] = {}
        if output != PREVIEW:
            kind, topic = (
                (JointTrajectory, "joint_trajectory") if output == TRAJECTORY else (Float64MultiArray, "commands")
            )
            self._arms = node.create_lifecycle_publisher(kind, f"~/{topic}", 10)
            self._gripper_topics = {
                name: node.create_lifecycle_publisher(kind, f"~/{name}_gripper/{topic}", 10) for name in self._grippers
            }

    @property
    def has_stop_path(self) -> bool:
        """Whether each command tells how to come to rest, should no other follow."""
        return not self._has_positions

    def command(self, command: JointCommand, path: JointPath, time_ns: int, is_told: bool = False) -> None:
        """Publish a command.

        Args:
            command: What the robot shall do next.
            path: It, and how the robot comes to rest after it.
            time_ns: Now, nanoseconds.
            is_told: Whether the controller of the arms knows of it already.
        """
        if self._arms is not None and not is_told:
            message = (
                positions_message(command.q) if self._has_positions else joint_trajectory_message(self._joints, path)
            )
            self._publish(self._arms, message)
        positions = {
            name: position_at(self._grippers[name], opening)
            for name, opening in command.openings.items()
            if np.isfinite(opening)
        }
        for name, position in positions.items():
            if name in self._gripper_topics:
                self._publish(self._gripper_topics[name], self._gripper_message(name, position))
        names = (*self._joints, *(self._grippers[name].joint for name in positions))
        q = np.append(command.q, list(positions.values()))
        velocity = np.append(command.velocity, np.full(len(positions), np.nan))
        message = robot_state_message(JointValues(names, q, velocity), header_message(time_ns, ""))
        self._publish(self._preview, message)

    def status(
        self,
        imitator: Imitator,
        status: Status,
        command: JointCommand | None,
        counts: Mapping[str, int],
        time_ns: int,
        recording: str,
    ) -> None:
        """Publish the status and, while somebody listens or records, the targets."""
        base = imitator.robot.config.base
        header = header_message(time_ns, base)
        distance = float("nan") if command is None else command.distance_m
        is_following = command is not None and command.is_following
        self._publish(self._status, imitation_status_message(status, distance, is_following, counts, recording, header))
        if recording or self._markers.get_subscription_count():
            joints = imitator.supervisor.joints
            q = imitator.robot.rest if joints is None else joints.q
            targets = imitator.targets if status.operator else {}
            self._publish(self._markers, target_markers_message(imitator.robot, q, targets, header))

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._preview, self._status, self._markers, self._arms, *self._gripper_topics.values()):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def _gripper_message(self, name: str, position: float) -> JointTrajectory | Float64MultiArray:
        if self._has_positions:
            return positions_message(np.array([position]))
        # Straight to where it shall be next, and no farther.
        path = JointPath(np.array([self._step_s]), np.array([[position]]), np.full((1, 1), np.nan))
        return joint_trajectory_message([self._grippers[name].joint], path)

    def _publish(self, publisher: Any, message: Any) -> None:
        publisher.publish(message)
        if self.on_message is not None:
            self.on_message(publisher.topic_name, message)
