"""Estimators for cameras that are mounted on their side or upside down: networks only know upright people."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import Estimator

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# Clockwise by 90 degrees, with x to the right and y down.
_QUARTER = np.array([[0, -1], [1, 0]])


class TurnedEstimator(Estimator):
    """Shows images upright to an estimator and turns its results back.

    Args:
        estimator: For upright images.
        clockwise_deg: How far images must be turned clockwise to be upright: 90, 180 or 270.
    """

    def __init__(self, estimator: Estimator, clockwise_deg: int) -> None:
        self._estimator = estimator
        self._turn = _TURNS[clockwise_deg]
        self._rotation = np.linalg.matrix_power(_QUARTER, clockwise_deg // 90)
        self.topology = estimator.topology

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        upright = cv2.rotate(color, self._turn)
        # Middles of the images, px; pixel centres have whole numbers.
        middle, upright_middle = ((np.array(image.shape[1::-1]) - 1) / 2 for image in (color, upright))
        corners = (boxes.reshape(-1, 2, 2) - middle) @ self._rotation.T + upright_middle
        people = self._estimator.estimate(upright, _as_boxes(corners), find)
        world = people.world.copy()
        world[..., :2] = world[..., :2] @ self._rotation
        return PoseEstimates(
            pixels=(people.pixels - upright_middle) @ self._rotation + middle,
            scores=people.scores,
            boxes=_as_boxes((people.boxes.reshape(-1, 2, 2) - upright_middle) @ self._rotation + middle),
            person_scores=people.person_scores,
            world=world,
            pixel_sigmas=people.pixel_sigmas,
        )

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._estimator.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._estimator.load_all()


def _as_boxes(corners: FloatArray) -> FloatArray:
    """Return boxes (N, 4) from opposite corners (N, 2, 2)."""
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
