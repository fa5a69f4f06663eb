"""Tests for human/anatomy.py: keypoints that no body can have where they are."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.human.anatomy import Anatomy
from pose_perception.human.body_model import bones_of
from pose_perception.human.topology import COCO_17

CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
BONES = bones_of(COCO_17)
LENGTHS = np.array([[bone.length for bone in BONES]])
# Joints of somebody upright, from mid-hip: to their left, up, towards the camera; metres.
_JOINTS = {
    **{"nose": (0, 0.75, 0.1), "eye": (0.03, 0.78, 0.08), "ear": (0.07, 0.75, 0.0), "shoulder": (0.175, 0.5, 0)},
    **{"elbow": (0.2, 0.2, 0), "wrist": (0.21, -0.05, 0), "hip": (0.1, 0, 0), "knee": (0.1, -0.42, 0)},
    "ankle": (0.1, -0.84, 0),
}


def _person(distance_m: float, up_m: float = 0.0, **moved: tuple[float, float, float]) -> FloatArray:
    points = np.zeros((1, 17, 3))
    for name, i in COCO_17.index.items():
        side, _, part = name.partition("_")
        left, up, near = moved.get(name, _JOINTS[part or side])
        points[0, i] = (left if side == "left" else -left, -(up + up_m), distance_m - near)
    return points


def _impossible(points: FloatArray) -> set[str]:
    weight = np.where(np.isfinite(points[..., 0]), 1.0, 0.0)
    found = Anatomy(COCO_17, BONES).impossible(points, weight, LENGTHS, CAMERA)[0]
    return {name for name, i in COCO_17.index.items() if found[i]}


def _without(points: FloatArray, *names: str) -> FloatArray:
    points = points.copy()
    points[0, [COCO_17.index[name] for name in names]] = np.nan
    return points


@pytest.mark.parametrize("distance", [2.6, 4.0])
def test_a_whole_person_is_possible(distance: float) -> None:
    assert _impossible(_person(distance)) == set()


def test_a_wrist_on_somebody_else_is_impossible_and_nothing_else_is() -> None:
    assert _impossible(_person(2.6, left_wrist=(0.9, -0.05, 0))) == {"left_wrist"}


def test_a_face_on_the_chest_of_somebody_whose_head_is_outside_is_impossible() -> None:
    near = _person(1.2, up_m=0.05, nose=(0, 0.42, 0.1))
    head = {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    assert _impossible(near) >= head
    assert not _impossible(near) & {"left_shoulder", "right_shoulder", "left_hip", "right_hip"}
    # One shoulder and one hip are enough to say so.
    assert _impossible(_without(near, "left_shoulder", "right_hip")) >= head


def test_a_face_on_the_neck_of_somebody_whose_head_is_outside_is_impossible() -> None:
    # Everything fits but for the image's edge, where the shoulders nearly are.
    low = {
        f"{side}{part}": (left, up - 0.17, near)
        for side in ("left_", "right_", "")
        for part, (left, up, near) in _JOINTS.items()
        if part in (("nose",) if not side else ("eye", "ear"))
    }
    assert {"nose", "left_eye", "right_eye"} <= _impossible(_person(1.3, up_m=-0.03, **low))
    assert "nose" not in _impossible(_person(2.6, up_m=-0.03, **low))


def test_a_face_beside_the_body_is_of_somebody_else() -> None:
    assert "nose" in _impossible(_person(2.6, nose=(0.6, 0.75, 0.1)))


def test_a_bowed_head_is_possible() -> None:
    assert "nose" not in _impossible(_person(2.6, nose=(0, 0.62, 0.16)))


def test_feet_of_legs_that_leave_the_image_are_impossible() -> None:
    near = _person(1.06, right_ankle=(0.1, -0.3, -0.3))  # knees on the last rows of the image
    assert {"left_ankle", "right_ankle"} <= _impossible(near)
    assert not _impossible(near) & {"left_knee", "right_knee"}


def test_an_ankle_on_the_hip_is_impossible_without_a_knee_and_one_of_somebody_who_sits_is_not() -> None:
    on_hip = _without(_person(2.6, left_ankle=(0.1, -0.1, 0)), "left_knee")
    assert "left_ankle" in _impossible(on_hip)
    sitting = _without(_person(2.6, left_ankle=(0.1, -0.42, 0.4)), "left_knee")
    assert "left_ankle" not in _impossible(sitting)
