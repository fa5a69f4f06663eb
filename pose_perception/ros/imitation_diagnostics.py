"""What the node `imitation` says about itself on `/diagnostics`."""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from pose_perception.imitation.imitator import Status
from pose_perception.imitation.supervisor import State
from pose_perception.ros.counters import Counters
from pose_perception.ros.diagnostics import Diagnostics
from pose_perception.ros.loop_timing import LoopTiming
from pose_perception.ros.topics import TopicMonitor


class ImitationDiagnostics(Diagnostics):
    """Adds the state of imitation, which is an error when it is a fault, and the timing of its loop.

    Latency is the time from the stamp of an image to the first command that it had a part in.

    Args:
        node: Owner of the publisher.
        counters: Events to show.
        monitor: Topics to show.
        robot: Name of the robot.
        timing: Of the loop.
        status: Returns how imitation is going.
    """

    def __init__(
        self,
        node: Node,
        counters: Counters,
        monitor: TopicMonitor,
        robot: str,
        timing: LoopTiming,
        status: Callable[[], Status],
    ) -> None:
        super().__init__(node, counters, monitor, robot)
        self._robot, self._timing, self._status = robot, timing, status

    def _judge(self) -> tuple[bytes, str]:
        level, message = super()._judge()
        status = self._status()
        doing = f"{status.state.name.lower()}: {status.reason}"
        if status.state == State.FAULT:
            return DiagnosticStatus.ERROR, doing
        return level, doing if level == DiagnosticStatus.OK else message

    def _details(self) -> dict[str, object]:
        status = self._status()
        return {
            "robot": self._robot,
            "state": status.state.name.lower(),
            "reason": status.reason,
            "operator": status.operator,
            "age of the person [s]": status.person_age_s,
            **self._timing.values(),
            **{f"count: {name}": count for name, count in status.counts.items()},
        }
