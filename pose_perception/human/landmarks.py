"""The metric landmarks of an estimator in the camera's frame, and how far away people of that size must be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import rays

# Standard deviation of the distance as a part of it: landmarks were 0.89 to 1.13 of the size of two real people and of
# the simulated ones.
DISTANCE_SPREAD = 0.10
# Of the depth of a joint relative to its body, metres: from simulated people, such that errors over standard deviations
# have unit variance.
RELATIVE_SIGMA_M = 0.08
# A person must show this many joints, and be at least this far away, metres.
_MIN_JOINTS = 5
_NEAREST_M = 0.2


def rotate_to_view(world: FloatArray, boxes: FloatArray, camera: CameraIntrinsics) -> FloatArray:
    """Turn landmarks that were estimated in a crop into the axes of the camera.

    A network sees a crop as if its centre lay on the optical axis; off the axis, its depth direction is the viewing
    ray of the crop.

    Args:
        world: Landmarks with shape (N, K, 3), metres.
        boxes: Where the people are (x0, y0, x1, y1), shape (N, 4), px.
        camera: Intrinsics.

    Returns:
        Landmarks with shape (N, K, 3), metres, in the axes of the camera.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    z = rays(center, camera)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(np.broadcast_to([0.0, 1.0, 0.0], z.shape), z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rotation = np.stack([x, np.cross(z, x), z], axis=2)  # (N, 3, 3), columns are the axes of the crop
    return np.einsum("nij,nkj->nki", rotation, world)


def depth_from_landmarks(view: FloatArray, weights: FloatArray, landmarks: FloatArray) -> FloatArray:
    """Return the depth of the keypoints of N people by their landmarks, where there is no depth image.

    The landmarks say how large a person is, the intrinsics how large that appears, and so how far away it is. People
    differ in size more than a network can see, so this is uncertain by a part of the distance, `DISTANCE_SPREAD`.
    The translation of the landmarks that projects them best onto their pixels is a linear least-squares problem: for a
    ray (x, y, 1) and a landmark L, L + t lies on the ray where Lx + tx = x (Lz + tz) and Ly + ty = y (Lz + tz).

    Args:
        view: Viewing rays with unit depth, shape (N, K, 3); NaN where a keypoint has no pixel.
        weights: How much each keypoint counts with shape (N, K).
        landmarks: In the axes of the camera with shape (N, K, 3), metres; NaN where there is none.

    Returns:
        Depth with shape (N, K), metres; NaN for keypoints and people of whom too little is known.
    """
    known = np.isfinite(view).all(axis=2) & np.isfinite(landmarks).all(axis=2)
    weight = np.where(known, weights, 0.0)
    view, points = np.nan_to_num(view), np.nan_to_num(landmarks)
    matrix = np.zeros((*known.shape, 2, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = 1.0
    matrix[..., 2] = -view[..., :2]
    target = view[..., :2] * points[..., 2:] - points[..., :2]
    hessian = np.einsum("nk,nkci,nkcj->nij", weight, matrix, matrix)
    gradient = np.einsum("nk,nkci,nkc->ni", weight, matrix, target)
    enough = _is_enough(weight > 0, hessian)
    hessian[~enough] = np.eye(3)
    translation = np.linalg.solve(hessian, gradient[..., None])[..., 0]
    depth = points[..., 2] + translation[:, 2:]
    return np.where(known & enough[:, None] & (depth > _NEAREST_M), depth, np.nan)


def _is_enough(counts: npt.NDArray[np.bool_], hessian: FloatArray) -> npt.NDArray[np.bool_]:
    """Return of which people enough is known; joints that all lie on one ray say nothing of the distance."""
    smallest = np.linalg.eigvalsh(hessian)[:, 0]
    return (counts.sum(axis=1) >= _MIN_JOINTS) & (smallest > 1e-6)
