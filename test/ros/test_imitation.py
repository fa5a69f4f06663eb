"""Tests for nodes/imitation.py and nodes/simulated_robot.py: a whole session over real topics, and its faults."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from pose_perception.msg import ImitationStatus, SkeletonArray
from pose_perception.msg import Skeleton as SkeletonMessage
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from pose_perception.datatypes import HandPose, Skeleton
from pose_perception.errors import ConfigurationError
from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose
from pose_perception.imitation.operator_check import Refusal
from pose_perception.imitation.robot_config import description_path, load_config
from pose_perception.imitation.supervisor import Reason
from pose_perception.nodes.imitation import ImitationNode
from pose_perception.nodes.simulated_robot import SimulatedRobotNode
from pose_perception.ros.conversions import stamp_ns

if TYPE_CHECKING:
    from conftest import Ros

_SPEC = importlib.util.spec_from_file_location("imitation_world", Path(__file__).with_name("imitation_world.py"))
imitation_world = sys.modules["imitation_world"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(imitation_world)
World = imitation_world.World

DISABLED, ACTIVE, HOLDING, FAULT = (
    getattr(ImitationStatus, name) for name in ("DISABLED", "ACTIVE", "HOLDING", "FAULT")
)
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STEP_S = 0.01
# What discovery, transport and a busy machine add to the times that are promised, seconds.
SLACK_S = 0.35


@pytest.fixture
def world(ros: Ros) -> World:
    return World(ros)


def moved(people: list[Skeleton], shift: tuple[float, float, float]) -> list[Skeleton]:
    """The same id, elsewhere."""
    positions = [person.positions + np.array(shift) for person in people]
    return [
        replace(person, positions=place, camera_from_torso=torso_pose(place, COCO_17))
        for person, place in zip(people, positions, strict=True)
    ]


def swapped(people: list[Skeleton]) -> list[Skeleton]:
    """The same person with left and right exchanged."""
    other = {"left": "right", "right": "left"}
    names = [
        f"{other[side]}_{part}" if (side := name.split("_")[0]) in other and (part := name.split("_", 1)[1]) else name
        for name in COCO_17.keypoints
    ]
    order = [COCO_17.index[name] for name in names]
    positions = [person.positions[order] for person in people]
    return [
        replace(person, positions=place, camera_from_torso=torso_pose(place, COCO_17))
        for person, place in zip(people, positions, strict=True)
    ]


def frozen() -> Callable[[int, list[Skeleton]], tuple[int, list[Skeleton]]]:
    """The first people that are seen, for ever."""
    first: list[list[Skeleton]] = []

    def see(stamp_ns: int, people: list[Skeleton]) -> tuple[int, list[Skeleton]]:
        first.append(people)
        return stamp_ns, first[0]

    return see


def without_numbers(people: list[Skeleton]) -> list[Skeleton]:
    """Everything is measured, and nothing is a number."""
    return [replace(person, positions=np.full_like(person.positions, np.nan)) for person in people]


CAMERA_FAULTS: dict[str, tuple[Callable, str]] = {
    "tracker drops out": (lambda stamp, people: None, ""),
    "nobody is seen": (lambda stamp, people: (stamp, []), Refusal.OPERATOR_NOT_SEEN.value),
    "tracker freezes": (frozen(), Refusal.FROZEN.value),
    "sides change places": (lambda stamp, people: (stamp, swapped(people)), Refusal.SWAPPED_SIDES.value),
    "same id, other person": (lambda stamp, people: (stamp, moved(people, (1.2, 0, 0.5))), Refusal.JUMP.value),
    "other id": (lambda stamp, people: (stamp, [replace(p, id="b2") for p in people]), Refusal.OPERATOR_NOT_SEEN.value),
    "NaN": (lambda stamp, people: (stamp, without_numbers(people)), Refusal.NO_ARM.value),
    "stamps from the future": (lambda s, people: (s + 10**9, people), Refusal.STAMP_FROM_THE_FUTURE.value),
    "stamps of long ago": (lambda stamp, people: (stamp - 10**9, people), Refusal.STAMP_NOT_NEWER.value),
}


@pytest.mark.parametrize("fault", CAMERA_FAULTS)
def test_operator_who_cannot_be_believed_holds_the_robot_and_then_disables_it(world: World, fault: str) -> None:
    see, counted = CAMERA_FAULTS[fault]
    world.start()

    world.see = see

    world.wait_for(HOLDING, 0.3 + SLACK_S, Reason.PERSON_GONE.value)
    world.wait_for_rest()
    if counted:
        world.wait_for_count(counted)
    world.wait_for(DISABLED, 0.7 + SLACK_S, Reason.PERSON_GONE.value)


def test_operator_who_comes_back_in_time_is_followed_again(world: World) -> None:
    world.start()
    see, world.see = world.see, lambda stamp, people: None
    world.wait_for(HOLDING, 0.3 + SLACK_S)
    world.wait_for_rest()
    count = len(world.trajectories)

    world.see = see

    world.wait_for(ACTIVE, 0.2 + imitation_world.RAMP_S + SLACK_S)
    check_first_command(world, count)


def test_dead_man_switch_that_is_released_holds_at_once(world: World) -> None:
    world.start()
    world.is_pressed = False
    world.wait_for(HOLDING, 0.05 + SLACK_S, Reason.DEADMAN_RELEASED.value)
    world.wait_for_rest()
    world.is_pressed = True
    world.wait_for(ACTIVE, imitation_world.RAMP_S + SLACK_S)


def test_dead_man_switch_that_is_silent_holds_and_then_disables(world: World) -> None:
    world.start()
    world.is_pressed = None
    world.wait_for(HOLDING, 0.3 + SLACK_S, Reason.DEADMAN_SILENT.value)
    world.wait_for_rest()
    world.wait_for(DISABLED, 0.7 + SLACK_S, Reason.DEADMAN_SILENT.value)


def test_dead_man_switch_that_was_never_released_is_refused(world: World) -> None:
    assert world.refusal(Reason.DEADMAN_NEVER_RELEASED.value) == Reason.DEADMAN_NEVER_RELEASED.value
    assert world.trajectories == []
    world.start()


def with_joint(message: JointState, position: float, velocity: float = 0.0) -> JointState:
    """The same joint states but for the first joint."""
    message.position[0], message.velocity[0] = position, velocity
    return message


JOINT_FAULTS: dict[str, tuple[Callable[[JointState], Any], float, str]] = {
    "missing": (lambda message: None, 0.3, Reason.JOINTS_MISSING.value),
    "NaN": (partial(with_joint, position=np.nan), 0.0, Reason.JOINTS_INVALID.value),
    "outside of limits": (partial(with_joint, position=3.1), 0.0, Reason.OUTSIDE_LIMITS.value),
    "not following": (partial(with_joint, position=1.9), 0.5, Reason.NOT_FOLLOWING.value),
}


@pytest.mark.parametrize("fault", JOINT_FAULTS)
def test_robot_that_cannot_be_right_is_a_fault_until_it_is_reset(world: World, fault: str) -> None:
    feel, within_s, reason = JOINT_FAULTS[fault]
    world.start()
    good, world.feel = world.feel, feel

    world.wait_for(FAULT, within_s + SLACK_S, reason)

    world.wait_for_rest()
    world.feel = good
    world.press_anew()
    assert world.refusal(Reason.LATCHED_FAULT.value) == Reason.LATCHED_FAULT.value
    assert world.call("reset").success
    world.start()


def stale(message: JointState) -> JointState:
    """The same joint states, a second old."""
    message.header.stamp.sec -= 1
    return message


@pytest.mark.parametrize(
    ("feel", "reason"),
    [
        (lambda message: None, Reason.JOINTS_MISSING.value),
        (stale, Reason.JOINTS_MISSING.value),
        (partial(with_joint, position=3.1), Reason.OUTSIDE_LIMITS.value),
        (partial(with_joint, position=0.0, velocity=0.2), Reason.ALREADY_MOVING.value),
    ],
    ids=["missing", "stale", "outside", "moving"],
)
def test_robot_that_is_not_fit_is_refused(world: World, feel: Callable, reason: str) -> None:
    world.feel = feel
    world.press_anew()
    assert world.refusal(reason) == reason
    assert world.trajectories == []


def test_robot_slightly_outside_of_its_limits_is_led_back(world: World) -> None:
    outside = float(world.robot.upper[0]) + 0.03
    world.feel = partial(with_joint, position=outside)
    world.stand_still()  # somebody who sways may lead the joint to and fro as soon as it is back
    world.enable()
    assert ros_until(world, lambda: len(world.trajectories) > 20)
    commands = [message.points[0].positions[0] for message in world.trajectories]
    assert abs(commands[0] - outside) <= world.robot.velocity[0] * STEP_S
    assert (np.diff(commands) <= 1e-9).all()
    assert commands[-1] < commands[0]


def ros_until(world: World, condition: Callable[[], object], timeout_s: float = 3.0) -> bool:
    """Spin until a condition holds."""
    return world.ros.spin_until(condition, timeout_s)


def check_first_command(world: World, index: int) -> None:
    """A trajectory that begins anew begins where the robot is."""
    message = world.trajectories[index]
    distance = np.abs(np.array(message.points[0].positions) - world.measured[index])
    assert (distance <= world.robot.velocity * STEP_S + 1e-3).all(), distance
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    assert message.points[0].time_from_start.nanosec == round(STEP_S * 1e9)


def test_ten_engagements_begin_where_the_robot_is(world: World) -> None:
    generator = np.random.default_rng(0)
    for _ in range(10):
        # Somebody else moves the robot in between.
        elsewhere = world.robot.rest + generator.uniform(-0.15, 0.15, len(world.robot.rest))

        def is_there(q: np.ndarray = elsewhere) -> bool:
            world.joints.joints.go(q)  # until it is there: the last command may still be on its way to the robot
            return np.abs(world.q - q).max() < 1e-3 and world.speed < 1e-3

        assert ros_until(world, is_there)
        count = len(world.trajectories)
        world.enable()
        assert ros_until(world, lambda count=count: len(world.trajectories) > count + 20 and world.speed > 0.02)
        check_first_command(world, count)
        assert world.call("enable", False).success
        world.wait_for(DISABLED, SLACK_S)
        world.wait_for_rest()


def test_commands_keep_the_limits_and_the_robot_follows(world: World) -> None:
    world.start()
    count = len(world.trajectories)
    assert ros_until(world, lambda: len(world.trajectories) > count + 150, 5.0)
    q = np.array([message.points[0].positions for message in world.trajectories])
    velocity = np.array([message.points[0].velocities for message in world.trajectories])
    assert (np.abs(np.diff(q, axis=0)) <= world.robot.velocity * STEP_S + 1e-6).all()
    assert (np.abs(velocity) <= world.robot.velocity + 1e-6).all()
    assert np.abs(q - q[0]).max() > 0.02
    assert np.abs(q[-1] - world.q).max() < 0.05
    assert np.median(np.abs(np.diff(q, axis=0) / STEP_S - velocity[1:])) < 1e-6
    for message in world.trajectories:
        check_way_to_rest(world, message)
    status = world.statuses[-1]
    assert (status.operator_id, status.is_following, status.header.frame_id) == ("a1", True, "panda_link0")
    assert 0 < status.person_age < 0.3
    assert status.nearest_distance > 0


def check_way_to_rest(world: World, message: JointTrajectory) -> None:
    """A trajectory brakes as the robot can, and ends at rest."""
    times = np.array([point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in message.points])
    velocities = np.array([point.velocities for point in message.points])
    positions = np.array([point.positions for point in message.points])
    assert (np.diff(times) > 0).all()
    assert not velocities[-1].any()
    if len(times) > 1:
        decelerations = np.abs(np.diff(velocities, axis=0)) / np.diff(times)[:, None]
        assert (decelerations <= world.robot.acceleration * 1.01).all()
        # With constant deceleration the way is half of that at the first velocity.
        np.testing.assert_allclose(
            positions[-1] - positions[0],
            velocities[0] * np.abs(velocities[0]) / world.robot.acceleration / 2,
            atol=1e-6,
        )


@pytest.mark.parametrize("choice", [{"retargeting__solver": "closed_form"}, {"mapping__mode": "clutch"}])
def test_other_solvers_and_mappings_move_the_robot_in_all_limits(ros: Ros, choice: dict[str, str]) -> None:
    world = World(ros, **choice)
    world.start()
    count = len(world.trajectories)
    assert ros_until(world, lambda: len(world.trajectories) > count + 100, 60.0)
    check_first_command(world, 0)
    q = np.array([message.points[0].positions for message in world.trajectories])
    velocity = np.array([message.points[0].velocities for message in world.trajectories])
    assert (np.abs(velocity) <= world.robot.velocity + 1e-6).all()
    assert np.abs(q - q[0]).max() > 0.02
    for message in world.trajectories:
        check_way_to_rest(world, message)
    assert world.state == ACTIVE


def test_timing_is_in_the_diagnostics(world: World) -> None:
    world.start()
    # The last diagnosis may be of the time before.
    assert ros_until(world, lambda: values_of(world).get("state") == "active")
    assert ros_until(world, lambda: "latency p95 [ms]" in values_of(world))
    assert ros_until(world, lambda: np.isfinite(float(values_of(world)["latency p95 [ms]"])))
    values = values_of(world)
    assert (values["robot"], values["state"]) == ("panda", "active")
    assert 8 < float(values["period p50 [ms]"]) < 12
    assert 0 < float(values["latency p50 [ms]"]) < 100
    world.feel = lambda message: None
    assert ros_until(world, lambda: world.diagnostics[-1].status[0].level == DiagnosticStatus.ERROR)
    assert Reason.JOINTS_MISSING.value in world.diagnostics[-1].status[0].message


def values_of(world: World) -> dict[str, str]:
    """What the last diagnosis of the node says."""
    own = [array.status[0] for array in world.diagnostics if array.status[0].name == "imitation"]
    return {pair.key: pair.value for pair in own[-1].values} if own else {}


def test_pause_holds_until_it_is_taken_back(world: World) -> None:
    assert not world.call("pause", True).success
    world.start()
    assert world.call("pause", True).success
    world.wait_for(HOLDING, SLACK_S, Reason.PAUSED.value)
    world.wait_for_rest()
    assert Reason.PAUSED.value in world.call("enable", True).message
    assert world.call("pause", False).success
    world.wait_for(ACTIVE, imitation_world.RAMP_S + SLACK_S)
    assert not world.call("reset").success


def test_calibration_is_kept_until_it_is_reset(world: World) -> None:
    operators = imitation_world.operators
    answer = world.call("calibrate")
    assert (answer.success, "the person" in answer.message) == (False, True), answer.message
    world.see = lambda stamp_ns, people: (stamp_ns, [operators.posed(people[0], operators.T_POSE)])
    assert ros_until(world, lambda: world.call("calibrate").success, 30.0)
    assert ros_until(world, lambda: world.statuses[-1].calibrated_id == "a1")
    world.start()
    assert "while imitation is disabled" in world.call("calibrate").message
    assert not world.call("reset").success
    assert world.call("enable", False).success
    world.wait_for(DISABLED, SLACK_S)
    assert world.statuses[-1].calibrated_id == "a1"
    assert world.call("reset").message == "the calibration is forgotten"
    assert ros_until(world, lambda: world.statuses[-1].calibrated_id == "")


def test_node_that_is_deactivated_while_somebody_waits_for_an_answer_lives_on(world: World) -> None:
    client = world.node.create_client(Trigger, "/imitation/calibrate")
    assert ros_until(world, client.service_is_ready)
    answer = client.call_async(Trigger.Request())
    world.ros.spin_for(0.3)
    assert world.node.trigger_deactivate() == SUCCESS
    assert ros_until(world, answer.done)
    assert answer.result().message == "imitation was ended"
    world.ros.spin_for(0.5)
    assert world.node.trigger_activate() == SUCCESS
    assert ros_until(world, client.service_is_ready)
    world.start()


def test_calibration_ends_when_the_robot_description_or_the_clock_changes(ros: Ros) -> None:
    world = World(ros, output=None, sim_time=True)
    client = world.node.create_client(Trigger, "/imitation/calibrate")
    assert ros_until(world, lambda: client.service_is_ready() and world.statuses, 20.0)

    def turn_back() -> None:
        world.offset_ns -= 100 * 10**9

    text = description_path(load_config("panda").urdf).read_text()
    for change, known in ((lambda: world.describe(text), "robot has changed"), (turn_back, "clock was set back")):
        answer = client.call_async(Trigger.Request())
        world.ros.spin_for(0.2)
        change()
        assert ros_until(world, answer.done)
        assert (answer.result().success, known in answer.result().message) == (False, True), answer.result().message


def test_preview_is_the_default_moves_nothing_and_needs_no_robot(ros: Ros) -> None:
    world = World(ros, output=None)
    world.feel = lambda message: None
    rest = world.q.copy()
    world.start()
    count = len(world.previews)
    assert ros_until(world, lambda: len(world.previews) > count + 50)
    assert world.node.count_publishers("/imitation/joint_trajectory") == 0
    assert world.node.count_publishers("/imitation/commands") == 0
    assert world.trajectories == world.positions == []
    assert np.abs(np.array(world.previews[-1].position) - np.array(world.previews[0].position)).max() > 0.01
    np.testing.assert_array_equal(world.q, rest)


def with_hand(stamp_ns: int, people: list[Skeleton], pinch: float) -> tuple[int, list[Skeleton]]:
    """The same people, whose right thumbs and index fingers are so far apart, metres."""
    missing, spread, states = np.full((21, 3), np.nan), np.full((21, 3, 3), np.nan), np.zeros(21, np.uint8)
    hand = HandPose("right", 1.0, missing[:, :2], missing, spread, states, None, pinch, 1.0)
    return stamp_ns, [replace(person, hands=(hand,)) for person in people]


@pytest.mark.parametrize("output", ["joint_trajectory", "float64_multi_array"])
def test_gripper_follows_the_pinch_and_is_held_while_the_robot_holds(ros: Ros, output: str) -> None:
    world = World(ros, output=output)
    gripper = world.joints.grippers["single"]
    world.start()
    assert gripper.q == pytest.approx(0.04)
    assert world.grippers == []  # no hand was seen
    world.see = partial(with_hand, pinch=0.02)
    assert ros_until(world, lambda: gripper.q < 1e-4)
    commanded = np.array(world.grippers)
    assert commanded[0] >= 0.04 - 0.02 * 0.04 - 1e-9
    assert (np.abs(np.diff(commanded)) <= 0.02 * 0.04 + 1e-9).all()
    preview = dict(zip(world.previews[-1].name, world.previews[-1].position, strict=True))
    assert preview["panda_finger_joint1"] == pytest.approx(0.0)
    world.see = lambda stamp_ns, people: None
    world.wait_for(HOLDING, 0.3 + SLACK_S)
    world.wait_for_rest()
    assert gripper.q == pytest.approx(0.0, abs=1e-4)
    world.see = partial(with_hand, pinch=0.0625)
    assert ros_until(world, lambda: gripper.q == pytest.approx(0.02, abs=1e-3))


def test_positions_move_the_robot_and_it_stands_when_the_node_is_deactivated(ros: Ros) -> None:
    world = World(ros, output="float64_multi_array")
    world.start()
    assert ros_until(world, lambda: world.speed > 0.05)
    assert world.node.trigger_deactivate() == SUCCESS
    assert ros_until(world, lambda: world.speed < 1e-3)
    # The robot may stand before it hears how it brakes, and the last of these positions is told twice.
    told = lambda: [message.data for message in world.positions[-2:]]  # noqa: E731
    assert ros_until(world, lambda: np.allclose(*told(), rtol=0.0, atol=1e-8) and world.speed < 1e-3)
    count = len(world.positions)
    check_accelerations(world)
    world.ros.spin_for(0.1)
    assert len(world.positions) == count


def test_deactivated_node_leaves_a_path_to_rest_and_begins_disabled_again(world: World) -> None:
    world.start()
    assert world.node.trigger_deactivate() == SUCCESS
    world.wait_for_rest()
    count = len(world.trajectories)
    assert world.node.trigger_activate() == SUCCESS
    world.wait_for(DISABLED, 1.0)
    assert len(world.trajectories) == count
    world.start()
    check_first_command(world, count)


@contextmanager
def process(log: Path, output: str) -> Iterator[subprocess.Popen]:
    """The node in a process of its own."""
    command = [sys.executable, "-m", "pose_perception.nodes.imitation", "--ros-args", "-p", f"output:={output}"]
    with log.open("w") as stream:
        started = subprocess.Popen(
            [*command, "-p", "supervisor.ramp:=0.2"], stdout=stream, stderr=stream, cwd=log.parent
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_killed_node_leaves_a_robot_that_comes_to_rest(ros: Ros, tmp_path: Path) -> None:
    with process(tmp_path / "log", "joint_trajectory"):
        world = World(ros, own_node=False)
        world.start()
        # Little of what it said before is still on its way.
        age_ns = lambda: world.now_ns() - stamp_ns(world.previews[-1].header)  # noqa: E731
        assert ros_until(world, lambda: world.speed > 0.1 and age_ns() < 0.02e9, 5.0)
    count = len(world.trajectories)
    world.wait_for_rest()
    assert len(world.trajectories) <= count + 5
    last = world.trajectories[-1]
    assert len(last.points) > 1
    check_way_to_rest(world, last)
    np.testing.assert_allclose(world.q, last.points[-1].positions, atol=5e-3)


def test_process_that_is_told_to_end_brakes_first(ros: Ros, tmp_path: Path) -> None:
    with process(tmp_path / "log", "float64_multi_array") as started:
        world = World(ros, own_node=False)
        world.start()
        assert ros_until(world, lambda: world.speed > 0.1, 5.0)
        count = len(world.positions)
        started.send_signal(signal.SIGTERM)
        assert ros_until(world, lambda: started.poll() is not None, 5.0)
        assert ros_until(world, lambda: world.speed < 1e-3)
    assert (started.returncode, "Traceback" in (tmp_path / "log").read_text()) == (0, False)
    assert len(world.positions) > count
    check_accelerations(world)


def check_accelerations(world: World) -> None:
    """The positions that were commanded keep the limits of acceleration, and end at rest."""
    q = np.array([message.data for message in world.positions])
    assert (np.abs(np.diff(q, 2, axis=0)) <= world.robot.acceleration * STEP_S**2 + 1e-6).all()
    assert np.abs(q[-1] - q[-2]).max() <= world.robot.acceleration.max() * STEP_S**2


def test_node_that_was_asleep_goes_on_from_where_the_robot_is(world: World) -> None:
    world.start()
    assert ros_until(world, lambda: world.speed > 0.12, 5.0)
    before = len(world.trajectories)
    time.sleep(0.4)  # nothing is heard and nothing is said: the robot goes along the last path
    world.wait_for_count("loop was late")
    count = len(world.trajectories)
    assert ros_until(world, lambda: len(world.trajectories) > count + 10)
    assert FAULT not in [status.state for status in world.statuses]
    # It went to the end of the path, and begins from rest.
    speeds = [np.abs(message.points[0].velocities).max() for message in world.trajectories[before : before + 4]]
    assert min(speeds) <= world.robot.acceleration.max() * STEP_S + 1e-6


def test_clock_that_is_set_back_ends_imitation_without_a_burst(ros: Ros) -> None:
    world = World(ros, output=None, sim_time=True)
    world.start()
    count = len(world.previews)
    world.offset_ns -= 100 * 10**9
    world.wait_for(DISABLED, SLACK_S, Reason.CLOCK_SET_BACK.value)
    world.ros.spin_for(0.1)
    assert len(world.previews) - count < 40
    speeds = np.array([message.velocity for message in world.previews[count:]])
    assert (np.abs(np.diff(np.abs(speeds), axis=0)) < 3 * world.robot.acceleration * STEP_S).all()
    world.start()


def test_robot_description_of_another_robot_is_refused_until_the_right_one_comes(world: World) -> None:
    world.describe(description_path(load_config("ur5").urdf).read_text())
    message = world.refusal("robot_description")
    assert "panda" in message
    world.wait_for_count("robot_description unusable")
    world.describe(description_path(load_config("panda").urdf).read_text())
    world.start()


@pytest.mark.parametrize(
    "array",
    [
        SkeletonArray(topology="nothing"),
        SkeletonArray(keypoint_names=list(COCO_17.keypoints), skeletons=[SkeletonMessage(id="a1")]),
        SkeletonArray(keypoint_names=list(COCO_17.keypoints), skeletons=[SkeletonMessage(tracking_state=7)]),
    ],
    ids=["no names", "no keypoints", "no state"],
)
def test_skeletons_that_cannot_be_read_are_counted(ros: Ros, array: SkeletonArray) -> None:
    world = World(ros)
    world.start()
    world.send(array)
    world.wait_for_count("skeletons unusable")
    world.wait_for(ACTIVE, SLACK_S)


def test_joint_states_may_come_in_parts(ros: Ros) -> None:
    world = World(ros)
    parts = [0]

    def half(message: JointState) -> JointState:
        parts[0] += 1
        rows = slice(0, 4) if parts[0] % 2 else slice(4, None)
        return JointState(
            header=message.header,
            name=["gripper", *message.name[rows]],
            position=[0.0, *message.position[rows]],
            velocity=[0.0, *message.velocity[rows]],
        )

    world.feel = half
    world.start()
    assert world.count("joint states unusable") == 0


def test_robot_without_a_joint_is_refused_and_counted(world: World) -> None:
    def headless(message: JointState) -> JointState:
        return JointState(header=message.header, name=message.name[1:], position=message.position[1:])

    world.feel = headless
    world.press_anew()
    assert world.refusal(Reason.JOINTS_MISSING.value) == Reason.JOINTS_MISSING.value
    world.wait_for_count("joint states incomplete")


def test_unknown_robot_is_an_error_that_lists_the_known_ones(ros: Ros, capfd: pytest.CaptureFixture[str]) -> None:
    node = ros.add(ImitationNode(parameter_overrides=[Parameter("robot", value="pandda")]))
    with pytest.raises(ConfigurationError):
        node.start()
    assert "choose one of baxter, g1, kinova, panda" in capfd.readouterr().err
    assert node.set_parameters([Parameter("robot", value="ur5")])[0].successful
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert node.set_parameters([Parameter("base_from_torso_deg", value="1 2")])[0].successful
    assert node.trigger_configure() == FAILURE


@pytest.mark.parametrize(("name", "kind"), [("imitation", ImitationNode), ("simulated_robot", SimulatedRobotNode)])
def test_shipped_parameters_are_the_defaults(ros: Ros, name: str, kind: type) -> None:
    path = Path(__file__).parents[2] / "config" / f"{name}.yaml"
    shipped = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    node = ros.add(kind())
    assert {key: node.get_parameter(key).value for key in shipped} == shipped
