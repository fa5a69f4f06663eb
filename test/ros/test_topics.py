"""Tests for ros/topics.py."""

import pytest

from pose_perception.ros import topics
from pose_perception.ros.topics import TopicMonitor


def test_calibration_that_comes_once_is_enough_and_images_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_QUIET_S", -1.0)  # whatever came is long ago
    monitor = TopicMonitor()
    monitor.expect("camera_info", required=True, repeats=False)
    monitor.expect("image", required=True)
    assert monitor.missing() == ["camera_info", "image"]
    for topic in ("camera_info", "image"):
        monitor.received(topic)
    assert monitor.missing() == []
    assert monitor.quiet() == ["image"]
