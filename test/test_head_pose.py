"""Tests for human/head_pose.py: heads by nose, eyes and ears of simulated and constructed people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import (
    CameraIntrinsics,
    HeadPose,
    HeadSource,
    KeypointState,
    RgbdFrame,
    Skeleton,
    TrackingState,
)
from pose_perception.human.head_pose import HeadFitter
from pose_perception.human.topology import COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

_CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
_FRAME = RgbdFrame(np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.float32), _CAMERA)
_FACE = slice(0, 5)
_SIGMA_M = 0.015
_PLACE = np.array([0.2, -0.3, 2.0])


def _skeleton(positions: np.ndarray) -> Skeleton:
    """Return a skeleton with measured joints at these positions (17, 3), NaN for the missing ones."""
    missing = np.isnan(positions).any(axis=1)
    covariances = np.tile(np.eye(3) * _SIGMA_M**2, (17, 1, 1))
    covariances[missing] = np.nan
    return Skeleton(
        id="p1",
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.array([0.0, 0.0, 100.0, 100.0]),
        pixels=np.zeros((17, 2)),
        scores=np.where(missing, 0.0, 0.9),
        positions=positions,
        covariances=covariances,
        states=np.where(missing, KeypointState.MISSING, KeypointState.MEASURED).astype(np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def _person(yaw_deg: float, trunk_yaw_deg: float = 0.0) -> tuple[Skeleton, np.ndarray]:
    """Return someone whose head and trunk are turned from the camera by these angles, and the head's rotation."""
    head = np.array(
        [[0.02, 0, -0.04], [-0.014, 0.032, 0], [-0.014, -0.032, 0], [-0.1, 0.075, -0.02], [-0.1, -0.075, -0.02]]
    )
    shoulders = np.array([[-0.13, 0.18, -0.25], [-0.13, -0.18, -0.25]])
    to_camera = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    head_turn, trunk_turn = (
        to_camera @ Rotation.from_euler("z", angle, degrees=True).as_matrix() for angle in (yaw_deg, trunk_yaw_deg)
    )
    positions = np.full((17, 3), np.nan)
    positions[_FACE] = head @ head_turn.T
    positions[5:7] = shoulders @ trunk_turn.T
    return _skeleton(positions + _PLACE), head_turn


def _fit(skeleton: Skeleton, frame: RgbdFrame = _FRAME) -> HeadPose:
    (head,) = HeadFitter(COCO_17).fit(frame, [skeleton])
    assert head is not None
    assert head.source == HeadSource.FEATURES
    return head


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(first @ second.T).magnitude()))


@pytest.mark.parametrize(("yaw_deg", "trunk_yaw_deg"), [(0, 0), (30, 0), (-60, -20), (75, 40)])
def test_head_is_where_its_features_are(yaw_deg: float, trunk_yaw_deg: float) -> None:
    skeleton, truth = _person(yaw_deg, trunk_yaw_deg)
    head = _fit(skeleton)
    assert _angle_deg(head.camera_from_head[:3, :3], truth) < 12
    assert np.linalg.norm(head.camera_from_head[:3, 3] - _PLACE) < 0.03


@pytest.mark.parametrize("yaw_deg", [180, 150])
def test_ears_alone_tell_of_a_head_seen_from_behind(yaw_deg: float) -> None:
    skeleton, truth = _person(yaw_deg, yaw_deg)
    positions = skeleton.positions.copy()
    positions[:3] = np.nan
    head = _fit(_skeleton(positions))
    assert _angle_deg(head.camera_from_head[:3, :3], truth) < 25
    frontal = _fit(_person(0)[0])
    assert np.trace(head.covariance[3:, 3:]) > 1.5 * np.trace(frontal.covariance[3:, 3:])


def test_heads_of_simulated_people(simulated: SimulatedSequence) -> None:
    columns = [simulated.keypoint_names.index(name) for name in COCO_17.keypoints]
    angles, distances = [], []
    for t in range(0, len(simulated), 10):
        for person in np.flatnonzero(simulated.heads_visible[t]):
            truth = simulated.heads[t, person].astype(float)
            head = _fit(_skeleton(simulated.positions[t, person][columns].astype(float)))
            angles.append(_angle_deg(head.camera_from_head[:3, :3], truth[:3, :3]))
            distances.append(np.linalg.norm(head.camera_from_head[:3, 3] - truth[:3, 3]))
    assert len(angles) > 10
    assert np.median(angles) < 8
    assert np.median(distances) < 0.025


def test_mirrored_person_has_the_mirrored_head() -> None:
    skeleton, _ = _person(35, 10)
    mirror = np.diag([-1.0, 1.0, 1.0])
    mirrored = _skeleton(skeleton.positions[list(COCO_17.mirrored)] @ mirror)
    head, other = _fit(skeleton).camera_from_head, _fit(mirrored).camera_from_head
    # The mirror swaps left and right of the person, too.
    np.testing.assert_allclose(other[:3, :3], mirror @ head[:3, :3] @ np.diag([1.0, -1.0, 1.0]), atol=2e-3)
    np.testing.assert_allclose(other[:3, 3], mirror @ head[:3, 3], atol=1e-3)


def test_one_keypoint_is_no_head() -> None:
    positions = np.full((17, 3), np.nan)
    positions[3] = [0.1, 0.0, 2.0]
    assert HeadFitter(COCO_17).fit(_FRAME, [_skeleton(positions), _person(0)[0]])[0] is None
    assert HeadFitter(COCO_17).fit(_FRAME, []) == []


def test_one_wrong_keypoint_does_not_take_the_head_along() -> None:
    skeleton, truth = _person(0)
    positions = skeleton.positions.copy()
    positions[0, 2] += 0.5  # the nose on the wall behind
    head = _fit(_skeleton(positions))
    assert _angle_deg(head.camera_from_head[:3, :3], truth) < 12
    assert np.linalg.norm(head.camera_from_head[:3, 3] - _PLACE) < 0.04


def test_without_depth_the_distance_is_uncertain() -> None:
    skeleton, _ = _person(20)
    known, guessed = _fit(skeleton), _fit(skeleton, replace(_FRAME, depth=None))
    assert np.sqrt(known.covariance[2, 2]) < 0.05
    assert np.sqrt(guessed.covariance[2, 2]) > 0.15
