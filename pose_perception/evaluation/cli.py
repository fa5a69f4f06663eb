"""Command `evaluate`: accuracy and speed on labelled data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.evaluation.bop_cli import add_bop
from pose_perception.evaluation.coco import CocoFigures, evaluate_labels
from pose_perception.evaluation.demonstrations_cli import add_demonstrations
from pose_perception.evaluation.imitation_cli import add_imitation
from pose_perception.evaluation.labels import Labels, read_labels
from pose_perception.evaluation.skeleton3d_cli import add_skeleton3d
from pose_perception.evaluation.tabletop_cli import add_objects
from pose_perception.human.estimators.base import find_each_once
from pose_perception.human.estimators.options import add_estimator_options, estimator_from
from pose_perception.recording.json_files import check_output, write_json


def add_parser(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("evaluate", help="accuracy and speed on labelled data")
    actions = parser.add_subparsers(dest="action", required=True, metavar="WHAT")
    coco = actions.add_parser("coco", help="keypoints of people in pictures, against labels in COCO's format")
    coco.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="labels, such as person_keypoints"
    )
    coco.add_argument("--images", type=Path, required=True, metavar="DIR", help="the pictures")
    coco.add_argument("--results", type=Path, metavar="FILE", help="write what was found, in COCO's results format")
    coco.add_argument(
        "--boxes",
        default="found",
        choices=("found", "true"),
        help="true: a top-down estimator gets the labelled boxes and finds nobody by itself",
    )
    add_estimator_options(coco)
    coco.set_defaults(run=run_coco)
    add_skeleton3d(actions)
    add_imitation(actions)
    add_demonstrations(actions)
    add_bop(actions)
    add_objects(actions)


def run_coco(args: argparse.Namespace) -> int:
    """Execute `evaluate coco`; returns its exit code.

    Raises:
        PosePerceptionError: a file cannot be used, or the estimator cannot be loaded.
    """
    check_output(args.results, "--results")
    labels = read_labels(args.annotations, args.images)
    estimator = estimator_from(args)
    estimator.warm_up()

    def find(color: npt.NDArray[np.uint8], boxes: FloatArray) -> PoseEstimates:
        return find_each_once(estimator, color, boxes if args.boxes == "true" else None)

    figures = evaluate_labels(find, labels)
    if args.results is not None:
        write_json(args.results, figures.results)
    print("\n".join(_coco_table(figures, labels)))
    return 0


def _coco_table(figures: CocoFigures, labels: Labels) -> list[str]:
    return [
        f"AP     {figures.ap:.3f}",
        f"AP50   {figures.ap50:.3f}",
        f"AP75   {figures.ap75:.3f}",
        f"AR     {figures.ar:.3f}",
        f"time   {figures.ms:.1f} ms a picture (median {figures.median_ms:.1f}), from RGB to keypoints, after a first "
        "run on a picture of the same size",
        f"people {figures.people} found in {len(labels.pictures)} pictures, {labels.people} labelled",
    ]
