"""Tests for human/estimators/deeppose.py: simulated people whom the networks never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save

from pose_perception.datatypes import PoseEstimates
from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.evaluation.pck import normalised_distances, pck, torso_diameters
from pose_perception.human.estimators.deeppose import DeepPoseEstimator, joint_boxes, torso_sizes
from pose_perception.human.topology import COCO_17
from pose_perception.networks.architectures.deeppose import STAGES, build_network, make_stage
from pose_perception.training.backgrounds import Backgrounds
from pose_perception.training.deeppose import train
from pose_perception.training.pictures import TrainingPicture, draw_pictures, split_folder

NOBODY = np.empty((0, 4))
WHOLE = 11  # visible keypoints of somebody who is not mostly hidden


@pytest.fixture(scope="module")
def stages() -> list[DeepPoseEstimator]:
    try:
        return [DeepPoseEstimator("cpu", stages=stage) for stage in (1, 2, 3)]
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def strangers() -> list[TrainingPicture]:
    """Return pictures of one to four people, of a seed that no split uses."""
    pictures = draw_pictures(np.random.default_rng((9, 9)), Backgrounds(), 24)
    return [picture for picture in pictures if len(picture.boxes)]


@pytest.fixture(scope="module")
def found(stages: list[DeepPoseEstimator], strangers: list[TrainingPicture]) -> list[list[PoseEstimates]]:
    return [[estimator.estimate(p.color, p.boxes, find=False) for p in strangers] for estimator in stages]


def distances(strangers: list[TrainingPicture], found: list[PoseEstimates]) -> np.ndarray:
    """How far visible joints of whole people are from where they are, in diameters of the torso."""
    parts = []
    for picture, people in zip(strangers, found, strict=True):
        everything = np.ones(picture.visible.shape, bool)
        counted = picture.visible & (picture.visible.sum(axis=1, keepdims=True) >= WHOLE)
        parts.append(normalised_distances(people.pixels, picture.keypoints, everything, counted))
    return np.concatenate(parts)


def test_joints_of_strangers_are_found(strangers: list[TrainingPicture], found: list[list[PoseEstimates]]) -> None:
    assert pck(distances(strangers, found[2])) > 0.8


def test_each_stage_is_better_than_the_one_before(
    strangers: list[TrainingPicture], found: list[list[PoseEstimates]]
) -> None:
    errors = [distances(strangers, people) for people in found]
    first, second, third = (pck(error, 0.1) for error in errors)
    assert first < second < third
    first, second, third = (np.median(error) for error in errors)
    assert first > second > third


def test_scores_tell_which_joints_are_right(strangers: list[TrainingPicture], found: list[list[PoseEstimates]]) -> None:
    scores, right = [], []
    for picture, people in zip(strangers, found[2], strict=True):
        size = torso_diameters(picture.keypoints, np.ones(picture.visible.shape, bool))
        wrong = np.linalg.norm(people.pixels - picture.keypoints, axis=2) / size[:, None]
        scores.append(people.scores.ravel())
        right.append((wrong < 0.2).ravel())
    score, is_right = np.concatenate(scores), np.concatenate(right)
    assert ((score >= 0) & (score <= 1)).all()
    assert is_right[score > 0.8].mean() > is_right[score < 0.5].mean() + 0.2


def test_whole_people_of_a_picture_are_found_without_boxes(
    stages: list[DeepPoseEstimator], strangers: list[TrainingPicture]
) -> None:
    complete = []
    for picture in strangers:
        is_whole = picture.visible.sum(axis=1) >= WHOLE
        if is_whole.any():
            people = stages[2].estimate(picture.color, NOBODY, find=True)
            size = torso_diameters(picture.keypoints, np.ones(picture.visible.shape, bool))
            wrong = np.linalg.norm(people.pixels[:, None] - picture.keypoints, axis=-1) / size[:, None]
            typical = np.nanmedian(np.where(picture.visible, wrong, np.nan)[:, is_whole], axis=2)  # (found, true)
            complete.append((typical.min(axis=0, initial=np.inf) < 0.2).all())
    assert len(complete) >= 12
    assert np.mean(complete) >= 0.8


def test_training_without_what_it_needs_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path))
    # Of a complete shard the labels are written last.
    for split, command in (("train", "--split train"), ("validation", "--split validation"), (None, "--stage 1")):
        with pytest.raises(ConfigurationError, match=f"python -m pose_perception.training.* {command}"):
            train(1, rounds=1, seed=0, real=[])
        if split is not None:
            shard = split_folder(split) / "00000"
            shard.mkdir(parents=True)
            (shard / "labels.npz").touch()


def test_weights_that_do_not_fit_are_refused_in_one_line() -> None:
    weights = make_stage(STAGES[1]).state_dict()
    weights = {f"{STAGES[1]}.{name}": value for name, value in weights.items() if name != "joints.weight"}
    with pytest.raises(WeightsError, match=r"^.*stage_2.*joints\.weight.*$") as error:
        build_network([b"", b"", save(weights)], (96, 96), (STAGES[1],))
    assert "\n" not in str(error.value)


def test_nobody_gives_nobody(stages: list[DeepPoseEstimator]) -> None:
    for estimator in stages:
        people = estimator.estimate(np.zeros((48, 64, 3), np.uint8), NOBODY, find=False)
        assert people.pixels.shape == (0, 17, 2)
        assert people.scores.shape == (0, 17)


def test_same_picture_same_people(stages: list[DeepPoseEstimator], strangers: list[TrainingPicture]) -> None:
    first, second = (stages[2].estimate(strangers[0].color, strangers[0].boxes, find=False) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_windows_follow_the_torso_within_bounds() -> None:
    pixels = np.zeros((3, 17, 2))
    for person, length in enumerate((30, 1, 500)):
        pixels[person, COCO_17.index["left_shoulder"]] = (0, length)
    np.testing.assert_allclose(torso_sizes(pixels, np.full(3, 100)), [30, 20, 80])
    boxes = joint_boxes(np.array([[50.0, 60.0]]), np.array([20.0]), 2)
    np.testing.assert_allclose(boxes, [[38, 48, 62, 72]])
