"""Tests for imitation/grippers.py: openings that are held, limited and measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pose_perception.imitation.grippers import Grippers, grippers_of, measured_openings, opening_at, position_at
from pose_perception.imitation.robot import Robot, load_robot


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("panda")


def test_gripper_is_left_alone_until_something_is_wanted_of_it(robot: Robot) -> None:
    grippers = Grippers(robot, 0.01, 2.0)
    assert math.isnan(grippers.step({})["single"])
    assert math.isnan(grippers.step({"single": math.nan})["single"])


def test_gripper_begins_where_it_is_and_moves_no_faster_than_allowed(robot: Robot) -> None:
    grippers = Grippers(robot, 0.01, 2.0)
    grippers.forget({"single": 0.9})
    made = [grippers.step({"single": 0.0})["single"] for _ in range(60)]
    assert made[0] == pytest.approx(0.88)
    np.testing.assert_allclose(np.diff(made)[:40], -0.02)
    assert made[-1] == 0.0


def test_gripper_holds_while_the_hand_is_not_seen(robot: Robot) -> None:
    grippers = Grippers(robot, 0.01, 2.0)
    assert grippers.step({"single": 0.3})["single"] == 0.3
    assert grippers.step({"single": math.nan})["single"] == 0.3
    assert grippers.step({})["single"] == 0.3


@pytest.mark.parametrize("name", ["panda", "baxter", "tiago_pro", "so101"])
def test_positions_and_openings_are_inverse(name: str) -> None:
    robot = load_robot(name)
    for arm, gripper in grippers_of(robot).items():
        assert position_at(gripper, 1.0) == gripper.open
        assert position_at(gripper, 0.0) == gripper.closed
        assert opening_at(gripper, np.array(position_at(gripper, 0.3))) == pytest.approx(0.3)
        assert measured_openings(robot, ["x", gripper.joint], np.array([0.0, gripper.closed])) == {arm: 0.0}
        assert measured_openings(robot, [gripper.joint], np.array([np.nan])) == {}


def test_robot_without_grippers_has_none() -> None:
    assert Grippers(load_robot("ur5"), 0.01, 2.0).step({"single": 1.0}) == {}
