"""Estimators for cameras that are mounted on their side or upside down: networks only know upright people."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import Estimator

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# A camera that looks up or down more steeply than this, as the sine of the angle to the vertical, has no upright.
_LEAST_TILT = 0.35
# A turn holds until another one is this much better than on the diagonal, degrees.
_HOLD_DEG = 60.0
# Clockwise by 90 degrees, with x to the right and y down.
_QUARTER = np.array([[0, -1], [1, 0]])


class TurnedEstimator(Estimator):
    """Shows images upright to an estimator and turns its results back.

    Attributes:
        clockwise_deg: How far images must be turned clockwise to be upright: 0, 90, 180 or 270; may change from image
            to image.

    Args:
        estimator: For upright images.
        clockwise_deg: Of the first image.
    """

    def __init__(self, estimator: Estimator, clockwise_deg: int = 0) -> None:
        self._estimator = estimator
        self.clockwise_deg = clockwise_deg
        self.topology = estimator.topology

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        if not self.clockwise_deg:
            return self._estimator.estimate(color, boxes, find)
        upright = cv2.rotate(color, _TURNS[self.clockwise_deg])
        rotation = np.linalg.matrix_power(_QUARTER, self.clockwise_deg // 90)
        # Middles of the images, px; pixel centres have whole numbers.
        middle, upright_middle = ((np.array(image.shape[1::-1]) - 1) / 2 for image in (color, upright))
        corners = (boxes.reshape(-1, 2, 2) - middle) @ rotation.T + upright_middle
        people = self._estimator.estimate(upright, _as_boxes(corners), find)
        world = people.world.copy()
        world[..., :2] = world[..., :2] @ rotation
        return PoseEstimates(
            pixels=(people.pixels - upright_middle) @ rotation + middle,
            scores=people.scores,
            boxes=_as_boxes((people.boxes.reshape(-1, 2, 2) - upright_middle) @ rotation + middle),
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


def turn_to_upright(up: FloatArray, before_deg: int) -> int:
    """Return how far images of a camera must be turned clockwise to be upright.

    Args:
        up: Direction away from the ground in the camera optical frame, shape (3,), unit length.
        before_deg: What holds until now; kept near the diagonals, and when the camera looks up or down.

    Returns:
        0, 90, 180 or 270 degrees.
    """
    if np.hypot(up[0], up[1]) < _LEAST_TILT:
        return before_deg
    # Upright, "up" points against the image's y axis, which is 90 degrees counterclockwise of its x axis.
    exact = (-90 - np.rad2deg(np.arctan2(up[1], up[0]))) % 360
    away = abs((exact - before_deg + 180) % 360 - 180)
    return before_deg if away < _HOLD_DEG else int(round(exact / 90) % 4) * 90


def _as_boxes(corners: FloatArray) -> FloatArray:
    """Return boxes (N, 4) from opposite corners (N, 2, 2)."""
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
