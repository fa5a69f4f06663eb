"""Where to look for hands: rotated squares in the image, as `estimators.crops.rotated_crops` takes them.

A region has the wrist below and the fingers above, as the hand networks were trained. The geometry follows MediaPipe's
graphs modules/holistic_landmark and modules/hand_landmark; how large a hand is comes from its distance instead of
from the knuckles, which say nothing when the hand points at the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.crops import image_from_crops, rotated_crops
from pose_perception.human.topology import HAND_21

# Side of the first region, metres: a stretched hand of 0.19 m at any angle around the middle of the palm.
_SIDE_M = 0.30
# Where the middle of that region lies from the wrist along the forearm, as a part of its side: in the palm.
_PALM_PART = 0.3
# Regions move by this part of the hand's length towards the fingers, and are larger than it by this factor
# (RectTransformationCalculator of hand_recrop_by_roi, hand_landmarks_to_roi and palm_detection_detection_to_roi).
_RECROP_SHIFT = 0.1
_TRACKED_SHIFT, _TRACKED_SCALE = 0.1, 2.0
_PALM_SHIFT, _PALM_SCALE = 0.5, 2.6
_RECROP_SIZE = 256
# The landmarks that make the next region: those of the palm and the next joint of each finger (SplitVectorCalculator of
# hand_landmarks_to_roi); fingertips move too much.
_PALM = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
_WRIST = HAND_21.index["wrist"]
_INDEX, _MIDDLE, _RING = (HAND_21.index[f"{finger}_pip"] for finger in ("index", "middle", "ring"))


def regions_along(wrists: FloatArray, directions: FloatArray, pixels_per_metre: FloatArray) -> FloatArray:
    """Return the first regions of N hands.

    Args:
        wrists: With shape (N, 2), px.
        directions: Where the fingers are from the wrist, any length, shape (N, 2), px.
        pixels_per_metre: How large things are at the distance of the hand, shape (N,).

    Returns:
        Centre x, y, side and rotation with shape (N, 4), px and radians.
    """
    up = _unit(directions)
    side = _SIDE_M * pixels_per_metre
    return _regions(wrists + _PALM_PART * side[:, None] * up, side, up)


def middle_knuckles(indices: FloatArray, pinkies: FloatArray) -> FloatArray:
    """Return the knuckle of the middle finger by those of index and little finger, shape (..., 2).

    Source: HandDetectionsFromPoseToRectsCalculator.
    """
    return (2 * indices + pinkies) / 3


def refine(
    network: Callable[[npt.NDArray[np.uint8]], Mapping[str, FloatArray]],
    color: npt.NDArray[np.uint8],
    regions: FloatArray,
) -> FloatArray:
    """Fit regions to the hands in them with the network `hand_recrop`.

    Args:
        network: It gives the middle of the better region, and a point on the middle of its lower side.
        color: RGB image with shape (H, W, 3).
        regions: With shape (N, 4).
    """
    points = network(rotated_crops(color, regions, _RECROP_SIZE))["crop"].reshape(len(regions), 2, -1)[..., :2]
    affine = image_from_crops(regions, _RECROP_SIZE)
    center, bottom = np.moveaxis(
        np.einsum("nij,nkj->nki", affine[..., :2], points.astype(np.float64)) + affine[:, None, :, 2], 1, 0
    )
    up = center - bottom
    side = np.maximum(2 * np.linalg.norm(up, axis=1), 1.0)
    up = _unit(up)
    return _regions(center + _RECROP_SHIFT * side[:, None] * up, side, up)


def regions_from_landmarks(pixels: FloatArray) -> FloatArray:
    """Return the regions around hands that were found (HandLandmarksToRectCalculator).

    Args:
        pixels: Landmarks with shape (N, 21, 2), px.

    Returns:
        Regions with shape (N, 4).
    """
    middle = ((pixels[:, _INDEX] + pixels[:, _RING]) / 2 + pixels[:, _MIDDLE]) / 2
    up = _unit(middle - pixels[:, _WRIST])
    right = np.stack([-up[:, 1], up[:, 0]], axis=1)
    axes = np.stack([right, -up], axis=1)  # (N, 2, 2), rows are x and y of the region
    points = np.einsum("nij,nkj->nki", axes, pixels[:, _PALM])
    low, high = points.min(axis=1), points.max(axis=1)
    center, size = (low + high) / 2, high - low
    center[:, 1] -= _TRACKED_SHIFT * size[:, 1]
    side = np.maximum(_TRACKED_SCALE * size.max(axis=1), 1.0)
    return _regions(np.einsum("nji,nj->ni", axes, center), side, up)


def regions_from_palms(boxes: FloatArray, wrists: FloatArray, knuckles: FloatArray) -> FloatArray:
    """Return the regions of hands of which a palm was found (PalmDetectionDetectionToRoi).

    Args:
        boxes: Around the palms (x0, y0, x1, y1) with shape (N, 4), px.
        wrists: Their wrists with shape (N, 2), px.
        knuckles: The first joints of their middle fingers with shape (N, 2), px.

    Returns:
        Regions with shape (N, 4).
    """
    up = _unit(knuckles - wrists)
    size = boxes[:, 2:] - boxes[:, :2]
    center = (boxes[:, :2] + boxes[:, 2:]) / 2 + _PALM_SHIFT * size[:, 1:] * up
    return _regions(center, np.maximum(_PALM_SCALE * size.max(axis=1, initial=0), 1.0), up)


def _regions(center: FloatArray, side: FloatArray, up: FloatArray) -> FloatArray:
    return np.concatenate([center, side[:, None], np.arctan2(up[:, 0], -up[:, 1])[:, None]], axis=1)


def _unit(vectors: FloatArray) -> FloatArray:
    """Scale vectors with shape (N, 2) to length 1; those without a direction point up."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), [0.0, -1.0])
