"""How evenly a loop runs."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

_KEPT = 500


class LoopTiming:
    """Measures the time between the passes of a loop, and what each takes."""

    def __init__(self) -> None:
        self._periods_s: deque[float] = deque(maxlen=_KEPT)
        self._works_s: deque[float] = deque(maxlen=_KEPT)
        self._began_s: float | None = None

    def begin(self) -> None:
        """Note the beginning of a pass."""
        now = time.monotonic()
        if self._began_s is not None:
            self._periods_s.append(now - self._began_s)
        self._began_s = now

    def end(self) -> None:
        """Note its end."""
        if self._began_s is not None:
            self._works_s.append(time.monotonic() - self._began_s)

    def values(self) -> dict[str, float]:
        """Return medians, 95th and 99th percentiles of the last passes, milliseconds; empty before the second."""
        found = {}
        for name, times in (("period", self._periods_s), ("work", self._works_s)):
            if times:
                for percent in (50, 95, 99):
                    found[f"{name} p{percent} [ms]"] = float(np.percentile(times, percent)) * 1e3
        return found
