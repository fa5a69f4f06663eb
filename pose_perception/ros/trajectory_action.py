"""A whole trajectory for a controller that takes it as an action, where control_msgs is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.joint_path import JointPath
from pose_perception.ros.conversions import joint_trajectory_message

ACTION = "~/follow_joint_trajectory"


def control_actions() -> ModuleType:
    """Return the actions of control_msgs.

    Raises:
        ConfigurationError: the package is not installed.
    """
    try:
        return importlib.import_module("control_msgs.action")
    except ImportError as error:
        raise ConfigurationError(
            "replay.output action needs the package control_msgs, which comes with every ROS 2 distribution "
            f"(ros-<distribution>-control-msgs): {error}"
        ) from error


class TrajectoryAction:
    """Sends one trajectory after the other, and cancels them.

    Args:
        node: Owner of the client.
        on_end: Called with the reason when the controller ends a trajectory that it has accepted before it is over.

    Raises:
        ConfigurationError: control_msgs is not installed.
    """

    def __init__(self, node: Node, on_end: Callable[[str], None]) -> None:
        self._kind = control_actions().FollowJointTrajectory
        self._on_end = on_end
        self._client = ActionClient(node, self._kind, ACTION)
        self.name = node.resolve_service_name(ACTION)
        self._goal: Any = None
        self._number = 0

    def is_ready(self) -> bool:
        """Return whether a controller is there."""
        return self._client.server_is_ready()

    def send(self, joints: Sequence[str], path: JointPath) -> Future:
        """Have the controller follow a path from now on; the future tells whether it does."""
        self._number += 1
        number, accepted = self._number, Future()
        goal = self._kind.Goal(trajectory=joint_trajectory_message(joints, path))

        def on_answer(answer: Future) -> None:
            handle = answer.result()
            if handle is None or not handle.accepted:
                accepted.set_result(False)
            elif number != self._number:
                # It was cancelled before the controller answered.
                handle.cancel_goal_async()
                accepted.set_result(False)
            else:
                self._goal = handle
                handle.get_result_async().add_done_callback(lambda result: self._end(handle, result))
                accepted.set_result(True)

        self._client.send_goal_async(goal).add_done_callback(on_answer)
        return accepted

    def cancel(self) -> None:
        """Have the controller stop; without a trajectory nothing happens."""
        self._number += 1
        if self._goal is not None:
            self._goal.cancel_goal_async()
            self._goal = None

    def destroy(self) -> None:
        """Cancel, and remove the client."""
        self.cancel()
        self._client.destroy()

    def _end(self, handle: Any, result: Future) -> None:
        if handle is not self._goal:
            return
        self._goal = None
        answer = result.result()
        if answer is None or answer.status != GoalStatus.STATUS_SUCCEEDED:
            text = "" if answer is None else answer.result.error_string
            self._on_end(text or "it gives no reason")
