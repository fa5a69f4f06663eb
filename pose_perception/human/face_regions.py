"""Where faces are in an image: squares around them, turned so that the eyes are level."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray

FACE_KEYPOINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
"""What regions are made from; the first five of COCO's keypoints."""

# The five keypoints of a head seen from the front and from its right side (x to the right, y down, metres): tip of the
# nose, pupils and ears of an adult (ISO 7250-1: pupils 63 mm apart; the ears' centres lie behind and below the eyes).
_FRONT = np.array([[0.0, 0.042], [0.032, 0.0], [-0.032, 0.0], [0.077, 0.018], [-0.077, 0.018]])
_SIDE = np.array([[0.033, 0.042], [0.0, 0.0], [0.0, 0.0], [-0.085, 0.018], [-0.085, 0.018]])
# Mean square distance of each pair of them, whichever way the head is turned.
_SQUARE_DISTANCES = np.mean([np.square(view[:, None] - view[None]).sum(axis=2) for view in (_FRONT, _SIDE)], axis=0)
_PAIRS = np.triu_indices(len(FACE_KEYPOINTS), 1)
# From the middle of the keypoints down to the middle of the landmarks, metres.
_FACE_BELOW_KEYPOINTS_M = 0.014
# The longer side of the landmarks, forehead to chin, metres.
_FACE_M = 0.172
FACE_MARGIN = 1.5
"""Side of a region over the longer side of its face (MediaPipe, face_landmark graphs, RectTransformation)."""
# How much the direction from the shoulders to the head counts against that from ear to ear, which a head in profile
# does not have; and how long that is with a face that looks at the camera, metres.
_UPRIGHT_WEIGHT = 0.4
_ACROSS_M = 0.218
# The ears of a head that is seen from behind are the wrong way round by this part of the head's size.
_FROM_BEHIND = -0.35
_FEWEST_KEYPOINTS = 3
# The outer corners of the right and the left eye among the landmarks.
_EYE_CORNERS = (33, 263)


def regions_from_keypoints(pixels: FloatArray, shoulders: FloatArray) -> FloatArray:
    """Return the region of the face of each person.

    The spread of the five keypoints hardly depends on which way a head is turned, so it gives the size: from ear to ear
    they are as far apart as from nose to ear.

    Args:
        pixels: `FACE_KEYPOINTS` of N people with shape (N, 5, 2), px; NaN where one is not seen.
        shoulders: Left and right shoulder with shape (N, 2, 2), px; NaN where one is not seen.

    Returns:
        Centre x, y, side and rotation with shape (N, 4), px and radians; NaN where too little is seen, or the back of
        the head.
    """
    known = np.isfinite(pixels).all(axis=2)
    points = np.where(known[..., None], pixels, 0.0)
    count = known.sum(axis=1)
    middle = points.sum(axis=1) / np.maximum(count, 1)[:, None]
    first, second = _PAIRS
    pairs = known[:, first] & known[:, second]
    square = np.square(points[:, first] - points[:, second]).sum(axis=2)
    expected = np.where(pairs, _SQUARE_DISTANCES[_PAIRS], 0).sum(axis=1)
    px_per_m = np.sqrt(np.where(pairs, square, 0).sum(axis=1) / np.maximum(expected, 1e-9))
    across = _to_the_left(points, known, px_per_m)
    upright = _right_angle(_from_shoulders(middle, shoulders, px_per_m))
    shown = np.linalg.norm(across, axis=1) / np.maximum(_ACROSS_M * px_per_m, 1e-9)
    rotation = np.arctan2(*(shown[:, None] * across + _UPRIGHT_WEIGHT * upright).T[::-1])
    down = np.stack([-np.sin(rotation), np.cos(rotation)], axis=1)
    center = middle + _FACE_BELOW_KEYPOINTS_M * px_per_m[:, None] * down
    regions = np.concatenate([center, (FACE_MARGIN * _FACE_M * px_per_m)[:, None], rotation[:, None]], axis=1)
    from_behind = np.sum(across * upright, axis=1) < _FROM_BEHIND * np.square(px_per_m * _FACE_M)
    regions[(count < _FEWEST_KEYPOINTS) | (px_per_m <= 0) | from_behind] = np.nan
    return regions


def regions_from_landmarks(pixels: FloatArray) -> FloatArray:
    """Return the region around the landmarks of each face, as MediaPipe makes it for the next frame of a video.

    Args:
        pixels: Landmarks of N faces with shape (N, 468, 2), px.

    Returns:
        Centre x, y, side and rotation with shape (N, 4), px and radians.
    """
    right, left = _EYE_CORNERS
    level = pixels[:, left] - pixels[:, right]
    rotation = np.arctan2(level[:, 1], level[:, 0])
    cos, sin = np.cos(rotation), np.sin(rotation)
    image_from_level = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    turned = np.einsum("nji,nlj->nli", image_from_level, pixels)
    low, high = turned.min(axis=1), turned.max(axis=1)
    center = np.einsum("nij,nj->ni", image_from_level, (low + high) / 2)
    side = FACE_MARGIN * (high - low).max(axis=1)
    return np.concatenate([center, side[:, None], rotation[:, None]], axis=1)


def _to_the_left(points: FloatArray, known: FloatArray, px_per_m: FloatArray) -> FloatArray:
    """Return the direction to the person's left with shape (N, 2), px: the longer, the more it is seen."""
    eyes = np.where((known[:, 1] & known[:, 2])[:, None], points[:, 1] - points[:, 2], 0.0)
    ears = np.where((known[:, 3] & known[:, 4])[:, None], points[:, 3] - points[:, 4], 0.0)
    return eyes + ears


def _from_shoulders(middle: FloatArray, shoulders: FloatArray, px_per_m: FloatArray) -> FloatArray:
    """Return the direction from the shoulders to the head, as long as a face, shape (N, 2), px; upwards if unknown."""
    known = np.isfinite(shoulders).all(axis=2)
    base = np.where(known[..., None], shoulders, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)[:, None]
    up = np.where(known.all(axis=1)[:, None], middle - base, [0.0, -1.0])
    return up * (_FACE_M * px_per_m / np.maximum(np.linalg.norm(up, axis=1), 1e-9))[:, None]


def _right_angle(up: FloatArray) -> FloatArray:
    """Turn directions with shape (N, 2) clockwise by a right angle: from upwards to the right of the image."""
    return np.stack([-up[:, 1], up[:, 0]], axis=1)
