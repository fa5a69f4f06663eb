"""Hypotheses compared with what was seen by the trained network: how to move each, and how likely it is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.networks.runtime import Network
from pose_perception.objects.crops import Observation, crop_intrinsics, middles, moved
from pose_perception.objects.renderer import Renderer

# As `networks.architectures.pose_matcher` has them, which is only imported where torch is.
CROP_PX, CROP_RADII, FARTHEST_RADII = 64, 1.2, 2.0


class Comparison(NamedTuple):
    """What the network says of N hypotheses.

    Attributes:
        camera_from_object: The hypotheses moved as it says, shape (N, 4, 4).
        rank: Larger for the better of hypotheses about one observation, shape (N,).
        accept: Logit of being right within a tenth of the diameter, shape (N,).
    """

    camera_from_object: FloatArray
    rank: FloatArray
    accept: FloatArray


def comparison_input(
    renderer: Renderer, poses: FloatArray, center: FloatArray, radius: float, seen: Observation
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what `PoseMatcher` takes for N hypotheses: colors, depths, nearness; see there for shapes.

    Args:
        renderer: Of the model.
        poses: camera_from_object, shape (N, 4, 4).
        center: Middle of the object in its frame, shape (3,), metres.
        radius: Of the object, metres.
        seen: The image.
    """
    crop = crop_intrinsics(poses, center, radius, seen.intrinsics, CROP_RADII, CROP_PX)
    made = renderer.render(poses, crop, CROP_PX)
    colors, depths = seen.crops(crop, CROP_PX)
    both = np.concatenate([np.round(made.color * 255).astype(np.uint8), colors], axis=3)
    middle = middles(poses, center)[:, 2]
    stacked = np.stack([made.depth, depths], axis=3)
    relative = np.where(stacked > 0, (stacked - middle[:, None, None, None]) / radius, np.nan)
    return both, np.float32(relative), np.float32(radius / middle)


def compare(
    network: Network, renderer: Renderer, poses: FloatArray, center: FloatArray, radius: float, seen: Observation
) -> Comparison:
    """Compare hypotheses with an image; arguments as for `comparison_input`."""
    colors, depths, nearness = comparison_input(renderer, poses, center, radius, seen)
    results = network(pack(colors, depths, nearness))
    after = moved(poses, center, radius, seen.intrinsics, CROP_RADII, results["shift"], results["turn"])
    return Comparison(after, results["rank"][:, 0], results["accept"][:, 0])


def pack(
    colors: npt.NDArray[np.uint8], depths: npt.NDArray[np.float32], nearness: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """Return the bytes that `PackedMatcher` takes, shape (N, 64, 64, 12)."""
    inside = np.abs(depths) < FARTHEST_RADII  # False for NaN
    scaled = np.round((np.where(inside, depths, 0) + FARTHEST_RADII) * (65534 / (2 * FARTHEST_RADII))) + 1
    words = np.empty((*depths.shape[:3], 3), np.uint16)
    words[..., :2] = np.where(inside, scaled, 0)
    words[..., 2] = np.round(np.clip(nearness, 0, 3.99) * 16384)[:, None, None]
    packed = np.empty((*depths.shape[:3], 12), np.uint8)
    packed[..., :6] = colors
    packed[..., 6::2], packed[..., 7::2] = words >> 8, words & 255
    return packed
