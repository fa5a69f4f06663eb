"""DeeperCut: the parts of all people are labelled and grouped by one optimisation over the whole image.

Insafutdinov et al., DeeperCut, 2016. PoseNet stands for the network of the paper: its heatmaps are the unary terms, its
displacement fields the image-conditioned pairwise terms.
"""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import EstimationConfig, Estimator
from pose_perception.human.estimators.deepcut_costs import Candidates, find_candidates, grouping_problem
from pose_perception.human.estimators.grouping import SUPPRESSED, Grouping, Labels
from pose_perception.human.estimators.grouping_exact import group_exact
from pose_perception.human.estimators.grouping_fast import group_fast
from pose_perception.human.estimators.posenet import (
    EDGES,
    KEYPOINTS,
    PosenetMaps,
    PosenetPeople,
    PosenetReader,
    estimates_in_image,
)
from pose_perception.human.topology import COCO_17

TIME_LIMIT_S = 10.0
"""Of the exact mode for one image."""
# A single part is not enough evidence of a person.
_MIN_PARTS = 2
_LOG = logging.getLogger(__name__)


class DeepCutEstimator(Estimator):
    """Bottom-up: sees the whole image, so that boxes do not matter.

    Attributes:
        last_grouping: Solution of the last image with its cost and how far from the optimum it may be.
    """

    topology = COCO_17

    def __init__(self, device: str, config: EstimationConfig) -> None:
        """Prepare for a device (auto, cuda or cpu); `config.grouping` chooses the solver."""
        self._reader = PosenetReader(device)
        self._is_exact = config.grouping == "exact"
        self.last_grouping: Grouping | None = None

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`. Each person occurs once."""
        maps, scale = self._reader.read(color)
        people, self.last_grouping = decode_deepcut(maps, self._is_exact)
        if self._is_exact and self.last_grouping.gap > 0:
            gap = 100 * self.last_grouping.gap
            _LOG.warning("grouping stopped after %g s, at most %.2g %% from the optimum", TIME_LIMIT_S, gap)
        return estimates_in_image(people, scale)

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._reader.network.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._reader.network.load_all()


def decode_deepcut(
    maps: PosenetMaps, is_exact: bool, time_limit_s: float = TIME_LIMIT_S
) -> tuple[PosenetPeople, Grouping]:
    """Return the people of one image, and the grouping that made them.

    Args:
        maps: Results of the network.
        is_exact: Solve the integer program instead of searching locally.
        time_limit_s: For the integer program, in seconds.
    """
    candidates = find_candidates(maps)
    problem = grouping_problem(candidates)
    grouping = group_exact(problem, time_limit_s) if is_exact else group_fast(problem)
    return assemble(candidates, grouping.labels), grouping


def assemble(candidates: Candidates, labels: Labels) -> PosenetPeople:
    """Turn groups of candidates into people.

    A joint is the mean of its candidates, weighted with their probabilities. One without candidates is where the
    nearest and surest part of the person sees it, and is as sure as the heat is there.

    Args:
        candidates: N candidates.
        labels: Group of each with shape (N,).
    """
    groups = np.unique(labels[labels != SUPPRESSED])
    weight = (labels == groups[:, None]) * candidates.scores  # (P, N)
    of_part = weight[:, :, None] * (candidates.parts[:, None] == np.arange(KEYPOINTS))  # (P, N, K)
    enough = of_part.any(axis=1).sum(axis=1) >= _MIN_PARTS
    weight, of_part = weight[enough], of_part[enough]
    if not len(weight):
        return PosenetPeople(np.empty((0, KEYPOINTS, 2)), np.empty((0, KEYPOINTS)), np.empty(0))
    total = of_part.sum(axis=1)  # (P, K)
    mean = np.einsum("pnk,nd->pkd", of_part, candidates.pixels) / np.maximum(total, 1e-9)[..., None]
    witness = (weight[:, :, None] * 0.5 ** _TREE_DISTANCES[candidates.parts]).argmax(axis=1)  # (P, K)
    part = np.arange(KEYPOINTS)
    pixels = np.where(total[..., None] > 0, mean, candidates.poses[witness, part])
    scores = np.where(total > 0, of_part.max(axis=1), candidates.pose_scores[witness, part])
    # Squared, so that many unsure parts do not outweigh a few sure ones.
    person_scores = np.square(scores).mean(axis=1)
    order = np.argsort(-person_scores, kind="stable")
    return PosenetPeople(pixels[order], scores[order], person_scores[order])


def _tree_distances() -> npt.NDArray[np.intp]:
    """Return how many edges of the tree lie between two parts, shape (17, 17)."""
    distances = np.full((KEYPOINTS, KEYPOINTS), KEYPOINTS)
    np.fill_diagonal(distances, 0)
    distances[tuple(np.transpose(EDGES))] = distances[tuple(np.transpose(EDGES)[::-1])] = 1
    for middle in range(KEYPOINTS):
        distances = np.minimum(distances, distances[:, middle, None] + distances[middle])
    return distances


_TREE_DISTANCES = _tree_distances()
