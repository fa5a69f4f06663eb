"""From confidence maps and part affinity fields to people; no network is needed for it.

After Cao et al., OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, 2019: candidates are
the maxima of the maps, the field along the line between two candidates tells whether a limb joins them, a greedy
matching chooses the limbs, and people are put together from limbs. Positions are (x, y) in cells of the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

IntArray = npt.NDArray[np.intp]
MapArray = npt.NDArray[np.float32]

# Least value of a candidate. OpenPose has 0.05 (poseParameters.cpp); with 0.03 to 0.05 COCO pictures give the same AP
# within noise, below people are found that are not there.
_MIN_PEAK = 0.04
# Of each part at most so many candidates, the best ones: bounds what noise can cost.
_MAX_CANDIDATES = 100
# Samples along a limb; least field of a sample that counts (poseParameters.cpp); least part of them that must count.
_SAMPLES = 10
_MIN_FIELD = 0.05
_MIN_COUNTING = 0.8
# Ends that are closer than this part of the map's size make a limb without a direction, hence without a field to ask
# (bodyPartConnectorBase.cpp): an arm that points at the camera.
_SHORT_LIMB = 1 / 150
_SHORT_LIMB_SCORE = 0.05
_MIN_PARTS = 3  # of a person (poseParameters.cpp)
_ALL = np.ones((3, 3), np.uint8)
_EARLIER = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)


@dataclass(frozen=True)
class PartGraph:
    """Which parts there are and which limbs join them.

    Attributes:
        parts: Number of parts K.
        limbs: Pairs of parts, L of them.
        channels: For each limb the channels of the fields with the x and y of its direction, first part to second.
    """

    parts: int
    limbs: tuple[tuple[int, int], ...]
    channels: tuple[tuple[int, int], ...]


class Candidates(NamedTuple):
    """N places where a part may be, ordered by part and then by score, best first.

    Attributes:
        points: (x, y) with shape (N, 2), cells.
        scores: Value of the map with shape (N,).
        parts: Part of each with shape (N,).
    """

    points: FloatArray
    scores: FloatArray
    parts: IntArray


class Limbs(NamedTuple):
    """M limbs.

    Attributes:
        ends: Candidates at both ends with shape (M, 2).
        scores: Mean field along each with shape (M,).
    """

    ends: IntArray
    scores: FloatArray


class People(NamedTuple):
    """P people of K parts.

    Attributes:
        points: (x, y) with shape (P, K, 2), cells; NaN where a part was not found.
        scores: Value of the map at each part with shape (P, K); 0 where it was not found.
        person_scores: Shape (P,).
    """

    points: FloatArray
    scores: FloatArray
    person_scores: FloatArray


def group_people(maps: MapArray, fields: MapArray, graph: PartGraph) -> People:
    """Return the people of one image.

    Args:
        maps: Confidence of each part with shape (R, C, K).
        fields: Part affinity fields with shape (R, C, 2 L).
        graph: What the channels mean.
    """
    candidates = find_candidates(maps)
    limbs = [
        match_limb(candidates, limb, fields[..., channels])
        for limb, channels in zip(graph.limbs, graph.channels, strict=True)
    ]
    return assemble(candidates, limbs, graph.parts)


def find_candidates(maps: MapArray) -> Candidates:
    """Return the local maxima of the maps of all parts with shape (R, C, K), placed between the cells."""
    maps = np.ascontiguousarray(maps)
    # Of equal neighbours the first counts.
    is_peak = (maps >= cv2.dilate(maps, _ALL).reshape(maps.shape)) & (maps > _MIN_PEAK)
    is_peak &= maps > cv2.dilate(maps, _EARLIER).reshape(maps.shape)
    part, row, column = np.nonzero(is_peak.transpose(2, 0, 1))
    scores = maps[row, column, part]
    order = np.lexsort((-scores, part))
    sorted_parts = part[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_parts, sorted_parts)  # among those of the same part
    order = order[rank < _MAX_CANDIDATES]
    part, row, column = part[order], row[order], column[order]
    return Candidates(_between_cells(maps, row, column, part), scores[order], part)


def match_limb(candidates: Candidates, limb: tuple[int, int], field: MapArray) -> Limbs:
    """Return the limbs of one kind: always the best pair of candidates that are both free.

    Args:
        candidates: Of all parts.
        limb: The two parts.
        field: Direction from the first part to the second with shape (R, C, 2).
    """
    first, second = (np.flatnonzero(candidates.parts == part) for part in limb)
    if len(first) == 0 or len(second) == 0:
        return Limbs(np.empty((0, 2), np.intp), np.empty(0))
    scores = _score_pairs(candidates.points[first], candidates.points[second], field)
    chosen = match_greedily(scores)
    return Limbs(np.stack([first[chosen[0]], second[chosen[1]]], axis=1), scores[chosen])


def match_greedily(scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Return rows and columns of the pairs that a greedy choice makes, each row and column at most once.

    A pair that is the best of its row and of its column is chosen before all others of them, so all such pairs are
    taken at once, and again among what is left.

    Args:
        scores: Of all pairs with shape (N, M); -inf for pairs that must not be.
    """
    left = scores.copy()
    every_row = np.arange(len(left))
    rows, columns = [], []
    while True:
        best_column, best_row = left.argmax(axis=1), left.argmax(axis=0)
        taken = np.flatnonzero((best_row[best_column] == every_row) & (left[every_row, best_column] > -np.inf))
        if len(taken) == 0:
            break
        rows.append(taken)
        columns.append(best_column[taken])
        left[taken] = -np.inf
        left[:, best_column[taken]] = -np.inf
    none = [np.empty(0, np.intp)]
    return np.concatenate(none + rows), np.concatenate(none + columns)


def assemble(candidates: Candidates, limbs: Sequence[Limbs], parts: int) -> People:
    """Put people together: limb after limb, best first, joins what is at its ends unless both have the same part.

    Args:
        candidates: Of all parts.
        limbs: Of every kind.
        parts: Number of parts.
    """
    owners = list(range(len(candidates.parts)))
    members = [[i] for i in owners]
    held = [1 << part for part in candidates.parts.tolist()]  # a bit for each part
    ends = np.concatenate([each.ends for each in limbs])
    order = np.argsort(-np.concatenate([each.scores for each in limbs]), kind="stable")
    for first, second in ends[order].tolist():
        one, other = owners[first], owners[second]
        if held[one] & held[other]:
            continue
        if len(members[one]) < len(members[other]):
            one, other = other, one
        for member in members[other]:
            owners[member] = one
        members[one] += members[other]
        held[one] |= held[other]
    _, person, counts = np.unique(owners, return_inverse=True, return_counts=True)
    number = np.cumsum(counts >= _MIN_PARTS) - 1
    kept = np.flatnonzero(counts[person] >= _MIN_PARTS)
    person, part = number[person[kept]], candidates.parts[kept]
    points = np.full((int((counts >= _MIN_PARTS).sum()), parts, 2), np.nan)
    scores = np.zeros(points.shape[:2])
    points[person, part], scores[person, part] = candidates.points[kept], candidates.scores[kept]
    # Between the mean over the parts found and that over all: ranked best on COCO pictures.
    found = np.maximum((scores > 0).sum(axis=1), 1)
    return People(points, scores, scores.sum(axis=1) / np.sqrt(parts * found))


def _between_cells(maps: MapArray, row: IntArray, column: IntArray, part: IntArray) -> FloatArray:
    """Return where the peaks are, (x, y): exact for a Gaussian, whose logarithm is a parabola."""
    rows, columns = maps.shape[:2]
    middle = np.log(maps[row, column, part])
    points = np.stack([column, row], axis=1).astype(float)
    for axis, (dy, dx) in enumerate(((0, 1), (1, 0))):
        before = maps[np.maximum(row - dy, 0), np.maximum(column - dx, 0), part]
        after = maps[np.minimum(row + dy, rows - 1), np.minimum(column + dx, columns - 1), part]
        before, after = (np.log(np.maximum(values, 1e-3)) for values in (before, after))
        curvature = np.minimum(before - 2 * middle + after, -1e-6)
        points[:, axis] += np.clip((before - after) / (2 * curvature), -0.5, 0.5)
    return points


def _score_pairs(first: FloatArray, second: FloatArray, field: MapArray) -> FloatArray:
    """Return the mean field along the lines from N to M points with shape (N, M); -inf where there is no limb."""
    first, second = first.astype(np.float32)[:, None], second.astype(np.float32)[None]
    way = second - first  # (N, M, 2)
    length = np.sqrt(np.square(way).sum(axis=2))
    direction = way / np.maximum(length, 1e-9)[..., None]
    steps = np.linspace(0, 1, _SAMPLES, dtype=np.float32)[:, None]
    places = first[..., None, :] * (1 - steps) + second[..., None, :] * steps  # (N, M, S, 2)
    sampled = cv2.remap(
        np.ascontiguousarray(field),
        places.reshape(-1, _SAMPLES, 2),
        None,
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).reshape(places.shape)
    along = sampled[..., 0] * direction[..., None, 0] + sampled[..., 1] * direction[..., None, 1]
    scores = along.mean(axis=2)
    is_limb = ((along > _MIN_FIELD).mean(axis=2) >= _MIN_COUNTING) & (scores > 0)
    is_short = length < _SHORT_LIMB * np.sqrt(field.shape[0] * field.shape[1])
    return np.where(is_limb, scores, np.where(is_short, _SHORT_LIMB_SCORE, -np.inf))
