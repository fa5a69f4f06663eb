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
    intersection = _intersections(first, second)
    union = box_areas(first)[:, None] + box_areas(second)[None] - intersection
    return intersection / np.maximum(union, 1e-9)


def box_coverage(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return intersection over the smaller one of boxes (N, 4) and (M, 4) with shape (N, M)."""
    smaller = np.minimum(box_areas(first)[:, None], box_areas(second)[None])
    return _intersections(first, second) / np.maximum(smaller, 1e-9)


def _intersections(first: FloatArray, second: FloatArray) -> FloatArray:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def same_bodies(estimates: PoseEstimates, centers: FloatArray, min_score: float, threshold: float) -> FloatArray:
    """Return which pairs of people are the same body twice, shape (N, N), bool.

    Args:
        estimates: N people.
        centers: Middle of each trunk with shape (N, 3), metres; NaN when unknown.
        min_score: Keypoints below this confidence do not count.
        threshold: Similarity above which two poses are the same person, unless their trunks are far apart: one may
            stand right behind the other.
    """
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    similar = keypoint_similarity(estimates, estimates, min_score) > threshold
    return similar & ~(apart > _OTHER_PLACE_M) & ~np.eye(len(estimates), dtype=bool)


def mixed_bodies(estimates: PoseEstimates, centers: FloatArray, min_score: float) -> FloatArray:
    """Return which pairs of people may be the same body in part, shape (N, N), bool; arguments as `same_bodies`.

    Half of the joints of such a pose may be of the one, half of the other person.
    """
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    in_place = (apart < _SAME_PLACE_M) & (box_overlap(estimates.boxes, estimates.boxes) > _DOUBLE_OVERLAP)
    return same_bodies(estimates, centers, min_score, _DOUBLE_SIMILARITY) | in_place


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
