"""Demonstrations in files: NumPy's `.npz` and tables, by the name's ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_csv import read_csv, write_csv

_GROUPS = ("openings", "objects", "keypoints")


def read_demonstration(path: Path) -> Demonstration:
    """Read one demonstration.

    Raises:
        InvalidInputError: the file is missing, damaged, or of another kind.
    """
    readers = {".npz": read_npz, ".csv": read_csv}
    if path.suffix not in readers:
        raise InvalidInputError(f"{path} must end in {' or '.join(readers)}")
    return readers[path.suffix](path)


def write_demonstration(demonstration: Demonstration, path: Path) -> None:
    """Write one demonstration.

    Raises:
        InvalidInputError: the file cannot be written, or shall be of another kind.
    """
    writers = {".npz": write_npz, ".csv": write_csv}
    if path.suffix not in writers:
        raise InvalidInputError(f"{path} must end in {' or '.join(writers)}")
    writers[path.suffix](demonstration, path)


def write_npz(demonstration: Demonstration, path: Path) -> None:
    """Write a demonstration in NumPy's format, without pickled objects."""
    demo = demonstration
    arrays: dict[str, Any] = {"times_s": demo.times_s, "joints": np.array(demo.joints), "q": demo.q}
    if demo.commands is not None:
        arrays["commands"] = demo.commands
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": values for name, values in getattr(demo, group).items()}
    save_arrays(path, arrays)


def read_npz(path: Path) -> Demonstration:
    """Read what `write_npz` wrote."""
    arrays = load_arrays(path)
    missing = {"times_s", "joints", "q"} - set(arrays)
    if missing:
        raise InvalidInputError(f"{path} is no demonstration: it lacks {sorted(missing)}")
    groups = {
        group: {key.partition("/")[2]: v for key, v in arrays.items() if key.startswith(f"{group}/")}
        for group in _GROUPS
    }
    joints = tuple(map(str, arrays["joints"]))
    return Demonstration(arrays["times_s"], joints, arrays["q"], arrays.get("commands"), **groups, source=str(path))


def is_movement(path: Path) -> bool:
    """Return whether a `.npz` file holds a learned movement and no demonstration.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    return "joint_path/mean" in load_arrays(path)


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays of numbers or words by name.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error}") from error


def load_arrays(path: Path) -> dict[str, Any]:
    """Read arrays by name.

    Raises:
        InvalidInputError: the file is missing or damaged, or holds pickled objects, which are never loaded.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, BadZipFile) as error:
        raise InvalidInputError(f"{path} is no readable .npz file: {error}") from error
