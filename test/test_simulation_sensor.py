"""Tests for simulation/sensor.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.simulation.renderer import Rendering
from pose_perception.simulation.sensor import Sensor, SensorConfig, to_millimetres

CAMERA = CameraIntrinsics(640, 480, 615.0, 615.0, 319.5, 239.5)
# Nothing is lost and nothing is rounded but to millimetres: what remains is the disparity noise.
ONLY_NOISE = {"holes": 0.0, "flying": 0.0, "edge_dropout": 0.0, "occlusion": False}


def picture(depth: np.ndarray, facing: float = 1.0, reflectance: float = 0.9) -> Rendering:
    depth = depth.astype(np.float32)
    return Rendering(
        color=np.full((*depth.shape, 3), 100, np.uint8),
        depth=depth,
        instances=np.zeros(depth.shape, np.uint8),
        parts=np.zeros(depth.shape, np.uint8),
        facing=np.full(depth.shape, facing, np.float32),
        reflectance=np.full(depth.shape, reflectance, np.float32),
    )


def observe_depth(config: SensorConfig, seen: Rendering, seed: int = 0) -> np.ndarray:
    return Sensor(config, CAMERA).observe(seen, np.random.default_rng(seed))[1] / 1000.0


@pytest.mark.parametrize("depth", [1.0, 2.0, 4.0])
def test_depth_noise_follows_the_model(depth: float) -> None:
    config = SensorConfig(**ONLY_NOISE)
    # The ramp spreads the pixels over many disparity steps: one plane alone would see the rounding as a bias.
    plane = depth + np.linspace(-0.02, 0.02, 240)[:, None] * depth * np.ones((1, 320))
    error = observe_depth(config, picture(plane)) - plane
    assert np.std(error) == pytest.approx(config.depth_sigma_m(depth), rel=0.07)
    assert abs(np.mean(error)) < 0.15 * config.depth_sigma_m(depth)


def test_depth_noise_grows_with_the_square_of_the_distance() -> None:
    config = SensorConfig()
    assert config.depth_sigma_m(4.0) == pytest.approx(16 * config.depth_sigma_m(1.0))
    # The published error of a D435: below 2 % of 2 m.
    assert 0.005 < config.depth_sigma_m(2.0) < 0.04


def test_neighbours_share_their_error() -> None:
    plane = np.full((240, 320), 2.0)
    error = observe_depth(SensorConfig(**ONLY_NOISE), picture(plane)) - plane
    beside = np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1]
    far = np.corrcoef(error[:, :-20].ravel(), error[:, 20:].ravel())[0, 1]
    assert beside > 0.5
    assert abs(far) < 0.1


def test_what_is_out_of_range_has_no_depth() -> None:
    depth = np.repeat([0.1, 1.0, 12.0, np.inf], 50)[None] * np.ones((40, 1))
    measured = observe_depth(SensorConfig(**ONLY_NOISE), picture(depth))
    assert (measured[:, :50] == 0).all()
    assert (measured[:, 55:95] > 0.9).all()
    assert (measured[:, 100:] == 0).all()


def test_the_background_left_of_a_person_is_seen_by_one_imager_only() -> None:
    depth = np.full((60, 200), 4.0)
    depth[:, 80:120] = 2.0
    config = SensorConfig(holes=0.0, flying=0.0, edge_dropout=0.0)
    lost = observe_depth(config, picture(depth)) == 0
    band = CAMERA.fx * config.baseline_m * (1 / 2.0 - 1 / 4.0)  # difference of the disparities, px
    assert lost.any(axis=0).nonzero()[0].max() == 79
    assert lost.sum() / 60 == pytest.approx(band, abs=1.0)


def test_edges_have_holes_and_flying_pixels() -> None:
    depth = np.full((60, 200), 4.0)
    depth[:, 100:] = 2.0
    config = SensorConfig(holes=0.0, occlusion=False)
    measured = observe_depth(config, picture(depth))
    edge, elsewhere = measured[:, 99:101], np.delete(measured, [98, 99, 100, 101], axis=1)
    assert (edge == 0).mean() == pytest.approx(config.edge_dropout, abs=0.12)
    assert ((edge > 2.3) & (edge < 3.5)).mean() > 0.05
    assert ((elsewhere > 1.8) & ((elsewhere < 2.2) | (elsewhere > 3.5))).all()


def test_holes_grow_on_dark_and_grazing_surfaces() -> None:
    plane, config = np.full((240, 320), 2.0), SensorConfig()
    bright = (observe_depth(config, picture(plane)) == 0).mean()
    dark = (observe_depth(config, picture(plane, reflectance=0.3)) == 0).mean()
    grazing = (observe_depth(config, picture(plane, facing=0.05)) == 0).mean()
    assert bright == pytest.approx(config.holes, abs=0.01)
    assert dark > 10 * config.holes
    assert grazing > 10 * config.holes


def test_the_same_seed_gives_the_same_images() -> None:
    sensor, seen = Sensor(SensorConfig(), CAMERA), picture(np.full((48, 64), 2.0))
    first, again, other = (sensor.observe(seen, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_depth_that_does_not_fit_into_16_bits_is_missing() -> None:
    assert to_millimetres(np.array([0.0, 1.2344, 65.535, 65.6, np.inf])).tolist() == [0, 1234, 65535, 0, 0]
