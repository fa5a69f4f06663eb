"""A node as a process: starts, spins, and ends without a traceback when it is told to."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from pose_perception.errors import PosePerceptionError

# How soon a node that still publishes at its end hears of a signal, when nothing else wakes it, seconds.
_WAKE_S = 0.2


def run_node(
    make_node: Callable[[], Node], start: Callable[[Node], None] | None = None, publishes_at_end: bool = False
) -> int:
    """Spin a node until SIGINT or SIGTERM, which also end a long start.

    Args:
        make_node: Builds the node; its `destroy_node` frees whatever it holds.
        start: Called with the node before it spins.
        publishes_at_end: Whether `destroy_node` still publishes. Otherwise a signal ends the context at once, and
            nothing can be published any more.

    Returns:
        Exit code: 0 after a signal, 1 when the node cannot start; the reason is logged.
    """
    signals = _Signals()
    node = None
    try:
        try:
            options = SignalHandlerOptions.NO if publishes_at_end else None
            rclpy.init(signal_handler_options=options)
            node = make_node()
            if start is not None:
                start(node)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            # What was loaded stays: to look through all of it for garbage would hold up a callback for some 20 ms.
            gc.collect()
            gc.freeze()
            signals.interrupt = False
            if publishes_at_end:
                while not signals.received:
                    executor.spin_once(timeout_sec=_WAKE_S)
            else:
                executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:
            # A signal ends the context in the midst of whatever loads, publishes or waits: no failure then.
            if signals.received:
                return 0
            if not isinstance(error, PosePerceptionError):
                raise
            get_logger("pose_perception" if node is None else node.get_name()).fatal(str(error))
            return 1
    except KeyboardInterrupt:
        # Also out of the handler above: rclpy ends the context before Python hears of the signal.
        pass
    finally:
        signals.interrupt = False
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


class _Signals:
    """Python's part in SIGINT and SIGTERM; rclpy, which comes first, ends the context and so the spinning.

    Attributes:
        interrupt: Whether to raise `KeyboardInterrupt`. Only that ends a start, but it must not strike while rclpy
            turns messages into Python objects: that would become another error there.
        received: Whether a signal came.
    """

    def __init__(self) -> None:
        self.interrupt = True
        self.received = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        self.received = True
        if self.interrupt:
            raise KeyboardInterrupt
