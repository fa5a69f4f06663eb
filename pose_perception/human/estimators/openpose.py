"""OpenPose: everybody with one pass over the whole image, from confidence maps and part affinity fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.human.estimators.base import MIN_SCORE, EstimationConfig, Estimator, keypoint_boxes
from pose_perception.human.estimators.openpose_parts import BODY_25, COCO_18
from pose_perception.human.estimators.paf_grouping import group_people
from pose_perception.human.estimators.whole_image import FittedNetwork
from pose_perception.human.topology import COCO_17
from pose_perception.networks.catalogue import NetworkSpec
from pose_perception.networks.runtime import Network, load_network, run_network

# Inputs (height, width) of about 182 000 px, OpenPose's own 368x368 to 368x656 being 135 000 to 241 000: for images in
# 4:3 and 16:9, as most cameras send them, the same upright, and square. The time grows as the area: these stay below
# 60 ms in float32 on 2 cores. On COCO pictures 150 000 px were less accurate, 233 000 px hardly more.
_INPUT_SIZES = ((368, 496), (320, 560), (496, 368), (560, 320), (432, 432))
# Cell i of the maps covers the pixels 8 i to 8 i + 7.
_STRIDE = 8
# Known keypoints that a person needs to have a box.
_MIN_KEYPOINTS = 2
# Of the people with a lower score on COCO pictures none was there.
_MIN_PERSON = 0.15
_PARTS = {2 * len(parts.graph.limbs): parts for parts in (COCO_18, BODY_25)}
# A network of a user's checkpoint, which says by itself which of the two it is.
_CHECKPOINT = NetworkSpec(
    "openpose_checkpoint",
    _INPUT_SIZES[0],
    {"parts": "parts", "fields": "fields"},
    size_multiple=_STRIDE,
    architecture="openpose",
)


class OpenPoseEstimator(Estimator):
    """Bottom-up: candidates for all parts of all people, grouped by the limbs between them.

    The network is OpenPose's architecture on MobileNet, or that of a checkpoint which the user brings.
    """

    topology = COCO_17

    def __init__(self, device: str, config: EstimationConfig | None = None) -> None:
        """Prepare for a device (auto, cuda or cpu).

        Raises:
            ConfigurationError: the checkpoint that the configuration names is not there.
        """
        self._device = device
        self._file = (config or EstimationConfig()).network_file
        self._network = FittedNetwork(_INPUT_SIZES, self._load)
        if self._file and not Path(self._file).is_file():
            raise ConfigurationError(f"network_file {self._file} is not there or no file")

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        outputs, scale = self._network(color)
        rows, columns = (-(-round(side * scale) // _STRIDE) for side in color.shape[:2])
        maps, fields = (outputs[name][0, :rows, :columns] for name in ("parts", "fields"))
        parts = _PARTS[fields.shape[2]]
        people = group_people(maps[..., : parts.graph.parts], fields, parts.graph)
        points, scores = people.points[:, parts.coco], np.minimum(people.scores[:, parts.coco], 1)
        kept = ((scores > 0).sum(axis=1) >= _MIN_KEYPOINTS) & (people.person_scores >= _MIN_PERSON)
        pixels = (points[kept] + 0.5) * _STRIDE / scale - 0.5
        return _estimates(pixels, scores[kept], np.minimum(people.person_scores[kept], 1))

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._network.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._network.load_all()

    def _load(self, size: tuple[int, int]) -> Network:
        if not self._file:
            return load_network("tf_pose", self._device, input_size=size)
        try:
            content = Path(self._file).read_bytes()
            return run_network(_CHECKPOINT, [content], self._device, input_size=size)
        except (OSError, WeightsError) as error:
            raise WeightsError(f"{self._file}: {error}") from error


def _estimates(pixels: FloatArray, scores: FloatArray, person_scores: FloatArray) -> PoseEstimates:
    confident = scores >= MIN_SCORE
    shaping = np.where((confident.sum(axis=1) >= _MIN_KEYPOINTS)[:, None], confident, scores > 0)
    return PoseEstimates.without_world(
        pixels=pixels,
        scores=scores,
        boxes=keypoint_boxes(pixels, shaping.astype(float), 0.5),
        person_scores=person_scores,
    )
