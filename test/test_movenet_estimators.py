"""Tests for the estimators of the MoveNet and BlazePose families, and for what top-down estimators share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import PoseEstimates, RgbdFrame
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.geometry.camera import project
from pose_perception.human.estimators.base import are_new, find_each_once, join_people, keypoint_boxes, person_scores
from pose_perception.human.estimators.movenet_single import MovenetSingle
from pose_perception.human.estimators.registry import make_estimator
from pose_perception.human.topology import BODY_33, COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

FAMILIES = (
    *("movenet-multipose", "movenet-thunder", "movenet-lightning"),
    *("blazepose-lite", "blazepose-full", "blazepose-heavy"),
)
_BODY = ("shoulder", "elbow", "wrist", "hip", "knee")
_NAMES = [f"{side}_{part}" for side in ("left", "right") for part in _BODY]


def _truth(simulated: SimulatedSequence, t: int) -> np.ndarray:
    """True pixels (P, 10, 2) of the joints in `_NAMES`."""
    order = [simulated.keypoint_names.index(name) for name in _NAMES]
    return project(simulated.positions[t].astype(float)[:, order], simulated.camera)


@pytest.mark.parametrize("name", FAMILIES)
def test_everybody_is_found_once_where_they_are(
    name: str, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    estimator = make_estimator(name, "cpu")
    ours = [estimator.topology.index[n] for n in _NAMES]
    errors = []
    for t in (0, 20, 40):
        people = find_each_once(estimator, simulated_frames[t].color)
        people = people.select(people.person_scores > 0.2)
        truth = _truth(simulated, t)
        assert len(people) == len(truth)
        distance = np.linalg.norm(people.pixels[:, None, ours] - truth[None], axis=-1)  # (N, P, 10)
        owner = np.median(distance, axis=2).argmin(axis=1)
        assert sorted(owner) == list(range(len(truth)))
        errors.append(distance[np.arange(len(people)), owner])
    assert np.median(errors) < 12
    assert (estimator.topology is BODY_33) == name.startswith("blazepose")


@pytest.mark.parametrize("name", ["movenet-lightning", "blazepose-lite"])
def test_boxes_of_any_detector_are_looked_at(
    name: str, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    estimator = make_estimator(name, "cpu")
    ours = [estimator.topology.index[n] for n in _NAMES]
    truth = _truth(simulated, 0)
    everything = project(simulated.positions[0].astype(float), simulated.camera)
    boxes = keypoint_boxes(everything, np.ones(everything.shape[:2]), 0.5)
    people = estimator.estimate(simulated_frames[0].color, boxes, find=False)
    assert len(people) == len(truth)
    assert np.median(np.linalg.norm(people.pixels[:, ours] - truth, axis=-1)) < 15
    again = estimator.estimate(simulated_frames[0].color, boxes, find=True)
    assert len(again) == len(truth)  # whoever is in a box already is not found anew


@pytest.mark.parametrize(
    ("name", "least"),
    [("movenet-multipose", (0.43, 0.63)), ("movenet-thunder", (0.54, 0.75)), ("blazepose-heavy", (0.40, 0.58))],
)
def test_accuracy_on_labelled_pictures(name: str, least: tuple[float, float], shared_data: Path) -> None:
    coco, estimator = shared_data / "coco_keypoints", make_estimator(name, "cpu")
    sets = (("person_keypoints_train2017.json", "train2017"), ("person_keypoints_val2017_4.json", "val2017"))
    for (labels, images), ap in zip(sets, least, strict=True):
        figures = evaluate_coco(
            lambda color: find_each_once(estimator, color), coco / "annotations" / labels, coco / "images" / images
        )
        assert figures.ap >= ap - 0.005  # another CPU rounds otherwise


def test_a_mirrored_picture_gives_the_mirrored_person(simulated_frames: list[RgbdFrame]) -> None:
    color = simulated_frames[0].color
    width = color.shape[1]
    single = MovenetSingle("thunder", "cpu")
    people = find_each_once(make_estimator("movenet-thunder", "cpu"), color)
    boxes = people.select(people.person_scores > 0.2).boxes
    pixels, scores = single.place(color, boxes, mirror=True)
    turned = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    mirrored, mirrored_scores = single.place(np.ascontiguousarray(color[:, ::-1]), turned, mirror=True)
    back = mirrored[:, list(COCO_17.mirrored)]
    back[..., 0] = width - back[..., 0]
    sure = (scores > 0.5) & (mirrored_scores[:, list(COCO_17.mirrored)] > 0.5)
    assert sure.mean() > 0.5
    assert np.median(np.linalg.norm(back - pixels, axis=-1)[sure]) < 1.5


def test_people_that_are_known_are_not_new() -> None:
    known = np.array([[0.0, 0, 100, 200]])
    boxes = np.array([[5.0, 0, 100, 190], [80.0, 0, 180, 200]])
    assert are_new(boxes, known).tolist() == [False, True]
    found = PoseEstimates(np.zeros((2, 17, 2)), np.ones((2, 17)), boxes, np.array([0.9, 0.4]), np.zeros((2, 17, 3)))
    joined, sure = join_people(known, found)
    assert np.array_equal(joined, np.stack([known[0], boxes[1]]))
    assert np.isnan(sure[0])
    assert sure[1] == 0.4
    assert len(join_people(known, None)[0]) == 1


def test_a_doubtful_box_lowers_the_score_of_its_person() -> None:
    joints = np.full((3, 17), 0.6)
    assert person_scores(joints, np.array([0.9, 0.2, np.nan])) == pytest.approx([0.687, 0.416, 0.6], abs=1e-3)


def _one_in_front_of_the_other(simulated: SimulatedSequence, t: int, aside_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture in which the nearer person stands before the other, and the joints of both (2, 10, 2)."""
    color, depth, truth = np.array(simulated.color[t]), simulated.depth_mm[t] / 1000, _truth(simulated, t)
    everything = project(simulated.positions[t].astype(float), simulated.camera)
    distance = simulated.positions[t, :, :, 2].mean(axis=1)
    front, back = np.argsort(distance)
    rows, columns = np.indices(depth.shape)
    (left, top), (right, bottom) = everything[front].min(axis=0) - 25, everything[front].max(axis=0) + 25
    body = (abs(depth - distance[front]) < 0.45) & (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
    shift = round(everything[back, :, 0].mean() - everything[front, :, 0].mean()) + aside_px
    row, column = np.nonzero(body)
    inside = (column + shift >= 0) & (column + shift < depth.shape[1])
    picture = color.copy()
    picture[body] = 125
    picture[row[inside], column[inside] + shift] = color[row[inside], column[inside]]
    return picture, np.stack([truth[front] + (shift, 0), truth[back]])


def test_two_people_in_front_of_each_other_stay_two(simulated: SimulatedSequence) -> None:
    estimator = make_estimator("movenet-thunder", "cpu")
    ours = [COCO_17.index[name] for name in _NAMES]
    arms = [i for i, name in enumerate(_NAMES) if "shoulder" in name or "elbow" in name]
    both = 0
    for t in range(0, 150, 15):
        picture, truth = _one_in_front_of_the_other(simulated, t, 60)
        people = find_each_once(estimator, picture)
        people = people.select(people.person_scores > 0.2)
        distance = np.linalg.norm(people.pixels[None, :, ours] - truth[:, None], axis=-1)[..., arms].mean(axis=-1)
        both += (distance.min(axis=1) < 25).all()
    assert both >= 5
