"""Registration of a depth image to the colour camera: forward warping with a z-buffer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError

# Points closer than this to the colour camera cannot be on its image.
_NEAREST_M = 0.01
# Time and memory grow with the square of this.
_LARGEST_FOOTPRINT_PX = 10
# Depth and colour sensors of one device are centimetres apart; a longer way is a transform in millimetres.
_LONGEST_BASELINE_M = 5.0


def register_depth(
    depth: npt.NDArray[np.float32],
    depth_camera: CameraIntrinsics,
    color_camera: CameraIntrinsics,
    color_from_depth: FloatArray,
) -> npt.NDArray[np.float32]:
    """Warp a depth image into the view of the colour camera; where surfaces overlap the nearest one stays.

    Args:
        depth: Depth along the optical axis of the depth camera with shape (h, w), metres; NaN or 0 where unknown.
        depth_camera: Intrinsics of the depth image.
        color_camera: Intrinsics of the colour image.
        color_from_depth: Rigid transform with shape (4, 4), metres, that takes points of the depth camera's optical
            frame to the colour camera's.

    Returns:
        Depth along the optical axis of the colour camera with shape (H, W), float32, metres; NaN where unknown.

    Raises:
        InvalidInputError: the image does not have the size of its camera, the transform is not rigid or not in
            metres, or a depth pixel would cover more than 10 colour pixels in a direction.
    """
    if depth.shape != (depth_camera.height, depth_camera.width):
        raise InvalidInputError(
            f"depth image has shape {depth.shape}, its camera says {(depth_camera.height, depth_camera.width)}"
        )
    check_rigid(color_from_depth)
    # One depth pixel covers a rectangle of this size in the colour image.
    size_u, size_v = color_camera.fx / depth_camera.fx, color_camera.fy / depth_camera.fy
    if max(size_u, size_v) > _LARGEST_FOOTPRINT_PX:
        raise InvalidInputError(f"one depth pixel would cover {size_u:.0f}x{size_v:.0f} pixels of the colour image")
    points = _back_project(depth, depth_camera) @ color_from_depth[:3, :3].T.astype(np.float32)
    points += color_from_depth[:3, 3].astype(np.float32)
    x, y, z = points[points[:, 2] > _NEAREST_M].T
    first_u = np.ceil(x / z * color_camera.fx + (color_camera.cx - 0.5 * size_u)).astype(np.int32)
    first_v = np.ceil(y / z * color_camera.fy + (color_camera.cy - 0.5 * size_v)).astype(np.int32)
    offsets_v, offsets_u = np.mgrid[: math.ceil(size_v), : math.ceil(size_u)].reshape(2, -1, 1).astype(np.int32)
    # Painter's algorithm: far to near, so that the nearest surface is written last. Sorting 16-bit millimetres is a
    # radix sort, ten times faster than sorting floats.
    order = np.argsort(65535 - np.minimum(z * 1000, 65535).astype(np.uint16), kind="stable")
    u = (first_u[order] + offsets_u).T.ravel()
    v = (first_v[order] + offsets_v).T.ravel()
    inside = (u >= 0) & (u < color_camera.width) & (v >= 0) & (v < color_camera.height)
    registered = np.full((color_camera.height, color_camera.width), np.nan, np.float32)
    registered[v[inside], u[inside]] = np.repeat(z[order], offsets_u.size)[inside]
    return registered


def _back_project(depth: npt.NDArray[np.float32], camera: CameraIntrinsics) -> npt.NDArray[np.float32]:
    """Return the points of all pixels with a depth, shape (M, 3)."""
    v, u = np.nonzero(depth > 0)  # also false for NaN
    z = depth[v, u]
    x = (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    return np.stack([x[u] * z, y[v] * z, z], axis=1)


def check_rigid(transform: FloatArray) -> None:
    """Check that a matrix is a rigid transform between two sensors of one device, in metres.

    Raises:
        InvalidInputError: it is not.
    """
    transform = np.asarray(transform, dtype=np.float64)
    if transform.shape != (4, 4) or not np.all(np.isfinite(transform)):
        raise InvalidInputError(f"the transform must be a finite 4x4 matrix, got shape {transform.shape}")
    rotation, translation = transform[:3, :3], transform[:3, 3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise InvalidInputError("the rotation of the transform is no rotation matrix")
    if np.linalg.norm(translation) > _LONGEST_BASELINE_M:
        raise InvalidInputError(
            f"depth and colour camera would be {np.linalg.norm(translation):.0f} m apart: is the transform in metres?"
        )
