"""Tests for human/lifting.py: exact keypoints of simulated people, so that every error is the lifter's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, KeypointState, PoseEstimates, RgbdFrame
from pose_perception.geometry.camera import project
from pose_perception.human.body_model import BoneLengths, bones_of
from pose_perception.human.estimators.base import keypoint_boxes
from pose_perception.human.joint_offsets import JointOffsets, complete_trunk
from pose_perception.human.landmarks import rotate_to_view
from pose_perception.human.lifting import LiftedBodies, Lifter, LiftingConfig
from pose_perception.human.topology import BODY_33, COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

_BONES = bones_of(COCO_17)
_OFFSETS = JointOffsets(COCO_17)


def _truth(simulated: SimulatedSequence, t: int) -> np.ndarray:
    """Return exact positions of COCO's keypoints, shape (P, 17, 3)."""
    return simulated.positions[t][:, [simulated.keypoint_names.index(name) for name in COCO_17.keypoints]].astype(float)


def _estimates(simulated: SimulatedSequence, t: int, *, with_world: bool = True) -> PoseEstimates:
    positions = _truth(simulated, t)
    pixels = project(positions, simulated.camera)
    pixels -= _OFFSETS.centered(pixels) - pixels  # networks mark joints beside their centres
    hips = positions[:, 11:13].mean(axis=1, keepdims=True)
    height, width = simulated.depth_mm.shape[1:]
    inside = ((pixels >= 0) & (pixels < [width, height])).all(axis=2)
    scores = np.where(inside, 0.9, 0.0)
    world = positions - hips if with_world else np.full_like(positions, np.nan)
    return PoseEstimates(pixels, scores, keypoint_boxes(pixels, scores, 0.2), np.full(len(pixels), 0.9), world)


def _lift(frame: RgbdFrame, estimates: PoseEstimates) -> LiftedBodies:
    lengths = [BoneLengths(_BONES) for _ in range(len(estimates))]
    return Lifter(COCO_17, LiftingConfig()).lift(frame, estimates, lengths)


def test_measured_joints_are_metric_and_never_on_the_background(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    errors, measured = [], 0
    for t in range(0, 45, 5):
        bodies = _lift(simulated_frames[t], _estimates(simulated, t))
        error = np.linalg.norm(bodies.positions - _truth(simulated, t), axis=2)
        is_measured = bodies.states == KeypointState.MEASURED
        errors.append(error[is_measured])
        measured += is_measured.sum()
    joined = np.concatenate(errors)
    assert measured > 9 * 2 * 17 * 0.7
    assert np.median(joined) < 0.035
    assert np.percentile(joined, 99) < 0.20  # the wall is more than a metre behind


def test_missing_is_nan_and_known_is_finite(simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]) -> None:
    estimates = _estimates(simulated, 0)
    estimates.scores[0, COCO_17.index["left_wrist"]] = 0.05
    bodies = _lift(simulated_frames[0], estimates)
    missing = bodies.states == KeypointState.MISSING
    assert missing[0, COCO_17.index["left_wrist"]]
    assert np.array_equal(np.isnan(bodies.positions).any(axis=2), missing)
    assert np.array_equal(np.isnan(bodies.covariances).any(axis=(2, 3)), missing)
    eigenvalues = np.linalg.eigvalsh(bodies.covariances[~missing])
    assert (eigenvalues > 0).all()


@pytest.mark.parametrize("fill", [0.0, np.nan, 0.001])  # the two ways in which cameras say "nothing", and dirt on it
def test_depth_without_content_gives_no_positions(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame], fill: float
) -> None:
    frame = simulated_frames[0]
    bodies = _lift(replace(frame, depth=np.full_like(frame.depth, fill)), _estimates(simulated, 0))
    assert (bodies.states == KeypointState.MISSING).all()
    assert np.isnan(bodies.positions).all()


@pytest.mark.parametrize("size", [0.9, 1.0, 1.1])  # a person's size that the landmarks do not know
def test_without_a_depth_image_landmarks_say_how_far_away_people_are(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame], size: float
) -> None:
    estimates, truth = _estimates(simulated, 0), _truth(simulated, 0)
    bodies = _lift(replace(simulated_frames[0], depth=None), replace(estimates, world=size * estimates.world))
    shown = estimates.scores > 0.5
    assert (bodies.states[shown] == KeypointState.INFERRED).all()
    error = np.linalg.norm(bodies.positions - size * truth, axis=2)
    # The landmarks are in the axes of the crop, here those of the camera: off the axis they are turned a little.
    assert np.median(error[shown]) < 0.03
    # The uncertainty along the ray covers people who are larger or smaller than the landmarks.
    along = truth / np.linalg.norm(truth, axis=2, keepdims=True)
    sigma = np.sqrt(np.einsum("nki,nkij,nkj->nk", along, bodies.covariances, along))
    missed = np.abs(np.einsum("nki,nki->nk", bodies.positions - truth, along))
    assert (missed[shown] < 1.5 * sigma[shown]).all()


def test_too_few_landmarks_say_nothing(simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]) -> None:
    estimates, frame = _estimates(simulated, 0), replace(simulated_frames[0], depth=None)
    assert (_lift(frame, _estimates(simulated, 0, with_world=False)).states == KeypointState.MISSING).all()
    estimates.scores[:, 4:] = 0.0
    assert (_lift(frame, estimates).states == KeypointState.MISSING).all()
    same_pixel = replace(_estimates(simulated, 0), pixels=np.full_like(estimates.pixels, 300.0))
    assert not np.isfinite(_lift(frame, same_pixel).positions).any()


def test_holes_around_a_joint_make_it_inferred_near_the_truth(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    estimates, frame = _estimates(simulated, 0), simulated_frames[0]
    k = COCO_17.index["right_elbow"]
    depth = frame.depth.copy()
    u, v = estimates.pixels[0, k].astype(int)
    depth[v - 20 : v + 20, u - 20 : u + 20] = 0
    bodies = _lift(replace(frame, depth=depth), estimates)
    assert bodies.states[0, k] == KeypointState.INFERRED
    assert np.linalg.norm(bodies.positions[0, k] - _truth(simulated, 0)[0, k]) < 0.12
    measured = _lift(frame, estimates)
    assert np.trace(bodies.covariances[0, k]) > np.trace(measured.covariances[0, k])


def test_keypoint_on_somebody_else_is_refused(simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]) -> None:
    estimates = _estimates(simulated, 0)
    k = COCO_17.index["left_wrist"]
    estimates.pixels[0, k] = estimates.pixels[1, COCO_17.index["nose"]]
    bodies = _lift(simulated_frames[0], estimates)
    assert bodies.impossible[0, k]
    assert bodies.states[0, k] == KeypointState.MISSING


def test_bone_lengths_are_learned_from_what_is_measured(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    lifter, lengths = Lifter(COCO_17, LiftingConfig()), [BoneLengths(_BONES), BoneLengths(_BONES)]
    for t in range(45):
        lifter.lift(simulated_frames[t], _estimates(simulated, t), lengths)
    positions = _truth(simulated, 0)
    for person in range(2):
        for b, bone in enumerate(_BONES):
            if (COCO_17.keypoints[bone.start], COCO_17.keypoints[bone.end]) != ("left_shoulder", "left_elbow"):
                continue
            true_length = np.linalg.norm(positions[person, bone.end] - positions[person, bone.start])
            assert lengths[person].lengths[b] == pytest.approx(true_length, rel=0.12)


def test_trunk_is_completed_from_what_is_seen() -> None:
    nan = [np.nan, np.nan]
    corners = np.array([[[120.0, 50], [80, 50], nan, nan], [[120, 50], nan, [110, 120], [90, 120]], [nan] * 4])
    completed = complete_trunk(corners)
    assert np.allclose(completed[0, 2:], [[120, 90], [80, 90]])  # hips one shoulder width below
    assert np.allclose(completed[1, 1], [120, 50])  # one shoulder counts for both
    assert np.isnan(completed[2]).all()  # nothing is made of nothing


def test_rotation_to_the_view_keeps_lengths_and_turns_depth_along_the_ray() -> None:
    camera = CameraIntrinsics(640, 480, 600.0, 600.0, 320.0, 240.0)
    world = np.array([[[0.0, 0.0, 1.0], [0.3, -0.2, 0.1]]])
    at_border = rotate_to_view(world, np.array([[600.0, 220, 680, 260]]), camera)
    assert np.allclose(np.linalg.norm(at_border, axis=2), np.linalg.norm(world, axis=2))
    ray = np.array([320 / 600, 0, 1])
    assert np.allclose(at_border[0, 0], ray / np.linalg.norm(ray))
    centred = rotate_to_view(world, np.array([[300.0, 220, 340, 260]]), camera)
    assert np.allclose(centred, world)


def test_joint_beside_the_body_does_not_float_in_free_space(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    k, tried = COCO_17.index["left_elbow"], 0
    for t in range(0, 45, 3):
        estimates, frame = _estimates(simulated, t), simulated_frames[t]
        estimates.pixels[0, k] += [0.14 / _truth(simulated, t)[0, k, 2] * frame.camera.fx, 0]
        u, v = estimates.pixels[0, k].astype(int)
        around = frame.depth[v - 12 : v + 13, u - 12 : u + 13]
        if not (around.size and (around[around > 0] > 3.5).all()):
            continue  # something else is there
        tried += 1
        assert _lift(frame, estimates).states[0, k] == KeypointState.MISSING
    assert tried >= 3


def test_box_carried_in_front_of_the_trunk_is_not_the_body(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    estimates, truth = _estimates(simulated, 0), _truth(simulated, 0)[0]
    shoulders, hips = truth[5:7], truth[11:13]
    # From below the chest to below the hips, as wide as the trunk, and as far in front as one holds a box.
    nearest = hips[:, 2].mean() - 0.45
    top, bottom = (shoulders.mean(axis=0) + hips.mean(axis=0)) / 2, hips.mean(axis=0) + np.array([0.0, 0.08, 0.0])
    half = np.array([0.17, 0.0, 0.0])
    corners = project(np.array([top - half, bottom + half]), simulated.camera).astype(int)
    depth = simulated_frames[0].depth.copy()
    depth[corners[0, 1] : corners[1, 1], corners[0, 0] : corners[1, 0]] = nearest
    bodies = _lift(replace(simulated_frames[0], depth=depth), estimates)
    error = np.linalg.norm(bodies.positions[0] - truth, axis=1)
    measured = bodies.states[0] == KeypointState.MEASURED
    assert not measured[[11, 12]].any()  # the hips are behind the box
    assert error[[11, 12]].max() < 0.15
    assert error[measured].max() < 0.15
    assert measured[[5, 6, 13, 14]].all()  # shoulders and knees are not


def test_knuckles_without_their_wrist_have_no_position() -> None:
    lifter, k = Lifter(BODY_33, LiftingConfig()), len(BODY_33)
    rng = np.random.default_rng(0)
    camera = CameraIntrinsics(640, 480, 600, 600, 320, 240)
    frame = RgbdFrame(np.zeros((480, 640, 3), np.uint8), np.full((480, 640), 2.0, np.float32), camera)
    pixels = rng.uniform([250, 100], [390, 400], (1, k, 2))
    hand = [BODY_33.index[f"left_{point}"] for point in ("index", "pinky", "thumb")]
    wrist = BODY_33.index["left_wrist"]
    pixels[0, hand] = pixels[0, wrist] + np.array([[10, 15], [-5, 15], [15, 5]])
    scores = np.full((1, k), 0.9)
    scores[0, wrist] = 0.1
    people = PoseEstimates.without_world(pixels, scores, np.array([[240.0, 90, 400, 410]]), np.ones(1))
    states = lifter.lift(frame, people, [BoneLengths(bones_of(BODY_33))]).states[0]
    assert (states[hand] == KeypointState.MISSING).all()
