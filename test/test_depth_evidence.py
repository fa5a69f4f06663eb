"""Tests for human/depth_evidence.py."""

import numpy as np
import pytest

from pose_perception.human.depth_evidence import choose_layer, sample_patches, trunk_depth


def _image(value: float = 4.0) -> np.ndarray:
    return np.full((120, 160), value, np.float32)


def _choose(
    image: np.ndarray, pixel: tuple[float, float], expected: float, nearest: bool = True
) -> tuple[float, float]:
    samples = sample_patches(image, np.array([pixel]), np.array([4.0]))
    depth, sigma = choose_layer(samples, np.array([expected]), np.array([0.5]), np.array([nearest]))
    return float(depth[0]), float(sigma[0])


def test_limb_in_front_of_a_wall_wins_although_it_fills_less_than_half_of_the_patch() -> None:
    image = _image()
    image[:, 78:81] = 2.0  # three of nine columns
    assert _choose(image, (79.0, 60.0), expected=2.1)[0] == pytest.approx(2.0)


def test_wall_next_to_a_limb_is_never_taken() -> None:
    assert np.isnan(_choose(_image(), (79.0, 60.0), expected=2.1)[0])


def test_single_flying_pixels_are_not_believed() -> None:
    image = _image()
    image[60, 80] = 2.0
    assert np.isnan(_choose(image, (80.0, 60.0), expected=2.0)[0])


def test_trunk_behind_an_arm_is_found_behind_it() -> None:
    image = _image(2.3)
    image[:, 80:] = 2.0  # an arm covers half of the patch
    assert _choose(image, (80.0, 60.0), expected=2.35, nearest=False)[0] == pytest.approx(2.3)
    assert _choose(image, (80.0, 60.0), expected=2.35, nearest=True)[0] == pytest.approx(2.0)


def test_holes_and_the_outside_of_the_image_are_no_samples() -> None:
    image = _image(0.0)
    image[:60] = np.nan
    samples = sample_patches(image, np.array([[80.0, 60.0], [-50.0, 60.0], [np.nan, 3.0]]), np.full(3, 4.0))
    assert np.isnan(samples).all()


def test_spread_tells_noise() -> None:
    image = _image(2.0) + np.random.default_rng(0).normal(0, 0.01, (120, 160)).astype(np.float32)
    depth, sigma = _choose(image, (80.0, 60.0), expected=2.0)
    assert depth == pytest.approx(2.0, abs=0.005)
    assert sigma == pytest.approx(0.01, rel=0.4)


def test_trunk_depth_is_the_chest_not_the_arm_across_it() -> None:
    image = _image()
    image[20:100, 40:120] = 2.4
    image[50:60, 40:120] = 2.0
    corners = np.array([[[110, 25], [50, 25], [105, 95], [55, 95]]], float)
    assert trunk_depth(image, corners)[0] == pytest.approx(2.4)
    assert np.isnan(trunk_depth(_image(0.0), corners)[0])
