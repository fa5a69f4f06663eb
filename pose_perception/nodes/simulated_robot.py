#!/usr/bin/env python3
"""Node `simulated_robot`: joints that follow commands as a robot's would, without physics."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from pose_perception.config import Config, option
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.grippers import grippers_of
from pose_perception.imitation.joint_path import SimulatedJoints
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.robot_config import GripperConfig, description_path
from pose_perception.ros.conversions import (
    JointValues,
    header_message,
    path_from_message,
    positions_from_message,
    robot_state_message,
    text_message,
)
from pose_perception.ros.counters import Counters
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.process import run_node

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Longer than this the node was asleep, or its clock was set; the joints do not catch up.
_LONGEST_STEP_S = 0.1
# Time in which a gripper closes at full speed, and that sets its acceleration, seconds.
_GRIPPER_S, _GRIPPER_START_S = 0.4, 0.2


@dataclass(frozen=True)
class SimulatedRobotConfig(Config):
    """Which robot, and how well it follows."""

    robot: str = option("panda", "Which robot: the name of a file in config/robots.")
    delay: float = option(0.02, "Time from a command to its effect, in seconds.", minimum=0.0, maximum=1.0)
    rate_hz: float = option(100.0, "Joint states per second.", minimum=10.0, maximum=1000.0)


class SimulatedRobotNode(Node):
    """Takes `joint_trajectory` and `commands`, and publishes `joint_states` and `robot_description`.

    A trajectory replaces the last one when it arrives, and leads on from where that would be, as it is with a joint
    trajectory controller. Velocities and accelerations stay within the limits of the robot. Each gripper takes the same
    below `<arm>_gripper`, and begins open.

    Args:
        options: Passed to `rclpy.node.Node`.

    Attributes:
        joints: Where those of the arms are.
        grippers: The joint of each gripper, by name of the arm.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("simulated_robot", **options)
        config = ConfigParameters(self, SimulatedRobotConfig).read()
        robot = load_robot(config.robot)
        self._delay_s, self._counters = config.delay, Counters(self.get_logger())
        grippers = grippers_of(robot)
        self._names = (*robot.joints, *robot.config.locked, *(gripper.joint for gripper in grippers.values()))
        self._locked = np.array(list(robot.config.locked.values()))
        self.joints = SimulatedJoints(robot.rest, robot.velocity, robot.acceleration)
        self.grippers = {name: _gripper(gripper) for name, gripper in grippers.items()}
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._states = self.create_publisher(JointState, "joint_states", 10)
        self._description = self.create_publisher(String, "robot_description", _LATCHED)
        self._description.publish(text_message(description_path(robot.config.urdf).read_text()))
        self._listen("", self.joints, robot.joints)
        for name, gripper in grippers.items():
            self._listen(f"{name}_gripper/", self.grippers[name], (gripper.joint,))
        self._last_s = self._now_s()
        self._timer = self.create_timer(1 / config.rate_hz, self._step)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _receive(self, react: Callable[[Any], Callable[[], None]], message: Any) -> None:
        try:
            self._waiting.append((self._now_s() + self._delay_s, react(message)))
        except InvalidInputError as error:
            self._counters.drop("command unusable", str(error))

    def _listen(self, prefix: str, joints: SimulatedJoints, names: tuple[str, ...]) -> None:
        """Have some joints follow the topics of their controller."""

        def on_trajectory(message: JointTrajectory) -> Callable[[], None]:
            return partial(joints.follow, path_from_message(message, names))

        def on_positions(message: Float64MultiArray) -> Callable[[], None]:
            return partial(joints.go, positions_from_message(message, len(names)))

        for kind, topic, react in (
            (JointTrajectory, "joint_trajectory", on_trajectory),
            (Float64MultiArray, "commands", on_positions),
        ):
            self.create_subscription(kind, f"{prefix}{topic}", partial(self._receive, react), 10)

    def _step(self) -> None:
        now_s = self._now_s()
        if now_s < self._last_s:
            # The clock was set back: what waits is due now.
            self._waiting = deque((now_s, command) for _, command in self._waiting)
            self._last_s = now_s
        end_s = max(self._last_s, now_s - _LONGEST_STEP_S)
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, command = self._waiting.popleft()
            end_s = self._advance(end_s, due_s)
            command()
        self._advance(end_s, now_s)
        self._last_s = now_s
        grippers = self.grippers.values()
        q = np.concatenate([self.joints.q, self._locked, *(gripper.q for gripper in grippers)])
        still = np.zeros_like(self._locked)
        velocity = np.concatenate([self.joints.velocity, still, *(gripper.velocity for gripper in grippers)])
        header = header_message(round(now_s * 1e9), "")
        self._states.publish(robot_state_message(JointValues(self._names, q, velocity), header))

    def _advance(self, from_s: float, to_s: float) -> float:
        """Move the joints to a time, if it is later; return the later one."""
        if to_s > from_s:
            for joints in (self.joints, *self.grippers.values()):
                joints.step(to_s - from_s)
        return max(from_s, to_s)


def _gripper(config: GripperConfig) -> SimulatedJoints:
    way = np.array([abs(config.open - config.closed)])
    return SimulatedJoints(np.array([config.open]), way / _GRIPPER_S, way / _GRIPPER_START_S**2)


def main() -> int:
    """Run the node until it is told to end."""
    return run_node(SimulatedRobotNode)


if __name__ == "__main__":
    sys.exit(main())
