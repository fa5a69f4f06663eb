"""MoveNet multipose: everybody with one pass over the whole image, as an estimator and as a finder for others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import EstimationConfig, Estimator
from pose_perception.human.estimators.movenet import decode_multipose
from pose_perception.human.estimators.whole_image import WholeImageNetwork
from pose_perception.human.topology import COCO_17

# The longer side of the network input, px: to find people, and to place their joints as well.
_FINDER_SIDE = 384
_JOINTS_SIDE = 512
_SIZE_MULTIPLE = 32
# A centre with less than this is noise: measured on COCO pictures, docs/estimators.md.
_MIN_CENTER = 0.15


class MovenetFinder:
    """Finds people of any number with rough keypoints.

    Args:
        device: auto, cuda or cpu.
        long_side: The longer side of the network input, px; a multiple of 32.
    """

    def __init__(self, device: str, long_side: int = _FINDER_SIDE) -> None:
        self._network = WholeImageNetwork("movenet_multipose", device, long_side, _SIZE_MULTIPLE)

    def warm_up(self) -> None:
        """Load and run the networks for the images that cameras send."""
        self._network.warm_up()

    def load_all(self) -> None:
        """Load the networks for images of every shape."""
        self._network.load_all()

    def find(self, color: npt.NDArray[np.uint8]) -> PoseEstimates:
        """Return the people of an RGB image with shape (H, W, 3), with COCO's 17 keypoints and no world landmarks.

        The same person may occur twice.
        """
        outputs, scale = self._network(color)
        poses = decode_multipose(outputs, _MIN_CENTER)[0]
        return PoseEstimates.without_world(
            pixels=poses.pixels.astype(np.float64) / scale,
            scores=poses.scores.astype(np.float64),
            boxes=_inside(poses.boxes.astype(np.float64) / scale, color),
            person_scores=poses.center_scores.astype(np.float64),
        )


class MovenetMultiposeEstimator(Estimator):
    """Bottom-up: one pass over the whole image finds people and places their joints, at a higher resolution."""

    topology = COCO_17

    def __init__(self, device: str, _: EstimationConfig | None = None) -> None:
        """Prepare for a device (auto, cuda or cpu)."""
        self._finder = MovenetFinder(device, _JOINTS_SIDE)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        return self._finder.find(color)

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._finder.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._finder.load_all()


def _inside(boxes: FloatArray, color: npt.NDArray[np.uint8]) -> FloatArray:
    height, width = color.shape[:2]
    return np.clip(boxes, 0, [width, height, width, height])
