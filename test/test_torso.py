"""Tests for human/torso.py."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose, trunk_rotations


def _upright() -> np.ndarray:
    """Somebody 2 m away who faces the camera: their left is on the right of the image, y points down."""
    positions = np.full((17, 3), np.nan)
    for name, point in {
        "left_shoulder": (0.18, -0.5, 2.0),
        "right_shoulder": (-0.18, -0.5, 2.0),
        "left_hip": (0.1, 0.0, 2.0),
        "right_hip": (-0.1, 0.0, 2.0),
    }.items():
        positions[COCO_17.index[name]] = point
    return positions


def test_person_facing_the_camera_looks_along_minus_z_with_the_head_up() -> None:
    pose = torso_pose(_upright(), COCO_17)
    assert pose is not None
    assert np.allclose(pose[:3, 0], [0, 0, -1])  # forward, towards the camera
    assert np.allclose(pose[:3, 1], [1, 0, 0])  # their left
    assert np.allclose(pose[:3, 2], [0, -1, 0])  # head
    assert np.allclose(pose[:3, 3], [0, 0, 2])
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_pose_turns_with_the_person() -> None:
    angle = 0.7
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    before, after = torso_pose(_upright(), COCO_17), torso_pose(_upright() @ rotation.T, COCO_17)
    assert before is not None
    assert after is not None
    assert np.allclose(after[:3], rotation @ before[:3])


def test_missing_or_flat_torso_has_no_pose() -> None:
    positions = _upright()
    positions[COCO_17.index["left_hip"]] = np.nan
    assert torso_pose(positions, COCO_17) is None
    positions = _upright()
    positions[:, 0] = 0.0  # seen exactly from the side with both sides in one place
    assert torso_pose(positions, COCO_17) is None


@pytest.mark.parametrize("turn_deg", [-150, -90, -40, 0, 40, 90, 150])
def test_trunks_turn_as_their_width_tells(turn_deg: float) -> None:
    # Shoulders and hips of somebody upright who faces the camera, 2 m away: left is to the right in the image.
    corners = np.array([[0.18, -0.25, 0], [-0.18, -0.25, 0], [0.1, 0.25, 0], [-0.1, 0.25, 0]])
    turn = Rotation.from_rotvec([0, np.deg2rad(turn_deg), 0]).as_matrix()
    turned = corners @ turn.T
    flat = turned * [1, 1, 0] + [0.3, 0, 2.0]  # all at the depth of the body
    compressed = turned * [1, 1, 0.4]  # what networks make of people seen from the side
    rotation = trunk_rotations(flat[None], compressed[None], np.array([[0.36, 0.2]]))[0]
    facing = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    assert np.allclose(rotation, turn @ facing, atol=1e-6)


def test_trunk_of_which_a_corner_is_not_seen_is_not_known() -> None:
    corners = np.full((1, 4, 3), np.nan)
    assert np.isnan(trunk_rotations(corners, corners, np.array([[0.36, 0.2]]))).all()
