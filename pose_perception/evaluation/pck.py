"""Percentage of correct keypoints: how many lie within a part of the torso's diameter of the truth.

The torso's diameter is the distance from the left shoulder to the right hip, as in DeepPose (Toshev and Szegedy 2014).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import COCO_17

THRESHOLD = 0.2
"""Distance below which a keypoint is correct, in diameters of the torso."""
_SHOULDER, _HIP = COCO_17.index["left_shoulder"], COCO_17.index["right_hip"]


def torso_diameters(keypoints: FloatArray, labelled: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the diameter of the torso of each person, shape (N,), px; NaN where its ends are not labelled.

    Args:
        keypoints: COCO's 17 with shape (N, 17, 2), px.
        labelled: Whether a keypoint has a label, shape (N, 17).
    """
    diameter = np.linalg.norm(keypoints[:, _SHOULDER] - keypoints[:, _HIP], axis=1)
    return np.where(labelled[:, _SHOULDER] & labelled[:, _HIP], diameter, np.nan)


def normalised_distances(
    pixels: FloatArray, truth: FloatArray, labelled: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_]
) -> FloatArray:
    """Return how far each counted keypoint is from its label, in diameters of the torso.

    Args:
        pixels: Estimates with shape (N, 17, 2), px; NaN counts as infinitely far.
        truth: Labels with shape (N, 17, 2), px.
        labelled: Whether a keypoint has a label, shape (N, 17).
        counted: Keypoints that count, shape (N, 17). Those of people without a torso never do.

    Returns:
        Shape (C,), keypoint after keypoint of person after person.
    """
    diameter = torso_diameters(truth, labelled)
    distance = np.linalg.norm(pixels - truth, axis=2) / diameter[:, None]
    counts = counted & labelled & (diameter > 0)[:, None]
    return np.nan_to_num(distance[counts], nan=np.inf)


def pck(distances: FloatArray, threshold: float = THRESHOLD) -> float:
    """Return the share of keypoints closer than a threshold; NaN when there is none.

    Args:
        distances: As `normalised_distances` returns them, shape (C,).
        threshold: In diameters of the torso.
    """
    return float(np.mean(distances < threshold)) if len(distances) else float("nan")
