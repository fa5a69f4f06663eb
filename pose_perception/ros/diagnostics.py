"""What a perception node says about itself on `/diagnostics`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from pose_perception.ros.conversions import diagnostic_message, header_message
from pose_perception.ros.counters import Counters
from pose_perception.ros.topics import TopicMonitor

_PERIOD_S = 1.0
_LATENCIES_KEPT = 300


class Diagnostics:
    """Publishes the state of a node once per second.

    ERROR: a required topic never came. STALE: one went quiet. WARN: images were dropped within the last second.
    Other counted events are shown too, but are no reason to warn: images replaced by newer ones are normal where a
    camera is faster than the networks.

    Args:
        node: Owner of the publisher.
        counters: Events to show.
        monitor: Topics to show.
        device: Where the networks run.
        found: What the results hold: people or objects.
        stages: Called for what else is worth knowing, such as the times of the stages.
    """

    def __init__(
        self,
        node: Node,
        counters: Counters,
        monitor: TopicMonitor,
        device: str,
        found: str = "people",
        stages: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._node = node
        self._counters = counters
        self._monitor = monitor
        self._device = device
        self._lock = threading.Lock()
        self._latencies_s: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._results = 0
        self._found_name, self._found = found, 0
        self._stages = stages
        self._previous_drops = counters.drops()
        self._previous_s = time.monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # The steady clock: simulated time may stand still, which is worth a diagnosis.
        self._timer = node.create_timer(_PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def record(self, latency_s: float, found: int = 1) -> None:
        """Note one published result; called from the worker's thread.

        Args:
            latency_s: Publish time minus image stamp, seconds.
            found: How many people or objects it holds.
        """
        with self._lock:
            self._latencies_s.append(latency_s)
            self._results += 1
            self._found = found

    def publish(self) -> None:
        """Publish the present state."""
        level, message = self._judge()
        header = header_message(self._node.get_clock().now().nanoseconds, "")
        name = self._node.get_fully_qualified_name().lstrip("/")
        self._publisher.publish(diagnostic_message(header, name, self._device, level, message, self._values()))

    def destroy(self) -> None:
        """Remove timer and publisher."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _judge(self) -> tuple[bytes, str]:
        drops = self._counters.drops()
        new = {name: count - self._previous_drops.get(name, 0) for name, count in drops.items()}
        self._previous_drops = drops
        if missing := self._monitor.missing():
            return DiagnosticStatus.ERROR, f"no message yet on {', '.join(self._with_publishers(missing))}"
        if quiet := self._monitor.quiet():
            return DiagnosticStatus.STALE, f"no message any more on {', '.join(self._with_publishers(quiet))}"
        if dropped := [f"{name} ({count})" for name, count in new.items() if count]:
            return DiagnosticStatus.WARN, f"in the last second: {', '.join(dropped)}"
        return DiagnosticStatus.OK, "working"

    def _with_publishers(self, topics: list[str]) -> list[str]:
        return [topic if self._node.count_publishers(topic) else f"{topic} (nobody publishes it)" for topic in topics]

    def _values(self) -> dict[str, object]:
        now = time.monotonic()
        with self._lock:
            latencies_ms = np.array(self._latencies_s) * 1e3
            results, self._results = self._results, 0
        elapsed, self._previous_s = max(now - self._previous_s, 1e-3), now
        p50, p95 = np.percentile(latencies_ms, [50, 95]) if len(latencies_ms) else (np.nan, np.nan)
        return {
            **self._details(),
            "output rate [Hz]": results / elapsed,
            "latency p50 [ms]": float(p50),
            "latency p95 [ms]": float(p95),
            **self._stages(),
            **{f"input rate {topic} [Hz]": rate for topic, rate in self._monitor.rates().items()},
            **{f"count: {name}": count for name, count in self._counters.counts().items()},
        }

    def _details(self) -> dict[str, object]:
        return {"device": self._device, self._found_name: self._found}
