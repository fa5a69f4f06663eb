"""MoveNet multipose: everybody with one pass over the whole image, as an estimator and as a finder for others."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import EstimationConfig, Estimator
from pose_perception.human.estimators.movenet import decode_multipose
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import Network, load_network

# The longer side of the network input, px: to find people, and to place their joints as well.
_FINDER_SIDE = 384
_JOINTS_SIDE = 512
_SIZE_MULTIPLE = 32
# A centre with less than this is noise: measured on COCO pictures, docs/estimators.md.
_MIN_CENTER = 0.15


class MovenetFinder:
    """Finds people of any number with rough keypoints; the networks load when an image of their shape comes.

    Args:
        device: auto, cuda or cpu.
        long_side: The longer side of the network input, px; a multiple of 32.
    """

    def __init__(self, device: str, long_side: int = _FINDER_SIDE) -> None:
        self._device = device
        self._sizes = input_sizes(long_side)
        self._networks: dict[tuple[int, int], Network] = {}

    def warm_up(self) -> None:
        """Load and run the networks for the images that cameras send."""
        for size in self._sizes[:2]:
            self._network(size).warm_up(largest=1)

    def load_all(self) -> None:
        """Load the networks for images of every shape."""
        for size in self._sizes:
            self._network(size)

    def find(self, color: npt.NDArray[np.uint8]) -> PoseEstimates:
        """Return the people of an RGB image with shape (H, W, 3), with COCO's 17 keypoints and no world landmarks.

        The same person may occur twice.
        """
        height, width = color.shape[:2]
        size = fitting_size(height, width, self._sizes)
        scale = min(size[0] / height, size[1] / width)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.zeros((1, *size, 3), np.uint8)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image[0, : inner[1], : inner[0]] = cv2.resize(color, inner, interpolation=method)
        poses = decode_multipose(self._network(size)(image), _MIN_CENTER)[0]
        people = len(poses.scores)
        return PoseEstimates(
            pixels=poses.pixels.astype(np.float64) / scale,
            scores=poses.scores.astype(np.float64),
            boxes=_inside(poses.boxes.astype(np.float64) / scale, width, height),
            person_scores=poses.center_scores.astype(np.float64),
            world=np.full((people, poses.scores.shape[1], 3), np.nan),
        )

    def _network(self, size: tuple[int, int]) -> Network:
        if size not in self._networks:
            self._networks[size] = load_network("movenet_multipose", self._device, input_size=size)
        return self._networks[size]


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


def input_sizes(long_side: int) -> tuple[tuple[int, int], ...]:
    """Return the inputs (height, width) into which images are fitted; few, so that few networks must be held.

    Landscape in 4:3 and 16:9 first, as most cameras send it, then portrait, and square for everything else.
    """
    landscape = [(_rounded_up(long_side * short / long), long_side) for long, short in ((4, 3), (16, 9))]
    return (*landscape, *((width, height) for height, width in landscape), (long_side, long_side))


def fitting_size(height: int, width: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the smallest of the inputs that holds an image with its longer side at full size."""
    scale = sizes[-1][0] / max(height, width)
    fitting = [s for s in sizes if s[0] >= round(height * scale) and s[1] >= round(width * scale)]
    return min(fitting, key=lambda s: s[0] * s[1])


def _rounded_up(side: float) -> int:
    return -(-round(side) // _SIZE_MULTIPLE) * _SIZE_MULTIPLE


def _inside(boxes: FloatArray, width: int, height: int) -> FloatArray:
    return np.clip(boxes, 0, [width, height, width, height])
