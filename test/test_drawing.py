"""Tests for human/drawing.py; the drawing of skeletons is tested with the messages."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import PoseEstimates
from pose_perception.human.drawing import draw_poses
from pose_perception.human.topology import COCO_17


def _two_people() -> PoseEstimates:
    pixels = np.random.default_rng(0).uniform([20, 20], [140, 220], (2, 17, 2))
    pixels[1, :, 0] += 160
    return PoseEstimates(pixels, np.full((2, 17), 0.9), np.zeros((2, 4)), np.ones(2), np.full((2, 17, 3), np.nan))


def test_each_person_has_a_colour_of_their_own() -> None:
    image = draw_poses(np.zeros((240, 320, 3), np.uint8), _two_people(), COCO_17)
    left, right = image[:, :150], image[:, 170:]
    brightest = [tuple(half.reshape(-1, 3)[half.sum(axis=2).argmax()]) for half in (left, right)]
    assert max(brightest[0]) > 0
    assert max(brightest[1]) > 0
    assert brightest[0] != brightest[1]


def test_what_is_not_known_or_far_outside_is_not_drawn() -> None:
    people = _two_people().select([0])
    people.pixels[0, 5:] = np.nan
    people.scores[0, 2:5] = 0.1
    people.pixels[0, 0] = [1e30, -1e30]
    image = draw_poses(np.zeros((240, 320, 3), np.uint8), people, COCO_17)
    x, y = people.pixels[0, 1].round().astype(int)
    assert image[y, x].any()
    assert not image[:, 200:].any()
    assert not draw_poses(np.zeros((240, 320, 3), np.uint8), people.select([]), COCO_17).any()
