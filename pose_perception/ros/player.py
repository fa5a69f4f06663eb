"""A thread that publishes a recorded stream in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.task import Future

from pose_perception.recording.read_ahead import ReadAhead
from pose_perception.ros.playback import COLOR, COLOR_COMPRESSED, Event, Source, read_stamp, with_stamp
from pose_perception.ros.restamping import Restamper

# A pause longer than this (a suspended machine) shifts the rest of the recording instead of being caught up with.
_MAX_LATE_S = 0.5
_POLL_S = 0.05


class Player:
    """Publishes the messages of a source at their times, in a thread of its own.

    Args:
        source: What to play.
        publish: Called with topic and serialized message.
        clock_ns: Time for new stamps; None leaves the stamps as they are.
        memory_bytes: Most memory for messages that are read ahead.
        speed: Factor on the speed of playing.
        loop: Begin again at the end.
    """

    def __init__(
        self,
        source: Source,
        publish: Callable[[str, bytes], None],
        clock_ns: Callable[[], int] | None,
        *,
        memory_bytes: int,
        speed: float = 1.0,
        loop: bool = False,
    ) -> None:
        self._source, self._publish = source, publish
        self._speed, self._loop = speed, loop
        self._events = ReadAhead(source.events, lambda event: len(event.data), memory_bytes)
        self._stamped = {topic for topic, kind in source.types.items() if "header" in kind.get_fields_and_field_types()}
        self._restamper = None if clock_ns is None else Restamper(clock_ns, speed)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, ready: Callable[[], bool], delay_s: float, finished: Future) -> None:
        """Read ahead, wait, play.

        Args:
            ready: Playing does not begin before this is true.
            delay_s: Wait after that, seconds.
            finished: Gets a result when everything has been played, or the exception that ended it before.
        """
        self._thread = threading.Thread(target=self._run, args=(ready, delay_s, finished), name="player", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _run(self, ready: Callable[[], bool], delay_s: float, finished: Future) -> None:
        try:
            self._events.fill()
            while not ready():
                if self._stop.wait(_POLL_S):
                    return
            if not self._stop.wait(delay_s):
                self._play()
        except Exception as error:
            finished.set_exception(error)
        else:
            finished.set_result(None)

    def _play(self) -> None:
        begin_s, count = self._play_once(time.monotonic())
        # A pass without a message would be followed by the next one at once, for ever.
        while self._loop and count and not self._stop.is_set():
            begin_s, count = self._play_once(begin_s)

    def _play_once(self, begin_s: float) -> tuple[float, int]:
        """Play one pass; return when the next one begins, and the number of messages."""
        if self._restamper is not None:
            self._restamper.begin_pass()
        last_s, count = 0.0, 0
        for event in self._events:
            late_s = time.monotonic() - begin_s - event.time_s / self._speed
            if late_s > _MAX_LATE_S:
                begin_s += late_s
                if self._restamper is not None:
                    self._restamper.delay(late_s)
            if self._stop.wait(max(0.0, -late_s)):
                break
            self._publish(event.topic, self._stamped_data(event))
            last_s, count = event.time_s, count + 1
        return begin_s + (last_s + self._source.gap_s) / self._speed, count

    def _stamped_data(self, event: Event) -> bytes:
        if self._restamper is None or event.topic not in self._stamped:
            return event.data
        leads = event.topic in (COLOR, COLOR_COMPRESSED)
        stamp_ns = self._restamper.stamp(event.topic, event.time_s, read_stamp(event.data), leads)
        return with_stamp(event.data, stamp_ns)
