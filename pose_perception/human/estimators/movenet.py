"""MoveNet: from the results of the networks to people, in pixels of the network input.

Both decoders repeat the post-processing inside the published graphs (TensorFlow Hub `google/movenet`, Apache-2.0;
constants read from the graphs), which follows CenterNet: Zhou et al., Objects as Points, 2019. Differences: a batch at
once, any number of people in the multipose network instead of six, no constants in half precision, and a keypoint that
two people claim is scored for each by itself (the graph gives both the score of the better).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

# The maps have one cell per 4 px of the input.
_STRIDE = 4
_KEYPOINTS = 17
# Multipose: window of a centre peak, cells; variance of the weight around a regressed keypoint, as a part of the
# shorter side of the map; least score of a keypoint that counts for its person.
_PEAK_WINDOW = 5
_VARIANCE = 0.3
_MIN_KEYPOINT_SCORE = 0.127
# Single pose: added to a distance in cells before the division by it.
_DISTANCE_OFFSET = 1.8

MapArray = npt.NDArray[np.float32]


class SinglePoses(NamedTuple):
    """One person in each of N crops, keypoints in COCO's order.

    Attributes:
        pixels: (x, y) in the crop with shape (N, 17, 2), px.
        scores: Confidence of each keypoint with shape (N, 17), 0 to 1.
    """

    pixels: FloatArray
    scores: FloatArray


class MultiPoses(NamedTuple):
    """P people in one image, best centre first, keypoints in COCO's order.

    Attributes:
        pixels: (x, y) in the network input with shape (P, 17, 2), px.
        scores: Confidence of each keypoint with shape (P, 17), 0 to 1.
        boxes: (x0, y0, x1, y1) with shape (P, 4), px of the network input.
        person_scores: Centre score times mean score of the good keypoints, shape (P,), 0 to 1.
        center_scores: Score of the centre alone with shape (P,), 0 to 1.
    """

    pixels: FloatArray
    scores: FloatArray
    boxes: FloatArray
    person_scores: FloatArray
    center_scores: FloatArray


def decode_single_pose(outputs: Mapping[str, MapArray]) -> SinglePoses:
    """Decode `movenet_thunder` or `movenet_lightning`: the person closest to the middle of each crop.

    Args:
        outputs: Results of the network for N crops: `center` (N, R, C, 1), `kpt_heatmap` (N, R, C, 17),
            `kpt_regress` and `kpt_offset` (N, R, C, 34).
    """
    heatmap = outputs["kpt_heatmap"]
    people, rows, columns, _ = heatmap.shape
    each = np.arange(people)
    y, x = np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32)
    from_middle = np.hypot(y[:, None] - rows // 2, x - columns // 2)
    centers = outputs["center"][..., 0] / (from_middle + _DISTANCE_OFFSET)
    row, column = np.divmod(centers.reshape(people, rows * columns).argmax(axis=1), columns)
    regressed = outputs["kpt_regress"][each, row, column].reshape(people, _KEYPOINTS, 2)
    regressed = regressed + np.stack([row, column], axis=1)[:, None].astype(np.float32)
    squared = (y[:, None] - regressed[:, None, :, 0]) ** 2  # (N, R, 17)
    squared = squared[:, :, None] + ((x[:, None] - regressed[:, None, :, 1]) ** 2)[:, None]  # (N, R, C, 17)
    weighted = heatmap / (np.sqrt(squared) + _DISTANCE_OFFSET)
    row, column = np.divmod(weighted.reshape(people, rows * columns, _KEYPOINTS).argmax(axis=1), columns)  # (N, 17)
    point = np.arange(_KEYPOINTS)
    offset = outputs["kpt_offset"].reshape(people, rows, columns, _KEYPOINTS, 2)[each[:, None], row, column, point]
    pixels = _STRIDE * (np.stack([column, row], axis=2) + offset[..., ::-1])
    return SinglePoses(pixels, heatmap[each[:, None], row, column, point])


def decode_multipose(outputs: Mapping[str, MapArray], min_center: float) -> list[MultiPoses]:
    """Decode `movenet_multipose`.

    Args:
        outputs: Results of the network for N images: `center` (N, R, C, 1), `box_scale` and `box_offset` (N, R, C, 2),
            `kpt_heatmap` (N, R, C, 17), `kpt_regress` and `kpt_offset` (N, R, C, 34).
        min_center: Least score of a centre, 0 to 1.

    Returns:
        The people of each image; the same person may occur twice.
    """
    return [
        _decode_image({name: values[i] for name, values in outputs.items()}, min_center)
        for i in range(len(outputs["center"]))
    ]


def _decode_image(maps: Mapping[str, MapArray], min_center: float) -> MultiPoses:
    rows, columns = maps["center"].shape[:2]
    row, column = _peaks(maps["center"][..., 0], min_center)
    center_scores = maps["center"][row, column, 0]
    cell = np.stack([row, column], axis=1).astype(np.float32)  # (P, 2), y before x as everywhere in the graph
    middle = cell + maps["box_offset"][row, column]
    half = np.maximum(maps["box_scale"][row, column], 0) / 2
    limit = np.array([rows, columns], np.float32)
    low, high = np.clip(middle - half, 0, limit), np.clip(middle + half, 0, limit)
    regressed = cell[:, None] + maps["kpt_regress"][row, column].reshape(-1, _KEYPOINTS, 2)
    offsets = maps["kpt_offset"].reshape(rows, columns, _KEYPOINTS, 2)
    points = np.zeros_like(regressed)
    scores = np.zeros(points.shape[:2], np.float32)
    for k in range(len(cell)):
        found, scores[k] = _best_cells(maps["kpt_heatmap"], regressed[k], low[k], high[k])
        points[k] = found + offsets[found[:, 0], found[:, 1], np.arange(_KEYPOINTS)]
    good = scores > _MIN_KEYPOINT_SCORE
    means = np.where(good, scores, 0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    boxes = np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)
    return MultiPoses(_STRIDE * points[..., ::-1], scores, _STRIDE * boxes, center_scores * means, center_scores)


def _peaks(center: MapArray, min_center: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of the local maxima, best first."""
    highest = cv2.dilate(center, np.ones((_PEAK_WINDOW, _PEAK_WINDOW), np.uint8))
    row, column = np.nonzero((center >= highest) & (center > min_center))
    order = np.argsort(-center[row, column], kind="stable")
    return row[order], column[order]


def _best_cells(
    heatmap: MapArray, regressed: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the best cell of each keypoint inside a person's box, (17, 2) as y and x, and its weighted score (17,)."""
    first = np.ceil(low).astype(int)
    count = np.ceil(high).astype(int) - first
    if (count <= 0).any():
        return np.zeros((_KEYPOINTS, 2), np.intp), np.zeros(_KEYPOINTS, np.float32)
    variance = _VARIANCE * min(heatmap.shape[:2])
    y, x = (np.arange(start, start + n, dtype=np.float32) for start, n in zip(first, count, strict=True))
    near_y = np.exp(-((y[:, None] - regressed[:, 0]) ** 2) / variance)  # (rows, 17)
    near_x = np.exp(-((x[:, None] - regressed[:, 1]) ** 2) / variance)  # (columns, 17)
    window = heatmap[first[0] : first[0] + count[0], first[1] : first[1] + count[1]]
    weighted = (window * near_y[:, None] * near_x).reshape(-1, _KEYPOINTS)
    best = weighted.argmax(axis=0)
    return np.stack(np.divmod(best, count[1]), axis=1) + first, weighted[best, np.arange(_KEYPOINTS)]
