"""Tests for human/torso.py."""

import numpy as np
import pytest

from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose


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
