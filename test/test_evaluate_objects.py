"""Tests for evaluation/tabletop.py and its command: figures of objects on simulated tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import painted_box

from pose_perception.cli import main
from pose_perception.objects.library import read_models
from pose_perception.simulation.tabletop.frames import Tabletop

EDGES = ((0.12, 0.08, 0.05), (0.2, 0.1, 0.03), (0.1, 0.09, 0.15))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Meshes in millimetres, one of them far from its origin."""
    folder = tmp_path_factory.mktemp("meshes")
    for index, edges in enumerate(EDGES):
        box = painted_box(edges)
        box.apply_translation([0.0, 0.0, 0.3 * index])
        box.apply_scale(1000)
        box.export(folder / f"box_{index}.ply")
    return folder


def test_tables_hold_the_models_that_are_given(folder: Path) -> None:
    models = read_models([folder], 0.001)
    table = Tabletop(5, models=models)
    assert sorted(model.name for model in table.models) == ["box_0", "box_1", "box_2"]
    shot = table.shoot()
    for thing, pose, model in zip(table.things, table.world_from_objects, table.models, strict=True):
        corners = thing.surface.vertices @ pose[:3, :3].T + pose[:3, 3]
        assert 0 <= corners[:, 2].min() < 0.002
        assert np.linalg.norm(corners.mean(0)[:2]) < 0.4
        # What stands there is like the model, and not the same.
        assert np.ptp(thing.surface.vertices, axis=0) == pytest.approx(model.size, rel=0.04)
        assert not np.array_equal(thing.surface.colors, model.surface.colors)
    # The masks show where the models are, by their poses.
    for model, pose, mask in zip(table.models, shot.poses, shot.masks, strict=True):
        if mask.sum() > 500:
            middle = pose[:3, :3] @ model.center + pose[:3, 3]
            camera = shot.frame.camera
            u, v = camera.fx * middle[0] / middle[2] + camera.cx, camera.fy * middle[1] / middle[2] + camera.cy
            rows, columns = np.nonzero(mask)
            assert np.hypot(columns.mean() - u, rows.mean() - v) < 0.5 * np.sqrt(mask.sum())


def test_command_measures_own_objects(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--models", str(folder), "--mesh-scale", "0.001", "--tables", "2", "--videos", "1", "--frames", "4"]
    assert main(["evaluate", "objects", *options, "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    with_masks = next(line for line in lines if line.strip().startswith("with masks"))
    found = re.search(r"(\d+) objects: ADD-S ([\d.]+) %", with_masks)
    assert found is not None
    assert int(found[1]) >= 4
    assert float(found[2]) >= 75
    assert any("absent, score above 0.5" in line and line.rstrip().endswith("0 of 0") for line in lines)
    assert any(line.strip().startswith("video 10000") and "of frames" in line for line in lines)


def test_meshes_in_another_unit_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "objects", "--models", str(folder), "--tables", "1"]) != 0
    assert "mesh_scale" in capsys.readouterr().err
