"""What became of the images that a camera sent."""

from __future__ import annotations

from collections import OrderedDict

# A result comes within so many images, or never; older images are only counted.
_IMAGES_KEPT = 300


class ImageCounts:
    """Counts images and results by their stamps, in constant memory."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._sent = self._settled = self._results = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    def add_sent(self, stamp_ns: int) -> None:
        """Note an image that the camera sent; the same stamp again is the same image."""
        if stamp_ns in self._recent:
            return
        self._sent += 1
        self._recent[stamp_ns] = None
        if len(self._recent) > _IMAGES_KEPT:
            oldest_ns, _ = self._recent.popitem(last=False)
            self._settled += self._first_ns is not None and self._first_ns <= oldest_ns

    def add_result(self, stamp_ns: int) -> None:
        """Note the result for an image."""
        self._results += 1
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._last_ns = stamp_ns

    def fates(self, replaced: int, dropped: int, everything: bool) -> dict[str, int]:
        """Return the number of images by what became of them.

        Args:
            replaced: Images that the node did not begin with, because a newer one was there.
            dropped: Images that the node could not use.
            everything: Count all images, of a camera that waited for its subscribers; otherwise those between the
                first and the last result.
        """
        if self._first_ns is None:
            return {"sent": self._sent, "processed": 0}
        sent = self._sent if everything else self._settled + self._in_range()
        return {
            "sent": sent,
            "processed": self._results,
            "replaced by a newer one": replaced,
            "dropped": dropped,
            "lost on the way": max(0, sent - self._results - replaced - dropped),
        }

    def _in_range(self) -> int:
        return sum(self._first_ns <= stamp_ns <= self._last_ns for stamp_ns in self._recent)
