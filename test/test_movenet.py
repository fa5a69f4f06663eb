"""Tests for human/estimators/movenet.py: people whose place is known. Equality with the graphs: tensorflow importer."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_perception.errors import WeightsError
from pose_perception.human.estimators.movenet import decode_multipose, decode_single_pose
from pose_perception.networks.runtime import load_network

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_keypoints"
ROWS, COLUMNS = 40, 60


def empty_maps(names: dict[str, int], count: int = 1) -> dict[str, np.ndarray]:
    return {name: np.zeros((count, ROWS, COLUMNS, depth), np.float32) for name, depth in names.items()}


def multipose_maps(count: int = 1) -> dict[str, np.ndarray]:
    depths = {"center": 1, "box_scale": 2, "box_offset": 2, "kpt_heatmap": 17, "kpt_regress": 34, "kpt_offset": 34}
    return empty_maps(depths, count)


def put_person(maps: dict[str, np.ndarray], cell: tuple[int, int], reach: int, image: int = 0) -> np.ndarray:
    """Draw a person whose keypoints lie on a row of the map; returns their (x, y) in px."""
    row, column = cell
    columns = column - reach + np.arange(17) * 2 * reach // 16
    maps["center"][image, row, column] = 0.9
    if "box_scale" in maps:
        maps["box_scale"][image, row, column] = (4, 2 * reach + 2)
        maps["box_offset"][image, row, column] = 0.5
    for k, x in enumerate(columns):
        maps["kpt_heatmap"][image, row, x, k] = 0.8
        maps["kpt_regress"][image, row, column, 2 * k : 2 * k + 2] = (0, x - column)
        maps["kpt_offset"][image, row, x, 2 * k : 2 * k + 2] = (0.25, 0.5)
    return 4 * np.stack([columns + 0.5, np.full(17, row + 0.25)], axis=1)


def test_more_than_six_people_are_found() -> None:
    maps = multipose_maps()
    cells = [(row, column) for row in (5, 15, 25, 35) for column in (12, 30, 48)]
    expected = [put_person(maps, cell, 6) for cell in cells]
    (poses,) = decode_multipose(maps, 0.5)
    assert len(poses.scores) == 12
    for pixels in expected:
        assert np.abs(poses.pixels - pixels).max(axis=(1, 2)).min() < 1e-3
    np.testing.assert_allclose(poses.scores, 0.8, atol=1e-6)
    np.testing.assert_allclose(poses.person_scores, 0.9 * 0.8, atol=1e-6)


def test_box_is_in_pixels_x_first_and_ends_at_the_border() -> None:
    maps = multipose_maps()
    put_person(maps, (20, 30), 6)
    put_person(maps, (1, 57), 2)
    maps["box_scale"][0, 1, 57] = (10, 10)
    maps["center"][0, 1, 57] = 0.8
    (poses,) = decode_multipose(maps, 0.5)
    np.testing.assert_allclose(poses.boxes[0], 4 * np.array([23.5, 18.5, 37.5, 22.5]))
    np.testing.assert_allclose(poses.boxes[1], 4 * np.array([52.5, 0, 60, 6.5]))


def test_keypoint_of_a_neighbour_outside_of_the_box_is_not_taken() -> None:
    maps = multipose_maps()
    put_person(maps, (20, 20), 6)
    maps["kpt_heatmap"][0, 24, 20, 8] = 1.0  # stronger, near, but below the box
    (poses,) = decode_multipose(maps, 0.5)
    assert poses.pixels[0, 8, 1] == pytest.approx(4 * 20.25)


def test_person_without_area_has_no_scores() -> None:
    maps = multipose_maps()
    put_person(maps, (20, 20), 6)
    maps["box_scale"][:] = -1
    (poses,) = decode_multipose(maps, 0.5)
    assert np.isfinite(poses.pixels).all()
    assert poses.person_scores[0] == 0


def test_empty_image_gives_empty_arrays() -> None:
    (poses,) = decode_multipose(multipose_maps(), 0.1)
    assert poses.pixels.shape == (0, 17, 2)
    assert poses.scores.shape == (0, 17)
    assert poses.boxes.shape == (0, 4)


def test_images_of_a_batch_are_independent() -> None:
    maps = multipose_maps(3)
    expected = put_person(maps, (20, 20), 6, image=1)
    assert [len(poses.scores) for poses in decode_multipose(maps, 0.5)] == [0, 1, 0]
    np.testing.assert_allclose(decode_multipose(maps, 0.5)[1].pixels[0], expected)


def test_single_pose_takes_the_person_in_the_middle() -> None:
    maps = empty_maps({"center": 1, "kpt_heatmap": 17, "kpt_regress": 34, "kpt_offset": 34}, 2)
    middle = put_person(maps, (ROWS // 2, COLUMNS // 2), 8, image=0)
    put_person(maps, (3, 20), 8, image=0)
    aside = put_person(maps, (3, 20), 8, image=1)
    poses = decode_single_pose(maps)
    np.testing.assert_allclose(poses.pixels, [middle, aside])
    np.testing.assert_allclose(poses.scores, 0.8, atol=1e-6)


def test_no_crops_give_no_poses() -> None:
    maps = empty_maps({"center": 1, "kpt_heatmap": 17, "kpt_regress": 34, "kpt_offset": 34}, 0)
    assert decode_single_pose(maps).pixels.shape == (0, 17, 2)


def test_labelled_people_are_found_in_pictures() -> None:
    labels = DATA / "annotations" / "person_keypoints_val2017_4.json"
    if not labels.exists():
        pytest.skip("../shared/data/coco_keypoints is not there")
    try:
        network = load_network("movenet_multipose", "cpu", input_size=(384, 384))
    except WeightsError as error:
        pytest.skip(str(error))
    content = json.loads(labels.read_text())
    files = {file.name: file for file in DATA.rglob("*.jpg")}
    distances = []
    for image in content["images"]:
        if image["file_name"] not in files:
            continue
        scale = 384 / max(image["width"], image["height"])
        picture = cv2.imread(str(files[image["file_name"]]))[..., ::-1]
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        padded = np.zeros((1, 384, 384, 3), np.uint8)
        padded[0, : small.shape[0], : small.shape[1]] = small
        (poses,) = decode_multipose(network(padded), 0.15)
        for person in content["annotations"]:
            truth = np.array(person["keypoints"], float).reshape(17, 3)
            visible = truth[:, 2] == 2
            if person["image_id"] == image["id"] and visible.sum() >= 10:
                error = np.linalg.norm(poses.pixels / scale - truth[:, :2], axis=2)[:, visible]
                distances.append(np.median(error, axis=1).min() / np.sqrt(person["area"]))
    assert len(distances) > 0
    assert np.median(distances) < 0.05  # of the size of the person
