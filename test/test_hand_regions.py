"""Tests for human/hand_regions.py: regions move, turn and grow with the picture."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.human.estimators.crops import image_from_crops
from pose_perception.human.hand_regions import (
    middle_knuckles,
    regions_along,
    regions_from_landmarks,
    regions_from_palms,
)

ANGLES = [0.0, 0.4, np.pi / 2, 3.0, -2.0]


@pytest.fixture
def hand() -> np.ndarray:
    """Return an open hand with the fingers up, shape (21, 2), px."""
    wrist = np.array([[100.0, 200.0]])
    thumb = np.array([[80.0, 190.0], [65, 175], [55, 160], [48, 148]])
    fingers = [
        np.stack([np.full(4, x), y - np.array([0, 25, 40, 52])], axis=1)
        for x, y in ((85, 145), (100, 140), (114, 143), (127, 150))
    ]
    return np.concatenate([wrist, thumb, *fingers])


def turned(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Turn points (..., 2) clockwise in the image about the origin, scale and shift them."""
    cos, sin = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[cos, sin], [-sin, cos]]) + shift


def assert_moved(region: np.ndarray, original: np.ndarray, angle: float, scale: float, shift: tuple) -> None:
    np.testing.assert_allclose(region[0, :2], turned(original[0, :2], angle, scale, shift), atol=1e-6)
    assert region[0, 2] == pytest.approx(scale * original[0, 2])
    difference = region[0, 3] - original[0, 3] - angle
    assert np.cos(difference) == pytest.approx(1.0)


@pytest.mark.parametrize("angle", ANGLES)
def test_region_from_landmarks_moves_with_the_picture(hand: np.ndarray, angle: float) -> None:
    original = regions_from_landmarks(hand[None])
    moved = regions_from_landmarks(turned(hand, angle, 1.7, (30.0, -12.0))[None])
    assert_moved(moved, original, angle, 1.7, (30.0, -12.0))


@pytest.mark.parametrize("angle", ANGLES)
def test_region_along_a_forearm_moves_with_the_picture(angle: float) -> None:
    wrist, forearm = np.array([[120.0, 80.0]]), np.array([[15.0, -40.0]])
    original = regions_along(wrist, forearm, np.array([300.0]))
    moved = regions_along(
        turned(wrist, angle, 0.6, (5.0, 9.0)), turned(forearm, angle, 0.6, (0.0, 0.0)), np.array([180.0])
    )
    assert_moved(moved, original, angle, 0.6, (5.0, 9.0))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_region_from_a_palm_turns_with_the_picture(quarters: int) -> None:
    corners, wrist, knuckle = np.array([[[60.0, 130.0], [130.0, 200.0]]]), [[95.0, 198.0]], [[98.0, 140.0]]
    original = regions_from_palms(corners.reshape(1, 4), np.array(wrist), np.array(knuckle))
    angle = quarters * np.pi / 2
    box = turned(corners, angle, 1.0, (0.0, 0.0))
    box = np.concatenate([box.min(axis=1), box.max(axis=1)], axis=1)
    ends = (turned(np.array(end), angle, 1.0, (0.0, 0.0)) for end in (wrist, knuckle))
    assert_moved(regions_from_palms(box, *ends), original, angle, 1.0, (0.0, 0.0))


@pytest.mark.parametrize("angle", ANGLES)
def test_hand_stands_upright_in_the_middle_of_its_region(hand: np.ndarray, angle: float) -> None:
    points = turned(hand, angle, 1.0, (0.0, 0.0))
    crop = image_from_crops(regions_from_landmarks(points[None]), 224)[0]
    in_crop = (points - crop[:, 2]) @ np.linalg.inv(crop[:, :2]).T
    assert (in_crop > 0).all()
    assert (in_crop < 224).all()
    assert in_crop[9, 1] < in_crop[0, 1] - 40  # the middle knuckle is above the wrist
    assert abs(in_crop[9, 0] - in_crop[0, 0]) < 10
    assert abs(in_crop.mean() - 112) < 25


def test_first_region_holds_a_stretched_hand() -> None:
    # A hand of 0.19 m at 2 m with 600 px of focal length is 57 px long.
    region = regions_along(np.array([[0.0, 0.0]]), np.array([[0.0, 50.0]]), np.array([300.0]))
    crop = image_from_crops(region, 1)[0]
    tip = (np.array([0.0, 57.0]) - crop[:, 2]) @ np.linalg.inv(crop[:, :2]).T
    wrist = (-crop[:, 2]) @ np.linalg.inv(crop[:, :2]).T
    assert 0.0 < tip[1] < 0.3 < 0.7 < wrist[1] < 1.0
    assert tip[0] == pytest.approx(0.5)


def test_hands_without_a_direction_have_a_region() -> None:
    nothing = np.zeros((1, 2))
    for region in (
        regions_along(nothing, nothing, np.array([100.0])),
        regions_from_landmarks(np.zeros((1, 21, 2))),
        regions_from_palms(np.zeros((1, 4)), nothing, nothing),
    ):
        assert np.isfinite(region).all()
        assert region[0, 2] > 0
    assert regions_from_landmarks(np.zeros((0, 21, 2))).shape == (0, 4)


def test_middle_knuckle_lies_nearer_to_the_index_finger() -> None:
    np.testing.assert_allclose(middle_knuckles(np.array([0.0, 0.0]), np.array([30.0, 3.0])), [10.0, 1.0])
