"""MoveNet Thunder and Lightning: the joints of one person in an upright crop, here for everybody in the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import (
    MIN_SCORE,
    EstimationConfig,
    Estimator,
    join_people,
    keypoint_boxes,
    person_scores,
)
from pose_perception.human.estimators.crops import square_crops
from pose_perception.human.estimators.movenet import decode_single_pose
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import load_network

# Side of the crop over the longer side of a person's box: the best of 1.0 to 1.5 on COCO pictures.
_CROP_SCALE = 1.2


class MovenetSingle:
    """Places the joints of people whose boxes are known.

    Args:
        kind: `thunder` or `lightning`.
        device: auto, cuda or cpu.
    """

    def __init__(self, kind: str, device: str) -> None:
        self._network = load_network(f"movenet_{kind}", device)

    def warm_up(self) -> None:
        """Run every batch size once."""
        self._network.warm_up()

    def place(self, color: npt.NDArray[np.uint8], boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return COCO's 17 keypoints (N, 17, 2), px, and their scores (N, 17).

        Args:
            color: RGB image with shape (H, W, 3).
            boxes: Around the people, (x0, y0, x1, y1) with shape (N, 4), px.
        """
        size = self._network.input_size[0]
        crops, squares = square_crops(color, boxes, _CROP_SCALE, size)
        poses = decode_single_pose(self._network(crops))
        pixels = squares[:, None, :2] + poses.pixels * (squares[:, None, 2:] / size)
        return pixels, poses.scores.astype(np.float64)


class MovenetSingleEstimator(Estimator):
    """Top-down: MoveNet multipose finds people, Thunder or Lightning places the joints of each."""

    topology = COCO_17

    def __init__(self, device: str, _: EstimationConfig | None = None, *, kind: str) -> None:
        """Load the networks.

        Args:
            device: auto, cuda or cpu.
            kind: `thunder` (256 px crops, accurate) or `lightning` (192 px crops, fast).
        """
        self._finder = MovenetFinder(device)
        self._single = MovenetSingle(kind, device)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        boxes, centers = join_people(boxes, self._finder.find(color) if find else None)
        pixels, scores = self._single.place(color, boxes)
        return PoseEstimates(
            pixels=pixels,
            scores=scores,
            boxes=keypoint_boxes(pixels, scores, MIN_SCORE),
            person_scores=person_scores(scores, centers),
            world=np.full((*scores.shape, 3), np.nan),
        )

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._finder.warm_up()
        self._single.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._finder.load_all()
