"""Tests for human/pipeline.py on a real and a simulated RGB-D video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.errors import ConfigurationError
from pose_perception.human.body_model import BoneLengths, bones_of
from pose_perception.human.lifting import Lifter, LiftingConfig
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.recording.folder import FolderRecording
from pose_perception.simulation.sequence import SimulatedSequence


@pytest.fixture
def pipeline() -> HumanPipeline:
    return HumanPipeline(HumanConfig(device="cpu"))


def _real_frames(folder: Path) -> list[RgbdFrame]:
    recording = FolderRecording(folder)
    pairs = [recording.read(i) for i in range(len(recording))]
    return [
        RgbdFrame(pair.color, pair.depth_mm.astype(np.float32) / 1000, recording.camera, round(i * 1e9 / 15))
        for i, pair in enumerate(pairs)
    ]


def _lengths(video: list[list[Skeleton]], pipeline: HumanPipeline, side: str, person: str) -> np.ndarray:
    """Return the upper arm's length in the frames that measure both of its ends, metres."""
    shoulder, elbow = (pipeline.topology.index[f"{side}_{joint}"] for joint in ("shoulder", "elbow"))
    return np.array(
        [
            np.linalg.norm(s.positions[shoulder] - s.positions[elbow])
            for skeletons in video
            for s in skeletons
            if s.id == person and (s.states[[shoulder, elbow]] == KeypointState.MEASURED).all()
        ]
    )


def test_two_real_people_keep_their_ids_and_arms(pipeline: HumanPipeline, shared_data: Path) -> None:
    video = [pipeline.process(frame) for frame in _real_frames(shared_data / "rgbd_two_people")]
    ids = {s.id for s in video[0]}
    assert len(ids) == 2
    assert all({s.id for s in skeletons} == ids for skeletons in video)
    for person in ids:
        for side in ("left", "right"):
            lengths = _lengths(video, pipeline, side, person)
            assert len(lengths) >= 15
            assert lengths.std() / lengths.mean() < 0.15  # one pixel of depth per joint gives up to 0.73
            assert 0.18 < lengths.mean() < 0.35


@pytest.mark.parametrize("clockwise_deg", [90, 180, 270])
def test_a_turned_camera_sees_the_same_people(simulated_frames: list[RgbdFrame], clockwise_deg: int) -> None:
    upright = simulated_frames[0]
    quarters = clockwise_deg // 90
    camera = upright.camera
    for _ in range(quarters):  # the camera turned by this: its image is turned the other way
        camera = CameraIntrinsics(
            camera.height, camera.width, camera.fy, camera.fx, camera.cy, camera.width - 1 - camera.cx
        )
    turned = RgbdFrame(
        np.ascontiguousarray(np.rot90(upright.color, quarters)),
        np.ascontiguousarray(np.rot90(upright.depth, quarters)),
        camera,
        upright.stamp_ns,
    )
    expected = HumanPipeline(HumanConfig(device="cpu")).process(upright)
    found = HumanPipeline(HumanConfig(device="cpu", turn_clockwise=clockwise_deg)).process(turned)
    assert len(found) == len(expected) == 2
    back = np.linalg.matrix_power(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), quarters)
    for skeleton in found:
        positions = skeleton.positions @ back.T
        distance = [np.nanmedian(np.linalg.norm(positions - other.positions, axis=1)) for other in expected]
        assert min(distance) < 0.01
        other = expected[int(np.argmin(distance))]
        assert (skeleton.states == other.states).mean() > 0.9


def test_a_camera_turned_by_an_odd_angle_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="180"):
        HumanConfig(turn_clockwise=45)


def test_simulated_people_are_where_they_are(
    pipeline: HumanPipeline, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    ours = [pipeline.topology.index[name] for name in simulated.keypoint_names]
    errors, normalised, people = [], [], set()
    for t, frame in enumerate(simulated_frames):
        skeletons = pipeline.process(frame)
        assert len(skeletons) == len(simulated.person_ids)
        for skeleton in skeletons:
            error = np.linalg.norm(skeleton.positions[ours] - simulated.positions[t], axis=2)
            nearest = np.nanmedian(error, axis=1).argmin()
            measured = skeleton.states[ours] == KeypointState.MEASURED
            errors.append(error[nearest][measured])
            offset = (skeleton.positions[ours] - simulated.positions[t, nearest])[measured]
            information = np.linalg.inv(skeleton.covariances[ours][measured])
            normalised.append(np.einsum("ki,kij,kj->k", offset, information, offset) / 3)
            people.add((skeleton.id, int(nearest)))
    assert len(people) == len(simulated.person_ids)  # one id each, never exchanged
    assert np.median(np.concatenate(errors)) < 0.060
    assert 0.2 < np.median(np.concatenate(normalised)) < 2.0  # the covariance says how large the errors are


@pytest.mark.parametrize("estimator", ["movenet-multipose", "movenet-lightning"])  # bottom-up, top-down
def test_estimators_with_17_keypoints_serve_as_well(
    estimator: str, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    pipeline = HumanPipeline(HumanConfig(device="cpu", estimator=estimator))
    ours = [pipeline.topology.index[name] for name in simulated.keypoint_names if name in pipeline.topology.index]
    theirs = [i for i, name in enumerate(simulated.keypoint_names) if name in pipeline.topology.index]
    errors, ids = [], set()
    for t, frame in enumerate(simulated_frames[:12]):
        skeletons = pipeline.process(frame)
        ids.update(skeleton.id for skeleton in skeletons)
        for skeleton in skeletons:
            assert skeleton.positions.shape == (17, 3)
            error = np.linalg.norm(skeleton.positions[ours] - simulated.positions[t][:, theirs], axis=2)
            measured = skeleton.states[ours] == KeypointState.MEASURED
            errors.append(error[np.nanmedian(error, axis=1).argmin()][measured])
    assert len(skeletons) == len(ids) == 2
    assert all(skeleton.camera_from_torso is not None for skeleton in skeletons)
    assert np.median(np.concatenate(errors)) < 0.08


def test_empty_view_has_nobody_and_people_who_return_are_found(
    pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]
) -> None:
    frame = simulated_frames[0]
    before = {s.id for s in pipeline.process(frame)}
    assert len(before) == 2
    black = np.zeros_like(frame.color)
    last = [pipeline.process(replace(frame, color=black, stamp_ns=i * 600_000_000)) for i in range(1, 8)][-1]
    assert last == []
    assert {s.id for s in pipeline.process(replace(frame, stamp_ns=5_000_000_000))} == before


def test_stamp_that_jumps_back_begins_anew(pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]) -> None:
    before = {s.id for s in pipeline.process(simulated_frames[10])}
    skeletons = pipeline.process(simulated_frames[0])
    lost = {s.id for s in skeletons if s.tracking_state == TrackingState.LOST}
    assert len(before) == 2
    assert lost == before  # a planner hears of the end
    assert len({s.id for s in skeletons} - before) == 2
    assert {s.tracking_state for s in pipeline.process(simulated_frames[1])} == {TrackingState.TRACKED}


def test_another_camera_begins_anew(pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]) -> None:
    before = {s.id for s in pipeline.process(simulated_frames[0])}
    other = replace(simulated_frames[1], frame_id="another_camera")
    assert {s.id for s in pipeline.process(other) if s.tracking_state == TrackingState.LOST} == before


def test_people_are_strangers_after_a_long_pause(pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]) -> None:
    before = {s.id for s in pipeline.process(simulated_frames[0])}
    later = replace(simulated_frames[0], stamp_ns=60_000_000_000)
    states = {s.id: s.tracking_state for s in pipeline.process(later)}
    assert {i for i, state in states.items() if state == TrackingState.LOST} == before
    assert len(states) == 4


def test_pipeline_goes_on_after_a_frame_that_failed(pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]) -> None:
    broken = replace(simulated_frames[0])
    object.__setattr__(broken, "depth", "no image")  # past the checks at birth
    with pytest.raises(AttributeError):
        pipeline.process(broken)
    skeletons = [pipeline.process(frame) for frame in simulated_frames[1:4]]
    assert [len(s) for s in skeletons] == [2, 2, 2]


def test_person_of_whom_only_face_and_arms_show_has_positions(
    pipeline: HumanPipeline, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    scores = np.zeros(33)
    scores[[pipeline.topology.index[name] for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]] = 0.9
    frame = simulated_frames[0]
    people = pipeline._estimator.estimate(frame.color, np.empty((0, 4)), True)
    people.scores[:] = np.where(scores > 0, people.scores, 0.0)
    lengths = [BoneLengths(bones_of(pipeline.topology)) for _ in range(len(people))]
    bodies = Lifter(pipeline.topology, LiftingConfig()).lift(frame, people, lengths)
    nose = pipeline.topology.index["nose"]
    truth = simulated.positions[0][:, simulated.keypoint_names.index("nose")]
    for person in np.flatnonzero(people.person_scores > 0.4):
        assert bodies.states[person, nose] == KeypointState.MEASURED
        assert np.linalg.norm(bodies.positions[person, nose] - truth, axis=1).min() < 0.06


def test_nothing_is_ever_at_the_camera(pipeline: HumanPipeline, simulated_frames: list[RgbdFrame]) -> None:
    frame = simulated_frames[0]
    for depth in (frame.depth, np.zeros_like(frame.depth), np.full_like(frame.depth, np.nan), None):
        pipeline.reset()
        for skeleton in pipeline.process(replace(frame, depth=depth)):
            known = skeleton.states != KeypointState.MISSING
            assert np.array_equal(known, np.isfinite(skeleton.positions).all(axis=1))
            assert (skeleton.positions[known][:, 2] > 0.3).all()


def test_configuration_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="device"):
        HumanConfig(device="tpu")
    with pytest.raises(ConfigurationError, match="detect_every"):
        HumanConfig(detect_every=0)


def test_warm_up_changes_no_result(simulated_frames: list[RgbdFrame]) -> None:
    cold, warm = HumanPipeline(HumanConfig(device="cpu")), HumanPipeline(HumanConfig(device="cpu"))
    warm.warm_up()
    for frame in simulated_frames[:2]:
        for first, second in zip(cold.process(frame), warm.process(frame), strict=True):
            assert np.allclose(first.pixels, second.pixels, equal_nan=True)
