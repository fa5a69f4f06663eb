"""The method of most ROS packages for comparison: each joint has the depth of the one pixel where its keypoint is."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.geometry.camera import rays


def one_pixel_positions(frame: RgbdFrame, pixels: FloatArray) -> FloatArray:
    """Return keypoints at the depth of their own pixel.

    Args:
        frame: Colour and registered depth.
        pixels: Keypoints with shape (..., 2), px; NaN when unknown.

    Returns:
        Positions with shape (..., 3), metres; NaN outside of the image and where the pixel has no depth.
    """
    if frame.depth is None:
        return np.full((*pixels.shape[:-1], 3), np.nan)
    column, row = np.moveaxis(np.rint(np.nan_to_num(pixels, nan=-1.0)).astype(np.int64), -1, 0)
    height, width = frame.depth.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    depth = frame.depth[np.where(inside, row, 0), np.where(inside, column, 0)]
    depth = np.where(inside & (depth > 0), depth, np.nan)
    return rays(pixels, frame.camera) * depth[..., None]
