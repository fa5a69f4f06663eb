"""Tests for human/hand_palms.py on a real hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import WeightsError
from pose_perception.human.hand_palms import Palms, find_palms
from pose_perception.networks.runtime import Network, load_network
from pose_perception.recording.images import read_color

# The raised right hand of the sitting man in the first picture: its wrist, and the first knuckle of its middle finger.
WRIST, KNUCKLE = np.array([[192.0, 199.0]]), np.array([[180.0, 182.0]])
SIDE, REACH = np.array([170.0]), np.array([40.0])


@pytest.fixture(scope="module")
def network() -> Network:
    try:
        return load_network("palm_detector_lite", "cpu")
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def picture(shared_data: Path) -> np.ndarray:
    return read_color(min((shared_data / "rgbd_two_people" / "color").glob("*.png")))


def turned_about(points: np.ndarray, quarters: int, size: tuple[int, int]) -> np.ndarray:
    """Return where points (N, 2) of a picture of (height, width) are after `np.rot90(picture, quarters)`."""
    height, width = size
    for _ in range(quarters):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        height, width = width, height
    return points


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_palm_is_found_however_the_camera_is_turned(network: Network, picture: np.ndarray, quarters: int) -> None:
    color = np.ascontiguousarray(np.rot90(picture, quarters))
    wrist, knuckle = (turned_about(points, quarters, picture.shape[:2]) for points in (WRIST, KNUCKLE))
    palms = find_palms(network, color, wrist, SIDE, REACH)
    assert palms.scores[0] > 0.5
    assert np.linalg.norm(palms.wrists - wrist) < 12
    assert np.linalg.norm(palms.knuckles - knuckle) < 12
    assert (palms.boxes[0, :2] < knuckle[0] + 5).all()
    assert (palms.boxes[0, 2:] > knuckle[0] - 5).all()


def test_palm_stays_in_place_when_the_search_moves(network: Network, picture: np.ndarray) -> None:
    shifts = np.array([[0, 0], [12, -7], [-9, 15], [5, 20]])
    palms = find_palms(network, picture, WRIST + shifts, np.repeat(SIDE, 4) * [1, 1.1, 0.9, 1], np.repeat(REACH, 4))
    assert (palms.scores > 0.5).all()
    assert np.ptp(palms.wrists, axis=0).max() < 8


def test_where_no_hand_is_none_is_found(network: Network, picture: np.ndarray) -> None:
    wall = np.array([[60.0, 120.0], [330.0, 120.0], [-400.0, 2000.0]])
    palms = find_palms(network, picture, wall, np.repeat(SIDE, 3), np.repeat(REACH, 3))
    assert (palms.scores == 0).all()


def test_hand_of_somebody_else_is_not_taken(network: Network, picture: np.ndarray) -> None:
    beside = WRIST + np.array([60.0, 0.0])
    assert find_palms(network, picture, beside, SIDE, REACH).scores[0] == 0
    assert find_palms(network, picture, beside, SIDE, np.array([90.0])).scores[0] > 0.5


def test_no_wrists_give_no_palms(network: Network, picture: np.ndarray) -> None:
    nothing: Palms = find_palms(network, picture, np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    assert nothing.boxes.shape == (0, 4)
    assert nothing.scores.shape == (0,)
