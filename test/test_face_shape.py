"""Tests for human/face_shape.py and human/face_placement.py: constructed rigid faces under known rotations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, HeadPose, HeadSource, RgbdFrame
from pose_perception.geometry.camera import project
from pose_perception.human.face_placement import FaceSize, measure_faces, place_faces
from pose_perception.human.face_shape import (
    _LEFT,
    _LOWER,
    _RIGHT,
    _UPPER,
    FACE_WIDTH_M,
    SELLION,
    face_widths,
    head_rotations,
)
from pose_perception.human.face_views import FaceViews, look_at

_CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
_SIZE = 192


def _face() -> np.ndarray:
    """Return a symmetric face of ordinary size in the frame of the head, shape (468, 3), metres."""
    rng = np.random.default_rng(5)
    face = rng.uniform([-0.08, -0.06, -0.12], [0.02, 0.06, 0.05], (468, 3))
    face[_UPPER, 2], face[_LOWER, 2] = 0.02, -0.05
    midline = np.setdiff1d(np.concatenate([_UPPER, _LOWER]), np.concatenate([_LEFT, _RIGHT]))
    face[midline, 1] = 0.0
    face[327] = [0.0, 0.015, -0.05]
    face[98] = face[327] * [1, -1, 1]
    face[_LEFT, 1] = rng.uniform(0.02, 0.07, len(_LEFT))
    face[_LEFT, 1] *= FACE_WIDTH_M / (2 * face[_LEFT, 1].mean())
    face[_RIGHT] = face[_LEFT] * [1, -1, 1]
    face[SELLION] = 0.0
    return face


def _rotations() -> list[np.ndarray]:
    angles = [(0, 0, 0), (40, 10, -5), (-75, 20, 15), (10, -30, 60), (25, 5, 170)]
    looking_at_camera = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    return [Rotation.from_euler("yxz", angle, degrees=True).as_matrix() @ looking_at_camera for angle in angles]


def _look(camera_from_head: np.ndarray, region: list[float]) -> tuple[np.ndarray, FaceViews]:
    """Return what an ideal network would see of the face in a region, shape (1, 468, 3), and the view."""
    views = look_at(np.array([region]), _CAMERA, _SIZE)
    in_view = (_face() @ camera_from_head[:3, :3].T + camera_from_head[:3, 3]) @ views.camera_from_view[0]
    scaled = views.focal[0] / in_view[SELLION, 2] * in_view
    return np.concatenate([scaled[:, :2] + _SIZE / 2, scaled[:, 2:]], axis=1)[None], views


@pytest.mark.parametrize("rotation", _rotations())
def test_rotation_between_two_looks_is_that_of_the_points(rotation: np.ndarray) -> None:
    face = _face()
    turned = 3.0 * face @ rotation.T + [0.3, -0.2, 2.0]
    before, after = head_rotations(np.stack([face, turned]))
    by_points = Rotation.align_vectors(turned - turned.mean(axis=0), face - face.mean(axis=0))[0].as_matrix()
    np.testing.assert_allclose(after @ before.T, by_points, atol=1e-6)
    assert face_widths(turned[None])[0] == pytest.approx(3.0 * FACE_WIDTH_M)


def test_symmetric_face_looks_neither_left_nor_right() -> None:
    rotation = head_rotations(_face()[None])[0]
    np.testing.assert_allclose(rotation[:, 1], [0, 1, 0], atol=1e-9)
    assert rotation[0, 0] > 0.9
    assert rotation[2, 2] > 0.9


@pytest.mark.parametrize("rotation", _rotations())
@pytest.mark.parametrize("place", [(0.0, 0.0, 1.0), (0.7, -0.4, 1.5), (-1.2, 0.8, 2.6)])
def test_head_off_the_axis_is_turned_back_to_the_camera(rotation: np.ndarray, place: tuple[float, ...]) -> None:
    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = rotation, place
    u, v = project(np.array(place), _CAMERA)
    region = [u + 4.0, v - 3.0, 0.26 * 600 / place[2], 0.3]
    landmarks, views = _look(truth, region)
    frame = RgbdFrame(np.zeros((480, 640, 3), np.uint8), None, _CAMERA)
    sizes = [FaceSize()]
    faces = measure_faces(frame, landmarks, views, sizes)
    placed = place_faces(faces, _CAMERA.fx, sizes, [None])
    pose = placed.heads[0].camera_from_head
    by_shape = rotation @ head_rotations(_face()[None])[0]
    np.testing.assert_allclose(pose[:3, :3], by_shape, atol=1e-6)
    np.testing.assert_allclose(pose[:3, 3], place, rtol=0.02, atol=0.02)  # the width of an ordinary face
    assert np.isnan(placed.positions).all()  # nothing measured it
    assert (np.linalg.eigvalsh(placed.heads[0].covariance) > 0).all()


def test_skeleton_narrows_the_distance_that_only_the_size_tells() -> None:
    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = _rotations()[0], [0.1, 0.0, 2.0]
    landmarks, views = _look(truth, [350.0, 240.0, 80.0, 0.0])
    frame = RgbdFrame(np.zeros((480, 640, 3), np.uint8), None, _CAMERA)
    faces = measure_faces(frame, landmarks, views, [FaceSize()])
    pose = truth.copy()
    pose[:3, 3] = [0.1, 0.0, 2.2]
    skeleton = HeadPose(pose, 0.01 * np.eye(6), HeadSource.FEATURES)
    alone, helped = (place_faces(faces, _CAMERA.fx, [FaceSize()], [head]).heads[0] for head in (None, skeleton))
    assert alone.camera_from_head[2, 3] < helped.camera_from_head[2, 3] < 2.2
    assert helped.covariance[2, 2] < alone.covariance[2, 2]


def test_measured_width_is_learned_and_then_known_better() -> None:
    size = FaceSize()
    before = size.spread
    for _ in range(20):
        size.learn(0.1)
    assert size.width == pytest.approx(0.1, abs=0.002)
    assert size.spread < before / 2
