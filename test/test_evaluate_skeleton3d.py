"""Tests for evaluation/skeleton_figures.py, skeleton_run.py, recordings.py and the command `evaluate skeleton3d`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.datatypes import CameraIntrinsics, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.evaluation.one_pixel import one_pixel_positions
from pose_perception.evaluation.recordings import measure_recording
from pose_perception.evaluation.skeleton3d import Row, cases, markdown
from pose_perception.evaluation.skeleton_figures import accuracy, id_changes, ids_kept, jitter_mm, lag_s
from pose_perception.evaluation.skeleton_run import JointErrors, SequenceRun, run_sequence
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import COCO_17
from pose_perception.recording.folder import FolderRecording
from pose_perception.simulation.sequence import SimulatedSequence

_K = len(COCO_17)


def _skeleton(name: str, positions: np.ndarray) -> Skeleton:
    return Skeleton(
        id=name,
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.zeros(4),
        pixels=np.zeros((_K, 2)),
        scores=np.ones(_K),
        positions=positions,
        covariances=np.tile(1e-4 * np.eye(3), (_K, 1, 1)),
        states=np.full(_K, KeypointState.MEASURED, np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def _run(
    truth: np.ndarray, published: np.ndarray, ids: list[list[str]], visible: np.ndarray | None = None
) -> SequenceRun:
    """Return a run at 30 Hz with truth and publication (T, P, 17, 3); nobody with an empty id was seen."""
    frames, people = truth.shape[:2]
    sequence = SimulatedSequence(
        color=np.zeros((frames, 4, 4, 3), np.uint8),
        depth_mm=np.zeros((frames, 4, 4), np.uint16),
        instances=np.zeros((frames, 4, 4), np.uint8),
        positions=truth.astype(np.float32),
        visible=np.ones(truth.shape[:3], bool) if visible is None else visible,
        hands=np.zeros((frames, people, 2, 21, 3), np.float32),
        hands_visible=np.zeros((frames, people, 2, 21), bool),
        heads=np.tile(np.eye(4, dtype=np.float32), (frames, people, 1, 1)),
        heads_visible=np.zeros((frames, people), bool),
        fixed_from_camera=np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)),
        camera=CameraIntrinsics(64, 48, 60, 60, 32, 24),
        rate_hz=30.0,
        keypoint_names=COCO_17.keypoints,
        person_ids=tuple(f"person_{i}" for i in range(people)),
    )
    skeletons = [[_skeleton(ids[t][p], published[t, p]) for p in range(people) if ids[t][p]] for t in range(frames)]
    owners = []
    for names in ids:
        seen = [p for p in range(people) if names[p]]
        owners.append({p: row for row, p in enumerate(seen)})
    nothing = JointErrors.concatenate([_errors(np.zeros((0, 3)))])
    return SequenceRun(sequence, COCO_17, skeletons, owners, nothing, np.zeros(frames))


def _errors(errors: np.ndarray, state: KeypointState = KeypointState.MEASURED, sigma: float = 0.02) -> JointErrors:
    count = len(errors)
    return JointErrors(
        names=np.full(count, "nose"),
        errors=errors,
        covariances=np.tile(sigma**2 * np.eye(3), (count, 1, 1)),
        states=np.full(count, state, np.uint8),
        visible=np.ones(count, bool),
        one_pixel=3 * errors,
        on_background=np.zeros(count, bool),
    )


def _waving(delay_s: float) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(150) / 30

    def motion(t: np.ndarray) -> np.ndarray:
        positions = np.zeros((len(t), 1, _K, 3))
        positions[:, 0, :, 0] = 0.2 * np.sin(2 * np.pi * 1.5 * t)[:, None]
        positions[..., 2] = 2.0
        return positions

    return motion(times), motion(times - delay_s)


@pytest.mark.parametrize("delay_s", [0.0, 0.012, 0.05])
def test_lag_is_the_delay_and_not_disturbed_by_an_offset(delay_s: float) -> None:
    truth, published = _waving(delay_s)
    run = _run(truth, published + 0.03, [["p1"]] * len(truth))
    assert lag_s(run, "left_wrist") == pytest.approx(delay_s, abs=0.002)


def test_jitter_is_the_spread_and_not_the_bias() -> None:
    truth = np.full((120, 1, _K, 3), 2.0)
    noise = np.random.default_rng(0).normal(scale=0.002, size=truth.shape)
    run = _run(truth, truth + 0.05 + noise, [["p1"]] * 120)
    assert jitter_mm(run) == pytest.approx(2 * np.sqrt(3), rel=0.05)


def test_ids_that_change_or_swap_are_counted() -> None:
    truth = np.zeros((4, 2, _K, 3))
    assert id_changes(_run(truth, truth, [["a", "b"]] * 4)) == 0
    assert id_changes(_run(truth, truth, [["a", "b"], ["a", ""], ["a", "b"], ["a", "c"]])) == 1
    assert id_changes(_run(truth, truth, [["a", "b"], ["a", "b"], ["b", "a"], ["b", "a"]])) == 2


def test_ids_are_compared_before_and_after_being_hidden() -> None:
    truth = np.zeros((200, 1, _K, 3))
    visible = np.ones((200, 1, _K), bool)
    visible[40:90] = visible[130:180] = False  # 1.7 s each
    ids = [["a"]] * 40 + [[""]] * 50 + [["a"]] * 40 + [[""]] * 50 + [["b"]] * 20
    assert ids_kept(_run(truth, truth, ids, visible)) == (1, 2)
    visible[:] = True
    visible[40:60] = False  # too short to count
    assert ids_kept(_run(truth, truth, ids, visible)) == (0, 0)


def test_accuracy_of_calibrated_errors() -> None:
    errors = np.random.default_rng(0).normal(scale=0.02, size=(20000, 3))
    figures = accuracy(JointErrors.concatenate([_errors(errors), _errors(errors, KeypointState.INFERRED, 0.04)]))
    assert figures.median == pytest.approx(1e3 * np.median(np.linalg.norm(errors, axis=1)))
    assert figures.one_pixel_median == pytest.approx(3 * figures.median)
    assert figures.nees == pytest.approx(1.0, abs=0.1)
    assert figures.nees_inferred == pytest.approx(0.25, abs=0.03)
    assert figures.measured == figures.inferred == 0.5


def test_one_pixel_takes_the_depth_of_that_pixel_and_nothing_else() -> None:
    camera = CameraIntrinsics(64, 48, 60, 60, 32, 24)
    depth = np.full((48, 64), 3.0, np.float32)
    depth[24, 32], depth[10, 10] = 1.5, 0.0
    frame = RgbdFrame(np.zeros((48, 64, 3), np.uint8), depth, camera)
    found = one_pixel_positions(frame, np.array([[32.4, 23.6], [33.0, 24.0], [10.0, 10.0], [70.0, 5.0], [np.nan, 1.0]]))
    assert np.allclose(found[0], [0.4 / 60 * 1.5, -0.4 / 60 * 1.5, 1.5])
    assert found[1, 2] == 3.0
    assert np.isnan(found[2:]).all()


@pytest.fixture(scope="module")
def pipeline() -> HumanPipeline:
    return HumanPipeline(HumanConfig(device="cpu"))


def test_simulated_people_are_found_and_measured(pipeline: HumanPipeline, simulated: SimulatedSequence) -> None:
    per_frame = ("color", "depth_mm", "instances", "positions", "visible", "fixed_from_camera")
    run = run_sequence(pipeline, replace(simulated, **{name: getattr(simulated, name)[:25] for name in per_frame}))
    assert all(set(owners) == {0, 1} for owners in run.owners)
    assert id_changes(run) == 0
    figures = accuracy(run.joints)
    assert figures.median < 35
    assert figures.p95 < 100
    assert figures.median < 0.5 * figures.one_pixel_median
    assert figures.background == 0
    assert figures.measured > 0.85


def test_arms_of_two_real_people_are_constant_and_symmetric(pipeline: HumanPipeline, shared_data: Path) -> None:
    figures = measure_recording(pipeline, FolderRecording(shared_data / "rgbd_two_people"))
    assert figures.people == {2: 40}
    assert len(figures.ids) == 2
    assert figures.far_joints == 0
    assert len(figures.bones) == 8
    assert max(bone.variation for bone in figures.bones) < 0.08
    assert max(figures.asymmetry.values()) < 0.10
    assert max(bone.one_pixel_variation for bone in figures.bones) > 0.3


def test_unknown_case_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "skeleton3d", "--cases", "dancing"]) == 2
    error = capsys.readouterr().err
    assert "dancing" in error
    assert all(name in error for name in cases())


def test_table_says_what_was_missed() -> None:
    lines = markdown([Row("a", "b", "3 mm", "at most 2 mm", False), Row("a", "c", "1 mm", "at most 2 mm", True)])
    assert "missed" in lines[2]
    assert "missed" not in lines[3]
