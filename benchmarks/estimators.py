"""Accuracy and speed of the default estimator and of the simpler ones it was chosen over.

Prints the table of docs/estimators.md: `python benchmarks/estimators.py LABELS.json IMAGES [LABELS.json IMAGES …]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import PoseEstimates
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.human.estimators import blazepose
from pose_perception.human.estimators.base import keypoint_boxes
from pose_perception.human.estimators.default import DefaultEstimator
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.pipeline import HumanConfig
from pose_perception.human.similarity import suppress_duplicates
from pose_perception.networks.runtime import load_network

_MIN_SCORE = 0.2
Candidate = Callable[[npt.NDArray[np.uint8]], PoseEstimates]


def candidates() -> dict[str, Candidate]:
    """Return what is compared, by name."""
    default, finder = DefaultEstimator("cpu"), MovenetFinder("cpu")
    nobody = np.empty((0, 4))
    table: dict[str, Candidate] = {
        "MoveNet multipose alone": finder.find,
        "+ Thunder on each person + BlazePose full (default)": lambda color: default.estimate(color, nobody, True),
    }
    for size in ("lite", "full", "heavy"):
        network = load_network(f"blazepose_{size}", "cpu", outputs=blazepose.RESULTS)
        table[f"MoveNet multipose + BlazePose {size}"] = lambda color, n=network: _blazepose(
            finder.find(color), n, color
        )
    return table


def _blazepose(found: PoseEstimates, network: Callable, color: npt.NDArray[np.uint8]) -> PoseEstimates:
    regions = blazepose.regions_from_keypoints(found.pixels, found.scores, _MIN_SCORE)
    marks = blazepose.landmarks(network, color, regions)
    return PoseEstimates(
        pixels=marks.pixels,
        scores=marks.scores,
        boxes=keypoint_boxes(marks.pixels, marks.scores, _MIN_SCORE),
        person_scores=marks.presence * marks.scores[:, :17].mean(axis=1),
        world=marks.world,
    )


def _each_once(estimate: Candidate) -> Candidate:
    config = HumanConfig()

    def find(color: npt.NDArray[np.uint8]) -> PoseEstimates:
        people = estimate(color)
        return people.select(suppress_duplicates(people, config.lifting.min_score, config.duplicate_similarity))

    return find


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="LABELS IMAGES")
    pairs = parser.parse_args().pairs
    sets = list(zip(pairs[::2], pairs[1::2], strict=True))
    header = "".join(f" {images.name}: AP / AP50 / AP75 / AR | ms a picture |" for _, images in sets)
    print(f"| method |{header}\n|---|{'---|' * (2 * len(sets))}")
    for name, estimate in candidates().items():
        find = _each_once(estimate)
        cells = []
        for labels, images in sets:
            evaluate_coco(find, labels, images)  # warm-up: networks load with the first picture of each shape
            figures = evaluate_coco(find, labels, images)
            cells.append(f"{figures.ap:.3f} / {figures.ap50:.3f} / {figures.ap75:.3f} / {figures.ar:.3f}")
            cells.append(f"{figures.ms:.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
