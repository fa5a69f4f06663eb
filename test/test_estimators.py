"""Tests that every estimator of the registry must pass: bad input, form of the results, and what holds for any picture.

`onnx` runs MoveNet Thunder, exported here with the results of a heatmap network.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.datatypes import PoseEstimates, RgbdFrame
from pose_perception.errors import WeightsError
from pose_perception.geometry.camera import project
from pose_perception.human.estimators.base import EstimationConfig, Estimator, find_each_once
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.human.topology import COCO_17
from pose_perception.networks import weights
from pose_perception.networks.catalogue import find_spec
from pose_perception.simulation.sequence import SimulatedSequence

COCO = len(COCO_17)
SIZE = (480, 640)
SURE = 0.3


class Named(NamedTuple):
    """An estimator of the registry."""

    name: str
    estimator: Estimator

    def find(self, color: np.ndarray) -> PoseEstimates:
        """Return everybody once, after a look at the form of the result."""
        people = find_each_once(self.estimator, color)
        check(people, self.estimator)
        return people

    def find_sure(self, color: np.ndarray) -> PoseEstimates:
        """Return those who are people beyond doubt."""
        people = self.find(color)
        return people.select(people.person_scores > SURE)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a heatmap network as a user would export it: Thunder behind the normalisation of ViTPose."""
    pytest.importorskip("onnx", reason="PyTorch needs the package onnx to export")
    import torch

    spec = find_spec("movenet_thunder")
    try:
        content = weights.find_weights(spec.name).read()
    except WeightsError as error:
        pytest.skip(str(error))
    thunder = spec.build(content, spec.input_size, {"heatmap": spec.outputs["kpt_heatmap"]})
    thunder.requires_grad_(False)

    class Exported(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            deviation, mean = torch.tensor([58.395, 57.12, 57.375]), torch.tensor([123.675, 116.28, 103.53])
            color = (images.permute(0, 2, 3, 1) * deviation + mean).round().clamp(0, 255).to(torch.uint8)
            return thunder(color)[0].permute(0, 3, 1, 2)

    path = str(tmp_path_factory.mktemp("onnx") / "thunder.onnx")
    torch.onnx.export(
        Exported().eval(),
        (torch.zeros(1, 3, *spec.input_size),),
        path,
        input_names=["images"],
        output_names=["heatmaps"],
        dynamic_axes={"images": {0: "batch"}, "heatmaps": {0: "batch"}},
        dynamo=False,
        do_constant_folding=False,
    )
    return path


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def named(request: pytest.FixtureRequest) -> Named:
    file = request.getfixturevalue("onnx_file") if request.param == "onnx" else ""
    try:
        return Named(request.param, make_estimator(request.param, "cpu", EstimationConfig(network_file=file)))
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def picture(simulated_frames: list[RgbdFrame]) -> np.ndarray:
    """Return two people, facing the camera, side by side."""
    return simulated_frames[0].color


def check(people: PoseEstimates, estimator: Estimator) -> None:
    """Compare with what `PoseEstimates` documents."""
    assert people.scores.shape == (len(people), len(estimator.topology))
    for values in (people.pixels, people.scores, people.boxes, people.person_scores, people.world):
        assert np.issubdtype(values.dtype, np.floating)
    for scores in (people.scores, people.person_scores):
        assert np.isfinite(scores).all()
        assert ((scores >= 0) & (scores <= 1)).all()
    assert np.isfinite(people.boxes).all()
    assert (people.boxes[:, 2:] >= people.boxes[:, :2]).all()
    known = np.isfinite(people.pixels).all(axis=2)
    assert (people.scores[~known] == 0).all()
    assert (np.isfinite(people.world).all(axis=2) | np.isnan(people.world).all(axis=2)).all()


def truth(simulated: SimulatedSequence, frame: int) -> np.ndarray:
    """Return COCO's keypoints of both people with shape (2, 17, 2), px."""
    order = [simulated.keypoint_names.index(name) for name in COCO_17.keypoints]
    return project(simulated.positions[frame].astype(float), simulated.camera)[:, order]


def errors(people: PoseEstimates, true: np.ndarray) -> np.ndarray:
    """Return the median distance of the known joints of each person found from each true one, (N, M), px."""
    distance = np.linalg.norm(people.pixels[:, None, :COCO] - true[None], axis=3)
    return np.nanmedian(distance, axis=2) if len(people) else np.empty((0, len(true)))


def cut(simulated: SimulatedSequence, frame: int, person: int, margin: int) -> tuple[np.ndarray, np.ndarray, slice]:
    """Return the picture of one person, their keypoints in it, and where it was."""
    true = truth(simulated, frame)[person]
    low = np.maximum(np.floor(true.min(axis=0) - [margin, margin + 20]).astype(int), 0)
    high = np.minimum(np.ceil(true.max(axis=0) + margin).astype(int), SIZE[::-1])
    where = np.s_[low[1] : high[1], low[0] : high[0]]
    return np.array(simulated.color[frame][where]), true - low, where


@pytest.mark.parametrize("kind", ["noise", "black", "white", "16x16", "strip", "one pixel"])
def test_pictures_with_nobody_have_nobody(named: Named, picture: np.ndarray, kind: str) -> None:
    color = {
        "noise": np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "black": np.zeros((*SIZE, 3), np.uint8),
        "white": np.full((*SIZE, 3), 255, np.uint8),
        "16x16": picture[200:216, 300:316],
        "strip": picture[:1],
        "one pixel": picture[:1, :1],
    }[kind]
    assert (named.find(color).person_scores < 0.5).all()


def test_people_of_a_picture_are_found_the_same_each_time(
    named: Named, picture: np.ndarray, simulated: SimulatedSequence
) -> None:
    first = named.find(picture)
    sure = first.select(first.person_scores > SURE)
    assert len(sure) == 2
    assert (errors(sure, truth(simulated, 0)).min(axis=0) < 12).all()
    named.find(picture[:, :200])
    again = named.find(picture)
    for field in ("pixels", "scores", "boxes", "person_scores", "world"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))


def test_boxes_that_show_nothing_do_no_harm(named: Named, picture: np.ndarray) -> None:
    good = named.find_sure(picture).boxes
    bad = np.array(
        [
            [np.nan, 0, 10, 10],
            [0, 0, np.inf, 10],
            [50, 50, 50, 90],  # no area
            [90, 90, 50, 50],  # inverted
            [-90, -90, -5, -5],  # outside
            [950, 10, 990, 90],
            [-1e9, -1e9, 1e9, 1e9],
        ]
    )
    for boxes in bad:
        people = named.estimator.estimate(picture, boxes[None], find=False)
        check(people, named.estimator)
    for find in (False, True):
        people = named.estimator.estimate(picture, np.concatenate([bad, good]), find=find)
        check(people, named.estimator)
        assert (people.person_scores > SURE).sum() >= len(good)


def test_arrays_need_not_be_contiguous(named: Named, picture: np.ndarray) -> None:
    for color in (picture[:, ::-1], np.asfortranarray(picture)[::2, ::2]):
        np.testing.assert_array_equal(named.find(color).pixels, named.find(np.ascontiguousarray(color)).pixels)


def test_mirrored_people_have_their_sides_exchanged(named: Named, picture: np.ndarray) -> None:
    people, others = named.find_sure(picture), named.find_sure(np.ascontiguousarray(picture[:, ::-1]))
    assert len(people) == len(others)
    back = others.pixels[:, :COCO] * [-1, 1] + [picture.shape[1] - 1, 0]
    exchanged = errors(people, back[:, list(COCO_17.mirrored)]).min(axis=1)
    assert (exchanged < 16).all()  # of people of 400 px
    assert (exchanged < errors(people, back).min(axis=1)).all()


def test_people_twice_as_large_are_where_they_should_be(named: Named, picture: np.ndarray) -> None:
    people, larger = named.find_sure(picture), named.find_sure(cv2.resize(picture, None, fx=2, fy=2))
    assert len(people) == len(larger)
    assert (errors(people, (larger.pixels[:, :COCO] - 0.5) / 2).min(axis=1) < 5).all()


def test_large_pictures_need_bounded_memory(named: Named, picture: np.ndarray) -> None:
    small = cv2.resize(picture, (600, 400))
    huge = cv2.resize(picture, (6000, 4000))
    people = named.find_sure(small)  # loads what this shape needs
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    except OSError as error:
        pytest.skip(f"the peak of the memory cannot be measured: {error}")
    before = _memory_mb("VmRSS")
    found = named.find_sure(huge)
    assert _memory_mb("VmHWM") - before < 700  # the picture itself has 72
    assert (errors(found, (people.pixels[:, :COCO] + 0.5) * 10 - 0.5).min(axis=0) < 80).all()


def _memory_mb(name: str) -> float:
    return float(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def test_ten_people_stay_distinct(named: Named, simulated: SimulatedSequence) -> None:
    width, height = 240, 480
    color, true = np.full((2 * height, 5 * width, 3), 110, np.uint8), []
    for i in range(10):
        person, keypoints, _ = cut(simulated, 14 * i, i % 2, margin=30)
        scale = min(width / person.shape[1], height / person.shape[0])
        person = cv2.resize(person, None, fx=scale, fy=scale)
        y, x = i // 5 * height, i % 5 * width
        color[y : y + person.shape[0], x : x + person.shape[1]] = person
        true.append(keypoints * scale + [x, y])
    people = named.find_sure(color)
    near = errors(people, np.array(true))
    assert len(people) <= 11
    # One or two of those cut out are overlooked, whatever the estimator; nobody is two people or half of another.
    assert len(set(near.argmin(axis=1)[near.min(axis=1) < 25])) == len(people) >= 8


def test_somebody_behind_somebody_stays_distinct(named: Named, simulated: SimulatedSequence) -> None:
    if named.name == "onnx":
        pytest.skip("who counts in a crop with two people is a matter of the user's network; this one has no say in it")
    color, true = _one_behind_the_other(simulated, 115)
    people = named.find(color)
    people = people.select(people.person_scores > 0.2)
    near = errors(people, true)
    assert len(people) == 2
    assert sorted(near.argmin(axis=1)) == [0, 1]
    assert (near.min(axis=0) < 15).all()


def _one_behind_the_other(simulated: SimulatedSequence, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Put the nearer person, cut out by depth, in front of the other, their middles so many px apart."""
    color = np.full((*SIZE, 3), 110, np.uint8)
    back, back_points, _ = cut(simulated, 0, 1, margin=60)
    y, x = SIZE[0] - back.shape[0], 150
    color[y:, x : x + back.shape[1]] = back
    back_points += (x, y)
    front, front_points, where = cut(simulated, 30, 0, margin=30)
    middle = 1000 * np.median(simulated.positions[30][0][:, 2])
    mask = np.abs(simulated.depth_mm[30][where].astype(float) - middle) < 500
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7))) > 0
    y, x = SIZE[0] - front.shape[0], int(back_points[:, 0].mean() + offset - front_points[:, 0].mean())
    color[y:, x : x + front.shape[1]][mask] = front[mask]
    return color, np.stack([front_points + np.array([x, y]), back_points])


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_altered_weights_are_refused(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = request.getfixturevalue("onnx_file") if name == "onnx" else ""
    manifest = weights.find_manifest()
    (tmp_path / "weights").symlink_to(manifest.parents[1] / "weights")  # those that come with the package
    (tmp_path / "config").mkdir()
    altered = tmp_path / "config" / "weights.yaml"
    altered.write_text(
        re.sub(
            r"sha256: ([0-9a-f]{63})([0-9a-f])", lambda m: f"sha256: {m[1]}{int(m[2], 16) ^ 1:x}", manifest.read_text()
        )
    )
    monkeypatch.setattr(weights, "find_manifest", lambda: altered)
    with pytest.raises(WeightsError, match="altered"):
        make_estimator(name, "cpu", EstimationConfig(network_file=file)).load_all()


@pytest.fixture(scope="module")
def camera_file(tmp_path_factory: pytest.TempPathFactory, simulated: SimulatedSequence) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.json"
    values = {name: getattr(simulated.camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    path.write_text(json.dumps(values))
    return path


def test_grey_and_16_bit_files_show_the_same_people(tmp_path: Path, camera_file: Path, picture: np.ndarray) -> None:
    bgr = np.ascontiguousarray(picture[..., ::-1])
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    files = {"color": bgr, "grey": grey, "color16": bgr.astype(np.uint16) * 257, "grey16": grey.astype(np.uint16) * 257}
    for name, image in files.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    out = tmp_path / "skeletons.json"
    paths = [str(tmp_path / f"{name}.png") for name in files]
    options = ("--camera", str(camera_file), "--out", str(out), "--device", "cpu", "--independent")
    assert main(["human", "--color", *paths, *options]) == 0
    frames = [frame["skeletons"] for frame in json.loads(out.read_text())["frames"]]
    assert [len(people) for people in frames] == [2, 2, 2, 2]
    noses = [sorted(person["keypoints"]["nose"]["pixel"] for person in people) for people in frames]
    np.testing.assert_allclose(noses[2], noses[0], atol=1)
    np.testing.assert_allclose(noses[3], noses[1], atol=1)
    np.testing.assert_allclose(noses[1], noses[0], atol=8)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "missing"])
def test_corrupt_files_are_refused_by_name(
    tmp_path: Path, camera_file: Path, picture: np.ndarray, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = cv2.imencode(".png", picture)[1].tobytes()
    kinds = {"cut": content[: len(content) // 2], "empty": b"", "text": b"no picture", "missing": None}
    path = tmp_path / "corrupt.png"
    if kinds[damage] is not None:
        path.write_bytes(kinds[damage])
    options = ("--camera", str(camera_file), "--out", str(tmp_path / "skeletons.json"), "--device", "cpu")
    assert main(["human", "--color", str(path), *options]) == 2
    assert "corrupt.png" in capsys.readouterr().err
    assert not (tmp_path / "skeletons.json").exists()
