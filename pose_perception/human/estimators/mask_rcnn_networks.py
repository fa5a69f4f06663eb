"""The two networks of the estimator mask-rcnn: which is used, and how an image gets in and out."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.human.estimators.whole_image import fitting_size, input_sizes
from pose_perception.networks.runtime import Network, choose_device, load_network
from pose_perception.networks.weights import FETCH_COMMAND, find_weights

if TYPE_CHECKING:
    from torch import Tensor

    from pose_perception.networks.architectures.keypoint_rcnn import Findings, Rcnn

PUBLISHED = "keypoint_rcnn"
LIGHT = "mask_rcnn_light"
"""Their names in the manifest of the weights."""
# The inputs of the light network, px.
_LIGHT_LONG_SIDE = 512
_LIGHT_SIZES = input_sizes(_LIGHT_LONG_SIDE, 32)
# torchvision's: the shorter side of the image as the network sees it and the most of the longer one, px.
_SHORT_SIDE, _LONG_SIDE, _MULTIPLE = 800, 1333, 32


class Sights(NamedTuple):
    """P people in one image, px of the image.

    Attributes:
        boxes: (x0, y0, x1, y1) with shape (P, 4).
        scores: Probability that each is a person, shape (P,).
        keypoints: COCO's 17 with shape (P, 17, 2).
        keypoint_scores: Confidence of each, 0 to 1, shape (P, 17).
        masks: Probability that a pixel belongs to the person, shape (P, h, w) in the size of the network input;
            None when not asked for.
    """

    boxes: FloatArray
    scores: FloatArray
    keypoints: FloatArray
    keypoint_scores: FloatArray
    masks: FloatArray | None


class RcnnRunner(ABC):
    """A network on its device."""

    network: Rcnn

    def look(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool, masks: bool) -> Sights:
        """Find people in an image; arguments as for `MaskRcnnEstimator.detect`."""
        import torch

        from pose_perception.networks.architectures.keypoint_rcnn import look

        if masks and self.network.roi_heads.mask_predictor is None:
            raise ConfigurationError(
                "this Keypoint R-CNN has no mask head; give a checkpoint that has one, or use the light network"
            )
        height, width = color.shape[:2]
        size, inner = self.fit(height, width)
        if not find and len(boxes) == 0:
            empty = np.zeros((0, 17, 2))
            return Sights(np.zeros((0, 4)), empty[:, 0, 0], empty, empty[..., 0], np.zeros((0, *inner)))
        image = cv2.resize(color, inner[::-1], interpolation=cv2.INTER_AREA if inner[0] < height else cv2.INTER_LINEAR)
        to_input = np.array([inner[1] / width, inner[0] / height])
        known = torch.from_numpy(boxes * np.tile(to_input, 2))
        with torch.inference_mode():
            found = look(self.network, self.levels(image, size), size, known, find, masks)
        return _in_image(found, to_input, inner)

    @abstractmethod
    def fit(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the size of the network input for an image, and that of the image in it, (height, width) in px."""

    @abstractmethod
    def levels(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> OrderedDict[str, Tensor]:
        """Return the pyramid for an image (h, w, 3) in the upper left corner of an input of a size (height, width)."""

    @abstractmethod
    def load_all(self) -> None:
        """Load also what would otherwise be loaded when an image first needs it."""


class LightRunner(RcnnRunner):
    """The light network: its trunks by the runtime of the device, pyramid and heads by PyTorch."""

    def __init__(self, device: str) -> None:
        self._device = choose_device(device)
        from pose_perception.networks.architectures.keypoint_rcnn import read_light

        self.network = read_light(find_weights(LIGHT).read()[0]).to(self._device)
        self._loaded: dict[tuple[int, int], list[Network]] = {}

    def fit(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """See `RcnnRunner.fit`."""
        scale = _LIGHT_LONG_SIDE / max(height, width)
        inner = (max(1, round(scale * height)), max(1, round(scale * width)))
        return fitting_size(height, width, _LIGHT_SIZES), inner

    def levels(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> OrderedDict[str, Tensor]:
        """See `RcnnRunner.levels`."""
        import torch

        canvas = np.zeros((1, *size, 3), np.uint8)
        canvas[0, : len(image), : image.shape[1]] = image
        maps = {name: values for trunk in self._trunks(size) for name, values in trunk(canvas).items()}
        return self.network.pyramid(
            {name: torch.from_numpy(values).to(self._device).permute(0, 3, 1, 2) for name, values in maps.items()}
        )

    def load_all(self) -> None:
        """See `RcnnRunner.load_all`."""
        for size in _LIGHT_SIZES:
            self._trunks(size)

    def _trunks(self, size: tuple[int, int]) -> list[Network]:
        from pose_perception.networks.architectures.keypoint_rcnn import TRUNKS

        if size not in self._loaded:
            self._loaded[size] = [load_network(name, self._device, input_size=size) for name in TRUNKS]
        return self._loaded[size]


class PublishedRunner(RcnnRunner):
    """torchvision's Keypoint R-CNN ResNet-50 FPN, all by PyTorch.

    Args:
        checkpoint: Path of the file, or what it holds.
        device: auto, cuda or cpu.
    """

    def __init__(self, checkpoint: str | bytes, device: str) -> None:
        from pose_perception.networks.architectures.keypoint_rcnn import read_published

        self._device = choose_device(device)
        self.network = read_published(checkpoint).to(self._device)

    def fit(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """See `RcnnRunner.fit`."""
        scale = min(_SHORT_SIDE / min(height, width), _LONG_SIDE / max(height, width))
        inner = (max(1, round(scale * height)), max(1, round(scale * width)))
        return tuple(-(-side // _MULTIPLE) * _MULTIPLE for side in inner), inner

    def levels(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> OrderedDict[str, Tensor]:
        """See `RcnnRunner.levels`."""
        import torch

        pixels = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        height, width = image.shape[:2]
        # Outside of the image the network was shown its mean colour.
        border = (0, size[1] - width, 0, size[0] - height)
        canvas = torch.nn.functional.pad(self.network.transform.normalize(pixels), border)
        return self.network.backbone(canvas[None])

    def load_all(self) -> None:
        """See `RcnnRunner.load_all`; there is nothing more."""


def choose_network(device: str, file: str = "") -> RcnnRunner:
    """Return the published network of a file or of the cache; where it is in neither, the light one, with a warning.

    Args:
        device: auto, cuda or cpu.
        file: Checkpoint that the user brings; "" for none.

    Raises:
        ConfigurationError: there is no such file.
        WeightsError: the file is no checkpoint of that network, the published weights are altered, or the light ones
            are missing.
    """
    if file:
        if not Path(file).is_file():
            raise ConfigurationError(f"network_file {file} is not there or no file")
        return PublishedRunner(file, device)
    published = find_weights(PUBLISHED)
    if any(published.cached_path(part).exists() for part in published.files):
        return PublishedRunner(published.read()[0], device)
    warnings.warn(
        "the published Keypoint R-CNN is not in the cache, the light one is used, which is far less accurate; "
        f"`{FETCH_COMMAND} {PUBLISHED}` gets the published one (226 MB)",
        UserWarning,
        stacklevel=3,
    )
    return LightRunner(device)


def _in_image(found: Findings, to_input: FloatArray, inner: tuple[int, int]) -> Sights:
    boxes, scores, keypoints, keypoint_scores = (
        value.cpu().numpy().astype(np.float64)
        for value in (found.boxes, found.scores, found.keypoints, found.keypoint_scores)
    )
    masks = None if found.masks is None else found.masks[:, : inner[0], : inner[1]].cpu().numpy()
    # Keypoints are counted from the corner of the first pixel in the network, from its middle in this package.
    return Sights(boxes / np.tile(to_input, 2), scores, keypoints / to_input - 0.5, keypoint_scores, masks)
