"""Tests for human/hand_model.py: what constructed hands say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

import itertools

from hand_shapes import make_hand

from pose_perception.human.hand_model import (
    BONES,
    LENGTHS,
    HandSize,
    metric_shape,
    openness,
    palm_pose,
    pinch,
    surface_offsets,
)
from pose_perception.human.topology import HAND_21

AT = HAND_21.index
TOWARD_CAMERA = np.array([[0.0, 0.0, -1.0]])


def rotations(count: int) -> list[np.ndarray]:
    return list(Rotation.random(count, random_state=0).as_matrix())


@pytest.mark.parametrize("side", ["left", "right"])
def test_palm_that_faces_the_camera_has_its_back_away_from_it(side: str) -> None:
    pose = palm_pose(make_hand(side), side)
    np.testing.assert_allclose(pose[:3, 2], [0, 0, 1], atol=0.1)  # z out of the back, away from the camera
    np.testing.assert_allclose(pose[:3, 0], [0, -1, 0], atol=0.1)  # x to the fingers, up
    np.testing.assert_allclose(pose[:3, 3], 0, atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("rotation", rotations(4))
def test_palm_turns_with_the_hand(side: str, rotation: np.ndarray) -> None:
    hand = make_hand(side, curl=0.5)
    original, turned = palm_pose(hand, side), palm_pose(hand @ rotation.T + [0.1, 0.2, 0.9], side)
    np.testing.assert_allclose(turned[:3, :3], rotation @ original[:3, :3], atol=1e-9)
    assert np.linalg.det(turned[:3, :3]) == pytest.approx(1.0)
    # Fingers bend away from the back.
    tips = (hand[[AT["index_tip"], AT["ring_tip"]]] - hand[[AT["index_mcp"], AT["ring_mcp"]]]) @ original[:3, 2]
    assert (tips < -0.01).all()


def test_unknown_and_degenerate_hands_have_no_palm() -> None:
    assert palm_pose(np.full((21, 3), np.nan), "left") is None
    assert palm_pose(np.zeros((21, 3)), "right") is None
    partly = make_hand("right")
    partly[AT["pinky_mcp"]] = np.nan
    assert palm_pose(partly, "right") is None


def test_openness_falls_from_a_flat_hand_to_a_fist_whatever_the_size() -> None:
    values = [openness(make_hand("left", curl=curl)) for curl in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert values[0] > 0.97
    assert values[-1] < 0.08
    assert all(first > second for first, second in itertools.pairwise(values))
    for size in (0.7, 1.3):
        assert openness(size * make_hand("left", curl=0.5)) == pytest.approx(values[2])
    assert np.isnan(openness(np.full((21, 3), np.nan)))


def test_one_stretched_finger_makes_a_fist_a_quarter_open() -> None:
    fist, pointing = make_hand("right", curl=1.0), make_hand("right", curl=1.0)
    index = slice(AT["index_mcp"], AT["index_tip"] + 1)
    pointing[index] = make_hand("right")[index]
    assert openness(pointing) - openness(fist) == pytest.approx(0.25, abs=0.03)


def test_pinch_is_the_distance_of_the_tips() -> None:
    hand = make_hand("right")
    hand[AT["thumb_tip"]] = hand[AT["index_tip"]] + [0.0, 0.003, 0.004]
    assert pinch(hand) == pytest.approx(0.005)
    hand[AT["index_tip"]] = np.nan
    assert np.isnan(pinch(hand))


@pytest.mark.parametrize("rotation", rotations(3))
def test_metric_shape_keeps_directions_and_gives_bones_their_length(rotation: np.ndarray) -> None:
    hand = 0.4 * make_hand("left", curl=0.4) @ rotation.T + 0.3
    shape = metric_shape(hand[None])[0]
    np.testing.assert_allclose(shape[0], 0, atol=1e-12)
    for (start, end), length in list(zip(BONES, LENGTHS, strict=True))[:20]:
        along, original = shape[end] - shape[start], hand[end] - hand[start]
        assert np.linalg.norm(along) == pytest.approx(length)
        np.testing.assert_allclose(along / length, original / np.linalg.norm(original), atol=1e-9)


def test_joints_lie_deeper_in_a_hand_that_is_seen_from_the_side() -> None:
    hand = make_hand("right")
    front = surface_offsets(hand[None], TOWARD_CAMERA)[0]
    index, pinky, wrist, tip = (AT[n] for n in ("index_mcp", "pinky_mcp", "wrist", "middle_tip"))
    assert 0.008 < front[index] < 0.02
    assert front[tip] < front[index]
    beside = surface_offsets(hand[None], np.array([[1.0, 0.0, 0.0]]))[0]  # from the thumb's side
    assert beside[pinky] > beside[index] + 0.04
    assert beside[wrist] > front[wrist]
    for rotation in rotations(3):
        turned = surface_offsets((hand @ rotation.T)[None], TOWARD_CAMERA @ rotation.T)[0]
        np.testing.assert_allclose(turned, front, atol=1e-4)


def test_size_is_learned_from_many_frames_and_not_from_one() -> None:
    size = HandSize()
    before = size.sigma
    size.learn(1.2)
    assert size.mean < 1.05
    for _ in range(60):
        size.learn(1.2)
    assert size.mean == pytest.approx(1.2, abs=0.02)
    assert size.sigma < 0.5 * before
    for impossible in (np.nan, 0.1, 5.0):
        size.learn(impossible)
    assert size.mean == pytest.approx(1.2, abs=0.02)
