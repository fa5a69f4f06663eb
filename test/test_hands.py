"""Tests for human/hands.py: when hands are looked at, whose they are, and what is said where little is known."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hand_scenes import WALL_M, Scene, estimator, sitting_person, two_people_in

from pose_perception.datatypes import CameraIntrinsics, KeypointState, RgbdFrame, TrackingState
from pose_perception.errors import ConfigurationError
from pose_perception.human.hands import HandsConfig
from pose_perception.human.topology import BODY_33, COCO_17, Topology


@pytest.fixture(scope="module")
def two_people(shared_data: Path) -> Scene:
    return two_people_in(shared_data / "rgbd_two_people")


def test_rate_is_kept_by_stamps(two_people: Scene) -> None:
    frame, people = two_people[0]
    hands = estimator(rate_hz=10.0)
    looks = []
    jitter_ns = np.random.default_rng(0).integers(-3_000_000, 3_000_000, 30)
    for i in range(30):  # one second at 30 Hz
        stamped = replace(frame, stamp_ns=round(i * 1e9 / 30) + int(jitter_ns[i]) + 10_000_000)
        looks.append(any(hands.process(stamped, people)))
    assert 9 <= sum(looks) <= 11
    assert not any(first and second for first, second in itertools.pairwise(looks))
    # Another recording begins at once.
    assert any(hands.process(replace(frame, stamp_ns=0), people))


def test_every_image_is_looked_at_when_the_rate_is_zero(two_people: Scene) -> None:
    frame, people = two_people[0]
    hands = estimator()
    assert all(any(hands.process(replace(frame, stamp_ns=i), people)) for i in range(3))


def test_two_skeletons_do_not_share_one_hand(two_people: Scene) -> None:
    frame, people = two_people[4]
    sitting = sitting_person(people)
    # Somebody else's right wrist was put there, too, a little beside.
    twin = replace(sitting, id="twin", pixels=sitting.pixels + np.array([14.0, 10.0]))
    rows = estimator().process(frame, [sitting, twin])
    assert [len([hand for own in rows for hand in own if hand.side == side]) for side in ("left", "right")] == [1, 1]
    assert len(rows[0]) == 2


def test_hidden_hand_is_not_a_copy_of_the_other(two_people: Scene) -> None:
    frame, people = two_people[4]
    sitting = sitting_person(people)
    pixels = sitting.pixels.copy()
    for joint in ("elbow", "wrist", "index", "pinky", "thumb"):
        # The left arm is taken for the right one.
        pixels[BODY_33.index[f"left_{joint}"]] = pixels[BODY_33.index[f"right_{joint}"]] + 3.0
    own = estimator().process(frame, [replace(sitting, pixels=pixels)])[0]
    assert [hand.side for hand in own] == ["right"]


def test_nothing_is_found_on_walls_and_in_darkness(two_people: Scene) -> None:
    frame, people = two_people[4]
    dark = replace(frame, color=np.zeros_like(frame.color))
    assert not any(estimator().process(dark, people))
    moved = [replace(person, pixels=person.pixels - [500.0, 0.0]) for person in people]
    assert not any(estimator().process(frame, moved))


def test_skeletons_without_hands_to_look_at_have_none(two_people: Scene) -> None:
    frame, people = two_people[4]
    assert estimator().process(frame, []) == []
    unseen = [replace(person, scores=np.zeros_like(person.scores)) for person in people]
    nowhere = [replace(person, pixels=np.full_like(person.pixels, np.nan)) for person in people]
    lost = [replace(person, tracking_state=TrackingState.LOST) for person in people]
    for crowd in (unseen, nowhere, lost):
        assert estimator().process(frame, crowd) == [()] * len(people)
    trunk_only = Topology("trunk", ("left_hip", "right_hip"), ())
    hips = [
        replace(
            person,
            **{key: getattr(person, key)[11:13] for key in ("pixels", "scores", "positions", "covariances", "states")},
        )
        for person in people
    ]
    assert estimator(trunk_only).process(frame, hips) == [()] * len(people)


def test_seventeen_keypoints_are_enough(two_people: Scene) -> None:
    frame, people = two_people[4]
    keys = ("pixels", "scores", "positions", "covariances", "states")
    coco = [replace(person, **{key: getattr(person, key)[:17] for key in keys}) for person in people]
    full, part = estimator().process(frame, people), estimator(COCO_17).process(frame, coco)
    assert [[hand.side for hand in own] for own in part] == [[hand.side for hand in own] for own in full]


@pytest.mark.parametrize("edge", ["left", "top"])
def test_hand_at_the_border_of_the_image(two_people: Scene, edge: str) -> None:
    frame, people = two_people[4]
    sitting = sitting_person(people)
    whole = next(hand for hand in estimator().process(frame, [sitting])[0] if hand.side == "right")
    # The image is cut through the hand.
    low = np.ceil(np.sort(whole.pixels, axis=0)[6]).astype(int) * (edge == "left", edge == "top")
    camera = frame.camera
    cut = RgbdFrame(
        np.ascontiguousarray(frame.color[low[1] :, low[0] :]),
        np.ascontiguousarray(frame.depth[low[1] :, low[0] :]),
        CameraIntrinsics(
            camera.width - low[0], camera.height - low[1], camera.fx, camera.fy, camera.cx - low[0], camera.cy - low[1]
        ),
    )
    for hand in estimator().process(cut, [replace(sitting, pixels=sitting.pixels - low)])[0]:
        outside = (hand.pixels < -3).any(axis=1)
        assert (hand.states[outside] != KeypointState.MEASURED).all()
        known = hand.states != KeypointState.MISSING
        assert (hand.positions[known, 2] < WALL_M).all()


@pytest.mark.parametrize("depth", [None, np.nan, 0.0])
def test_without_depth_hands_are_inferred(two_people: Scene, depth: float | None) -> None:
    frame, people = two_people[4]
    empty = None if depth is None else np.full_like(frame.depth, depth)
    rows = estimator().process(replace(frame, depth=empty), people)
    hands = [hand for own in rows for hand in own]
    assert len(hands) >= 2
    for hand in hands:
        assert KeypointState.MEASURED not in hand.states
    unknown = [
        replace(
            person,
            positions=np.full_like(person.positions, np.nan),
            covariances=np.full_like(person.covariances, np.nan),
        )
        for person in people
    ]
    for hand in (hand for own in estimator().process(replace(frame, depth=empty), unknown) for hand in own):
        assert (hand.states == KeypointState.MISSING).all()
        assert np.isnan(hand.positions).all()
        assert hand.camera_from_palm is None
        assert np.isnan([hand.pinch, hand.openness]).all()
        assert np.isfinite(hand.pixels).all()


def test_reset_forgets_earlier_frames(two_people: Scene) -> None:
    frame, people = two_people[4]
    hands = estimator()
    first = hands.process(frame, people)
    for earlier, persons in two_people[:4]:
        hands.process(earlier, persons)
    hands.reset()
    again = hands.process(frame, people)
    for one, other in zip(first, again, strict=True):
        for hand, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(hand.pixels, same.pixels)
            np.testing.assert_array_equal(hand.positions, same.positions)


@pytest.mark.parametrize(
    "options", [{"rate_hz": -1.0}, {"min_score": 0.0}, {"min_score": float("nan")}, {"network": "huge"}]
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        HandsConfig(**options)
