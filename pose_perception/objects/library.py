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

import math
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
_SYMMETRY_KEYS = {"discrete", "axes"}
_SAME_AXIS = math.cos(math.radians(8.0))


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
    """Read a model of a folder in BOP's layout, with the symmetries that `models_info.json` tells.

    Raises:
        InvalidInputError: they are damaged, or the mesh cannot be used.
    """
    info: Mapping[str, Any] = model.info
    symmetries = None
    try:
        if "symmetries_discrete" in info or "symmetries_continuous" in info:
            symmetries = _told(
                info.get("symmetries_discrete", []), info.get("symmetries_continuous", []), ("offset", "axis"), 1e-3
            )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(f"{model.path}: {error!r} in its symmetries in models_info.json") from error
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
            if set(told) - _SYMMETRY_KEYS:
                raise ValueError(f"unknown key {min(set(told) - _SYMMETRY_KEYS)}")
            symmetries = _told(told.get("discrete", []), told.get("axes", []), ("point", "direction"), 1.0)
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
    told = model.symmetries
    content: dict[str, Any] = {"mesh": mesh, "name": model.name, "mesh_scale": scale, "symmetries": {}}
    discrete = told.same[1:]
    if told.axis is not None:
        point, direction = (np.round(value, 6).tolist() for value in told.axis)
        content["symmetries"]["axes"] = [{"point": point, "direction": direction}]
        # All of them follow from the axis and one motion that is no turn about it.
        discrete = [motion for motion in discrete if not _turns_about(told.axis[1], motion)][:1]
    if len(discrete):
        content["symmetries"]["discrete"] = [np.round(motion, 6).reshape(-1).tolist() for motion in discrete]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _turns_about(direction: FloatArray, motion: FloatArray) -> bool:
    axis = direction / np.linalg.norm(direction)
    return float(axis @ motion[:3, :3] @ axis) > _SAME_AXIS


def _told(discrete: Any, axes: Any, keys: tuple[str, str], scale: float) -> Symmetries:
    """Return symmetries from a file.

    Args:
        discrete: Motions of 16 numbers each.
        axes: Mappings.
        keys: What point and direction of an axis are called in these.
        scale: Metres per unit of their lengths.
    """
    point, direction = keys
    lines = [(_vector(axis[point]) * scale, _vector(axis[direction])) for axis in axes]
    if any(np.linalg.norm(line[1]) < 1e-9 for line in lines):
        raise ValueError("an axis without a direction")
    return Symmetries.from_lists([_motion(numbers, scale) for numbers in discrete], lines)


def _vector(numbers: Any) -> FloatArray:
    vector = np.asarray(numbers, np.float64)
    if vector.shape != (3,) or not np.all(np.isfinite(vector)):
        raise ValueError(f"a point or a direction has three numbers, got {numbers}")
    return vector


def _motion(numbers: Any, scale: float) -> FloatArray:
    matrix = np.asarray(numbers, np.float64)
    if matrix.size != 16 or not np.all(np.isfinite(matrix)):
        raise ValueError(f"a symmetry has 16 numbers, got {numbers}")
    matrix = matrix.reshape(4, 4).copy()
    rotation = matrix[:3, :3]
    is_rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if not is_rigid or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ValueError(f"a symmetry is a rigid motion without a mirror, got {matrix.tolist()}")
    matrix[:3, 3] *= scale
    return matrix
