"""Pairs the images of two streams by their stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

REPEATED_STAMP = "stamp repeated"
BACKWARD_STAMP = "stamp jumped back"


def unpaired(stream: str, other: str) -> str:
    """Return the reason under which images of a stream are counted that found no partner in the other stream."""
    return f"{stream} without {other}"


class StampSynchronizer:
    """Pairs each image with the one of the other stream that is nearest in time.

    Within a stream the stamps must grow. An image with the stamp of the one before is dropped; a stamp that is smaller
    means that the stream started again (a looped bag, a restarted driver): what waited is dropped, the image is used.

    Args:
        streams: Names of the two streams.
        slop_ns: Largest difference of the stamps in a pair, nanoseconds.
        capacity: How many images of a stream wait for their partner; beyond that the oldest is dropped.
        report: Called with a reason and a detail for every image dropped.
        note: Called with `BACKWARD_STAMP` and a detail when a stream starts again.
    """

    def __init__(
        self,
        streams: tuple[str, str],
        slop_ns: int,
        capacity: int,
        report: Callable[[str, str], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._slop_ns = slop_ns
        self._capacity = capacity
        self._report = report
        self._note = note
        self._waiting: dict[str, deque[tuple[int, Any]]] = {name: deque() for name in streams}
        self._newest: dict[str, int | None] = dict.fromkeys(streams)
        self._other = dict(zip(streams, reversed(streams), strict=True))

    def add(self, stream: str, stamp_ns: int, image: Any) -> tuple[Any, Any] | None:
        """Take an image; return it and its partner, in the order of the streams, as soon as both are there."""
        if not self.is_new(stream, stamp_ns):
            return None
        other = self._other[stream]
        # Later images of this stream are later still: nothing can match these any more.
        self._drop_before(other, stamp_ns - self._slop_ns)
        partner = min(self._waiting[other], key=lambda item: abs(item[0] - stamp_ns), default=None)
        if partner is None or abs(partner[0] - stamp_ns) > self._slop_ns:
            self._wait(stream, stamp_ns, image)
            return None
        self._drop_before(other, partner[0])
        self._waiting[other].popleft()
        self._drop_before(stream, stamp_ns)
        first = next(iter(self._waiting))
        return (image, partner[1]) if stream == first else (partner[1], image)

    def is_new(self, stream: str, stamp_ns: int) -> bool:
        """Take the stamp of an image alone; return whether it differs from that of the image before."""
        newest = self._newest[stream]
        if newest == stamp_ns:
            self._report(REPEATED_STAMP, f"two {stream} images have the stamp {stamp_ns * 1e-9:.6f} s")
            return False
        if newest is not None and stamp_ns < newest:
            self._note(BACKWARD_STAMP, f"{stream} goes back by {(newest - stamp_ns) * 1e-9:.3f} s and starts again")
            while self._waiting[stream]:
                self._drop(stream)
        self._newest[stream] = stamp_ns
        return True

    def _wait(self, stream: str, stamp_ns: int, image: Any) -> None:
        waiting = self._waiting[stream]
        waiting.append((stamp_ns, image))
        if len(waiting) > self._capacity:
            self._drop(stream)

    def _drop_before(self, stream: str, stamp_ns: int) -> None:
        while self._waiting[stream] and self._waiting[stream][0][0] < stamp_ns:
            self._drop(stream)

    def _drop(self, stream: str) -> None:
        stamp_ns, _ = self._waiting[stream].popleft()
        detail = f"none within {self._slop_ns * 1e-9:.3f} s of the image at {stamp_ns * 1e-9:.6f} s"
        self._report(unpaired(stream, self._other[stream]), detail)
