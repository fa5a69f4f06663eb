"""Tests for hypotheses: what a user would notice."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from pose_perception.objects.hypotheses import orientations, place, view_directions
from pose_perception.objects.symmetry import Symmetries, about

NOTHING = np.eye(4)[None]


def _gaps(found: np.ndarray, symmetries: np.ndarray, count: int = 1000) -> np.ndarray:
    """Angle from random rotations to the nearest orientation that looks the same, degrees."""
    wanted = Rotation.random(count, rng=np.random.default_rng(0)).as_matrix()
    equal = np.einsum("nij,sjk->nsik", wanted, symmetries[:, :3, :3])
    cosine = (np.einsum("nsij,kij->nsk", equal, found).max((1, 2)) - 1) / 2
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def test_views_are_even() -> None:
    for subdivisions, count, largest in ((0, 12, 38), (1, 42, 22), (2, 162, 12)):
        directions = view_directions(subdivisions)
        assert len(directions) == count
        assert np.allclose(np.linalg.norm(directions, axis=1), 1)
        wanted = np.random.default_rng(0).normal(size=(2000, 3))
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        assert np.rad2deg(np.arccos((wanted @ directions.T).max(1))).max() < largest


@pytest.mark.parametrize(("subdivisions", "turns", "most"), [(1, 4, 48), (1, 6, 40), (1, 12, 28), (2, 12, 22)])
def test_orientations_cover_all_rotations(subdivisions: int, turns: int, most: float) -> None:
    found = orientations(NOTHING, subdivisions, turns)
    assert np.allclose(found @ np.swapaxes(found, 1, 2), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(found), 1)
    assert _gaps(found, NOTHING).max() < most


def test_what_symmetry_makes_equal_is_tried_once() -> None:
    half = np.stack([np.eye(4), np.diag([-1.0, -1, 1, 1]), np.diag([-1.0, 1, -1, 1]), np.diag([1.0, -1, -1, 1])])
    around = Symmetries.from_lists([half[3]], [(np.zeros(3), np.array([0, 0, 1.0]))]).same
    everything = len(orientations(NOTHING))
    for symmetries, share in ((half, 0.5), (around, 0.15)):
        found = orientations(symmetries)
        assert len(found) < share * everything
        assert _gaps(found, symmetries).max() < 50
        assert np.median(_gaps(found, symmetries)) < 28


def test_turn_about_the_axis_of_a_can_is_not_searched() -> None:
    around = np.stack([about(np.zeros(3), np.array([0, 0, 1.0]), a) for a in np.linspace(0, 2 * np.pi, 36, False)])
    found = orientations(around)
    axes = found[:, :, 2]
    # All directions of the axis are there, each about once.
    angles = np.rad2deg(np.arccos(np.clip(axes @ axes.T, -1, 1)))
    assert np.min(angles + 180 * np.eye(len(axes))) > 15


def test_hypotheses_lie_where_the_surface_was_seen() -> None:
    ball = trimesh.creation.icosphere(3, radius=0.05)
    middle = np.array([0.1, -0.05, 0.8])
    sight = middle / np.linalg.norm(middle)
    seen = ball.vertices[ball.vertices @ sight < 0] + middle
    poses = place(orientations(NOTHING), ball.vertices, ball.vertex_normals, seen)
    assert np.linalg.norm(poses[:, :3, 3] - middle, axis=1).max() < 0.01
