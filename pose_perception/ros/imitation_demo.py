"""The operator of the demo: holds the dead-man switch, enables imitation, and watches how the robot follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.evaluation.imitation_stream import ImitationStatistics
from pose_perception.evaluation.robot_drawing import RobotDrawing
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.supervisor import MOVING, State
from pose_perception.imitation.targets import ArmTarget, Mapper, MappingConfig, body_arms
from pose_perception.msg import ImitationStatus
from pose_perception.ros.conversions import flag_message, joint_values_from_message

# What the nodes are told: the robot is simulated, so that its tools may be faster than beside people, and a camera that
# is slow on a busy machine does not end everything.
PARAMETERS = {
    "output": "joint_trajectory",
    "workspace.tool_speed": 1.5,
    "supervisor.hold_after": 1.5,
    "supervisor.disable_after": 5.0,
    "supervisor.ramp": 1.0,
    "retargeting.filter.hold_s": 0.2,
    "retargeting.filter.forget_s": 2.0,
}
ROBOT_PARAMETERS = {"rate_hz": 50.0}
# A real robot in the same network is left alone.
JOINT_STATES = "simulated_robot/joint_states"
_OF_ROBOT = {"joint_states": JOINT_STATES, "robot_description": "simulated_robot/robot_description"}
REMAPPINGS = {"skeletons": "human_pose/skeletons", **_OF_ROBOT}
ROBOT_TOPICS = [
    f"{gripper}{topic}"
    for gripper in ("", "single_gripper/", "left_gripper/", "right_gripper/")
    for topic in ("joint_trajectory", "commands")
]
ROBOT_REMAPPINGS = {**{topic: f"imitation/{topic}" for topic in ROBOT_TOPICS}, **_OF_ROBOT}
_PRESS_S, _TRY_S, _FRAME_S = 0.05, 1.0, 0.1
_HEIGHT_PX = 480
_NEWEST = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class ImitationDemo(Node):
    """Operates the node `imitation`, and makes a film of person and robot.

    Args:
        robot: Name of a file in config/robots.
        film: Where the film goes (.mp4).
        record: Called with topic and message, of all that is heard.

    Attributes:
        statistics: The measures.
        has_followed: Whether the robot ever followed.
    """

    def __init__(self, robot: str, film: Path, record: Callable[[str, object], None], **options: Any) -> None:
        super().__init__("operator", **options)
        self._robot = load_robot(robot)
        self.statistics, self.has_followed = ImitationStatistics(self._robot), False
        self._drawing = RobotDrawing(self._robot, load_capsules(robot, self._robot.kinematics), _HEIGHT_PX)
        self._mapper = Mapper(self._robot, MappingConfig())
        self._film, self._writer, self._record = film, None, record
        self._picture: npt.NDArray[np.uint8] | None = None
        self._status: ImitationStatus | None = None
        self._q: FloatArray | None = None
        self._targets: dict[str, ArmTarget] = {}
        self._deadman = self.create_publisher(Bool, "imitation/deadman", 10)
        self._enable = self.create_client(SetBool, "imitation/enable")
        self._reset = self.create_client(Trigger, "imitation/reset")
        for kind, topic, react in (
            (ImitationStatus, "imitation/status", self._on_status),
            (JointState, "imitation/preview", self._on_command),
            (JointTrajectory, "imitation/joint_trajectory", None),
            (JointState, JOINT_STATES, self._on_joints),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            name = self.resolve_topic_name(topic)
            self.create_subscription(kind, topic, partial(self._receive, name, react), _NEWEST)
        self.create_timer(_PRESS_S, lambda: self._press(True))
        self.create_timer(_TRY_S, self._try)
        self.create_timer(_FRAME_S, self._film_frame)

    def show(self, picture: npt.NDArray[np.uint8] | None, people: Sequence[Skeleton], keypoints: Sequence[str]) -> None:
        """Take in what perception sees: an RGB image with people drawn into it, them, and names of their keypoints."""
        if picture is not None:
            self._picture = picture
        status = self._status
        if status is None or status.state not in MOVING or self._q is None:
            self._targets = {}
            return
        person = next((person for person in people if person.id == status.operator_id), None)
        if person is not None:
            self._targets = self._mapper.targets(body_arms(person, keypoints))
            if status.state == State.ACTIVE:
                self.statistics.add_person(self._targets, self._q)

    def close(self) -> None:
        """Finish the film."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _receive(self, topic: str, react: Callable[[Any], None] | None, message: Any) -> None:
        if topic != "/diagnostics":
            self._record(topic, message)
        if react is not None:
            react(message)

    def _press(self, is_pressed: bool) -> None:
        self._deadman.publish(flag_message(is_pressed))

    def _try(self) -> None:
        """Enable imitation again, when it is not; what speaks against it is in the status."""
        status = self._status
        if status is not None and status.state == State.FAULT and self._reset.service_is_ready():
            self._reset.call_async(Trigger.Request())
        elif status is not None and status.state == State.DISABLED and self._enable.service_is_ready():
            # The switch must have been released before.
            self._press(False)
            self._press(True)
            self._enable.call_async(SetBool.Request(data=True))

    def _on_status(self, message: ImitationStatus) -> None:
        self._status = message
        self.has_followed |= message.state == State.ACTIVE
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self.statistics.add_state(now_s, State(message.state).name.lower(), message.nearest_distance)
        self.statistics.counts = dict(zip(message.count_names, message.counts, strict=True))

    def _on_joints(self, message: JointState) -> None:
        values = joint_values_from_message(message)
        at = dict(zip(values.names, values.positions, strict=True))
        if all(joint in at for joint in self._robot.joints):
            self._q = np.array([at[joint] for joint in self._robot.joints])

    def _on_command(self, message: JointState) -> None:
        n = len(self._robot.joints)
        self.statistics.add_command(np.array(message.position[:n]), np.array(message.velocity[:n]), self._q)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "imitation":
                values = {pair.key: pair.value for pair in status.values}
                latency = tuple(float(values[f"latency {part} [ms]"]) for part in ("p50", "p95"))
                if np.isfinite(latency).all():
                    self.statistics.latency_ms = latency

    def _film_frame(self) -> None:
        if self._picture is None or self._q is None or self._status is None:
            return
        height, width = self._picture.shape[:2]
        person = cv2.resize(self._picture, (round(width * _HEIGHT_PX / height), _HEIGHT_PX))
        robot = self._drawing.draw(self._q, self._targets)
        text = f"{State(self._status.state).name.lower()}: {self._status.reason}"
        cv2.putText(robot, text, (12, _HEIGHT_PX - 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        frame = cv2.cvtColor(np.hstack([person, robot]), cv2.COLOR_RGB2BGR)
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._film), code, 1 / _FRAME_S, frame.shape[1::-1])
        self._writer.write(frame)
