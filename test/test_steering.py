"""Tests for imitation/steering.py and imitation/closed_form_solver.py: sessions with other ways than the default."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import Skeleton
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.imitator import ImitationConfig
from pose_perception.imitation.retargeting import Retargeter, RetargetingConfig
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.supervisor import State
from pose_perception.imitation.targets import MappingConfig
from pose_perception.imitation.workspace import WorkspaceConfig

_SPEC = importlib.util.spec_from_file_location("operators", Path(__file__).with_name("operators.py"))
operators = sys.modules["operators"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operators)
FORWARD, LEFT, UP = operators.FORWARD, operators.LEFT, operators.UP
DOWN = (-UP, FORWARD)


def shown(arms: Callable[[float], tuple[np.ndarray, np.ndarray]]) -> Callable[[float, list[Skeleton]], tuple]:
    """A camera that sees both arms in a pose that depends on the time."""

    def see(stamp_s: float, people: list[Skeleton]) -> tuple[float, list[Skeleton]]:
        pose = arms(stamp_s)
        return stamp_s, [operators.posed(people[0], {"left": pose, "right": pose})]

    return see


def steered(name: str, scale: float = 1.0, **options: object) -> operators.Session:
    """A session in which the person's wrists steer; the arms hang with forearms forward."""
    robot = load_robot(name)
    mapping = MappingConfig(mode="clutch", clutch_scale=scale)
    config = replace(ImitationConfig(), mapping=mapping, workspace=WorkspaceConfig(tool_speed=1.0), **options)
    session = operators.Session(robot, operators.swaying(robot), config, noise_m=0.001)
    session.see = shown(lambda time_s: DOWN)
    return session


def forearm(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Arms whose forearms are turned upwards by an angle, radians."""
    return -UP, np.cos(angle) * FORWARD + np.sin(angle) * UP


@pytest.mark.parametrize(("name", "scale"), [("panda", 1.0), ("ur5", 1.0), ("g1", 0.5)])
def test_wrists_move_as_those_of_the_person_from_where_they_are(name: str, scale: float) -> None:
    session = steered(name, scale)
    robot = session.robot
    homes = {arm: robot.points(session.q, arm).wrist for arm in robot.arms}
    assert session.start() == State.ACTIVE
    for arm, home in homes.items():
        assert np.linalg.norm(robot.points(session.q, arm).wrist - home) < 0.015
    session.see = shown(lambda time_s: forearm(0.6))
    session.run(4.0)
    # The forearm of the person is 0.25 m long.
    moved = scale * 0.25 * (np.array(forearm(0.6)[1]) - FORWARD)
    for arm, home in homes.items():
        made = robot.points(session.q, arm).wrist - home
        np.testing.assert_allclose(made, robot.base_from_torso @ moved, atol=0.015)


def test_person_who_moves_while_the_robot_holds_moves_nothing() -> None:
    session = steered("panda")
    session.start()
    session.see = lambda stamp_s, people: (stamp_s, [])
    assert session.run(0.5) == State.HOLDING
    held = session.robot.points(session.q, "single").wrist
    session.see = shown(lambda time_s: forearm(0.8))
    assert session.run(2.5) in (State.ENABLING, State.ACTIVE)
    assert np.linalg.norm(session.robot.points(session.q, "single").wrist - held) < 0.015


@pytest.mark.parametrize("name", ["panda", "tiago_pro"])
def test_closed_form_follows_in_all_limits(name: str) -> None:
    robot = load_robot(name)
    config = replace(
        ImitationConfig(),
        retargeting=RetargetingConfig(solver="closed_form"),
        workspace=WorkspaceConfig(tool_speed=1.5),
    )
    session = operators.Session(robot, operators.swaying(robot, 0.15, 0.1), config)
    assert session.start() == State.ACTIVE
    session.run(4.0)
    assert session.states[-1] == State.ACTIVE
    q = np.stack([command.q for _, command in session.commands])
    velocity = np.stack([command.velocity for _, command in session.commands])
    assert (np.abs(velocity) <= robot.velocity + 1e-6).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= robot.acceleration / operators.ROBOT_HZ + 1e-6).all()
    assert ((q >= robot.lower - 1e-6) & (q <= robot.upper + 1e-6)).all()
    wanted = session.pose(session.time_s - 0.1)
    for arm in robot.arms:
        made, goal = robot.points(session.q, arm), robot.points(wanted, arm)
        assert made.upper @ goal.upper > np.cos(np.radians(8))
        assert made.forearm @ goal.forearm > np.cos(np.radians(8))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the closed form does not fit arm single of ur5"):
        Retargeter(load_robot("ur5"), None, RetargetingConfig(solver="closed_form"))
    with pytest.raises(ConfigurationError, match=r"mapping\.mode clutch needs another solver"):
        steered("panda", retargeting=RetargetingConfig(solver="closed_form"))
