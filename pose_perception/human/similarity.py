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
# A pose that nobody was expected to have is somebody else's once more when it is this similar, unless the trunks are
# this far apart, metres; or when the trunks are this close and the boxes overlap this much.
_DOUBLE_SIMILARITY, _OTHER_PLACE_M = 0.30, 0.40
_SAME_PLACE_M, _DOUBLE_OVERLAP = 0.25, 0.30


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
    return point_similarity(
        (first.pixels, first.scores, first.boxes), (second.pixels, second.scores, second.boxes), min_score
    )


def point_similarity(
    first: tuple[FloatArray, FloatArray, FloatArray],
    second: tuple[FloatArray, FloatArray, FloatArray],
    min_score: float,
    spread_px: FloatArray | None = None,
) -> FloatArray:
    """Return the object keypoint similarity of all pairs, of which one side may be a guess.

    Args:
        first: Pixels (N, K, 2), scores (N, K) and boxes (N, 4) of N people.
        second: The same of M people.
        min_score: Keypoints below this confidence in either of a pair do not count.
        spread_px: Standard deviation of each of the second people as a whole, shape (M,), px: makes the formula milder.

    Returns:
        Similarity with shape (N, M), as `keypoint_similarity`.
    """
    k = len(COCO_SIGMAS)
    distance_sq = np.square(first[0][:, None, :k] - second[0][None, :, :k]).sum(axis=-1)
    area = (box_areas(first[2])[:, None] + box_areas(second[2])[None]) / 2
    shared = (first[1][:, None, :k] >= min_score) & (second[1][None, :, :k] >= min_score)
    shared &= np.isfinite(distance_sq)
    variance = np.maximum(area, 1.0)[..., None] * np.square(2 * COCO_SIGMAS)
    if spread_px is not None:
        variance = variance + np.square(spread_px)[:, None]
    count = shared.sum(axis=-1)
    similarity = np.where(shared, np.exp(-np.nan_to_num(distance_sq) / (2 * variance)), 0.0).sum(axis=-1)
    return np.where(count >= 3, similarity / np.maximum(count, 1), 0.0)


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


def are_doubles(
    estimates: PoseEstimates, centers: FloatArray, rows: list[int], known: list[int], min_score: float
) -> npt.NDArray[np.bool_]:
    """Return which people are the body of another one once more, in part at least.

    Half of the joints of such a pose may be of the one, half of the other person: less similar than true duplicates.

    Args:
        estimates: N people.
        centers: Middle of each trunk with shape (N, 3), metres; NaN when unknown.
        rows: The people asked about.
        known: The people that they may be, none of `rows`.
        min_score: Keypoints below this confidence do not count.

    Returns:
        With the shape of `rows`.
    """
    if not rows or not known:
        return np.zeros(len(rows), bool)
    first, second = estimates.select(rows), estimates.select(known)
    apart = np.linalg.norm(centers[rows][:, None] - centers[known][None], axis=2)
    similar = keypoint_similarity(first, second, min_score) > _DOUBLE_SIMILARITY
    in_place = (apart < _SAME_PLACE_M) & (box_overlap(first.boxes, second.boxes) > _DOUBLE_OVERLAP)
    return ((similar & ~(apart > _OTHER_PLACE_M)) | in_place).any(axis=1)


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
