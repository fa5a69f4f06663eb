"""Accuracy and speed of every estimator, for the table and the pictures of docs/estimators.md.

    python benchmarks/estimators.py LABELS.json IMAGES [LABELS.json IMAGES …]

writes the table between the markers of the document, and one picture of each estimator beside it. It takes some minutes
on two cores: let nothing else run meanwhile. With --estimators the table is only printed, and the pictures of these
estimators are made; with --print nothing is written.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.errors import PosePerceptionError
from pose_perception.evaluation.coco import CocoFigures, evaluate_labels
from pose_perception.evaluation.labels import Labels, read_labels
from pose_perception.human.drawing import draw_poses
from pose_perception.human.estimators.base import EstimationConfig, Estimator, find_each_once
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.human.pipeline import HumanConfig
from pose_perception.simulation.sequence import SequenceConfig, load_or_render

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_DOCUMENT, _PICTURES = _DOCS / "estimators.md", _DOCS / "images" / "estimators"
_BEGIN, _END = "<!-- table: made by benchmarks/estimators.py -->", "<!-- end of the table -->"
# Three people of whom two overlap, all from head to foot.
_FRAME = SequenceConfig(people=3, duration_s=6.0, rate_hz=1.0, min_distance_m=2.4, max_distance_m=3.6, seed=1), 4
_SIZE, _JPEG_QUALITY = (480, 360), 80
_USES = {
    "default": "robots: the most accurate here in real time, and 33 keypoints",
    "blazepose-lite": "33 keypoints and metric landmarks, least work",
    "blazepose-full": "33 keypoints and metric landmarks",
    "blazepose-heavy": "33 keypoints and metric landmarks, best of the three",
    "movenet-multipose": "many people, or little computer: the time hardly grows with the people",
    "movenet-thunder": "17 keypoints are enough, few people",
    "movenet-lightning": "17 keypoints are enough, few people, little computer",
    "openpose": "the time must not grow with the people; you have a checkpoint of OpenPose",
    "deepcut": "study of grouping; crowds without a finder of people",
    "mask-rcnn": "boxes and masks too; a GPU and the published weights",
    "deeppose": "study of regression; you train for your own scene",
    "onnx": "you have an RTMPose, RTMO, ViTPose or YOLO network",
}


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        title: What it is called there.
        estimator: Name in the registry.
        config: What it wants to know.
        note: Why there are no figures; "" when it can be measured.
    """

    title: str
    estimator: str
    config: EstimationConfig
    note: str = ""


def rows(names: Sequence[str]) -> Iterator[Row]:
    """Yield the lines of the table."""
    for name in names:
        if name == "onnx":
            yield Row(name, name, EstimationConfig(), "as good as the network that you bring")
        elif name == "deepcut":
            for grouping in ("fast", "exact"):
                yield Row(f"{name}, {grouping}", name, EstimationConfig(grouping=grouping))
        else:
            yield Row(name, name, EstimationConfig())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="LABELS IMAGES")
    parser.add_argument("--estimators", nargs="+", choices=tuple(ESTIMATORS), help="only these")
    parser.add_argument("--device", default="cpu", help="where the networks run (%(default)s)")
    parser.add_argument("--print", action="store_true", help="write nothing")
    args = parser.parse_args(arguments)
    if len(args.pairs) % 2:
        parser.error("each file of labels needs its folder of pictures")
    folders = zip(args.pairs[::2], args.pairs[1::2], strict=True)
    sets = [(images.name, read_labels(labels, images)) for labels, images in folders]
    lines = _header(sets, args.device)
    print("\n".join(lines))
    frame = None if args.print else simulated_frame()
    for row in rows(args.estimators or tuple(ESTIMATORS)):
        start = time.monotonic()
        lines.append(_line(row, [labels for _, labels in sets], args.device, frame))
        print(lines[-1], flush=True)
        print(f"  {row.title}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    if not args.print and not args.estimators:
        write_table(lines)
    return 0


def simulated_frame() -> npt.NDArray[np.uint8]:
    """Return the picture on which all estimators are shown."""
    config, index = _FRAME
    return np.ascontiguousarray(load_or_render(config).color[index])


def write_table(lines: Sequence[str]) -> None:
    """Replace the table of the document."""
    text = _DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    _DOCUMENT.write_text("\n".join((before + _BEGIN, *lines, _END + after)), encoding="utf-8")


def _header(sets: Sequence[tuple[str, Labels]], device: str) -> list[str]:
    about = [f"{name}: {len(labels.pictures)} pictures with {labels.people} labelled people" for name, labels in sets]
    cells = [f"{name}: AP / AP50 / AP75 / AR | ms" for name, _ in sets]
    return [
        f"{'; '.join(about)}; device {device}, {os.cpu_count()} cores.",
        "",
        f"| estimator | {' | '.join(cells)} | use it when |",
        f"|---|{'---|' * (2 * len(sets) + 1)}",
    ]


def _line(row: Row, sets: Sequence[Labels], device: str, frame: npt.NDArray[np.uint8] | None) -> str:
    """Measure one estimator, and draw what it finds in the frame."""
    note, figures = row.note, []
    if not note:
        try:
            # mask-rcnn warns that it uses its light network.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator = make_estimator(row.estimator, device, row.config)
            estimator.warm_up()
            figures = [evaluate_labels(lambda color, _: find_each_once(estimator, color), labels) for labels in sets]
            if frame is not None:
                write_picture(row, estimator, frame)
        except PosePerceptionError as error:
            # The reason may name places on this machine, which do not belong into the document.
            print(f"{row.title}: {error}", file=sys.stderr)
            note = "not measured"
    cells = [cell for measured in figures for cell in _cells(measured)] or [note, *[""] * (2 * len(sets) - 1)]
    return f"| {row.title} | {' | '.join(cells)} | {_USES[row.estimator]} |"


def _cells(figures: CocoFigures) -> tuple[str, str]:
    accuracy = (figures.ap, figures.ap50, figures.ap75, figures.ar)
    return " / ".join(f"{value:.3f}" for value in accuracy), f"{figures.ms:.0f}"


def write_picture(row: Row, estimator: Estimator, frame: npt.NDArray[np.uint8]) -> None:
    """Draw what an estimator finds in the frame into docs/images/estimators/<name>.jpg."""
    people = find_each_once(estimator, frame)
    people = people.select(people.person_scores >= HumanConfig().min_person_score)
    # From left to right, so that the colours are the same in all pictures.
    drawn = draw_poses(frame, people.select(np.argsort(people.boxes[:, 0])), estimator.topology)
    drawn = cv2.resize(drawn, _SIZE, interpolation=cv2.INTER_AREA)
    _PICTURES.mkdir(parents=True, exist_ok=True)
    path = _PICTURES / f"{row.estimator}.jpg"
    cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


if __name__ == "__main__":
    sys.exit(main())
