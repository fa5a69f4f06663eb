"""Tests for evaluation/labels.py, evaluation/coco.py and the command `evaluate coco`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.datatypes import PoseEstimates, RgbdFrame
from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.coco import evaluate_labels
from pose_perception.evaluation.labels import read_labels
from pose_perception.geometry.camera import project
from pose_perception.human.topology import COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

_PERSON = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}


def _annotation(number: int, image: int, rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    x, y = rng.uniform(0, 300, 2)
    keypoints = np.column_stack([rng.uniform(x, x + 100, 17), rng.uniform(y, y + 150, 17), np.full(17, 2)])
    return {
        **{"id": number, "image_id": image, "category_id": 1, "keypoints": keypoints.ravel().tolist()},
        **{"num_keypoints": 17, "bbox": [x, y, 100, 150], "area": 9000.0, "iscrowd": 0},
        **changes,
    }


@pytest.fixture
def content() -> dict[str, Any]:
    """Five pictures with 2 people each but the last, which has nobody; ids in no order."""
    rng = np.random.default_rng(0)
    ids = [731, 12, 99_999, 5, 400]
    images = [{"id": i, "file_name": f"{i}.png", "height": 450, "width": 400} for i in ids]
    people = [_annotation(number, ids[number % 4], rng) for number in rng.permutation(8).tolist()]
    return {"images": images, "annotations": people, "categories": [_PERSON]}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write labels with their pictures, each of a grey of its own; returns file and folder."""

    def write(content: Any) -> tuple[Path, Path]:
        folder, labels = tmp_path / "images", tmp_path / "labels.json"
        folder.mkdir(exist_ok=True)
        for grey, picture in enumerate(content.get("images", [])):
            cv2.imwrite(str(folder / picture["file_name"]), np.full((450, 400, 3), grey, np.uint8))
        labels.write_text(json.dumps(content))
        return labels, folder

    return write


def _people(annotations: list[dict[str, Any]], shift_px: float = 0.0) -> PoseEstimates:
    """What an estimator returns that knows the labels."""
    n = len(annotations)
    keypoints = np.array([note["keypoints"] for note in annotations], float).reshape(n, 17, 3)
    boxes = np.array([note["bbox"] for note in annotations], float).reshape(n, 4)
    world = np.full((n, 17, 3), np.nan)
    return PoseEstimates(keypoints[..., :2] + shift_px, np.full((n, 17), 0.9), boxes, np.full(n, 0.8), world)


def _knowing(content: dict[str, Any], shift_px: float = 0.0) -> Callable[..., PoseEstimates]:
    def find(color: np.ndarray, _: np.ndarray) -> PoseEstimates:
        picture = content["images"][int(color[0, 0, 0])]["id"]
        return _people([note for note in content["annotations"] if note["image_id"] == picture], shift_px)

    return find


def test_perfect_results_have_perfect_figures_and_worse_ones_less(content: dict[str, Any], write: Callable) -> None:
    labels = read_labels(*write(content))
    figures = evaluate_labels(_knowing(content), labels)
    assert (figures.ap, figures.ap50, figures.ap75, figures.ar) == pytest.approx((1, 1, 1, 1))
    assert figures.people == labels.people == 8
    assert figures.median_ms > 0
    shifted = evaluate_labels(_knowing(content, shift_px=6.0), labels)
    assert 0 < shifted.ap < 0.9
    content["annotations"] = content["annotations"][:4]
    assert evaluate_labels(_knowing(content), labels).ar == pytest.approx(0.5)


def test_written_results_are_read_by_pycocotools(content: dict[str, Any], write: Callable, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    labels, folder = write(content)
    people = _knowing(content)

    def find(color: np.ndarray, boxes: np.ndarray) -> PoseEstimates:
        found = people(color, boxes)
        found.pixels[:, 3] = np.nan  # an opinion on the left ear is missing
        return found

    figures = evaluate_labels(find, read_labels(labels, folder))
    (tmp_path / "results.json").write_text(json.dumps(figures.results, allow_nan=False))
    loaded = COCO(str(labels)).loadRes(str(tmp_path / "results.json"))
    assert len(loaded.getAnnIds()) == 8
    assert {note["image_id"] for note in figures.results} == {731, 12, 99_999, 5}
    assert figures.results[0]["keypoints"][9:12] == [0, 0, 0]
    assert figures.ap == pytest.approx(0.9)  # one keypoint of 17 is wrong


def test_labels_that_other_tools_write_are_completed(content: dict[str, Any], write: Callable) -> None:
    for note in content["annotations"]:
        for name in ("num_keypoints", "area", "iscrowd", "bbox"):
            del note[name]
        note["id"] = 0
    content["annotations"] += [
        {"id": 50, "image_id": 12, "category_id": 7, "bbox": [0, 0, 9, 9]},
        {"id": 51, "image_id": 12, "category_id": 3, "keypoints": [0] * 51, "bbox": [0, 0, 9, 9]},
        {"id": 52, "image_id": 12, "category_id": 3, "keypoints": [0] * 51},
    ]
    content["categories"] = [{"id": 7, "name": "dog"}, {"id": 3, "name": "person"}]
    for note in content["annotations"][:8]:
        note["category_id"] = 3
    labels = read_labels(*write(content))
    assert labels.people == 8
    complete = {**content, "annotations": [{**note, "bbox": [0, 0, 1, 1]} for note in content["annotations"][:8]]}
    assert evaluate_labels(_knowing(complete), labels).ap == pytest.approx(1)
    assert {result["category_id"] for result in evaluate_labels(_knowing(complete), labels).results} == {3}


def test_crowds_and_people_without_keypoints_are_nobody_to_find(content: dict[str, Any], write: Callable) -> None:
    rng = np.random.default_rng(1)
    hidden = _annotation(20, 400, rng, keypoints=[0] * 51, num_keypoints=0)
    crowd = _annotation(21, 400, rng, keypoints=[0] * 51, num_keypoints=0, iscrowd=1)
    content["annotations"] += [hidden, crowd]
    labels = read_labels(*write(content))
    assert labels.people == 8
    content["annotations"] = content["annotations"][:8]
    assert evaluate_labels(_knowing(content), labels).ap == pytest.approx(1)


def test_true_boxes_are_those_of_the_people_with_keypoints(content: dict[str, Any], write: Callable) -> None:
    labels = read_labels(*write(content))
    seen = []

    def find(color: np.ndarray, boxes: np.ndarray) -> PoseEstimates:
        seen.append(boxes)
        return _knowing(content)(color, boxes)

    evaluate_labels(find, labels)
    for picture in labels.pictures:
        keypoints, low, high = picture.keypoints[..., :2], picture.boxes[:, None, :2], picture.boxes[:, None, 2:]
        assert keypoints.shape == (len(picture.boxes), 17, 2)
        assert ((keypoints >= low) & (keypoints <= high)).all()
    assert [len(boxes) for boxes in seen[1:]] == [2, 2, 2, 2, 0]  # the first one twice, as its size is new
    sizes = np.concatenate(seen)[:, 2:] - np.concatenate(seen)[:, :2]
    assert np.allclose(sizes, [100, 150])


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: [], "labels.json"),
        (lambda content: _without(content, "images"), "no 'images' in it"),
        (lambda content: {**content, "annotations": []}, "labels no keypoints"),
        (lambda content: {**content, "images": []}, "labels no keypoints"),
        (lambda content: {**content, "categories": [{"id": 1, "name": "dog"}]}, "no category has keypoints"),
        (lambda content: {**content, "categories": [{**_PERSON, "keypoints": ["a"]}]}, "are not COCO's 17"),
        (
            lambda content: {**content, "annotations": [{**content["annotations"][0], "keypoints": [0, 1]}]},
            "2 numbers for keypoints",
        ),
        (
            lambda content: {**content, "annotations": [{**content["annotations"][0], "bbox": [1, 2, 3]}]},
            "3 numbers, not 4",
        ),
        (
            lambda content: {**content, "annotations": [{**content["annotations"][0], "keypoints": ["?"] * 51}]},
            "cannot read the labels",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    content: dict[str, Any], write: Callable, change: Callable, reason: str
) -> None:
    labels, folder = write(content)
    labels.write_text(json.dumps(change(content)))
    with pytest.raises(InvalidInputError, match=reason):
        read_labels(labels, folder)


def _evaluate(labels: Path, folder: Path, *options: object) -> int:
    words = ("--annotations", labels, "--images", folder, "--device", "cpu", *options)
    return main(["evaluate", "coco", *map(str, words)])


def test_command_prints_figures_and_writes_results(
    write: Callable,
    simulated: SimulatedSequence,
    simulated_frames: list[RgbdFrame],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotations = []
    pixels = project(simulated.positions[0].astype(float), simulated.camera)
    for number, person in enumerate(pixels, start=1):
        keypoints = [[*person[simulated.keypoint_names.index(name)], 2] for name in COCO_17.keypoints]
        annotations.append(
            {"id": number, "image_id": 8, "category_id": 1, "keypoints": [float(v) for k in keypoints for v in k]}
        )
    images = [{"id": 8, "file_name": "people.png"}, {"id": 9, "file_name": "nobody.png"}]
    labels, folder = write({"images": images, "annotations": annotations, "categories": [_PERSON]})
    cv2.imwrite(str(folder / "people.png"), simulated_frames[0].color[..., ::-1])
    results = tmp_path / "results.json"
    for boxes in ("found", "true"):
        assert _evaluate(labels, folder, "--results", results, "--boxes", boxes) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        printed = {words[0]: float(words[1]) for words in lines}
        assert list(printed) == ["AP", "AP50", "AP75", "AR", "time", "people"]
        assert printed["AP50"] > 0.9
        assert printed["people"] == len(json.loads(results.read_text())) == 2


def test_command_survives_that_nobody_is_found(
    content: dict[str, Any], write: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    assert _evaluate(*write(content), "--results", results) == 0
    assert json.loads(results.read_text()) == []
    assert "AP     0.000" in capsys.readouterr().out


def test_bad_input_ends_with_code_2_and_a_reason(
    content: dict[str, Any], write: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, folder = write(content)
    (folder / "5.png").unlink()
    assert _evaluate(labels, folder) == 2
    assert "1 of 5 labelled pictures" in capsys.readouterr().err
    write(content)
    (folder / "5.png").write_bytes(b"no picture")
    assert _evaluate(labels, folder) == 2
    assert "5.png" in capsys.readouterr().err
    write(content)
    assert _evaluate(labels, folder, "--results", tmp_path / "no" / "results.json") == 2
    assert "folder" in capsys.readouterr().err
    assert _evaluate(labels, folder, "--estimator", "onnx") == 2
    assert "network_file" in capsys.readouterr().err
    labels.write_text("{")
    assert _evaluate(labels, folder) == 2
    assert "labels.json" in capsys.readouterr().err
    assert _evaluate(tmp_path / "none.json", folder) == 2
    assert "none.json" in capsys.readouterr().err
