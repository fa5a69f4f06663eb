"""PoseNet: part heatmaps and displacement fields of a whole image, and their greedy decoding.

The network is PersonLab on MobileNetV1 (Papandreou et al., PersonLab, 2018). Decoding follows the paper: the parts of
every person grow from their strongest one along the tree of `EDGES`, all possible roots at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import MIN_SCORE, keypoint_boxes
from pose_perception.human.estimators.whole_image import WholeImageNetwork

KEYPOINTS = 17
"""In COCO's order."""
EDGES = (
    *((0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11)),
    *((11, 13), (13, 15), (0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16)),
)
"""Parent and child of each displacement field (tensorflow/tfjs-models, posenet/src/keypoints.ts, poseChain)."""
STRIDE = 16
"""Cell (row, column) of the maps speaks for pixel (16 row, 16 column) of the input."""

# The longer side of the input, px. The larger, the better for people who are small in the image, the worse for those
# who fill it, and the slower: on 34 COCO pictures deepcut's AP of medium and large people is 0.28 and 0.64 at 641,
# 0.36 and 0.61 at 897, 0.40 and 0.57 at 1025.
LONG_SIDE = 897
_OUTPUTS = ("heatmap", "offset", "displacement_fwd", "displacement_bwd")
# Greedy decoding: least score of a root, and below how many px of the input two keypoints are the same.
_MIN_ROOT = 0.1
_SAME_PX = 20.0
# A cell says where its keypoint lies; asking the cell there again makes it more accurate.
_REFINEMENTS = 2


class PosenetMaps(NamedTuple):
    """What the network says about one image; positions are (x, y) in px of its input.

    Attributes:
        heat: Probability that a cell lies near a keypoint with shape (R, C, 17).
        offsets: From the cell to that keypoint with shape (R, C, 17, 2), px.
        forward: From the parent of each edge to its child with shape (R, C, 16, 2), px, valid near the parent.
        backward: From the child to the parent with shape (R, C, 16, 2), px, valid near the child.
    """

    heat: FloatArray
    offsets: FloatArray
    forward: FloatArray
    backward: FloatArray


class PosenetPeople(NamedTuple):
    """P people in the input of the network, best first.

    Attributes:
        pixels: (x, y) with shape (P, 17, 2), px of the input.
        scores: Heat at each keypoint with shape (P, 17).
        person_scores: Shape (P,), 0 to 1.
    """

    pixels: FloatArray
    scores: FloatArray
    person_scores: FloatArray


class PosenetReader:
    """Runs the network on images of any size.

    Args:
        device: auto, cuda or cpu.
        long_side: The longer side of the network input, px; a multiple of 16 plus 1.
    """

    def __init__(self, device: str, long_side: int = LONG_SIDE) -> None:
        self.network = WholeImageNetwork("posenet", device, long_side, STRIDE, 1, _OUTPUTS)

    def read(self, color: npt.NDArray[np.uint8]) -> tuple[PosenetMaps, float]:
        """Return the maps of an RGB image with shape (H, W, 3), and the px of the input per px of the image."""
        outputs, scale = self.network(color)
        return split_maps(outputs)[0], scale


def split_maps(outputs: Mapping[str, npt.NDArray[np.float32]]) -> list[PosenetMaps]:
    """Sort the results of the network for N images: logits to probabilities, vectors as (x, y)."""

    def vectors(name: str) -> npt.NDArray[np.float32]:
        y, x = np.split(outputs[name], 2, axis=-1)
        return np.stack([x, y], axis=-1)

    heat = 1 / (1 + np.exp(-outputs["heatmap"]))
    stacked = (heat, vectors("offset"), vectors("displacement_fwd"), vectors("displacement_bwd"))
    return [PosenetMaps(*maps) for maps in zip(*stacked, strict=True)]


def find_peaks(heat: FloatArray, min_score: float) -> tuple[npt.NDArray[np.intp], ...]:
    """Return row, column and part of the local maxima of (R, C, K) maps in windows of 3x3 cells, each shape (N,)."""
    highest = cv2.dilate(heat, np.ones((3, 3), np.uint8)).reshape(heat.shape)
    return np.nonzero((heat >= highest) & (heat > min_score))


def sample(field: FloatArray, pixels: FloatArray, channels: npt.NDArray[np.intp]) -> FloatArray:
    """Read maps between their cells, bilinearly; beyond the border they stay as they are there.

    Args:
        field: Values with shape (R, C, K, D).
        pixels: (x, y) with shape (..., 2), px.
        channels: 0 to K - 1 with shape (...).

    Returns:
        Values with shape (..., D).
    """
    rows, columns, count, depth = field.shape
    last = np.array([columns - 1, rows - 1])
    place = np.clip(pixels / STRIDE, 0, last)
    first = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
    x, y = np.moveaxis((place - first)[..., None], -2, 0)  # (..., 1)
    right, down = min(1, columns - 1) * count, min(1, rows - 1) * columns * count
    index = (first[..., 1] * columns + first[..., 0]) * count + channels
    flat = field.reshape(-1, depth)
    upper = (1 - x) * flat[index] + x * flat[index + right]
    lower = (1 - x) * flat[index + down] + x * flat[index + right + down]
    return (1 - y) * upper + y * lower


def refine(
    maps: PosenetMaps, pixels: FloatArray, parts: npt.NDArray[np.intp], times: int = _REFINEMENTS
) -> tuple[FloatArray, FloatArray]:
    """Move keypoints to where the cells below them say that they are.

    Args:
        maps: Results of the network.
        pixels: (x, y) with shape (..., 2), px.
        parts: Part of each with shape (...).
        times: How often.

    Returns:
        Pixels with shape (..., 2), and the heat there with shape (...).
    """
    for _ in range(times):
        pixels = pixels + sample(maps.offsets, pixels, parts)
    return pixels, sample(maps.heat[..., None], pixels, parts)[..., 0]


def regress_poses(maps: PosenetMaps, pixels: FloatArray, parts: npt.NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Return the pose that each of N keypoints implies: the displacements lead from part to part along the tree.

    Args:
        maps: Results of the network.
        pixels: (x, y) with shape (N, 2), px.
        parts: Part of each with shape (N,).

    Returns:
        Pixels with shape (N, 17, 2), and the heat there with shape (N, 17).
    """
    each = np.arange(len(pixels))
    poses, scores = np.zeros((len(pixels), KEYPOINTS, 2)), np.zeros((len(pixels), KEYPOINTS))
    poses[each, parts], scores[each, parts] = refine(maps, pixels, parts, times=0)
    known = np.zeros((len(pixels), KEYPOINTS), bool)
    known[each, parts] = True
    # First up to the root of the tree, then down to all of its leaves.
    steps = [(child, parent, maps.backward, e) for e, (parent, child) in reversed(list(enumerate(EDGES)))]
    steps += [(parent, child, maps.forward, e) for e, (parent, child) in enumerate(EDGES)]
    for source, target, field, e in steps:
        rows = np.flatnonzero(known[:, source] & ~known[:, target])
        moved = poses[rows, source] + sample(field, poses[rows, source], np.full(len(rows), e))
        poses[rows, target], scores[rows, target] = refine(maps, moved, np.full(len(rows), target))
        known[rows, target] = True
    return poses, scores


def decode_greedy(maps: PosenetMaps, min_root: float = _MIN_ROOT) -> PosenetPeople:
    """Return the people of one image.

    Args:
        maps: Results of the network.
        min_root: Least heat of the part that a person grows from.
    """
    row, column, part = find_peaks(maps.heat, min_root)
    order = np.argsort(-maps.heat[row, column, part], kind="stable")
    row, column, part = row[order], column[order], part[order]
    roots = STRIDE * np.stack([column, row], axis=1) + maps.offsets[row, column, part]
    poses, scores = regress_poses(maps, roots, part)
    kept: list[int] = []
    person_scores: list[float] = []
    for i in range(len(poses)):
        # A root that is a keypoint of somebody already is no new person; keypoints of others do not count.
        near = np.linalg.norm(poses[kept] - poses[i], axis=2) <= _SAME_PX  # (kept, 17)
        if near[:, part[i]].any():
            continue
        person_scores.append(float(scores[i, ~near.any(axis=0)].sum() / KEYPOINTS))
        kept.append(i)
    best = np.argsort(-np.array(person_scores), kind="stable")
    chosen = np.array(kept, np.intp)[best]
    return PosenetPeople(poses[chosen], scores[chosen], np.array(person_scores)[best])


def estimates_in_image(people: PosenetPeople, scale: float) -> PoseEstimates:
    """Return people in px of the image; `scale` is px of the input per px of the image."""
    pixels = (people.pixels + 0.5) / scale - 0.5  # resizing aligns the borders of the pixels, not their centres
    return PoseEstimates.without_world(
        pixels=pixels,
        scores=people.scores,
        boxes=keypoint_boxes(pixels, people.scores, MIN_SCORE),
        person_scores=people.person_scores,
    )
