"""Percentage of correct keypoints: how many lie within a part of the torso's diameter of the truth.

The torso's diameter is the distance from the left shoulder to the right hip, as in DeepPose (Toshev and Szegedy 2014).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.human.topology import COCO_17
from pose_perception.recording.images import read_color

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


def read_coco_people(annotations: Path, images: Path) -> Iterator[tuple[npt.NDArray[np.uint8], FloatArray, FloatArray]]:
    """Yield the pictures of a set with COCO's labels on which somebody has labelled keypoints.

    Args:
        annotations: Labels in COCO's format for person keypoints.
        images: Folder of the pictures.

    Yields:
        RGB picture (H, W, 3), keypoints (N, 17, 3) as x, y in px and COCO's flag (0 for no label), and boxes
        (x0, y0, x1, y1) with shape (N, 4), px.

    Raises:
        InvalidInputError: the labels cannot be read or a picture is missing.
    """
    try:
        labels = json.loads(annotations.read_text(encoding="utf-8"))
        people = [p for p in labels["annotations"] if p.get("num_keypoints") and not p.get("iscrowd")]
        names = {picture["id"]: picture["file_name"] for picture in labels["images"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"cannot read the labels {annotations}: {error!r}") from error
    for identifier, name in names.items():
        here = [p for p in people if p["image_id"] == identifier]
        if here:
            keypoints = np.array([p["keypoints"] for p in here], np.float64).reshape(len(here), len(COCO_17), 3)
            boxes = np.array([p["bbox"] for p in here], np.float64)
            boxes[:, 2:] += boxes[:, :2]
            yield read_color(images / name), keypoints, boxes
