"""Box AP and keypoint AP of the estimator mask-rcnn: on simulated people it never saw, and on labelled pictures.

`python benchmarks/mask_rcnn.py [LABELS.json IMAGES ...] [--network-file FILE]`; the simulated people are the split
`test` of `pose_perception.training.pictures`, rendered when they are not in the cache yet. Both are COCO's measures
(pycocotools), boxes over all people, keypoints over those with labelled ones.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.evaluation.coco import coco_results
from pose_perception.evaluation.labels import read_labels
from pose_perception.human.estimators.base import EstimationConfig, find_each_once
from pose_perception.human.estimators.mask_rcnn import MaskRcnnEstimator
from pose_perception.recording.images import read_color
from pose_perception.training.backgrounds import Backgrounds
from pose_perception.training.pictures import TrainingPicture, read_shard, render_shard, shards

_SHARDS = 2
_PERSON = 1

Pictures = list[tuple[int, npt.NDArray[np.uint8]]]


def simulated_people() -> tuple[dict[str, Any], Pictures]:
    """Return labels in COCO's format and pictures of the split `test`."""
    for number in range(_SHARDS):
        render_shard(number, "test", Backgrounds())
    pictures = [picture for folder in shards("test")[:_SHARDS] for picture in read_shard(folder)]
    notes = [note for i, picture in enumerate(pictures) for note in _notes(picture, i)]
    dataset = {
        "images": [{"id": i} for i in range(len(pictures))],
        "categories": [{"id": _PERSON, "name": "person"}],
        "annotations": [{**note, "id": i} for i, note in enumerate(notes, start=1)],
    }
    return dataset, [(i, picture.color) for i, picture in enumerate(pictures)]


def _notes(picture: TrainingPicture, image_id: int) -> Iterator[dict[str, Any]]:
    for i, (points, visible, box) in enumerate(zip(picture.keypoints, picture.visible, picture.boxes, strict=True)):
        keypoints = np.where(visible[:, None], np.concatenate([points, np.full((17, 1), 2.0)], axis=1), 0.0)
        yield {
            "image_id": image_id,
            "category_id": _PERSON,
            "bbox": [float(v) for v in (*box[:2], *(box[2:] - box[:2]))],
            "area": float((picture.instances == i + 1).sum()),
            "iscrowd": 0,
            "keypoints": keypoints.ravel().tolist(),
            "num_keypoints": int(visible.sum()),
        }


def labelled_people(annotations: Path, images: Path) -> tuple[dict[str, Any], Pictures]:
    """Return labels and pictures of a file in COCO's format."""
    labels = read_labels(annotations, images)
    return labels.as_coco(), [(picture.id, read_color(picture.path)) for picture in labels.pictures]


def report(name: str, dataset: dict[str, Any], pictures: Pictures, estimator: MaskRcnnEstimator) -> None:
    """Print one line for a set of pictures."""
    results, times_s = [], []
    person = dataset["categories"][0]["id"]
    for image_id, color in pictures:
        start = time.perf_counter()
        people = find_each_once(estimator, color)
        times_s.append(time.perf_counter() - start)
        sizes = np.concatenate([people.boxes[:, :2], people.boxes[:, 2:] - people.boxes[:, :2]], axis=1)
        for result, box in zip(coco_results(people, image_id, person), sizes, strict=True):
            results.append({**result, "bbox": box.tolist()})
    boxes, keypoints = _compare(dataset, results, "bbox"), _compare(dataset, results, "keypoints")
    print(
        f"{name:28} boxes AP {boxes[0]:.3f} AP50 {boxes[1]:.3f} AR {boxes[8]:.3f}  "
        f"keypoints AP {keypoints[0]:.3f} AP50 {keypoints[1]:.3f} AR {keypoints[5]:.3f}  "
        f"{1e3 * np.median(times_s):.0f} ms (least {1e3 * min(times_s):.0f})",
        flush=True,
    )


def _compare(dataset: dict[str, Any], results: list[dict[str, Any]], kind: str) -> npt.NDArray[np.float64]:
    if not results:
        return np.zeros(12)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        found = [
            {k: v for k, v in result.items() if k != ("keypoints" if kind == "bbox" else "bbox")} for result in results
        ]
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def main() -> None:
    """Measure on simulated people and on what the command line names."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("labelled", nargs="*", type=Path, metavar="LABELS IMAGES", help="pairs of a file and a folder")
    parser.add_argument("--network-file", default="", help="checkpoint of torchvision's Keypoint R-CNN")
    options = parser.parse_args()
    estimator = MaskRcnnEstimator("auto", EstimationConfig(network_file=options.network_file))
    estimator.load_all()
    estimator.warm_up()
    report("simulated, never seen", *simulated_people(), estimator)
    for file, images in zip(options.labelled[::2], options.labelled[1::2], strict=True):
        report(file.stem, *labelled_people(file, images), estimator)


if __name__ == "__main__":
    main()
