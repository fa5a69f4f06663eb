"""Batches of the pose matcher's training, drawn from the newest samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pose_perception.training.object_samples import Samples


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
    """Return groups as tensors with a row for each hypothesis; a generator varies the colours of the camera."""
    values = {name: np.ascontiguousarray(getattr(samples, name)[rows]) for name in Samples._fields}
    if rng is not None:
        gains = np.clip(rng.normal(1, 0.1, (len(rows), 1, 1, 1, 3)), 0.7, 1.4) * rng.uniform(
            0.7, 1.4, (len(rows), 1, 1, 1, 1)
        )
        varied = values["colors"][..., 3:] * np.float32(gains)
        values["colors"][..., 3:] = np.minimum(varied, 255).astype(np.uint8)
    tensors = {name: torch.from_numpy(value).flatten(0, 1) for name, value in values.items()}
    tensors["depths"] = tensors["depths"].float()
    return tensors
