"""What the shape of a face's landmarks says: which way the head is turned, and how large it seems."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.human.face_views import FaceViews

LANDMARKS = 468
SELLION = 168
"""The landmark at the root of the nose, between the eyes."""

# Landmarks by MediaPipe's numbers (mediapipe/modules/face_geometry/data/canonical_face_model_uv_visualization.png).
# Pairs on both sides of the face that neither speech nor the look of the eyes moves: corners of the eyes, temples,
# cheekbones, forehead, and the jaw below the ears.
_RIGHT = np.array([33, 133, 127, 234, 93, 50, 117, 123, 116, 162, 21, 54, 103, 67, 109, 132, 58])
_LEFT = np.array([263, 362, 356, 454, 323, 280, 346, 352, 345, 389, 251, 284, 332, 297, 338, 361, 288])
# Forehead, brow and corners of the eyes, and below them the base of the nose: the upper jaw does not move either.
_UPPER = np.array([10, 151, 9, 8, 33, 133, 263, 362])
_LOWER = np.array([2, 98, 327, 164])
# From the base of the nose to the forehead is not straight up when a head looks straight ahead, radians: calibrated
# with simulated people; the network's faces of real people have that shape within 1 degree.
_LEANS_BACK_RAD = np.deg2rad(-4.5)
_FOREHEAD, _CHIN = 10, 152
# Between the temples, where the middle of the head is, seen from the front.
_TEMPLES = np.array([127, 356, 234, 454])
FACE_WIDTH_M = 0.1135
"""Mean distance of the pairs of an adult, metres: 0.105 to 0.123 of simulated people, 0.110 and 0.115 of real ones."""


def shapes_in_view(landmarks: FloatArray, views: FaceViews) -> FloatArray:
    """Return the shapes of faces in the axes of their views, as parts of their distance.

    Args:
        landmarks: As the network gives them with shape (N, 468, 3): x, y in px of the view; z grows away from the
            camera and is as large as x and y.
        views: N views.

    Returns:
        With shape (N, 468, 3), relative to the sellion.
    """
    return (landmarks - landmarks[:, SELLION, None]) / views.focal[:, None, None]


def head_rotations(shapes: FloatArray) -> FloatArray:
    """Return how heads are turned: x out of the face, y to the person's left, z up.

    Args:
        shapes: Landmarks with shape (N, 468, 3) in any axes and at any scale.

    Returns:
        Rotations with shape (N, 3, 3) whose columns are the axes of the head, in the axes of the shapes.
    """
    left = _unit((shapes[:, _LEFT] - shapes[:, _RIGHT]).sum(axis=1))
    forward = _unit(np.cross(left, shapes[:, _UPPER].mean(axis=1) - shapes[:, _LOWER].mean(axis=1)))
    up = np.cross(forward, left)
    cos, sin = np.cos(_LEANS_BACK_RAD), np.sin(_LEANS_BACK_RAD)
    return np.stack([cos * forward + sin * up, left, cos * up - sin * forward], axis=2)


def face_widths(shapes: FloatArray) -> FloatArray:
    """Return the mean distance of the pairs of landmarks with shape (N,), in the unit of the shapes (N, 468, 3)."""
    return np.linalg.norm((shapes[:, _LEFT] - shapes[:, _RIGHT]).mean(axis=1), axis=1)


def face_heights(shapes: FloatArray) -> FloatArray:
    """Return the distance from forehead to chin with shape (N,), in the unit of the shapes (N, 468, 3)."""
    return np.linalg.norm(shapes[:, _FOREHEAD] - shapes[:, _CHIN], axis=1)


def facing(shapes: FloatArray) -> FloatArray:
    """Return how much the skin at each landmark faces the camera: 1 straight, 0 from the side, below 0 hidden.

    Args:
        shapes: In the axes of their views with shape (N, 468, 3).

    Returns:
        Cosines with shape (N, 468); a head is nearly round.
    """
    outward = shapes - shapes[:, _TEMPLES].mean(axis=1, keepdims=True)
    return -outward[..., 2] / np.maximum(np.linalg.norm(outward, axis=2), 1e-9)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
