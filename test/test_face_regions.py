"""Tests for human/face_regions.py: properties of regions around faces, and heads that turn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.human.face_regions import regions_from_keypoints, regions_from_landmarks

# Nose, eyes, ears, shoulders, and the top of the forehead and the chin: x to the right of the image, y down, z away.
_HEAD = np.array(
    [
        *([0.0, 0.04, -0.035], [0.032, 0.0, 0.0], [-0.032, 0.0, 0.0], [0.075, 0.02, 0.085], [-0.075, 0.02, 0.085]),
        *([0.18, 0.25, 0.1], [-0.18, 0.25, 0.1], [0.0, -0.053, 0.0], [0.0, 0.116, 0.01]),
    ]
)
_PX_PER_M = 400.0


def _seen(yaw_deg: float, pitch_deg: float = 0.0) -> np.ndarray:
    """Return the points of the head in an image, shape (9, 2), px; shoulders do not turn."""
    turned = Rotation.from_euler("yx", [yaw_deg, pitch_deg], degrees=True).apply(_HEAD)
    turned[5:7] = _HEAD[5:7]
    return turned[:, :2] * _PX_PER_M + [200.0, 150.0]


def _region(points: np.ndarray) -> np.ndarray:
    return regions_from_keypoints(points[None, :5], points[None, 5:7])[0]


@pytest.mark.parametrize("yaw_deg", [0, 25, -50, 80, -90])
@pytest.mark.parametrize("pitch_deg", [-20, 0, 25])
def test_region_holds_the_face_however_the_head_is_turned(yaw_deg: float, pitch_deg: float) -> None:
    points = _seen(yaw_deg, pitch_deg)
    x, y, side, rotation = _region(points)
    assert abs(np.rad2deg(rotation)) < 35  # heads in profile lean sideways by the pitch
    face = points[[0, 1, 2, 7, 8]]
    assert (np.abs(face - [x, y]).max(axis=1) < side / 2).all()
    assert 1.2 < side / (0.17 * _PX_PER_M) < 1.9


@pytest.mark.parametrize("angle_deg", [30, 90, 180, -75])
def test_region_turns_with_the_image(angle_deg: float) -> None:
    points = _seen(20)
    turn = Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()[:2, :2]
    before, after = _region(points), _region(points @ turn.T)
    np.testing.assert_allclose(after[:2], turn @ before[:2], atol=1e-6)
    assert after[2] == pytest.approx(before[2])
    difference = after[3] - before[3] - np.deg2rad(angle_deg)
    assert np.cos(difference) == pytest.approx(1.0)


def test_mirrored_person_has_the_mirrored_region() -> None:
    points = _seen(35, 10)
    mirrored = points[[0, 2, 1, 4, 3, 6, 5, 7, 8]] * [-1, 1]
    np.testing.assert_allclose(_region(mirrored), _region(points) * [-1, 1, 1, -1], atol=1e-9)


@pytest.mark.parametrize("yaw_deg", [180, 150, -160])
def test_back_of_a_head_is_no_face(yaw_deg: float) -> None:
    assert np.isnan(_region(_seen(yaw_deg))).all()


def test_ear_that_is_not_seen_hardly_matters() -> None:
    points = _seen(40)
    whole = _region(points)
    points[4] = np.nan  # the one behind the head
    part = _region(points)
    assert np.linalg.norm(part[:2] - whole[:2]) < 0.15 * whole[2]
    assert 0.75 < part[2] / whole[2] < 1.33


def test_two_keypoints_are_too_few() -> None:
    points = _seen(0)
    points[[0, 3, 4]] = np.nan
    assert np.isnan(_region(points)).all()


def test_region_of_landmarks_is_level_with_the_eyes_and_half_as_large_again() -> None:
    rng = np.random.default_rng(3)
    landmarks = rng.uniform([-50, -60], [50, 60], (1, 468, 2))
    landmarks[0, 33], landmarks[0, 263] = [-30, 0], [30, 0]
    turn = Rotation.from_euler("z", 0.4).as_matrix()[:2, :2]
    x, y, side, rotation = regions_from_landmarks(landmarks @ turn.T + [300, 200])[0]
    low, high = landmarks[0].min(axis=0), landmarks[0].max(axis=0)
    np.testing.assert_allclose([x, y], turn @ ((low + high) / 2) + [300, 200])
    assert side == pytest.approx(1.5 * (high - low).max())
    assert rotation == pytest.approx(0.4)
