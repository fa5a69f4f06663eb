"""Registration of a depth image to the colour camera: forward warping with a z-buffer."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError

# Points closer than this to the colour camera cannot be on its image.
_NEAREST_M = 0.01
# Time and memory grow with the square of this.
_LARGEST_FOOTPRINT_PX = 10
# Equal focal lengths that were rounded differently do not make a footprint of two pixels.
_ROUNDING = 1e-6
# Where the two cameras differ by a whole factor, rectangles often begin exactly at a pixel, and rounding would take
# that pixel or leave it at random: rectangles begin this much earlier, px.
_TIE_PX = 1e-3
# Depth and colour sensors of one device are centimetres apart (Azure Kinect 3.2, RealSense D435 1.5, D455 5.9), those
# of a rig some decimetres: more is a transform in another unit.
_LONGEST_BASELINE_M = 1.0
# Beyond this a baseline of that size is one in millimetres, below it one in centimetres.
_SHORTEST_IN_MILLIMETRES = 10.0


class DepthRegistration:
    """Warps depth images into the view of the colour camera; where surfaces overlap the nearest one stays.

    What depends on the cameras alone is computed once. 848x480 take 2 to 3 ms on one core.

    Args:
        depth_camera: Intrinsics of the depth images.
        color_camera: Intrinsics of the colour images.
        color_from_depth: Rigid transform with shape (4, 4), metres, that takes points of the depth camera's optical
            frame to the colour camera's.

    Raises:
        InvalidInputError: the transform is not rigid or not in metres, or a depth pixel would cover more than 10 colour
            pixels in a direction.
    """

    def __init__(
        self, depth_camera: CameraIntrinsics, color_camera: CameraIntrinsics, color_from_depth: FloatArray
    ) -> None:
        check_rigid(color_from_depth)
        # One depth pixel covers a rectangle of this size in the colour image.
        size_u, size_v = color_camera.fx / depth_camera.fx, color_camera.fy / depth_camera.fy
        if max(size_u, size_v) > _LARGEST_FOOTPRINT_PX:
            raise InvalidInputError(f"one depth pixel would cover {size_u:.0f}x{size_v:.0f} pixels of the colour image")
        self._footprint = (math.ceil(size_v - _ROUNDING), math.ceil(size_u - _ROUNDING))
        self._depth_camera, self._color_camera = depth_camera, color_camera
        # Takes a point of the colour camera to z times the first pixel (u, v) of the rectangle, and to z.
        projection = np.array(
            [
                [color_camera.fx, 0, color_camera.cx - size_u / 2 - _TIE_PX],
                [0, color_camera.fy, color_camera.cy - size_v / 2 - _TIE_PX],
                [0, 0, 1],
            ]
        )
        u, v = np.meshgrid(np.arange(depth_camera.width), np.arange(depth_camera.height))
        rays = np.stack(
            [(u - depth_camera.cx) / depth_camera.fx, (v - depth_camera.cy) / depth_camera.fy, np.ones(u.shape)]
        )
        self._rays = np.tensordot(projection @ color_from_depth[:3, :3], rays, 1).reshape(3, -1).astype(np.float32)
        self._shift = (projection @ color_from_depth[:3, 3]).astype(np.float32)

    def __call__(self, depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Register one image.

        Args:
            depth: Depth along the optical axis of the depth camera with shape (h, w), metres; NaN or 0 where unknown.

        Returns:
            Depth along the optical axis of the colour camera with shape (H, W), float32, metres; NaN where unknown.

        Raises:
            InvalidInputError: the image does not have the size of its camera.
        """
        camera = self._depth_camera
        if depth.shape != (camera.height, camera.width):
            raise InvalidInputError(f"depth has shape {depth.shape}, its camera says {(camera.height, camera.width)}")
        # Rectangles that begin left of or above the image reach into it: the buffer has a margin for them.
        margin_v, margin_u = (size - 1 for size in self._footprint)
        height, width = self._color_camera.height + margin_v, self._color_camera.width + margin_u
        flat = np.ravel(depth)
        u, v, z = (flat * ray for ray in self._rays)
        for values, shift in zip((u, v, z), self._shift, strict=True):
            values += shift
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / z
            u, v = np.ceil(u * inverse) + margin_u, np.ceil(v * inverse) + margin_v
            # Also false where depth is NaN.
            seen = (flat > 0) & (z > _NEAREST_M) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
        pixels = np.flatnonzero(seen)
        # Whole numbers: the float32 of a place beyond 2^24, in an image of 17 megapixels, is that of its neighbour.
        cells = v[pixels].astype(np.intp) * width + u[pixels].astype(np.intp)
        nearest = _nearest(cells, z[pixels], height * width).reshape(height, width)
        if margin_u or margin_v:
            kernel = np.ones(self._footprint, np.uint8)
            nearest = cv2.erode(nearest, kernel, anchor=(margin_u, margin_v), borderValue=np.inf)
        registered = np.ascontiguousarray(nearest[margin_v:, margin_u:])
        registered[np.isinf(registered)] = np.nan
        return registered


def _nearest(cells: npt.NDArray[np.intp], z: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Return the least z of each of `count` cells; infinity where there is none."""
    buffer = np.full(count, np.inf, np.float32)
    buffer[cells] = z
    # Of several in one cell any one was written. Those that are nearer write again, until none is.
    nearer = np.flatnonzero(z < buffer[cells])
    while len(nearer):
        buffer[cells[nearer]] = z[nearer]
        nearer = nearer[z[nearer] < buffer[cells[nearer]]]
    return buffer


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
    baseline = float(np.linalg.norm(translation))
    if baseline > _LONGEST_BASELINE_M:
        unit = "millimetres" if baseline >= _SHORTEST_IN_MILLIMETRES else "centimetres"
        raise InvalidInputError(
            f"depth and colour camera would be {baseline:.3g} m apart, more than the {_LONGEST_BASELINE_M:g} m of any "
            f"device: their transform must be in metres, and seems to be in {unit}"
        )
