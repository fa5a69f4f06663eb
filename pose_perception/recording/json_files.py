"""Results written as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pose_perception.errors import InvalidInputError


def check_output(path: Path | None, option: str) -> None:
    """Refuse a file that cannot be written, before the work for it is done.

    Args:
        path: Where the results will go; None when they are not asked for.
        option: How the command line names it.

    Raises:
        InvalidInputError: it is a folder, or lies in none.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise InvalidInputError(f"there is no folder {path.parent} for {path.name}")
    if path.is_dir():
        raise InvalidInputError(f"{option} {path} is a folder")


def write_json(path: Path, content: Any) -> None:
    """Write plain values; no value may be NaN or infinite.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error}") from error
