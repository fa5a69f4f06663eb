"""Tests for imitation/retargeting.py, its solvers, joint_limits.py, tasks.py and target_filter.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.imitation_motion import robot_as_person, skeleton_of
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.joint_limits import JointLimits
from pose_perception.imitation.retargeting import JointCommand, Retargeter, RetargetingConfig
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import robot_names
from pose_perception.imitation.target_filter import (
    FilterConfig,
    TargetFilter,
    TorsoFilter,
    VectorFilter,
    still,
    torso_filter_config,
)
from pose_perception.imitation.targets import ArmTarget
from pose_perception.imitation.tasks import TaskConfig, arm_tasks, rotation_vector, toward
from pose_perception.imitation.urdf import rotation_about, rotation_from_rpy

SOLVERS = ["qp", "least_squares"]


def _targets(robot: Robot, q: np.ndarray, with_tool: bool = False) -> dict[str, ArmTarget]:
    found = {}
    for name in robot.arms:
        points = robot.points(q, name)
        found[name] = ArmTarget(points.upper, points.forearm, points.tool[:3, :3] if with_tool else None)
    return found


def _hold(
    retargeter: Retargeter, targets: dict[str, ArmTarget], seconds: float, start_s: float = 0.0
) -> list[JointCommand]:
    commands = []
    for tick in range(round(100 * seconds)):
        now = start_s + tick / 100
        if tick % 3 == 0:
            retargeter.observe(now, targets)
        commands.append(retargeter.step(now))
    return commands


def _near_rest(robot: Robot, seed: int, room: float = 0.5) -> np.ndarray:
    change = np.random.default_rng(seed).uniform(-room, room, len(robot.joints))
    return np.clip(robot.rest + change, robot.lower + 0.05, robot.upper - 0.05)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["panda", "g1", "ur5", "so101"])
def test_a_pose_that_is_held_is_reached(name: str, solver: str) -> None:
    robot = load_robot(name)
    goal = _near_rest(robot, 1)
    retargeter = Retargeter(robot, None, RetargetingConfig(solver=solver))
    last = _hold(retargeter, _targets(robot, goal, with_tool=True), 5.0)[-1]
    assert last.is_following
    for arm in robot.arms:
        made, wanted = robot.points(last.q, arm), robot.points(goal, arm)
        assert made.upper @ wanted.upper > np.cos(np.radians(1.0))
        assert made.forearm @ wanted.forearm > np.cos(np.radians(1.0))
        assert np.linalg.norm(rotation_vector(made.tool[:3, :3] @ wanted.tool[:3, :3].T)) < 0.02


def _check_limits(robot: Robot, start: np.ndarray, commands: list[JointCommand], step_s: float) -> None:
    q = np.stack([start, *(command.q for command in commands)])
    speed = np.vstack([np.zeros(len(start)), np.diff(q, axis=0) / step_s])
    assert np.all(q >= robot.lower - 1e-9)
    assert np.all(q <= robot.upper + 1e-9)
    assert np.all(np.abs(speed) <= robot.velocity + 1e-9)
    assert np.all(np.abs(np.diff(speed, axis=0)) / step_s <= robot.acceleration + 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", robot_names())
def test_nothing_makes_it_exceed_a_limit_or_touch_itself(name: str, solver: str) -> None:
    robot = load_robot(name)
    capsules = load_capsules(name, robot.kinematics)
    retargeter = Retargeter(robot, capsules, RetargetingConfig(solver=solver))
    retargeter.reset(robot.rest)
    generator, commands = np.random.default_rng(5), []
    for tick in range(400):
        # Directions that jump every tenth of a second, with gaps, each arm on its own.
        if tick % 10 == 0:
            jump = {
                arm: ArmTarget(*(v / np.linalg.norm(v) for v in generator.normal(size=(2, 3))))
                for arm in robot.arms
                if generator.random() < 0.8
            }
        if tick // 100 != 2:
            retargeter.observe(tick / 100, jump)
        commands.append(retargeter.step(tick / 100))
    _check_limits(robot, robot.rest, commands, 0.01)
    q = np.stack([command.q for command in commands])
    assert capsules.nearest(robot.kinematics.bodies(q)).distances.min() > 0.02
    assert np.abs(np.diff(q, axis=0)).max() > 0.001  # it did move


def test_arms_that_are_driven_through_each_other_stay_apart() -> None:
    robot = load_robot("baxter")
    capsules = load_capsules("baxter", robot.kinematics)
    crossed = {"left": np.array([0.6, -0.8, 0.0]), "right": np.array([0.6, 0.8, 0.0])}
    targets = {arm: ArmTarget(direction, direction) for arm, direction in crossed.items()}
    free = _hold(Retargeter(robot, None, RetargetingConfig()), targets, 4.0)[-1]
    assert capsules.nearest(robot.kinematics.bodies(free.q)).distances.min() < 0.0
    guarded = _hold(Retargeter(robot, capsules, RetargetingConfig()), targets, 4.0)
    distances = capsules.nearest(robot.kinematics.bodies(np.stack([c.q for c in guarded]))).distances.min(axis=1)
    assert distances.min() > 0.022 - 1e-3
    assert distances[-1] == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize("outside", [0.0, 0.02, 0.3])
def test_the_first_command_is_near_where_the_robot_is(outside: float) -> None:
    robot = load_robot("panda")
    q = robot.rest.copy()
    q[3] = robot.upper[3] + outside
    retargeter = Retargeter(robot, load_capsules("panda", robot.kinematics), RetargetingConfig())
    retargeter.reset(q)
    commands = _hold(retargeter, _targets(robot, robot.rest), 6.0)
    assert np.all(np.abs(commands[0].q - q) <= robot.velocity * 0.01)
    steps = np.diff(np.stack([q, *(c.q for c in commands)]), axis=0)
    assert np.all(np.abs(steps) <= robot.velocity * 0.01 + 1e-9)
    assert commands[-1].q[3] <= robot.upper[3]


def test_without_targets_it_stands_still_and_stops_when_they_end() -> None:
    robot = load_robot("panda")
    retargeter = Retargeter(robot, None, RetargetingConfig())
    still_command = retargeter.step(0.0)
    np.testing.assert_array_equal(still_command.q, robot.rest)
    assert not still_command.is_following
    moving = _hold(retargeter, _targets(robot, _near_rest(robot, 2, 1.5)), 0.3)
    assert np.abs(moving[-1].velocity).max() > 0.1
    for tick in range(100):
        last = retargeter.step(0.3 + 0.5 + tick / 100)
    assert not last.is_following
    np.testing.assert_allclose(last.velocity, 0.0, atol=1e-9)


def test_a_wrong_measurement_is_refused() -> None:
    retargeter = Retargeter(load_robot("panda"), None, RetargetingConfig())
    for q in (np.zeros(6), np.full(7, np.nan)):
        with pytest.raises(InvalidInputError, match="7 finite joints"):
            retargeter.reset(q)


def test_a_clutch_target_moves_the_wrist_there() -> None:
    robot = load_robot("ur5")
    goal = robot.points(robot.rest, "single").wrist + np.array([0.05, 0.1, -0.05])
    last = _hold(Retargeter(robot, None, RetargetingConfig()), {"single": ArmTarget(wrist=goal)}, 4.0)[-1]
    np.testing.assert_allclose(robot.points(last.q, "single").wrist, goal, atol=2e-3)


def test_the_way_of_braking_ends_where_the_speed_does() -> None:
    robot = load_robot("g1")
    limits = JointLimits(robot, 0.01)
    velocity = np.random.default_rng(0).uniform(-1, 1, len(robot.joints)) * robot.velocity
    way = limits.braking(robot.rest, velocity, 50)
    expected = robot.rest + 0.01 * velocity + velocity * np.abs(velocity) / (2 * robot.acceleration)
    np.testing.assert_allclose(way[-1], expected, atol=1e-12)


def test_bounds_let_a_joint_stop_at_its_limit() -> None:
    robot = load_robot("panda")
    limits = JointLimits(robot, 0.01)
    q, velocity = robot.rest.copy(), np.zeros(7)
    for _ in range(1000):
        velocity = limits.bounds(q, velocity).upper
        q = q + 0.01 * velocity
        assert np.all(q <= robot.upper + 1e-12)
    np.testing.assert_allclose(q, robot.upper, atol=1e-3)


def test_tasks_vanish_where_the_target_is() -> None:
    robot = load_robot("g1")
    q = _near_rest(robot, 4)
    bodies = robot.kinematics.bodies(q)
    moving = still(_targets(robot, q, with_tool=True))["left"]
    jacobian, wanted = arm_tasks(robot, robot.arms["left"], bodies, robot.kinematics.axes(bodies), moving, TaskConfig())
    assert jacobian.shape == (9, 14)
    np.testing.assert_allclose(wanted, 0.0, atol=1e-6)
    assert np.all(jacobian[:, robot.arms["right"].joints] == 0.0)


def test_velocities_can_stop_at_the_target() -> None:
    np.testing.assert_allclose(toward(np.array([0.001, 0, 0]), 10.0, 2.0), [0.01, 0, 0])
    np.testing.assert_allclose(toward(np.array([1.0, 0, 0]), 10.0, 2.0), [2.0, 0, 0])


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.5, 3.0, np.pi])
def test_rotation_vectors(angle: float) -> None:
    axis = np.array([0.6, 0.0, 0.8])
    vector = rotation_vector(rotation_about(axis, angle))
    np.testing.assert_allclose(np.abs(vector), np.abs(angle * axis), atol=1e-6)


def test_the_filter_has_no_lag_in_even_motion_and_less_noise_at_rest() -> None:
    generator, config = np.random.default_rng(0), FilterConfig()
    moving, resting = VectorFilter(config, True), VectorFilter(config, True)
    errors, noises = [], []
    for i in range(300):
        t = i / 30
        true = np.array([np.cos(t), np.sin(t), 0.0])
        moving.measure(t, true)
        resting.measure(t, np.array([0.0, 0.0, 1.0]) + generator.normal(0, 0.05, 3))
        found, rested = moving.predict(t), resting.predict(t)
        assert found is not None
        assert rested is not None
        errors.append(np.linalg.norm(found[0] - true))
        noises.append(np.linalg.norm(rested[0][:2]))
    assert max(errors[60:]) < 0.03  # radians, at one radian per second
    assert np.sqrt(np.mean(np.square(noises[60:]))) < 0.6 * 0.05 * np.sqrt(2)


def test_the_filter_predicts_holds_and_forgets() -> None:
    vector = VectorFilter(FilterConfig(hold_s=0.1, forget_s=0.5), False)
    assert vector.predict(0.0) is None
    for i in range(60):
        vector.measure(i / 30, np.array([i / 30, 0.0, 0.0]))
    last = 59 / 30
    ahead, held = vector.predict(last + 0.05), vector.predict(last + 0.3)
    assert ahead is not None
    assert held is not None
    assert ahead[0][0] == pytest.approx(last + 0.05, abs=0.01)
    assert held[0][0] == pytest.approx(last + 0.1, abs=0.01)
    np.testing.assert_array_equal(held[1], 0.0)
    assert vector.predict(last + 0.6) is None


def test_not_a_number_does_not_reach_the_filter() -> None:
    target_filter = TargetFilter(FilterConfig())
    tool = rotation_from_rpy(0.3, 0.2, 0.1)
    target_filter.measure(0.0, ArmTarget(np.array([0.0, 0.0, 1.0]), np.full(3, np.nan), tool, 0.5))
    found = target_filter.predict(0.01).target
    assert found.forearm is None
    assert found.opening == 0.5
    np.testing.assert_allclose(found.tool, tool, atol=1e-9)
    target_filter.measure(0.03, replace(found, upper=np.full(3, np.nan), opening=np.nan))
    assert np.all(np.isfinite(target_filter.predict(0.04).target.upper))


def test_the_torso_is_calmer_than_it_is_seen_and_turns_without_lag() -> None:
    robot, generator = load_robot("panda"), np.random.default_rng(0)
    points = robot_as_person(robot, robot.rest)
    rates = {"resting": 0.0, "turning": 0.5}
    for rate in rates.values():
        torso, noisy, smooth = TorsoFilter(torso_filter_config()), [], []
        for i in range(300):
            turn = rotation_from_rpy(0.0, rate * i / 30, 0.0)
            true = skeleton_of({n: turn @ p for n, p in points.items()}).camera_from_torso
            seen = skeleton_of({n: turn @ p + generator.normal(0, 0.01, 3) for n, p in points.items()})
            found = torso.smooth(i / 30, seen)
            assert true is not None
            assert seen.camera_from_torso is not None
            assert found.camera_from_torso is not None
            np.testing.assert_array_equal(found.camera_from_torso[:3, 3], seen.camera_from_torso[:3, 3])
            for pose, errors in ((seen.camera_from_torso, noisy), (found.camera_from_torso, smooth)):
                errors.append(np.linalg.norm(rotation_vector(pose[:3, :3] @ true[:3, :3].T)))
        assert np.mean(smooth[90:]) < 0.7 * np.mean(noisy[90:])
    nobody = replace(seen, camera_from_torso=None)
    assert torso.smooth(20.0, nobody) is nobody
