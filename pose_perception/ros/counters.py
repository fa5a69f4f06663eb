"""Counted events, with log lines that do not flood."""

from __future__ import annotations

import threading
import time
from collections import Counter

from rclpy.impl.rcutils_logger import RcutilsLogger

_LOG_PERIOD_S = 5.0


class Counters:
    """Counts events by name. Safe to use from several threads.

    Args:
        logger: Where events that a user should know of are reported.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._drops: set[str] = set()
        self._logged_at: dict[str, float] = {}

    def add(self, name: str) -> None:
        """Count an event that is part of normal operation."""
        with self._lock:
            self._counts[name] += 1

    def note(self, name: str, detail: str) -> None:
        """Count an event that costs nothing by itself but explains others, and tell of it like `drop`."""
        self._count_and_warn(name, detail)

    def drop(self, reason: str, detail: str) -> None:
        """Count an event, such as an image that cannot be used, and warn about it at most once in 5 s per reason.

        Args:
            reason: One of a few fixed strings.
            detail: What is wrong this time.
        """
        with self._lock:
            self._drops.add(reason)
        self._count_and_warn(reason, detail)

    def counts(self) -> dict[str, int]:
        """Return a copy of all counts."""
        with self._lock:
            return dict(self._counts)

    def drops(self) -> dict[str, int]:
        """Return a copy of the counts of what `drop` was told."""
        with self._lock:
            return {name: self._counts[name] for name in self._drops}

    def _count_and_warn(self, reason: str, detail: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._counts[reason] += 1
            count = self._counts[reason]
            if now - self._logged_at.get(reason, -_LOG_PERIOD_S) < _LOG_PERIOD_S:
                return
            self._logged_at[reason] = now
        self._logger.warning(f"{reason}: {detail} ({count} so far)")
