"""A thread that works on the latest item only."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pose_perception.ros.counters import Counters

Item = TypeVar("Item")

REPLACED = "replaced by a newer image"


class LatestWorker(Generic[Item]):
    """Runs a function on the newest item that was submitted, in its own thread.

    While it works, newer items replace the one that waits; those replaced are counted. An exception of the function
    is counted and logged, and the thread goes on.

    Args:
        work: Called with one item at a time.
        counters: Where replaced items and failures are counted.
    """

    def __init__(self, work: Callable[[Item], None], counters: Counters) -> None:
        self._work = work
        self._counters = counters
        self._changed = threading.Condition()
        self._waiting: Item | None = None
        self._stopping = False
        # A daemon, so that a function that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="latest_worker", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: what the item in work gives is not wanted any more."""
        return self._stopping

    def submit(self, item: Item) -> None:
        """Hand over an item; never blocks for long."""
        with self._changed:
            replaced = self._waiting is not None
            self._waiting = item
            self._changed.notify()
        if replaced:
            self._counters.add(REPLACED)

    def stop(self, timeout_s: float = 1.5) -> bool:
        """Finish the item in work and end the thread; what waits is dropped.

        Returns:
            Whether the thread ended in time.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._process(item)
        # The owner of the function mostly owns this worker, too: what it holds, hundreds of megabytes of networks, must
        # not wait for a collection of cyclic garbage.
        del self._work

    def _process(self, item: Item) -> None:
        try:
            self._work(item)
        except Exception as error:  # the thread must survive whatever an image provokes
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self._counters.drop("processing failed", f"{type(error).__name__}: {error} ({where})")

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
            item, self._waiting = self._waiting, None
            return None if self._stopping else item
