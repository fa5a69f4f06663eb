"""Tests for geometry/registration.py."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.registration import DepthRegistration

DEPTH_CAMERA = CameraIntrinsics(212, 120, 106.0, 106.0, 106.0, 60.0)


def _color_camera(magnification: float) -> CameraIntrinsics:
    f = 106.0 * magnification
    return CameraIntrinsics(
        int(160 * magnification), int(100 * magnification), f, f, 80 * magnification, 50 * magnification
    )


@pytest.mark.parametrize("magnification", [0.5, 1.0, 1.6, 3.3])  # shrinks, equal, one dilation, coarse warp
def test_slanted_plane_keeps_its_equation_in_the_colour_camera(magnification: float) -> None:
    # Plane z = 2 + 0.3 x in the depth camera, moved by 5 cm along x: z = 2 + 0.3 (x - 0.05) in the colour camera.
    u = np.broadcast_to((np.arange(212) - 106.0) / 106.0, (120, 212))
    depth = (2 / (1 - 0.3 * u)).astype(np.float32)
    transform = np.eye(4)
    transform[0, 3] = 0.05
    camera = _color_camera(magnification)
    registered = DepthRegistration(DEPTH_CAMERA, camera, transform)(depth)
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    expected = np.broadcast_to((2 - 0.3 * 0.05) / (1 - 0.3 * x), registered.shape)
    assert registered.shape == (camera.height, camera.width)
    assert np.isnan(registered).mean() < 0.03
    # A colour pixel takes the value of the depth pixel that covers it: off by one depth pixel at most.
    assert np.nanmax(np.abs(registered - expected)) < 2 * 0.3 * 2.6**2 / 106


def test_near_surface_hides_the_far_one() -> None:
    depth = np.full((120, 212), 3.0, np.float32)
    depth[40:80, 90:130] = 1.0
    transform = np.eye(4)
    transform[0, 3] = 0.1  # the near square moves right by 10.6 px, the wall by 3.5 px
    registered = DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, transform)(depth)
    square = registered[42:78, 102:139]
    assert np.nanmax(square) == pytest.approx(1.0)
    assert np.isnan(registered[42:78, 94:99]).all()  # uncovered behind the square: unknown, not invented


def test_unknown_depth_stays_unknown() -> None:
    depth = np.zeros((120, 212), np.float32)
    depth[:, 100:] = np.nan
    assert np.isnan(DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, np.eye(4))(depth)).all()


def test_footprint_without_bound_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cover"):
        DepthRegistration(DEPTH_CAMERA, CameraIntrinsics(4000, 3000, 2000.0, 2000.0, 2000.0, 1500.0), np.eye(4))


def test_wrong_size_and_wrong_unit_are_refused() -> None:
    depth = np.ones((120, 212), np.float32)
    with pytest.raises(InvalidInputError, match="shape"):
        DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, np.eye(4))(depth[:100])
    with pytest.raises(InvalidInputError, match="rotation"):
        DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, np.diag([1.0, 1.0, -1.0, 1.0]))


# Baselines of devices: RealSense D435 and D455, Azure Kinect, and a colour camera beside a lidar.
@pytest.mark.parametrize("baseline_m", [0.015, 0.059, 0.032, 0.4])
def test_baseline_in_another_unit_is_refused_by_the_name_of_the_unit(baseline_m: float) -> None:
    transform = np.eye(4)
    transform[0, 3] = baseline_m
    DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, transform)
    transform[0, 3] = 1000 * baseline_m
    with pytest.raises(InvalidInputError, match="in metres, and seems to be in millimetres"):
        DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, transform)
    if baseline_m < 0.1:
        transform[0, 3] = 100 * baseline_m
        with pytest.raises(InvalidInputError, match="in metres, and seems to be in centimetres"):
            DepthRegistration(DEPTH_CAMERA, DEPTH_CAMERA, transform)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("centre", ["of the image", "of the first pixel"])
def test_depth_at_a_fraction_of_the_resolution_leaves_no_holes(factor: int, centre: str) -> None:
    """Drivers disagree whether the principal point is scaled about the corner or the centre of the first pixel."""
    width, height, f = 212 * factor, 120 * factor, 106.0 * factor
    half = 0.5 if centre == "of the image" else 0.0
    cx, cy = (factor * (value + half) - half for value in (DEPTH_CAMERA.cx, DEPTH_CAMERA.cy))
    camera = CameraIntrinsics(width, height, f, f, cx, cy)
    depth = np.random.default_rng(5).uniform(0.4, 5.0, (120, 212)).astype(np.float32)
    registered = DepthRegistration(DEPTH_CAMERA, camera, np.eye(4))(depth)
    enlarged = np.repeat(np.repeat(depth, factor, axis=0), factor, axis=1)
    shift = 0 if centre == "of the image" else factor // 2
    inside = np.roll(enlarged, (-shift, -shift), axis=(0, 1))[: height - shift, : width - shift]
    np.testing.assert_allclose(registered[: height - shift, : width - shift], inside, rtol=1e-6)


@pytest.mark.parametrize("magnification", [0.4, 1.0, 2.2])
def test_every_pixel_has_the_nearest_of_the_points_that_cover_it(magnification: float) -> None:
    rng = np.random.default_rng(4)
    depth = rng.uniform(0.5, 4.0, (120, 212)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", [3, -5, 2], degrees=True).as_matrix()
    transform[:3, 3] = 0.05, -0.03, 0.02
    camera = _color_camera(magnification)
    registered = DepthRegistration(DEPTH_CAMERA, camera, transform)(depth)
    v, u = np.nonzero(depth)
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u - 106.0) / 106.0 * z, (v - 60.0) / 106.0 * z, z], axis=1) @ transform[:3, :3].T
    points += transform[:3, 3]
    middle_u = points[:, 0] / points[:, 2] * camera.fx + camera.cx
    middle_v = points[:, 1] / points[:, 2] * camera.fy + camera.cy
    covers = math.ceil(magnification - 1e-6)
    first_u, first_v = np.ceil(middle_u - magnification / 2), np.ceil(middle_v - magnification / 2)
    differs = 0
    for row, column in rng.integers((camera.height, camera.width), size=(200, 2)):
        here = (first_u <= column) & (column < first_u + covers) & (first_v <= row) & (row < first_v + covers)
        expected = points[here, 2].min(initial=np.inf)
        differs += not np.isclose(np.nan_to_num(registered[row, column], nan=np.inf), expected, atol=1e-3)
    assert differs <= 2  # a point between two pixels may be rounded to either
