"""Tests for geometry/camera.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.camera import load_camera, project, rays

CAMERA = CameraIntrinsics(640, 480, 610.0, 612.0, 317.4, 245.9)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.2, 8))
def test_projection_and_ray_are_inverse(x: float, y: float, z: float) -> None:
    point = np.array([x, y, z])
    assert np.allclose(rays(project(point, CAMERA), CAMERA) * z, point, atol=1e-9)


def test_points_behind_the_camera_have_no_image() -> None:
    assert np.isnan(project(np.array([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]]), CAMERA)).all()


def test_all_layouts_of_a_camera_file_mean_the_same(tmp_path: Path) -> None:
    plain = {"width": 640, "height": 480, "fx": 610.0, "fy": 612.0, "cx": 317.4, "cy": 245.9}
    by_row = {"width": 640, "height": 480, "intrinsic_matrix": [[610.0, 0, 317.4], [0, 612.0, 245.9], [0, 0, 1]]}
    by_column = {"width": 640, "height": 480, "intrinsic_matrix": [610.0, 0, 0, 0, 612.0, 0, 317.4, 245.9, 1]}
    for name, content in (("plain.json", plain), ("open3d.json", by_column), ("rows.json", by_row)):
        (tmp_path / name).write_text(json.dumps(content))
        assert load_camera(tmp_path / name) == CAMERA


@pytest.mark.parametrize(
    "content",
    [
        "{",  # half-written
        '{"width": 640, "height": 480}',  # no intrinsics
        '{"width": 640, "height": 480, "fx": 0, "fy": 0, "cx": 0, "cy": 0}',  # uncalibrated
        '{"width": 640, "height": 480, "intrinsic_matrix": [1, 2, 3]}',  # too short
        "[1, 2]",  # no object
        "[" * 100_000,  # deeper than any parser goes
        '{"width": 1e999, "height": 480, "fx": 600, "fy": 600, "cx": 320, "cy": 240}',  # infinite
        '{"width": 640.9, "height": 480, "fx": 600, "fy": 600, "cx": 320, "cy": 240}',  # half a pixel
        '{"width": 640, "height": 480, "fx": 1e-9, "fy": 600, "cx": 320, "cy": 240}',  # no lens is like that
        '{"width": 640, "height": 480, "fx": 600, "fy": 600, "cx": 1e7, "cy": 240}',  # far outside
        '{"width": 640, "height": 480, "intrinsic_matrix": [600, 0, 320, 0, 600, 240, 0, 7, 1]}',  # neither layout
    ],
)
def test_unusable_camera_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "camera.json").write_text(content)
    with pytest.raises(InvalidInputError):
        load_camera(tmp_path / "camera.json")
