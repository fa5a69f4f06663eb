"""DeepPose: a cascade of regressors. The first looks at the person, the others at the surroundings of each joint."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import (
    MIN_SCORE,
    EstimationConfig,
    Estimator,
    boxes_in_view,
    join_people,
    keypoint_boxes,
    person_scores,
)
from pose_perception.human.estimators.crops import square_crops
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import load_network

CROP_SCALE = 1.25
"""Side of a person's crop over the longer side of the box."""
WINDOWS = (2.2, 1.2)
"""Side of a joint's crop in the second and third stage, in diameters of the torso: 1 to 2 in the paper."""

_PERSON, _JOINT = 256, 96
# A torso seen end on, or guessed wrong, still leaves a window to look at: bounds in longer sides of the person's box.
_SMALLEST, _LARGEST = 0.2, 0.8
_DIAGONALS = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
_KEYPOINTS = len(COCO_17)


class DeepPoseEstimator(Estimator):
    """Top-down: one batch of people, then one batch of joints for each further stage.

    Args:
        device: auto, cuda or cpu.
        stages: How many stages to run, 1 to 3.
    """

    topology = COCO_17

    def __init__(self, device: str, _: EstimationConfig | None = None, stages: int = 3) -> None:
        self._finder = MovenetFinder(device)
        self._first = load_network("deeppose", device)
        names = ("stage_2", "stage_3")[: stages - 1]
        self._further = [load_network("deeppose_joints", device, outputs=(name,)) for name in names]

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        boxes = boxes_in_view(boxes, color)
        boxes, sure = join_people(boxes, self._finder.find(color) if find else None)
        crops, squares = square_crops(color, boxes, CROP_SCALE, _PERSON)
        results = self._first(crops)["stage_1"].astype(np.float64)  # (N, 17, 3)
        pixels, scores = _to_image(results, squares[:, None]), results[..., 2]
        longer_sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)
        for stage, network in enumerate(self._further, 1):
            sizes = np.repeat(torso_sizes(pixels, longer_sides), _KEYPOINTS)
            windows = joint_boxes(pixels.reshape(-1, 2), sizes, stage)
            crops, squares = square_crops(color, windows, 1.0, _JOINT)
            (every,) = network(crops).values()  # (N * 17, 17, 3): a crop knows one of the joints, its own
            own = every.reshape(len(boxes), _KEYPOINTS, _KEYPOINTS, 3).diagonal(axis1=1, axis2=2)  # (N, 3, 17)
            results = own.transpose(0, 2, 1).astype(np.float64)
            # A joint that the closer look is less sure of, hidden or confused with its neighbour, stays where it was.
            better = results[..., 2] >= scores
            pixels = np.where(better[..., None], _to_image(results, squares.reshape(-1, _KEYPOINTS, 3)), pixels)
            scores = np.where(better, results[..., 2], scores)
        return PoseEstimates.without_world(
            pixels=pixels,
            scores=scores,
            boxes=keypoint_boxes(pixels, scores, MIN_SCORE),
            person_scores=person_scores(scores, sure),
        )

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        for part in (self._finder, self._first, *self._further):
            part.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._finder.load_all()


def torso_sizes(pixels: FloatArray, longer_sides: FloatArray) -> FloatArray:
    """Return the diameter of the torso by which crops are measured, shape (N,), px.

    Args:
        pixels: COCO's keypoints with shape (N, 17, 2), px.
        longer_sides: Longer side of each person's box with shape (N,), px.
    """
    ends = [[pixels[:, COCO_17.index[name]] for name in pair] for pair in _DIAGONALS]
    diameter = np.maximum(*(np.linalg.norm(a - b, axis=1) for a, b in ends))
    return np.clip(diameter, _SMALLEST * longer_sides, _LARGEST * longer_sides)


def joint_boxes(pixels: FloatArray, sizes: FloatArray | float, stage: int) -> FloatArray:
    """Return the squares at which a later stage looks, (x0, y0, x1, y1) with shape (J, 4), px.

    Args:
        pixels: Where the stage before saw the joints, shape (J, 2), px.
        sizes: Diameters of the torsos with shape (J,), px, or one for all.
        stage: 1 for the second stage, 2 for the third.
    """
    half = np.broadcast_to(np.asarray(sizes)[..., None], pixels.shape) * WINDOWS[stage - 1] / 2
    return np.concatenate([pixels - half, pixels + half], axis=1)


def _to_image(results: FloatArray, squares: FloatArray) -> FloatArray:
    """From sides of a crop around its middle to px of the image; squares are (x0, y0, side), pixels count from 0."""
    return squares[..., :2] + squares[..., 2:] * (0.5 + results[..., :2]) - 0.5
