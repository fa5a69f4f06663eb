"""PCK@0.2 of DeepPose after each stage, with true boxes: on simulated people it never saw, and on labelled pictures.

`python benchmarks/deeppose.py [LABELS.json IMAGES ...]`. The simulated people are those of sequences that the simulated
camera plays, and the split `test` of `pose_perception.training.pictures`; both are rendered when they are not in the
cache yet. Keypoints hidden by something count as long as they lie inside of the picture, except in the last figure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import FloatArray
from pose_perception.evaluation.labels import read_labels
from pose_perception.evaluation.pck import normalised_distances, pck
from pose_perception.human.estimators.deeppose import DeepPoseEstimator
from pose_perception.human.topology import COCO_17
from pose_perception.recording.images import read_color
from pose_perception.simulation.sequence import SequenceConfig, load_or_render
from pose_perception.training.backgrounds import Backgrounds
from pose_perception.training.pictures import read_shard, render_shard, shards

_SHARDS = 6
_SEEDS = range(101, 107)
_LEAST_PIXELS = 250
_THRESHOLDS = (0.05, 0.1, 0.2, 0.5)
_STAGES = (1, 2, 3)

# Picture, keypoints (N, 17, 2), which are labelled and which of these are seen (N, 17), boxes (N, 4).
Labelled = tuple[npt.NDArray[np.uint8], FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_], FloatArray]


def acting_people() -> Iterator[Labelled]:
    """Yield the people of simulated sequences, who stand, wave, point and reach."""
    for seed in _SEEDS:
        sequence = load_or_render(SequenceConfig(seed=seed, people=2 + seed % 3, duration_s=2.0, rate_hz=2.0))
        order = [sequence.keypoint_names.index(name) for name in COCO_17.keypoints]
        camera = sequence.camera
        for color, instances, positions, visible in zip(
            sequence.color, sequence.instances, sequence.positions, sequence.visible, strict=True
        ):
            points = positions[:, order]
            pixels = points[..., :2] / points[..., 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
            masks = [instances == i + 1 for i in range(len(points))]
            there = [i for i, mask in enumerate(masks) if mask.sum() >= _LEAST_PIXELS]
            boxes = np.array([_box(masks[i]) for i in there], np.float64).reshape(-1, 4)
            inside = (pixels >= 0).all(axis=2) & (pixels < (camera.width, camera.height)).all(axis=2)
            yield np.ascontiguousarray(color), pixels[there], inside[there], visible[:, order][there], boxes


def posing_people(alone: bool) -> Iterator[Labelled]:
    """Yield the pictures of the split `test`: every pose, half out of the picture, badly lit, behind things.

    Args:
        alone: Those of one person; otherwise those of several, who hide each other.
    """
    for number in range(_SHARDS):
        render_shard(number, "test", Backgrounds())
    for folder in shards("test")[:_SHARDS]:
        for picture in read_shard(folder):
            height, width = picture.color.shape[:2]
            inside = (picture.keypoints >= 0).all(axis=2) & (picture.keypoints < (width, height)).all(axis=2)
            if (len(picture.boxes) == 1) == alone and len(picture.boxes):
                yield picture.color, picture.keypoints, inside, picture.visible, picture.boxes


def coco_people(annotations: Path, images: Path) -> Iterator[Labelled]:
    """Yield labelled pictures in COCO's format."""
    for picture in read_labels(annotations, images).pictures:
        keypoints = picture.keypoints
        if len(keypoints):
            flags = keypoints[..., 2]
            yield read_color(picture.path), keypoints[..., :2], flags > 0, flags == 2, picture.boxes


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def report(name: str, pictures: list[Labelled], estimators: list[DeepPoseEstimator]) -> None:
    """Print one line a stage."""
    for stage, estimator in zip(_STAGES, estimators, strict=True):
        every, seen = [], []
        for color, keypoints, labelled, visible, boxes in pictures:
            pixels = estimator.estimate(color, boxes, find=False).pixels
            every.append(normalised_distances(pixels, keypoints, labelled, labelled))
            seen.append(normalised_distances(pixels, keypoints, labelled, visible))
        distances, distances_seen = np.concatenate(every), np.concatenate(seen)
        finer = "  ".join(f"@{t} {pck(distances, t):.3f}" for t in _THRESHOLDS)
        print(
            f"{name:28} stage {stage}  {len(distances)} keypoints  PCK {finer}  median {np.median(distances):.3f}"
            f"  visible only @0.2 {pck(distances_seen):.3f}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", nargs="*", type=Path, help="Pairs of labels in COCO's format and their pictures.")
    pairs = parser.parse_args().labelled
    estimators = [DeepPoseEstimator("cpu", stages=stage) for stage in _STAGES]
    report("simulated, standing", list(acting_people()), estimators)
    report("simulated, any pose, alone", list(posing_people(alone=True)), estimators)
    report("simulated, any pose, together", list(posing_people(alone=False)), estimators)
    for labels, images in zip(pairs[::2], pairs[1::2], strict=True):
        report(labels.stem, list(coco_people(labels, images)), estimators)


if __name__ == "__main__":
    main()
