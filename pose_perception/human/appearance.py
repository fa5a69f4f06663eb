"""What people wear, as a few colour statistics: enough to tell who came back, and cheap enough for every frame.

A description is, for the trunk and for the thighs, the mean and the spread of the chromaticity and of the brightness.
Chromaticity does not change with the light's strength; brightness counts relative to the whole image and weighs little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

PARTS = 2
"""Trunk and thighs are described apart: shirt and trousers."""
_PER_PART = 6
APPEARANCE_SIZE = PARTS * _PER_PART
"""Numbers in a description."""
# How much a number varies for the same clothes, seen from different sides and places: chromaticity (two), brightness,
# and the spreads of these. Measured on shared recordings and simulated people, see docs/tracking.md.
_SIGMAS = np.tile([0.020, 0.020, 0.25, 0.015, 0.015, 0.15], PARTS)
# Dark pixels have no reliable chromaticity: added to the sum of the three channels.
_DARK = 60.0
# A smaller share of the pixels describes nothing.
_SMALLEST_SHARE = 0.25
# Every so many rows and columns tell the brightness of the image.
_STRIDE = 16


def brightness(color: npt.NDArray[np.uint8]) -> float:
    """Return the typical logarithmic brightness of an RGB image with shape (H, W, 3)."""
    return float(np.median(_log_brightness(color[::_STRIDE, ::_STRIDE].astype(np.float64))))


def describe(
    trunk: FloatArray,
    trunk_counts: npt.NDArray[np.bool_],
    thighs: FloatArray,
    thighs_count: npt.NDArray[np.bool_],
    image_brightness: float,
) -> FloatArray:
    """Describe the clothes of N people.

    Args:
        trunk: RGB pixels of the trunks with shape (N, S, 3), 0 to 255.
        trunk_counts: Which of them show the person, shape (N, S).
        thighs: RGB pixels of the thighs with shape (N, R, 3).
        thighs_count: Which of them show the person, shape (N, R).
        image_brightness: From `brightness`.

    Returns:
        Descriptions with shape (N, APPEARANCE_SIZE); NaN for a part of which too little is seen.
    """
    parts = [
        _statistics(_features(colors, image_brightness), counts)
        for colors, counts in ((trunk, trunk_counts), (thighs, thighs_count))
    ]
    return np.concatenate(parts, axis=1)


def difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return how different the clothes of all pairs are.

    Args:
        first: Descriptions with shape (N, APPEARANCE_SIZE).
        second: Descriptions with shape (M, APPEARANCE_SIZE).

    Returns:
        Root mean square of the differences in standard deviations of the same clothes, shape (N, M): about 1 for the
        same person. NaN for pairs of whom no part was described in both.
    """
    apart = np.square((first[:, None] - second[None]) / _SIGMAS)
    known = np.isfinite(apart)
    count = known.sum(axis=2)
    total = np.where(known, apart, 0.0).sum(axis=2)
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def _features(colors: FloatArray, image_brightness: float) -> FloatArray:
    """Return two chromaticities and the relative logarithmic brightness of pixels (N, S, 3)."""
    red, green, blue = np.moveaxis(colors, -1, 0)
    total = red + green + blue + _DARK
    relative = _log_brightness(colors) - image_brightness
    return np.stack([(red - green) / total, (green - blue) / total, relative], axis=-1)


def _log_brightness(colors: FloatArray) -> FloatArray:
    return np.log(colors.sum(axis=-1) + _DARK)


def _statistics(features: FloatArray, counts: npt.NDArray[np.bool_]) -> FloatArray:
    """Return mean and standard deviation of the features (N, S, 3) that count, shape (N, 6); NaN if too few do."""
    number = counts.sum(axis=1)
    weight = counts[..., None] / np.maximum(number, 1)[:, None, None]
    mean = (weight * features).sum(axis=1)
    spread = np.sqrt((weight * np.square(features - mean[:, None])).sum(axis=1))
    return np.where((counts.mean(axis=1) >= _SMALLEST_SHARE)[:, None], np.concatenate([mean, spread], axis=1), np.nan)
