"""What the node `imitation` listens to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.grippers import measured_openings
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions import (
    joint_values_from_message,
    matrix_from_pose,
    skeletons_from_message,
    stamp_ns,
)
from pose_perception.ros.counters import Counters
from pose_perception.ros.imitation_control import ImitationControl
from pose_perception.ros.joint_reader import JointReader
from pose_perception.ros.topics import TopicMonitor

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Best effort hears every publisher; what is lost is followed by what is newer.
_NEWEST = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_ARM_JOINTS = {f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")}


class DescriptionInput:
    """Keeps the robot description that came last.

    Args:
        node: Owner of the subscription.
        on_change: Called with another description.

    Attributes:
        text: The description; None before the first.
    """

    def __init__(self, node: Node, on_change: Callable[[str], None]) -> None:
        self.text: str | None = None
        self._on_change = on_change
        self._subscription = node.create_subscription(String, "robot_description", self._receive, _LATCHED)

    def _receive(self, message: String) -> None:
        if message.data != self.text:
            self.text = message.data
            self._on_change(message.data)


class ImitationInput:
    """Hands skeletons, joint states and the dead-man switch over to the core; what cannot be used is counted.

    Args:
        node: Owner of the subscriptions.
        control: Owner of the core.
        counters: Where messages that cannot be used are counted.
        monitor: Where messages are counted.
        needs_joints: Whether nothing works without joint states.
        needs_deadman: Whether nothing works without the dead-man switch.
        on_message: Called with the topic and each message that came.
    """

    def __init__(
        self,
        node: Node,
        control: ImitationControl,
        counters: Counters,
        monitor: TopicMonitor,
        needs_joints: bool,
        needs_deadman: bool,
        on_message: Callable[[str, Any], None],
    ) -> None:
        self._node, self._control, self._counters, self._monitor = node, control, counters, monitor
        self._on_message = on_message
        self._reader = JointReader(control.imitator.robot.joints)
        control.on_new_robot = self._forget
        self._subscriptions = [
            self._subscribe(SkeletonArray, "skeletons", self._on_skeletons, "skeletons unusable", True),
            self._subscribe(JointState, "joint_states", self._on_joints, "joint states unusable", needs_joints),
            self._subscribe(PoseStamped, "~/object", self._on_object, "object unusable", False),
            self._subscribe(Bool, "~/deadman", self._on_deadman, "dead-man switch unusable", needs_deadman),
        ]

    def destroy(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, kind: type, topic: str, react: Callable[[Any], None], reason: str, required: bool) -> Any:
        name = self._node.resolve_topic_name(topic)
        self._monitor.expect(name, required)
        return self._node.create_subscription(kind, topic, partial(self._receive, name, react, reason), _NEWEST)

    def _receive(self, topic: str, react: Callable[[Any], None], reason: str, message: Any) -> None:
        self._monitor.received(topic)
        self._on_message(topic, message)
        try:
            react(message)
        except InvalidInputError as error:
            self._counters.drop(reason, str(error))

    def _on_skeletons(self, message: SkeletonArray) -> None:
        if missing := _ARM_JOINTS.difference(message.keypoint_names):
            raise InvalidInputError(f"topology {message.topology!r} has no {', '.join(sorted(missing))}")
        stamp_s = stamp_ns(message.header) * 1e-9
        self._control.take_people(stamp_s, skeletons_from_message(message), message.keypoint_names)

    def _on_joints(self, message: JointState) -> None:
        now_s = self._control.now()
        stamp = stamp_ns(message.header)
        if stamp == 0:
            self._counters.note("joint states without stamp", "the time of their arrival counts")
        stamp_s = now_s if stamp == 0 else min(stamp * 1e-9, now_s)
        values = joint_values_from_message(message)
        self._control.take_grippers(measured_openings(self._control.imitator.robot, values.names, values.positions))
        report = self._reader.read(stamp_s, values)
        if report is not None:
            self._control.take_joints(report)
        elif missing := self._reader.missing():
            self._counters.note("joint states incomplete", f"nothing yet of {', '.join(missing)}")

    def _on_object(self, message: PoseStamped) -> None:
        base = self._control.imitator.robot.config.base
        if message.header.frame_id.lstrip("/") != base:
            raise InvalidInputError(f"its frame is {message.header.frame_id!r}, not {base!r}")
        pose = matrix_from_pose(message.pose)
        now_s, stamp_s = self._control.now(), stamp_ns(message.header) * 1e-9
        if stamp_s == 0:
            self._counters.note("object without stamp", "the time of its arrival counts")
        self._control.replays.take_object(min(stamp_s or now_s, now_s), pose)

    def _on_deadman(self, message: Bool) -> None:
        self._control.take_deadman(message.data)

    def _forget(self) -> None:
        self._reader = JointReader(self._control.imitator.robot.joints)
