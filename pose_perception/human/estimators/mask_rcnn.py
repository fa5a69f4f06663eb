"""Mask R-CNN: finds people, and looks at each for its keypoints and, where asked, its mask."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import EstimationConfig, Estimator, are_new, boxes_in_view
from pose_perception.human.estimators.mask_rcnn_networks import choose_network
from pose_perception.human.topology import COCO_17

# Shape of what a camera sends, for the warm-up.
_CAMERA = (480, 640, 3)
_MASK = 0.5


class Detections(NamedTuple):
    """P people with what Mask R-CNN knows of each.

    Attributes:
        people: Boxes, keypoints and scores.
        masks: Whether a pixel of the image belongs to the person, shape (P, H, W); None when not asked for.
    """

    people: PoseEstimates
    masks: npt.NDArray[np.bool_] | None


class MaskRcnnEstimator(Estimator):
    """Keypoint R-CNN: torchvision's published one where its weights are, else the light one of this package."""

    topology = COCO_17

    def __init__(self, device: str, config: EstimationConfig | None = None) -> None:
        """Load the network for `device` (auto, cuda or cpu).

        Raises:
            WeightsError: the weights are missing, altered, or those of another network.
            DeviceError: the device is not there.
        """
        self._network = choose_network(device, (config or EstimationConfig()).network_file)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        return self.detect(color, boxes, find).people

    def detect(
        self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool = True, masks: bool = False
    ) -> Detections:
        """Find people with keypoints and masks.

        Args:
            color: RGB image with shape (H, W, 3).
            boxes: Where people are known to be, (x0, y0, x1, y1) with shape (N, 4), px; those in view come first.
            find: Whether to look for more people.
            masks: Whether masks are wanted; they take H x W bytes a person.

        Raises:
            ConfigurationError: masks are wanted of a network that has none.
        """
        height, width = color.shape[:2]
        boxes = boxes_in_view(boxes, color)
        found = self._network.look(color, boxes, find, masks)
        new = np.ones(len(found.boxes), bool)
        new[len(boxes) :] = are_new(found.boxes[len(boxes) :], boxes)
        people = PoseEstimates.without_world(
            pixels=found.keypoints,
            scores=found.keypoint_scores,
            boxes=np.clip(found.boxes, 0, (width, height, width, height)),
            # Boxes around two people hold good joints: here the box counts as much as the joints, not half as much.
            person_scores=found.keypoint_scores.mean(axis=1) * found.scores,
        ).select(new)
        return Detections(people, _at_size(found.masks[new], width, height) if masks else None)

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self.detect(np.zeros(_CAMERA, np.uint8), np.array([[100.0, 100.0, 200.0, 300.0]]))

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._network.load_all()


def _at_size(probabilities: FloatArray, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of the image belong to each person, from maps (P, h, w) of any size."""
    masks = np.zeros((len(probabilities), height, width), bool)
    for mask, probability in zip(masks, probabilities, strict=True):
        mask[:] = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR) > _MASK
    return masks
