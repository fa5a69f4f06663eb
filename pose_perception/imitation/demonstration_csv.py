"""Demonstrations as tables that people and spreadsheets read.

The columns are `time_s`, one per joint by its name (radians), and where they were recorded `command/<joint>`,
`opening/<arm>`, `object/<name>/<entry>` with the twelve entries of the pose in the robot's base (`xx` to `zz` of its
rotation, `xt`, `yt` and `zt` of its translation in metres) and `keypoint/<name>/<axis>` (metres). An empty cell is not
known. Numbers are written so that they read back as they were, bit for bit.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration import Demonstration

TIME = "time_s"
_ENTRIES = tuple(f"{row}{column}" for row in "xyz" for column in "xyzt")
_PARTS = {"command": 1, "opening": 1, "object": 12, "keypoint": 3}


def write_csv(demonstration: Demonstration, path: Path) -> None:
    """Write a demonstration.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    columns = _columns(demonstration)
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in np.stack(list(columns.values()), axis=1).tolist():
                writer.writerow(["" if math.isnan(value) else repr(value) for value in row])
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error}") from error


def read_csv(path: Path) -> Demonstration:
    """Read a demonstration; a file with a time and joints alone is one, too.

    Raises:
        InvalidInputError: the file is missing or is no such table; the message says where.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
    if not rows or rows[0][:1] != [TIME]:
        raise InvalidInputError(f"{path} is no trajectory: its first line must name columns, of which {TIME} is first")
    names = rows[0]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"{path} names a column twice")
    values = np.full((len(rows) - 1, len(names)), np.nan)
    for number, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise InvalidInputError(f"{path}, line {number + 2}: {len(row)} cells, but {len(names)} columns")
        try:
            values[number] = [float(cell) if cell else math.nan for cell in row]
        except ValueError as error:
            raise InvalidInputError(f"{path}, line {number + 2}: {error}") from error
    return _demonstration(names, values, str(path))


def _columns(demo: Demonstration) -> dict[str, FloatArray]:
    columns = {TIME: demo.times_s, **{joint: demo.q[:, i] for i, joint in enumerate(demo.joints)}}
    if demo.commands is not None:
        columns |= {f"command/{joint}": demo.commands[:, i] for i, joint in enumerate(demo.joints)}
    columns |= {f"opening/{arm}": values for arm, values in demo.openings.items()}
    for name, poses in demo.objects.items():
        flat = poses[:, :3].reshape(len(demo), 12)
        columns |= {f"object/{name}/{entry}": flat[:, i] for i, entry in enumerate(_ENTRIES)}
    for name, points in demo.keypoints.items():
        columns |= {f"keypoint/{name}/{axis}": points[:, i] for i, axis in enumerate("xyz")}
    return columns


def _demonstration(names: list[str], values: FloatArray, source: str) -> Demonstration:
    kinds = [name.split("/")[0] if "/" in name else "" for name in names]
    joints = [i for i, kind in enumerate(kinds) if i and kind not in _PARTS]
    column = {name: values[:, i] for i, name in enumerate(names)}
    found: dict[str, list[str]] = {kind: [] for kind in _PARTS}
    for name, kind in zip(names, kinds, strict=True):
        if kind in _PARTS:
            rest = name.partition("/")[2]
            rest = rest if _PARTS[kind] == 1 else rest.rpartition("/")[0]
            if rest not in found[kind]:
                found[kind].append(rest)
    joint_names = tuple(names[i] for i in joints)
    try:
        commands = [column[f"command/{joint}"] for joint in joint_names] if found["command"] else None
        objects = {name: _poses([column[f"object/{name}/{entry}"] for entry in _ENTRIES]) for name in found["object"]}
        keypoints = {
            name: np.stack([column[f"keypoint/{name}/{axis}"] for axis in "xyz"], axis=1) for name in found["keypoint"]
        }
    except KeyError as error:
        raise InvalidInputError(f"{source} lacks the column {error}") from error
    return Demonstration(
        values[:, 0],
        joint_names,
        values[:, joints],
        None if commands is None else np.stack(commands, axis=1),
        {arm: column[f"opening/{arm}"] for arm in found["opening"]},
        objects,
        keypoints,
        source,
    )


def _poses(entries: list[FloatArray]) -> FloatArray:
    upper = np.stack(entries, axis=1).reshape(-1, 3, 4)
    poses = np.tile(np.eye(4), (len(upper), 1, 1))
    poses[:, :3] = upper
    return poses
