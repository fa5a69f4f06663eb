"""Pictures and people cut to the fixed inputs of pose networks, and the way back to the picture."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray


class CropMap(NamedTuple):
    """Where the pixels of N upright crops lie in the picture.

    Attributes:
        origin: (x, y) of the crop's top left pixel, shape (N, 2), px of the picture.
        step: Pixels of the picture per pixel of the crop, across and down, shape (N, 2).
    """

    origin: FloatArray
    step: FloatArray

    def to_picture(self, points: FloatArray) -> FloatArray:
        """Return points with shape (N, K, 2), px of the crops, in px of the picture."""
        return self.origin[:, None] + self.step[:, None] * points


def frame_people(boxes: FloatArray, size: tuple[int, int], padding: float, outer_pixels: bool) -> CropMap:
    """Return crops of one shape around boxes, with the aspect ratio of the people preserved.

    Args:
        boxes: (x0, y0, x1, y1) with shape (N, 4), px.
        size: (height, width) of the crops, px.
        padding: Size of the crop over the size of the box.
        outer_pixels: Whether the centres of the crop's outer pixels lie on the border of the padded box; if not, the
            crop's width and height in pixels span it, its top left pixel on the corner (mmpose, get_udp_warp_matrix
            and get_warp_matrix).
    """
    height, width = size
    wide, tall = (padding * (boxes[:, 2:] - boxes[:, :2])).T
    wide = np.maximum(wide, tall * width / height)
    span = np.stack([wide, wide * height / width], axis=1)
    step = span / (np.array([width, height]) - (1 if outer_pixels else 0))
    return CropMap((boxes[:, :2] + boxes[:, 2:] - span) / 2, step)


def cut_people(color: npt.NDArray[np.uint8], crops: CropMap, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Cut crops out of a picture, black outside of it, anti-aliased where they shrink by two or more.

    Args:
        color: RGB image with shape (H, W, 3).
        crops: Where they lie.
        size: (height, width) of the crops, px.

    Returns:
        Crops with shape (N, height, width, 3).
    """
    images = np.zeros((len(crops.origin), *size, 3), np.uint8)
    border = np.array(color.shape[1::-1])
    for image, origin, step in zip(images, crops.origin, crops.step, strict=True):
        # What the crop sees, and one pixel more to interpolate with.
        first = np.clip(np.floor(origin) - 1, 0, border).astype(int)
        stop = np.clip(np.ceil(origin + step * size[::-1]) + 1, 0, border).astype(int)
        if (stop <= first).any():
            continue
        region = color[first[1] : stop[1], first[0] : stop[0]]
        region, ratio = _shrink(region, int(min(step.min(), border.max())))
        start = (origin - first + 0.5) / ratio - 0.5
        matrix = np.array([[step[0] / ratio[0], 0, start[0]], [0, step[1] / ratio[1], start[1]]])
        cv2.warpAffine(
            region,
            matrix,
            size[::-1],
            dst=image,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
    return images


def letterbox(color: npt.NDArray[np.uint8], size: tuple[int, int], fill: int) -> tuple[npt.NDArray[np.uint8], CropMap]:
    """Scale a picture into the middle of a network input.

    Args:
        color: RGB image with shape (H, W, 3).
        size: (height, width) of the input, px.
        fill: Value of what it leaves open.

    Returns:
        The input with shape (1, height, width, 3), and where it lies in the picture.
    """
    picture = np.array(color.shape[1::-1])
    scale = (np.array(size[::-1]) / picture).min()
    inner = np.maximum(np.rint(picture * scale), 1).astype(int)
    left, top = (np.array(size[::-1]) - inner) // 2
    # Halving and more would skip pixels; above, networks were trained with linear interpolation.
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    image = np.full((1, *size, 3), fill, np.uint8)
    image[0, top : top + inner[1], left : left + inner[0]] = cv2.resize(color, inner.tolist(), interpolation=method)
    step = picture / inner
    return image, CropMap(((0.5 - np.array([left, top])) * step - 0.5)[None], step[None])


def _shrink(region: npt.NDArray[np.uint8], factor: int) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """Return a region shrunk by about a factor, and by exactly how much across and down."""
    before = np.array(region.shape[1::-1])
    if factor < 2:
        return region, np.ones(2)
    after = np.maximum(before // factor, 1)
    return cv2.resize(region, after.tolist(), interpolation=cv2.INTER_AREA), before / after
