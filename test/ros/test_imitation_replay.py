"""Tests for ros/imitation_replay.py: recorded motions are replayed over real topics, and what ends them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pose_perception.msg import ImitationStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_files import write_demonstration
from pose_perception.imitation.motion_files import read_motion
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.replay_config import ReplayConfig, ReplayReason, ReplayState
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.supervisor import Reason
from pose_perception.nodes.imitation import ImitationNode
from pose_perception.ros import imitation_replay

if TYPE_CHECKING:
    from conftest import Ros

_SPEC = importlib.util.spec_from_file_location("imitation_world", Path(__file__).with_name("imitation_world.py"))
imitation_world = sys.modules["imitation_world"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(imitation_world)
World = imitation_world.World

DISABLED, FAULT, APPROACHING, REPLAYING, STOPPING = (
    getattr(ImitationStatus, name) for name in ("DISABLED", "FAULT", "APPROACHING", "REPLAYING", "STOPPING")
)
STEP_S, SLACK_S = 0.01, 0.35


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """A file in which a Panda, elsewhere than at rest, moves for 2 s and closes its gripper."""
    robot = load_robot("panda")
    times = np.arange(0, 2.01, 0.02)
    sway = 0.15 * np.sin(np.pi * times)[:, None] * np.array([1, 0.5, -1, 0.5, 1, 0.5, 1])
    opening = np.where(times < 1.0, 1.0, 0.0)
    path = tmp_path / "motion.csv"
    write_demonstration(Demonstration(times, robot.joints, robot.rest + 0.1 + sway, openings={"single": opening}), path)
    return path


@pytest.fixture
def world(ros: Ros, motion: Path) -> World:
    return World(ros, replay__demonstration=str(motion))


def begin(world: World) -> None:
    """Press the switch anew, and replay as soon as the node has heard of everything."""
    assert world.ros.spin_until(lambda: world.statuses, 20)

    def try_it() -> bool:
        world.press_anew()
        world.ros.spin_for(0.1)  # a release that comes later calls off what is planned
        return world.call("replay").success

    assert world.ros.spin_until(try_it, 20.0), world.call("replay").message
    world.begun_s = time.time()


def begin_until(world: World, condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait for something in a replay that has begun; begin again when the machine was too busy for one."""

    def is_over() -> bool:
        status = world.statuses[-1]
        is_new = status.header.stamp.sec + status.header.stamp.nanosec * 1e-9 > world.begun_s
        return condition() or (is_new and status.state in (DISABLED, FAULT))

    for _ in range(4):
        assert world.ros.spin_until(is_over, timeout_s), world.statuses[-1:]
        if condition() or ReplayReason.TOO_LATE.value not in world.statuses[-1].reason:
            return
        begin(world)


def reach(world: World, state: int) -> None:
    """Begin a replay and wait until it has come to a state."""
    begin(world)
    begin_until(world, lambda: world.state == state, 10.0)
    assert world.state == state, world.statuses[-1]


def finish(world: World) -> None:
    """Wait for the end of a replay, and for the robot to stand."""
    begin_until(world, lambda: False, 60.0)
    assert world.statuses[-1].reason == f"replay finished: {ReplayReason.DONE.value}"
    world.wait_for_rest()


def test_motion_is_approached_and_replayed_in_all_limits(world: World) -> None:
    answer = world.call("replay")
    assert not answer.success
    assert world.trajectories == []
    begin(world)
    answer = world.call("enable", True)
    assert (answer.success, answer.message) == (False, ReplayReason.RUNNING.value)
    finish(world)
    states = [status.state for status in world.statuses]
    assert states.index(APPROACHING) < states.index(REPLAYING)
    q = np.array([message.points[0].positions for message in world.trajectories])
    velocity = np.array([message.points[0].velocities for message in world.trajectories])
    robot = world.robot
    assert (np.abs(q[0] - robot.rest) <= robot.velocity * STEP_S).all()
    assert (np.abs(velocity) <= robot.velocity + 1e-6).all()
    np.testing.assert_allclose(world.q, robot.rest + 0.1, atol=0.01)
    assert np.abs(q - (robot.rest + 0.1)).max() > 0.14
    assert world.joints.grippers["single"].q == pytest.approx(0.0, abs=1e-3)
    for message in world.trajectories:
        assert not np.any(message.points[-1].velocities)
    # The switch must be released once more before anything else.
    assert world.call("enable", True).message == Reason.DEADMAN_NEVER_RELEASED.value


def refusal(world: World, known: str) -> str:
    """Ask for a replay until the answer is a certain refusal, or time is over; return the last answer."""
    answers = [""]

    def ask() -> bool:
        world.press_anew()
        world.ros.spin_for(0.1)  # a release that comes later calls off what is planned
        answer = world.call("replay")
        assert not answer.success
        answers.append(answer.message)
        return known in answer.message

    world.ros.spin_until(ask, 3.0)
    return answers[-1]


def release(world: World) -> None:
    world.is_pressed = False


def fall_silent(world: World) -> None:
    world.is_pressed = None


def disable(world: World) -> None:
    assert world.call("enable", False).success


def pause(world: World) -> None:
    assert world.call("pause", True).success


ENDS: dict[str, tuple[Callable[[World], None], str]] = {
    "switch released": (release, ReplayReason.DEADMAN_RELEASED.value),
    "switch silent": (fall_silent, ReplayReason.DEADMAN_SILENT.value),
    "disabled": (disable, ReplayReason.ASKED_FOR.value),
    "paused": (pause, ReplayReason.ASKED_FOR.value),
    "asleep for long": (lambda world: time.sleep(0.8), ReplayReason.TOO_LATE.value),
}


@pytest.mark.parametrize("end", ENDS)
def test_replay_that_is_ended_comes_to_rest(world: World, end: str) -> None:
    stop, reason = ENDS[end]
    reach(world, REPLAYING)
    assert world.ros.spin_until(lambda: world.speed > 0.05)
    stop(world)
    world.wait_for(DISABLED, 0.6 + SLACK_S, f"replay aborted: {reason}")
    world.wait_for_rest()
    begin(world)


@pytest.fixture
def planning(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Keeps motions from being planned until it is set."""
    event = threading.Event()

    def read_later(*arguments: Any, **options: Any) -> Demonstration:
        assert event.wait(60.0)
        return read_motion(*arguments, **options)

    monkeypatch.setattr(imitation_replay, "read_motion", read_later)
    return event


def ask(world: World) -> Future:
    """Press the switch anew, ask for a replay, and wait until it is planned; return the answer that is to come."""
    client = world.node.create_client(Trigger, "/imitation/replay")
    answers: list[Future] = []

    def try_it() -> bool:
        if not answers or answers[-1].done():
            world.press_anew()
            world.ros.spin_for(0.1)
            answers.append(client.call_async(Trigger.Request()))
        return "replay is prepared" in world.statuses[-1].reason

    assert world.ros.spin_until(lambda: world.statuses and client.service_is_ready(), 20.0)
    assert world.ros.spin_until(try_it, 20.0), [answer.result() for answer in answers[-1:]]
    return answers[-1]


def release_shortly(world: World) -> None:
    world.press_anew()
    world.ros.spin_for(0.2)


def be_silent_for_a_while(world: World) -> None:
    world.is_pressed = None
    world.ros.spin_for(0.6)
    world.is_pressed = True
    world.ros.spin_for(0.2)


CALLS_OFF: dict[str, tuple[Callable[[World], None], str]] = {
    "disabled": (disable, ReplayReason.ASKED_FOR.value),
    "paused": (pause, ReplayReason.ASKED_FOR.value),
    "switch released": (release_shortly, ReplayReason.DEADMAN_RELEASED.value),
    "switch silent": (be_silent_for_a_while, ReplayReason.DEADMAN_SILENT.value),
}


@pytest.mark.parametrize("end", CALLS_OFF)
def test_replay_that_is_called_off_while_it_is_planned_never_begins(
    world: World, planning: threading.Event, end: str
) -> None:
    call_off, reason = CALLS_OFF[end]
    answer = ask(world)
    call_off(world)
    assert world.ros.spin_until(lambda: reason in world.statuses[-1].reason)
    planning.set()
    assert world.ros.spin_until(answer.done)
    assert (answer.result().success, answer.result().message) == (False, reason)
    world.ros.spin_for(0.2)
    assert world.trajectories == []
    begin(world)


def test_replay_that_is_planned_does_not_begin_after_the_node_was_deactivated(
    world: World, planning: threading.Event
) -> None:
    answer = ask(world)
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    # The services are there until the answer has come.
    for refused in (world.call("enable", True), world.call("calibrate")):
        assert (refused.success, refused.message) == (False, "the node is not active")
    planning.set()
    assert world.ros.spin_until(answer.done)
    assert not answer.result().success
    world.ros.spin_for(0.5)
    assert world.trajectories == []
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    begin(world)


def test_short_sleep_does_not_disturb_the_motion(world: World) -> None:
    reach(world, REPLAYING)
    assert world.ros.spin_until(lambda: world.speed > 0.05)
    count = len(world.trajectories)
    time.sleep(0.06)
    finish(world)
    assert count < len(world.trajectories)
    np.testing.assert_allclose(world.q, world.robot.rest + 0.1, atol=0.01)


def frozen(world: World) -> Callable[[JointState], JointState]:
    """Joint states of a robot that does not move."""
    q = world.q.tolist()

    def feel(message: JointState) -> JointState:
        return JointState(header=message.header, name=message.name[: len(q)], position=q, velocity=[0.0] * len(q))

    return feel


def without_numbers(message: JointState) -> JointState:
    message.position[0] = float("nan")
    return message


@pytest.mark.parametrize(
    ("feel", "reason"),
    [
        (frozen, ReplayReason.NOT_FOLLOWING),
        (lambda world: lambda message: None, ReplayReason.JOINTS_MISSING),
        (lambda world: without_numbers, ReplayReason.JOINTS_INVALID),
    ],
)
def test_robot_that_is_unfit_is_a_fault(world: World, feel: Callable, reason: ReplayReason) -> None:
    world.node.set_parameters([Parameter("replay.speed_scale", value=5.0)])
    reach(world, APPROACHING)
    true, world.feel = world.feel, feel(world)
    world.wait_for(FAULT, 3.0, reason.value)
    world.wait_for_rest()
    world.feel = true
    assert world.call("replay").message == Reason.LATCHED_FAULT.value
    assert world.call("reset").success
    begin(world)


def test_files_that_cannot_be_replayed_are_refused(world: World, tmp_path: Path) -> None:
    begin(world)
    assert world.call("replay").message
    world.call("enable", False)
    world.wait_for(DISABLED, 3.0)
    world.wait_for_rest()
    robot = load_robot("ur5")
    times = np.arange(0, 1.0, 0.02)
    other = Demonstration(times, robot.joints, robot.rest + 0.1 * np.sin(3 * times)[:, None])
    write_demonstration(other, tmp_path / "other.npz")
    for value, known in (
        ("", "names no file"),
        ("nothing.csv", "cannot read nothing.csv"),
        ("nothing.npz", "nothing.npz"),
        (str(tmp_path / "other.npz"), "shoulder_pan_joint"),
    ):
        assert world.node.set_parameters([Parameter("replay.demonstration", value=value)])[0].successful
        assert known in refusal(world, known)
        assert world.state == DISABLED


def test_imitation_and_replay_do_not_mix(world: World) -> None:
    world.start()
    answer = world.call("replay")
    assert (answer.success, "end imitation first" in answer.message) == (False, True)
    world.wait_for(ImitationStatus.ACTIVE, SLACK_S)
    assert world.call("enable", False).success
    world.wait_for_rest()
    # The switch was held all the time.
    assert world.call("replay").message == ReplayReason.DEADMAN_NEVER_RELEASED.value
    begin(world)


def test_positions_and_previews_are_replayed_too(ros: Ros, motion: Path) -> None:
    world = World(ros, output="float64_multi_array", replay__demonstration=str(motion))
    reach(world, REPLAYING)
    assert ros.spin_until(lambda: world.speed > 0.05)
    time.sleep(0.06)  # the robot stands, and goes on slowly
    finish(world)
    np.testing.assert_allclose(world.q, world.robot.rest + 0.1, atol=0.01)
    q = np.array([message.data for message in world.positions])
    assert (np.abs(np.diff(q, axis=0)) <= world.robot.velocity * STEP_S + 1e-6).all()
    # It stopped at once when nothing came any more, and began again as it can.
    assert (np.diff(np.abs(np.diff(q, axis=0)), axis=0) <= world.robot.acceleration * STEP_S**2 + 1e-6).all()


def test_recorded_session_is_replayed(ros: Ros, tmp_path: Path) -> None:
    world = World(ros, recording__directory=str(tmp_path))
    assert ros.spin_until(lambda: world.statuses, 20)
    assert world.call("record", True).success
    world.start()
    ros.spin_for(2.0)
    assert world.call("enable", False).success
    world.wait_for_rest()
    ros.spin_for(0.2)  # smoothing rounds off how a motion ends
    assert world.call("record", False).success
    shown = world.q.copy()
    (bag,) = tmp_path.glob("*.mcap")
    world.joints.joints.go(world.robot.rest)
    assert ros.spin_until(lambda: np.abs(world.q - world.robot.rest).max() < 1e-3 and world.speed < 1e-3)
    world.node.set_parameters([Parameter("replay.demonstration", value=str(bag))])
    begin(world)
    finish(world)
    np.testing.assert_allclose(world.q, shown, atol=0.02)


class Controller:
    """Is asked to follow motions; a test answers."""

    name = "follow"

    def __init__(self) -> None:
        self.answers: list[Future] = []

    def is_ready(self) -> bool:
        """It is there."""
        return True

    def send(self, joints: object, path: object) -> Future:
        """Keep the answer that is to come."""
        self.answers.append(Future())
        return self.answers[-1]

    def cancel(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("is_accepted", [True, False])
def test_answer_to_a_motion_that_was_stopped_does_not_count_for_the_next(motion: Path, is_accepted: bool) -> None:
    robot, controller = load_robot("panda"), Controller()
    replayer = Replayer(robot, None, ReplayConfig(deadman=False))
    replays = imitation_replay.Replays(robot, replayer, controller, 0.0)
    replayer.watch.take_joints(0.0, robot.rest, np.zeros_like(robot.rest))
    prepared = replayer.prepare(read_motion(motion, robot, robot.rest, None))
    assert replays.begin(0.0, prepared) == ""
    replayer.stop()
    assert replays.step(0.01) is None
    assert not replayer.is_busy
    assert replays.begin(0.02, prepared) == ""
    controller.answers[0].set_result(is_accepted)
    assert replays.step(0.03) is None
    assert replayer.state == ReplayState.APPROACHING
    controller.answers[1].set_result(True)
    assert replays.step(0.04) is not None


def test_clock_that_is_set_back_while_a_replay_is_planned_leaves_no_replay(motion: Path) -> None:
    robot = load_robot("panda")
    replays = imitation_replay.Replays(robot, Replayer(robot, None, ReplayConfig(deadman=False)), None, 0.0)
    prepared = Future()
    replays._prepare(motion, 1.0, None, prepared)  # no joints are known any more
    assert prepared.result().refusal == ReplayReason.JOINTS_MISSING


def with_action(output: str) -> ImitationNode:
    """A node whose replays go to a controller as actions."""
    values = {"replay.output": "action", "output": output}
    return ImitationNode(parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])


def test_action_without_control_msgs_is_a_clear_error(ros: Ros, capfd: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("control_msgs") is not None:
        pytest.skip("control_msgs is installed")
    node = ros.add(with_action("joint_trajectory"))
    with pytest.raises(ConfigurationError):
        node.start()
    assert "needs the package control_msgs" in capfd.readouterr().err


def test_action_is_refused_where_no_robot_shall_move(ros: Ros, capfd: pytest.CaptureFixture[str]) -> None:
    node = ros.add(with_action("preview"))
    with pytest.raises(ConfigurationError):
        node.start()
    assert "set output to joint_trajectory or float64_multi_array, or replay.output to stream" in capfd.readouterr().err
    assert node.set_parameters([Parameter("replay.output", value="stream")])[0].successful
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


@pytest.fixture
def action_results(motion: Path) -> dict[str, Any]:
    """What comes of replays whose robot has a controller that takes actions: see trajectory_controller.py."""
    folder = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        environment = importlib.import_module("control_package").environment_with_control_msgs()
    done = subprocess.run(
        [sys.executable, folder / "trajectory_controller.py", motion],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_motions_go_to_a_controller_as_actions(action_results: dict[str, Any]) -> None:
    found = action_results
    assert "/imitation/follow_joint_trajectory" in found["alone"]
    assert found["whole"] == [f"replay finished: {ReplayReason.DONE.value}", 0, True]
    assert found["distance"] < 0.01
    # The controller got one trajectory and no stream beside it; the gripper has its own controller.
    assert found["streamed"] == 0
    assert found["previews"] > 100
    assert found["gripper"] == pytest.approx(0.0, abs=1e-3)
    assert found["released"] == [f"replay aborted: {ReplayReason.DEADMAN_RELEASED.value}", 1, True]
    assert found["failed"][0] == f"replay aborted: {ReplayReason.CONTROLLER.value}: too far away"
    assert found["refused"][0] == f"replay aborted: {ReplayReason.CONTROLLER.value}: it does not accept the motion"
