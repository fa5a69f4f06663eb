"""Tests for recording/bop.py, recording/bop_results.py and the command `evaluate bop`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.errors import InvalidInputError
from pose_perception.recording.bop import BopScene, list_models
from pose_perception.recording.bop_results import BopResult, read_results, write_results


def _pose(x: float, z: float = 0.5) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = x, 0.01, z
    return pose


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Write a scene of two images; the first with two labels, the second with one that nobody can see."""
    folder = tmp_path / "scenes" / "000003"
    for name in ("rgb", "depth", "mask_visib"):
        (folder / name).mkdir(parents=True)
    for im_id in (4, 12):
        cv2.imwrite(str(folder / "rgb" / f"{im_id:06d}.png"), np.full((120, 160, 3), (10, 20, 30), np.uint8))
        cv2.imwrite(str(folder / "depth" / f"{im_id:06d}.png"), np.full((120, 160), 5000, np.uint16))
    mask = np.zeros((120, 160), np.uint8)
    mask[50:70, 60:100] = 255
    cv2.imwrite(str(folder / "mask_visib" / "000004_000001.png"), mask)
    camera = {"cam_K": [200.0, 0, 80, 0, 210.0, 60, 0, 0, 1], "depth_scale": 0.1}
    labels = [
        {"obj_id": number, "cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": [x, 10, 500]}
        for number, x in ((1, 0), (2, 80))
    ]
    infos = [{"visib_fract": 0.8, "px_count_visib": 700}, {"visib_fract": 0.9, "px_count_visib": 800}]
    files = {
        "scene_camera": {"4": camera, "12": camera},
        "scene_gt": {"4": labels, "12": labels[:1]},
        "scene_gt_info": {"4": infos, "12": [{"visib_fract": 0.05}]},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Write two boxes in millimetres and a third that is in no image."""
    import trimesh

    folder = tmp_path / "models"
    folder.mkdir()
    for number in (1, 2, 5):
        trimesh.creation.box((60.0, 30.0, 20.0)).export(folder / f"obj_{number:06d}.ply")
    (folder / "models_info.json").write_text(json.dumps({"2": {"diameter": 70.0}}))
    return folder


def test_a_scene_is_read_in_metres(scene: Path) -> None:
    read = BopScene(scene)
    assert (read.scene_id, read.im_ids, read.is_labelled) == (3, (4, 12), True)
    frame = read.read(4)
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth, 0.5)
    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (200, 210, 80, 60)
    assert frame.color[0, 0].tolist() == [30, 20, 10]  # RGB
    labels = read.truth(4)
    assert [label.obj_id for label in labels] == [1, 2]
    np.testing.assert_allclose(labels[1].camera_from_object, _pose(0.08))
    assert labels[1].visible_fraction == 0.9
    assert np.count_nonzero(read.visible_mask(4, 1)) == 800


def test_a_scene_needs_no_labels(scene: Path) -> None:
    (scene / "scene_gt.json").unlink()
    read = BopScene(scene)
    assert not read.is_labelled
    assert read.truth(4) == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scene_camera.json", None, "scene_camera"),
        ("scene_camera.json", "{", "scene_camera"),
        ("scene_camera.json", "[]", "scene_camera"),
        ("scene_camera.json", '{"4": 3}', "dict"),
        ("scene_camera.json", '{"4": {"cam_K": [1, 2]}}', "camera of image 4"),
        ("scene_gt.json", '{"4": [{"obj_id": 1}]}', "label 0 of image 4"),
        ("scene_gt.json", '{"4": [{"obj_id": 1, "cam_R_m2c": [1,0,0,0,1,0,0,0,9], "cam_t_m2c": [0,0,1]}]}', "rotation"),
        ("depth/000004.png", "no image", "000004"),
        ("rgb/000004.png", None, "000004"),
    ],
)
def test_damaged_scenes_are_refused(scene: Path, name: str, content: str | None, message: str) -> None:
    if content is None:
        (scene / name).unlink()
    else:
        (scene / name).write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        [(read.read(4), read.truth(4)) for read in (BopScene(scene),)]


def test_a_folder_whose_name_is_no_number_is_no_scene(scene: Path) -> None:
    with pytest.raises(InvalidInputError, match="number"):
        BopScene(scene.parent)
    with pytest.raises(InvalidInputError, match="no image 5"):
        BopScene(scene).read(5)


def test_both_layouts_of_models_are_understood(models: Path, tmp_path: Path) -> None:
    found = list_models(models)
    assert [(model.obj_id, model.name, model.scale) for model in found.values()] == [
        (number, f"obj_{number:06d}", 1e-3) for number in (1, 2, 5)
    ]
    assert found[2].info == {"diameter": 70.0}

    for name in ("zebra", "ant"):
        (tmp_path / "named" / name).mkdir(parents=True)
        (tmp_path / "named" / name / "textured.obj").touch()
    found = list_models(tmp_path / "named")
    assert [(model.obj_id, model.name, model.scale) for model in found.values()] == [(1, "ant", 1.0), (2, "zebra", 1.0)]
    with pytest.raises(InvalidInputError, match="neither"):
        list_models(tmp_path)
    with pytest.raises(InvalidInputError, match="no folder"):
        list_models(tmp_path / "nothing")


def test_results_survive_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation * np.linalg.det(rotation), (0.1, -0.2, 0.9)
    write_results(tmp_path / "r.csv", [BopResult(3, 4, 1, 0.75, pose, 1.25), BopResult(3, 12, 2, 0.5, _pose(0.1))])

    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "scene_id,im_id,obj_id,score,R,t,time"
    assert lines[2] == "3,12,2,0.5,1 0 0 0 1 0 0 0 1,100 10 500,-1"
    first, second = read_results(tmp_path / "r.csv")
    np.testing.assert_allclose(first.camera_from_object, pose, atol=1e-8)
    assert (first.scene_id, first.im_id, first.obj_id, first.score, first.time_s) == (3, 4, 1, 0.75, 1.25)
    assert second.time_s == -1


@pytest.mark.parametrize(
    "line",
    [
        "3,4,1,0.5,1 0 0 0 1 0 0 0 1",  # too short
        "3,4,1,high,1 0 0 0 1 0 0 0 1,0 0 500,-1",
        "3,4,1,nan,1 0 0 0 1 0 0 0 1,0 0 500,-1",
        "3,4,1,0.5,1 0 0 0 1 0 0 0,0 0 500,-1",
        "3,4,1,0.5,1 0 0 0 1 0 0 0 -1,0 0 500,-1",  # a reflection
        "3,4,1,0.5,2 0 0 0 2 0 0 0 2,0 0 500,-1",
        "3,4,1,0.5,1 0 0 0 1 0 0 0 1,0 0 inf,-1",
    ],
)
def test_lines_that_are_no_result_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.csv").write_text(f"scene_id,im_id,obj_id,score,R,t,time\n{line}\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        read_results(tmp_path / "r.csv")


def _evaluate(scene: Path, models: Path, results: list[BopResult], tmp_path: Path, *more: Any) -> int:
    write_results(tmp_path / "results.csv", results)
    words = ["--scene", scene, "--models", models, "--results", tmp_path / "results.csv", *more]
    return main(["evaluate", "bop", *map(str, words)])


def test_the_command_prints_recalls_and_draws(
    scene: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        BopResult(3, 4, 1, 0.9, _pose(0.002), 0.6),
        BopResult(3, 4, 2, 0.8, _pose(0.0), 0.6),  # 80 mm beside
        BopResult(3, 12, 5, 0.7, _pose(-0.05), 0.6),  # not there
        BopResult(3, 12, 2, 0.3, _pose(-0.05), 0.6),  # neither, but not sure of it
        BopResult(9, 4, 1, 0.9, _pose(0.0), 0.6),  # another scene
    ]
    assert _evaluate(scene, models, results, tmp_path, "--out", tmp_path / "out") == 0

    output = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()}
    assert rows["obj_000001"][:4] == ["1", "100.0", "100.0", "2.0"]
    assert rows["obj_000001"][-1] == "0.30"
    assert rows["obj_000002"][:3] == ["1", "0.0", "0.0"]
    assert rows["all"][:3] == ["2", "50.0", "50.0"]
    assert "absent objects above score 0.5: 1 (obj_000005 0.70 in 3/12)" in output
    assert (tmp_path / "out" / "table.txt").read_text() == output
    first = cv2.imread(str(tmp_path / "out" / "000003_000004.png"))
    assert first.shape == (120, 160, 3)
    assert (first != (10, 20, 30)).any()
    assert (cv2.imread(str(scene / "rgb" / "000004.png")) == (10, 20, 30)).all()


def test_the_command_refuses_what_it_cannot_measure(
    scene: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = BopResult(3, 4, 1, 0.9, _pose(0.0))
    assert _evaluate(scene, models, [right._replace(obj_id=77)], tmp_path) == 2
    assert "77" in capsys.readouterr().err
    assert _evaluate(scene, models, [right._replace(scene_id=5)], tmp_path) == 2
    assert "no result" in capsys.readouterr().err
    assert _evaluate(scene, models, [], tmp_path) == 0  # nothing found is a result
    assert "0.0" in capsys.readouterr().out
    (models / "obj_000002.ply").unlink()
    assert _evaluate(scene, models, [right], tmp_path) == 2
    assert "object 2" in capsys.readouterr().err
    (scene / "scene_gt.json").unlink()
    assert _evaluate(scene, models, [right], tmp_path) == 2
    assert "scene_gt.json" in capsys.readouterr().err


def test_true_poses_of_real_frames_are_perfect(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ycbv"
    scene = BopScene(folder / "test" / "000001")
    results = [
        BopResult(1, im_id, label.obj_id, 1.0, label.camera_from_object)
        for im_id in scene.im_ids
        for label in scene.truth(im_id)
    ]
    assert _evaluate(scene.path, folder / "models", results, tmp_path, "--out", tmp_path) == 0
    row = (tmp_path / "table.txt").read_text().splitlines()[-2].split()
    assert row == ["all", "20", "100.0", "100.0", "0.0", "100.0", "100.0", "100.0", "100.0", "-"]
