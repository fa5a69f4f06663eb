"""Tests for ros/restamping.py."""

from __future__ import annotations

import pytest

from pose_perception.ros.restamping import Restamper

_MS = 1_000_000
_START_NS = 100 * 10**9


class Clock:
    """The present, moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 10**18

    def __call__(self) -> int:
        """Return the present."""
        return self.now_ns


def play(restamper: Restamper, messages: list[tuple[str, int, int]]) -> list[tuple[str, int]]:
    """Stamp (topic, time of recording in ms, stamp in ms); return topics and new stamps, ms after the first one."""
    new = [
        (topic, restamper.stamp(topic, time_ms * 1e-3, _START_NS + stamp_ms * _MS, topic == "color"))
        for topic, time_ms, stamp_ms in messages
    ]
    return [(topic, round((stamp - new[0][1]) / _MS, 3)) for topic, stamp in new]


APART = [("color", 0, 0), ("color", 40, 40), ("depth", 45, 2), ("color", 80, 80), ("depth", 85, 42), ("depth", 120, 82)]


@pytest.mark.parametrize("speed", [0.1, 1.0, 2.0])
def test_what_belongs_together_stays_as_far_apart_as_recorded_at_any_speed(speed: float) -> None:
    stamps = play(Restamper(Clock(), speed), APART)
    color = [stamp for topic, stamp in stamps if topic == "color"]
    assert color == [0, 40 / speed, 80 / speed]
    assert [stamp for topic, stamp in stamps if topic == "depth"] == pytest.approx([stamp + 2 for stamp in color])


@pytest.mark.parametrize("speed", [0.1, 1.0, 100.0])
def test_stamps_of_a_topic_grow_from_pass_to_pass_even_with_a_clock_that_stands_still(speed: float) -> None:
    restamper, topics = Restamper(Clock(), speed), {"color": [], "depth": []}
    for _ in range(3):
        restamper.begin_pass()
        for topic, time_ms, stamp_ms in APART:
            stamp = restamper.stamp(topic, time_ms * 1e-3, _START_NS + stamp_ms * _MS, topic == "color")
            topics[topic].append(stamp)
    assert all(stamps == sorted(set(stamps)) for stamps in topics.values())


def test_a_pass_begins_with_the_present() -> None:
    clock = Clock()
    restamper = Restamper(clock)
    play(restamper, APART)
    clock.now_ns += 10**9
    restamper.begin_pass()
    assert restamper.stamp("color", 0.0, _START_NS, True) == clock.now_ns


def test_a_delay_moves_what_comes_but_splits_no_pair() -> None:
    restamper = Restamper(Clock())
    first = restamper.stamp("color", 0.0, _START_NS, True)
    restamper.delay(2.0)
    assert restamper.stamp("depth", 0.0, _START_NS + 2 * _MS, False) == first + 2 * _MS
    assert restamper.stamp("color", 0.04, _START_NS + 40 * _MS, True) == first + 2040 * _MS


def test_a_camera_info_without_a_stamp_gets_the_present_and_moves_nothing_else() -> None:
    clock = Clock()
    restamper = Restamper(clock)
    assert restamper.stamp("info", 0.0, 0, False) == clock.now_ns
    first = restamper.stamp("color", 0.0, _START_NS, True)
    clock.now_ns += 40 * _MS
    assert restamper.stamp("info", 0.04, 0, False) == clock.now_ns
    assert restamper.stamp("color", 0.04, _START_NS + 40 * _MS, True) == first + 40 * _MS


def test_a_jump_of_the_camera_within_a_recording_is_no_jump_of_the_new_stamps() -> None:
    clock = Clock()
    restamper = Restamper(clock)
    first = restamper.stamp("color", 0.0, _START_NS, True)
    clock.now_ns += 40 * _MS
    assert restamper.stamp("color", 0.04, 7 * 10**9, True) == first + 40 * _MS
    assert restamper.stamp("depth", 0.05, 7 * 10**9 + 2 * _MS, False) == first + 42 * _MS
