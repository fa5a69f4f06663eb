"""MediaPipe Objectron's detector: boxes of cups, chairs, shoes and cameras in the image.

SSD with MobileNetV2, trained on Open Images v4; anchors and decoding follow MediaPipe's graph modules/objectron
(object_detection_oid_v4). 24 classes, of which the first means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

SIZE = 300
# SsdAnchorsCalculator: six layers, scales from 0.2 to 0.95 of the image; the first layer has three anchors a cell.
_STRIDES = (16, 32, 64, 128, 256, 512)
_SCALES = np.linspace(0.2, 0.95, len(_STRIDES))
_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
_FIRST_SCALE = 0.1
# TensorsToDetectionsCalculator: factors of centre and of size.
_CENTER_FACTOR, _SIZE_FACTOR = 10.0, 5.0
_OVERLAP = 0.5

LABELS = {"cup": (12, 13), "chair": (5,), "shoe": (19,), "camera": (22,)}
"""The detector's classes of each category: mug and coffee cup, chair, footwear, camera."""


class Detection(NamedTuple):
    """Where an object of a category may be.

    Attributes:
        category: One of `LABELS`.
        score: Confidence, 0 to 1.
        box: (x0, y0, x1, y1) with shape (4,), px of the image.
    """

    category: str
    score: float
    box: FloatArray


def find_boxes(
    network: Callable[[npt.NDArray[np.uint8]], Mapping[str, FloatArray]],
    color: npt.NDArray[np.uint8],
    thresholds: Mapping[str, float],
) -> list[Detection]:
    """Look for objects in the whole image.

    Args:
        network: `objectron_detector`.
        color: RGB with shape (height, width, 3).
        thresholds: The least score of each category that is wanted.

    Returns:
        Detections by falling score; of two that overlap by more than half, the one with the higher score.
    """
    outputs = network(cv2.resize(color, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[None])
    logits = outputs["scores"].reshape(len(_ANCHORS), -1).astype(np.float64)
    scores = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    boxes = _decode(outputs["boxes"].reshape(-1, 4).astype(np.float64)) * np.tile(color.shape[1::-1], 2)
    found = []
    for category, least in thresholds.items():
        best = scores[:, list(LABELS[category])].max(axis=1)
        found += [Detection(category, float(best[i]), boxes[i]) for i in suppress(boxes, best, least)]
    return sorted(found, key=lambda detection: -detection.score)


def suppress(boxes: FloatArray, scores: FloatArray, least: float) -> list[int]:
    """Return the indices of boxes above a score that no better one covers, by falling score.

    Args:
        boxes: (x0, y0, x1, y1) with shape (N, 4).
        scores: Shape (N,).
        least: Scores below do not count.
    """
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if scores[index] < least:
            break
        if not kept or overlaps(boxes[index], boxes[kept]).max() <= _OVERLAP:
            kept.append(index)
    return kept


def overlaps(box: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return intersection over union of a box, shape (4,), with others, shape (N, 4): shape (N,)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return shared / np.maximum(union, 1e-12)


def _decode(values: FloatArray) -> FloatArray:
    """Return boxes (x0, y0, x1, y1) with shape (A, 4) in parts of the image, from the network's (y, x, h, w)."""
    center = values[:, [1, 0]] / _CENTER_FACTOR * _ANCHORS[:, 2:] + _ANCHORS[:, :2]
    half = np.exp(np.minimum(values[:, [3, 2]] / _SIZE_FACTOR, 20.0)) * _ANCHORS[:, 2:] / 2
    return np.concatenate([center - half, center + half], axis=1)


def _make_anchors() -> FloatArray:
    """Return centre x, y, width and height with shape (1917, 4) in parts of the image, in the network's order."""
    layers = []
    for index, (stride, scale) in enumerate(zip(_STRIDES, _SCALES, strict=True)):
        if index == 0:
            shapes = [(_FIRST_SCALE, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            between = np.sqrt(scale * (*_SCALES, 1.0)[index + 1])
            shapes = [*((scale, ratio) for ratio in _RATIOS), (between, 1.0)]
        sizes = np.array([(side * np.sqrt(ratio), side / np.sqrt(ratio)) for side, ratio in shapes])
        cells = -(-SIZE // stride)
        middles = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middles, middles)
        centers = np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), len(sizes), axis=0)
        layers.append(np.concatenate([centers, np.tile(sizes, (cells * cells, 1))], axis=1))
    return np.concatenate(layers)


_ANCHORS = _make_anchors()
