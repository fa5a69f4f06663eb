"""Tests for objects/objectron_boxes.py and objects/objectron_scale.py: boxes that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import project, rays
from pose_perception.objects.objectron_boxes import EDGES, SIGNS, fit_box, lift
from pose_perception.objects.objectron_scale import scale_from_depth

CAMERA = CameraIntrinsics(640, 480, 600.0, 590.0, 330.0, 236.0)
# From y up and z towards the viewer to the optical frame.
OPTICAL = np.diag([1.0, -1.0, -1.0])


def view(azimuth_deg: float, elevation_deg: float, tilt_deg: float = 0.0) -> FloatArray:
    """Return the rotation of a box seen from above, in the optical frame."""
    turned = Rotation.from_euler("zxy", [tilt_deg, elevation_deg, azimuth_deg], degrees=True)
    return OPTICAL @ turned.as_matrix()


def nine_points(rotation: FloatArray, center: FloatArray, size: FloatArray) -> FloatArray:
    return project(np.vstack([np.zeros(3), SIGNS * size / 2]) @ rotation.T + center, CAMERA)


def test_there_are_eight_corners_and_twelve_edges_of_three_directions() -> None:
    assert len(EDGES) == 12
    directions = np.abs(np.array([SIGNS[b] - SIGNS[a] for a, b in EDGES])).sum(axis=0)
    assert directions.tolist() == [8, 8, 8]  # four edges of length two each


def test_lifting_recovers_mediapipes_test_vector_up_to_scale() -> None:
    # epnp_test.cc: tilt 15, elevation 45, azimuth 90 degrees, 100 away, scale 50.
    rotation, center = view(90, 45, 15), np.array([0.0, 0.0, 100.0])
    points = nine_points(rotation, center, np.full(3, 50.0))

    lifted, half_axes = lift(points[1:], CAMERA)

    factor = 100.0 / lifted[2]
    np.testing.assert_allclose(lifted * factor, center, atol=1e-6)
    np.testing.assert_allclose(half_axes * factor, 25.0 * rotation, atol=1e-5)


@pytest.mark.parametrize(("azimuth", "elevation"), [(20, 30), (110, 15), (200, 60), (300, 45)])
def test_exact_points_give_the_exact_box(azimuth: float, elevation: float) -> None:
    rotation, center, size = view(azimuth, elevation), np.array([0.1, -0.05, 0.8]), np.array([0.1, 0.12, 0.28])

    box = fit_box(nine_points(rotation, center, size), CAMERA, 0.01)

    assert box is not None
    np.testing.assert_allclose(box.center * 0.8, center, atol=1e-5)
    np.testing.assert_allclose(box.size * 0.8, size, rtol=1e-3)
    np.testing.assert_allclose(box.rotation, rotation, atol=1e-3)
    assert np.linalg.det(box.rotation) == pytest.approx(1.0)
    assert box.error_px < 0.01


def test_the_covariance_says_how_far_noisy_points_lead_astray() -> None:
    rng = np.random.default_rng(0)
    rotation, center, size = view(35, 35), np.array([0.0, 0.05, 0.6]), np.array([0.1, 0.1, 0.12])
    points, sigma = nine_points(rotation, center, size), 1.5
    normalised = []
    for _ in range(100):
        box = fit_box(points + rng.normal(0, sigma, points.shape), CAMERA, sigma)
        assert box is not None
        turn = Rotation.from_matrix(rotation @ box.rotation.T).as_rotvec()
        error = np.concatenate([(center / center[2] - box.center)[:2], turn, np.log(size / center[2] / box.size)])
        normalised.append(error @ np.linalg.solve(box.covariance, error))
    assert 0.6 * 8 < np.mean(normalised) < 1.4 * 8  # 8 on average


def test_points_that_are_no_box_fit_badly() -> None:
    rng = np.random.default_rng(1)
    box = fit_box(rng.uniform(100, 300, (9, 2)), CAMERA, 1.0)
    assert box is None or box.error_px > 10


def render(shape: str, size: FloatArray, rotation: FloatArray, center: FloatArray) -> FloatArray:
    """Return the depth of something in a box on a floor, shape (480, 640), with 2 mm of noise."""
    import open3d
    import trimesh

    solid = trimesh.creation.box(size)
    if shape == "cylinder":
        upright = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
        solid = trimesh.creation.cylinder(size[0] / 2, size[1], transform=upright)
    floor = trimesh.creation.box((8.0, 0.01, 8.0))
    floor.apply_translation((0, -size[1] / 2 - 0.005, 0))
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    for mesh in (solid, floor):
        placed = (mesh.vertices @ rotation.T + center).astype(np.float32)
        scene.add_triangles(open3d.core.Tensor(placed), open3d.core.Tensor(mesh.faces.astype(np.uint32)))
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    directions = rays(np.stack([u, v], axis=-1), CAMERA)
    beams = np.concatenate([np.zeros_like(directions), directions], axis=-1).astype(np.float32)
    depth = scene.cast_rays(open3d.core.Tensor(beams))["t_hit"].numpy()
    noise = np.random.default_rng(0).normal(0, 0.002, depth.shape)
    return np.where(np.isfinite(depth), depth + noise, 0).astype(np.float32)


@pytest.mark.parametrize("shape", ["cylinder", "box"])
@pytest.mark.parametrize("distance", [0.4, 0.9])
def test_depth_tells_the_size_of_what_stands_on_a_table(shape: str, distance: float) -> None:
    size, center = np.array([0.08, 0.11, 0.08]), np.array([0.03, -0.02, distance])
    for azimuth in (10, 50, 80):
        rotation = view(azimuth, 35)
        box = fit_box(nine_points(rotation, center, size), CAMERA, 0.5)
        assert box is not None
        scale = scale_from_depth(box, render(shape, size, rotation, center), CAMERA)
        assert scale is not None
        assert scale.depth == pytest.approx(distance, rel=0.04)
        assert abs(scale.depth - distance) < 3 * scale.sigma
        assert scale.support > 0.5


def test_a_mask_keeps_what_stands_in_front_from_counting() -> None:
    size, center, rotation = np.array([0.08, 0.11, 0.08]), np.array([0.0, 0.0, 0.8]), view(30, 30)
    box = fit_box(nine_points(rotation, center, size), CAMERA, 0.5)
    assert box is not None
    depth = render("box", size, rotation, center)
    mask = depth > 0
    hidden = depth.copy()
    hidden[:, :340] = 0.4  # most of it
    mask[:, :340] = False

    scale = scale_from_depth(box, hidden, CAMERA, mask)

    assert scale is not None
    assert scale.depth == pytest.approx(0.8, rel=0.05)


def test_no_depth_is_no_scale() -> None:
    size, center, rotation = np.array([0.08, 0.11, 0.08]), np.array([0.0, 0.0, 0.8]), view(30, 30)
    box = fit_box(nine_points(rotation, center, size), CAMERA, 0.5)
    assert box is not None
    empty = np.zeros((480, 640), np.float32)
    assert scale_from_depth(box, empty, CAMERA) is None
    assert scale_from_depth(box, np.full_like(empty, np.nan), CAMERA) is None
    far = box._replace(center=np.array([3.0, 0.0, 1.0]))  # outside of the image
    assert scale_from_depth(far, np.full_like(empty, 0.8), CAMERA) is None
