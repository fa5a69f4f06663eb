"""Tests for evaluation/imitation_stream.py and evaluation/robot_drawing.py: what the demo says and shows."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.evaluation.imitation_stream import ImitationStatistics, imitation_table
from pose_perception.evaluation.robot_drawing import RobotDrawing
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.targets import ArmTarget
from pose_perception.imitation.urdf import rotation_about


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("g1")


def targets_of(robot: Robot, q: np.ndarray, turn: np.ndarray) -> dict[str, ArmTarget]:
    """Bones of a robot, all turned."""
    points = {name: robot.points(q, name) for name in robot.arms}
    return {name: ArmTarget(turn @ point.upper, turn @ point.forearm) for name, point in points.items()}


def test_angles_and_distances_are_those_of_the_bones(robot: Robot) -> None:
    statistics = ImitationStatistics(robot)
    statistics.add_person(targets_of(robot, robot.rest, np.eye(3)), robot.rest)
    summary = statistics.summary()
    assert summary.bone_angle_deg[1] < 0.01
    assert summary.wrist_m[1] < 2e-3
    statistics = ImitationStatistics(robot)
    point = robot.points(robot.rest, "left")
    axis = np.cross(point.upper, point.forearm)
    turn = rotation_about(axis / np.linalg.norm(axis), np.radians(10.0))
    statistics.add_person({"left": targets_of(robot, robot.rest, turn)["left"]}, robot.rest)
    summary = statistics.summary()
    assert summary.bone_angle_deg[0] == pytest.approx(10.0, abs=0.01)
    assert summary.wrist_m[0] == pytest.approx(
        2 * np.sin(np.radians(5)) * np.linalg.norm(point.wrist - point.shoulder), rel=0.02
    )


def test_time_is_counted_for_the_state_that_was(robot: Robot) -> None:
    statistics = ImitationStatistics(robot)
    for time_s, state in ((0.0, "disabled"), (1.0, "active"), (3.0, "active"), (4.0, "holding")):
        statistics.add_state(time_s, state, 0.05 if state == "active" else np.nan)
    summary = statistics.summary()
    assert summary.states_s == {"disabled": 1.0, "active": 3.0}
    assert summary.nearest_m == 0.05
    assert ("robot", "disabled 25 %, active 75 %") in imitation_table(summary)


def test_commands_beyond_a_limit_are_counted(robot: Robot) -> None:
    statistics = ImitationStatistics(robot)
    still = np.zeros_like(robot.rest)
    statistics.add_command(robot.rest, still, robot.rest + 0.01)
    statistics.add_command(robot.rest, 1.01 * robot.velocity, robot.rest)
    statistics.add_command(robot.upper + 0.01, still, None)
    summary = statistics.summary()
    assert (summary.commands, summary.beyond_limits) == (3, 2)
    assert summary.joint_error_rad[0] == pytest.approx(0.005)


def test_nothing_measured_is_said_to_be_unknown(robot: Robot) -> None:
    rows = dict(imitation_table(ImitationStatistics(robot).summary()))
    assert (rows["robot"], rows["image to command"], rows["events"]) == ("no status", "unknown", "none")


@pytest.mark.parametrize("name", ["g1", "panda", "tiago_dual"])
def test_raised_arms_are_drawn_higher_and_on_their_side(name: str) -> None:
    robot = load_robot(name)
    drawing = RobotDrawing(robot, load_capsules(name, robot.kinematics), 240)
    image = drawing.draw(robot.rest, {})
    assert image.shape == (240, 240, 3)
    assert 0.03 < (image < 240).any(axis=2).mean() < 0.8
    up = {
        arm: ArmTarget(robot.base_from_torso @ [0, 0, 1.0], robot.base_from_torso @ [0, 0, 1.0]) for arm in robot.arms
    }
    shown = np.abs(drawing.draw(robot.rest, up).astype(int) - image).any(axis=2)
    assert shown.any()
    rows = np.flatnonzero(shown.any(axis=1))
    assert rows[0] < rows[-1] - 20
    if "left" in up:
        left = np.abs(drawing.draw(robot.rest, {"left": up["left"]}).astype(int) - image).any(axis=2)
        assert np.flatnonzero(left.any(axis=0)).mean() > 120
