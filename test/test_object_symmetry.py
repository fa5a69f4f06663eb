"""Tests for symmetries of objects: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import painted_box

from pose_perception.errors import InvalidInputError
from pose_perception.objects.model import make_model
from pose_perception.objects.symmetry import STEPS, Symmetries, about, find_symmetries


def _cup(handle: bool = True) -> trimesh.Trimesh:
    profile = [[0, 0], [0.03, 0], [0.04, 0.09], [0.036, 0.09], [0.027, 0.004], [0, 0.004]]
    body = trimesh.creation.revolve(np.array(profile), sections=48)
    if not handle:
        return body
    ring = trimesh.creation.torus(0.025, 0.006)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    ring.apply_translation([0.045, 0, 0.045])
    return trimesh.util.concatenate([body, ring])


SHAPES = {
    # mesh, number of motions that change nothing, whether it is a surface of revolution
    "box": (trimesh.creation.box((0.12, 0.08, 0.05)), 4, False),
    "painted box": (painted_box(), 1, False),
    "square bar": (trimesh.creation.box((0.12, 0.05, 0.05)), 8, False),
    "cube": (trimesh.creation.box((0.08, 0.08, 0.08)), 24, False),
    "cylinder": (trimesh.creation.cylinder(0.04, 0.12, sections=64), 2 * STEPS, True),
    "cone": (trimesh.creation.cone(0.04, 0.12, sections=64), STEPS, True),
    "cup": (_cup(handle=False), STEPS, True),
    "cup with handle": (_cup(), 1, False),
    "sphere": (trimesh.creation.icosphere(4, radius=0.05), 2 * STEPS, True),
}


def _check(mesh: trimesh.Trimesh, count: int, revolution: bool) -> Symmetries:
    model = make_model(mesh, "thing")
    found = model.symmetries
    assert len(found.same) == count
    assert (found.axis is not None) == revolution
    # Every motion maps the surface onto itself.
    tree = cKDTree(model.points)
    for motion in found.same[:: max(1, len(found.same) // 6)]:
        moved = model.points[::10] @ motion[:3, :3].T + motion[:3, 3]
        assert tree.query(moved)[0].max() < 0.06 * model.diameter
    return found


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_have_the_symmetries_that_they_have(name: str) -> None:
    _check(*SHAPES[name])


@pytest.mark.parametrize("name", ["box", "painted box", "square bar", "cube", "cylinder", "cup with handle"])
def test_turning_and_moving_the_mesh_changes_nothing(name: str) -> None:
    mesh, count, revolution = SHAPES[name]
    turned = mesh.copy()
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec([0.5, -0.9, 0.3]).as_matrix()
    motion[:3, 3] = [0.2, -0.1, 0.3]
    turned.apply_transform(motion)
    found = _check(turned, count, revolution)
    if found.axis is not None:
        assert abs(found.axis[1] @ motion[:3, 2]) > np.cos(np.deg2rad(2))


def test_what_only_colour_tells_apart_is_alike_but_not_the_same() -> None:
    found = make_model(painted_box(), "box").symmetries
    assert len(found.same) == 1
    assert len(found.alike) == 4


def test_told_symmetries_form_a_group() -> None:
    quarter = about(np.zeros(3), np.array([0, 0, 1.0]), np.pi / 2)
    told = Symmetries.from_lists([quarter], [])
    assert len(told.same) == 4
    around = Symmetries.from_lists(
        [about(np.zeros(3), np.array([1.0, 0, 0]), np.pi)], [(np.zeros(3), np.array([0, 0, 2.0]))]
    )
    assert len(around.same) == 2 * STEPS


def test_axis_beside_the_origin_stays_where_it_is() -> None:
    point = np.array([0.1, 0.0, 0.0])
    told = Symmetries.from_lists([], [(point, np.array([0, 0, 1.0]))])
    at = told.same[:, :3, :3] @ point + told.same[:, :3, 3]
    assert np.allclose(at, point, atol=1e-9)


@pytest.mark.parametrize(
    "motion",
    [np.diag([-1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])],  # a mirror, a scale
)
def test_motions_that_are_not_rigid_are_refused(motion: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="rigid"):
        Symmetries(np.stack([np.eye(4), motion]), np.eye(4)[None])


def test_points_that_coincide_have_no_symmetry() -> None:
    found = find_symmetries(np.ones((50, 3)), np.tile([0, 0, 1.0], (50, 1)), None)
    assert len(found.same) == 1
