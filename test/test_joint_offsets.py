"""Tests for human/joint_offsets.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.human.joint_offsets import JointOffsets
from pose_perception.human.topology import BODY_33

_OFFSETS = JointOffsets(BODY_33)
# A trunk that faces the camera: x out of the chest is -z, y to the person's left is x, z to the head is -y.
_FACING = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
_AHEAD = np.tile([0.0, 0, 1], (1, len(BODY_33), 1))


def _turned(degrees: float) -> np.ndarray:
    return (Rotation.from_rotvec([0, np.deg2rad(degrees), 0]).as_matrix() @ _FACING)[None]


def _depth(name: str, degrees: float) -> float:
    return float(_OFFSETS.depths(_AHEAD, _turned(degrees))[0, BODY_33.index[name]])


def test_no_joint_centre_of_a_limb_lies_in_front_of_the_skin() -> None:
    limbs = [
        BODY_33.index[f"{s}_{j}"] for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hip", "knee")
    ]
    for degrees in range(0, 360, 15):
        depths = _OFFSETS.depths(_AHEAD, _turned(degrees))[0, limbs]
        assert (depths > 0.015).all()
        assert (depths < 0.16).all()


@pytest.mark.parametrize("joint", ["shoulder", "elbow", "hip", "knee", "ear"])
def test_left_and_right_mirror_each_other(joint: str) -> None:
    for degrees in range(0, 360, 30):
        assert _depth(f"left_{joint}", degrees) == pytest.approx(_depth(f"right_{joint}", -degrees))


def test_the_far_hip_lies_deeper_than_the_near_one() -> None:
    near, far = sorted(_depth(f"{side}_hip", 90) for side in ("left", "right"))
    assert far > near + 0.05


def test_depth_changes_smoothly_with_the_turn() -> None:
    depths = np.array([_OFFSETS.depths(_AHEAD, _turned(degrees))[0] for degrees in range(361)])
    assert np.abs(np.diff(depths, axis=0)).max() < 0.003
    assert np.allclose(depths[0], depths[-1])


def test_an_unknown_trunk_gives_the_mean() -> None:
    depths = _OFFSETS.depths(_AHEAD, np.full((1, 3, 3), np.nan))
    assert np.array_equal(depths[0], _OFFSETS.mean_depths)


def test_shoulders_move_down_the_trunk_however_it_leans() -> None:
    pixels = np.random.default_rng(0).uniform(0, 400, (1, len(BODY_33), 2))
    shoulder, hip = (BODY_33.index[f"left_{joint}"] for joint in ("shoulder", "hip"))
    moved = _OFFSETS.centered(pixels) - pixels
    trunk = pixels[0, hip] - pixels[0, shoulder]
    share = moved[0, shoulder] @ trunk / (trunk @ trunk)
    assert 0.03 < share < 0.07  # 15 to 35 mm of a trunk of half a metre
    assert np.allclose(moved[0, shoulder], share * trunk)
    assert np.allclose(moved[0, BODY_33.index["nose"]], 0)


def test_centres_do_not_depend_on_the_distance_or_place_of_a_person() -> None:
    pixels = np.random.default_rng(0).uniform(0, 400, (1, len(BODY_33), 2))
    assert np.allclose(_OFFSETS.centered(0.5 * pixels + [30, 20]), 0.5 * _OFFSETS.centered(pixels) + [30, 20])


def test_missing_joints_stay_missing_and_spoil_no_others() -> None:
    pixels = np.random.default_rng(0).uniform(0, 400, (1, len(BODY_33), 2))
    hips = [BODY_33.index[f"{side}_hip"] for side in ("left", "right")]
    pixels[0, hips] = np.nan
    pixels[0, :5] = [200, -100]  # the head is above
    moved = _OFFSETS.centered(pixels)
    assert np.array_equal(np.isnan(moved), np.isnan(pixels))
    # Without hips, shoulders still move down: a table in front of them must not lift them by centimetres.
    shoulder = BODY_33.index["left_shoulder"]
    assert moved[0, shoulder, 1] > pixels[0, shoulder, 1]


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_hips_that_are_not_seen_lie_away_from_the_head_however_the_camera_is_turned(turn_deg: int) -> None:
    pixels = np.full((1, len(BODY_33), 2), np.nan)
    points = {"nose": (0, -60), "left_shoulder": (40, 0), "right_shoulder": (-40, 0)}
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(turn_deg)]).as_matrix()[:2, :2]
    for name, point in points.items():
        pixels[0, BODY_33.index[name]] = turn @ point
    corners = _OFFSETS.trunk(pixels)[0]
    assert np.allclose(corners @ turn, [(40, 0), (-40, 0), (40, 80), (-40, 80)])


def _hidden(degrees: float) -> set[str]:
    hidden = _OFFSETS.hidden(_AHEAD, _turned(degrees))[0]
    return {name for name, is_hidden in zip(BODY_33.keypoints, hidden, strict=True) if is_hidden}


def test_far_side_and_face_are_hidden_by_the_own_body() -> None:
    assert _hidden(0) == set()
    assert {frozenset(_hidden(90)), frozenset(_hidden(-90))} == {
        frozenset((f"{side}_shoulder", f"{side}_hip")) for side in ("left", "right")
    }
    assert {"nose", "left_eye", "right_eye"} <= _hidden(180)
    assert "left_shoulder" not in _hidden(180)
    assert not _OFFSETS.hidden(_AHEAD, np.full((1, 3, 3), np.nan)).any()
