"""Tests for imitation/demonstration.py, demonstration_editing.py, demonstration_csv.py and demonstration_files.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from pose_perception.errors import InvalidInputError, PosePerceptionError
from pose_perception.imitation.demonstration import CheckConfig, Demonstration, check
from pose_perception.imitation.demonstration_editing import resample, smooth, trim
from pose_perception.imitation.demonstration_files import read_demonstration, write_demonstration
from pose_perception.imitation.replay_plan import PlanLimits, plan_replay
from pose_perception.imitation.robot import Robot, load_robot


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("panda")


@pytest.fixture
def demo(robot: Robot) -> Demonstration:
    """Return a recording that stands still for a second at both ends of a motion of two."""
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0, 4, 200)) + 100.0
    share = np.clip((times - 101.0) / 2, 0, 1)
    q = robot.rest + 0.3 * (3 * share**2 - 2 * share**3)[:, None]
    poses = np.tile(np.eye(4), (200, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(np.outer(share, [0.2, 1.0, -0.4])).as_matrix()
    poses[:, :3, 3] = generator.normal(size=(200, 3))
    poses[20:30, :3] = np.nan
    opening = np.where(np.arange(200) < 50, np.nan, 0.5)
    points = generator.normal(size=(200, 3))
    points[:3] = np.nan
    return Demonstration(
        times, robot.joints, q, q + 0.01, {"single": opening}, {"red cup": poses}, {"left_wrist": points}, "taught"
    )


def assert_same(one: Demonstration, other: Demonstration) -> None:
    assert one.joints == other.joints
    for name in ("times_s", "q", "commands"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("openings", "objects", "keypoints"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("name", ["demo.csv", "demo.npz"])
def test_files_read_back_equal_bit_for_bit(demo: Demonstration, tmp_path: Path, name: str) -> None:
    write_demonstration(demo, tmp_path / name)
    assert_same(demo, read_demonstration(tmp_path / name))


@pytest.mark.parametrize("name", ["demo.csv", "demo.npz"])
def test_files_with_joints_alone_read_back(demo: Demonstration, tmp_path: Path, name: str) -> None:
    bare = Demonstration(demo.times_s, demo.joints, demo.q)
    write_demonstration(bare, tmp_path / name)
    assert read_demonstration(tmp_path / name).commands is None
    np.testing.assert_array_equal(read_demonstration(tmp_path / name).q, bare.q)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joint\n1\n2\n",  # no time
        "time_s,a\n0,1\n1\n",  # a cell is missing
        "time_s,a\n0,1\n1,x\n",  # no number
        "time_s,a\n0,1\n",  # one moment
        "time_s,a\n0,1\n0,2\n",  # times that stand still
        "time_s,a\n0,1\n1,\n",  # an unknown joint
        "time_s,a,a\n0,1,1\n1,2,2\n",  # a name twice
        "time_s,a,object/cup/xx\n0,1,1\n1,2,1\n",  # a pose with one entry
        "time_s,a,opening/single\n0,1,3\n1,2,1\n",  # an opening of 3
    ],
)
def test_tables_that_are_no_demonstration_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=r"demo\.csv"):
        read_demonstration(tmp_path / "demo.csv")


def test_pickled_objects_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "demo.npz", times_s=np.array([{"a": 1}], dtype=object))
    for name in ("demo.npz", "missing.npz", "missing.csv", "demo.pkl"):
        with pytest.raises(InvalidInputError, match=name.split(".")[0]):
            read_demonstration(tmp_path / name)


def test_what_breaks_a_demonstration_is_named_with_its_place(demo: Demonstration, robot: Robot) -> None:
    q = demo.q.copy()
    q[40, 3] = np.nan
    with pytest.raises(InvalidInputError, match=r"taught: position of panda_joint4 at frame 40 is nan"):
        replace(demo, q=q)
    q[40, 3] = 0.5
    with pytest.raises(InvalidInputError, match=r"panda_joint4 is at 0.5000 rad at frame 40 \(10"):
        check(replace(demo, q=q), robot)
    q[40, 3] = demo.q[40, 3] - 0.5
    with pytest.raises(InvalidInputError, match="panda_joint4 jumps at frame"):
        check(replace(demo, q=q), robot)
    late = demo.map_arrays(lambda values: np.delete(values, np.s_[60:80], axis=0))
    with pytest.raises(InvalidInputError, match=r"nothing for 0\.\d+ s after frame 59"):
        check(late, robot)
    poses = demo.objects["red cup"].copy()
    poses[7, :3, :3] *= 2
    with pytest.raises(InvalidInputError, match="pose of object red cup is no rigid transform at frame 7"):
        replace(demo, objects={"red cup": poses})
    with pytest.raises(InvalidInputError, match="has joints"):
        check(demo, load_robot("ur5"))


def test_a_good_demonstration_is_described(demo: Demonstration, robot: Robot) -> None:
    report = check(demo, robot, CheckConfig(largest_gap=0.5))
    assert report.frames == 200
    assert report.duration_s == pytest.approx(demo.times_s[-1] - demo.times_s[0])
    assert report.speed_share == pytest.approx(0.3 * 1.5 / 2 / robot.velocity.min(), rel=0.1)


def test_trimming_leaves_the_motion_and_its_margin(demo: Demonstration) -> None:
    trimmed = trim(demo, speed=0.02, margin_s=0.1)
    assert 100.85 < trimmed.times_s[0] < 101.1
    assert 102.9 < trimmed.times_s[-1] < 103.15
    assert len(trimmed.objects["red cup"]) == len(trimmed)
    # What is trimmed already stays as it is.
    assert len(trim(trimmed, speed=0.02, margin_s=0.1)) == len(trimmed)
    with pytest.raises(InvalidInputError, match="nothing moves"):
        trim(demo, speed=5.0)
    for speed, margin in ((0.0, 0.1), (np.nan, 0.1), (0.1, -1.0)):
        with pytest.raises(PosePerceptionError):
            trim(demo, speed, margin)


def test_resampling_agrees_with_independent_interpolation(demo: Demonstration) -> None:
    even = resample(demo, 30.0)
    np.testing.assert_allclose(np.diff(even.times_s), 1 / 30)
    assert even.times_s[0] == 0.0
    at = even.times_s + demo.times_s[0]
    for j in range(7):
        np.testing.assert_allclose(even.q[:, j], np.interp(at, demo.times_s, demo.q[:, j]), atol=1e-12)
    # Rotations by SciPy, where both neighbours are seen; nothing where one is not.
    right = np.searchsorted(demo.times_s, at, side="right")
    seen = np.isfinite(demo.objects["red cup"][:, 0, 0])
    both = seen[np.minimum(right, 199)] & seen[right - 1]
    poses = even.objects["red cup"]
    np.testing.assert_array_equal(np.isfinite(poses[:, 0, 0]), both)
    slerp = Slerp(demo.times_s[seen], Rotation.from_matrix(demo.objects["red cup"][seen, :3, :3]))
    np.testing.assert_allclose(poses[both, :3, :3], slerp(at[both]).as_matrix(), atol=1e-9)
    # Grippers keep what they had.
    assert np.isnan(even.openings["single"]).sum() == (at < demo.times_s[50]).sum()


def test_resampling_an_even_recording_at_its_rate_changes_nothing(demo: Demonstration) -> None:
    even = resample(demo, 50.0)
    again = resample(even, 50.0)
    np.testing.assert_allclose(again.q, even.q, atol=1e-12)
    for fps in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(PosePerceptionError):
            resample(demo, fps)


def swinging(robot: Robot, rate_hz: int) -> Demonstration:
    times = np.arange(0, 4, 1 / rate_hz)
    way = np.linspace(-1, 1, len(robot.rest)) * 0.25
    return Demonstration(times, robot.joints, robot.rest + np.sin(np.pi * times / 4)[:, None] ** 2 * way)


@pytest.mark.parametrize("rate_hz", [50, 100, 500])
def test_smoothing_takes_noise_away_and_leaves_the_motion(robot: Robot, rate_hz: int) -> None:
    clean = swinging(robot, rate_hz)
    noise = np.random.default_rng(0).normal(0, 3e-4, clean.q.shape)
    noisy = replace(clean, q=clean.q + noise)
    np.testing.assert_allclose(smooth(clean, 5.0).q, clean.q, atol=1e-5)
    smoothed = smooth(noisy, 5.0)
    np.testing.assert_array_equal(smoothed.times_s, noisy.times_s)
    assert np.abs(smoothed.q - clean.q).mean() < 0.5 * np.abs(noise).mean()
    limits = PlanLimits(0.01, 0.8, 0.225, 1.0)
    assert plan_replay(robot, noisy, robot.rest, limits).slowed > 1.2
    assert plan_replay(robot, smoothed, robot.rest, limits).slowed == 1.0


def test_half_is_left_of_changes_at_the_frequency(robot: Robot) -> None:
    times = np.arange(0, 10, 0.01)
    for frequency, left in ((1.0, 1.0), (5.0, 0.5), (20.0, 0.0)):
        sway = 0.1 * np.sin(2 * np.pi * frequency * times)
        demo = smooth(Demonstration(times, robot.joints, robot.rest + sway[:, None]), 5.0)
        middle = slice(300, 700)
        found = np.abs(demo.q[middle, 0] - robot.rest[0]).max() / 0.1
        assert found == pytest.approx(left, abs=0.02)


def test_recordings_that_are_slow_or_short_stay(robot: Robot, demo: Demonstration) -> None:
    slow = swinging(robot, 8)
    assert smooth(slow, 5.0) is slow
    with pytest.raises(PosePerceptionError, match="frequency must be positive"):
        smooth(demo, 0.0)
