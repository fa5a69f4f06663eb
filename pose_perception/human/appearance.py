"""What people wear, as a few colour statistics: enough to tell who came back, and cheap enough for every frame.

A description is, for the trunk and for the thighs, the median and the spread of the chromaticity and of the brightness.
Medians, because a bare arm in front of a shirt shall not count. Chromaticity does not change with the light's strength;
brightness counts relative to the whole image and weighs little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.depth_evidence import median_of_finite

PARTS = 2
"""Trunk and thighs are described apart: shirt and trousers."""
_PER_PART = 6
APPEARANCE_SIZE = PARTS * _PER_PART
"""Numbers in a description."""
# How much a number varies for the same clothes, seen from different sides and places: chromaticity (two), brightness,
# and the spreads of these. From two real people and simulated ones.
_SIGMAS = np.tile([0.020, 0.020, 0.25, 0.015, 0.015, 0.15], PARTS)
# Dark pixels have no reliable chromaticity: added to the sum of the three channels.
_DARK = 60.0
# A smaller share of the pixels describes nothing.
_SMALLEST_SHARE = 0.25
# Standard deviation over the median absolute deviation of normally distributed values.
_NORMAL_SPREAD = 1.4826
# Clothes are averaged over this many frames, of those in which little hides them.
_REMEMBERED = 30
# Every so many rows and columns tell the brightness of the image.
_STRIDE = 16


@dataclass
class Look:
    """What one person wears.

    Attributes:
        mean: Mean description, shape (APPEARANCE_SIZE,); NaN for what was never seen.
        counts: Number of descriptions in it, shape (APPEARANCE_SIZE,).
    """

    mean: FloatArray = field(default_factory=lambda: np.full(APPEARANCE_SIZE, np.nan))
    counts: FloatArray = field(default_factory=lambda: np.zeros(APPEARANCE_SIZE))

    def remember(self, description: FloatArray, is_clear: bool) -> None:
        """Take in a description (APPEARANCE_SIZE,): clothes half hidden, not `is_clear`, are better than none."""
        known = np.isfinite(description) & (is_clear | (self.counts == 0))
        self.counts = np.minimum(self.counts + known, _REMEMBERED)
        before = np.where(np.isfinite(self.mean), self.mean, description)
        self.mean = np.where(known, before + (description - before) / np.maximum(self.counts, 1), self.mean)


def brightness(color: npt.NDArray[np.uint8]) -> float:
    """Return the typical logarithmic brightness of an RGB image with shape (H, W, 3)."""
    return float(np.median(_log_brightness(color[::_STRIDE, ::_STRIDE].astype(np.float64))))


def features(colors: npt.NDArray[np.uint8], image_brightness: float) -> FloatArray:
    """Return two chromaticities and the relative logarithmic brightness of RGB pixels (..., 3), shape (..., 3)."""
    values = colors.astype(np.float64)
    red, green, blue = np.moveaxis(values, -1, 0)
    total = red + green + blue + _DARK
    relative = _log_brightness(values) - image_brightness
    return np.stack([(red - green) / total, (green - blue) / total, relative], axis=-1)


def describe(trunk: FloatArray, on_trunk: FloatArray, thighs: FloatArray, on_thighs: FloatArray) -> FloatArray:
    """Describe the clothes of N people, in M ways each.

    Args:
        trunk: Features of the pixels of each trunk with shape (N, S, 3).
        on_trunk: Which of them show the person, shape (N, M, S).
        thighs: Features of the pixels of the thighs with shape (N, R, 3).
        on_thighs: Which of them show the person, shape (N, M, R).

    Returns:
        Descriptions with shape (N, M, APPEARANCE_SIZE); NaN for a part of which too little is seen.
    """
    return np.concatenate([_statistics(trunk, on_trunk), _statistics(thighs, on_thighs)], axis=2)


def difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return how different clothes are.

    Args:
        first: Descriptions with shape (..., APPEARANCE_SIZE).
        second: Descriptions that broadcast with them.

    Returns:
        Root mean square of the differences in standard deviations of the same clothes, shape (...): about 1 for the
        same person. NaN where no part was described in both.
    """
    apart = np.square((first - second) / _SIGMAS)
    known = np.isfinite(apart)
    count = known.sum(axis=-1)
    total = np.where(known, apart, 0.0).sum(axis=-1)
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def _log_brightness(colors: FloatArray) -> FloatArray:
    return np.log(colors.sum(axis=-1) + _DARK)


def _statistics(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Return median and spread of the values (N, S, 3) that count (N, M, S), shape (N, M, 6)."""
    chosen = np.where(counts[:, :, None], np.moveaxis(values, 1, 2)[:, None], np.nan)  # (N, M, 3, S)
    middle = _median(chosen)
    spread = _NORMAL_SPREAD * _median(np.abs(chosen - middle[..., None]))
    enough = counts.mean(axis=2, keepdims=True) >= _SMALLEST_SHARE
    return np.where(enough, np.concatenate([middle, spread], axis=2), np.nan)


def _median(values: FloatArray) -> FloatArray:
    """Return the median of the finite values of (..., S), shape (...)."""
    return median_of_finite(values.reshape(-1, values.shape[-1])).reshape(values.shape[:-1])
