"""Tests for imitation/joint_path.py: paths, how a controller follows them, and joints that have limits."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.joint_path import JointPath, PathFollower, SimulatedJoints, stopping_path


def path(times: list[float], positions: list[float], velocities: list[float]) -> JointPath:
    return JointPath(np.array(times), np.array(positions)[:, None], np.array(velocities)[:, None])


@pytest.mark.parametrize(
    ("times", "positions", "velocities"),
    [
        ([], [], []),
        ([0.1, 0.1], [0.0, 1.0], [0.0, 0.0]),  # the same moment twice
        ([0.2, 0.1], [0.0, 1.0], [0.0, 0.0]),
        ([-0.1, 0.1], [0.0, 1.0], [0.0, 0.0]),
        ([0.1], [np.nan], [0.0]),
        ([0.1], [0.0], [np.inf]),
        ([np.inf], [0.0], [0.0]),
    ],
)
def test_path_that_makes_no_sense_is_refused(
    times: list[float], positions: list[float], velocities: list[float]
) -> None:
    with pytest.raises(InvalidInputError):
        path(times, positions, velocities)


def test_stopping_path_begins_a_step_ahead_and_ends_at_rest() -> None:
    times = np.array([0.0, 0.05, 0.05, 0.1])
    found = stopping_path(0.01, times, np.zeros((4, 2)), np.array([[1.0, 1.0], [0.5, 0.5], [0.5, 0.5], [1e-17, 0.0]]))
    np.testing.assert_allclose(found.times_s, [0.01, 0.06, 0.11])
    np.testing.assert_array_equal(found.velocities[-1], 0.0)
    # A robot at rest has the same moment everywhere.
    still = stopping_path(0.01, np.zeros(5), np.ones((5, 2)), np.zeros((5, 2)))
    np.testing.assert_allclose(still.times_s, [0.01])


def test_follower_goes_through_every_moment_with_its_velocity_and_stays_at_the_end() -> None:
    follower = PathFollower(path([0.5, 1.0], [1.0, 1.5], [1.0, 0.0]), np.zeros(1), np.zeros(1))
    for time_s, position, velocity in ((0.0, 0.0, 0.0), (0.5, 1.0, 1.0), (1.0, 1.5, 0.0), (9.0, 1.5, 0.0)):
        q, v = follower.at(time_s)
        np.testing.assert_allclose([*q, *v], [position, velocity], atol=1e-12)
    times = np.linspace(0, 1, 1001)
    q = np.array([follower.at(t)[0][0] for t in times])
    v = np.array([follower.at(t)[1][0] for t in times])
    np.testing.assert_allclose(np.gradient(q, times)[1:-1], v[1:-1], atol=0.02)


def test_path_without_velocities_is_straight() -> None:
    follower = PathFollower(path([1.0, 2.0], [1.0, 3.0], [np.nan, np.nan]), np.zeros(1), np.zeros(1))
    np.testing.assert_allclose([follower.at(t)[0][0] for t in (0.25, 0.5, 1.5)], [0.25, 0.5, 2.0])
    np.testing.assert_allclose(follower.at(1.5)[1], 2.0)


def test_joints_reach_far_positions_within_their_limits_and_do_not_overshoot() -> None:
    joints = SimulatedJoints(np.zeros(2), np.array([1.5, 2.0]), np.array([8.0, 3.0]))
    joints.go(np.array([1.0, -0.5]))
    way, speeds = [], [joints.velocity]
    for _ in range(200):
        joints.step(0.01)
        way.append(joints.q)
        speeds.append(joints.velocity)
    np.testing.assert_allclose(way[-1], [1.0, -0.5], atol=1e-3)
    assert (np.abs(way) <= np.array([1.0, 0.5]) + 2e-3).all()
    assert (np.abs(speeds) <= np.array([1.5, 2.0]) + 1e-9).all()
    assert (np.abs(np.diff(speeds, axis=0)) <= np.array([8.0, 3.0]) * 0.01 + 1e-9).all()


def test_joints_follow_what_they_can_and_a_new_path_leads_on_from_the_last_one() -> None:
    joints = SimulatedJoints(np.zeros(1), np.array([2.0]), np.array([10.0]))
    wanted, velocity = 0.0, 0.0
    for _ in range(100):
        velocity = min(velocity + 0.05, 0.5)
        wanted += 0.01 * velocity
        joints.follow(
            stopping_path(0.01, np.array([0.0, 0.1]), np.array([[wanted], [wanted]]), np.full((2, 1), velocity))
        )
        joints.step(0.01)
        assert abs(joints.q[0] - wanted) < 1e-3
    # No other comes: the path goes on to its end.
    for _ in range(30):
        joints.step(0.01)
    assert joints.velocity[0] == pytest.approx(0.0, abs=1e-6)
    assert joints.q[0] == pytest.approx(wanted, abs=1e-3)
