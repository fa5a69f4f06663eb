"""Tests for human/track_motion.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.human.track_motion import Motion, View

_NOISE = np.eye(3) * 0.02**2


def _walked(velocity: tuple[float, float, float], seconds: float = 3.0, rate_hz: float = 15.0) -> Motion:
    rng = np.random.default_rng(0)
    motion = Motion(np.zeros(3), _NOISE)
    for i in range(1, round(seconds * rate_hz)):
        motion.predict(1 / rate_hz, fades=False)
        motion.correct(np.array(velocity) * i / rate_hz + rng.normal(0, 0.005, 3), _NOISE)
    return motion


def test_a_steady_walk_is_measured() -> None:
    motion = _walked((0.8, 0.0, -0.5))
    assert motion.velocity == pytest.approx([0.8, 0, -0.5], abs=0.1)
    assert motion.knows_velocity


def test_one_sight_tells_no_velocity() -> None:
    assert not Motion(np.zeros(3), _NOISE).knows_velocity


def test_unseen_walkers_walk_on_and_slow_down() -> None:
    motion = _walked((1.0, 0.0, 0.0))
    start, speed = motion.position[0], motion.velocity[0]
    for _ in range(30):
        motion.predict(1 / 15, fades=True)
    assert 0.5 * speed * 2 < motion.position[0] - start < speed * 2
    assert 0 < motion.velocity[0] < 0.5 * speed


@pytest.mark.parametrize("fades", [True, False])
def test_steps_do_not_matter(fades: bool) -> None:
    many, one = _walked((1.0, 0.0, 0.0)), _walked((1.0, 0.0, 0.0))
    for _ in range(20):
        many.predict(0.05, fades)
    one.predict(1.0, fades)
    assert np.allclose(many.position, one.position)
    assert np.allclose(many.covariance, one.covariance)


def test_doubt_grows_without_sight_but_not_beyond_a_walk() -> None:
    motion = _walked((0.0, 0.0, 0.0))
    spread = []
    for _ in range(45):
        motion.predict(1 / 15, fades=True)
        spread.append(np.sqrt(motion.covariance[0, 0]))
    assert (np.diff(spread) > 0).all()
    assert 0.4 < spread[14] < 1.0  # after 1 s
    assert spread[44] < 3.0  # after 3 s


def test_a_mistaken_sight_counts_little() -> None:
    motion, other = _walked((0.0, 0.0, 0.0)), _walked((0.0, 0.0, 0.0))
    for each, place in ((motion, 1.0), (other, 0.0)):
        each.predict(1 / 15, fades=False)
        assert (each.surprise(np.array([place, 0, 0]), _NOISE) > 4) == (place == 1.0)
        each.correct(np.array([place, 0, 0]), _NOISE)
    assert np.linalg.norm(motion.position - other.position) < 0.1


def test_another_frame_of_reference_changes_only_the_numbers() -> None:
    motion = _walked((0.8, 0.0, -0.5))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], (1, 2, 3)
    before, velocity = motion.position, motion.velocity
    motion.move(pose)
    assert motion.position == pytest.approx(pose[:3, :3] @ before + pose[:3, 3])
    assert motion.velocity == pytest.approx(pose[:3, :3] @ velocity)


def test_views_turn_points_there_and_back() -> None:
    camera = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], (1, 2, 3)
    frame = RgbdFrame(np.zeros((48, 64, 3), np.uint8), None, camera, fixed_from_camera=pose)
    view = View.of(frame, None)
    points = np.random.default_rng(1).normal(0, 1, (5, 3))
    assert view.to_reference(points)[0] == pytest.approx(pose[:3, :3] @ points[0] + pose[:3, 3])
    assert np.allclose(view.to_camera(view.to_reference(points)), points)


@pytest.mark.parametrize("pose", [None, np.full((4, 4), np.nan)])
def test_a_camera_that_is_not_known_to_move_is_where_it_was(pose: np.ndarray | None) -> None:
    camera = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    frame = RgbdFrame(np.zeros((48, 64, 3), np.uint8), None, camera, fixed_from_camera=pose)
    before = np.eye(4)
    before[:3, 3] = (1, 2, 3)
    assert np.allclose(View.of(frame, before).pose, before)
    assert np.allclose(View.of(frame, None).pose, np.eye(4))
