"""Running a network on whole images of any shape, with few input shapes, so that few networks must be held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.networks.runtime import Network, load_network

# Scales that differ by less show an image in the same number of pixels.
_SAME_SCALE = 1e-3


class FittedNetwork:
    """Fits images into the input that shows them largest; loads the network for an input when an image first needs it.

    Args:
        sizes: The inputs (height, width), px; those for the images that cameras send are the first two.
        load: Makes the network for one of them.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], load: Callable[[tuple[int, int]], Network]) -> None:
        self._sizes = sizes
        self._load = load
        self._networks: dict[tuple[int, int], Network] = {}

    def warm_up(self) -> None:
        """Load and run the networks for the images that cameras send."""
        for size in self._sizes[:2]:
            self._network(size).warm_up(largest=1)

    def load_all(self) -> None:
        """Load the networks for images of every shape."""
        for size in self._sizes:
            self._network(size)

    def __call__(self, color: npt.NDArray[np.uint8]) -> tuple[Mapping[str, npt.NDArray[np.float32]], float]:
        """Run the network.

        Args:
            color: RGB image with shape (H, W, 3).

        Returns:
            Results for one image by name with shape (1, ...), and the px of the input per px of the image. The image
            lies in the top left corner of the input, the rest is black.
        """
        height, width = color.shape[:2]
        size = fitting_size(height, width, self._sizes)
        scale = min(size[0] / height, size[1] / width)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.zeros((1, *size, 3), np.uint8)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image[0, : inner[1], : inner[0]] = cv2.resize(color, inner, interpolation=method)
        return self._network(size)(image), scale

    def _network(self, size: tuple[int, int]) -> Network:
        if size not in self._networks:
            self._networks[size] = self._load(size)
        return self._networks[size]


class WholeImageNetwork(FittedNetwork):
    """A network of the catalogue with inputs of equal longer sides.

    Args:
        name: Name in the catalogue.
        device: auto, cuda or cpu.
        long_side: The longer side of the input, px.
        multiple: The sides of the input are multiples of this plus the remainder.
        remainder: See `multiple`.
        outputs: Results wanted; None for all.
    """

    def __init__(
        self,
        name: str,
        device: str,
        long_side: int,
        multiple: int,
        remainder: int = 0,
        outputs: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            input_sizes(long_side, multiple, remainder),
            lambda size: load_network(name, device, input_size=size, outputs=outputs),
        )


def input_sizes(long_side: int, multiple: int, remainder: int = 0) -> tuple[tuple[int, int], ...]:
    """Return the inputs (height, width) into which images are fitted.

    Landscape in 4:3 and 16:9 first, as most cameras send it, then portrait, and square for everything else.

    Args:
        long_side: The longer side, px; fits `multiple` and `remainder`.
        multiple: The sides are multiples of this plus the remainder.
        remainder: See `multiple`.
    """
    landscape = []
    for long, short in ((4, 3), (16, 9)):
        side = round(long_side * short / long)
        landscape.append((side + (remainder - side) % multiple, long_side))
    return (*landscape, *((width, height) for height, width in landscape), (long_side, long_side))


def fitting_size(height: int, width: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the input (height, width) that shows an image largest; of those that show it as large, the smallest."""
    scales = [min(size[0] / height, size[1] / width) for size in sizes]
    enough = max(scales) * (1 - _SAME_SCALE)
    fitting = [size for size, scale in zip(sizes, scales, strict=True) if scale >= enough]
    return min(fitting, key=lambda s: s[0] * s[1])
