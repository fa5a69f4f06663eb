"""Which topics come, how often, and which went quiet."""

from __future__ import annotations

import time
from dataclasses import dataclass

# A camera slower than this is as good as gone.
_QUIET_S = 2.0


@dataclass
class _Topic:
    required: bool
    repeats: bool
    messages: int = 0
    reported: int = 0
    last_s: float | None = None


class TopicMonitor:
    """Counts the messages of the topics that a node waits for. Used from the executor's thread only."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._reported_s = time.monotonic()

    def expect(self, topic: str, required: bool, repeats: bool = True) -> None:
        """Watch a topic; nothing works without a required one, and one that repeats must not go quiet."""
        self._topics[topic] = _Topic(required, repeats)

    def received(self, topic: str) -> None:
        """Count a message."""
        entry = self._topics[topic]
        entry.messages += 1
        entry.last_s = time.monotonic()

    def missing(self) -> list[str]:
        """Return the required topics on which nothing ever came."""
        return [name for name, topic in self._topics.items() if topic.required and topic.last_s is None]

    def quiet(self) -> list[str]:
        """Return the required topics on which nothing came for 2 s, although it did before."""
        now = time.monotonic()
        return [
            name
            for name, topic in self._topics.items()
            if topic.required and topic.repeats and topic.last_s is not None and now - topic.last_s > _QUIET_S
        ]

    def rates(self) -> dict[str, float]:
        """Return messages per second of each topic since the last call."""
        now = time.monotonic()
        elapsed, self._reported_s = max(now - self._reported_s, 1e-3), now
        rates = {}
        for name, topic in self._topics.items():
            rates[name] = (topic.messages - topic.reported) / elapsed
            topic.reported = topic.messages
        return rates
