"""A picture of a model from several sides, with the axes of its frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.objects.hypotheses import orientations
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.raycasting import RaycastingRenderer

_SIDE_PX = 240
_ROWS, _COLUMNS = 2, 4
_DISTANCE_RADII = 5.0


def draw_preview(model: ObjectModel) -> npt.NDArray[np.uint8]:
    """Return RGB pictures of the model from eight sides in a grid, shape (480, 960, 3), uint8.

    The axes of the mesh's frame start at its origin: x red, y green, z blue, as long as half the radius.
    """
    every = orientations(np.eye(4)[None], turns=1)
    rotations = every[:: len(every) // (_ROWS * _COLUMNS)][: _ROWS * _COLUMNS]
    poses = np.tile(np.eye(4), (len(rotations), 1, 1))
    poses[:, :3, :3] = rotations
    poses[:, :3, 3] = [0, 0, _DISTANCE_RADII * model.radius] - rotations @ model.center
    middle = (_SIDE_PX - 1) / 2
    focal = _SIDE_PX * _DISTANCE_RADII / 2.4
    intrinsics = np.tile([focal, focal, middle, middle], (len(poses), 1))
    made = RaycastingRenderer(model.surface).render(poses, intrinsics, _SIDE_PX)
    color = np.where(made.mask[..., None], made.color, 1.0)
    tiles = [np.ascontiguousarray(np.uint8(np.round(tile * 255))) for tile in color]
    for tile, pose in zip(tiles, poses, strict=True):
        ends = np.concatenate([[pose[:3, 3]], pose[:3, 3] + 0.5 * model.radius * pose[:3, :3].T])
        at = np.int32(np.round(focal * ends[:, :2] / ends[:, 2:] + middle))
        for end, paint in zip(at[1:], ((220, 0, 0), (0, 170, 0), (0, 0, 220)), strict=True):
            cv2.line(tile, tuple(map(int, at[0])), tuple(map(int, end)), paint, 2, cv2.LINE_AA)
    rows = [np.concatenate(tiles[i * _COLUMNS : (i + 1) * _COLUMNS], axis=1) for i in range(_ROWS)]
    return np.concatenate(rows)
