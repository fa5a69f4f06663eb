"""Tests for human/face_distance.py: a constructed face before a wall, with everything that real depth images have."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.human.face_distance import FaceDistances, measure_distances

_CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
_WALL_M = 0.35
# Landmarks of a face like half an egg, from its foremost point: x right, y down, z away, metres.
_GRID = np.stack(np.meshgrid(np.linspace(-0.065, 0.065, 18), np.linspace(-0.085, 0.085, 26)), axis=-1).reshape(-1, 2)
_INSIDE = _GRID[np.square(_GRID / [0.07, 0.09]).sum(axis=1) < 0.95]


def _relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far behind its foremost point the face lies, metres; NaN beside it."""
    return 0.09 * (
        1 - np.sqrt(np.where((x / 0.07) ** 2 + (y / 0.09) ** 2 < 1, 1 - (x / 0.07) ** 2 - (y / 0.09) ** 2, np.nan))
    )


def _image(distance: float) -> np.ndarray:
    """Return the depth image of the face straight ahead with a wall behind."""
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    x, y = ((u - 319.5) / 600 * distance, (v - 239.5) / 600 * distance)
    relief = _relief(x, y)
    return np.where(np.isnan(relief), distance + _WALL_M, distance + relief).astype(np.float32)


def _measure(depth: np.ndarray, distance: float, expected: float | None = None) -> FaceDistances:
    relief = _relief(*_INSIDE.T)
    scaled = 1 + relief / distance
    points = np.concatenate([_INSIDE, (distance + relief)[:, None]], axis=1)
    rays = points / points[:, 2:] * scaled[:, None]
    normal = np.concatenate(
        [_INSIDE / [0.07, 0.09], -np.sqrt(1 - np.square(_INSIDE / [0.07, 0.09]).sum(axis=1))[:, None]], 1
    )
    facing = -normal[:, 2] / np.linalg.norm(normal, axis=1)
    return measure_distances(depth, _CAMERA, rays[None], facing[None], np.array([expected or distance * 1.05]))


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 3.0])
def test_ideal_depth_gives_the_distance(distance: float) -> None:
    measured = _measure(_image(distance), distance)
    assert abs(measured.distance[0] - distance) < 0.005
    assert 0 < measured.sigma[0] < 0.03


@pytest.mark.parametrize("distance", [0.8, 1.5, 2.5])
def test_noise_holes_and_flying_pixels_are_outvoted(distance: float) -> None:
    rng = np.random.default_rng(0)
    errors, sigmas = [], []
    for _ in range(20):
        depth = _image(distance)
        depth += rng.normal(0, 0.0038 * distance**2, depth.shape).astype(np.float32)
        flying = rng.random(depth.shape) < 0.1
        depth[flying] += rng.uniform(0, _WALL_M, flying.sum()).astype(np.float32)
        depth[rng.random(depth.shape) < 0.3] = rng.choice([0.0, np.nan])
        measured = _measure(depth, distance)
        errors.append(measured.distance[0] - distance)
        sigmas.append(measured.sigma[0])
    assert np.abs(errors).max() < 0.02
    assert np.std(errors) < 2 * np.mean(sigmas)


@pytest.mark.parametrize("gap_m", [0.08, 0.15, 0.3])
def test_hand_in_front_does_not_draw_the_face_to_it(gap_m: float) -> None:
    distance = 1.0
    depth = _image(distance)
    depth[240:, :] = np.minimum(depth[240:, :], distance - gap_m)  # covers the lower half of the face
    assert abs(_measure(depth, distance).distance[0] - distance) < 0.015


def test_what_is_much_nearer_or_farther_than_the_face_can_be_is_not_it() -> None:
    distance = 1.5
    for other in (0.5, 3.0):
        measured = _measure(np.full((480, 640), other, np.float32), distance)
        assert np.isnan(measured.distance).all()
        assert np.isnan(measured.sigma).all()


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_no_depth_gives_no_distance(nothing: float) -> None:
    assert np.isnan(_measure(np.full((480, 640), nothing, np.float32), 1.0).distance).all()


def test_uncertainty_grows_with_distance() -> None:
    sigmas = [_measure(_image(distance), distance).sigma[0] for distance in (1.0, 2.0, 4.0)]
    assert sigmas[0] < sigmas[1] < sigmas[2]


def test_nobody_is_measured_without_complaint() -> None:
    nobody = measure_distances(_image(1.0), _CAMERA, np.zeros((0, 468, 3)), np.zeros((0, 468)), np.zeros(0))
    assert nobody.distance.shape == nobody.sigma.shape == (0,)
