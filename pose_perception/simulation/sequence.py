"""Simulated RGB-D sequences with exact ground truth, rendered once and then read from the cache.

`python -m pose_perception.simulation.sequence` renders the default sequence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import InvalidInputError, PosePerceptionError
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.config import SequenceConfig

# Called with the number of frames done and of all frames.
Progress = Callable[[int, int], None]

_IMAGES = ("color", "depth_mm", "instances")
_TRUTH = ("positions", "visible", "hands", "hands_visible", "heads", "heads_visible", "fixed_from_camera")
_ARRAYS = (*_IMAGES, *_TRUTH)


@dataclass(frozen=True)
class SimulatedSequence:
    """T frames of P people with K keypoints; the frame after the last one is the first.

    Attributes:
        color: RGB images with shape (T, H, W, 3), uint8.
        depth_mm: Depth registered to colour with shape (T, H, W), or as `depth_camera` sees it, uint16, millimetres; 0
            where nothing was measured.
        instances: 0 for the room, i + 1 for the person `person_ids[i]`, shape (T, H, W), uint8; exact.
        positions: Keypoints in the camera optical frame with shape (T, P, K, 3), metres, float32; exact.
        visible: Whether the camera sees the body right in front of a keypoint, shape (T, P, K).
        hands: Left and right hands in the camera optical frame with shape (T, P, 2, 21, 3), metres, float32; exact. In
            the order of `human.topology.HAND_21`.
        hands_visible: As `visible`, for the hands, shape (T, P, 2, 21).
        heads: Poses of the heads in the camera optical frame with shape (T, P, 4, 4), float32; exact. Origin at the
            sellion (the root of the nose, between the eyes, on the skin), x out of the face, y to the person's left,
            z to the top of the head.
        heads_visible: Whether the camera sees the sellion, and the face is turned less than 75 degrees away, (T, P).
        fixed_from_camera: Pose of the camera in the room (z up) with shape (T, 4, 4), float32; exact.
        camera: Intrinsics of the colour camera.
        rate_hz: Frames per second.
        keypoint_names: Names of the K keypoints, a subset of `human.topology.BODY_33`.
        person_ids: Name of each person.
        depth_camera: Intrinsics of the depth camera; None where depth is registered to colour.
        color_from_depth: Pose (4, 4) of that camera in the frame of the colour camera, metres; None where depth is
            registered.
        poster_box: Image box (x0, y0, x1, y1) of the poster in each frame with shape (T, 4), px; None without one.
    """

    color: npt.NDArray[np.uint8]
    depth_mm: npt.NDArray[np.uint16]
    instances: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    hands: npt.NDArray[np.float32]
    hands_visible: npt.NDArray[np.bool_]
    heads: npt.NDArray[np.float32]
    heads_visible: npt.NDArray[np.bool_]
    fixed_from_camera: npt.NDArray[np.float32]
    camera: CameraIntrinsics
    rate_hz: float
    keypoint_names: tuple[str, ...]
    person_ids: tuple[str, ...]
    depth_camera: CameraIntrinsics | None = None
    color_from_depth: npt.NDArray[np.float64] | None = None
    poster_box: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.color)


def load_or_render(config: SequenceConfig, progress: Progress | None = None) -> SimulatedSequence:
    """Return a sequence from the cache, rendering it first where it is not there yet.

    A sequence in the cache is memory-mapped: loading is instant and imports nothing heavy.

    Args:
        config: What is simulated.
        progress: Told after each rendered frame.
    """
    folder = cache_directory() / "simulation" / _folder_name(config)
    if not (folder / "sequence.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            render(config, partial, progress)
            _publish(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return load(folder)


def load(folder: Path) -> SimulatedSequence:
    """Map a rendered sequence into memory.

    Raises:
        InvalidInputError: a file is missing or damaged.
    """
    try:
        about: dict[str, Any] = json.loads((folder / "sequence.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"the simulated sequence {folder} is damaged ({error}); delete that folder") from error
    depth = about["depth"]
    return SimulatedSequence(
        **arrays,
        camera=CameraIntrinsics(**about["camera"]),
        rate_hz=about["rate_hz"],
        keypoint_names=tuple(about["keypoint_names"]),
        person_ids=tuple(about["person_ids"]),
        depth_camera=CameraIntrinsics(**depth["camera"]) if depth else None,
        color_from_depth=np.array(depth["color_from_depth"]) if depth else None,
        poster_box=None if about["poster_boxes"] is None else np.array(about["poster_boxes"], np.float32),
    )


def render(config: SequenceConfig, folder: Path, progress: Progress | None = None) -> None:
    """Render a sequence into an existing folder as .npy files and `sequence.json`.

    Args:
        config: What is simulated.
        folder: Where the files go.
        progress: Told after each frame.
    """
    from pose_perception.simulation.scene import Moment, Scene
    from pose_perception.simulation.sensor import Sensor, to_millimetres

    scene = Scene(config, cache_directory() / "anny")
    depth_camera = config.depth_camera or config.camera
    eye, depth_eye = Sensor(config.sensor, config.camera), Sensor(config.sensor, depth_camera)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in _shapes(config, len(scene.keypoint_names), depth_camera).items()
    }
    poster_boxes = []

    def photograph(number: int, moment: Moment) -> None:
        color, depth_mm = moment.picture.color, to_millimetres(moment.depth_picture.depth)
        if config.noise:
            rng = np.random.default_rng((config.seed, number))
            depth_mm = depth_eye.measure(moment.depth_picture, rng)
            color = eye.photograph(color, rng)
        for name, values in zip(_IMAGES, (color, depth_mm, moment.picture.instances), strict=True):
            arrays[name][number] = values
        for name in _TRUTH:
            arrays[name][number] = getattr(moment, name)

    # The noise of one frame is made while the next one is rendered.
    with ThreadPoolExecutor(1) as darkroom:
        taken: list[Future[None]] = []
        for i in range(config.frames):
            moment = scene.at(i / config.rate_hz)
            poster_boxes.append(moment.poster_box.tolist())
            if taken:
                taken.pop().result()
            taken.append(darkroom.submit(photograph, i, moment))
            if progress is not None:
                progress(i + 1, config.frames)
        taken.pop().result()
    for array in arrays.values():
        array.flush()
    about = {
        "camera": asdict(config.camera),
        "rate_hz": config.rate_hz,
        "keypoint_names": scene.keypoint_names,
        "person_ids": [f"person_{i + 1}" for i in range(config.people)],
        "depth": {"camera": asdict(depth_camera), "color_from_depth": scene.color_from_depth.tolist()},
        "poster_boxes": poster_boxes,
        "config": asdict(config),
    }
    if config.depth_camera is None:
        about["depth"] = None
    if config.activity != "poster":
        about["poster_boxes"] = None
    (folder / "sequence.json").write_text(json.dumps(about, indent=2))


def _shapes(config: SequenceConfig, k: int, depth_camera: CameraIntrinsics) -> dict[str, tuple[Any, Any]]:
    """Shape and type of each array, for k keypoints."""
    t, p = config.frames, config.people
    size = (t, config.height, config.width)
    return {
        "color": ((*size, 3), np.uint8),
        "depth_mm": ((t, depth_camera.height, depth_camera.width), np.uint16),
        "instances": (size, np.uint8),
        "positions": ((t, p, k, 3), np.float32),
        "visible": ((t, p, k), np.bool_),
        "hands": ((t, p, 2, 21, 3), np.float32),
        "hands_visible": ((t, p, 2, 21), np.bool_),
        "heads": ((t, p, 4, 4), np.float32),
        "heads_visible": ((t, p), np.bool_),
        "fixed_from_camera": ((t, 4, 4), np.float32),
    }


def _folder_name(config: SequenceConfig) -> str:
    """Name of a sequence: a hash of its configuration and one of the code that renders it."""
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source.update(path.read_bytes())
    described = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    return f"{described.hexdigest()[:16]}-{source.hexdigest()[:8]}"


def _publish(partial: Path, folder: Path) -> None:
    """Give a complete folder its final name and remove what older code rendered for the same configuration."""
    try:
        os.replace(partial, folder)
    except OSError:
        # Another process was faster, with the same content.
        if not (folder / "sequence.json").exists():
            raise
    for old in folder.parent.glob(f"{folder.name.partition('-')[0]}-????????"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Render the default sequence into the cache, or another one."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.simulation.sequence", description=main.__doc__)
    default = SequenceConfig()
    for name in ("people", "duration_s", "rate_hz", "min_distance_m", "max_distance_m", "seed"):
        value = getattr(default, name)
        text = f"{SequenceConfig.__dataclass_fields__[name].metadata['description']} Default: {value}."
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=text)
    try:
        config = SequenceConfig(**vars(parser.parse_args(arguments)))
    except PosePerceptionError as error:
        parser.error(str(error))

    def show(done: int, total: int) -> None:
        text = f"simulated people: {done}/{total} frames"
        if sys.stdout.isatty():
            print(f"\r{text}", end="\n" if done == total else "", flush=True)
        elif done % max(1, total // 5) == 0 or done == total:  # a log keeps every line
            print(text, flush=True)

    load_or_render(config, show)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
