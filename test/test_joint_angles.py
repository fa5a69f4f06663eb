"""Tests for human/joint_angles.py against the forward kinematics of the model, link by link as its URDF says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.human.joint_angles import JOINTS, LIMITS, exceeds_limits, joint_angles, limb_frames
from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose

# Of human_description, urdf/human-tpl.xacro: joint, parent, child, origin in units of a 7.5th of the height, axis.
# `s` is 1 for the left side and -1 for the right; a joint without axis is fixed.
_TRUNK = (
    ("waist", "body", "waist", (0, 0, 0), (0, 1, 0)),
    ("torso", "waist", "torso", (0, 0, 2.75), None),
    ("r_head", "torso", "r_head", (0, 0, 0.25), (1, 0, 0)),
    ("y_head", "r_head", "y_head", (0, 0, 0), (0, 0, 1)),
    ("p_head", "y_head", "p_head", (0, 0, 0), (0, -1, 0)),
    ("head", "p_head", "head", (0.25, 0, 0.5), None),
)


def _limbs(side: str, s: int) -> tuple:
    return tuple(
        (f"{side}_{joint}", parent if parent in ("torso", "body") else f"{side}_{parent}", f"{side}_{child}", at, axis)
        for joint, parent, child, at, axis in (
            ("y_shoulder", "torso", "y_shoulder", (0, s * 0.8, 0), (0, 0, -s)),
            ("p_shoulder", "y_shoulder", "p_shoulder", (0, 0, 0), (s, 0, 0)),
            ("r_shoulder", "p_shoulder", "shoulder", (0, 0, 0), (0, 0, s)),
            ("elbow", "shoulder", "elbow", (0, 0, -1.6), (0, -1, 0)),
            ("wrist", "elbow", "wrist", (0, 0, -1), None),
            ("y_hip", "body", "y_hip", (0, s * 0.6, 0), (0, 0, -1)),
            ("p_hip", "y_hip", "p_hip", (0, 0, 0), (s, 0, 0)),
            ("r_hip", "p_hip", "hip", (0, 0, 0), (0, -1, 0)),
            ("knee", "hip", "knee", (0, 0, -1.5), (0, -1, 0)),
            ("ankle", "knee", "ankle", (0, 0, -2), None),
        )
    )


_MODEL = (*_TRUNK, *_limbs("l", 1), *_limbs("r", -1))
_SIDES = {"l": "left", "r": "right"}
_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def _forward(angles: np.ndarray, body: np.ndarray, height: float = 1.7) -> dict[str, np.ndarray]:
    """Return the pose of every link of the model with shape (4, 4)."""
    known = dict(zip(JOINTS, angles, strict=True))
    poses = {"body": body}
    for joint, parent, child, origin, axis in _MODEL:
        step = np.eye(4)
        step[:3, 3] = np.array(origin) * height / 7.5
        if axis is not None:
            step[:3, :3] = Rotation.from_rotvec(known[joint] * np.array(axis)).as_matrix()
        poses[child] = poses[parent] @ step
    return poses


def _positions(poses: dict[str, np.ndarray]) -> np.ndarray:
    """Return the joints of a posed model in COCO's order."""
    positions = np.full((17, 3), np.nan)
    for letter, side in _SIDES.items():
        for part in _PARTS:
            positions[COCO_17.index[f"{side}_{part}"]] = poses[f"{letter}_{part}"][:3, 3]
    return positions


def _somewhere(rng: np.random.Generator) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    pose[:3, 3] = rng.uniform(-3, 3, 3)
    return pose


def _random_angles(rng: np.random.Generator) -> np.ndarray:
    """Angles inside the limits and away from limbs that are straight or hang, where some have no meaning."""
    angles = rng.uniform(LIMITS[:, 0], LIMITS[:, 1])
    for name, low, high in (("p_shoulder", 0.1, 3.0), ("elbow", 0.1, 2.5), ("knee", -2.5, -0.1)):
        for side in "lr":
            angles[JOINTS.index(f"{side}_{name}")] = rng.uniform(low, high)
    return angles


def test_angles_of_the_posed_model_are_found_wherever_it_stands_and_however_it_is_turned() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        angles, body = _random_angles(rng), _somewhere(rng)
        poses = _forward(angles, body, rng.uniform(1.0, 2.0))
        found = joint_angles(_positions(poses), COCO_17, body, poses["head"])
        np.testing.assert_allclose(found, angles, atol=1e-6)
        assert not exceeds_limits(found).any()


def test_any_person_is_reproduced_by_the_model_with_their_angles() -> None:
    """Not only what the model can do: limbs of any length and direction, turned shoulders, a turned head."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        positions, body = rng.normal(size=(17, 3)), _somewhere(rng)
        head = _somewhere(rng)
        angles = joint_angles(positions, COCO_17, body, head)
        assert np.isfinite(angles).all()
        poses = _forward(angles, body)
        for letter, side in _SIDES.items():
            for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
                limb = np.diff([positions[COCO_17.index[f"{side}_{part}"]] for part in (start, end)], axis=0)[0]
                own = poses[f"{letter}_{end}"][:3, 3] - poses[f"{letter}_{start}"][:3, 3]
                np.testing.assert_allclose(own / np.linalg.norm(own), limb / np.linalg.norm(limb), atol=2e-3)
        np.testing.assert_allclose(poses["head"][:3, :3], head[:3, :3], atol=2e-3)


def test_frames_have_the_rotations_of_the_model_and_the_places_of_the_person() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        body = _somewhere(rng)
        poses = _forward(_random_angles(rng), body)
        positions = _positions(poses)
        frames = limb_frames(positions, COCO_17, body, joint_angles(positions, COCO_17, body))
        assert frames.keys() == {"torso", *(f"{side}_{part}" for side in "lr" for part in _PARTS)}
        for name, body_from_link in frames.items():
            np.testing.assert_allclose(body @ body_from_link, poses[name], atol=1e-6, err_msg=name)


def _standing() -> np.ndarray:
    """Somebody 2 m in front of the camera who faces it with hanging arms."""
    return _positions(_forward(np.zeros(len(JOINTS)), _facing()))


def _facing() -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    pose[:3, 3] = 0.0, 0.0, 2.0
    return pose


def _angles(positions: np.ndarray) -> dict[str, float]:
    return dict(zip(JOINTS, joint_angles(positions, COCO_17, torso_pose(positions, COCO_17)), strict=True))


def test_whoever_stands_straight_with_hanging_arms_has_no_angles() -> None:
    angles = joint_angles(_standing(), COCO_17, torso_pose(_standing(), COCO_17), _facing())
    np.testing.assert_allclose(angles, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        (
            {"left_elbow": (0, 0, -0.3), "left_wrist": (0, 0, -0.5)},
            {"l_p_shoulder": np.pi / 2, "l_y_shoulder": np.pi / 2},
        ),
        ({"left_elbow": (0.3, 0, 0), "left_wrist": (0.5, 0, 0)}, {"l_p_shoulder": np.pi / 2, "l_y_shoulder": 0.0}),
        ({"right_elbow": (-0.3, 0, 0), "right_wrist": (-0.5, 0, 0)}, {"r_p_shoulder": np.pi / 2, "r_y_shoulder": 0.0}),
        ({"right_elbow": (0, -0.3, 0), "right_wrist": (0, -0.5, 0)}, {"r_p_shoulder": np.pi, "r_elbow": 0.0}),
        ({"left_elbow": (0, 0.3, 0), "left_wrist": (0, 0.3, -0.2)}, {"l_p_shoulder": 0.0, "l_elbow": np.pi / 2}),
        ({"left_knee": (0, 0, -0.4), "left_ankle": (0, 0.4, -0.4)}, {"l_r_hip": np.pi / 2, "l_knee": -np.pi / 2}),
        ({"right_knee": (-0.4, 0, 0), "right_ankle": (-0.8, 0, 0)}, {"r_p_hip": np.pi / 2, "r_y_hip": 0.0}),
    ],
    ids=["arm ahead", "left arm aside", "right arm aside", "arm up", "forearm ahead", "seated", "leg aside"],
)
def test_angles_mean_what_they_say(moves: dict[str, tuple[float, ...]], expected: dict[str, float]) -> None:
    positions = _standing()
    for name, offset in moves.items():
        part = "shoulder" if name.split("_")[1] in ("elbow", "wrist") else "hip"
        start = positions[COCO_17.index[f"{name.split('_')[0]}_{part}"]]
        positions[COCO_17.index[name]] = start + np.array(offset)
    angles = _angles(positions)
    assert {name: angles[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_a_nod_and_a_glance_to_the_left_are_told_apart() -> None:
    for axis, name, amount in (((1, 0, 0), "r_head", 0.3), ((0, 0, 1), "y_head", 0.6), ((0, -1, 0), "p_head", 0.2)):
        head = _facing()
        head[:3, :3] @= Rotation.from_rotvec(amount * np.array(axis)).as_matrix()
        angles = dict(zip(JOINTS, joint_angles(_standing(), COCO_17, _facing(), head), strict=True))
        assert {angle: angles[angle] for angle in ("r_head", "y_head", "p_head")} == pytest.approx(
            {"r_head": 0.0, "y_head": 0.0, "p_head": 0.0, name: amount}, abs=1e-9
        )


def test_what_is_missing_stays_unknown_and_the_rest_known() -> None:
    positions = _standing()
    for name in ("left_wrist", "right_elbow", "left_ankle", "right_knee"):
        positions[COCO_17.index[name]] = np.nan
    angles = joint_angles(positions, COCO_17, _facing())
    unknown = {
        *("l_r_shoulder", "l_elbow", "r_y_shoulder", "r_p_shoulder", "r_r_shoulder", "r_elbow"),
        *("l_knee", "r_y_hip", "r_p_hip", "r_r_hip", "r_knee", "r_head", "y_head", "p_head"),
    }
    assert {name for name, angle in zip(JOINTS, angles, strict=True) if np.isnan(angle)} == unknown
    assert not exceeds_limits(angles).any()
    assert limb_frames(positions, COCO_17, _facing(), angles).keys() == {"torso", "l_hip"}
    assert np.isnan(joint_angles(_standing(), COCO_17, None)).all()


def test_joints_in_one_place_have_no_direction() -> None:
    positions = _standing()
    positions[COCO_17.index["left_wrist"]] = positions[COCO_17.index["left_elbow"]]
    assert np.isnan([_angles(positions)[name] for name in ("l_elbow", "l_r_shoulder")]).all()


def test_what_the_model_forbids_is_told_and_not_bent() -> None:
    positions = _standing()
    hip, knee = (positions[COCO_17.index[f"left_{part}"]] for part in ("hip", "knee"))
    knee[:] = hip + np.array([0, 0, -0.4])
    positions[COCO_17.index["left_ankle"]] = knee + np.array([0, 0.4, 0])
    angles = joint_angles(positions, COCO_17, torso_pose(positions, COCO_17))
    assert [JOINTS[i] for i in np.flatnonzero(exceeds_limits(angles))] == ["l_r_hip"]
    assert angles[JOINTS.index("l_r_hip")] == pytest.approx(np.pi / 2)
