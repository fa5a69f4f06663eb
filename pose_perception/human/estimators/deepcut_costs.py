"""DeeperCut's part candidates of an image, and what it costs to keep and to join them.

PoseNet's part heatmaps are the unary probabilities. Its displacement fields, followed along the tree of the body, give
every candidate a guess of where each other part of the same person is; how far two candidates miss each other by these
guesses makes the probability that they belong together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.grouping import GroupingProblem
from pose_perception.human.estimators.posenet import KEYPOINTS, STRIDE, PosenetMaps, find_peaks, refine, regress_poses

# Least heat of a candidate. Less likely ones than DeeperCut's 0.2: the other parts of a person vouch for hidden joints.
_MIN_HEAT = 0.1
# Of the surest maxima: enough for 30 people, and a bound of the time for pictures that are nothing but clutter.
_MOST = 600
# Maxima whose offsets lead to the same place, within half a cell, are one candidate with one label: of several for the
# same part the surest stays, of a left and a right part the optimisation keeps one at most.
_SAME_PLACE_PX = STRIDE / 2
_PAIRS = ((5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
# Probabilities are kept this far from 0 and 1: no single term overrules all others.
_MIN_PROBABILITY = 0.001
# Different parts: logit = bias - weight ln(e + offset), where e is the mean distance by which two candidates miss each
# other, over the size of the person. Fitted and cross-validated by benchmarks/deepcut_pairs.py.
PAIR_OFFSET = 0.05
PAIR_BIAS, PAIR_WEIGHT = -5.44, 2.84
# The same part: logit = 7.5 - 0.2 px in DeeperCut (github.com/eldar/deepcut), whose people are 340 px tall; then
# sqrt(width height) is about 200 px. Where that is negative, they are two people for sure.
_SAME_PART_BIAS, _SAME_PART_WEIGHT = 7.5, 40.0
# More than what all parts of a person together can gain, 17 times ln(999).
_NEVER = 200.0


class Candidates(NamedTuple):
    """N part candidates, pixels (x, y) of the network's input.

    Attributes:
        parts: Part with shape (N,).
        pixels: Place with shape (N, 2), px.
        scores: Probability that the part is there with shape (N,).
        poses: The pose that each implies with shape (N, 17, 2), px.
        pose_scores: Heat at its keypoints with shape (N, 17).
    """

    parts: npt.NDArray[np.intp]
    pixels: FloatArray
    scores: FloatArray
    poses: FloatArray
    pose_scores: FloatArray


def find_candidates(maps: PosenetMaps) -> Candidates:
    """Return the local maxima of the heatmaps, moved between the cells by the offsets; the surest first."""
    row, column, parts = find_peaks(maps.heat, _MIN_HEAT)
    order = np.argsort(-maps.heat[row, column, parts], kind="stable")[:_MOST]
    row, column, parts = row[order], column[order], parts[order]
    scores = maps.heat[row, column, parts].astype(np.float64)
    pixels, _ = refine(maps, STRIDE * np.stack([column, row], axis=1).astype(np.float64), parts)
    again = (parts[:, None] == parts) & (_distances(pixels) < _SAME_PLACE_PX) & np.tri(len(parts), k=-1, dtype=bool)
    kept = ~again.any(axis=1)
    parts, pixels, scores = parts[kept], pixels[kept], scores[kept]
    return Candidates(parts, pixels, scores, *regress_poses(maps, pixels, parts))


def grouping_problem(candidates: Candidates) -> GroupingProblem:
    """Return the costs log((1 - p) / p) of keeping and joining candidates, and which are labels of the same."""
    parts = candidates.parts
    sizes = person_sizes(candidates.poses)
    size = (sizes[:, None] + sizes) / 2
    distance = _distances(candidates.pixels)
    logit = PAIR_BIAS - PAIR_WEIGHT * np.log(pair_errors(candidates) / size + PAIR_OFFSET)
    same_logit = _SAME_PART_BIAS - _SAME_PART_WEIGHT * distance / size
    same_part = parts[:, None] == parts
    limit = np.log((1 - _MIN_PROBABILITY) / _MIN_PROBABILITY)
    join = -np.clip(np.where(same_part, same_logit, logit), -limit, limit)
    join[same_part & (same_logit < 0)] = _NEVER
    np.fill_diagonal(join, 0)
    score = np.clip(candidates.scores, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    pair = np.zeros((KEYPOINTS, KEYPOINTS), bool)
    pair[tuple(np.transpose(_PAIRS))] = True
    excludes = (pair | pair.T)[parts[:, None], parts] & (distance < _SAME_PLACE_PX)
    return GroupingProblem(np.log((1 - score) / score), join, excludes)


def pair_errors(candidates: Candidates) -> FloatArray:
    """Return by how many px two candidates miss each other's guesses of them, mean of both, with shape (N, N)."""
    guesses = candidates.poses[:, candidates.parts]  # (N, N, 2): where i sees the part that j is
    error = np.linalg.norm(guesses - candidates.pixels, axis=2)
    return (error + error.T) / 2


def person_sizes(poses: FloatArray) -> FloatArray:
    """Return sqrt(width height) of poses with shape (N, 17, 2), px."""
    return np.maximum(np.sqrt(np.ptp(poses, axis=1).prod(axis=1)), 1.0)


def _distances(pixels: FloatArray) -> FloatArray:
    return np.linalg.norm(pixels[:, None] - pixels, axis=2)
