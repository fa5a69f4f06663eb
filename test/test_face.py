"""Tests for human/face.py: simulated people with exact heads, two real ones, and what cameras and people do wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
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
from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.geometry.camera import load_camera, project
from pose_perception.human.face import FaceConfig, FaceEstimator
from pose_perception.human.topology import COCO_17
from pose_perception.networks.weights import find_weights
from pose_perception.recording.images import read_color, read_depth_mm
from pose_perception.simulation.sequence import SimulatedSequence

_ALL = FaceConfig(head_pose=True, landmarks=True, rate_hz=0.0)
_SECOND = 10**9
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def shared_estimator() -> FaceEstimator:
    """Return one estimator for all tests; loading it takes a second."""
    return _make(_ALL)


@pytest.fixture
def estimator(shared_estimator: FaceEstimator) -> FaceEstimator:
    """Return that one without memory."""
    shared_estimator.reset()
    return shared_estimator


def _make(config: FaceConfig) -> FaceEstimator:
    try:
        find_weights("face_landmarks").read()
    except WeightsError as error:
        pytest.skip(str(error))
    return FaceEstimator(COCO_17, config, "cpu")


def _skeleton(name: str, pixels: np.ndarray, positions: np.ndarray | None = None) -> Skeleton:
    """Return a person with all keypoints seen at pixels (17, 2); positions (17, 3) are measured within 1.5 cm."""
    known = positions is not None
    return Skeleton(
        id=name,
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]),
        pixels=pixels,
        scores=np.full(17, 0.9),
        positions=positions if known else np.full((17, 3), np.nan),
        covariances=np.tile(np.eye(3) * 0.015**2, (17, 1, 1)) if known else np.full((17, 3, 3), np.nan),
        states=np.full(17, KeypointState.MEASURED if known else KeypointState.MISSING, np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def _people(simulated: SimulatedSequence, t: int) -> list[Skeleton]:
    """Return the simulated people that show their faces, with exact keypoints."""
    columns = [simulated.keypoint_names.index(name) for name in COCO_17.keypoints]
    positions = simulated.positions[t][:, columns].astype(float)
    return [
        _skeleton(f"p{i}", project(positions[i], simulated.camera), positions[i])
        for i in np.flatnonzero(simulated.heads_visible[t])
    ]


def _frame(simulated: SimulatedSequence, t: int) -> RgbdFrame:
    depth = simulated.depth_mm[t].astype(np.float32) / 1000
    stamp_ns = round(t * _SECOND / simulated.rate_hz)
    return RgbdFrame(np.ascontiguousarray(simulated.color[t]), depth, simulated.camera, stamp_ns)


def _visible_moment(simulated: SimulatedSequence) -> int:
    return int(simulated.heads_visible.sum(axis=1).argmax())


def _turn_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(first[:3, :3] @ second[:3, :3].T).magnitude()))


def _heads(results: Sequence[tuple[HeadPose | None, object]]) -> list[np.ndarray]:
    assert all(head is not None for head, _ in results)
    return [head.camera_from_head for head, _ in results if head is not None]


def test_heads_of_simulated_people_are_where_they_are(simulated: SimulatedSequence, estimator: FaceEstimator) -> None:
    turns, distances, normalised = [], [], []
    for t in range(0, len(simulated), 5):
        people = _people(simulated, t)
        for skeleton, (head, face) in zip(people, estimator.process(_frame(simulated, t), people), strict=True):
            truth = simulated.heads[t, int(skeleton.id[1:])].astype(float)
            assert head is not None
            turns.append(_turn_deg(head.camera_from_head, truth))
            error = head.camera_from_head[:3, 3] - truth[:3, 3]
            distances.append(np.linalg.norm(error))
            normalised.append(error @ np.linalg.solve(head.covariance[:3, :3], error) / 3)
            if face is not None:
                assert face.score > 0.5
                # The landmark between the eyes is the origin of the head.
                np.testing.assert_allclose(face.positions[168], head.camera_from_head[:3, 3], atol=1e-9)
                np.testing.assert_allclose(face.pixels, project(face.positions, simulated.camera), atol=1e-6)
    assert len(turns) > 20
    assert np.median(turns) < 5
    assert np.percentile(turns, 95) < 10
    assert np.median(distances) < 0.015
    assert np.percentile(distances, 95) < 0.03
    assert 0.1 < np.mean(normalised) < 2


def test_mirrored_person_turns_the_other_way(simulated: SimulatedSequence, estimator: FaceEstimator) -> None:
    t = _visible_moment(simulated)
    frame, people = _frame(simulated, t), _people(simulated, t)
    camera = replace(frame.camera, cx=frame.camera.width - 1 - frame.camera.cx)
    assert frame.depth is not None
    flipped = RgbdFrame(
        np.ascontiguousarray(frame.color[:, ::-1]), np.ascontiguousarray(frame.depth[:, ::-1]), camera, frame.stamp_ns
    )
    order = list(COCO_17.mirrored)
    others = [
        _skeleton(p.id, (p.pixels[order] * [-1, 1] + [camera.width - 1, 0]), p.positions[order] @ _MIRROR)
        for p in people
    ]
    heads = _heads(estimator.process(frame, people))
    estimator.reset()
    mirrored = _heads(estimator.process(flipped, others))
    for head, other in zip(heads, mirrored, strict=True):
        assert _turn_deg(_MIRROR @ head[:3, :3] @ np.diag([1.0, -1.0, 1.0]), other) < 5
        assert np.linalg.norm(_MIRROR @ head[:3, 3] - other[:3, 3]) < 0.01


def test_camera_on_its_side_sees_the_same_heads(simulated: SimulatedSequence, estimator: FaceEstimator) -> None:
    t = _visible_moment(simulated)
    frame, people = _frame(simulated, t), _people(simulated, t)
    a, height = frame.camera, frame.camera.height
    camera = CameraIntrinsics(a.height, a.width, a.fy, a.fx, height - 1 - a.cy, a.cx)
    assert frame.depth is not None
    turned = RgbdFrame(
        cv2.rotate(frame.color, cv2.ROTATE_90_CLOCKWISE),
        cv2.rotate(frame.depth, cv2.ROTATE_90_CLOCKWISE),
        camera,
        frame.stamp_ns,
    )
    clockwise = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    others = [_skeleton(p.id, p.pixels[:, ::-1] * [-1, 1] + [height - 1, 0], p.positions @ clockwise.T) for p in people]
    heads = _heads(estimator.process(frame, people))
    estimator.reset()
    for head, other in zip(heads, _heads(estimator.process(turned, others)), strict=True):
        assert _turn_deg(clockwise @ head[:3, :3], other) < 4
        assert np.linalg.norm(clockwise @ head[:3, 3] - other[:3, 3]) < 0.01


def test_small_faces_are_left_to_ears_and_eyes(simulated: SimulatedSequence) -> None:
    t = _visible_moment(simulated)
    people = _people(simulated, t)
    results = _make(replace(_ALL, smallest_face_px=300.0)).process(_frame(simulated, t), people)
    for skeleton, (head, face) in zip(people, results, strict=True):
        assert head is not None
        assert head.source == HeadSource.FEATURES
        assert face is None
        truth = simulated.heads[t, int(skeleton.id[1:])].astype(float)
        assert _turn_deg(head.camera_from_head, truth) < 15
        assert np.linalg.norm(head.camera_from_head[:3, 3] - truth[:3, 3]) < 0.05


@pytest.mark.parametrize("nothing", [0.0, np.nan, None])
def test_without_depth_heads_are_uncertain_and_faces_have_no_place(
    simulated: SimulatedSequence, estimator: FaceEstimator, nothing: float | None
) -> None:
    t = _visible_moment(simulated)
    frame = _frame(simulated, t)
    depth = None if nothing is None else np.full_like(frame.depth, nothing)
    people = [replace(person, **vars(_skeleton(person.id, person.pixels))) for person in _people(simulated, t)]
    for person, (head, face) in zip(people, estimator.process(replace(frame, depth=depth), people), strict=True):
        assert head is not None
        assert face is not None
        assert np.isnan(face.positions).all()
        assert np.isfinite(face.pixels).all()
        truth = simulated.heads[t, int(person.id[1:])].astype(float)
        error = head.camera_from_head[:3, 3] - truth[:3, 3]
        assert error @ np.linalg.solve(head.covariance[:3, :3], error) < 16
        assert np.sqrt(head.covariance[2, 2]) > 0.05


def test_face_that_the_border_cuts_is_plausible_or_missing(
    simulated: SimulatedSequence, estimator: FaceEstimator
) -> None:
    t = _visible_moment(simulated)
    frame, people = _frame(simulated, t), _people(simulated, t)
    cut = int(people[0].pixels[0, 0])
    camera = replace(frame.camera, width=frame.camera.width - cut, cx=frame.camera.cx - cut)
    assert frame.depth is not None
    part = RgbdFrame(
        np.ascontiguousarray(frame.color[:, cut:]), np.ascontiguousarray(frame.depth[:, cut:]), camera, frame.stamp_ns
    )
    person = _skeleton("p0", people[0].pixels - [cut, 0], people[0].positions)
    ((head, _),) = estimator.process(part, [person])
    if head is not None:
        truth = simulated.heads[t, int(people[0].id[1:])].astype(float)
        assert np.linalg.norm(head.camera_from_head[:3, 3] - truth[:3, 3]) < 0.1


def test_rate_is_kept_by_the_stamps(simulated: SimulatedSequence) -> None:
    t = _visible_moment(simulated)
    frame, people = _frame(simulated, t), _people(simulated, t)[:1]
    slow = _make(FaceConfig(head_pose=True, rate_hz=15.0))

    def is_known(stamp_ns: int) -> bool:
        ((head, face),) = slow.process(replace(frame, stamp_ns=stamp_ns), people)
        assert face is None  # not asked for
        return head is not None

    period = _SECOND // 30
    jitter = [0, 2_000_000, -2_000_000, 1_000_000, -1_000_000, 0]
    assert [is_known(_SECOND + i * period + late) for i, late in enumerate(jitter)] == [True, False] * 3
    assert is_known(0)  # another recording
    assert not is_known(_SECOND // 100)
    slow.reset()
    assert is_known(_SECOND // 100)


def test_nobody_and_people_out_of_sight(simulated: SimulatedSequence, estimator: FaceEstimator) -> None:
    t = _visible_moment(simulated)
    frame, people = _frame(simulated, t), _people(simulated, t)[:1]
    assert estimator.process(frame, []) == []
    unseen = [replace(people[0], tracking_state=state) for state in (TrackingState.PREDICTED, TrackingState.LOST)]
    unseen[1] = replace(unseen[1], id="p9", pixels=np.full((17, 2), np.nan), positions=np.full((17, 3), np.nan))
    assert estimator.process(frame, unseen) == [(None, None), (None, None)]
    elsewhere = _skeleton("p8", people[0].pixels + 5000.0)
    assert estimator.process(frame, [elsewhere]) == [(None, None)]


def test_wall_is_no_face(simulated: SimulatedSequence, estimator: FaceEstimator) -> None:
    t = _visible_moment(simulated)
    people = _people(simulated, t)[:1]
    frame = _frame(simulated, t)
    plain = replace(frame, color=np.full_like(frame.color, 120))
    ((head, face),) = estimator.process(plain, people)
    assert face is None
    assert head is not None
    assert head.source == HeadSource.FEATURES


@pytest.mark.parametrize("wrong", [{"rate_hz": -1.0}, {"smallest_face_px": 0.0}, {"min_score": 1.5}])
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        FaceConfig(**wrong)


def test_two_real_people(shared_data: Path, estimator: FaceEstimator) -> None:
    """Both look towards the camera all the time, 2.0 to 2.5 m away; hands pass in front of their faces."""
    from pose_perception.human.pipeline import HumanConfig, HumanPipeline

    folder = shared_data / "rgbd_two_people"
    pipeline = HumanPipeline(HumanConfig(device="cpu"))
    real = FaceEstimator(pipeline.topology, _ALL, "cpu")
    camera = load_camera(folder / "camera.json")
    known: dict[str, list[tuple[HeadPose, float]]] = {}
    for i, file in enumerate(sorted((folder / "color").glob("*.png"))[24:40]):
        depth = read_depth_mm(folder / "depth" / file.name).astype(np.float32) / 1000
        frame = RgbdFrame(read_color(file), depth, camera, i * _SECOND // 15)
        skeletons = pipeline.process(frame)
        for skeleton, (head, face) in zip(skeletons, real.process(frame, skeletons), strict=True):
            if head is not None and face is not None:
                width = float(np.linalg.norm(face.positions[454] - face.positions[234]))  # from temple to temple
                known.setdefault(skeleton.id, []).append((head, width))
    assert len(known) == 2
    for heads in known.values():
        assert len(heads) >= 12
        poses = np.stack([head.camera_from_head for head, _ in heads])
        assert ((poses[:, 2, 3] > 2.0) & (poses[:, 2, 3] < 2.6)).all()
        assert np.std(poses[:, 2, 3]) < 0.05
        assert np.median(-poses[:, 2, 0]) > np.cos(np.deg2rad(25))  # faces the camera
        assert np.median(-poses[:, 1, 2]) > np.cos(np.deg2rad(25))  # upright
        widths = np.array([width for _, width in heads])
        assert 0.12 < np.nanmedian(widths) < 0.16
