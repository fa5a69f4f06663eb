"""Pictures of simulated people with exact labels, for training: rendered once into the cache, then read from there.

`python -m pose_perception.training.pictures --split train --shards 100` renders; it may be stopped at any time and run
again, and several may run at once. A split holds shards of `PICTURES` pictures each. All people of a shard come from
bodies of its own, so that people of different shards are different people; the splits share no seed, so whoever trains
on `train` never saw the people of `validation` or `test`.

A shard is a folder `<cache>/training/people/<split>/<number>/` with
  `000.jpg` ...  colour pictures;
  `000.png` ...  who is where: 0 for nobody, i + 1 for person i of that picture, 8 bit;
  `labels.npz`   over all people of the shard: `picture` (P,) number of the picture; `keypoints` (P, 17, 2) in px, in
                 COCO's order, also behind something or outside of the picture; `visible` (P, 17) whether the camera
                 sees that place; `boxes` (P, 4) around the visible pixels (x0, y0, x1, y1), px.
`read_shard` returns it as `TrainingPicture`s.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.human.topology import COCO_17
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.people import KEYPOINTS, create_bodies
from pose_perception.training.backgrounds import Backgrounds
from pose_perception.training.scene import PEOPLE, take_picture

PICTURES = 40
SPLITS = ("train", "validation", "test")
# How many pixels of somebody must be seen for a label.
_LEAST_PIXELS = 250
_COCO = [KEYPOINTS.index(name) for name in COCO_17.keypoints]


class TrainingPicture(NamedTuple):
    """One labelled picture of P people.

    Attributes:
        color: RGB with shape (H, W, 3), uint8.
        instances: 0 for nobody, i + 1 for person i, shape (H, W), uint8; None where only keypoints are known.
        keypoints: COCO's 17 with shape (P, 17, 2), px; also those hidden or outside of the picture. NaN where unknown.
        visible: Whether the camera sees the place of the keypoint, shape (P, 17).
        boxes: Around the visible pixels of each person, (x0, y0, x1, y1) with shape (P, 4), px.
    """

    color: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8] | None
    keypoints: FloatArray
    visible: npt.NDArray[np.bool_]
    boxes: FloatArray


def split_folder(split: str) -> Path:
    """Return where the shards of a split lie."""
    return cache_directory() / "training" / "people" / split


def shards(split: str) -> list[Path]:
    """Return the folders of the complete shards of a split, in order."""
    return sorted(path.parent for path in split_folder(split).glob("*/labels.npz") if path.parent.name.isdigit())


def require_shards(split: str) -> list[Path]:
    """Return `shards` of a split.

    Raises:
        ConfigurationError: there are none; the message names the command that renders them.
    """
    found = shards(split)
    if not found:
        raise ConfigurationError(
            f"there are no pictures of simulated people of the split {split}; run "
            f"`python -m pose_perception.training.pictures --split {split}` first"
        )
    return found


def read_shard(folder: Path) -> Iterator[TrainingPicture]:
    """Yield the pictures of a shard."""
    with np.load(folder / "labels.npz") as labels:
        picture, keypoints, visible, boxes = (labels[k] for k in ("picture", "keypoints", "visible", "boxes"))
    for i in range(PICTURES):
        color = cv2.cvtColor(cv2.imread(str(folder / f"{i:03}.jpg")), cv2.COLOR_BGR2RGB)
        mask = folder / f"{i:03}.png"
        instances = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) if mask.exists() else None
        here = picture == i
        yield TrainingPicture(color, instances, keypoints[here], visible[here], boxes[here])


def render_shard(number: int, split: str, backgrounds: Backgrounds) -> None:
    """Render one shard into the cache unless it is there."""
    folder = split_folder(split) / f"{number:05}"
    if (folder / "labels.npz").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        people = []
        for i, picture in enumerate(draw_pictures(np.random.default_rng((SPLITS.index(split), number)), backgrounds)):
            quality = 70 + 25 * ((number * PICTURES + i) % 2)
            cv2.imwrite(
                str(temporary / f"{i:03}.jpg"),
                cv2.cvtColor(picture.color, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_JPEG_QUALITY, quality],
            )
            cv2.imwrite(str(temporary / f"{i:03}.png"), picture.instances)
            people += [(i, *person) for person in zip(picture.keypoints, picture.visible, picture.boxes, strict=True)]
        columns = dict(zip(("picture", "keypoints", "visible", "boxes"), zip(*people, strict=True), strict=True))
        np.savez(temporary / "labels.npz", **{name: np.array(values) for name, values in columns.items()})
        os.rename(temporary, folder)
    except FileExistsError:
        pass  # another process was faster, with the same content
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def draw_pictures(
    rng: np.random.Generator, backgrounds: Backgrounds, count: int = PICTURES
) -> Iterator[TrainingPicture]:
    """Yield pictures of people who look different in each, and of whom there are `PEOPLE` bodies.

    Args:
        rng: Source of everything.
        backgrounds: What is behind them.
        count: How many pictures.
    """
    bodies = create_bodies(PEOPLE, rng, cache_directory() / "anny")
    for _ in range(count):
        color, instances, keypoints, visible = take_picture(bodies, backgrounds, rng)
        boxes = [_box(instances == i + 1) for i in range(len(keypoints))]
        seen = [i for i, box in enumerate(boxes) if box is not None]
        renumbered = np.zeros(len(keypoints) + 1, np.uint8)
        renumbered[np.array(seen, int) + 1] = np.arange(1, len(seen) + 1)
        yield TrainingPicture(
            color,
            renumbered[instances],
            keypoints[seen][:, _COCO].astype(np.float32),
            visible[seen][:, _COCO],
            np.array([boxes[i] for i in seen], np.float32).reshape(-1, 4),
        )


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    if mask.sum() < _LEAST_PIXELS:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def main(arguments: list[str] | None = None) -> int:
    """Render shards of pictures into the cache."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.pictures", description=main.__doc__)
    parser.add_argument("--split", choices=SPLITS, default="train", help="Default: train.")
    parser.add_argument("--shards", type=int, default=10, help=f"How many, of {PICTURES} pictures each. Default: 10.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first one. Default: 0.")
    parser.add_argument("--workers", type=int, default=1, help="Processes. Default: 1.")
    parser.add_argument("--backgrounds", type=Path, help="Folder of real pictures without people. Default: none.")
    options = parser.parse_args(arguments)
    work = partial(render_shard, split=options.split, backgrounds=Backgrounds(options.backgrounds))
    numbers = range(options.first, options.first + options.shards)
    # Started afresh: the libraries that render do not survive a fork.
    with get_context("spawn").Pool(options.workers) as pool:
        for done, _ in enumerate(pool.imap(work, numbers), 1):
            print(f"{options.split}: {done}/{options.shards} shards", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
