"""MediaPipe's hand landmarks: 21 points and their metric shape of one hand in a rotated crop.

Zhang et al., MediaPipe Hands: On-device Real-time Hand Tracking, 2020; the meaning of the tensors follows MediaPipe's
graph modules/hand_landmark and was checked on real hands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.crops import image_from_crops, rotated_crops
from pose_perception.human.hand_regions import regions_from_landmarks
from pose_perception.human.topology import HAND_21

SIZE = 224
_POINTS = 21
# The network draws hands a little too small: the larger the crop, the larger the hand that it sees in it. Over the
# network's, about the middle of the hand, from simulated people; on real hands, too, fingers end further out.
_GROWTH = 1.04
# It marks the wrist at the crease of the skin, in the palm; the joint, which the skeleton's wrist is, lies this part of
# the way to the middle knuckle further back: COCO's annotators set the wrists of 16 hands 0.06 behind it (median).
_WRIST_PART = 0.05
# It marks fingertips in the middle of the nail; the finger ends this part of its last bone further on (simulated
# people; 4 mm of flesh in front of the bone, Buryanov and Kotiuk 2010).
_TIP_PART = 0.10
_WRIST, _KNUCKLE = HAND_21.index["wrist"], HAND_21.index["middle_mcp"]
_TIPS = np.array([HAND_21.index[f"{finger}_tip"] for finger in ("thumb", "index", "middle", "ring", "pinky")])


class HandMarks(NamedTuple):
    """What the network sees in N regions.

    Attributes:
        regions: Where it looked, shape (N, 4), as for `rotated_crops`.
        around: The regions around what it found, shape (N, 4): where to look next.
        pixels: Landmarks with shape (N, 21, 2), px of the image.
        presence: Probability that a hand is there, shape (N,).
        right: Probability that it is a right hand, shape (N,). MediaPipe calls this one "left": it expects mirrored
            pictures.
        world: Shape of the hand with shape (N, 21, 3), metres around its middle, in the axes of the image with z away
            from the camera.
    """

    regions: FloatArray
    around: FloatArray
    pixels: FloatArray
    presence: FloatArray
    right: FloatArray
    world: FloatArray

    def select(self, index: npt.ArrayLike) -> HandMarks:
        """Return the hands chosen by a boolean mask or an index array."""
        index = np.asarray(index)
        return HandMarks(*(values[index] for values in self))

    def replaced(self, index: npt.NDArray[np.int64], others: HandMarks) -> HandMarks:
        """Return a copy in which other hands took the places with the given indices, shape (M,)."""
        copies = HandMarks(*(values.copy() for values in self))
        for values, new in zip(copies, others, strict=True):
            values[index] = new
        return copies


def landmarks(
    network: Callable[[npt.NDArray[np.uint8]], Mapping[str, FloatArray]],
    color: npt.NDArray[np.uint8],
    regions: FloatArray,
) -> HandMarks:
    """Run one of the networks `hand_landmarks_*` on regions of the image.

    Args:
        network: The network.
        color: RGB image with shape (H, W, 3).
        regions: As for `rotated_crops`, shape (N, 4).
    """
    return decode(network(rotated_crops(color, regions, SIZE)), regions)


def decode(outputs: Mapping[str, FloatArray], regions: FloatArray) -> HandMarks:
    """Turn the network's results on N regions into landmarks: wrists are joints, and tips the ends of fingers."""
    hands = len(regions)
    in_crop = outputs["landmarks"].reshape(hands, _POINTS, 3)[..., :2].astype(np.float64)
    affine = image_from_crops(regions, SIZE)
    pixels = np.einsum("nij,nkj->nki", affine[..., :2], in_crop) + affine[:, None, :, 2]
    world = outputs["world"].reshape(hands, _POINTS, 3).astype(np.float64)
    cos, sin = np.cos(regions[:, 3:4]), np.sin(regions[:, 3:4])
    x, y, z = np.moveaxis(world, 2, 0)
    turned = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
    middle = pixels.mean(axis=1, keepdims=True)
    pixels = middle + _GROWTH * (pixels - middle)
    around = regions_from_landmarks(pixels)
    for points in (pixels, turned):
        points[:, _WRIST] -= _WRIST_PART * (points[:, _KNUCKLE] - points[:, _WRIST])
        points[:, _TIPS] += _TIP_PART * (points[:, _TIPS] - points[:, _TIPS - 1])
    presence, right = (outputs[key].reshape(hands).astype(np.float64) for key in ("presence", "handedness"))
    return HandMarks(regions, around, pixels, presence, right, turned)


def nothing_marked(hands: int) -> HandMarks:
    """Return the marks of N hands that were not looked at."""
    nan, zero = np.full((hands, 4), np.nan), np.zeros(hands)
    return HandMarks(nan, nan, np.full((hands, _POINTS, 2), np.nan), zero, zero, np.full((hands, _POINTS, 3), np.nan))
