"""MediaPipe's palm detector: palms in square crops around wrists.

Zhang et al., MediaPipe Hands: On-device Real-time Hand Tracking, 2020; anchors and decoding follow MediaPipe's graph
modules/palm_detection. Of each crop only the palm that hangs on the wrist is wanted, so that the best one near it takes
the place of its non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.crops import square_crops

SIZE = 192
# Strides of the layers; each cell has two anchors in each of them (SsdAnchorsCalculator with these strides, aspect
# ratio 1 and the interpolated scale; layers of the same stride share their cells).
_STRIDES = ((8, 2), (16, 6))
_KEYPOINTS = 7
# Of the detector's keypoints: middle of the wrist, first joint of the middle finger.
_WRIST, _KNUCKLE = 0, 2
_MIN_SCORE = 0.5


class Palms(NamedTuple):
    """The palm found around each of N wrists.

    Attributes:
        scores: Its confidence with shape (N,), 0 to 1; 0 where there is none.
        boxes: Around it (x0, y0, x1, y1) with shape (N, 4), px of the image.
        wrists: With shape (N, 2), px.
        knuckles: First joint of the middle finger with shape (N, 2), px.
    """

    scores: FloatArray
    boxes: FloatArray
    wrists: FloatArray
    knuckles: FloatArray


def find_palms(
    network: Callable[[npt.NDArray[np.uint8]], Mapping[str, FloatArray]],
    color: npt.NDArray[np.uint8],
    wrists: FloatArray,
    sides: FloatArray,
    reach: FloatArray,
) -> Palms:
    """Look for the palms of N hands.

    Args:
        network: One of the networks `palm_detector_*`.
        color: RGB image with shape (H, W, 3).
        wrists: Where the wrists should be with shape (N, 2), px.
        sides: Sides of the squares around them to search, shape (N,), px.
        reach: How far from there the palm's own wrist may be, shape (N,), px.
    """
    half = sides[:, None] / 2
    crops, squares = square_crops(color, np.concatenate([wrists - half, wrists + half], axis=1), 1.0, SIZE)
    outputs = network(crops)
    shape = (len(wrists), len(_ANCHORS))
    scores = 1 / (1 + np.exp(-np.clip(outputs["scores"].reshape(shape).astype(np.float64), -60, 60)))
    values = outputs["boxes"].reshape(*shape, 4 + 2 * _KEYPOINTS).astype(np.float64)
    scale = (squares[:, 2] / SIZE)[:, None, None]
    corner = squares[:, None, :2]
    center = (values[..., :2] + _ANCHORS) * scale + corner
    points = values[..., 4:].reshape(*shape, _KEYPOINTS, 2)[:, :, [_WRIST, _KNUCKLE]]
    points = (points + _ANCHORS[:, None]) * scale[..., None] + corner[:, :, None]
    distance = np.linalg.norm(points[:, :, 0] - wrists[:, None], axis=2)
    usable = np.where((distance < reach[:, None]) & (scores >= _MIN_SCORE), scores, 0.0)
    rows, best = np.arange(len(wrists)), usable.argmax(axis=1)
    half_size = values[rows, best, 2:4] / 2 * scale[:, 0]
    center, points = center[rows, best], points[rows, best]
    boxes = np.concatenate([center - half_size, center + half_size], axis=1)
    return Palms(usable[rows, best], boxes, points[:, 0], points[:, 1])


def _make_anchors() -> FloatArray:
    """Return the middles of the anchors with shape (2016, 2), px of the crop, in the order of the network's results."""
    layers = []
    for stride, per_cell in _STRIDES:
        middles = (np.arange(SIZE // stride) + 0.5) * stride
        x, y = np.meshgrid(middles, middles)
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(layers)


_ANCHORS = _make_anchors()
