"""How long the stages of a pipeline take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_KEPT = 100


class StageTimes:
    """Measures stages in one thread and tells of them in another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times_ms: dict[str, deque[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside; what fails is not counted."""
        started = time.perf_counter()
        yield
        elapsed_ms = 1e3 * (time.perf_counter() - started)
        with self._lock:
            self._times_ms.setdefault(name, deque(maxlen=_KEPT)).append(elapsed_ms)

    def values(self) -> dict[str, object]:
        """Return the median of the last hundred times of each stage, for diagnostics."""
        with self._lock:
            return {f"stage {name} p50 [ms]": float(np.median(times)) for name, times in self._times_ms.items()}
