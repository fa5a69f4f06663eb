"""Tests for human/tracking.py: who is who, on people of sticks who walk (walkers.py)."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import KeypointState, Skeleton, TrackingState
from pose_perception.human.tracking import TrackingConfig

# Tests are imported by their paths, so that what they share is, too.
_SPEC = importlib.util.spec_from_file_location("walkers", Path(__file__).with_name("walkers.py"))
walkers = sys.modules["walkers"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(walkers)
Street, Walker = walkers.Street, walkers.Walker

Path3D = Callable[[float], tuple[float, float, float]]
_RED, _BLUE, _GREEN = (150, 60, 50), (50, 70, 150), (60, 130, 70)


def _to_and_fro(distance_m: float, speed: float, half_m: float, phase: float = 0.0) -> Path3D:
    def path(time_s: float) -> tuple[float, float, float]:
        quarter = ((time_s * speed / (4 * half_m) + phase) % 1) * 4
        return half_m * (quarter - 1 if quarter < 2 else 3 - quarter), 0.1, distance_m

    return path


def _standing(x: float, distance_m: float) -> Path3D:
    return lambda _: (x, 0.1, distance_m)


def _crossing() -> list:
    return [
        Walker(_to_and_fro(2.3, 0.8, 1.0), shirt=_RED),
        Walker(_to_and_fro(2.9, 0.7, 1.2, 0.35), shirt=_BLUE),
        Walker(_to_and_fro(3.6, 0.9, 1.4, 0.6), shirt=_GREEN),
    ]


def _stepping_in_front(seed: int, hidden_s: float) -> list:
    """One who comes to stand in front of another, waits, and walks on."""
    rng = np.random.default_rng(seed)
    near = rng.uniform(1.6, 2.2)
    far, speed, x = near + rng.uniform(0.6, 1.5), rng.uniform(0.5, 1.0), rng.uniform(-0.4, 0.4)

    def front(time_s: float) -> tuple[float, float, float]:
        walked = min(time_s, 1.5) + max(time_s - 1.5 - hidden_s, 0.0)
        return x * near / far + speed * (walked - 1.5), 0.1, near

    def back(time_s: float) -> tuple[float, float, float]:
        return x + 0.12 * np.sin(2 * time_s), 0.1, far

    return [Walker(front, shirt=_RED), Walker(back, shirt=_BLUE)]


def _leaving(seed: int, away_s: float) -> tuple[list, float]:
    """One who walks out of the image and comes back, beside another who stays; and when that is over."""
    rng = np.random.default_rng(seed)
    distance, speed = rng.uniform(1.8, 3), rng.uniform(0.7, 1.3)
    edge = 0.53 * distance + 0.35
    out_s = 1.0 + edge / speed

    def path(time_s: float) -> tuple[float, float, float]:
        beyond = edge + speed * np.clip(away_s / 2 - abs(time_s - out_s - away_s / 2), 0, None)
        if time_s < out_s:
            return speed * max(time_s - 1.0, 0.0), 0.1, distance
        if time_s < out_s + away_s:
            return float(beyond), 0.1, distance
        return max(edge - speed * (time_s - out_s - away_s), 0.0), 0.1, distance

    return [Walker(path, shirt=_RED), Walker(_standing(-0.4, 2.5), shirt=_BLUE)], 2 * out_s + away_s


def _reported(frames: list[list[Skeleton]], state: TrackingState) -> list[Skeleton]:
    return [skeleton for skeletons in frames for skeleton in skeletons if skeleton.tracking_state == state]


@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {"flicker": 0.3},  # nobody is found in every frame
        {"depth": False},
        {"rate_hz": 8.0, "noise_px": 2.5},
        {"weak": 0.3, "flicker": 0.1},  # detections with low scores
    ],
    ids=str,
)
def test_people_who_cross_keep_their_ids(trouble: dict) -> None:
    street = Street(_crossing(), **trouble)
    frames = street.run(12)
    assert [len(ids) for ids in street.ids] == [1, 1, 1]
    assert len({ids[0] for ids in street.ids}) == 3
    assert max(map(len, frames)) == 3  # nobody is there twice


@pytest.mark.parametrize("seed", range(4))
def test_id_is_kept_through_two_seconds_behind_somebody(seed: int) -> None:
    street, hidden = Street(_stepping_in_front(seed, hidden_s=2.0), seed=seed), 0
    for _ in range(round(5.5 * street.rate_hz)):
        street.step()
        hidden += street.hidden[1] > 0.59  # then nobody finds them
    assert hidden > 1.5 * street.rate_hz
    assert [len(ids) for ids in street.ids] == [1, 1]


@pytest.mark.parametrize("away_s", [1.0, 2.0, 5.0])
def test_id_is_kept_through_short_absences(away_s: float) -> None:
    people, duration_s = _leaving(0, away_s)
    street = Street(people)
    street.run(duration_s)
    assert [len(ids) for ids in street.ids] == [1, 1]


def test_who_carries_something_is_seen_in_every_frame_and_keeps_the_id() -> None:
    # What the depth image shows there is not the trunk, which the lifter finds behind it.
    street = Street([Walker(_to_and_fro(2.2, 0.5, 0.4), burden_m=0.48), Walker(_standing(0.9, 3.0), shirt=_BLUE)])
    frames = street.run(6)
    assert [len(ids) for ids in street.ids] == [1, 1]
    assert not _reported(frames, TrackingState.PREDICTED)


def test_who_comes_back_later_than_remembered_is_new() -> None:
    people, duration_s = _leaving(0, 4.0)
    street = Street(people, config=TrackingConfig(max_gap_s=0.5, memory_s=1.0))
    street.run(duration_s)
    assert len(street.ids[0]) == 2
    assert len(street.ids[1]) == 1


def test_somebody_else_who_comes_in_does_not_get_a_remembered_id() -> None:
    def arriving(time_s: float) -> tuple[float, float, float]:
        return 1.8 - max(time_s - 5.0, 0.0), 0.1, 2.4

    def leaving(time_s: float) -> tuple[float, float, float]:
        return max(time_s - 1.0, 0.0), 0.1, 2.4

    street = Street([Walker(leaving, shirt=_RED), Walker(arriving, shirt=_BLUE, trousers=_GREEN, height_m=1.55)])
    street.run(8)
    assert street.ids[0]
    assert street.ids[1]
    assert not set(street.ids[0]) & set(street.ids[1])


def test_unseen_person_is_predicted_with_growing_doubt_then_lost_once() -> None:
    street = Street(_leaving(0, 60.0)[0])
    frames = street.run(9)
    name = street.ids[0][0]
    mine = [[s for s in skeletons if s.id == name] for skeletons in frames]
    assert all(len(same) <= 1 for same in mine)
    states = [same[0].tracking_state for same in mine if same]
    assert [state for state, _ in itertools.groupby(states)] == [
        TrackingState.TRACKED,
        TrackingState.PREDICTED,
        TrackingState.LOST,
    ]
    assert states.count(TrackingState.LOST) == 1
    predicted = [s for s in _reported(frames, TrackingState.PREDICTED) if s.id == name]
    assert len(predicted) > street.rate_hz
    assert not any((s.states == KeypointState.MEASURED).any() for s in predicted)
    assert np.isnan(predicted[0].pixels).all()
    known = predicted[0].states != KeypointState.MISSING
    spread = [np.trace(s.covariances[known][0]) for s in predicted]
    assert all(later > earlier for earlier, later in itertools.pairwise(spread))
    (lost,) = [s for s in _reported(frames, TrackingState.LOST) if s.id == name]
    assert np.isnan(lost.positions).all()
    assert (lost.states == KeypointState.MISSING).all()


def test_ids_start_with_a_letter() -> None:
    street = Street(_crossing())
    street.run(1)
    assert all(ids[0][0].isalpha() for ids in street.ids)


def test_doubtful_people_are_reported_only_when_seen_again() -> None:
    doubtful = TrackingConfig(confirm_score=0.95)
    street = Street([Walker(_standing(0.0, 2.5))], config=doubtful)
    assert street.step() == []
    assert len(street.step()) == 1


def test_weak_detections_continue_a_person_and_begin_none() -> None:
    street = Street([Walker(_standing(0.0, 2.5))], weak=1.0)
    assert not any(street.run(1))
    street = Street([Walker(_standing(0.0, 2.5))])
    street.run(1)
    street.weak = 1.0
    assert {s.tracking_state for skeletons in street.run(5) for s in skeletons} == {TrackingState.TRACKED}


def test_velocity_is_that_of_the_body() -> None:
    street = Street([Walker(lambda t: (-0.8 + 0.5 * t, 0.1, 2.5))], noise_px=0.3)
    frames = street.run(2.5)
    assert frames[-1][0].velocity == pytest.approx([0.5, 0, 0], abs=0.1)


def test_a_panning_camera_makes_no_velocity_and_changes_no_ids() -> None:
    def pose(time_s: float) -> np.ndarray:
        angle = 0.25 * np.sin(1.5 * time_s)
        matrix = np.eye(4)
        matrix[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        return matrix

    people = [Walker(_standing(-0.3, 2.5), shirt=_RED), Walker(_standing(0.4, 3.2), shirt=_BLUE)]
    street = Street(people, world_from_camera=pose)
    frames = street.run(4)
    assert [len(ids) for ids in street.ids] == [1, 1]
    speeds = [np.linalg.norm(s.velocity) for skeletons in frames[30:] for s in skeletons]
    assert np.median(speeds) < 0.1
    blind = Street(people, world_from_camera=pose)
    blind_speeds = []
    for skeletons in (_without_pose(blind) for _ in range(60)):
        blind_speeds += [np.linalg.norm(s.velocity) for s in skeletons]
    assert np.nanmedian(blind_speeds) > 3 * np.median(speeds)  # what the camera's turn looks like without its pose


def _without_pose(street: walkers.Street) -> list[Skeleton]:
    track = street._track
    street._track = lambda frame, *rest: track(
        walkers.RgbdFrame(frame.color, frame.depth, frame.camera, frame.stamp_ns), *rest
    )
    try:
        return street.step()
    finally:
        street._track = track


def test_twelve_people_are_twelve() -> None:
    rng = np.random.default_rng(0)
    places = [(float(x) + 0.25 * (z > 5), z) for z in (4.5, 6.0) for x in np.linspace(-1.9, 1.9, 6) * z / 4.5]
    people = [Walker(_standing(x, z), shirt=tuple(int(v) for v in rng.uniform(30, 220, 3))) for x, z in places]
    street = Street(people, flicker=0.1)
    frames = street.run(3)
    seen = [ids for ids in street.ids if ids]
    assert len(seen) >= 10  # who is hidden all the time is not there
    assert all(len(ids) == 1 for ids in seen)
    assert len({ids[0] for ids in seen}) == len(seen)
    assert max(map(len, frames)) == len(seen)


def test_all_are_lost_and_forgotten_at_the_end() -> None:
    street = Street(_crossing())
    street.run(1)
    ended = street.tracker.end_all()
    assert {s.id for s in ended} == {ids[0] for ids in street.ids}
    assert {s.tracking_state for s in ended} == {TrackingState.LOST}
    assert street.tracker.tracks == []
    assert len(street.tracker.boxes) == 0
