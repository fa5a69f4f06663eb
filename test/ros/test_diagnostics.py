"""Tests for ros/diagnostics.py, over the real topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from pose_perception.ros.conversions import stamp_ns
from pose_perception.ros.counters import Counters
from pose_perception.ros.diagnostics import Diagnostics
from pose_perception.ros.topics import TopicMonitor
from pose_perception.ros.worker import REPLACED

if TYPE_CHECKING:
    from conftest import Ros


class Patient:
    """A node with diagnostics that waits for two topics and could use a third."""

    def __init__(self, ros: Ros) -> None:
        self._ros = ros
        node = ros.add(Node("patient", namespace="ward"))
        self.counters = Counters(node.get_logger())
        self.monitor = TopicMonitor()
        for topic, required in (("/color", True), ("/depth", True), ("/extra", False)):
            self.monitor.expect(topic, required)
        self.diagnostics = Diagnostics(node, self.counters, self.monitor, "cpu")
        self.received: list[DiagnosticArray] = []
        node.create_subscription(DiagnosticArray, "/diagnostics", self.received.append, 10)
        self._clock = node.get_clock()

    def next_status(self) -> tuple[DiagnosticStatus, dict[str, str]]:
        """Wait for a message that is made from now on; returns the status and its values."""
        now_ns = self._clock.now().nanoseconds
        assert self._ros.spin_until(lambda: self.received and stamp_ns(self.received[-1].header) > now_ns)
        status = self.received[-1].status[0]
        return status, {pair.key: pair.value for pair in status.values}

    def feed(self, *topics: str) -> None:
        """Pretend that messages came."""
        for topic in topics:
            self.monitor.received(topic)


def test_topics_that_never_came_are_named(ros: Ros) -> None:
    patient = Patient(ros)
    patient.feed("/color")
    status, _ = patient.next_status()
    assert status.level == DiagnosticStatus.ERROR
    assert status.name == "ward/patient"
    assert "/depth (nobody publishes it)" in status.message
    assert "/color" not in status.message
    assert "/extra" not in status.message


def test_quiet_topic_is_named_and_forgiven(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(ros)
    patient.feed("/color", "/depth")
    monkeypatch.setattr("pose_perception.ros.topics._QUIET_S", -1.0)
    status, _ = patient.next_status()
    assert status.level == DiagnosticStatus.STALE
    assert "/color" in status.message
    monkeypatch.undo()
    patient.feed("/color", "/depth")
    assert patient.next_status()[0].level == DiagnosticStatus.OK


def test_drops_warn_once_and_stay_counted(ros: Ros) -> None:
    patient = Patient(ros)
    patient.feed("/color", "/depth")
    patient.counters.drop("bad picture", "for the test")
    patient.counters.add(REPLACED)
    patient.counters.note("clock set", "for the test")
    status, values = patient.next_status()
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "in the last second: bad picture (1)")
    assert values["count: bad picture"] == values["count: clock set"] == "1"
    patient.feed("/color", "/depth")
    status, values = patient.next_status()
    assert status.level == DiagnosticStatus.OK
    assert values[f"count: {REPLACED}"] == "1"


def test_results_are_summed_up(ros: Ros) -> None:
    patient = Patient(ros)
    patient.feed("/color", "/depth")
    for i in range(101):
        patient.diagnostics.record(i * 1e-3, found=2)
    _, values = patient.next_status()
    assert values["device"] == "cpu"
    assert values["people"] == "2"
    assert (values["latency p50 [ms]"], values["latency p95 [ms]"]) == ("50.000", "95.000")
    assert float(values["output rate [Hz]"]) > 0
    assert float(values["input rate /color [Hz]"]) > 0
    assert float(values["input rate /extra [Hz]"]) == 0
