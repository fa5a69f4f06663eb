"""Cutting people out of an image for networks that look at one person at a time."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray


def square_crops(
    color: npt.NDArray[np.uint8], boxes: FloatArray, scale: float, size: int
) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """Cut upright squares around boxes, black outside of the image, anti-aliased when they shrink.

    Args:
        color: RGB image with shape (H, W, 3).
        boxes: (x0, y0, x1, y1) with shape (N, 4), px.
        scale: Side of the square over the longer side of the box.
        size: Side of the crops, px.

    Returns:
        Crops with shape (N, size, size, 3), and their squares (x0, y0, side) with shape (N, 3), px of the image.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = np.maximum(np.rint(scale * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)), 2)
    corner = np.rint(center - side[:, None] / 2)
    crops = np.zeros((len(boxes), size, size, 3), np.uint8)
    height, width = color.shape[:2]
    for crop, (x0, y0), edge in zip(crops, corner, side, strict=True):
        # Only the part inside of the image is resized; it fills its share of the crop.
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x0 + edge, width), min(y0 + edge, height)
        if right - left < 1 or bottom - top < 1:
            continue
        to_crop = size / edge
        a, b = round((left - x0) * to_crop), round((right - x0) * to_crop)
        c, d = round((top - y0) * to_crop), round((bottom - y0) * to_crop)
        if b <= a or d <= c:
            continue
        region = color[int(top) : int(bottom), int(left) : int(right)]
        method = cv2.INTER_AREA if edge > size else cv2.INTER_LINEAR
        crop[c:d, a:b] = cv2.resize(region, (b - a, d - c), interpolation=method)
    return crops, np.concatenate([corner, side[:, None]], axis=1)


def rotated_crops(color: npt.NDArray[np.uint8], regions: FloatArray, size: int) -> npt.NDArray[np.uint8]:
    """Cut rotated squares; outside of the image its border is repeated.

    Args:
        color: RGB image with shape (H, W, 3).
        regions: Centre x, y, side and rotation (radians, clockwise in the image) with shape (N, 4), px.
        size: Side of the crops, px.

    Returns:
        Crops with shape (N, size, size, 3).
    """
    crops = np.empty((len(regions), size, size, 3), np.uint8)
    for crop, image_from_crop in zip(crops, image_from_crops(regions, size), strict=True):
        cv2.warpAffine(
            color,
            image_from_crop,
            (size, size),
            dst=crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return crops


def image_from_crops(regions: FloatArray, size: int) -> FloatArray:
    """Return the affine maps from crops to the image with shape (N, 2, 3); arguments as for `rotated_crops`."""
    x, y, side, angle = regions.T
    cos, sin = np.cos(angle) * side / size, np.sin(angle) * side / size
    half = size / 2
    return np.stack(
        [
            np.stack([cos, -sin, x - half * (cos - sin)], axis=1),
            np.stack([sin, cos, y - half * (sin + cos)], axis=1),
        ],
        axis=1,
    )
