"""Tests for human/sightings.py and human/appearance.py on painted people before a wall."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, PoseEstimates, RgbdFrame
from pose_perception.human.appearance import difference
from pose_perception.human.sightings import Sightings, look_at
from pose_perception.human.topology import COCO_17

_CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
_RED, _BLUE, _GREY = (150, 60, 50), (50, 70, 150), (128, 128, 128)
_PERSON_M, _WALL_M = 2.0, 4.0
# Shoulders, hips and knees of someone in the middle of the image, px.
_JOINTS = {"shoulder": (50, 120), "hip": (35, 260), "knee": (35, 380)}


def _frame(shirt: tuple[int, int, int], *, light: float = 1.0, depth: bool = True) -> RgbdFrame:
    color = np.full((480, 640, 3), _GREY, np.float64)
    color[100:460, 250:390] = (60, 60, 90)
    color[100:260, 250:390] = shirt
    color += np.random.default_rng(1).normal(0, 5, color.shape)
    distance = np.full((480, 640), _WALL_M, np.float32)
    distance[100:460, 250:390] = _PERSON_M
    return RgbdFrame(np.clip(color * light, 0, 255).astype(np.uint8), distance if depth else None, _CAMERA)


def _estimates(**scores: float) -> PoseEstimates:
    pixels, confidence = np.full((1, 17, 2), np.nan), np.zeros((1, 17))
    for name, i in COCO_17.index.items():
        side, _, part = name.partition("_")
        if part in _JOINTS:
            x, y = _JOINTS[part]
            pixels[0, i], confidence[0, i] = (320 + (x if side == "left" else -x), y), scores.get(part, 0.9)
    return PoseEstimates.without_world(pixels, confidence, np.array([[250.0, 60, 390, 460]]), np.array([0.8]))


def _look(frame: RgbdFrame, **scores: float) -> Sightings:
    return look_at(frame, _estimates(**scores), COCO_17, 0.25)


def _difference(first: Sightings, second: Sightings) -> float:
    return float(difference(first.majority.appearances[0, 0], second.majority.appearances[0, 0]))


def _cover(frame: RgbdFrame, columns: slice, color: tuple[int, int, int], distance_m: float) -> RgbdFrame:
    """Put somebody else's arm before the trunk."""
    frame.color[100:260, columns] = color
    frame.depth[100:260, columns] = distance_m
    return frame


def test_a_bare_arm_in_front_of_the_trunk_does_not_change_the_clothes() -> None:
    bare = _cover(_frame(_RED), slice(290, 310), (225, 190, 170), _PERSON_M - 0.05)
    assert _difference(_look(bare), _look(_frame(_RED))) < 0.6
    assert _difference(_look(bare), _look(_frame(_BLUE))) > 1.5


def test_the_trunk_is_where_it_is() -> None:
    sightings = _look(_frame(_RED))
    # Its middle lies in the middle of the image, half the distance from shoulders to hips above y = 190.
    assert sightings.centers[0] == pytest.approx([0.0, (190 - 239.5) / 600 * 2.1, 2.1], abs=0.03)
    assert sightings.majority.trunks[0, 0] == pytest.approx(140 / 600 * 2.1, abs=0.02)
    assert sightings.majority.clear[0, 0] == 1


def test_hips_need_not_be_seen() -> None:
    assert _look(_frame(_RED), hip=0.1, knee=0.1).centers[0, 2] == pytest.approx(2.1, abs=0.01)


def test_who_shows_no_trunk_is_nowhere() -> None:
    sightings = _look(_frame(_RED), shoulder=0.1, hip=0.1, knee=0.1)
    assert np.isnan(sightings.centers).all()
    assert np.isnan(sightings.majority.appearances).all()
    assert sightings.majority.clear[0, 0] == 0


def test_without_depth_nobody_has_a_place_but_clothes() -> None:
    sightings = _look(_frame(_RED, depth=False))
    assert np.isnan(sightings.centers).all()
    assert _difference(sightings, _look(_frame(_RED))) < 0.3


def test_clothes_are_told_apart_in_any_light() -> None:
    red = _look(_frame(_RED))
    assert _difference(red, _look(_frame(_BLUE))) > 3
    for light in (0.5, 1.4):
        assert _difference(red, _look(_frame(_RED, light=light))) < 1


def test_an_arm_in_front_of_the_trunk_does_not_count() -> None:
    covered = _look(_cover(_frame(_RED), slice(285, 305), _BLUE, 1.2))
    assert _difference(_look(_frame(_RED)), covered) < 0.5
    assert covered.centers[0, 2] == pytest.approx(2.1, abs=0.01)
    assert covered.majority.clear[0, 0] < 0.9


def test_who_is_expected_behind_somebody_is_found_there() -> None:
    covered = _look(_cover(_frame(_RED), slice(250, 326), _BLUE, 1.2))
    assert covered.centers[0, 2] == pytest.approx(1.3, abs=0.01)  # most of what is seen is of the one in front
    behind = covered.at(np.array([[2.1, 1.3, 3.5]]))
    assert behind.centers[0, :, 2] == pytest.approx([2.1, 1.3, 1.3], abs=0.01)  # nobody is at 3.5 m
    clothes = difference(behind.appearances[0], _look(_frame(_RED)).majority.appearances[0])
    assert clothes[0] < 1 < clothes[1]


def test_nobody_is_looked_at() -> None:
    nobody = look_at(_frame(_RED), _estimates().select([]), COCO_17, 0.25)
    assert len(nobody) == 0
    assert nobody.centers.shape == (0, 3)
    assert nobody.at(np.empty((0, 2))).appearances.shape[:2] == (0, 2)
