"""Models from files and folders: meshes, descriptions of meshes, and folders as BOP has them.

A description is a YAML file beside its mesh:

    mesh: mug.obj
    name: mug            # as the file, unless it says otherwise
    mesh_scale: 0.001    # metres per unit of the mesh; 1 unless it says otherwise
    symmetries:          # found by themselves unless it says otherwise
      discrete: [[1, 0, 0, 0, ...]]                      # rigid motions, 16 numbers row by row, metres
      axes: [{point: [0, 0, 0], direction: [0, 0, 1]}]   # of surfaces of revolution
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.objects.model import SUFFIXES, ObjectModel, load_model
from pose_perception.objects.symmetry import Symmetries
from pose_perception.recording.bop import BopModel, list_models

DESCRIPTION = ".object.yaml"
_KEYS = {"mesh", "name", "mesh_scale", "symmetries"}


def read_models(paths: Sequence[Path], scale: float = 1.0) -> list[ObjectModel]:
    """Read models.

    Args:
        paths: Meshes, descriptions (`*.object.yaml`), folders of these, or folders of models in BOP's layout.
        scale: Metres per unit of meshes without a description.

    Raises:
        InvalidInputError: one of them cannot be read or holds no model.
    """
    return [model for path in paths for model in _read(Path(path), scale)]


def _read(path: Path, scale: float) -> Iterator[ObjectModel]:
    if path.is_dir():
        files = sorted(path.glob(f"*{DESCRIPTION}")) + sorted(path.glob(f"*/*{DESCRIPTION}"))
        if not files and not list(path.glob("obj_*.ply")):
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if files:
            for file in files:
                yield from _read(file, scale)
        else:
            yield from (load_bop_model(model) for model in list_models(path).values())
    elif path.name.endswith(DESCRIPTION):
        yield read_description(path)
    else:
        yield load_model(path, scale=scale)


def load_bop_model(model: BopModel) -> ObjectModel:
    """Read a model of a folder in BOP's layout, with the symmetries that `models_info.json` tells."""
    info: Mapping[str, Any] = model.info
    symmetries = None
    if "symmetries_discrete" in info or "symmetries_continuous" in info:
        discrete = [_motion(numbers, 1e-3, str(model.path)) for numbers in info.get("symmetries_discrete", [])]
        axes = [
            (np.asarray(item["offset"], np.float64) * 1e-3, np.asarray(item["axis"], np.float64))
            for item in info.get("symmetries_continuous", [])
        ]
        symmetries = Symmetries.from_lists(discrete, axes)
    return load_model(model.path, model.name, model.scale, symmetries)


def read_description(path: Path) -> ObjectModel:
    """Read a described model.

    Raises:
        InvalidInputError: the description is damaged or has unknown keys, or its mesh cannot be used.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or "mesh" not in content or set(content) - _KEYS:
        raise InvalidInputError(f"{path}: a description has the key mesh and perhaps {', '.join(sorted(_KEYS))}")
    name = str(content.get("name", path.name.removesuffix(DESCRIPTION)))
    told = content.get("symmetries")
    try:
        scale = float(content.get("mesh_scale", 1.0))
        symmetries = None
        if told is not None:
            discrete = [_motion(numbers, 1.0, str(path)) for numbers in told.get("discrete", [])]
            axes = [
                (np.asarray(item["point"], np.float64), np.asarray(item["direction"], np.float64))
                for item in told.get("axes", [])
            ]
            symmetries = Symmetries.from_lists(discrete, axes)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(f"{path}: {error!r} in its scale or symmetries") from error
    return load_model(path.parent / str(content["mesh"]), name, scale, symmetries)


def write_description(path: Path, mesh: str, model: ObjectModel, scale: float) -> None:
    """Write what `read_description` reads, with the symmetries of the model.

    Args:
        path: Ends in `.object.yaml`.
        mesh: The mesh as seen from the description's folder.
        model: What it says.
        scale: Metres per unit of the mesh.
    """
    same = model.symmetries.same
    content: dict[str, Any] = {"mesh": mesh, "name": model.name, "mesh_scale": scale, "symmetries": {}}
    if model.symmetries.axis is not None:
        point, direction = (np.round(value, 6).tolist() for value in model.symmetries.axis)
        content["symmetries"]["axes"] = [{"point": point, "direction": direction}]
    elif len(same) > 1:
        content["symmetries"]["discrete"] = [np.round(motion, 6).reshape(-1).tolist() for motion in same[1:]]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _motion(numbers: Any, scale: float, where: str) -> FloatArray:
    matrix = np.asarray(numbers, np.float64)
    if matrix.size != 16:
        raise InvalidInputError(f"{where}: a symmetry has 16 numbers, got {matrix.size}")
    matrix = matrix.reshape(4, 4).copy()
    matrix[:3, 3] *= scale
    return matrix
