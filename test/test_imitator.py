"""Tests for imitation/imitator.py, supervisor.py, operator_check.py, command_guard.py and workspace.py.

A whole session without ROS: a camera with people, a robot with a delay of one command, and what can go wrong.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import Skeleton, TrackingState
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose
from pose_perception.imitation.command_guard import CommandGuard
from pose_perception.imitation.imitator import ImitationConfig
from pose_perception.imitation.operator_check import OperatorConfig, Refusal
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.supervisor import Reason, State, SupervisorConfig
from pose_perception.imitation.workspace import WorkspaceConfig

# Tests are imported by their paths, so that what they share is, too.
_SPEC = importlib.util.spec_from_file_location("operators", Path(__file__).with_name("operators.py"))
operators = sys.modules["operators"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operators)
Session, swaying, ROBOT_HZ = operators.Session, operators.swaying, operators.ROBOT_HZ

See = Callable[[float, list[Skeleton]], tuple[float, list[Skeleton]]]


@pytest.fixture(scope="module", params=["panda", "g1"])
def robot(request: pytest.FixtureRequest) -> Robot:
    return load_robot(request.param)


@pytest.fixture
def session(robot: Robot) -> Session:
    return Session(robot, swaying(robot))


def _moved(skeleton: Skeleton, change: Callable[[np.ndarray], np.ndarray], **fields: object) -> Skeleton:
    positions = change(skeleton.positions.copy())
    return replace(skeleton, positions=positions, camera_from_torso=torso_pose(positions, COCO_17), **fields)


def _swapped(positions: np.ndarray) -> np.ndarray:
    return positions[list(COCO_17.mirrored)]


def _jumping(positions: np.ndarray) -> np.ndarray:
    return positions + np.array([1.0, 0.0, 0.5])


def _not_a_number(positions: np.ndarray) -> np.ndarray:
    positions[[COCO_17.index["left_wrist"], COCO_17.index["right_wrist"]]] = np.nan
    return positions


def _stretched(positions: np.ndarray) -> np.ndarray:
    for side in ("left", "right"):
        elbow, wrist = COCO_17.index[f"{side}_elbow"], COCO_17.index[f"{side}_wrist"]
        positions[wrist] = positions[elbow] + 1.5 * (positions[wrist] - positions[elbow])
    return positions


def _nobody(stamp_s: float, people: list[Skeleton]) -> tuple[float, list[Skeleton]]:
    return stamp_s, []


def _with(change: Callable[[np.ndarray], np.ndarray]) -> See:
    return lambda stamp_s, people: (stamp_s, [_moved(person, change) for person in people])


def _frozen() -> See:
    first: list[Skeleton] = []

    def see(stamp_s: float, people: list[Skeleton]) -> tuple[float, list[Skeleton]]:
        first.extend(people[: 1 - len(first)])
        return stamp_s, first

    return see


def _stuck_stamp() -> See:
    first: list[float] = []

    def see(stamp_s: float, people: list[Skeleton]) -> tuple[float, list[Skeleton]]:
        first.extend([stamp_s][: 1 - len(first)])
        return first[0], people

    return see


FAULTS: dict[str, tuple[Callable[[], See], Refusal | None]] = {
    "nobody is seen": (lambda: _nobody, Refusal.OPERATOR_NOT_SEEN),
    "the tracker predicts": (
        lambda: lambda s, people: (s, [replace(p, tracking_state=TrackingState.PREDICTED) for p in people]),
        Refusal.OPERATOR_NOT_SEEN,
    ),
    "another person is there": (
        lambda: lambda s, people: (s, [replace(p, id="b7") for p in people]),
        Refusal.OPERATOR_NOT_SEEN,
    ),
    "the tracker is frozen": (_frozen, Refusal.FROZEN),
    "its stamps are frozen": (_stuck_stamp, Refusal.STAMP_NOT_NEWER),
    "stamps from the future": (lambda: lambda s, people: (s + 3.0, people), Refusal.STAMP_FROM_THE_FUTURE),
    "stamps that are no numbers": (lambda: lambda s, people: (float("nan"), people), Refusal.STAMP_FROM_THE_FUTURE),
    "old images": (lambda: lambda s, people: (s - 0.5, people), Refusal.TOO_OLD),
    "left and right changed places": (lambda: _with(_swapped), Refusal.SWAPPED_SIDES),
    "the identifier jumps to another person": (lambda: _with(_jumping), Refusal.JUMP),
    "NaN": (lambda: _with(_not_a_number), Refusal.NO_ARM),
    "longer forearms": (lambda: _with(_stretched), Refusal.BONE_LENGTH),
    "a picture": (lambda: lambda s, people: (s, [replace(p, is_flat=True) for p in people]), Refusal.FLAT),
    "no torso": (
        lambda: lambda s, people: (s, [replace(p, camera_from_torso=None) for p in people]),
        Refusal.NO_TORSO,
    ),
    "no confidence": (
        lambda: lambda s, people: (s, [replace(p, scores=0.1 * p.scores) for p in people]),
        Refusal.NO_ARM,
    ),
}


def test_nothing_moves_before_it_is_enabled(session: Session) -> None:
    assert session.run(2.0) == State.DISABLED
    assert not session.commands


def test_arms_follow_once_it_is_enabled(session: Session) -> None:
    session.pose = swaying(session.robot, rate_hz=0.1)
    assert session.start() == State.ACTIVE
    session.run(4.0)
    for arm in session.robot.arms:
        made, wanted = session.robot.points(session.q, arm), session.robot.points(session.pose(session.time_s), arm)
        assert made.upper @ wanted.upper > np.cos(np.radians(15))
        assert made.forearm @ wanted.forearm > np.cos(np.radians(20))


def test_the_first_command_is_where_the_robot_is_and_speed_ramps_up(session: Session) -> None:
    session.pose = lambda _: np.clip(session.robot.rest + 0.6, session.robot.lower + 0.1, session.robot.upper - 0.1)
    session.start()
    times, commands = zip(*session.commands, strict=True)
    assert (np.abs(commands[0].q - session.robot.rest) <= session.robot.velocity / ROBOT_HZ).all()
    supervisor = session.config.supervisor
    for time_s, command in zip(times, commands, strict=True):
        share = supervisor.first_speed + (1 - supervisor.first_speed) * (time_s - times[0] + 0.02) / supervisor.ramp
        assert (np.abs(command.velocity) <= min(share, 1.0) * session.robot.velocity + 1e-9).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_camera_holds_in_time_then_disables_and_has_a_name(session: Session, fault: str) -> None:
    make, refusal = FAULTS[fault]
    assert session.start() == State.ACTIVE
    session.see = make()
    first_bad = len(session.states)
    session.run(2.0)
    states = session.states[first_bad:]
    period_s = 1 / operators.CAMERA_HZ
    config = session.config.supervisor
    # A frozen tracker is known as such by its third equal frame only.
    slack_s = 2 * period_s + (3 * period_s if refusal == Refusal.FROZEN else 0.0)
    assert states.index(State.HOLDING) / ROBOT_HZ <= config.hold_after + slack_s
    assert states.index(State.DISABLED) / ROBOT_HZ <= config.disable_after + slack_s
    assert session.imitator.status(session.time_s).counts[refusal.value] > 0
    before = session.q
    session.run(0.5)
    assert (session.q == before).all()


def test_a_short_dropout_is_bridged_without_a_jerk(session: Session) -> None:
    session.start()
    session.see = _nobody
    session.run(0.6)
    assert session.states[-1] == State.HOLDING
    session.see = None
    session.run(session.config.supervisor.ramp + 0.5)
    assert session.states[-1] == State.ACTIVE
    velocity = np.array([command.velocity for _, command in session.commands])
    limit = session.robot.acceleration / ROBOT_HZ + 1e-6
    assert (np.abs(np.diff(velocity, axis=0)) <= limit).all()


def test_whoever_comes_in_does_not_take_over(session: Session) -> None:
    def see(stamp_s: float, people: list[Skeleton]) -> tuple[float, list[Skeleton]]:
        nearer = [_moved(p, lambda points: points * 0.6, id="b7") for p in people]
        return stamp_s, nearer + people

    session.start()
    session.see = see
    assert session.run(3.0) == State.ACTIVE
    assert session.imitator.status(session.time_s).operator == "a1"


def test_only_the_configured_operator_is_followed(robot: Robot) -> None:
    session = Session(robot, swaying(robot), ImitationConfig(operator=OperatorConfig(operator="c3")))
    session.is_pressed = False
    session.run(0.2)
    session.is_pressed = True
    session.run(0.2)
    assert session.imitator.enable(session.time_s) == Reason.NO_PERSON


def test_a_released_dead_man_switch_stops_at_once_and_pressing_it_again_goes_on(session: Session) -> None:
    session.start()
    session.is_pressed = False
    session.run(0.1)
    assert session.states[-1] == State.HOLDING
    session.run(1.0)
    at_rest = session.q
    session.run(0.5)
    assert (session.q == at_rest).all()
    session.is_pressed = True
    session.run(session.config.supervisor.ramp + 0.5)
    assert session.states[-1] == State.ACTIVE


def test_a_silent_dead_man_switch_counts_as_released(session: Session) -> None:
    session.start()
    session.is_pressed = None
    session.run(session.config.supervisor.deadman_timeout + 0.1)
    assert session.states[-1] == State.HOLDING
    assert session.run(1.0) == State.DISABLED


def test_a_dead_man_switch_that_was_never_released_does_not_enable(session: Session) -> None:
    session.run(1.0)
    assert session.imitator.enable(session.time_s) == Reason.DEADMAN_NEVER_RELEASED
    session.start()
    session.imitator.supervisor.disable()
    session.run(0.5)
    assert session.imitator.enable(session.time_s) == Reason.DEADMAN_NEVER_RELEASED


def test_without_joint_states_nothing_begins_and_what_moves_fails(session: Session) -> None:
    session.has_joints = False
    session.is_pressed = False
    session.run(0.2)
    session.is_pressed = True
    session.run(0.2)
    assert session.imitator.enable(session.time_s) == Reason.JOINTS_MISSING
    session.has_joints = True
    session.start()
    session.has_joints = False
    assert session.run(0.5) == State.FAULT


def test_a_fault_stays_until_it_is_reset(session: Session) -> None:
    session.start()
    session.has_joints = False
    session.run(0.5)
    session.has_joints = True
    assert session.run(0.5) == State.FAULT
    assert session.imitator.enable(session.time_s) == Reason.LATCHED_FAULT
    session.imitator.supervisor.reset()
    assert session.start() == State.ACTIVE


def test_a_robot_that_does_not_follow_is_a_fault(session: Session) -> None:
    session.pose = swaying(session.robot, amplitude=1.0)
    session.start()
    session.follows = False
    assert session.run(15.0) == State.FAULT
    assert session.imitator.status(session.time_s).reason == Reason.NOT_FOLLOWING.value


def test_joints_slightly_outside_of_their_limits_are_fine_and_far_outside_are_not(session: Session) -> None:
    session.q = session.q.copy()
    session.q[1] = session.robot.upper[1] + 0.03
    session.start()
    first = session.commands[0][1]
    assert (np.abs(first.q[1] - session.robot.upper[1] - 0.03) <= session.robot.velocity[1] / ROBOT_HZ).all()
    session.run(2.0)
    assert session.commands[-1][1].q[1] <= session.robot.upper[1]
    session.imitator.supervisor.disable()
    session.run(0.5)
    session.q[1] = session.robot.upper[1] + 0.2
    session.run(0.2)
    assert session.imitator.enable(session.time_s) == Reason.OUTSIDE_LIMITS


@pytest.mark.parametrize("phase_s", np.arange(0.0, 3.3, 0.8).tolist())
def test_a_joint_comes_back_into_its_limits_whatever_the_person_does(session: Session, phase_s: float) -> None:
    session.time_s += phase_s
    session.q = session.q.copy()
    session.q[0] = session.robot.upper[0] + 0.03
    session.start()
    session.run(1.5)
    beyond = np.array([command.q[0] for _, command in session.commands]) - session.robot.upper[0]
    assert beyond[0] > 0
    assert (np.diff(np.maximum(beyond, 0.0)) <= 1e-9).all()
    assert beyond[-1] <= 0


def test_a_robot_that_is_moving_is_not_taken_over(session: Session) -> None:
    session.is_pressed = False
    session.run(0.2)
    session.is_pressed = True
    session.run(0.2)
    session.imitator.take_joints(session.time_s, session.time_s, session.q, np.full_like(session.q, 0.3))
    assert session.imitator.enable(session.time_s) == Reason.ALREADY_MOVING


def test_joint_states_that_are_no_numbers_are_refused_and_a_fault_while_it_moves(session: Session) -> None:
    bad = np.full_like(session.q, np.nan)
    with pytest.raises(InvalidInputError, match="finite"):
        session.imitator.take_joints(session.time_s, session.time_s, bad, bad)
    session.start()
    with pytest.raises(InvalidInputError, match="finite"):
        session.imitator.take_joints(session.time_s, session.time_s, bad, bad)
    assert session.run(0.1) == State.FAULT


def test_ten_engagements_in_a_row_begin_where_the_robot_is(robot: Robot) -> None:
    session = Session(robot, swaying(robot), ImitationConfig(supervisor=SupervisorConfig(ramp=0.3)))
    for _ in range(10):
        before, count = session.q, len(session.commands)
        assert session.start() == State.ACTIVE
        assert (np.abs(session.commands[count][1].q - before) <= session.robot.velocity / ROBOT_HZ + 1e-9).all()
        session.run(0.5)
        session.imitator.supervisor.disable()
        session.run(1.0)
        assert session.states[-1] == State.DISABLED


@pytest.mark.parametrize("way", ["pause", "dead-man switch"])
def test_it_goes_on_from_where_the_robot_was_moved_to_meanwhile(session: Session, way: str) -> None:
    session.start()
    if way == "pause":
        session.imitator.supervisor.hold()
    else:
        session.is_pressed = False
    session.run(0.8)
    session.q = np.clip(session.q + 0.2, session.robot.lower, session.robot.upper)
    session.run(0.1)
    count, before = len(session.commands), session.q
    session.is_pressed = True
    if way == "pause":
        assert session.imitator.supervisor.resume(session.time_s) is None
    session.run(0.2)
    assert session.states[-1] == State.ENABLING
    assert (np.abs(session.commands[count][1].q - before) <= session.robot.velocity / ROBOT_HZ + 1e-9).all()


def test_disabled_in_full_motion_it_comes_to_rest_within_its_acceleration(session: Session) -> None:
    session.pose = swaying(session.robot, amplitude=0.8, rate_hz=0.5)
    session.start()
    session.run(1.0)
    session.imitator.supervisor.disable()
    session.run(1.0)
    velocity = np.array([command.velocity for _, command in session.commands])
    assert (velocity[-1] == 0).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= session.robot.acceleration / ROBOT_HZ + 1e-6).all()


def test_tools_keep_their_speed_and_stay_in_the_box(robot: Robot) -> None:
    arms = list(robot.arms)
    rest = robot.points(robot.rest, arms[0]).tool[:3, 3]
    box = WorkspaceConfig(max_z=float(rest[2] + 0.02))
    session = Session(robot, swaying(robot, 1.0, 0.4), replace(ImitationConfig(), workspace=box))
    session.start()
    session.run(6.0)
    joints = np.array([command.q for _, command in session.commands])
    for arm in arms:
        tools = robot.points(joints, arm).tool[:, :3, 3]
        assert np.linalg.norm(np.diff(tools, axis=0), axis=1).max() * ROBOT_HZ <= box.tool_speed * 1.01
    first = robot.points(joints, arms[0]).tool[:, 2, 3]
    assert first.max() <= box.max_z + 1e-3


def test_the_way_to_a_stop_ends_at_rest(session: Session) -> None:
    session.start()
    session.run(1.3)
    times, joints, velocities = session.imitator.stop_path(6)
    assert (velocities[-1] == 0).all()
    assert (np.diff(times) > 0).all()
    assert joints[0] == pytest.approx(session.commands[-1][1].q)


def test_the_guard_refuses_what_breaks_a_limit(robot: Robot) -> None:
    guard, still = CommandGuard(robot, 0.01), np.zeros(len(robot.joints))
    rest = JointCommand(robot.rest, still, {}, 1.0, True, False)
    assert guard.accepts(rest, None)
    assert guard.accepts(replace(rest, q=robot.rest + 1e-4), rest)
    assert not guard.accepts(replace(rest, q=robot.rest + 0.5), rest)
    assert not guard.accepts(replace(rest, velocity=still + 100.0), None)
    assert not guard.accepts(replace(rest, velocity=robot.velocity), rest)
    assert not guard.accepts(replace(rest, q=np.full_like(still, np.nan)), rest)
    at_limit = replace(rest, q=robot.upper)
    assert not guard.accepts(replace(rest, q=robot.upper + 1e-4), at_limit)
    assert guard.accepts(at_limit, replace(rest, q=robot.upper + 1e-4))


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="hold_after"):
        SupervisorConfig(hold_after=1.0, disable_after=0.5)
    with pytest.raises(ConfigurationError, match="min_y"):
        WorkspaceConfig(min_y=1.0, max_y=0.5)
