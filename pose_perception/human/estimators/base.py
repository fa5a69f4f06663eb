"""What every keypoint estimator offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.similarity import box_overlap, suppress_duplicates
from pose_perception.human.topology import Topology

MIN_SCORE = 0.2
"""Keypoints below this confidence do not shape a box, and do not count when two people are compared."""
DUPLICATE_SIMILARITY = 0.5
"""Two poses more similar than this are the same person, in a picture that stands alone."""
# A found person whose box overlaps a tracked one's this much is that one.
_SAME_BOX = 0.6
_NOBODY = np.empty((0, 4))


@dataclass(frozen=True)
class EstimationConfig(Config):
    """What single estimators want to know; the others ignore it."""

    network_file: str = option(
        "", "Trained network that you bring: an ONNX file for onnx, a checkpoint for openpose or mask-rcnn."
    )
    decoding: str = option(
        "auto",
        "What the results of the ONNX file mean; auto tells by their shapes.",
        choices=("auto", "simcc", "heatmap", "rtmo", "yolo"),
    )
    grouping: str = option(
        "fast",
        "How deepcut labels and groups parts: exact integer program, or fast local search.",
        choices=("fast", "exact"),
    )


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


def find_each_once(
    estimator: Estimator, color: npt.NDArray[np.uint8], boxes: FloatArray | None = None
) -> PoseEstimates:
    """Return everybody in a picture once, best first, without knowing anything from pictures before.

    Args:
        estimator: Looks for people anywhere.
        color: RGB image with shape (H, W, 3).
        boxes: Where people are, (x0, y0, x1, y1) with shape (N, 4), px; a top-down estimator then looks nowhere else.
            None to look everywhere.
    """
    people = estimator.estimate(color, _NOBODY if boxes is None else boxes, find=boxes is None)
    return people.select(suppress_duplicates(people, MIN_SCORE, DUPLICATE_SIMILARITY))


def boxes_in_view(boxes: FloatArray, color: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the boxes (x0, y0, x1, y1) that show a part of the image; a top-down estimator cannot look at the others.

    Args:
        boxes: With shape (N, 4), px.
        color: Image with shape (H, W, 3).
    """
    height, width = color.shape[:2]
    has_area = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes[has_area & (boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < [width, height]).all(axis=1)]


def are_new(found: FloatArray, known: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of M found boxes (M, 4) are of none of the people in the known boxes (N, 4), shape (M,)."""
    return (box_overlap(found, known) < _SAME_BOX).all(axis=1)


def join_people(known: FloatArray, found: PoseEstimates | None) -> tuple[FloatArray, FloatArray]:
    """Return where to look for people, known ones and new ones, and how sure the detector is of each.

    Args:
        known: Where people were a moment ago, (x0, y0, x1, y1) with shape (N, 4), px.
        found: The people that a detector sees now; None when it did not look.

    Returns:
        Boxes (M, 4) and confidences (M,); these are NaN for the people known.
    """
    unknown = np.full(len(known), np.nan)
    if found is None:
        return known, unknown
    new = are_new(found.boxes, known)
    return np.concatenate([known, found.boxes[new]]), np.concatenate([unknown, found.person_scores[new]])


def person_scores(scores: FloatArray, found: FloatArray) -> FloatArray:
    """Return the confidence of people from the joints and from the detector that found them.

    A network for single people sees a good skeleton in a doubtful box too, often that of a neighbour, so the joints
    alone rank people badly. The geometric mean, joints counting double, ranked best of those tried on COCO pictures.

    Args:
        scores: Confidences of the joints with shape (N, K), 0 to 1.
        found: Confidence of the detector with shape (N,); NaN where only the joints count.
    """
    joints = scores.mean(axis=1)
    return np.where(np.isnan(found), joints, np.cbrt(joints**2 * np.nan_to_num(found)))


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
