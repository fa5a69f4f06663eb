"""MoveNet multipose as a finder of people: one pass over the whole image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.movenet import decode_multipose
from pose_perception.networks.runtime import Network, load_network

# The longer side of the network input, px, and the shapes that images are fitted into: landscape and portrait of 4:3
# and 16:9, and square for everything else. Few shapes mean few networks to convert and to hold.
_LONG_SIDE = 384
INPUT_SIZES = ((288, 384), (224, 384), (384, 288), (384, 224), (384, 384))
_CAMERA_SIZES = INPUT_SIZES[:2]
# A centre with less than this is noise: measured on COCO pictures, docs/estimators.md.
_MIN_CENTER = 0.15


class MovenetFinder:
    """Finds people of any number with rough keypoints."""

    def __init__(self, device: str) -> None:
        """Prepare for a device; the networks load when an image of their shape comes."""
        self._device = device
        self._networks: dict[tuple[int, int], Network] = {}

    def warm_up(self) -> None:
        """Load and run the networks for the images that cameras send."""
        for size in _CAMERA_SIZES:
            self._network(size).warm_up(largest=1)

    def load_all(self) -> None:
        """Load the networks for images of every shape."""
        for size in INPUT_SIZES:
            self._network(size)

    def find(self, color: npt.NDArray[np.uint8]) -> PoseEstimates:
        """Return the people of an RGB image with shape (H, W, 3), with COCO's 17 keypoints and no world landmarks.

        The same person may occur twice.
        """
        height, width = color.shape[:2]
        size = _fitting_size(height, width)
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


def _fitting_size(height: int, width: int) -> tuple[int, int]:
    """Return the smallest input that holds the image with its longer side at full size."""
    scale = _LONG_SIDE / max(height, width)
    fitting = [s for s in INPUT_SIZES if s[0] >= round(height * scale) and s[1] >= round(width * scale)]
    return min(fitting, key=lambda s: s[0] * s[1])


def _inside(boxes: FloatArray, width: int, height: int) -> FloatArray:
    return np.clip(boxes, 0, [width, height, width, height])
