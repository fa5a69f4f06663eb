"""Colours of a model, and of parts of an image, in few bins that bright and dim light have in common."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.objects.model import ObjectModel, sample_surface

_BINS = 4  # of each colour channel
_GAINS, _TINTS = (0.5, 0.65, 0.8, 1.0), (0.8, 1.0, 1.25)


class Palette(NamedTuple):
    """Colours of a model.

    Attributes:
        shares: Share of the surface in each bin, each raised to what one view can show of it, shape (bins,).
    """

    shares: npt.NDArray[np.float32]


def palette_of(model: ObjectModel) -> Palette:
    """Return the colours of a model; any colour suits one without."""
    colors = sample_surface(model.surface, 2000)[2]
    if colors is None:
        return Palette(np.ones(_BINS**3 + _BINS, np.float32))
    shares = np.zeros(_BINS**3 + _BINS, np.float32)
    # Light makes everything darker or brighter than the texture, and redder or bluer.
    for gain, red, blue in itertools.product(_GAINS, _TINTS, _TINTS):
        lit = np.uint8(np.clip(colors * 255 * gain * np.array([red, 1.0, blue]), 0, 255))
        shares = np.maximum(shares, one_hot(color_bins(lit)).mean(0))
    # One view shows about half of an object, perhaps all of what is rare on the whole.
    return Palette(np.minimum(2.5 * shares, 1))


def color_bins(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the bin of each colour (N, 3), shape (N,): of its share of red, green and blue, or of its grey."""
    values = colors.astype(np.float32)
    brightest = values.max(1)
    saturation = (brightest - values.min(1)) / np.maximum(brightest, 1)
    relative = values / np.maximum(brightest, 1)[:, None]
    cells = np.minimum((relative * _BINS).astype(np.intp), _BINS - 1)
    colored = (cells[:, 0] * _BINS + cells[:, 1]) * _BINS + cells[:, 2]
    grey = _BINS**3 + np.minimum((brightest / 256 * _BINS).astype(np.intp), _BINS - 1)
    return np.where((saturation < 0.25) | (brightest < 40), grey, colored)


def one_hot(bins: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return 1 at the bin of each of N colours and 0 elsewhere, shape (N, bins)."""
    result = np.zeros((len(bins), _BINS**3 + _BINS), np.float32)
    result[np.arange(len(bins)), bins] = 1
    return result
