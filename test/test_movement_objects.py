"""Tests for imitation/tool_ik.py, movement.py and evaluation/demonstrations.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.demonstrations import measure_demonstrations, reachable_places, show
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.movement import first_pose, learn_movement, load_movement, reproduce, save_movement
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.tool_ik import solve_tool


@pytest.mark.parametrize("name", ["panda", "ur5", "g1", "tiago_pro"])
def test_poses_that_the_tool_can_have_are_found_in_the_limits(name: str) -> None:
    robot, generator = load_robot(name), np.random.default_rng(0)
    for arm in robot.arms:
        for _ in range(20):
            q = np.clip(robot.rest + generator.uniform(-0.5, 0.5, len(robot.rest)), robot.lower, robot.upper)
            goal = robot.points(q, arm).tool
            solution = solve_tool(robot, arm, goal, robot.rest, robot.rest)
            made = robot.points(solution.q, arm).tool
            np.testing.assert_allclose(made, goal, atol=1e-3)
            assert (solution.q >= robot.lower).all()
            assert (solution.q <= robot.upper).all()
            others = np.ones(len(q), dtype=bool)
            others[robot.arms[arm].joints] = False
            np.testing.assert_array_equal(solution.q[others], robot.rest[others])


def test_a_pose_out_of_reach_is_told_as_far_as_it_is() -> None:
    robot = load_robot("panda")
    goal = robot.points(robot.rest, "single").tool.copy()
    goal[:3, 3] = [2.0, 0.0, 0.4]
    solution = solve_tool(robot, "single", goal, robot.rest, robot.rest)
    place = robot.points(solution.q, "single").tool[:3, 3]
    assert solution.position_error_m == pytest.approx(float(np.linalg.norm(place - goal[:3, 3])))
    assert solution.position_error_m > 0.8
    assert (solution.q <= robot.upper).all()


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("panda")


@pytest.fixture(scope="module")
def taught(robot: Robot) -> list[Demonstration]:
    generator = np.random.default_rng(7)
    places = reachable_places(robot, "single", load_capsules("panda", robot.kinematics), 3, generator)
    demos = [show(robot, "single", place, generator) for place in places]
    opening = np.where(np.arange(len(demos[0])) < len(demos[0]) - 20, 1.0, 0.0)
    return [replace(demo, openings={"single": opening}) for demo in demos]


def test_an_object_moved_with_the_robots_start_moves_the_whole_way(robot: Robot, taught: list[Demonstration]) -> None:
    # What is learned is relative: turning object and tool about the first axis, which is vertical, turns the motion.
    movement = learn_movement(robot, taught, "object")
    place = first_pose(taught[0], "object", 0.5)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 0.4).as_matrix()
    start = robot.rest.copy()
    turned = start.copy()
    turned[0] += 0.4
    one, other = (reproduce(movement, robot, q, at) for q, at in ((start, place), (turned, turn @ place)))
    tools = [robot.points(motion.q, "single").tool for motion in (one, other)]
    np.testing.assert_allclose(turn @ tools[0], tools[1], atol=2e-3)
    np.testing.assert_allclose(one.q[0], start, atol=1e-6)
    np.testing.assert_allclose(tools[0][-1, :3, 3], place[:3, 3], atol=0.01)
    # The gripper closes at the end, as it was shown.
    assert one.openings["single"][0] == 1.0
    assert one.openings["single"][-1] == 0.0


def test_movements_are_read_back_as_they_were_written(
    robot: Robot, taught: list[Demonstration], tmp_path: Path
) -> None:
    place = first_pose(taught[1], "object", 0.5)
    for name in ("", "object"):
        movement = learn_movement(robot, taught, name)
        save_movement(movement, tmp_path / "movement.npz")
        again = load_movement(tmp_path / "movement.npz")
        motions = [reproduce(m, robot, robot.rest, place).q for m in (movement, again)]
        np.testing.assert_array_equal(*motions)
    with pytest.raises(InvalidInputError):
        load_movement(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InvalidInputError, match="is no learned movement"):
        load_movement(tmp_path / "other.npz")


def test_without_an_object_the_joints_are_repeated(robot: Robot, taught: list[Demonstration]) -> None:
    motion = reproduce(learn_movement(robot, taught[:1]), robot, taught[0].q[0])
    assert motion.duration_s == pytest.approx(taught[0].duration_s)
    shown = np.stack([np.interp(motion.times_s, taught[0].times_s, c) for c in taught[0].q.T], axis=1)
    np.testing.assert_allclose(motion.q, shown, atol=0.02)


def test_what_cannot_be_learned_or_made_is_refused(robot: Robot, taught: list[Demonstration]) -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        learn_movement(robot, [])
    with pytest.raises(InvalidInputError, match="does not show object 'cup'; it shows object"):
        learn_movement(robot, taught, "cup")
    with pytest.raises(InvalidInputError, match="no arm 'left'"):
        learn_movement(robot, taught, "object", "left")
    with pytest.raises(InvalidInputError, match="has joints"):
        learn_movement(load_robot("ur5"), taught)
    movement = learn_movement(robot, taught, "object")
    far = np.eye(4)
    far[0, 3] = 2.0
    with pytest.raises(InvalidInputError, match="object is out of reach"):
        reproduce(movement, robot, robot.rest, far)
    with pytest.raises(InvalidInputError, match="where is object"):
        reproduce(movement, robot, robot.rest)
    with pytest.raises(InvalidInputError, match="in radians"):
        reproduce(movement, robot, np.full(7, np.nan), far)


def test_five_demonstrations_are_enough_for_twenty_places(robot: Robot) -> None:
    figures = measure_demonstrations(robot, load_capsules("panda", robot.kinematics))
    assert figures.refused == []
    assert len(figures.errors_m) == 20
    assert max(figures.errors_m) < 0.015
    assert figures.position == figures.velocity == figures.acceleration == 0
    assert figures.first_steps <= 1
