"""Where objects are in the image, as other nodes say it: label images, and 2D detections of vision_msgs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from pose_perception.errors import InvalidInputError
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.ros.conversions.images import pixels_from_message

_MASK_ENCODINGS = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2"}
_MOST_LABELS = 64


def regions_from_mask(message: Image, size: tuple[int, int], models: Mapping[str, str]) -> list[ObjectRegion]:
    """Return one region for each value of a label image; 0 is background.

    Args:
        message: Labels, mono8 (as isaac_ros publishes segmentations) or 16UC1.
        size: (height, width) of the colour image; a mask of another size is stretched.
        models: Value of a label, as text, to the name of its model. Others may be any model.

    Raises:
        InvalidInputError: the encoding is none of these, data is missing, or there are too many labels.
    """
    if message.encoding not in _MASK_ENCODINGS:
        raise InvalidInputError(
            f"mask encoding {message.encoding!r} is not supported; publish one of {', '.join(_MASK_ENCODINGS)}"
        )
    order = ">" if message.is_bigendian else "<"
    labels = pixels_from_message(message, np.dtype(order + _MASK_ENCODINGS[message.encoding]), 1)[:, :, 0]
    if labels.shape != size:
        rows, columns = (np.arange(n) * m // n for n, m in zip(size, labels.shape, strict=True))
        labels = labels[rows[:, None], columns]
    values = [value for value in np.unique(labels).tolist() if value != 0]
    if len(values) > _MOST_LABELS:
        raise InvalidInputError(f"a mask has at most {_MOST_LABELS} labels, got {len(values)}: is it a depth image?")
    return [ObjectRegion(labels == value, models.get(str(value))) for value in values]


def regions_from_detections(message: Any, size: tuple[int, int], models: Mapping[str, str]) -> list[ObjectRegion]:
    """Return one region for each detection: all of its box.

    Args:
        message: vision_msgs/Detection2DArray. Boxes that are turned are taken with their upright outline.
        size: (height, width) of the image that the boxes are in.
        models: Class of a detection to the name of its model; classes not named are themselves that name.

    Raises:
        InvalidInputError: a box is not finite.
    """
    return [_region(detection, size, models) for detection in message.detections]


def _region(detection: Any, size: tuple[int, int], models: Mapping[str, str]) -> ObjectRegion:
    box = detection.bbox
    center = np.array([box.center.position.x, box.center.position.y])
    cos, sin = abs(np.cos(box.center.theta)), abs(np.sin(box.center.theta))
    half = np.array([[cos, sin], [sin, cos]]) @ [box.size_x, box.size_y] / 2
    if not np.isfinite([*center, *half]).all() or half.min() < 0:
        raise InvalidInputError(f"the box of detection {detection.id!r} is none")
    height, width = size
    low = np.clip(np.floor(center - half + 0.5), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(center + half + 0.5), 0, (width, height)).astype(int)
    mask = np.zeros(size, bool)
    mask[low[1] : high[1], low[0] : high[0]] = True
    best = max(detection.results, key=lambda result: result.hypothesis.score, default=None)
    if best is None:
        return ObjectRegion(mask)
    name = best.hypothesis.class_id
    return ObjectRegion(mask, models.get(name, name) or None, float(np.clip(best.hypothesis.score, 0.0, 1.0)))
