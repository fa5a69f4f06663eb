"""Labels for real pictures of people by the best estimator that there is.

`python -m pose_perception.training.labelling PICTURES FOLDER` writes shards in the format of
`pose_perception.training.pictures` without instances: keypoints are NaN where the estimator was not sure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from pose_perception.datatypes import PoseEstimates
from pose_perception.human.estimators.base import find_each_once, keypoint_boxes
from pose_perception.human.estimators.registry import make_estimator
from pose_perception.recording.images import read_color
from pose_perception.training.backgrounds import ColorImage
from pose_perception.training.pictures import PICTURES

_SURE, _LEAST_KEYPOINTS = 0.45, 8
_KEYPOINTS = 17
_SUFFIXES = (".jpg", ".jpeg", ".png")
# Larger pictures are shrunk: crops are no larger than this.
_LONG_SIDE = 640


def label_pictures(files: list[Path], folder: Path, estimator_name: str) -> int:
    """Label pictures and write them as shards; return how many people were labelled.

    Args:
        files: The pictures.
        folder: Where the shards go; those that are there stay.
        estimator_name: Name in the registry.
    """
    estimator = make_estimator(estimator_name, "auto")
    total = 0
    for number, start in enumerate(range(0, len(files), PICTURES)):
        colors = [_shrunk(read_color(file)) for file in files[start : start + PICTURES]]
        people = [find_each_once(estimator, color) for color in colors]
        # A shard is always full: the last one repeats its pictures.
        order = np.resize(np.arange(len(colors)), PICTURES)
        total += _write_shard([colors[i] for i in order], [people[i] for i in order], folder / f"{number:05}")
    return total


def _write_shard(colors: list[ColorImage], people: list[PoseEstimates], folder: Path) -> int:
    if (folder / "labels.npz").exists():
        return 0
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        count = _write_pictures(colors, people, temporary)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # there only after an error
    return count


def _write_pictures(colors: list[ColorImage], people: list[PoseEstimates], folder: Path) -> int:
    """Write the files of a shard into an empty folder; return how many people were labelled."""
    rows: dict[str, list] = {"picture": [], "keypoints": [], "visible": [], "boxes": []}
    for i, (color, found) in enumerate(zip(colors, people, strict=True)):
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        cv2.imwrite(str(folder / f"{i:03}.jpg"), cv2.cvtColor(color, cv2.COLOR_RGB2BGR), quality)
        sure = found.scores[:, :_KEYPOINTS] >= _SURE
        good = sure.sum(axis=1) >= _LEAST_KEYPOINTS
        pixels = found.pixels[good, :_KEYPOINTS]
        rows["picture"] += [i] * len(pixels)
        rows["keypoints"] += list(np.where(sure[good][..., None], pixels, np.nan).astype(np.float32))
        rows["visible"] += list(sure[good])
        height, width = color.shape[:2]
        boxes = keypoint_boxes(pixels, found.scores[good, :_KEYPOINTS], _SURE, margin=0.08)
        rows["boxes"] += list(np.clip(boxes, 0, (width, height, width, height)).astype(np.float32))
    shapes = {"picture": (-1,), "keypoints": (-1, 17, 2), "visible": (-1, 17), "boxes": (-1, 4)}
    np.savez(folder / "labels.npz", **{name: np.array(rows[name]).reshape(shape) for name, shape in shapes.items()})
    return len(rows["picture"])


def _shrunk(color: ColorImage) -> ColorImage:
    scale = _LONG_SIDE / max(color.shape[:2])
    return color if scale >= 1 else cv2.resize(color, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def main(arguments: list[str] | None = None) -> int:
    """Label a folder of pictures."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.labelling", description=main.__doc__)
    parser.add_argument("pictures", type=Path, help="Folder of JPEG or PNG pictures.")
    parser.add_argument("folder", type=Path, help="Where the labelled shards go.")
    parser.add_argument("--estimator", default="default", help="Who labels. Default: default.")
    options = parser.parse_args(arguments)
    files = sorted(p for p in options.pictures.rglob("*") if p.suffix.lower() in _SUFFIXES)
    print(f"{label_pictures(files, options.folder, options.estimator)} people on {len(files)} pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
