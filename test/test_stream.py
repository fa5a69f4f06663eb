"""Tests for evaluation/stream.py."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from pose_perception.datatypes import KeypointState, Skeleton, TrackingState
from pose_perception.evaluation.stream import StreamStatistics

NAMES = ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_hip", "right_hip")
SHAPE = np.array([[0.2, 0, 2], [-0.2, 0, 2], [0.2, 0.3, 2], [-0.2, 0.3, 2], [0.1, 0.5, 2], [-0.1, 0.5, 2]])
FRAME_NS = 100_000_000


def person(
    name: str, x: float, *, state: int = KeypointState.MEASURED, tracking: TrackingState = TrackingState.TRACKED
) -> Skeleton:
    k = len(NAMES)
    return Skeleton(
        id=name,
        score=1.0,
        tracking_state=tracking,
        box=np.zeros(4),
        pixels=np.zeros((k, 2)),
        scores=np.ones(k),
        positions=SHAPE + np.array([x, 0, 0]),
        covariances=np.zeros((k, 3, 3)),
        states=np.full(k, state, np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def test_rate_and_latency_come_from_arrival_and_stamp() -> None:
    statistics = StreamStatistics()
    for i in range(11):
        statistics.add(i * FRAME_NS, i * FRAME_NS + 30_000_000, [person("a", 0)], NAMES)
    summary = statistics.summary()
    assert summary.frames == 11
    assert summary.rate_hz == pytest.approx(10.0)
    assert summary.latency_ms == pytest.approx((30.0, 30.0))
    assert summary.people == {1: 11}
    assert math.isnan(summary.error_mm[0])


def test_errors_are_those_of_measured_joints_of_the_nearest_person() -> None:
    statistics = StreamStatistics()
    statistics.add_truth(5, [person("t1", 0.0), person("t2", 1.5)], NAMES)
    inferred = person("c", 1.6, state=KeypointState.INFERRED)
    statistics.add(5, 6, [inferred, person("b", 0.03)], NAMES)
    summary = statistics.summary()
    assert summary.error_mm == pytest.approx((30.0, 30.0))
    assert summary.joints == {"inferred": 0.5, "measured": 0.5, "missing": 0.0}


@pytest.mark.parametrize("with_truth", [True, False])
@pytest.mark.parametrize(
    ("second", "changes", "identities"),
    [
        ([("a", 0.0), ("b", 2.0)], 0, 2),  # nothing happens
        ([("b", 0.0), ("a", 2.0)], 2, 2),  # they swap
        ([("a", 0.0), ("c", 2.0)], 1, 3),  # one is taken for somebody new
        ([("a", 0.0)], 0, 2),  # one leaves
    ],
)
def test_a_person_who_goes_on_under_another_id_is_counted(
    second: list, changes: int, identities: int, with_truth: bool
) -> None:
    statistics = StreamStatistics()
    for stamp, people in enumerate(([("a", 0.0), ("b", 2.0)], second)):
        if with_truth:
            statistics.add_truth(stamp, [person("t1", 0.0), person("t2", 2.0)], NAMES)
        statistics.add(stamp, stamp + 1, [person(name, x) for name, x in people], NAMES)
    summary = statistics.summary()
    assert (summary.id_changes, summary.identities) == (changes, identities)


def test_who_comes_back_under_another_id_is_counted_without_truth_too() -> None:
    statistics = StreamStatistics()
    for i, people in enumerate(([("a", 0.0), ("b", 2.0)], [("a", 0.0)], [("a", 0.0), ("c", 2.0)])):
        statistics.add(i * FRAME_NS, i * FRAME_NS, [person(name, x) for name, x in people], NAMES)
    assert statistics.summary().id_changes == 1


def test_who_is_only_predicted_is_not_seen() -> None:
    statistics = StreamStatistics()
    statistics.add(0, 1, [person("a", 0), person("b", 2, tracking=TrackingState.PREDICTED)], NAMES)
    assert statistics.summary().people == {1: 1}


def test_the_length_of_an_arm_varies_as_its_joints_do() -> None:
    statistics = StreamStatistics()
    for i in range(20):
        wobbling = person("a", 0)
        wobbling.positions[2, 1] += 0.03 * (-1) ** i
        statistics.add(i, i + 1, [wobbling], NAMES)
    variation = statistics.summary().arm_variation
    assert variation == pytest.approx({"a left": 0.1, "a right": 0.0})


def test_endless_runs_are_measured_in_constant_memory() -> None:
    statistics, sizes = StreamStatistics(), []
    for i in range(20_000):
        statistics.add_truth(i * FRAME_NS, [person("t", 0.0)], NAMES)
        # Everyone is somebody new, and the last half is late.
        statistics.add(i * FRAME_NS, i * FRAME_NS + (i >= 10_000) * 50_000_000, [person(f"p{i}", 0.01)], NAMES)
        if i in (9_999, 19_999):
            sizes.append(len(pickle.dumps(statistics)))
    assert sizes[1] < 1.1 * sizes[0]
    summary = statistics.summary()
    assert (summary.frames, summary.identities, summary.people) == (20_000, 20_000, {1: 20_000})
    assert summary.latency_ms == pytest.approx((50.0, 50.0))
    assert summary.rate_hz == pytest.approx(10.0)
    assert summary.error_mm == pytest.approx((10.0, 10.0))


def test_nothing_gives_no_numbers() -> None:
    summary = StreamStatistics().summary()
    assert summary.frames == 0
    assert math.isnan(summary.rate_hz)
    assert summary.people == {}
