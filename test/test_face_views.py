"""Tests for human/face_views.py: turned cameras against the projection of the real one."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.geometry.camera import project
from pose_perception.human.face_views import cut_views, look_at, to_image

_CAMERA = CameraIntrinsics(640, 480, 500.0, 520.0, 310.0, 250.0)
_SIZE = 192
_REGIONS = np.array([[310.0, 250.0, 60.0, 0.0], [60.0, 70.0, 120.0, 0.6], [600.0, 400.0, 40.0, -2.5]])


def test_middle_and_horizontal_of_a_view_are_those_of_its_region() -> None:
    views = look_at(_REGIONS, _CAMERA, _SIZE)
    points = np.tile([[96.0, 96.0], [96.5, 96.0]], (len(_REGIONS), 1, 1))
    middle, right = np.moveaxis(to_image(points, views, _CAMERA), 1, 0)
    np.testing.assert_allclose(middle, _REGIONS[:, :2], atol=1e-9)
    direction = (right - middle) / np.linalg.norm(right - middle, axis=1, keepdims=True)
    expected = np.stack([np.cos(_REGIONS[:, 3]), np.sin(_REGIONS[:, 3])], axis=1)
    np.testing.assert_allclose(direction, expected, atol=2e-3)


def test_views_cover_the_area_of_their_regions() -> None:
    views = look_at(_REGIONS, _CAMERA, _SIZE)
    corners = np.tile([[0.0, 0.0], [192.0, 0.0], [192.0, 192.0], [0.0, 192.0]], (len(_REGIONS), 1, 1))
    x, y = np.moveaxis(to_image(corners, views, _CAMERA), 2, 0)
    area = 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1))  # shoelace formula
    np.testing.assert_allclose(area, np.square(_REGIONS[:, 2]), rtol=0.03)


def test_views_are_rigid_cameras() -> None:
    views = look_at(_REGIONS, _CAMERA, _SIZE)
    rotations = views.camera_from_view
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    # A point of space lies where both cameras see it.
    in_view = np.array([0.05, -0.08, 1.5])
    points = views.focal[:, None] * in_view[:2] / in_view[2] + _SIZE / 2
    expected = project(rotations @ in_view, _CAMERA)
    np.testing.assert_allclose(to_image(points[:, None], views, _CAMERA)[:, 0], expected, atol=1e-9)
    along = views.rays(points[:, None])[:, 0]
    np.testing.assert_allclose(along * in_view[2], rotations @ in_view, atol=1e-12)


@pytest.mark.parametrize("region", _REGIONS.tolist())
def test_pixels_are_taken_from_where_the_view_looks(region: list[float]) -> None:
    u, v = np.meshgrid(np.arange(_CAMERA.width), np.arange(_CAMERA.height))
    color = np.stack([u * 0.35, v * 0.5, np.zeros_like(u)], axis=2).round().astype(np.uint8)
    views = look_at(np.array([region]), _CAMERA, _SIZE)
    crop = cut_views(color, views, _CAMERA)[0]
    rows, columns = np.mgrid[20:172:19, 20:172:19]
    at = to_image(np.stack([columns, rows], axis=-1).reshape(1, -1, 2).astype(float), views, _CAMERA)[0]
    seen = crop[rows.ravel(), columns.ravel()].astype(float)
    inside = ((at > 1) & (at < [_CAMERA.width - 2, _CAMERA.height - 2])).all(axis=1)
    assert inside.sum() > 20
    np.testing.assert_allclose(seen[inside, :2], at[inside] * [0.35, 0.5], atol=1.0)
