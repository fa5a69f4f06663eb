"""Tests for objects/search.py: what is looked for, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.errors import ConfigurationError, InvalidInputError, PosePerceptionError
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.objects.objectron import ObjectronConfig
from pose_perception.objects.search import ObjectSearch, SearchConfig
from pose_perception.recording.bop import BopScene, list_models

CUPS = ObjectronConfig(categories="cup")


def write_box(path: Path) -> Path:
    import trimesh

    trimesh.creation.box((0.1, 0.05, 0.08)).export(path)
    return path


def search(config: SearchConfig, **options: object) -> ObjectSearch:
    try:
        return ObjectSearch(config, **options)
    except PosePerceptionError as error:
        pytest.skip(str(error))


def test_something_must_be_looked_for() -> None:
    with pytest.raises(ConfigurationError, match="nothing to look for"):
        ObjectSearch(SearchConfig(device="cpu", models=" , "))


def test_a_model_may_not_be_called_as_a_category(tmp_path: Path) -> None:
    path = write_box(tmp_path / "cup.ply")
    with pytest.raises(ConfigurationError, match="'cup' is a category"):
        ObjectSearch(SearchConfig(device="cpu", models=str(path), objectron=CUPS))


def test_meshes_that_are_missing_or_in_millimetres_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.ply"):
        ObjectSearch(SearchConfig(device="cpu", models=str(tmp_path / "none.ply")))
    path = write_box(tmp_path / "box.ply")
    with pytest.raises(InvalidInputError, match="mesh_scale"):
        ObjectSearch(SearchConfig(device="cpu", models=str(path), mesh_scale=1000.0))


def test_categories_alone_need_no_depth() -> None:
    found = search(SearchConfig(device="cpu", objectron=CUPS))
    assert not found.needs_depth
    assert found.outlines == {}
    camera = CameraIntrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)
    assert found.process(RgbdFrame(np.zeros((48, 64, 3), np.uint8), None, camera)) == []


def test_stages_are_told_and_regions_of_others_are_left_out(shared_data: Path) -> None:
    told = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        told.append(name)
        yield

    finder = search(SearchConfig(device="cpu", objectron=CUPS), stage=stage)
    scene = BopScene(shared_data / "ycbv" / "test" / "000000")
    frame, number = scene.read(1), [label.obj_id for label in scene.truth(1)].index(14)
    mask = scene.visible_mask(1, number)
    assert finder.process(frame, [ObjectRegion(mask, "something")]) == []
    assert [found.model for found in finder.process(frame, [ObjectRegion(mask)])] == ["cup"]
    assert told == ["categories", "categories"]
    assert [found.id for found in finder.reset()] == ["cup_1"]


def test_meshes_are_found_beside_categories(shared_data: Path) -> None:
    folder = shared_data / "ycbv"
    scene = BopScene(folder / "test" / "000000")
    truth = scene.truth(1)
    model = list_models(folder / "models")[truth[0].obj_id]
    finder = search(SearchConfig(device="cpu", models=str(model.path), objectron=CUPS))
    finder.warm_up()
    assert finder.needs_depth
    assert list(finder.outlines) == [model.name]
    names = {0: model.name, [label.obj_id for label in truth].index(14): "cup"}
    regions = [ObjectRegion(scene.visible_mask(1, number), name) for number, name in names.items()]
    found = {pose.model: pose for pose in finder.process(scene.read(1), regions)}
    assert found.keys() == set(names.values())
    for number, name in names.items():
        position = found[name].camera_from_object[:3, 3]
        np.testing.assert_allclose(position, truth[number].camera_from_object[:3, 3], atol=0.03)
