"""Tests for human/tracking.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pose_perception.datatypes import KeypointState, PoseEstimates, Skeleton, TrackingState
from pose_perception.human.body_model import bones_of
from pose_perception.human.lifting import LiftedBodies
from pose_perception.human.topology import COCO_17
from pose_perception.human.tracking import Tracker, TrackingConfig

_BODY_PX = np.random.default_rng(5).uniform(0, 120, (17, 2)) + np.array([0, 100])
_BODY_M = np.random.default_rng(6).uniform(-0.4, 0.4, (17, 3)) + np.array([0, 0, 2.5])


class _Scene:
    """Feeds a tracker with people at given places (in units of their own width)."""

    def __init__(self, **options: float) -> None:
        self.tracker = Tracker(COCO_17, bones_of(COCO_17), TrackingConfig(**options), min_score=0.25)
        self.time_s = 0.0

    def step(
        self, places: list[float], score: float = 0.8, dt: float = 1 / 15, seen: np.ndarray | None = None
    ) -> list[Skeleton]:
        self.time_s += dt
        n = len(places)
        shift = np.array(places, float).reshape(n, 1)
        pixels = _BODY_PX + np.stack([120 * shift, 0 * shift], axis=2)
        positions = _BODY_M + np.stack([0.5 * shift, 0 * shift, 0 * shift], axis=2)
        if seen is not None:
            positions[:, ~seen] = np.nan
        boxes = np.concatenate([pixels.min(axis=1, initial=1e9), pixels.max(axis=1, initial=-1e9)], axis=1)
        estimates = PoseEstimates(pixels, np.full((n, 17), 0.9), boxes, np.full(n, score), np.full((n, 17, 3), np.nan))
        covariances = np.tile(np.eye(3) * 1e-4, (n, 17, 1, 1))
        states = np.full((n, 17), KeypointState.MEASURED, np.uint8)
        bodies = LiftedBodies(positions, covariances, states, np.zeros((n, 17), bool))
        stamp = round(self.time_s * 1e9)
        return self.tracker.update(self.tracker.associate(estimates, stamp), estimates, bodies, stamp)


def test_ids_stay_with_the_people_whatever_their_order() -> None:
    scene = _Scene()
    first = {s.id: s.positions[0, 0] for s in scene.step([0.0, 3.0])}
    for i in range(1, 20):
        places = [0.05 * i, 3.0 - 0.05 * i]
        skeletons = scene.step(places[::-1] if i % 2 else places)
        assert {s.id for s in skeletons} == set(first)
    by_id = {s.id: s.positions[0, 0] for s in skeletons}
    left, right = sorted(first, key=lambda key: first[key])
    assert by_id[left] < by_id[right]


def test_ids_start_with_a_letter_and_are_never_used_again() -> None:
    scene = _Scene(max_gap_s=0.1)
    (first,) = scene.step([0.0])
    scene.step([])
    scene.step([], dt=1.0)
    (second,) = scene.step([0.0])
    assert first.id[0].isalpha()
    assert second.id != first.id


def test_unseen_person_is_predicted_with_growing_doubt_then_lost_once() -> None:
    scene = _Scene(max_gap_s=0.5)
    for i in range(10):
        scene.step([0.1 * i])
    gone = [scene.step([]) for _ in range(12)]
    states = [[s.tracking_state for s in skeletons] for skeletons in gone]
    assert states[0] == [TrackingState.PREDICTED]
    assert states.count([TrackingState.LOST]) == 1
    assert states[-1] == []
    (lost,) = next(skeletons for skeletons in gone if skeletons and skeletons[0].tracking_state == TrackingState.LOST)
    assert np.isnan(lost.positions).all()  # nothing is known of somebody who is gone
    assert (lost.states == KeypointState.MISSING).all()
    predicted = [s for skeletons in gone for s in skeletons if s.tracking_state == TrackingState.PREDICTED]
    assert all((s.states == KeypointState.INFERRED).all() for s in predicted)
    assert np.isnan(predicted[0].pixels).all()
    spread = [np.trace(s.covariances[0]) for s in predicted]
    assert all(b > a for a, b in itertools.pairwise(spread))
    assert predicted[3].positions[0, 0] > predicted[0].positions[0, 0]  # goes on moving


def test_person_who_comes_back_in_time_keeps_the_id() -> None:
    scene = _Scene(max_gap_s=0.5)
    (before,) = scene.step([0.0])
    for _ in range(5):
        scene.step([])
    (after,) = scene.step([0.1])
    assert after.id == before.id
    assert after.tracking_state == TrackingState.TRACKED


def test_doubtful_person_is_reported_only_when_seen_again() -> None:
    scene = _Scene(confirm_score=0.5)
    assert scene.step([0.0], score=0.3) == []
    assert len(scene.step([0.0], score=0.3)) == 1
    (person,) = scene.step([0.0, 4.0], score=0.3)
    assert [s.id for s in scene.step([0.0], score=0.3)] == [person.id]  # who was seen once is forgotten at once


def test_velocity_is_that_of_the_body() -> None:
    scene = _Scene()
    for i in range(30):
        (skeleton,) = scene.step([0.05 * i])  # 0.025 m a frame at 15 Hz
    assert skeleton.velocity == pytest.approx([0.375, 0, 0], abs=1e-6)


def test_same_stamp_twice_changes_no_velocity() -> None:
    scene = _Scene()
    scene.step([0.0])
    (skeleton,) = scene.step([0.2], dt=0.0)
    assert np.isnan(skeleton.velocity).all()


def test_velocity_is_unknown_when_too_few_joints_are_seen() -> None:
    scene = _Scene()
    for i in range(5):
        (skeleton,) = scene.step([0.05 * i])
    assert np.isfinite(skeleton.velocity).all()
    (skeleton,) = scene.step([0.25], seen=np.arange(17) < 2)
    assert np.isnan(skeleton.velocity).all()
