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
from pose_perception.imitation.imitator import Imitator, Status
from pose_perception.imitation.joint_path import stopping_path
from pose_perception.imitation.retargeting import JointCommand
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

    Args:
        node: Owner of the publishers, which work while it is active.
        output: How the robot is commanded.
        step_s: Time between commands, seconds.

    Attributes:
        on_message: Called with the topic and each message that was published; None when nobody wants them.
    """

    def __init__(self, node: LifecycleNode, output: str, step_s: float) -> None:
        self._node, self._step_s = node, step_s
        self.on_message: Callable[[str, Any], None] | None = None
        self._preview = node.create_lifecycle_publisher(JointState, "~/preview", 10)
        self._status = node.create_lifecycle_publisher(ImitationStatus, "~/status", 10)
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", 10)
        self._trajectory = self._positions = None
        if output == TRAJECTORY:
            self._trajectory = node.create_lifecycle_publisher(JointTrajectory, "~/joint_trajectory", 10)
        elif output == POSITIONS:
            self._positions = node.create_lifecycle_publisher(Float64MultiArray, "~/commands", 10)

    @property
    def has_stop_path(self) -> bool:
        """Whether each command tells how to come to rest, should no other follow."""
        return self._positions is None

    def command(self, imitator: Imitator, command: JointCommand, time_ns: int) -> None:
        """Publish a command, and after it the way to rest."""
        joints = imitator.robot.joints
        if self._trajectory is not None:
            path = stopping_path(self._step_s, *imitator.stop_path())
            self._publish(self._trajectory, joint_trajectory_message(joints, path))
        if self._positions is not None:
            self._publish(self._positions, positions_message(command.q))
        values = JointValues(joints, command.q, command.velocity)
        self._publish(self._preview, robot_state_message(values, header_message(time_ns, "")))

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
        for publisher in (self._preview, self._status, self._markers, self._trajectory, self._positions):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def _publish(self, publisher: Any, message: Any) -> None:
        publisher.publish(message)
        if self.on_message is not None:
            self.on_message(publisher.topic_name, message)
