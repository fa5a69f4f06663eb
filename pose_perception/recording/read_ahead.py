"""Reads ahead of a consumer, so that decoding does not compete with what the consumer feeds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Repeatable iteration over items that a thread reads ahead, in bounded memory.

    What fits into memory as a whole is read once; longer recordings are read anew in every pass.

    Args:
        read: Starts a pass over the items. An error that it raises is raised in the consumer, after what came before.
        size: Size of an item in bytes.
        limit: Most bytes to hold.
    """

    def __init__(self, read: Callable[[], Iterator[Item]], size: Callable[[Item], int], limit: int) -> None:
        self._read, self._size, self._limit = read, size, limit
        self._pass: _Pass[Item] | None = None
        self._whole: tuple[Item, ...] | None = None

    def fill(self) -> None:
        """Wait until the memory is full or holds everything."""
        if self._whole is None:
            self._pass = self._pass or _Pass(self._read(), self._size, self._limit)
            self._whole = self._pass.fill()

    def __iter__(self) -> Iterator[Item]:
        self.fill()
        if self._whole is not None:
            yield from self._whole
            return
        current, self._pass = self._pass, None
        try:
            yield from current
        finally:
            current.stop()


class _Pass(Generic[Item]):
    def __init__(self, items: Iterator[Item], size: Callable[[Item], int], limit: int) -> None:
        self._items, self._size, self._limit = items, size, limit
        self._ready: deque[Item] = deque()
        self._bytes = 0
        self._done = False
        self._stopped = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="read_ahead", daemon=True).start()

    def fill(self) -> tuple[Item, ...] | None:
        """Return all items when they fit into memory, else None once it is full."""
        with self._changed:
            self._changed.wait_for(lambda: self._done or self._bytes >= self._limit)
            return tuple(self._ready) if self._done and self._error is None else None

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._done)
                if not self._ready:
                    break
                item = self._ready.popleft()
                self._bytes -= self._size(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: self._bytes < self._limit or self._stopped)
                    if self._stopped:
                        return
                    self._ready.append(item)
                    self._bytes += self._size(item)
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()
