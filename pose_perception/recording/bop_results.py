"""Results of a search for objects as the BOP benchmark exchanges them: `scene_id,im_id,obj_id,score,R,t,time`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.recording.bop import pose_from_mm

_COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")


class BopResult(NamedTuple):
    """One estimated pose.

    Attributes:
        scene_id, im_id, obj_id: Numbers of scene, image and model.
        score: Confidence.
        camera_from_object: Pose of the mesh's frame in the camera optical frame, shape (4, 4), metres.
        time_s: What the whole image took, seconds, the same for all its results; -1 where nobody measured it.
    """

    scene_id: int
    im_id: int
    obj_id: int
    score: float
    camera_from_object: FloatArray
    time_s: float = -1.0


def write_results(path: Path, results: Iterable[BopResult]) -> None:
    """Write results.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    lines = [",".join(_COLUMNS)]
    for result in results:
        rotation = " ".join(f"{value:.9g}" for value in result.camera_from_object[:3, :3].ravel())
        translation = " ".join(f"{1000 * value:.9g}" for value in result.camera_from_object[:3, 3])
        numbers = f"{result.scene_id},{result.im_id},{result.obj_id},{result.score:.6g}"
        lines.append(f"{numbers},{rotation},{translation},{result.time_s:.6g}")
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error}") from error


def read_results(path: Path) -> list[BopResult]:
    """Read results; a first line with the names of the columns may be missing.

    Raises:
        InvalidInputError: the file is missing, or a line is no result.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
    results = []
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and row[0].strip() == _COLUMNS[0]):
            continue
        try:
            results.append(_parse(row))
        except ValueError as error:
            raise InvalidInputError(f"{path}, line {number} must be {','.join(_COLUMNS)}: {error}") from error
    return results


def _parse(row: list[str]) -> BopResult:
    if len(row) not in (len(_COLUMNS) - 1, len(_COLUMNS)):
        raise ValueError(f"it has {len(row)} columns")
    pose = pose_from_mm([float(word) for word in row[4].split()], [float(word) for word in row[5].split()])
    score, time_s = float(row[3]), float(row[6]) if len(row) == len(_COLUMNS) else -1.0
    if not np.isfinite((score, time_s)).all():
        raise ValueError("score and time must be finite")
    return BopResult(int(row[0]), int(row[1]), int(row[2]), score, pose, time_s)
