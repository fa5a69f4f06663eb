"""Who is who: the best one-to-one match of the people seen in a frame with the people known.

The cost of a pair is a negative log likelihood in spirit: how far the trunk is from where the person's Kalman filter
expects it (Mahalanobis distance, with the logarithm of the spread, so that somebody whose place is certain goes before
somebody who could be anywhere), how well the keypoints fit the predicted skeleton (OKS), and how the clothes differ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.appearance import difference
from pose_perception.human.sightings import Sightings
from pose_perception.human.similarity import box_overlap, point_similarity

# Share of keypoints and of boxes in the similarity of two poses.
_KEYPOINT_SHARE = 0.7
# 99.9 % of the trunks are within this squared Mahalanobis distance (chi-squared with 3 degrees of freedom).
_GATE = 16.3
# Error of a sighted trunk across the view and along it, metres: a part of it may be hidden, or carry something.
_ACROSS_SIGMA_M, _ALONG_SIGMA_M = 0.08, 0.13
# Weights of place, of its spread, of the pose and of the clothes in the cost, and the largest difference that counts.
_PLACE, _SPREAD, _POSE, _CLOTHES = 0.25, 0.25, 3.0, 0.5
_LARGEST_DIFFERENCE = 4.0
# Where there is depth, joints without a trunk belong to somebody seen less than this ago, seconds, and this similar.
_BARE_S, _BARE_SIMILAR = 0.3, 0.35
# What a trunk that is hidden costs, and one whose place is not known.
_HIDDEN, _NOWHERE = 1.0, 1.0
# A pair that costs more, its spread apart, is no match; and leaving a pair unmatched costs more than any match.
_LIMIT, _UNMATCHED = 4.5, 10.0
# Somebody seen less than this ago, seconds, has a pose at least this similar.
_JUST_SEEN_S, _LEAST_SIMILAR = 0.15, 0.1
# After this time unseen clothes must agree, where both were seen; and trunks must be equally long, as a ratio.
_STRANGE_AFTER_S = 0.5
_SAME_CLOTHES = 1.2
_SHORTEST_TRUNK, _LONGEST_TRUNK = 0.6, 1.35
_TRUNK_SIGMA = 0.15
# How fast people walk, m/s, and how far a trunk may be off in any case, metres: where somebody can be who was away.
_WALKING_SPEED, _PLACE_ERROR_M = 1.5, 0.8


class Expected(NamedTuple):
    """M known people as the present frame should show them.

    Attributes:
        pixels: Keypoints with shape (M, K, 2), px.
        scores: Of the last time they were seen with shape (M, K).
        boxes: With shape (M, 4), px.
        spread_px: Standard deviation of all that together with shape (M,), px.
        centers: Trunks in the camera optical frame with shape (M, 3), metres; NaN when unknown.
        covariances: Of these with shape (M, 3, 3), square metres.
        last_centers: Where the trunks were seen last, now in the camera optical frame, shape (M, 3), metres.
        trunks: Length of the trunks with shape (M,), metres; NaN when never measured.
        appearances: Clothes with shape (M, D); NaN when never seen.
        gaps_s: Time since they were seen with shape (M,), seconds.
    """

    pixels: FloatArray
    scores: FloatArray
    boxes: FloatArray
    spread_px: FloatArray
    centers: FloatArray
    covariances: FloatArray
    last_centers: FloatArray
    trunks: FloatArray
    appearances: FloatArray
    gaps_s: FloatArray

    def select(self, index: npt.ArrayLike) -> Expected:
        """Return the people chosen by an index array."""
        rows = np.asarray(index, dtype=np.int64)
        return Expected(*(values[rows] for values in self))


def pose_similarity(estimates: PoseEstimates, expected: Expected, min_score: float) -> FloatArray:
    """Return how well N estimates fit the poses of M known people, shape (N, M), 0 to 1."""
    keypoints = point_similarity(
        (estimates.pixels, estimates.scores, estimates.boxes),
        (expected.pixels, expected.scores, expected.boxes),
        min_score,
        expected.spread_px,
    )
    return _KEYPOINT_SHARE * keypoints + (1 - _KEYPOINT_SHARE) * box_overlap(estimates.boxes, expected.boxes)


def continuation_costs(similarity: FloatArray, sightings: Sightings, expected: Expected, least: float) -> FloatArray:
    """Return the cost of each estimate being each person who was seen a moment ago or is predicted.

    Args:
        similarity: From `pose_similarity`, shape (N, M).
        sightings: The N people seen.
        expected: The M people known.
        least: Least similarity where there is no depth to tell the place.

    Returns:
        Costs with shape (N, M); infinite where it cannot be.
    """
    layers = sightings.at(np.broadcast_to(expected.centers[:, 2], similarity.shape))
    squared, spread = _distances(layers.centers, expected)
    in_place = np.isfinite(squared)
    clothes = difference(layers.appearances, expected.appearances)
    possible = np.where(in_place, squared < _GATE, similarity >= least)
    # Joints without a trunk may be of anybody: they only go on what was just there.
    is_bare = sightings.has_depth & ~in_place & np.isfinite(expected.centers).all(axis=1)
    possible &= ~is_bare | ((similarity >= _BARE_SIMILAR) & (expected.gaps_s <= _BARE_S))
    possible &= (similarity >= _LEAST_SIMILAR) | (expected.gaps_s > _JUST_SEEN_S)
    possible &= ~(clothes > _SAME_CLOTHES) | (expected.gaps_s <= _STRANGE_AFTER_S)
    cost = _POSE * (1 - similarity) + np.where(
        in_place, _PLACE * np.nan_to_num(squared) + _HIDDEN * (1 - layers.clear), _NOWHERE
    )
    cost += _CLOTHES * np.square(np.minimum(np.nan_to_num(clothes), _LARGEST_DIFFERENCE))
    return np.where(possible & (cost < _LIMIT), cost + _SPREAD * spread, np.inf)


def return_costs(sightings: Sightings, expected: Expected) -> FloatArray:
    """Return the cost of each person seen being one who was away, by clothes, body size and reachable place.

    Args:
        sightings: The N people seen.
        expected: The M people who were not seen lately.

    Returns:
        Costs with shape (N, M); infinite where it cannot be, and where the clothes were not seen.
    """
    seen = sightings.majority
    clothes = difference(seen.appearances, expected.appearances)
    away_m = np.linalg.norm(seen.centers - expected.last_centers, axis=2)
    place = np.nan_to_num(away_m / reachable_m(expected.gaps_s))
    ratio = seen.trunks / expected.trunks
    possible = (clothes < _SAME_CLOTHES) & (place < 1)
    possible &= ~((ratio < _SHORTEST_TRUNK) | (ratio > _LONGEST_TRUNK))
    size = np.square(np.nan_to_num(ratio - 1) / _TRUNK_SIGMA)
    cost = np.square(np.nan_to_num(clothes)) + place + 0.1 * np.minimum(size, 4.0)
    return np.where(possible, cost, np.inf)


def reachable_m(gap_s: Any) -> Any:
    """Return how far people can get in a time, seconds, or an array of times; metres."""
    return _PLACE_ERROR_M + _WALKING_SPEED * gap_s


def assign(costs: FloatArray) -> list[tuple[int, int]]:
    """Return the pairs of rows and columns with the least sum of costs (N, M), nobody twice; infinite costs never.

    As many as possible are matched, but two bad matches do not replace a very good one.
    """
    if costs.size == 0:
        return []
    rows, columns = linear_sum_assignment(np.minimum(costs, _UNMATCHED))
    return [(int(row), int(col)) for row, col in zip(rows, columns, strict=True) if np.isfinite(costs[row, col])]


def _distances(centers: FloatArray, expected: Expected) -> tuple[FloatArray, FloatArray]:
    """Return squared Mahalanobis distances (N, M) and the logarithm of their spread over the least one (N, M).

    Args:
        centers: Where each of N people is if they are the one of M that is expected, shape (N, M, 3), metres.
        expected: The M people.
    """
    ray = centers / np.linalg.norm(centers, axis=2, keepdims=True)
    outer = ray[..., :, None] * ray[..., None, :]
    sighted = _ACROSS_SIGMA_M**2 * np.eye(3) + (_ALONG_SIGMA_M**2 - _ACROSS_SIGMA_M**2) * outer  # (N, M, 3, 3)
    apart = centers - expected.centers
    known = np.isfinite(apart).all(axis=2)
    covariance = np.where(known[..., None, None], sighted + expected.covariances, np.eye(3))
    apart = np.where(known[..., None], apart, 0.0)
    squared = np.einsum("nmi,nmi->nm", apart, np.linalg.solve(covariance, apart[..., None])[..., 0])
    least = 2 * np.log(_ACROSS_SIGMA_M**2 * _ALONG_SIGMA_M)
    spread = np.linalg.slogdet(covariance)[1] - least
    return np.where(known, squared, np.nan), np.where(known, spread, 0.0)
