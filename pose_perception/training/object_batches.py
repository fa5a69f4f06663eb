"""Batches of the pose matcher's training, drawn from the newest samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pose_perception.training.object_samples import Samples

# Shares of groups of which something near hides a part, and of which a part has no depth.
_HIDDEN, _HOLES = 0.25, 0.35


class Store:
    """The newest groups; the oldest are overwritten.

    Args:
        first: What is in it at first.
        size: How many groups it holds.
    """

    def __init__(self, first: Samples, size: int) -> None:
        self._size, self._next, self._count = size, 0, 0
        self._samples = Samples(*(np.zeros((size, *value.shape[1:]), value.dtype) for value in first))
        self.add(first)

    def add(self, samples: Samples) -> None:
        """Add groups."""
        rows = (self._next + np.arange(len(samples.error))) % self._size
        for kept, new in zip(self._samples, samples, strict=True):
            kept[rows] = new
        self._next = int(rows[-1] + 1) % self._size
        self._count = min(self._count + len(rows), self._size)

    def draw(self, groups: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw different groups with their colours varied; see `to_batch`."""
        return to_batch(self._samples, rng.choice(self._count, groups, replace=False), rng)


def to_batch(samples: Samples, rows: np.ndarray, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
    """Return groups as tensors with a row for each hypothesis; a generator varies what is seen (`_vary`)."""
    values = {name: np.ascontiguousarray(getattr(samples, name)[rows]) for name in Samples._fields}
    if rng is not None:
        _vary(values["colors"], values["depths"], rng)
    tensors = {name: torch.from_numpy(value).flatten(0, 1) for name, value in values.items()}
    tensors["depths"] = tensors["depths"].float()
    return tensors


def _vary(colors: npt.NDArray[np.uint8], depths: npt.NDArray[np.float16], rng: np.random.Generator) -> None:
    """Change groups in place: scanned models have other colours than the object, and cameras have their own.

    Args:
        colors: Shape (G, 8, 64, 64, 6): of the rendering, then of the camera.
        depths: Shape (G, 8, 64, 64, 2).
        rng: Source of the changes; all hypotheses of a group change alike.
    """
    for group in range(len(colors)):
        for first in (0, 3):
            # One curve a channel: gain, gamma and offset, as exposure, white balance and baked light make them.
            gain = rng.uniform(0.6, 1.45) * np.clip(rng.normal(1, 0.1, 3), 0.7, 1.4)
            gamma = np.exp(rng.normal(0, 0.25))
            offset = rng.uniform(-0.08, 0.08)
            levels = np.arange(256)[:, None] / 255.0
            curve = np.clip(levels**gamma * gain + offset, 0, 1)
            curve[0] = 0 if first == 0 else curve[0]  # black is where a rendering shows nothing
            table = np.round(255 * curve).astype(np.uint8)
            for channel in range(3):
                part = colors[group, ..., first + channel]
                part[:] = table[part, channel]
        if rng.random() < _HIDDEN:
            rows, columns = _box(rng)
            colors[group, :, rows, columns, 3:] = rng.integers(0, 256, 3)
            depths[group, :, rows, columns, 1] = -rng.uniform(0.3, 1.5)
        if rng.random() < _HOLES:
            rows, columns = _box(rng)
            depths[group, :, rows, columns, 1] = np.nan


def _box(rng: np.random.Generator) -> tuple[slice, slice]:
    size = rng.integers(8, 36, 2)
    start = rng.integers(0, 64 - size + 1)
    return slice(start[0], start[0] + size[0]), slice(start[1], start[1] + size[1])
