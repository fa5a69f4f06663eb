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

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.evaluation.labels import Labels, read_labels
from pose_perception.human.topology import COCO_17
from pose_perception.recording.images import read_color

_COCO = len(COCO_17)

FindPeople = Callable[[npt.NDArray[np.uint8], FloatArray], PoseEstimates]
"""Takes an RGB picture and the true boxes of the people in it, shape (N, 4), px; returns each person once."""


class CocoFigures(NamedTuple):
    """Accuracy and speed over a set of pictures.

    Attributes:
        ap, ap50, ap75, ar: Average precision over OKS 0.50 to 0.95, at 0.50, at 0.75, and average recall.
        ms: Mean time a picture, milliseconds, without reading the file.
        people: People found in all pictures.
        results: One entry a person in COCO's results format.
        median_ms: Median time a picture, milliseconds.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    ms: float
    people: int
    results: list[dict[str, Any]]
    median_ms: float


def evaluate_coco(
    find_people: Callable[[npt.NDArray[np.uint8]], PoseEstimates], annotations: Path, images: Path
) -> CocoFigures:
    """Run an estimator on labelled pictures and compare.

    Args:
        find_people: Takes an RGB picture, returns each person once.
        annotations: Labels in COCO's format for person keypoints.
        images: Folder of the pictures.

    Raises:
        InvalidInputError: the labels cannot be used or a picture is missing.
    """
    return evaluate_labels(lambda color, _: find_people(color), read_labels(annotations, images))


def evaluate_labels(find_people: FindPeople, labels: Labels) -> CocoFigures:
    """Run an estimator on labelled pictures and compare.

    Args:
        find_people: The estimator. The first picture of each size is run twice, and timed the second time: networks
            may load when a picture first needs them.
        labels: What is true.

    Raises:
        InvalidInputError: a picture cannot be read.
    """
    results: list[dict[str, Any]] = []
    times_s: list[float] = []
    sizes = set()
    for picture in labels.pictures:
        color, boxes = read_color(picture.path), picture.boxes
        if color.shape not in sizes:
            sizes.add(color.shape)
            find_people(color, boxes)
        start = time.perf_counter()
        people = find_people(color, boxes)
        times_s.append(time.perf_counter() - start)
        results += coco_results(people, picture.id, labels.person)
    ap, ap50, ap75, ar = compare(results, labels)
    mean_ms, median_ms = 1e3 * float(np.mean(times_s)), 1e3 * float(np.median(times_s))
    return CocoFigures(ap, ap50, ap75, ar, mean_ms, len(results), results, median_ms)


def compare(results: list[dict[str, Any]], labels: Labels) -> tuple[float, float, float, float]:
    """Return AP, AP50, AP75 and AR of results in COCO's format, as pycocotools defines them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results:
        return 0.0, 0.0, 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = labels.as_coco()
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([dict(result) for result in results]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75, _, _, ar = map(float, evaluation.stats[:6])
    return ap, ap50, ap75, ar


def coco_results(people: PoseEstimates, image_id: Any, person: int) -> list[dict[str, Any]]:
    """Return people in COCO's results format; a keypoint without an opinion becomes (0, 0) with score 0.

    Args:
        people: N people, COCO's 17 keypoints first.
        image_id: As the labels name the picture.
        person: Number of their category.
    """
    pixels, scores = people.pixels[:, :_COCO], people.scores[:, :_COCO]
    known = np.isfinite(pixels).all(axis=2) & np.isfinite(scores)
    keypoints = np.concatenate([pixels.round(2), scores[..., None].round(5)], axis=2)
    keypoints = np.where(known[..., None], keypoints, 0.0).reshape(len(people), 3 * _COCO)
    return [
        {"image_id": image_id, "category_id": person, "keypoints": values.tolist(), "score": float(score)}
        for values, score in zip(keypoints, people.person_scores, strict=True)
    ]
