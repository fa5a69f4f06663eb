"""The default: MoveNet multipose finds people, MoveNet Thunder places their joints, BlazePose adds hands and feet.

The figures behind this choice are in docs/estimators.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators import blazepose
from pose_perception.human.estimators.base import (
    MIN_SCORE,
    EstimationConfig,
    Estimator,
)
from pose_perception.human.estimators.movenet_single import MovenetPeople
from pose_perception.human.similarity import COCO_SIGMAS
from pose_perception.human.topology import BODY_33
from pose_perception.networks.runtime import load_network

_COCO = len(COCO_SIGMAS)
# BlazePose speaks for the same body when its joints lie this close to Thunder's, as a part of the person's size.
_MAX_DISAGREEMENT = 0.10
_MIN_PRESENCE = 0.5
# So many people are looked at mirrored, too: more accurate, while a few people leave the time for it.
_MOST_MIRRORED = 4


class DefaultEstimator(Estimator):
    """Top-down: one search of the image, then one batch of crops for each of the two networks."""

    topology = BODY_33

    def __init__(self, device: str, _: EstimationConfig | None = None) -> None:
        """Load the networks for `device` (auto, cuda or cpu)."""
        self._people = MovenetPeople("thunder", device)
        self._blazepose = load_network("blazepose_full", device, outputs=blazepose.RESULTS)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        return self._with_landmarks(color, self._people.estimate(color, boxes, find, _MOST_MIRRORED))

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._people.warm_up()
        self._blazepose.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._people.load_all()

    def _with_landmarks(self, color: npt.NDArray[np.uint8], people: PoseEstimates) -> PoseEstimates:
        """Add BlazePose's points and metric landmarks to COCO's 17 keypoints."""
        regions = blazepose.regions_from_keypoints(people.pixels, people.scores, MIN_SCORE)
        marks = blazepose.landmarks(self._blazepose, color, regions)
        agrees = (marks.presence >= _MIN_PRESENCE) & _agree(people, marks.pixels[:, :_COCO])
        extra = np.where(agrees[:, None, None], marks.pixels[:, _COCO:], np.nan)
        extra_scores = np.where(agrees[:, None], marks.scores[:, _COCO:], 0.0)
        return PoseEstimates(
            pixels=np.concatenate([people.pixels, extra], axis=1),
            scores=np.concatenate([people.scores, extra_scores], axis=1),
            boxes=people.boxes,
            person_scores=people.person_scores,
            world=np.where(agrees[:, None, None], marks.world, np.nan),
        )


def _agree(people: PoseEstimates, others: FloatArray) -> npt.NDArray[np.bool_]:
    """Return for which people both networks describe the same body, shape (N,)."""
    distance = np.linalg.norm(people.pixels - others, axis=2)
    confident = people.scores >= MIN_SCORE
    mean = np.where(confident, distance, 0).sum(axis=1) / np.maximum(confident.sum(axis=1), 1)
    return mean < _MAX_DISAGREEMENT * (people.boxes[:, 2:] - people.boxes[:, :2]).max(axis=1, initial=1)
