"""What the results of pose networks in ONNX files mean: SimCC, heatmaps, RTMO and YOLO.

Layouts as their exporters write them, B images, K keypoints whose first 17 are COCO's:

- SimCC (RTMPose): two results (B, K, Wx) and (B, K, Wy), one bin for each half pixel across and down (mmpose,
  codecs/simcc_label.py; mmdeploy, pose-detection_simcc_onnxruntime_dynamic.py: simcc_x, simcc_y);
- heatmaps (ViTPose): one result (B, K, H/4, W/4) (mmpose, td-hm_ViTPose-base-simple, UDPHeatmap);
- RTMO: boxes (B, N, 5) as x0, y0, x1, y1, score, and keypoints (B, N, K, 3) as x, y, score, after their own
  suppression of duplicates (mmdeploy, mmpose/models/heads/rtmo_head.py: dets, keypoints);
- YOLOv8, YOLO11: one result (B, 5 + 3K, A) as centre x, y, width, height, score, then x, y, score of each keypoint, for
  A anchors that overlap (Ultralytics, nn/modules/head.py, Pose);
- YOLO26, and older ones exported with nms=True: one result (B, N, 6 + 3K) as x0, y0, x1, y1, score, class and
  keypoints, best first, without duplicates (Ultralytics, docs/en/guides/end2end-detection.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.human.similarity import COCO_SIGMAS, box_overlap

COCO = len(COCO_SIGMAS)
KEYPOINT_COUNTS = (COCO, 26, 133)
"""Sets of keypoints that begin with COCO's 17: COCO, Halpe26 and COCO-WholeBody (mmpose, configs/_base_/datasets)."""

# Kernel that smooths heatmaps of standard deviation 2 before the peak is refined (mmpose, UDPHeatmap), cells; the
# bounds of the smoothed heatmap before its logarithm.
_BLUR = 11
_HEAT_RANGE = (1e-3, 50.0)
# Whole-picture networks: people below this score are noise (mmpose, rtmo test_cfg score_thr), boxes that overlap more
# are one person (Ultralytics, cfg/default.yaml, iou), and so many are looked at and kept at most.
_MIN_PERSON = 0.1
_MAX_OVERLAP = 0.7
_MOST_CANDIDATES = 1000
_MOST_PEOPLE = 300


class CropPoses(NamedTuple):
    """The person in each of N crops.

    Attributes:
        pixels: COCO's keypoints with shape (N, 17, 2), px of the crop, 0 at the centre of its top left pixel.
        scores: With shape (N, 17), 0 to 1.
    """

    pixels: FloatArray
    scores: FloatArray


class PicturePoses(NamedTuple):
    """N people in a picture.

    Attributes:
        pixels: COCO's keypoints with shape (N, 17, 2), px of the network input; NaN with score 0 where not finite.
        scores: With shape (N, 17), 0 to 1.
        boxes: (x0, y0, x1, y1) with shape (N, 4), px of the network input.
        person_scores: With shape (N,), 0 to 1.
    """

    pixels: FloatArray
    scores: FloatArray
    boxes: FloatArray
    person_scores: FloatArray


def decode_simcc(results: Sequence[FloatArray], size: tuple[int, int]) -> CropPoses:
    """Decode the classification of coordinates.

    Args:
        results: (N, K, Wx) and (N, K, Wy).
        size: (height, width) of the crops, px.
    """
    across, down = (result[:, :COCO] for result in results)
    bins = np.stack([_middle_of_peak(across), _middle_of_peak(down)], axis=-1)
    per_pixel = np.array([across.shape[2] / size[1], down.shape[2] / size[0]])
    # The network is trained towards peaks of height 1, and the less certain axis counts (mmpose, get_simcc_maximum).
    return CropPoses(bins / per_pixel, _probability(np.minimum(across.max(axis=2), down.max(axis=2))))


def decode_heatmaps(results: Sequence[FloatArray], size: tuple[int, int]) -> CropPoses:
    """Decode heatmaps whose outer cells lie on the outer pixels of the crop, with refined peaks.

    Zhang et al., Distribution-aware coordinate representation for human pose estimation, CVPR 2020; Huang et al., The
    devil is in the details: delving into unbiased data processing for human pose estimation, CVPR 2020.

    Args:
        results: (N, K, h, w).
        size: (height, width) of the crops, px.
    """
    heat = np.nan_to_num(results[0][:, :COCO].astype(np.float32))
    n, k, h, w = heat.shape
    maps = heat.reshape(n * k, h, w)
    row, column = np.divmod(maps.reshape(n * k, h * w).argmax(axis=1), w)
    # The network is trained towards peaks of height 1.
    scores = _probability(maps[np.arange(n * k), row, column])
    cells = np.stack([column, row], axis=1) + _peak_offsets(maps, row, column)
    pixels = cells * [(size[1] - 1) / (w - 1), (size[0] - 1) / (h - 1)]
    return CropPoses(pixels.reshape(n, k, 2), scores.reshape(n, k))


def decode_rtmo(results: Sequence[FloatArray]) -> PicturePoses:
    """Decode boxes (1, N, 5) and keypoints (1, N, K, 3)."""
    found, points = results[0][0].astype(np.float64), results[1][0].astype(np.float64)
    # Both scores are sigmoids already.
    return _believed(found[:, :4], found[:, 4], points)


def decode_yolo_anchors(results: Sequence[FloatArray]) -> PicturePoses:
    """Decode (1, 5 + 3K, A): boxes of anchors, of which many lie on the same person."""
    found = results[0][0].T.astype(np.float64)
    found = found[found[:, 4] >= _MIN_PERSON]
    found = found[np.argsort(-found[:, 4], kind="stable")[:_MOST_CANDIDATES]]
    half = found[:, 2:4] / 2
    boxes = np.concatenate([found[:, :2] - half, found[:, :2] + half], axis=1)
    # Score and keypoint scores are sigmoids already.
    poses = _believed(boxes, found[:, 4], found[:, 5:].reshape(len(found), -1, 3))
    return PicturePoses(*(values[_without_overlap(poses.boxes)] for values in poses))


def decode_yolo_people(results: Sequence[FloatArray]) -> PicturePoses:
    """Decode (1, N, 6 + 3K): people without duplicates; only class 0, the person, counts."""
    found = results[0][0].astype(np.float64)
    found = found[found[:, 5] == 0]
    return _believed(found[:, :4], found[:, 4], found[:, 6:].reshape(len(found), -1, 3))


def _middle_of_peak(lines: FloatArray) -> FloatArray:
    """Return the best bin of each line (N, K, W); in bfloat16 several neighbours share the best value."""
    return (lines.argmax(axis=2) + lines.shape[2] - 1 - lines[..., ::-1].argmax(axis=2)) / 2


def _peak_offsets(maps: FloatArray, row: FloatArray, column: FloatArray) -> FloatArray:
    """Return how far the peak of a Gaussian through the neighbours is from the best cell, (M, 2) as x and y, cells."""
    m, h, w = maps.shape
    edge = _BLUR // 2
    # One image of all heatmaps below each other, with zeros between: a single call smooths all.
    padded = np.pad(maps, ((0, 0), (edge, edge), (edge, edge))).reshape(m * (h + 2 * edge), w + 2 * edge)
    smooth = cv2.GaussianBlur(padded, (_BLUR, _BLUR), 0).reshape(m, h + 2 * edge, w + 2 * edge)
    smooth = smooth[:, edge:-edge, edge:-edge]
    highest = smooth.max(axis=(1, 2), keepdims=True)
    smooth = smooth * (maps.max(axis=(1, 2), keepdims=True) / np.maximum(highest, 1e-9))
    log = np.pad(np.log(np.clip(smooth, *_HEAT_RANGE)).astype(np.float64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    index = np.arange(m)

    def at(dx: int, dy: int) -> FloatArray:
        return log[index, row + 1 + dy, column + 1 + dx]

    center = at(0, 0)
    gradient_x, gradient_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    xx, yy = at(1, 0) - 2 * center + at(-1, 0), at(0, 1) - 2 * center + at(0, -1)
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = xx * yy - xy * xy
    is_peak = (determinant > 1e-9) & (xx < 0)
    safe = np.where(is_peak, determinant, 1.0)
    offset = -np.stack([yy * gradient_x - xy * gradient_y, xx * gradient_y - xy * gradient_x], axis=1) / safe[:, None]
    # Flat or cut off by the border: the cell itself. A peak is never further than its neighbours.
    return np.where(is_peak[:, None], np.clip(offset, -1, 1), 0.0)


def _believed(boxes: FloatArray, person_scores: FloatArray, points: FloatArray) -> PicturePoses:
    """Return the people with a score and a box, best first; `points` has shape (N, K, 3) as x, y, score."""
    has_box = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    index = np.flatnonzero(has_box & (person_scores >= _MIN_PERSON))
    index = index[np.argsort(-person_scores[index], kind="stable")][:_MOST_CANDIDATES]
    known = np.isfinite(points[index, :COCO]).all(axis=2)
    return PicturePoses(
        np.where(known[..., None], points[index, :COCO, :2], np.nan),
        np.where(known, _probability(points[index, :COCO, 2]), 0.0),
        boxes[index],
        _probability(person_scores[index]),
    )


def _without_overlap(boxes: FloatArray) -> list[int]:
    """Return the indices of the boxes that overlap with none before them, which are better."""
    overlap = box_overlap(boxes, boxes)
    is_open = np.ones(len(boxes), bool)
    kept: list[int] = []
    while is_open.any() and len(kept) < _MOST_PEOPLE:
        kept.append(int(is_open.argmax()))
        is_open &= overlap[kept[-1]] <= _MAX_OVERLAP
        is_open[kept[-1]] = False
    return kept


def _probability(scores: FloatArray) -> FloatArray:
    return np.clip(np.nan_to_num(scores.astype(np.float64), posinf=1.0), 0.0, 1.0)
