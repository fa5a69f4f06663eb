"""A thread that writes messages into a bag, so that a slow disk delays nobody."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any, NamedTuple

from rclpy.serialization import serialize_message
from rclpy.task import Future

from pose_perception.errors import InvalidInputError
from pose_perception.ros.counters import Counters
from pose_perception.ros.recorder import BagWriter, type_name

NOT_KNOWN = "message not recorded: its type is not installed"
TOO_SLOW, FAILED = "message not recorded: the disk is too slow", "recording failed"
# What waits at most: some seconds of everything but images, and less than a second of these.
_MESSAGES, _BYTES = 4000, 64 << 20
# Half a second of joint states and commands: that much is lost when the process is killed.
_CHUNK_BYTES = 64 << 10


class _Item(NamedTuple):
    topic: str
    kind: str  # of the message, as `sensor_msgs/msg/Image`
    message: Any  # serialized as bytes, or a ROS message that nobody changes any more
    time_ns: int


class BagThread:
    """Writes one bag.

    Attributes:
        path: The file.
        error: Why no more is written; empty as long as all is well.
        finished: Done when the file is closed; its result is `error`.

    Args:
        path: The file, which must not exist yet.
        counters: Where messages that are not written are counted.

    Raises:
        OSError: the file cannot be written; then there is none.
    """

    def __init__(self, path: Path, counters: Counters) -> None:
        self.path, self.error, self.finished = path, "", Future()
        self._counters = counters
        self._items: queue.Queue[_Item | None] = queue.Queue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        try:
            self._writer = BagWriter(path, _CHUNK_BYTES)
            self._writer.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._thread = threading.Thread(target=self._run, name="bag", daemon=True)
        self._thread.start()

    def put(self, topic: str, message: Any, time_ns: int, kind: str = "") -> None:
        """Have a message written; returns at once.

        Args:
            topic: Full name of the topic.
            message: A ROS message, which must not be changed any more, or a serialized one.
            time_ns: When it came, nanoseconds.
            kind: Type of a serialized message, as `sensor_msgs/msg/Image`.
        """
        size = len(message) if isinstance(message, bytes) else 0
        with self._lock:
            if self._items.qsize() >= _MESSAGES or self._waiting_bytes + size > _BYTES:
                self._counters.drop(TOO_SLOW, topic)
                return
            self._waiting_bytes += size
        self._items.put(_Item(topic, kind or type_name(type(message)), message, time_ns))

    def end(self) -> None:
        """Have what waits written, and the file closed; returns at once, `finished` tells when it is."""
        self._items.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait until the file is closed; return whether it is."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (item := self._items.get()) is not None:
                self._write(item)
        finally:
            try:
                self._close()
            finally:
                self.finished.set_result(self.error)

    def _write(self, item: _Item) -> None:
        is_serialized = isinstance(item.message, bytes)
        if is_serialized:
            with self._lock:
                self._waiting_bytes -= len(item.message)
        if self.error:
            return
        try:
            data = item.message if is_serialized else serialize_message(item.message)
            self._writer.write_serialized(item.topic, item.kind, data, item.time_ns)
            self._writer.flush()
        except InvalidInputError as error:
            self._counters.drop(NOT_KNOWN, f"{item.topic}: {error}")
        except Exception as error:  # whatever it is, the thread lives on and says that nothing more is written
            self._fail(error)

    def _close(self) -> None:
        # After an error the file stays without an index, as a killed process leaves it.
        try:
            self._writer.close()
        except Exception as error:
            if not self.error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.error = f"{self.path}: {getattr(error, 'strerror', None) or repr(error)}"
        self._counters.drop(FAILED, self.error)
