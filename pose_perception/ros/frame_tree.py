"""Transforms between frames, those of the last seconds and those that never change: what TF knows, without its library.

The package `tf2_ros` is not needed: this is all of it that perception asks for.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.se3 import matrix_from_numbers

# How long transforms are kept, and how many of a frame; images are younger when they are worked on.
_KEPT_NS, _KEPT = 5_000_000_000, 1000
# So many moving frames are kept; beyond that the one that was silent for longest goes. Who tracks people makes new ones
# all day.
_FRAMES_KEPT = 500
# How far beyond the newest transform motion is continued: odometry often comes after the image it belongs to.
_CONTINUED_NS = 200_000_000
# A stamp that lies before the newest by more is no late message: a recording began again.
_RESTART_NS = 1_000_000_000

# x, y, z and the quaternion x, y, z, w.
Numbers = tuple[float, ...]


class FrameTree:
    """The transform of each frame to its parent. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fixed: dict[str, tuple[str, FloatArray]] = {}
        self._moving: dict[str, _History] = {}

    def add_fixed(self, parent: str, child: str, parent_from_child: Numbers) -> None:
        """Set a transform that holds at all times.

        Raises:
            InvalidInputError: the rotation is none.
        """
        matrix = matrix_from_numbers(parent_from_child)
        with self._lock:
            self._fixed[child.lstrip("/")] = (parent.lstrip("/"), matrix)

    def add(self, parent: str, child: str, stamp_ns: int, parent_from_child: Numbers) -> None:
        """Add the transform of one moment.

        Raises:
            InvalidInputError: the rotation is none.
        """
        numbers = _checked(parent_from_child)
        parent, child = parent.lstrip("/"), child.lstrip("/")
        with self._lock:
            if child not in self._moving or self._moving[child].parent != parent:
                if child not in self._moving and len(self._moving) >= _FRAMES_KEPT:
                    del self._moving[min(self._moving, key=lambda name: self._moving[name].newest_ns)]
                self._moving[child] = _History(parent)
            self._moving[child].add(stamp_ns, numbers)

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> FloatArray | None:
        """Return `target_from_source` with shape (4, 4), or None when the frames are not connected at that time.

        Between two transforms of a frame its motion is interpolated, and continued for 0.2 s beyond the newest one.

        Args:
            target: Frame in which points are wanted.
            source: Frame in which points are given.
            stamp_ns: When, nanoseconds; None looks at what never changes only.
        """
        with self._lock:
            target_ancestors, source_ancestors = self._ancestors(target, stamp_ns), self._ancestors(source, stamp_ns)
        common = next((frame for frame in source_ancestors if frame in target_ancestors), None)
        if common is None:
            return None
        return np.linalg.inv(target_ancestors[common]) @ source_ancestors[common]

    def is_known(self, frame: str) -> bool:
        """Return whether any transform of or to a frame was ever added."""
        frame = frame.lstrip("/")
        with self._lock:
            parents = {parent for parent, _ in self._fixed.values()} | {edge.parent for edge in self._moving.values()}
            return frame in self._fixed or frame in self._moving or frame in parents

    def _ancestors(self, frame: str, stamp_ns: int | None) -> dict[str, FloatArray]:
        """Map a frame and each of its ancestors, nearest first, to `ancestor_from_frame`."""
        frame = frame.lstrip("/")
        found = {frame: np.eye(4)}
        while (step := self._step(frame, stamp_ns)) is not None and step[0] not in found:
            parent, parent_from_child = step
            found[parent] = parent_from_child @ found[frame]
            frame = parent
        return found

    def _step(self, frame: str, stamp_ns: int | None) -> tuple[str, FloatArray] | None:
        if frame in self._fixed:
            return self._fixed[frame]
        if stamp_ns is None or frame not in self._moving:
            return None
        numbers = self._moving[frame].at(stamp_ns)
        return None if numbers is None else (self._moving[frame].parent, matrix_from_numbers(numbers))


class _History:
    """The transforms of one frame to its parent, in the order of their stamps."""

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self._stamps: list[int] = []
        self._numbers: list[Numbers] = []

    @property
    def newest_ns(self) -> int:
        return self._stamps[-1]

    def add(self, stamp_ns: int, numbers: Numbers) -> None:
        if self._stamps and stamp_ns < self.newest_ns - _RESTART_NS:
            self._stamps, self._numbers = [], []
        place = bisect_left(self._stamps, stamp_ns)
        repeated = place < len(self._stamps) and self._stamps[place] == stamp_ns
        self._stamps[place : place + repeated] = [stamp_ns]
        self._numbers[place : place + repeated] = [numbers]
        old = max(bisect_left(self._stamps, self.newest_ns - _KEPT_NS), len(self._stamps) - _KEPT)
        del self._stamps[:old], self._numbers[:old]

    def at(self, stamp_ns: int) -> Numbers | None:
        """Return the transform at a time, or None when that is too early or too late."""
        after = bisect_left(self._stamps, stamp_ns)
        if after == len(self._stamps):
            return self._continued(stamp_ns)
        if self._stamps[after] == stamp_ns:
            return self._numbers[after]
        return self._between(after - 1, after, stamp_ns) if after else None

    def _continued(self, stamp_ns: int) -> Numbers | None:
        ahead_ns = stamp_ns - self.newest_ns
        # From a transform at least as far back: from a nearer one, the noise of the two would grow.
        before = bisect_right(self._stamps, self.newest_ns - ahead_ns) - 1
        if ahead_ns > _CONTINUED_NS or before < 0:
            return None
        return self._between(before, len(self._stamps) - 1, stamp_ns)

    def _between(self, first: int, second: int, stamp_ns: int) -> Numbers:
        start_ns, end_ns = self._stamps[first], self._stamps[second]
        weight = (stamp_ns - start_ns) / (end_ns - start_ns)
        start, end = self._numbers[first], self._numbers[second]
        place = tuple(a + weight * (b - a) for a, b in zip(start[:3], end[:3], strict=True))
        return place + _turned(start[3:], end[3:], weight)


def _turned(start: Numbers, end: Numbers, weight: float) -> Numbers:
    """Return the unit quaternion a part of the shortest way between two; a weight above 1 goes on beyond the end."""
    cosine = math.fsum(a * b for a, b in zip(start, end, strict=True))
    if cosine < 0:
        end, cosine = tuple(-value for value in end), -cosine
    angle = math.acos(min(cosine, 1.0))
    if angle < 1e-6:
        return end
    a, b = math.sin((1 - weight) * angle) / math.sin(angle), math.sin(weight * angle) / math.sin(angle)
    return tuple(a * x + b * y for x, y in zip(start, end, strict=True))


def _checked(numbers: Numbers) -> Numbers:
    """Return the numbers with a quaternion of length 1; plain numbers, because a robot sends thousands in a second."""
    length = math.hypot(*numbers[3:])
    if length < 1e-9 or not all(map(math.isfinite, numbers)):
        raise InvalidInputError(f"{numbers} is no transform: x, y, z and a quaternion x, y, z, w that is a rotation")
    return (*numbers[:3], *(value / length for value in numbers[3:]))
