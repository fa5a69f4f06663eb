"""Square crops around hypotheses, and how a hypothesis moves within its crop.

The middle of an object is that of its bounding box, its radius half the diagonal of that box. Turns are about the
middle, in the axes of the line of sight: the camera's, turned the shortest way so that z points at the middle. What a
crop shows of an object does then not depend on where in the image it is.
"""

from __future__ import annotations

import copy

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray


def crop_intrinsics(
    camera_from_object: FloatArray, center: FloatArray, radius: float, intrinsics: FloatArray, radii: float, size: int
) -> FloatArray:
    """Return fx, fy, cx, cy of the crops around N hypotheses, shape (N, 4), px of the crop.

    Args:
        camera_from_object: Shape (N, 4, 4), metres.
        center: Middle of the object in its frame, shape (3,).
        radius: Of the object, metres.
        intrinsics: fx, fy, cx, cy of the image, shape (4,).
        radii: Half an edge of the crop at the distance of the middle, in radii.
        size: Edge of the crop, px.
    """
    middle = middles(camera_from_object, center)
    fx, fy, cx, cy = intrinsics
    half = radii * radius * fx / middle[:, 2]  # px of the image
    scale = size / (2 * half)
    u, v = fx * middle[:, 0] / middle[:, 2] + cx, fy * middle[:, 1] / middle[:, 2] + cy
    # Pixel centres are whole numbers, so that the middle of the crop is at (size - 1) / 2.
    edge = (size - 1) / 2
    return np.stack([fx * scale, fy * scale, edge + (cx - u) * scale, edge + (cy - v) * scale], axis=1)


def middles(camera_from_object: FloatArray, center: FloatArray) -> FloatArray:
    """Return the middle of the object in the camera frame for N poses, shape (N, 3)."""
    return camera_from_object[:, :3, :3] @ center + camera_from_object[:, :3, 3]


def sight_rotations(points: FloatArray) -> FloatArray:
    """Return camera_from_sight with shape (N, 3, 3) for points (N, 3): turns the optical axis towards each."""
    direction = points / np.linalg.norm(points, axis=1, keepdims=True)
    axis = np.stack([-direction[:, 1], direction[:, 0], np.zeros(len(points))], axis=1)  # z x direction
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], direction[:, 2])
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * angle[:, None]).as_matrix()


def moved(
    camera_from_object: FloatArray,
    center: FloatArray,
    radius: float,
    intrinsics: FloatArray,
    radii: float,
    shift: FloatArray,
    turn: FloatArray,
) -> FloatArray:
    """Return hypotheses after the motions that a network gave, shape (N, 4, 4).

    Args:
        camera_from_object: Hypotheses, shape (N, 4, 4).
        center: Middle of the object in its frame, shape (3,).
        radius: Of the object, metres.
        intrinsics: fx, fy, cx, cy of the image, shape (4,).
        radii: Half an edge of the crop, as for `crop_intrinsics`.
        shift: To the right and down in half crops, away in radii, shape (N, 3).
        turn: Rotation vectors in the axes of the line of sight, shape (N, 3), radians.
    """
    middle = middles(camera_from_object, center)
    fx, fy = intrinsics[:2]
    half = radii * radius / middle[:, 2]  # of the crop, over the focal length
    # What would come to lie behind the camera stays before it, and will be found wrong.
    depth = np.maximum(middle[:, 2] + shift[:, 2] * radius, 0.1 * middle[:, 2])
    place = middle[:, :2] / middle[:, 2:] + shift[:, :2] * half[:, None] * [1.0, fx / fy]
    after = np.concatenate([place * depth[:, None], depth[:, None]], axis=1)
    sight_before, sight_after = sight_rotations(middle), sight_rotations(after)
    rotation = (
        sight_after
        @ Rotation.from_rotvec(turn).as_matrix()
        @ np.swapaxes(sight_before, 1, 2)
        @ camera_from_object[:, :3, :3]
    )
    result = np.tile(np.eye(4), (len(after), 1, 1))
    result[:, :3, :3] = rotation
    result[:, :3, 3] = after - rotation @ center
    return result


def motion_between(
    before: FloatArray, after: FloatArray, center: FloatArray, radius: float, intrinsics: FloatArray, radii: float
) -> tuple[FloatArray, FloatArray]:
    """Return shift and turn, each (N, 3), that move hypotheses `before` to `after`: the inverse of `moved`.

    Args:
        before: camera_from_object, shape (N, 4, 4).
        after: Likewise.
        center: Middle of the object in its frame, shape (3,).
        radius: Of the object, metres.
        intrinsics: fx, fy, cx, cy of the image, shape (4,).
        radii: Half an edge of the crop, as for `crop_intrinsics`.
    """
    old, new = middles(before, center), middles(after, center)
    fx, fy = intrinsics[:2]
    half = radii * radius / old[:, 2]
    place = (new[:, :2] / new[:, 2:] - old[:, :2] / old[:, 2:]) / half[:, None] * [1.0, fy / fx]
    shift = np.concatenate([place, (new[:, 2:] - old[:, 2:]) / radius], axis=1)
    seen_new = np.swapaxes(sight_rotations(new), 1, 2) @ after[:, :3, :3]
    seen_old = np.swapaxes(sight_rotations(old), 1, 2) @ before[:, :3, :3]
    return shift, Rotation.from_matrix(seen_new @ np.swapaxes(seen_old, 1, 2)).as_rotvec()


class Observation:
    """One image, from which crops are taken.

    Args:
        color: RGB with shape (H, W, 3), uint8.
        depth: Shape (H, W), metres, float32; 0 or NaN where there is none.
        intrinsics: fx, fy, cx, cy, shape (4,).

    Attributes:
        standing: Depth of what lies on no large plane, 0 elsewhere; None when nobody has looked for planes.
    """

    def __init__(self, color: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32], intrinsics: FloatArray) -> None:
        self.intrinsics = np.asarray(intrinsics, np.float64)
        self.image, self.depth = color, depth
        self.standing: npt.NDArray[np.float32] | None = None
        self._levels = [color]

    def with_standing(self, standing: npt.NDArray[np.float32]) -> Observation:
        """Return the same image with `standing` known."""
        other = copy.copy(self)
        other.standing = standing
        return other

    def crops(self, crop: FloatArray, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Return colour (N, size, size, 3) and depth (N, size, size) of crops; black and 0 outside of the image.

        Args:
            crop: fx, fy, cx, cy of each, shape (N, 4).
            size: Edge, px.
        """
        return self.color_crops(crop, size), self.depth_crops(crop, size)

    def color_crops(self, crop: FloatArray, size: int) -> npt.NDArray[np.uint8]:
        """Return colour alone; see `crops`."""
        colors = np.empty((len(crop), size, size, 3), np.uint8)
        matrices = self._image_from_crop(crop)
        wanted = np.clip(np.floor(np.log2(np.maximum(matrices[:, 0, 0], 1e-6)) + 0.3), 0, 6).astype(int)
        for matrix, most, made in zip(matrices, wanted.tolist(), colors, strict=True):
            image, level = self._level(most)
            factor = 2.0**-level
            # A halved image's pixel centres lie between those of the larger one.
            small = matrix * factor
            small[:, 2] += (factor - 1) / 2
            made[:] = cv2.warpAffine(image, small, (size, size), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
        return colors

    def depth_crops(self, crop: FloatArray, size: int) -> npt.NDArray[np.float32]:
        """Return depth alone; see `crops`."""
        return self._nearest(self.depth, crop, size)

    def standing_crops(self, crop: FloatArray, size: int) -> npt.NDArray[np.float32]:
        """Return the depth of what lies on no large plane; see `crops`. Planes must have been looked for."""
        assert self.standing is not None
        return self._nearest(self.standing, crop, size)

    def _nearest(self, depth: npt.NDArray[np.float32], crop: FloatArray, size: int) -> npt.NDArray[np.float32]:
        made = np.empty((len(crop), size, size), np.float32)
        for matrix, one in zip(self._image_from_crop(crop), made, strict=True):
            flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
            one[:] = cv2.warpAffine(depth, matrix, (size, size), flags=flags)
        return made

    def _image_from_crop(self, crop: FloatArray) -> FloatArray:
        """Return what maps pixels of crops to those of the image, shape (N, 2, 3)."""
        matrices = np.zeros((len(crop), 2, 3))
        scale = self.intrinsics[:2] / crop[:, :2]
        matrices[:, 0, 0], matrices[:, 1, 1] = scale.T
        matrices[:, :, 2] = self.intrinsics[2:] - crop[:, 2:] * scale
        return matrices

    def _level(self, level: int) -> tuple[npt.NDArray[np.uint8], int]:
        """Return an image halved so often, or as often as its size allows, and how often that is."""
        while len(self._levels) <= level:
            height, width = self._levels[-1].shape[:2]
            if min(height, width) < 4:
                break
            # Cut to even sizes, so that pixel centres stay where `crops` says.
            even = self._levels[-1][: height // 2 * 2, : width // 2 * 2]
            self._levels.append(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        level = min(level, len(self._levels) - 1)
        return self._levels[level], level
