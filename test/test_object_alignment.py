"""Tests for the alignment of objects with points: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import pictured, visible_points

from pose_perception.objects.alignment import SurfaceField, align
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.simulation.tabletop.shapes import random_shape

WIDTHS = np.geomspace(0.03, 0.004, 12)


class _Object:
    def __init__(self, mesh: trimesh.Trimesh) -> None:
        points, faces = trimesh.sample.sample_surface(mesh, 4000, seed=0)
        self.points, self.normals = np.asarray(points), mesh.face_normals[faces]
        self.radius = float(np.linalg.norm(mesh.extents) / 2)
        self.field = SurfaceField(self.points, self.normals, mesh.bounds.mean(0), self.radius)
        self.renderer = RaycastingRenderer(pictured(mesh))


def _pose(turn: list[float], at: list[float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] = at
    return pose


def _gap(thing: _Object, pose: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of the surface in one pose to the surface in the other: what symmetry leaves open is no error."""
    motion = np.linalg.inv(truth) @ pose
    moved = thing.points[::4] @ motion[:3, :3].T + motion[:3, 3]
    nearest = cKDTree(thing.points).query(moved)[1]
    return float(np.abs(np.einsum("pd,pd->p", moved - thing.points[nearest], thing.normals[nearest])).mean())


@pytest.mark.parametrize("seed", range(5))
def test_known_motion_of_a_random_shape_is_undone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thing = _Object(random_shape(rng).mesh)
    truth = _pose(list(rng.normal(0, 1, 3)), [0.05, -0.03, 0.7])
    points = visible_points(thing.renderer, truth, noise_m=0.001, step=3)
    # Three starts at once, the last one rather far; each turned about the origin and shifted.
    starts = []
    for size in (0.3, 0.6, 1.0):
        start = truth.copy()
        start[:3, :3] = Rotation.from_rotvec(size * 0.15 * rng.choice([-1, 1], 3)).as_matrix() @ truth[:3, :3]
        start[:3, 3] += size * 0.12 * thing.radius * rng.choice([-1, 1], 3)
        starts.append(start)
    widths = np.geomspace(0.3 * thing.radius, 0.004, 14)
    found = align(thing.field, np.stack(starts), points, widths)
    for start, pose in zip(starts, found.camera_from_object, strict=True):
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert _gap(thing, pose, truth) < 0.0015
        assert _gap(thing, pose, truth) < 0.5 * _gap(thing, start, truth)
    assert found.residual.max() < 0.003


def test_right_pose_stays_where_it_is() -> None:
    thing = _Object(trimesh.creation.box((0.12, 0.08, 0.05)))
    truth = _pose([0.5, 0.8, 0.2], [0, 0, 0.6])
    found = align(thing.field, truth[None], visible_points(thing.renderer, truth), WIDTHS)
    assert np.linalg.norm(found.camera_from_object[0, :3, 3] - truth[:3, 3]) < 0.0015
    turn = Rotation.from_matrix(found.camera_from_object[0, :3, :3] @ truth[:3, :3].T).magnitude()
    assert np.rad2deg(turn) < 1.5


def test_points_of_something_else_hardly_pull() -> None:
    thing = _Object(trimesh.creation.box((0.12, 0.08, 0.05)))
    truth = _pose([0.5, 0.8, 0.2], [0, 0, 0.6])
    own = visible_points(thing.renderer, truth, noise_m=0.001)
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.uniform(-0.15, 0.15, (len(own) // 2, 2)), np.full(len(own) // 2, 0.68)])
    start = truth.copy()
    start[:3, 3] += [0.006, -0.005, 0.006]
    found = align(thing.field, start[None], np.concatenate([own, table]), WIDTHS)
    assert np.linalg.norm(found.camera_from_object[0, :3, 3] - truth[:3, 3]) < 0.003


def test_weight_of_nothing_leaves_points_out() -> None:
    thing = _Object(trimesh.creation.box((0.12, 0.08, 0.05)))
    truth = _pose([0.5, 0.8, 0.2], [0, 0, 0.6])
    own = visible_points(thing.renderer, truth)
    wrong = own + np.array([0.004, 0.0, 0.008])
    weights = np.repeat([1.0, 0.0], len(own))
    found = align(thing.field, truth[None], np.concatenate([own, wrong]), WIDTHS, weights)
    assert np.linalg.norm(found.camera_from_object[0, :3, 3] - truth[:3, 3]) < 0.0015


def test_side_that_is_seen_head_on_leaves_its_directions_open() -> None:
    thing = _Object(trimesh.creation.box((0.2, 0.2, 0.02)))
    truth = _pose([0, 0, 0], [0, 0, 0.5])
    points = visible_points(thing.renderer, truth)
    inner = points[np.abs(points[:, :2]).max(1) < 0.07]  # the border of the side is hidden
    information = align(thing.field, truth[None], inner, WIDTHS).information[0]
    across, along = np.diag(information)[[0, 1, 5]], np.diag(information)[[2, 3, 4]]
    assert across[:2].max() < 1e-3 * along[0]
    # About the axis of sight no turn is known either; the others are.
    assert across[2] < 1e-2 * along[1:].min()


def test_can_may_turn_about_its_axis() -> None:
    thing = _Object(trimesh.creation.cylinder(0.04, 0.15, sections=96))
    truth = _pose([np.pi / 2, 0, 0], [0, 0, 0.5])  # the axis is upright in the image
    information = align(thing.field, truth[None], visible_points(thing.renderer, truth), WIDTHS).information[0]
    turns = np.diag(information)[3:]
    assert turns[1] < 0.02 * min(turns[0], turns[2])
    axis = np.linalg.eigh(information[3:, 3:])[1][:, 0]
    assert abs(axis[1]) > np.cos(np.deg2rad(5))


def test_points_on_the_side_that_is_turned_away_tell_nothing() -> None:
    # The back of a plate lies where the front was measured: it cannot have been seen, however well it fits.
    thing = _Object(trimesh.creation.box((0.2, 0.2, 0.02)))
    truth, behind = _pose([0, 0, 0], [0, 0, 0.5]), _pose([0, 0, 0], [0, 0, 0.48])
    points = visible_points(thing.renderer, truth)
    inner = points[np.abs(points[:, :2]).max(1) < 0.07]
    right, wrong = align(thing.field, np.stack([truth, behind]), inner, np.array([0.004])).information
    assert np.trace(wrong) < 1e-3 * np.trace(right)
