"""The default: MoveNet multipose finds people, MoveNet Thunder places their joints, BlazePose adds hands and feet.

The figures behind this choice are in docs/estimators.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators import blazepose
from pose_perception.human.estimators.agreement import joint_sigmas, pixels_per_metre
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
# A hand, foot or face whose joint both networks see farther apart than this is somebody else's, metres.
_MAX_APART_M = 0.15
_HANGING = {
    "wrist": ("pinky", "index", "thumb"),
    "ankle": ("heel", "foot_index"),
    "eye": ("eye_inner", "eye_outer"),
}
# Points nearer to the border of the image than this may lie outside of it, px.
_BORDER_PX = 4.0
# Standard deviation of the points that only BlazePose places, metres.
_EXTRA_SIGMA_M = 0.025
# So many people are looked at mirrored, too: more accurate, while a few people leave the time for it.
_MOST_MIRRORED = 4


class DefaultEstimator(Estimator):
    """Top-down: one search of the image, then one batch of crops for each of the two networks."""

    topology = BODY_33

    def __init__(self, device: str, _: EstimationConfig | None = None) -> None:
        """Load the networks for `device` (auto, cuda or cpu)."""
        self._people = MovenetPeople("thunder", device)
        self._blazepose = load_network("blazepose_full", device, outputs=blazepose.RESULTS)
        extra = BODY_33.keypoints[_COCO:]
        self._parents = np.array([BODY_33.index[_parent(name)] for name in extra])

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
        """Add BlazePose's points and metric landmarks to COCO's 17 keypoints, and what its opinion says of these."""
        regions = blazepose.regions_from_keypoints(people.pixels, people.scores, MIN_SCORE)
        marks = blazepose.landmarks(self._blazepose, color, regions)
        apart = np.linalg.norm(people.pixels - marks.pixels[:, :_COCO], axis=2)
        agrees = (marks.presence >= _MIN_PRESENCE) & (_mean_apart(people, apart) < _MAX_DISAGREEMENT * _sizes(people))
        scale = np.where(agrees, pixels_per_metre(marks.pixels, marks.world, marks.scores, MIN_SCORE), np.nan)[:, None]
        # Hands, feet and faces hang on a joint that both networks must see in the same place.
        held = (apart / scale)[:, self._parents] < _MAX_APART_M
        held &= people.scores[:, self._parents] >= MIN_SCORE
        held &= _inside(marks.pixels[:, _COCO:], color)
        extra_scores = np.where(held, marks.scores[:, _COCO:], 0.0)
        sigmas = joint_sigmas(people.scores, apart / scale, marks.scores[:, :_COCO])
        extra_sigmas = np.maximum(_EXTRA_SIGMA_M, sigmas[:, self._parents])
        return PoseEstimates(
            pixels=np.concatenate([people.pixels, np.where(held[..., None], marks.pixels[:, _COCO:], np.nan)], axis=1),
            scores=np.concatenate([people.scores, extra_scores], axis=1),
            boxes=people.boxes,
            person_scores=people.person_scores,
            world=np.where(agrees[:, None, None], marks.world, np.nan),
            pixel_sigmas=np.concatenate([sigmas, extra_sigmas], axis=1) * scale,
        )


def _inside(pixels: FloatArray, color: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which points (N, K, 2) lie inside of the image: those beyond its border are drawn to it, shape (N, K)."""
    height, width = color.shape[:2]
    last = np.array([width, height]) - 1 - _BORDER_PX
    return ((pixels > _BORDER_PX) & (pixels < last)).all(axis=2)


def _parent(keypoint: str) -> str:
    """Return the COCO keypoint on which one of BlazePose's additional ones hangs."""
    if "mouth" in keypoint:
        return "nose"
    side, part = keypoint.split("_", 1)
    return f"{side}_{next(parent for parent, parts in _HANGING.items() if part in parts)}"


def _sizes(people: PoseEstimates) -> FloatArray:
    return (people.boxes[:, 2:] - people.boxes[:, :2]).max(axis=1, initial=1)


def _mean_apart(people: PoseEstimates, apart: FloatArray) -> FloatArray:
    """Return the mean distance of both networks' joints with shape (N,), px, from distances (N, 17)."""
    confident = people.scores >= MIN_SCORE
    return np.where(confident, apart, 0).sum(axis=1) / np.maximum(confident.sum(axis=1), 1)
