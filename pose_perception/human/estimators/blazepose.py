"""BlazePose landmarks: 33 points and metric world landmarks of one person in a rotated crop.

Bazarevsky et al., BlazePose: On-device Real-time Body Pose tracking, CVPR workshops 2020; the meaning of the tensors
follows MediaPipe's graph modules/pose_landmark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import (
    MIN_SCORE,
    EstimationConfig,
    Estimator,
    are_new,
    boxes_in_view,
    keypoint_boxes,
    person_scores,
)
from pose_perception.human.estimators.crops import image_from_crops, rotated_crops
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.topology import BODY_33
from pose_perception.networks.runtime import load_network

# MediaPipe's landmark order by our names.
BLAZEPOSE_ORDER = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index"),
    *("left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)
# The network predicts 39 points: 33 landmarks, 2 that give the next region, 4 unused.
_POINTS = 39
_COCO = slice(0, 17)
_LANDMARKS = np.array([BLAZEPOSE_ORDER.index(name) for name in BODY_33.keypoints])
_SIZE = 256
_HEATMAP = 64
# Side of the region over the diameter of the circle around the person (pose_landmark graph, RectTransformation).
_REGION_SCALE = 1.25
# Window of the heatmap refinement and the least peak that is believed (RefineLandmarksFromHeatmap calculator).
_WINDOW = 7
_MIN_PEAK = 0.5

# For people of whom only a box is known: side of the first region over the longer side of the box.
_BOX_SCALE = 1.25

RESULTS = ("landmarks", "presence", "heatmap", "world")
"""The network's results that `decode` needs."""


class BlazePoseLandmarks(NamedTuple):
    """N people, K = 33 landmarks in the order of `BODY_33`.

    Attributes:
        pixels: With shape (N, K, 2), px of the image.
        scores: Probability that each is in the image and not hidden, shape (N, K).
        presence: Probability that a person is in the crop, shape (N,).
        world: Relative to the mid-hip with shape (N, K, 3), metres, axes of an upright crop.
    """

    pixels: FloatArray
    scores: FloatArray
    presence: FloatArray
    world: FloatArray


class BlazePoseEstimator(Estimator):
    """Top-down: MoveNet multipose finds people and how they are turned, BlazePose places the 33 points of each.

    BlazePose's own detector finds one or two people at best (a third of the accuracy on COCO pictures), so it is not
    used.
    """

    topology = BODY_33

    def __init__(self, device: str, _: EstimationConfig | None = None, *, size: str) -> None:
        """Load the networks.

        Args:
            device: auto, cuda or cpu.
            size: `lite`, `full` or `heavy`.
        """
        self._finder = MovenetFinder(device)
        self._network = load_network(f"blazepose_{size}", device, outputs=RESULTS)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        boxes = boxes_in_view(boxes, color)
        known = landmarks(self._network, color, _upright_regions(boxes))
        regions, found = regions_from_keypoints(known.pixels, known.scores, MIN_SCORE), np.full(len(boxes), np.nan)
        if find:
            people = self._finder.find(color)
            people = people.select(are_new(people.boxes, boxes))
            regions = np.concatenate([regions, regions_from_keypoints(people.pixels, people.scores, MIN_SCORE)])
            found = np.concatenate([found, people.person_scores])
        marks = landmarks(self._network, color, regions)
        return PoseEstimates(
            pixels=marks.pixels,
            scores=marks.scores,
            boxes=keypoint_boxes(marks.pixels, marks.scores, MIN_SCORE),
            person_scores=marks.presence * person_scores(marks.scores[:, _COCO], found),
            world=marks.world,
        )

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._finder.warm_up()
        self._network.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._finder.load_all()


def landmarks(
    network: Callable[[npt.NDArray[np.uint8]], Mapping[str, FloatArray]],
    color: npt.NDArray[np.uint8],
    regions: FloatArray,
) -> BlazePoseLandmarks:
    """Run the landmark network on regions of the image.

    Args:
        network: One of the networks `blazepose_*` with the results `RESULTS`.
        color: RGB image with shape (H, W, 3).
        regions: As for `rotated_crops`, shape (N, 4).
    """
    return decode(network(rotated_crops(color, regions, _SIZE)), regions)


def decode(outputs: Mapping[str, FloatArray], regions: FloatArray) -> BlazePoseLandmarks:
    """Turn the network's results on N regions into landmarks."""
    people = len(regions)
    points = outputs["landmarks"].reshape(people, _POINTS, 5)[:, _LANDMARKS].astype(np.float64)
    heatmap = outputs["heatmap"].reshape(people, _HEATMAP, _HEATMAP, _POINTS)
    in_crop = _refine(points[..., :2], heatmap, _LANDMARKS)
    affine = image_from_crops(regions, _SIZE)
    pixels = np.einsum("nij,nkj->nki", affine[..., :2], in_crop) + affine[:, None, :, 2]
    scores = _sigmoid(points[..., 3]) * _sigmoid(points[..., 4])
    world = outputs["world"].reshape(people, _POINTS, 3)[:, _LANDMARKS].astype(np.float64)
    cos, sin = np.cos(regions[:, 3:4]), np.sin(regions[:, 3:4])
    upright = np.stack(
        [cos * world[..., 0] - sin * world[..., 1], sin * world[..., 0] + cos * world[..., 1], world[..., 2]], axis=-1
    )
    return BlazePoseLandmarks(pixels, scores, outputs["presence"].reshape(people), upright)


def regions_from_keypoints(pixels: FloatArray, scores: FloatArray, min_score: float) -> FloatArray:
    """Return the region that the landmark network expects: upright along the trunk, around the whole person.

    Args:
        pixels: Keypoints of N people that begin with COCO's 17, shape (N, K, 2), px.
        scores: Their confidences with shape (N, K).
        min_score: Keypoints below do not widen the region.

    Returns:
        Centre x, y, side and rotation with shape (N, 4), px and radians.
    """
    index = BODY_33.index
    shoulders = pixels[:, [index["left_shoulder"], index["right_shoulder"]]].mean(axis=1)
    hips = pixels[:, [index["left_hip"], index["right_hip"]]].mean(axis=1)
    up = shoulders - hips
    trunk = np.linalg.norm(up, axis=1)
    distance = np.linalg.norm(pixels[:, _COCO] - hips[:, None], axis=2)
    radius = np.where(scores[:, _COCO] >= min_score, distance, 0.0).max(axis=1)
    # Keypoints end at eyes and ankles; the circle holds the whole head and the feet.
    radius = np.maximum(1.1 * radius, 1.3 * trunk) + 1.0
    rotation = np.arctan2(up[:, 0], -up[:, 1])
    return np.concatenate([hips, 2 * _REGION_SCALE * radius[:, None], rotation[:, None]], axis=1)


def _upright_regions(boxes: FloatArray) -> FloatArray:
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = _BOX_SCALE * np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).max(axis=1, initial=1.0)
    return np.concatenate([center, side[:, None], np.zeros((len(boxes), 1))], axis=1)


def _refine(points: FloatArray, heatmap: FloatArray, channels: npt.NDArray[np.int64]) -> FloatArray:
    """Move points (N, K, 2), px of the crop, to the weighted centre of the heatmap around them."""
    to_crop = _SIZE / _HEATMAP
    cell = np.floor(points / to_crop).astype(np.int64)
    reach = np.arange(_WINDOW) - _WINDOW // 2
    x = cell[..., 0, None, None] + reach[None, None, None, :]
    y = cell[..., 1, None, None] + reach[None, None, :, None]
    inside = (x >= 0) & (x < _HEATMAP) & (y >= 0) & (y < _HEATMAP)
    people = np.arange(len(points))[:, None, None, None]
    values = heatmap[people, np.clip(y, 0, 63), np.clip(x, 0, 63), channels[None, :, None, None]]
    weight = np.where(inside, _sigmoid(values), 0.0)
    total = weight.sum(axis=(2, 3))
    believed = (weight.max(axis=(2, 3)) >= _MIN_PEAK) & (total > 0)
    total = np.where(believed, total, 1.0)
    center = np.stack([(weight * x).sum(axis=(2, 3)) / total, (weight * y).sum(axis=(2, 3)) / total], axis=-1)
    return np.where(believed[..., None], center * to_crop, points)


def _sigmoid(logits: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
