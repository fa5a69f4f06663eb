"""Tests for hypotheses from pairs of points: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import INTRINSICS, photograph, visible_points

from pose_perception.objects.crops import Observation
from pose_perception.objects.model import ObjectModel, make_model
from pose_perception.objects.point_pairs import PointPairs, observed_normals, paired_poses
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.registration import Registration, RegistrationConfig, SearchedModel
from pose_perception.objects.verification import glance


@pytest.fixture(scope="module")
def searched() -> SearchedModel:
    """A block with a smaller one on one corner and a rod at the other end: no two views are alike."""
    parts = [trimesh.creation.box((0.12, 0.07, 0.04)), trimesh.creation.box((0.05, 0.03, 0.05))]
    parts.append(trimesh.creation.cylinder(0.012, 0.08, sections=32))
    parts[1].apply_translation([0.035, 0.02, 0.045])
    parts[2].apply_translation([-0.04, -0.015, 0.06])
    return SearchedModel(make_model(trimesh.util.concatenate(parts), "block"))


def _pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(rng=rng).as_matrix()
    pose[:3, 3] = [*rng.uniform(-0.1, 0.1, 2), 0.6]
    return pose


def _errors(model: ObjectModel, poses: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn in degrees and shift of the middle in metres of each hypothesis."""
    turns = Rotation.from_matrix(poses[:, :3, :3] @ truth[:3, :3].T).magnitude()
    middle = truth[:3, :3] @ model.center + truth[:3, 3]
    shift = np.linalg.norm(poses[:, :3, :3] @ model.center + poses[:, :3, 3] - middle, axis=1)
    return np.rad2deg(turns), shift


def _noisy(seen: Observation, noise_m: float, seed: int) -> Observation:
    noise = np.random.default_rng(seed).normal(0, noise_m, seen.depth.shape)
    return Observation(seen.image, np.float32(seen.depth + noise), seen.intrinsics)


def _points(seen: Observation, where: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(where)
    z = seen.depth[rows, columns].astype(np.float64)
    fx, fy, cx, cy = seen.intrinsics
    return np.stack([(columns - cx) / fx * z, (rows - cy) / fy * z, z], axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_partly_hidden_object_is_among_the_hypotheses(searched: SearchedModel, seed: int) -> None:
    model, truth = searched.model, _pose(seed)
    shown = searched.renderer.render(truth[None], INTRINSICS[None], (480, 640)).mask[0]
    left = int(np.quantile(np.nonzero(shown)[1], 0.3))
    wall = photograph(searched.renderer, truth, occluder=(slice(0, 480), slice(0, left), 0.45))
    seen = _noisy(wall, 0.001, seed)
    # 70 % of the object, and many points of what hides it.
    own = shown & (np.arange(640) >= left)
    other = shown & (np.arange(640) < left)
    other[:, left - 60 : left] |= shown.any(1)[:, None]
    points = np.concatenate([_points(seen, own), _points(seen, other)])
    poses = paired_poses(searched.pairs, seen, points, model.radius, 2000)
    turn, shift = _errors(model, poses, truth)
    near = (turn < 20) & (shift < 0.015)
    # A glance tells them from the rest.
    score = glance(poses, model.points, model.normals, model.radius, seen, None)
    assert near[np.argsort(-score)[:100]].any()


@pytest.mark.parametrize("seed", range(3))
def test_search_starts_from_what_pairs_found(searched: SearchedModel, seed: int) -> None:
    truth = _pose(10 + seed)
    seen = photograph(searched.renderer, truth)
    points = _points(seen, seen.depth < 0.9)
    registration = Registration(None, RegistrationConfig(pairs=40))
    # Hardly a view is tried.
    alone = SearchedModel(searched.model, turns=1)
    alone.orientations = alone.orientations[:1]
    found = registration.propose(alone, seen, points, None)
    turn, shift = _errors(searched.model, found.camera_from_object, truth)
    assert ((turn < 5) & (shift < 0.004))[:3].any()


def test_pairs_of_the_model_lie_upon_those_that_were_seen(searched: SearchedModel) -> None:
    model, truth = searched.model, _pose(20)
    points = model.points[5::11] @ truth[:3, :3].T + truth[:3, 3]
    normals = model.normals[5::11] @ truth[:3, :3].T
    poses = searched.pairs.poses(points, normals, 500, np.random.default_rng(0))
    assert poses.shape == (500, 4, 4)
    assert np.allclose(poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(poses[:, :3, :3]), 1)
    turn, shift = _errors(model, poses, truth)
    # Without noise every tenth draw or so is right; by chance it would be one of ten thousand.
    assert ((turn < 15) & (shift < 0.015)).mean() > 0.02


def test_same_points_give_the_same_hypotheses(searched: SearchedModel) -> None:
    seen = photograph(searched.renderer, _pose(1))
    points = _points(seen, seen.depth < 0.9)
    first, second = (paired_poses(searched.pairs, seen, points, searched.model.radius, 200) for _ in range(2))
    assert np.array_equal(first, second)


def test_normals_point_out_of_what_was_seen() -> None:
    ball = RaycastingRenderer(make_model(trimesh.creation.icosphere(4, radius=0.05), "ball").surface)
    truth = np.eye(4)
    truth[:3, 3] = [0.05, -0.02, 0.6]
    seen = _noisy(photograph(ball, truth), 0.0005, 0)
    points = visible_points(ball, truth)
    outward = (points - truth[:3, 3]) / 0.05
    inner = outward[:, 2] < -0.5  # the border is where the wall begins
    normals = observed_normals(seen, points[inner], 0.087)
    angle = np.rad2deg(np.arccos(np.einsum("nd,nd->n", normals, outward[inner])))
    assert np.median(angle) < 4
    assert np.quantile(angle, 0.95) < 10


def test_no_normal_where_nothing_was_measured() -> None:
    seen = Observation(np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.float32), INTRINSICS)
    for nothing in (0.0, np.nan, np.inf):
        seen.depth[:] = nothing
        normals = observed_normals(seen, np.array([[0, 0, 0.5], [5.0, 5.0, 0.5]]), 0.05)
        assert np.isnan(normals).all()


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.icosphere(3, radius=0.05),  # any turn is as good as another
        trimesh.creation.box((0.1, 0.07, 0.0001)),  # a card
        trimesh.creation.box((0.3, 0.02, 0.02)),
    ],
    ids=["ball", "card", "bar"],
)
def test_simple_shapes_have_finite_hypotheses(mesh: trimesh.Trimesh) -> None:
    searched = SearchedModel(make_model(mesh, "simple"))
    truth = _pose(3)
    seen = photograph(searched.renderer, truth)
    points = _points(seen, seen.depth < 0.9)
    poses = paired_poses(searched.pairs, seen, points, searched.model.radius, 300)
    assert np.isfinite(poses).all()
    found = Registration(None, RegistrationConfig()).propose(searched, seen, points, None)
    assert np.isfinite(found.camera_from_object).all()
    assert found.score[0] > 0.8


def test_card_is_recognised_from_behind() -> None:
    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.06, 0], [0, 0.03, 0]]) - [0.05, 0.02, 0]
    card = make_model(trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False), "card")
    assert card.is_sheet
    pairs = PointPairs(card.points, card.normals, card.diameter, two_sided=True)
    for flip in (np.eye(3), np.diag([1.0, -1.0, -1.0])):
        points = card.points[::16] @ flip + [0, 0, 0.5]
        normals = np.tile([0, 0, -1.0], (len(points), 1))
        poses = pairs.poses(points, normals, 200, np.random.default_rng(0))
        assert len(poses) == 200
        moved = card.points @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
        assert np.abs(moved[..., 2] - 0.5).max() < 1e-6
        turn = Rotation.from_matrix(poses[:, :3, :3] @ flip).magnitude()
        assert np.rad2deg(turn.min()) < 15


def test_nothing_alike_gives_no_hypotheses(searched: SearchedModel) -> None:
    seen = photograph(searched.renderer, _pose(0))
    # Points too near to each other for pairs, of another size altogether, or none at all.
    close = np.array([0, 0, 0.6]) + np.random.default_rng(0).uniform(-0.002, 0.002, (50, 3))
    far = np.array([[-1.0, 0, 2], [1, 0, 2], [0, 1, 2]])
    for points in (close, far, close[:1], np.empty((0, 3))):
        normals = np.tile([0, 0, -1.0], (len(points), 1))
        assert searched.pairs.poses(points, normals, 10, np.random.default_rng(0)).shape == (0, 4, 4)
        assert len(paired_poses(searched.pairs, seen, points, searched.model.radius, 10)) in (0, 10)
    nothing = Observation(seen.image, np.zeros_like(seen.depth), seen.intrinsics)
    assert len(paired_poses(searched.pairs, nothing, far, searched.model.radius, 10)) == 0


def test_search_without_pairs_is_possible(searched: SearchedModel) -> None:
    truth = _pose(2)
    seen = photograph(searched.renderer, truth)
    points = _points(seen, seen.depth < 0.9)
    found = Registration(None, RegistrationConfig(pairs=0)).propose(searched, seen, points, None)
    turn, _ = _errors(searched.model, found.camera_from_object, truth)
    assert turn.min() < 20
