"""Tests for imitation/closed_form.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.closed_form import ClosedForm, shortest_rotation
from pose_perception.imitation.robot import load_robot

ARMS = [
    *(
        ("panda", "single"),
        ("xarm7", "single"),
        ("baxter", "left"),
        ("baxter", "right"),
        ("g1", "left"),
        ("g1", "right"),
    ),
    *(("tiago_dual", "left"), ("tiago_dual", "right"), ("tiago_pro", "left"), ("tiago_pro", "right")),
]


@pytest.mark.parametrize(("name", "side"), ARMS)
def test_joints_come_back_from_the_pose_that_they_make(name: str, side: str) -> None:
    robot = load_robot(name)
    solver, own = ClosedForm(robot, side), robot.arms[side].joints
    generator = np.random.default_rng(1)
    for q in generator.uniform(robot.lower, robot.upper, (200, len(robot.joints))):
        points = robot.points(q, side)
        near = np.clip(q[own] + generator.uniform(-0.05, 0.05, 7), robot.lower[own], robot.upper[own])
        solution = solver.solve(points.upper, points.forearm, points.tool[:3, :3], near)
        again = q.copy()
        again[own] = solution.q
        reached = robot.points(again, side)
        assert solution.reached
        np.testing.assert_allclose(reached.upper, points.upper, atol=2e-5)
        np.testing.assert_allclose(reached.forearm, points.forearm, atol=2e-5)
        np.testing.assert_allclose(reached.tool[:3, :3], points.tool[:3, :3], atol=2e-5)


@pytest.mark.parametrize(("name", "side"), ARMS)
def test_it_finds_the_solution_in_the_limits_from_far_away(name: str, side: str) -> None:
    robot = load_robot(name)
    solver, own = ClosedForm(robot, side), robot.arms[side].joints
    for q in np.random.default_rng(2).uniform(robot.lower, robot.upper, (100, len(robot.joints))):
        points = robot.points(q, side)
        solution = solver.solve(points.upper, points.forearm, points.tool[:3, :3], robot.rest[own])
        assert solution.reached
        assert np.all(solution.q >= robot.lower[own])
        assert np.all(solution.q <= robot.upper[own])


def test_without_an_orientation_the_wrist_stays() -> None:
    robot = load_robot("panda")
    points = robot.points(robot.rest + 0.3, "single")
    solution = ClosedForm(robot, "single").solve(points.upper, points.forearm, None, robot.rest)
    np.testing.assert_allclose(solution.q[4:], robot.rest[4:], atol=1e-12)
    np.testing.assert_allclose(robot.points(solution.q, "single").forearm, points.forearm, atol=1e-9)


def test_what_cannot_be_reached_is_said_and_stays_in_the_limits() -> None:
    robot = load_robot("panda")
    down = np.array([0.0, 0.0, -1.0])
    solution = ClosedForm(robot, "single").solve(down, down, None, robot.rest)
    assert not solution.reached
    assert np.all((solution.q >= robot.lower) & (solution.q <= robot.upper))


def test_arms_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="6 joints"):
        ClosedForm(load_robot("ur5"), "single")


def test_shortest_rotation_turns_opposite_vectors() -> None:
    start = np.array([0.6, 0.0, 0.8])
    np.testing.assert_allclose(shortest_rotation(start, -start) @ start, -start, atol=1e-12)
