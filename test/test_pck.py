"""Tests for evaluation/pck.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.evaluation.pck import normalised_distances, pck, torso_diameters
from pose_perception.human.topology import COCO_17

LEFT_SHOULDER, RIGHT_HIP = COCO_17.index["left_shoulder"], COCO_17.index["right_hip"]


def person() -> np.ndarray:
    keypoints = np.random.default_rng(0).uniform(0, 100, (1, 17, 2))
    keypoints[0, LEFT_SHOULDER], keypoints[0, RIGHT_HIP] = (10, 10), (40, 50)  # 50 px apart
    return keypoints


def test_torso_reaches_from_left_shoulder_to_right_hip() -> None:
    labelled = np.ones((1, 17), bool)
    assert torso_diameters(person(), labelled)[0] == pytest.approx(50)
    labelled[0, RIGHT_HIP] = False
    assert np.isnan(torso_diameters(person(), labelled)[0])


def test_share_of_keypoints_within_a_part_of_the_torso() -> None:
    truth, every = person(), np.ones((1, 17), bool)
    found = truth.copy()
    found[0, :4, 0] += 9.9  # 0.198 of the torso
    found[0, 4:8, 0] += 10.1
    found[0, 8] = np.nan
    distances = normalised_distances(found, truth, every, every)
    assert len(distances) == 17
    assert pck(distances) == pytest.approx(12 / 17)
    assert pck(distances, 0.19) == pytest.approx(8 / 17)


def test_only_what_counts_is_counted_and_people_without_torso_are_left_out() -> None:
    truth, every = np.repeat(person(), 2, axis=0), np.ones((2, 17), bool)
    labelled, counted = every.copy(), np.zeros((2, 17), bool)
    labelled[1, LEFT_SHOULDER] = False
    counted[:, 9:12] = True
    assert len(normalised_distances(truth, truth, labelled, counted)) == 3
    assert np.isnan(pck(np.empty(0)))
