"""What every keypoint estimator offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.topology import Topology


class Estimator(ABC):
    """Finds the keypoints of all people of an image."""

    topology: Topology

    @abstractmethod
    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """Estimate keypoints.

        Args:
            color: RGB image with shape (H, W, 3).
            boxes: Where people were a moment ago, (x0, y0, x1, y1) with shape (N, 4), px. A top-down estimator looks
                there; a bottom-up one sees the whole image anyway.
            find: Whether to look for people outside of the boxes, too.

        Returns:
            People in any order; the same person may occur more than once.
        """

    @abstractmethod
    def warm_up(self) -> None:
        """Run what a camera needs once, so that the first images take no longer than the others."""

    @abstractmethod
    def load_all(self) -> None:
        """Load also what would otherwise be loaded when an image first needs it."""


def keypoint_boxes(pixels: FloatArray, scores: FloatArray, min_score: float, margin: float = 0.05) -> FloatArray:
    """Return the boxes around the confident keypoints of each person.

    Args:
        pixels: Keypoints with shape (N, K, 2), px.
        scores: Confidences with shape (N, K).
        min_score: Keypoints below do not count, unless a person has less than two above.
        margin: Added on each side, as a part of the longer side: keypoints end at the eyes and ankles, people do not.

    Returns:
        Boxes (x0, y0, x1, y1) with shape (N, 4), px.
    """
    counts = scores >= min_score
    counts |= (counts.sum(axis=1) < 2)[:, None]
    low = np.where(counts[..., None], pixels, np.inf).min(axis=1, initial=np.inf)
    high = np.where(counts[..., None], pixels, -np.inf).max(axis=1, initial=-np.inf)
    pad = margin * (high - low).max(axis=1, keepdims=True)
    return np.concatenate([low - pad, high + pad], axis=1)
