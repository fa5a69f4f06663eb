"""Object keypoint similarity between people of one image or of neighbouring images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates

# Per-keypoint constants of COCO's evaluation (cocoapi, pycocotools/cocoeval.py, Params.kpt_oks_sigmas).
COCO_SIGMAS = np.array(
    [
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ]
)


def keypoint_similarity(first: PoseEstimates, second: PoseEstimates, min_score: float) -> FloatArray:
    """Return the object keypoint similarity of all pairs over COCO's 17 keypoints.

    Args:
        first: N people.
        second: M people.
        min_score: Keypoints below this confidence in either of a pair do not count.

    Returns:
        Similarity with shape (N, M), 0 to 1; 0 where a pair shares fewer than three keypoints. The area in the
        formula is the mean of both boxes.
    """
    k = len(COCO_SIGMAS)
    distance_sq = np.square(first.pixels[:, None, :k] - second.pixels[None, :, :k]).sum(axis=-1)
    area = (box_areas(first.boxes)[:, None] + box_areas(second.boxes)[None]) / 2
    shared = (first.scores[:, None, :k] >= min_score) & (second.scores[None, :, :k] >= min_score)
    shared &= np.isfinite(distance_sq)
    exponent = np.nan_to_num(distance_sq) / (2 * np.maximum(area, 1.0)[..., None] * np.square(2 * COCO_SIGMAS))
    count = shared.sum(axis=-1)
    similarity = np.where(shared, np.exp(-exponent), 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count >= 3, similarity, 0.0)


def box_areas(boxes: FloatArray) -> FloatArray:
    """Return the areas of boxes (x0, y0, x1, y1) with shape (N, 4) in square pixels."""
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def box_overlap(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return intersection over union of boxes (N, 4) and (M, 4) with shape (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=2)
    union = box_areas(first)[:, None] + box_areas(second)[None] - intersection
    return intersection / np.maximum(union, 1e-9)


def suppress_duplicates(estimates: PoseEstimates, min_score: float, threshold: float) -> npt.NDArray[np.int64]:
    """Return the indices of the people that stay when each is found once only.

    Args:
        estimates: N people, possibly the same person several times.
        min_score: Keypoints below this confidence do not count.
        threshold: Similarity above which two are the same person; the one with the higher score stays.

    Returns:
        Indices with shape (M,), best score first.
    """
    similarity = keypoint_similarity(estimates, estimates, min_score)
    kept: list[int] = []
    for i in np.argsort(-estimates.person_scores, kind="stable"):
        if not (similarity[i, kept] > threshold).any():
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)
