"""Keypoint accuracy on pictures with COCO labels."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import PoseEstimates
from pose_perception.errors import InvalidInputError
from pose_perception.recording.images import read_color

_COCO = 17
_PERSON = 1  # COCO's category


class CocoFigures(NamedTuple):
    """Accuracy and speed over a set of pictures.

    Attributes:
        ap, ap50, ap75, ar: Average precision over OKS 0.50 to 0.95, at 0.50, at 0.75, and average recall.
        ms: Mean time a picture, milliseconds, without reading the file.
        people: People found in all pictures.
        results: One entry a person in COCO's results format.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    ms: float
    people: int
    results: list[dict[str, Any]]


def evaluate_coco(
    find_people: Callable[[npt.NDArray[np.uint8]], PoseEstimates], annotations: Path, images: Path
) -> CocoFigures:
    """Run an estimator on labelled pictures and compare.

    Args:
        find_people: Takes an RGB picture, returns each person once.
        annotations: Labels in COCO's format for person keypoints.
        images: Folder of the pictures.

    Raises:
        InvalidInputError: the labels cannot be read or a picture is missing.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        try:
            truth = COCO(str(annotations))
        except (OSError, ValueError, AssertionError) as error:
            raise InvalidInputError(f"cannot read the labels {annotations}: {error}") from error
        results, seconds = _run(find_people, truth.loadImgs(truth.getImgIds()), images)
        if not results:
            return CocoFigures(0.0, 0.0, 0.0, 0.0, 1e3 * seconds / max(len(truth.imgs), 1), 0, [])
        evaluation = COCOeval(truth, truth.loadRes([dict(r) for r in results]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75, _, _, ar = evaluation.stats[:6]
    return CocoFigures(ap, ap50, ap75, ar, 1e3 * seconds / len(truth.imgs), len(results), results)


def _run(
    find_people: Callable[[npt.NDArray[np.uint8]], PoseEstimates], pictures: list[dict[str, Any]], images: Path
) -> tuple[list[dict[str, Any]], float]:
    results: list[dict[str, Any]] = []
    seconds = 0.0
    for picture in pictures:
        color = read_color(images / picture["file_name"])
        start = time.perf_counter()
        people = find_people(color)
        seconds += time.perf_counter() - start
        results += [_coco_result(picture["id"], people, i) for i in range(len(people))]
    return results, seconds


def _coco_result(image_id: int, people: PoseEstimates, i: int) -> dict[str, Any]:
    keypoints = np.nan_to_num(np.concatenate([people.pixels[i, :_COCO], people.scores[i, :_COCO, None]], axis=1))
    return {
        "image_id": image_id,
        "category_id": _PERSON,
        "keypoints": [float(value) for value in keypoints.ravel()],
        "score": float(people.person_scores[i]),
    }
