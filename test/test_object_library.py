"""Tests for files and folders of models, and for `objects add`: what a user would notice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
import yaml
from PIL import Image

from pose_perception.cli import main
from pose_perception.errors import InvalidInputError
from pose_perception.objects.library import read_models
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.symmetry import STEPS

MESHES = {
    "box": trimesh.creation.box((0.12, 0.08, 0.05)),
    "can": trimesh.creation.cylinder(0.04, 0.12, sections=48),
    "cone": trimesh.creation.cone(0.04, 0.12, sections=48),
}


def _described(folder: Path, **content: object) -> Path:
    MESHES["box"].export(folder / "box.ply")
    path = folder / "box.object.yaml"
    path.write_text(yaml.safe_dump({"mesh": "box.ply", **content}), encoding="utf-8")
    return path


def _assert_same_motions(one: np.ndarray, other: np.ndarray) -> None:
    assert len(one) == len(other)
    gaps = np.abs(one[:, None] - other[None]).max((2, 3))
    assert gaps.min(1).max() < 0.05  # turns about an axis may start anywhere
    assert gaps.min(0).max() < 0.05


def test_description_says_name_scale_and_symmetries(tmp_path: Path) -> None:
    flip = np.diag([-1.0, -1, 1, 1])
    flip[0, 3] = 0.1
    path = _described(tmp_path, name="brick", mesh_scale=2.0, symmetries={"discrete": [flip.reshape(-1).tolist()]})
    (model,) = read_models([path])
    assert model.name == "brick"
    assert np.allclose(model.size, [0.24, 0.16, 0.1], atol=1e-6)
    assert np.allclose(model.symmetries.same, [np.eye(4), flip])


def test_description_without_more_than_a_mesh_is_enough(tmp_path: Path) -> None:
    (model,) = read_models([_described(tmp_path)])
    assert model.name == "box"
    assert len(model.symmetries.same) == 4


def test_told_axis_makes_a_surface_of_revolution(tmp_path: Path) -> None:
    axes = [{"point": [0, 0, 0], "direction": [0, 0, 3]}]
    (model,) = read_models([_described(tmp_path, symmetries={"axes": axes})])
    assert len(model.symmetries.same) == STEPS
    assert model.symmetries.axis is not None


@pytest.mark.parametrize(
    "content",
    [
        {"mesh": "missing.ply"},
        {"mesh": "box.ply", "colour": "red"},  # an unknown key
        {"mesh": "box.ply", "mesh_scale": "large"},
        {"mesh": "box.ply", "mesh_scale": -1},
        {"mesh": "box.ply", "symmetries": {"discrete": [[1, 0, 0]]}},
        {"mesh": "box.ply", "symmetries": {"discrete": [[2.0] * 16]}},
        {"mesh": "box.ply", "symmetries": {"axes": [{"point": [0, 0, 0]}]}},
        {"mesh": "box.ply", "symmetries": {"axes": [{"point": [0, 0, 0], "direction": [0, 0, 0]}]}},
        {"mesh": "box.ply", "symmetries": ["round"]},
        {"mesh": "box.ply", "symmetries": {"axis": []}},  # a key that would be ignored
        ["box.ply"],
        {"name": "box"},
    ],
)
def test_bad_description_is_refused(tmp_path: Path, content: object) -> None:
    path = _described(tmp_path)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"box\.object|missing|box"):
        read_models([path])


def test_damaged_description_is_refused(tmp_path: Path) -> None:
    path = _described(tmp_path)
    path.write_text("mesh: [", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_models([path])


def _bop_folder(folder: Path, info: object) -> Path:
    for number in (1, 7):
        mesh = MESHES["can"].copy()
        mesh.apply_scale(1000)
        mesh.export(folder / f"obj_{number:06d}.ply")
    (folder / "models_info.json").write_text(json.dumps({"1": {"diameter": 144.2}, "7": info}))
    return folder


def test_models_info_tells_symmetries_in_millimetres(tmp_path: Path) -> None:
    flip = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 20, 0, 0, 0, 1]
    info = {"symmetries_discrete": [flip], "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [10, 0, 0]}]}
    found, told = read_models([_bop_folder(tmp_path, info)])
    assert np.allclose(told.size, [0.08, 0.08, 0.12], atol=1e-6)
    assert found.symmetries.axis is not None
    assert np.allclose(told.symmetries.axis, [[0.01, 0, 0], [0, 0, 1]])
    assert len(told.symmetries.same) == 2 * STEPS
    # A flip about a point 10 mm up: what it moves, it moves by metres.
    assert np.isclose(np.abs(told.symmetries.same[:, 2, 3]).max(), 0.02)


@pytest.mark.parametrize(
    "info",
    [
        {"symmetries_discrete": [[1, 2]]},
        {"symmetries_discrete": 5},
        {"symmetries_continuous": [{"axis": [0, 0, 1]}]},
        {"symmetries_continuous": [{"axis": [0, 0], "offset": [0, 0, 0]}]},
        7,
    ],
)
def test_damaged_models_info_is_refused(tmp_path: Path, info: object) -> None:
    with pytest.raises(InvalidInputError):
        read_models([_bop_folder(tmp_path, info)])


def test_folder_of_meshes_is_read_with_a_scale(tmp_path: Path) -> None:
    for name, mesh in MESHES.items():
        large = mesh.copy()
        large.apply_scale(1000)
        large.export(tmp_path / f"{name}.stl")
    models = read_models([tmp_path], scale=0.001)
    assert [model.name for model in models] == ["box", "can", "cone"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="neither"):
        read_models([tmp_path / "empty"])


@pytest.mark.parametrize("name", list(MESHES))
def test_added_object_is_read_back_equal(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    MESHES[name].export(tmp_path / f"{name}.ply")
    (before,) = read_models([tmp_path / f"{name}.ply"])
    assert main(["objects", "add", str(tmp_path / f"{name}.ply"), "--folder", str(tmp_path / "known")]) == 0
    assert name in capsys.readouterr().out
    (after,) = read_models([tmp_path / "known"])
    _assert_equal(before, after)


def _assert_equal(before: ObjectModel, after: ObjectModel) -> None:
    assert after.name == before.name
    assert np.allclose(after.bounds, before.bounds, atol=1e-6)
    assert (after.symmetries.axis is None) == (before.symmetries.axis is None)
    assert len(after.symmetries.same) == len(before.symmetries.same)
    if before.symmetries.axis is None:
        _assert_same_motions(before.symmetries.same, after.symmetries.same)


def test_added_object_keeps_its_texture_and_has_a_picture(tmp_path: Path) -> None:
    folder = tmp_path / "mug"
    folder.mkdir()
    Image.fromarray(np.full((16, 16, 3), (200, 20, 20), np.uint8)).save(folder / "label.png")
    (folder / "textured.mtl").write_text("newmtl label\nmap_Kd label.png\n")
    lines = "".join(f"v {x} {y} {z}\n" for x, y, z in MESHES["box"].vertices * 1000)
    faces = "".join(f"f {a}/1 {b}/2 {c}/3\n" for a, b, c in MESHES["box"].faces + 1)
    (folder / "textured.obj").write_text(f"mtllib textured.mtl\nusemtl label\n{lines}vt 0 0\nvt 1 0\nvt 0 1\n{faces}")
    known = tmp_path / "known"
    arguments = ["objects", "add", str(folder / "textured.obj"), "--mesh-scale", "0.001", "--folder", str(known)]
    assert main(arguments) == 0
    (model,) = read_models([known])
    assert model.name == "mug"  # all files are called alike: it is the folder that names it
    assert model.surface.has_color
    assert np.allclose(model.size, [0.12, 0.08, 0.05], atol=1e-6)
    picture = cv2.imread(str(known / "mug" / "preview.png"))
    assert picture.shape == (480, 960, 3)
    red = (picture[..., 2] > 2 * picture[..., 1].astype(int) + 20) & (picture[..., 0] < 60)
    assert 0.1 < red.mean() < 0.7


def test_mesh_in_millimetres_is_refused_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = MESHES["box"].copy()
    mesh.apply_scale(1000)
    mesh.export(tmp_path / "box.stl")
    assert main(["objects", "add", str(tmp_path / "box.stl"), "--folder", str(tmp_path / "known")]) == 2
    assert "mesh_scale 0.001" in capsys.readouterr().err
    assert not (tmp_path / "known").exists()
