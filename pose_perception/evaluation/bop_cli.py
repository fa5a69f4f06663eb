"""Command `evaluate bop`: object poses against the labels of BOP scenes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.bop import EvaluatedModel
from pose_perception.evaluation.bop_models import DepthRenderer, load_evaluated
from pose_perception.evaluation.bop_pictures import draw_results
from pose_perception.evaluation.bop_scores import BopFigures, ObjectErrors, absent_results, figures, image_errors
from pose_perception.recording.bop import BopScene, list_models
from pose_perception.recording.bop_results import BopResult, read_results

_TITLES = ("object", "targets", "ADD", "ADD-S", "median mm", "VSD", "MSSD", "MSPD", "AR", "s each")
_ABSENT_SCORE = 0.5


def add_bop(actions: Any) -> None:
    """Add the command to the subparsers of `evaluate`."""
    parser: argparse.ArgumentParser = actions.add_parser("bop", help="object poses, against labels in BOP's format")
    parser.add_argument("--scene", nargs="+", type=Path, required=True, metavar="DIR", help="labelled scenes")
    parser.add_argument(
        "--models",
        type=Path,
        required=True,
        metavar="DIR",
        help="obj_NNNNNN.ply in millimetres, or folders with textured.obj in metres, numbered in alphabetical order",
    )
    parser.add_argument("--results", type=Path, required=True, metavar="CSV", help="poses in BOP's results format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write pictures with what was found, and the table")
    parser.set_defaults(run=run_bop)


def run_bop(args: argparse.Namespace) -> int:
    """Execute `evaluate bop`; returns its exit code.

    Raises:
        InvalidInputError: a file or folder cannot be used.
    """
    scenes = [BopScene(path) for path in args.scene]
    results, files = read_results(args.results), list_models(args.models)
    _check(scenes, results, files)
    labels = [label for scene in scenes for im_id in scene.im_ids for label in scene.truth(im_id)]
    wanted = {label.obj_id for label in labels} | {result.obj_id for result in results}
    models = {obj_id: load_evaluated(files[obj_id]) for obj_id in sorted(wanted)}
    if args.out is not None:
        _make_folder(args.out)
    errors, absent = _measure(scenes, results, models, args.out)
    lines = _table(errors, models, absent)
    print("\n".join(lines))
    if args.out is not None:
        (args.out / "table.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _check(scenes: Sequence[BopScene], results: Sequence[BopResult], known: Mapping[int, Any]) -> None:
    for scene in scenes:
        if not scene.is_labelled:
            raise InvalidInputError(f"{scene.path} has no scene_gt.json to measure against")
        unknown = {label.obj_id for im_id in scene.im_ids for label in scene.truth(im_id)} - known.keys()
        if unknown:
            raise InvalidInputError(f"{scene.path} has labels of object {min(unknown)}, which is no model")
    unknown = {result.obj_id for result in results} - known.keys()
    if unknown:
        raise InvalidInputError(f"the results name object {min(unknown)}, which is no model")
    images = {(scene.scene_id, im_id) for scene in scenes for im_id in scene.im_ids}
    if results and not any((result.scene_id, result.im_id) in images for result in results):
        raise InvalidInputError("no result belongs to an image of these scenes")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot make the folder {path}: {error}") from error


def _measure(
    scenes: Sequence[BopScene], results: Sequence[BopResult], models: Mapping[int, EvaluatedModel], out: Path | None
) -> tuple[list[ObjectErrors], list[BopResult]]:
    """Return the errors of all images, and what was found with confidence though it is not there."""
    errors: list[ObjectErrors] = []
    absent: list[BopResult] = []
    renderer, camera = None, None
    for scene in scenes:
        for im_id in scene.im_ids:
            frame, truth = scene.read(im_id), scene.truth(im_id)
            if renderer is None or frame.camera != camera:
                renderer, camera = DepthRenderer(frame.camera), frame.camera
            here = [result for result in results if (result.scene_id, result.im_id) == (scene.scene_id, im_id)]
            errors += image_errors(frame, truth, here, models, renderer)
            absent += absent_results(truth, here, _ABSENT_SCORE)
            if out is not None:
                picture = draw_results(frame.color, frame.camera, here, models, renderer)
                _write(out / f"{scene.scene_id:06d}_{im_id:06d}.png", picture)
    return errors, absent


def _write(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise InvalidInputError(f"cannot write {path}")


def _table(
    errors: Sequence[ObjectErrors], models: Mapping[int, EvaluatedModel], absent: Sequence[BopResult]
) -> list[str]:
    groups = {obj_id: [entry for entry in errors if entry.obj_id == obj_id] for obj_id in models}
    rows = [_row(models[obj_id].name, figures(group)) for obj_id, group in groups.items() if group]
    rows = [_TITLES, *rows, _row("all", figures(errors))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    names = ", ".join(f"{models[r.obj_id].name} {r.score:.2f} in {r.scene_id}/{r.im_id}" for r in absent)
    lines.append(f"absent objects above score {_ABSENT_SCORE}: {len(absent)}{f' ({names})' if names else ''}")
    return lines


def _row(name: str, found: BopFigures) -> tuple[str, ...]:
    recalls = (found.add, found.adds, found.vsd, found.mssd, found.mspd, found.ar)
    add, adds, vsd, mssd, mspd, ar = ("-" if isnan(value) else f"{100 * value:.1f}" for value in recalls)
    median = "-" if isnan(found.adds_median_mm) else f"{found.adds_median_mm:.1f}"
    time = "-" if isnan(found.time_s) else f"{found.time_s:.2f}"
    return name, str(found.targets), add, adds, median, vsd, mssd, mspd, ar, time
