"""Tests for imitator.py and supervisor.py: clocks that are set back, commands that are late, and pauses."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.supervisor import MOVING, Reason, State

_SPEC = importlib.util.spec_from_file_location("operators", Path(__file__).with_name("operators.py"))
operators = sys.modules["operators"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operators)
Session, swaying = operators.Session, operators.swaying


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("panda")


def test_clock_that_is_set_back_ends_imitation_and_brings_the_robot_to_rest(robot: Robot) -> None:
    session = Session(robot, swaying(robot))
    assert session.start() == State.ACTIVE

    session.imitator.forget_times()
    session.time_s -= 50.0

    assert session.run(0.5) == State.DISABLED
    assert session.imitator.supervisor.reason == Reason.CLOCK_SET_BACK
    assert not session.velocity.any()
    # The switch that is still held does not count until it is released, and images of the new time do.
    assert session.imitator.enable(session.time_s) == Reason.DEADMAN_NEVER_RELEASED
    assert session.start() == State.ACTIVE


def test_pause_holds_what_is_held_already(robot: Robot) -> None:
    session = Session(robot, swaying(robot))
    session.start()
    session.is_pressed = False
    assert session.run(0.2) == State.HOLDING

    session.imitator.supervisor.hold()
    session.is_pressed = True

    assert session.run(0.3) == State.HOLDING
    assert session.imitator.supervisor.resume(session.time_s) is None
    assert session.run(0.1) in MOVING


@pytest.mark.parametrize("late_s", [0.005, 0.03, 0.1, 1.0])
def test_robot_that_went_along_the_stop_path_is_commanded_on_from_there(robot: Robot, late_s: float) -> None:
    session = Session(robot, swaying(robot, 0.4, 0.5))
    session.start()
    while np.abs(session.velocity).max() < 0.2:
        session.step()
    times, q, velocity = session.imitator.stop_path(200)

    session.imitator.coast(late_s, stays=False)
    command = session.imitator.step(session.time_s)

    assert command is not None
    step_s = session.config.retargeting.step_s
    for i in range(len(robot.joints)):
        there, speed = np.interp(late_s, times, q[:, i]), np.interp(late_s, times, velocity[:, i])
        assert abs(command.velocity[i] - speed) <= robot.acceleration[i] * step_s + 2e-2
        assert abs(command.q[i] - there) <= (abs(speed) + robot.acceleration[i] * step_s) * step_s + 1e-3


def test_robot_that_stood_at_the_last_position_starts_from_rest(robot: Robot) -> None:
    session = Session(robot, swaying(robot, 0.4, 0.5))
    session.start()
    while np.abs(session.velocity).max() < 0.2:
        session.step()

    session.imitator.coast(0.1, stays=True)
    command = session.imitator.step(session.time_s)

    assert command is not None
    step_s = session.config.retargeting.step_s
    assert (np.abs(command.velocity) <= robot.acceleration * step_s + 1e-9).all()
    assert (np.abs(command.q - session.q) <= robot.acceleration * step_s**2 + 1e-9).all()
