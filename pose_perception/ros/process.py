"""A node as a process: starts, spins, and ends without a traceback when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node

from pose_perception.errors import PosePerceptionError


def run_node(make_node: Callable[[], Node], start: Callable[[Node], None] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM, which also end a long start.

    Args:
        make_node: Builds the node; its `destroy_node` frees whatever it holds.
        start: Called with the node before it spins.

    Returns:
        Exit code: 0 after a signal, 1 when the node cannot start; the reason is logged.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    node = None
    try:
        rclpy.init()
        node = make_node()
        if start is not None:
            start(node)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except PosePerceptionError as error:
        get_logger("pose_perception" if node is None else node.get_name()).fatal(str(error))
        return 1
    finally:
        # A second signal must not interrupt the end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
