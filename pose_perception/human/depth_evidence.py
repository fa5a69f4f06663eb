"""What the depth image says about each keypoint: the layer of the patch around it that belongs to the person."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

# Samples across a patch.
_GRID = 7
# A layer must hold this share of the valid samples: less is a flying pixel at an edge.
_SMALLEST_SHARE = 0.2
# And the patch must hold this many valid samples at all: one pixel alone is never believed.
_FEWEST_SAMPLES = 5


class DepthEvidence(NamedTuple):
    """Seen surface at M keypoints; NaN where the image holds no usable layer.

    Attributes:
        depth: Depth of the surface with shape (M,), metres.
        sigma: Standard deviation with shape (M,), metres.
    """

    depth: FloatArray
    sigma: FloatArray


def sample_patches(
    depth: npt.NDArray[np.float32], pixels: FloatArray, radius_px: FloatArray
) -> npt.NDArray[np.float32]:
    """Read a square grid of samples around each pixel.

    Args:
        depth: Depth image with shape (H, W), metres; NaN or 0 where unknown.
        pixels: Patch centres with shape (M, 2), px; NaN gives no samples.
        radius_px: Half the side of each patch with shape (M,), px.

    Returns:
        Samples with shape (M, 49), metres; NaN where unknown or outside of the image.
    """
    steps = np.linspace(-1.0, 1.0, _GRID)
    offsets = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return _read(depth, pixels[:, None, :] + offsets * radius_px[:, None, None])


def median_of_finite(samples: FloatArray) -> FloatArray:
    """Return the median of the finite values of each row (M, S) with shape (M,); NaN without one."""
    ordered = np.sort(samples, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    middle = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, middle, np.nan)


def _read(depth: npt.NDArray[np.float32], points: FloatArray) -> npt.NDArray[np.float32]:
    """Return the depth at points with shape (..., 2), px; NaN where unknown or outside of the image."""
    finite = np.isfinite(points).all(axis=-1)
    u, v = np.moveaxis(np.rint(np.where(finite[..., None], points, -1)).astype(np.int64), -1, 0)
    height, width = depth.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    values = depth[np.where(inside, v, 0), np.where(inside, u, 0)]
    return np.where(inside & (values > 0), values, np.float32(np.nan))


def choose_layer(
    samples: npt.NDArray[np.float32], expected: FloatArray, reach: FloatArray, prefer_nearest: npt.NDArray[np.bool_]
) -> DepthEvidence:
    """Choose the layer of each patch that can be the person.

    The samples of a patch are sorted and split where neighbours lie far apart. Layers beyond reach of the expected
    depth are the background, another person or a flying pixel. Of the rest, limbs take the nearest one (a limb hides
    what is behind it), the trunk takes the one closest to the expectation (an arm may hide it).

    Args:
        samples: Patches with shape (M, S), metres; NaN where unknown.
        expected: Expected depth of the surface with shape (M,), metres.
        reach: Largest distance from the expectation with shape (M,), metres.
        prefer_nearest: Which patches take the nearest layer, shape (M,).

    Returns:
        The chosen surface.
    """
    ordered = np.sort(samples, axis=1)  # NaN last
    valid = np.isfinite(ordered)
    count = valid.sum(axis=1)
    # Surfaces slope: neighbours on one surface are closer than this. Sensor noise grows with the square of the depth.
    largest_gap = 0.04 + 0.005 * np.square(np.nan_to_num(expected))
    is_new = np.diff(ordered, axis=1, prepend=ordered[:, :1]) > largest_gap[:, None]
    layer = np.where(valid, np.cumsum(is_new, axis=1), -1)
    best = DepthEvidence(np.full(len(samples), np.nan), np.full(len(samples), np.nan))
    best_cost = np.full(len(samples), np.inf)
    for number in range(int(layer.max(initial=-1)) + 1):
        members = layer == number
        share = members.sum(axis=1) / np.maximum(count, 1)
        middle, spread = _median_and_spread(ordered, members)
        distance = np.abs(middle - expected)
        usable = (count >= _FEWEST_SAMPLES) & (share >= _SMALLEST_SHARE) & (distance < reach)
        cost = np.where(usable, np.where(prefer_nearest, middle, distance), np.inf)
        take = cost < best_cost
        best_cost[take] = cost[take]
        best.depth[take], best.sigma[take] = middle[take], spread[take]
    return best


def _median_and_spread(
    ordered: npt.NDArray[np.float32], members: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return median and half the central 68 % of the members of each row, which are contiguous and sorted."""
    first = members.argmax(axis=1)
    size = members.sum(axis=1)
    rows = np.arange(len(ordered))

    def quantile(q: float) -> npt.NDArray[np.float32]:
        return ordered[rows, first + np.floor(q * np.maximum(size - 1, 0)).astype(np.int64)]

    nothing = np.where(size > 0, np.float32(0), np.float32(np.nan))
    return quantile(0.5) + nothing, 0.5 * (quantile(0.84) - quantile(0.16)) + nothing


def trunk_depth(depth: npt.NDArray[np.float32], corners: FloatArray) -> npt.NDArray[np.float64]:
    """Return the depth of the trunk of each person: the median over a grid between shoulders and hips.

    Args:
        depth: Depth image with shape (H, W), metres; NaN or 0 where unknown.
        corners: Left shoulder, right shoulder, left hip, right hip with shape (N, 4, 2), px.

    Returns:
        Depth with shape (N,), metres; NaN where less than a tenth of the grid has a depth.
    """
    across, down = np.meshgrid(np.linspace(0.15, 0.85, 9), np.linspace(0, 1, 9))
    across, down = across.ravel()[None, :, None], down.ravel()[None, :, None]
    top = corners[:, None, 0] * (1 - across) + corners[:, None, 1] * across
    bottom = corners[:, None, 2] * (1 - across) + corners[:, None, 3] * across
    samples = _read(depth, top * (1 - down) + bottom * down)
    result = np.full(len(corners), np.nan)
    enough = np.isfinite(samples).mean(axis=1) >= 0.1
    result[enough] = median_of_finite(samples[enough])
    return result
