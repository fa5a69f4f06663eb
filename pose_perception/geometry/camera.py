"""Pinhole projection, and camera files."""

from __future__ import annotations

import json
import operator
from pathlib import Path

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError


def rays(pixels: FloatArray, camera: CameraIntrinsics) -> FloatArray:
    """Return the viewing rays of pixels, scaled to unit depth.

    Args:
        pixels: Image points with shape (..., 2), px.
        camera: Intrinsics of the image.

    Returns:
        Directions with shape (..., 3) and z = 1: a point at depth z lies at z times its ray.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    x = (pixels[..., 0] - camera.cx) / camera.fx
    y = (pixels[..., 1] - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def project(points: FloatArray, camera: CameraIntrinsics) -> FloatArray:
    """Project points into the image.

    Args:
        points: Points in the camera optical frame with shape (..., 3), metres.
        camera: Intrinsics of the image.

    Returns:
        Image points with shape (..., 2), px; NaN for points that are not in front of the camera.
    """
    points = np.asarray(points, dtype=np.float64)
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    u = camera.fx * points[..., 0] / z + camera.cx
    v = camera.fy * points[..., 1] / z + camera.cy
    return np.stack([u, v], axis=-1)


def load_camera(path: Path) -> CameraIntrinsics:
    """Read a camera file.

    Two layouts are understood: `{"width", "height", "fx", "fy", "cx", "cy"}`, and Open3D's
    `{"width", "height", "intrinsic_matrix"}` whose nine numbers are stored column by column; stored row by row, which
    the places of the zeros tell, they are understood, too.

    Raises:
        InvalidInputError: the file is missing, no JSON, or holds neither layout.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"cannot read the camera file {path}: {error}") from error
    try:
        if "intrinsic_matrix" in content:
            matrix = np.reshape(content["intrinsic_matrix"], (3, 3)).astype(float)
            if not np.any(matrix[:2, 2]):
                matrix = matrix.T
            if np.any(matrix[[0, 1, 2, 2], [1, 0, 0, 1]]) or matrix[2, 2] != 1:
                raise ValueError("intrinsic_matrix is none")
            (fx, _, cx), (_, fy, cy) = matrix[:2]
        else:
            fx, fy, cx, cy = (float(content[key]) for key in ("fx", "fy", "cx", "cy"))
        width, height = (operator.index(content[key]) for key in ("width", "height"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"{path} must hold width, height and either fx, fy, cx, cy or intrinsic_matrix with nine numbers: {error!r}"
        ) from error
    try:
        return CameraIntrinsics(width, height, fx, fy, cx, cy)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
