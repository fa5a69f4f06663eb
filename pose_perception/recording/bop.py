"""Files of the BOP benchmark: folders of scenes and of models, and results.

Layout: https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md. Lengths are millimetres in the
files and metres here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame
from pose_perception.errors import InvalidInputError
from pose_perception.recording.images import read_color, read_depth_mm, read_mask

_COLOR_SUFFIXES = (".png", ".jpg")


class BopTruth(NamedTuple):
    """One labelled object of an image.

    Attributes:
        obj_id: Number of its model.
        camera_from_object: Pose of the mesh's frame in the camera optical frame, shape (4, 4), metres.
        visible_fraction: Visible part of its silhouette, 0 to 1; None where the labels do not say.
        visible_px: Visible pixels; None where the labels do not say.
    """

    obj_id: int
    camera_from_object: FloatArray
    visible_fraction: float | None
    visible_px: int | None


class BopScene:
    """A folder with `rgb`, `depth`, `scene_camera.json` and, where it is labelled, `scene_gt.json`.

    Attributes:
        scene_id: Number in the name of the folder.
        im_ids: Numbers of the images in order.

    Args:
        path: The folder; its name is a number.

    Raises:
        InvalidInputError: a file is missing or is not as the format says.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InvalidInputError(f"there is no folder {self.path}")
        if not self.path.resolve().name.isdigit():
            raise InvalidInputError(f"the folder of a scene has a number as its name, such as 000001, not {self.path}")
        self.scene_id = int(self.path.resolve().name)
        self._cameras = _read_by_image(self.path / "scene_camera.json", dict)
        self.im_ids = tuple(sorted(self._cameras))
        has_truth = (self.path / "scene_gt.json").exists()
        self._truth = _read_by_image(self.path / "scene_gt.json", list) if has_truth else {}
        has_info = (self.path / "scene_gt_info.json").exists()
        self._info = _read_by_image(self.path / "scene_gt_info.json", list) if has_info else {}

    @property
    def is_labelled(self) -> bool:
        """Whether the poses are known."""
        return bool(self._truth)

    def read(self, im_id: int) -> RgbdFrame:
        """Read one image with its depth and camera.

        Raises:
            InvalidInputError: a file is missing or damaged, or the camera is none.
        """
        if im_id not in self._cameras:
            raise InvalidInputError(f"{self.path} has no image {im_id}; it has {', '.join(map(str, self.im_ids))}")
        candidates = [self.path / "rgb" / f"{im_id:06d}{suffix}" for suffix in _COLOR_SUFFIXES]
        color = read_color(next((path for path in candidates if path.exists()), candidates[0]))
        raw, camera = read_depth_mm(self.path / "depth" / f"{im_id:06d}.png"), self._cameras[im_id]
        try:
            matrix = np.reshape(np.asarray(camera["cam_K"], np.float64), (3, 3))
            depth = (raw * (float(camera.get("depth_scale", 1.0)) / 1000)).astype(np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"{self.path}: the camera of image {im_id} is none: {error!r}") from error
        height, width = color.shape[:2]
        fx, fy, cx, cy = (float(matrix[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
        return RgbdFrame(color, depth, CameraIntrinsics(width, height, fx, fy, cx, cy), frame_id="camera")

    def truth(self, im_id: int) -> tuple[BopTruth, ...]:
        """Return the labelled objects of an image in the order of the file.

        Raises:
            InvalidInputError: a label is incomplete.
        """
        infos = self._info.get(im_id, [])
        found = []
        for index, label in enumerate(self._truth.get(im_id, [])):
            info = infos[index] if index < len(infos) else {}
            try:
                pose = pose_from_mm(label["cam_R_m2c"], label["cam_t_m2c"])
                fraction, px = info.get("visib_fract"), info.get("px_count_visib")
                found.append(BopTruth(int(label["obj_id"]), pose, fraction, px))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise InvalidInputError(f"{self.path}: label {index} of image {im_id} is none: {error!r}") from error
        return tuple(found)

    def visible_mask(self, im_id: int, index: int) -> npt.NDArray[np.bool_]:
        """Return where a labelled object is visible, shape (height, width).

        Args:
            im_id: Number of the image.
            index: Place of the object in `truth`.

        Raises:
            InvalidInputError: the mask is missing or damaged.
        """
        return read_mask(self.path / "mask_visib" / f"{im_id:06d}_{index:06d}.png")


class BopModel(NamedTuple):
    """Where the mesh of a model is.

    Attributes:
        obj_id: Its number.
        name: Its name.
        path: The file.
        scale: Metres per unit of the file.
        info: What `models_info.json` says of it, in millimetres; empty where there is none.
    """

    obj_id: int
    name: str
    path: Path
    scale: float
    info: dict[str, Any]


def list_models(folder: Path) -> dict[int, BopModel]:
    """Return the models of a folder by their number.

    Two layouts are understood: `obj_NNNNNN.ply` in millimetres, and one folder a model with `textured.obj` in metres,
    numbered from 1 in the alphabetical order of the folders. `models_info.json` is read where it exists.

    Raises:
        InvalidInputError: there is no such folder, it holds neither, or `models_info.json` is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidInputError(f"there is no folder {folder}")
    infos = _read_by_image(folder / "models_info.json", dict) if (folder / "models_info.json").exists() else {}
    files = sorted(path for path in folder.glob("obj_*.ply") if path.stem.removeprefix("obj_").isdigit())
    if files:
        numbered, scale = [(int(path.stem.removeprefix("obj_")), path.stem, path) for path in files], 1e-3
    else:
        folders = sorted(path.parent for path in folder.glob("*/textured.obj"))
        numbered, scale = [(n, f.name, f / "textured.obj") for n, f in enumerate(folders, start=1)], 1.0
    if not numbered:
        raise InvalidInputError(f"{folder} holds neither obj_NNNNNN.ply nor folders with textured.obj")
    return {n: BopModel(n, name, path, scale, infos.get(n, {})) for n, name, path in numbered}


def pose_from_mm(rotation: Any, translation: Any) -> FloatArray:
    """Return a pose with shape (4, 4), metres, from nine numbers row by row and three in millimetres.

    Raises:
        ValueError: the numbers are not nine and three, or are no rigid transform.
    """
    pose = np.eye(4)
    pose[:3, :3] = np.reshape(np.asarray(rotation, np.float64), (3, 3))
    pose[:3, 3] = np.reshape(np.asarray(translation, np.float64), 3) / 1000
    error = np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max()
    if not np.isfinite(pose).all() or error > 1e-2 or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError("this is no rotation with a translation")
    return pose


def _read_by_image(path: Path, kind: type) -> dict[int, Any]:
    """Return the content of a JSON file whose keys are numbers."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbered = {int(key): value for key, value in content.items()}
    except (AttributeError, OSError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
    wrong = [key for key, value in numbered.items() if not isinstance(value, kind)]
    if wrong:
        raise InvalidInputError(f"{path}: entry {wrong[0]} must be a {kind.__name__}")
    return numbered
