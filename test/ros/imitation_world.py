"""A person, a dead-man switch and a robot around the node `imitation`, over real topics: for tests."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from pose_perception.msg import ImitationStatus, SkeletonArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from pose_perception.datatypes import Skeleton
from pose_perception.human.topology import COCO_17
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.supervisor import Reason
from pose_perception.nodes.imitation import ImitationNode
from pose_perception.nodes.simulated_robot import SimulatedRobotNode
from pose_perception.ros import conversions

# Tests are imported by their paths, so that what they share is, too.
_SPEC = importlib.util.spec_from_file_location("operators", Path(__file__).parents[1] / "operators.py")
operators = sys.modules["operators"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operators)

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RAMP_S = 0.2
# One round of the executor takes less, unless the machine is busy with something else, seconds.
_LONGEST_ROUND_S = 0.03
_ROBOT = ["-r", "joint_states:=robot/joint_states", "-r", "robot_description:=robot/description"]
_COMMANDS = [
    word
    for topic in ("joint_trajectory", "commands", "single_gripper/joint_trajectory", "single_gripper/commands")
    for word in ("-r", f"{topic}:=imitation/{topic}")
]

See = Callable[[int, list[Skeleton]], "tuple[int, list[Skeleton]] | None"]
Message = TypeVar("Message")


class _Round:
    """Lets the executor go on for one round."""

    def __await__(self) -> Iterator[None]:
        yield


async def one_round() -> None:
    """Wait until the executor has done what else there is to do."""
    await _Round()


class World:
    """Everything around the node; what is wrong in it can be chosen.

    Attributes:
        ros: Spins everything.
        robot: The robot.
        node: The node, where it is in this process.
        joints: The simulated robot.
        see: Changes what the camera sees: takes stamp in nanoseconds and people, returns the same or None for nothing.
        feel: Changes the joint states; None for none at all.
        is_pressed: The dead-man switch; None says nothing.
        offset_ns: Of simulated time to that of the machine.
        statuses, trajectories, positions, previews: What the node published.
        begun_s: When the last replay began, seconds, for tests of these.
        grippers: Positions of the gripper's joint that were commanded, metres.
        measured: The joints of the robot when the trajectories of the same index came.
    """

    def __init__(
        self,
        ros: Any,
        output: str | None = "joint_trajectory",
        own_node: bool = True,
        sim_time: bool = False,
        **values: Any,
    ) -> None:
        self.ros = ros
        self.robot: Robot = load_robot("panda")
        self._session = operators.Session(self.robot, operators.swaying(self.robot))
        self.see: See = lambda stamp_ns, people: (stamp_ns, people)
        self.feel: Callable[[JointState], JointState | None] = lambda message: message
        self.is_pressed: bool | None = True
        self.offset_ns = 0
        self.statuses: list[ImitationStatus] = []
        self.trajectories: list[JointTrajectory] = []
        self.measured: list[np.ndarray] = []
        self.positions: list[Float64MultiArray] = []
        self.previews: list[JointState] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.grippers: list[float] = []
        self.begun_s = 0.0
        self._told_speed = 0.0
        if own_node:
            names = {name.replace("__", "."): value for name, value in values.items()}
            names = {"supervisor.ramp": RAMP_S, "use_sim_time": sim_time, **names}
            names |= {} if output is None else {"output": output}
            overrides = [Parameter(name, value=value) for name, value in names.items()]
            self.node: ImitationNode = ros.add(ImitationNode(parameter_overrides=overrides))
        self.joints: SimulatedRobotNode = ros.add(
            SimulatedRobotNode(cli_args=["--ros-args", *_ROBOT, *_COMMANDS], use_global_arguments=False)
        )
        self._sim_time = sim_time
        self._connect(ros.add(Node("world")))
        if own_node:
            self.node.start()

    @property
    def state(self) -> int:
        """The last state that was published."""
        return self.statuses[-1].state if self.statuses else -1

    @property
    def q(self) -> np.ndarray:
        """Joints of the robot as it is, shape (n,), radians."""
        return self.joints.joints.q

    @property
    def speed(self) -> float:
        """Largest of the robot's joint velocities, rad/s."""
        return float(np.abs(self.joints.joints.velocity).max())

    def stand_still(self) -> None:
        """Let the person stand for the robot's posture at rest, instead of swaying."""
        self._session.pose = lambda _: self.robot.rest

    def now_ns(self) -> int:
        """The time, nanoseconds."""
        return time.time_ns() + self.offset_ns

    def press_anew(self) -> None:
        """Release the switch and press it."""
        self.is_pressed = True
        for is_pressed in (False, True):
            self._deadman.publish(Bool(data=is_pressed))

    def call(self, service: str, value: bool | None = None) -> Any:
        """Call a service of the node and return the answer."""
        kind, request = (Trigger, Trigger.Request()) if value is None else (SetBool, SetBool.Request(data=value))
        if service not in self._services:
            self._services[service] = self._node.create_client(kind, f"/imitation/{service}")
        client = self._services[service]
        assert self.ros.spin_until(client.service_is_ready, 20)
        future = client.call_async(request)
        assert self.ros.spin_until(future.done)
        return future.result()

    def refusal(self, known: str) -> str:
        """Ask for imitation until the answer is a certain refusal, or time is over; return the last answer."""
        answers = [self.call("enable", True)]
        self.ros.spin_until(lambda: known in answers[-1].message or answers.append(self.call("enable", True)), 3.0)
        assert not answers[-1].success
        return answers[-1].message

    def enable(self) -> None:
        """Enable as soon as the node has heard of everything; press the switch anew where that is asked for."""
        assert self.ros.spin_until(lambda: self._deadman.get_subscription_count() > 0, 20)
        self.is_pressed = True

        def try_it() -> bool:
            answer = self.call("enable", True)
            # And not with every try: a release that the node hears of after it has begun would hold the robot.
            if answer.message == Reason.DEADMAN_NEVER_RELEASED.value:
                self.press_anew()
            return answer.success

        assert self.ros.spin_until(try_it, 5.0), self.call("enable", True).message

    def start(self) -> None:
        """Go on until the robot follows the person at full speed."""
        self.enable()
        self.wait_for(ImitationStatus.ACTIVE, 3.0)
        assert self.ros.spin_until(lambda: self.trajectories == [] or self.speed > 0.05, 5.0)

    def wait_for(self, state: int, timeout_s: float, reason: str = "") -> ImitationStatus:
        """Wait for a state and its reason."""
        fits = lambda: self.state == state and reason in self.statuses[-1].reason  # noqa: E731
        told = lambda: [(s.state, s.reason) for s in self.statuses[-3:]]  # noqa: E731
        assert self.within(timeout_s, fits), told()
        return self.statuses[-1]

    def within(self, timeout_s: float, condition: Callable[[], bool]) -> bool:
        """Return whether a condition comes true in time; times in which the machine let nothing run do not count."""
        spent_s, last_s = 0.0, time.monotonic()

        def is_over() -> bool:
            nonlocal spent_s, last_s
            now_s = time.monotonic()
            spent_s, last_s = spent_s + min(now_s - last_s, _LONGEST_ROUND_S), now_s
            return condition() or spent_s > timeout_s

        self.ros.spin_until(is_over, 60.0)
        return condition()

    def wait_for_rest(self) -> None:
        """Wait until the robot stands, as it must soon, and says so, and check that the last trajectory ends so."""
        assert self.within(0.6, lambda: self.speed < 1e-3), self.speed
        # What it said before was on its way, and to the node it moves until it says otherwise.
        assert self.ros.spin_until(lambda: self._told_speed < 1e-3), self._told_speed
        if self.trajectories:
            assert not np.any(self.trajectories[-1].points[-1].velocities)

    def count(self, name: str) -> int:
        """How often something was counted, in the last status."""
        status = self.statuses[-1]
        return dict(zip(status.count_names, status.counts, strict=True)).get(name, 0)

    def wait_for_count(self, name: str, at_least: int = 1) -> None:
        """Wait until something was counted."""
        assert self.ros.spin_until(lambda: self.statuses and self.count(name) >= at_least, 3.0), self.statuses[-1:]

    def describe(self, text: str) -> None:
        """Publish a robot description."""
        self._description.publish(String(data=text))

    def send(self, array: SkeletonArray) -> None:
        """Publish skeletons of whatever kind."""
        self._skeletons.publish(array)

    def _connect(self, node: Node) -> None:
        self._node, self._services = node, {}
        self._skeletons = node.create_publisher(SkeletonArray, "skeletons", 10)
        self._deadman = node.create_publisher(Bool, "/imitation/deadman", 10)
        self._felt = node.create_publisher(JointState, "joint_states", 10)
        self._description = node.create_publisher(String, "robot_description", LATCHED)
        for kind, topic, react in (
            (ImitationStatus, "/imitation/status", self.statuses.append),
            (JointTrajectory, "/imitation/joint_trajectory", self._on_trajectory),
            (Float64MultiArray, "/imitation/commands", self.positions.append),
            (JointTrajectory, "/imitation/single_gripper/joint_trajectory", self._on_gripper),
            (Float64MultiArray, "/imitation/single_gripper/commands", lambda m: self.grippers.extend(m.data)),
            (JointState, "/imitation/preview", self.previews.append),
            (JointState, "/robot/joint_states", self._on_joints),
            (DiagnosticArray, "/diagnostics", self.diagnostics.append),
        ):
            node.create_subscription(kind, topic, react, 50)
        node.create_timer(1 / operators.CAMERA_HZ, self._look)
        node.create_timer(0.05, self._press)
        if self._sim_time:
            self._clock = node.create_publisher(ClockMessage, "/clock", 10)
            node.create_timer(0.005, self._tick)

    def _look(self) -> None:
        stamp_ns = self.now_ns()
        seen = self.see(stamp_ns, [self._session.person(stamp_ns * 1e-9)])
        if seen is not None:
            header = conversions.header_message(seen[0], "camera")
            self._skeletons.publish(conversions.skeleton_array_message(seen[1], COCO_17, header))

    def _press(self) -> None:
        if self.is_pressed is not None:
            self._deadman.publish(Bool(data=self.is_pressed))

    def _tick(self) -> None:
        self._clock.publish(ClockMessage(clock=conversions.header_message(self.now_ns(), "").stamp))

    def _on_joints(self, message: JointState) -> None:
        self._told_speed = float(np.abs(message.velocity[: len(self.robot.joints)]).max())
        felt = self.feel(message)
        if felt is not None:
            self._felt.publish(felt)

    def _on_gripper(self, message: JointTrajectory) -> None:
        assert message.joint_names == ["panda_finger_joint1"]
        self.grippers.extend(message.points[0].positions)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        self.trajectories.append(message)
        self.measured.append(self.q.copy())
