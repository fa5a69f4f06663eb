"""Tests for ros/frame_tree.py, against the motions that its transforms are samples of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.errors import InvalidInputError
from pose_perception.ros.frame_tree import FrameTree

S = 1_000_000_000
NO_TURN = (0.0, 0.0, 0.0, 1.0)


def shift(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def driving(time_s: float) -> tuple[float, ...]:
    """A robot that drives a circle: 0.5 m/s, 0.4 rad/s."""
    turn = Rotation.from_rotvec([0, 0, 0.4 * time_s])
    x, y, z = turn.apply([0, -1.25, 0]).tolist()
    return (x, y + 1.25, z, *turn.as_quat().tolist())


def matrix(numbers: tuple[float, ...]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(numbers[3:]).as_matrix(), numbers[:3]
    return pose


def recorded(motion: Callable[[float], tuple[float, ...]], rate_hz: float, duration_s: float) -> FrameTree:
    """A tree with a camera on a robot that moves in odom."""
    tree = FrameTree()
    tree.add_fixed("base", "camera", (0.1, 0.0, 0.5, *NO_TURN))
    for i in range(round(duration_s * rate_hz) + 1):
        tree.add("odom", "base", round(i * S / rate_hz), motion(i / rate_hz))
    return tree


def test_frames_are_connected_through_their_common_ancestor() -> None:
    turn = np.array([[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    tree = FrameTree()
    tree.add_fixed("base", "camera", (1.0, 0.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)))
    tree.add_fixed("camera", "color", (0.1, 0.0, 0.0, *NO_TURN))
    tree.add_fixed("/camera", "/depth", (0.0, 0.2, 0.0, *NO_TURN))
    np.testing.assert_allclose(tree.lookup("color", "depth"), shift(-0.1, 0.2), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("base", "color"), turn @ shift(0.1), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("color", "base"), np.linalg.inv(turn @ shift(0.1)), atol=1e-12)


def test_unconnected_frames_and_cycles_give_nothing() -> None:
    tree = FrameTree()
    for parent, child in (("a", "b"), ("b", "a"), ("x", "y")):
        tree.add_fixed(parent, child, (0.0, 0.0, 0.0, *NO_TURN))
    assert tree.lookup("a", "y") is None
    assert tree.lookup("a", "unknown") is None


@pytest.mark.parametrize("time_s", [0.0, 1.0, 1.013, 1.05, 1.999])
def test_pose_is_that_of_the_asked_time(time_s: float) -> None:
    tree = recorded(driving, 10.0, 2.0)
    expected = matrix(driving(time_s)) @ shift(0.1, 0.0, 0.5)
    found = tree.lookup("odom", "camera", round(time_s * S))
    np.testing.assert_allclose(found, expected, atol=3e-4)  # a chord of 5 cm lies 0.25 mm off the arc


def test_motion_is_continued_for_a_moment_after_the_newest_transform() -> None:
    tree = recorded(driving, 50.0, 2.0)
    newest = matrix(driving(2.0)) @ shift(0.1, 0.0, 0.5)
    for ahead_s in (0.02, 0.1, 0.2):
        expected = matrix(driving(2.0 + ahead_s)) @ shift(0.1, 0.0, 0.5)
        found = tree.lookup("odom", "camera", round((2.0 + ahead_s) * S))
        error, unmoved = (np.linalg.norm(pose[:3, 3] - expected[:3, 3]) for pose in (found, newest))
        assert error < 0.1 * unmoved
        np.testing.assert_allclose(found[:3, :3], expected[:3, :3], atol=1e-6)
    assert tree.lookup("odom", "camera", round(2.3 * S)) is None
    assert tree.lookup("odom", "camera", -S) is None


def test_one_transform_says_nothing_of_the_motion_after_it() -> None:
    tree = FrameTree()
    tree.add("odom", "base", S, (1.0, 0.0, 0.0, *NO_TURN))
    assert tree.lookup("odom", "base", S)[0, 3] == 1.0
    assert tree.lookup("odom", "base", S + S // 50) is None


def test_noise_of_odometry_is_not_blown_up_by_continuing() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        noisy = recorded(lambda t: (0.3 * t + rng.normal(0, 0.002), 0.0, 0.0, *NO_TURN), 100.0, 0.5)
        errors.append(noisy.lookup("odom", "base", round(0.6 * S))[0, 3] - 0.18)
    assert np.std(errors) < 3 * 0.002


def test_what_moves_is_unknown_without_a_time() -> None:
    tree = recorded(driving, 10.0, 1.0)
    assert tree.lookup("odom", "camera") is None
    assert tree.lookup("base", "camera") is not None


def test_transforms_may_come_late_or_twice() -> None:
    tree = FrameTree()
    for stamp, x in ((0, 0.0), (2 * S, 2.0), (S, 1.5), (2 * S, 2.0)):
        tree.add("odom", "base", stamp, (x, 0.0, 0.0, *NO_TURN))
    assert tree.lookup("odom", "base", S // 2)[0, 3] == pytest.approx(0.75)
    assert tree.lookup("odom", "base", 3 * S // 2)[0, 3] == pytest.approx(1.75)


def test_recording_that_begins_again_is_not_mixed_with_its_first_pass() -> None:
    tree = FrameTree()
    for stamp in (100 * S, 101 * S, 102 * S):
        tree.add("odom", "base", stamp, (9.0, 0.0, 0.0, *NO_TURN))
    for stamp in (98 * S, 99 * S):
        tree.add("odom", "base", stamp, (1.0, 0.0, 0.0, *NO_TURN))
    assert tree.lookup("odom", "base", 98 * S + S // 2)[0, 3] == pytest.approx(1.0)
    assert tree.lookup("odom", "base", 100 * S) is None


def test_frame_with_a_new_parent_forgets_the_old_one() -> None:
    tree = FrameTree()
    tree.add("left_hand", "cup", 0, (1.0, 0.0, 0.0, *NO_TURN))
    tree.add("right_hand", "cup", S, (2.0, 0.0, 0.0, *NO_TURN))
    assert tree.lookup("left_hand", "cup", S) is None
    assert tree.lookup("right_hand", "cup", S)[0, 3] == 2.0


def test_memory_is_bounded_in_time_and_frames() -> None:
    tree = FrameTree()
    for i in range(2000):
        tree.add("odom", "base", i * S // 50, (0.0, 0.0, 0.0, *NO_TURN))
        tree.add("camera", f"body_p{i}", i * S // 50, (0.0, 0.0, 0.0, *NO_TURN))
    assert len(tree._moving) <= 500
    assert len(tree._moving["base"]._stamps) <= 251  # 5 s
    assert tree.lookup("odom", "base", 39 * S) is not None
    assert tree.lookup("odom", "base", 30 * S) is None
    assert not tree.is_known("body_p0")


@pytest.mark.parametrize("numbers", [(0.0,) * 7, (np.nan, 0.0, 0.0, *NO_TURN), (0.0, 0.0, np.inf, *NO_TURN)])
def test_rubbish_is_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError):
        FrameTree().add("odom", "base", 0, numbers)
