"""Tests for cli.py and human/cli.py: the command line as a user calls it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError
from pose_perception.human.topology import BODY_33, COCO_17


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, simulated_frames: list[RgbdFrame]) -> Path:
    """Return a folder with two frames c0.png, c1.png, d0.png, d1.png and camera.json."""
    folder = tmp_path_factory.mktemp("files")
    for i, frame in enumerate(simulated_frames[:2]):
        cv2.imwrite(str(folder / f"c{i}.png"), cv2.cvtColor(frame.color, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / f"d{i}.png"), (frame.depth * 1000).astype(np.uint16))
    camera = simulated_frames[0].camera
    values = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "camera.json").write_text(json.dumps(values))
    return folder


def _human(files: Path, out: Path, *options: str, color: tuple[str, ...] = ("c0.png", "c1.png")) -> int:
    return main(
        [
            *("human", "--color", *(str(files / name) for name in color), "--camera", str(files / "camera.json")),
            *("--out", str(out), "--device", "cpu", *options),
        ]
    )


def test_skeletons_of_a_video_in_the_documented_form(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "skeletons.json"
    assert _human(files, out, "--depth", str(files / "d0.png"), str(files / "d1.png")) == 0
    frames = json.loads(out.read_text())["frames"]
    assert [Path(frame["file"]).name for frame in frames] == ["c0.png", "c1.png"]
    assert {s["id"] for s in frames[0]["skeletons"]} == {s["id"] for s in frames[1]["skeletons"]}
    for skeleton in frames[0]["skeletons"]:
        assert set(skeleton) == {"id", "score", "keypoints"}
        assert list(skeleton["keypoints"]) == list(BODY_33.keypoints)
        for keypoint in skeleton["keypoints"].values():
            assert keypoint["state"] in ("measured", "inferred", "missing")
            assert (keypoint["position"] is None) == (keypoint["state"] == "missing")
        nose = skeleton["keypoints"]["nose"]
        assert nose["state"] == "measured"
        assert 1.0 < nose["position"][2] < 3.5


def test_without_depth_positions_are_inferred(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "skeletons.json"
    assert _human(files, out, "--independent") == 0
    first, second = json.loads(out.read_text())["frames"]
    nose = first["skeletons"][0]["keypoints"]["nose"]
    assert len(nose["pixel"]) == 2
    assert nose["state"] == "inferred"
    assert 1.0 < nose["position"][2] < 3.5
    assert {s["id"] for s in first["skeletons"]}.isdisjoint(s["id"] for s in second["skeletons"])  # each one alone


def test_estimator_is_chosen_by_name_and_brings_its_keypoints(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "skeletons.json"
    depth = ("--depth", str(files / "d0.png"), str(files / "d1.png"))
    assert _human(files, out, *depth, "--estimator", "movenet-multipose") == 0
    frames = json.loads(out.read_text())["frames"]
    assert len(frames[1]["skeletons"]) == 2  # in the first image the estimator may doubt, and doubtful people wait
    for frame in frames:
        for skeleton in frame["skeletons"]:
            assert list(skeleton["keypoints"]) == list(COCO_17.keypoints)
            assert skeleton["keypoints"]["left_hip"]["state"] == "measured"


def test_estimator_without_the_file_that_it_needs_says_which_option(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, reason in ((), "network"), (("--network-file", str(tmp_path / "none.onnx")), "none.onnx"):
        assert _human(files, tmp_path / "out.json", "--estimator", "onnx", *options) == 2
        assert reason in capsys.readouterr().err


def test_networks_are_prepared_for_the_estimators_that_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "movenet-lightning"]) == 0
    assert capsys.readouterr().out == "movenet-lightning: ready\n"
    assert main(["prepare", "alphapose"]) == 2
    assert "movenet-lightning" in capsys.readouterr().err  # it tells what there is


def test_bad_input_ends_with_code_2_and_a_reason(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    (files / "half.png").write_bytes((files / "c0.png").read_bytes()[:5000])
    cv2.imwrite(str(files / "small.png"), np.zeros((100, 100, 3), np.uint8))
    for options, color, reason in (
        ((), ("half.png",), "half.png"),  # a file that is still being written
        ((), ("small.png",), "small.png"),  # another size than the camera
        ((), ("nothing.png",), "nothing.png"),
        (("--out", str(tmp_path)), ("c0.png",), "is a folder"),
        (("--depth", str(files / "d0.png")), ("c0.png", "c1.png"), "1 depth"),
        (("--depth", str(files / "c0.png")), ("c0.png",), "16-bit"),
        (("--rate", "0"), ("c0.png",), "--rate"),
        (("--rate", "nan"), ("c0.png",), "--rate"),
        (("--rate", "1e-300"), ("c0.png",), "--rate"),
        (("--out", str(tmp_path / "no" / "folder.json")), ("c0.png",), "folder"),
    ):
        assert _human(files, out, *options, color=color) == 2
        assert reason in capsys.readouterr().err
        assert not out.exists()


def test_everyone_in_a_crowded_single_picture_is_reported(shared_data: Path, tmp_path: Path) -> None:
    picture = shared_data / "coco_keypoints" / "images" / "train2017" / "000000444294.jpg"
    height, width = cv2.imread(str(picture)).shape[:2]
    camera = {"width": width, "height": height, "fx": 600, "fy": 600, "cx": width / 2, "cy": height / 2}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    found = []
    for options in ((), ("--independent",)):
        arguments = ["human", "--color", str(picture), "--camera", str(tmp_path / "camera.json"), "--device", "cpu"]
        assert main([*arguments, "--out", str(tmp_path / "out.json"), *options]) == 0
        found.append(len(json.loads((tmp_path / "out.json").read_text())["frames"][0]["skeletons"]))
    assert found[1] > found[0]  # nobody waits for a second look


def test_warnings_are_told_without_the_code_they_come_from(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(*_: object) -> None:
        warnings.warn("the light network is used", UserWarning, stacklevel=1)
        raise ConfigurationError("this is the end")

    monkeypatch.setattr("pose_perception.human.cli.HumanPipeline", warn)
    assert _human(files, tmp_path / "out.json") == 2
    told = "pose-perception: warning: the light network is used\npose-perception: this is the end\n"
    assert capsys.readouterr().err == told
