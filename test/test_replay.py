"""Tests for imitation/replay.py, replay_plan.py and stop_check.py: a robot that follows, and what can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.grippers import grippers_of
from pose_perception.imitation.joint_path import PathFollower
from pose_perception.imitation.replay import AHEAD_STEPS, Replayer
from pose_perception.imitation.replay_config import ReplayConfig, ReplayReason, ReplayState
from pose_perception.imitation.replay_plan import PlanLimits, plan_replay
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.workspace import WorkspaceConfig

STEP_S = 0.01


@pytest.fixture(scope="module", params=["panda", "g1"])
def robot(request: pytest.FixtureRequest) -> Robot:
    return load_robot(request.param)


def swaying(robot: Robot, seconds: float = 2.0, amplitude: float = 0.3) -> Demonstration:
    """Return a motion from rest to rest whose grippers close half way."""
    times = np.linspace(0, seconds, round(50 * seconds) + 1)
    wave = np.sin(np.pi * times / seconds)[:, None] ** 2
    q = np.clip(robot.rest + amplitude * wave * np.cos(np.arange(len(robot.rest))), robot.lower, robot.upper)
    openings = {name: np.where(times < seconds / 2, 1.0, 0.0) for name in robot.arms}
    return Demonstration(times, robot.joints, q, openings=openings)


@dataclass
class Session:
    """A replay at the robot's rate.

    Attributes:
        replayer: Under test.
        q: Where the robot is.
        object_pose: Where its object is seen, shape (4, 4); None for nowhere.
        is_pressed: The dead-man switch; None says nothing.
        follows: Whether the robot follows its commands.
        has_joints: Whether it says where it is.
        now_s: Now.
        commands: All so far.
    """

    replayer: Replayer
    q: np.ndarray
    object_pose: np.ndarray | None = None
    is_pressed: bool | None = True
    follows: bool = True
    has_joints: bool = True
    now_s: float = 10.0
    commands: list[JointCommand] = field(default_factory=list)

    def inform(self) -> None:
        """Tell the replayer what is known."""
        if self.has_joints:
            self.replayer.watch.take_joints(self.now_s, self.q, np.zeros_like(self.q))
        if self.object_pose is not None:
            self.replayer.watch.take_object(self.now_s, self.object_pose)
        if self.is_pressed is not None:
            self.replayer.watch.press(self.now_s, self.is_pressed)

    def start(self, motion: Demonstration, planned: np.ndarray | None = None) -> bool:
        """Begin after the switch was released."""
        self.replayer.watch.press(self.now_s - 1.0, False)
        self.inform()
        return self.replayer.start(self.now_s, motion, planned)

    def run(self, seconds: float, disturb: Callable[[Session], None] | None = None) -> None:
        """Go on; `disturb` may change the session before each step."""
        for _ in range(round(seconds / STEP_S)):
            if disturb is not None:
                disturb(self)
            self.inform()
            command = self.replayer.step(self.now_s)
            self.now_s += STEP_S
            if command is not None:
                self.commands.append(command)
                if self.follows:
                    self.q = command.q.copy()


def make(robot: Robot, start: np.ndarray, **options: object) -> Session:
    capsules = load_capsules(robot.config.name, robot.kinematics)
    return Session(Replayer(robot, capsules, replace(ReplayConfig(), **options)), start.copy())


def assert_in_limits(robot: Robot, start: np.ndarray, commands: list[JointCommand]) -> None:
    q = np.vstack([start, start, *(command.q for command in commands)])
    velocity = np.diff(q, axis=0) / STEP_S
    assert (q >= robot.lower - 1e-9).all()
    assert (q <= robot.upper + 1e-9).all()
    assert (np.abs(velocity) <= robot.velocity * (1 + 1e-6)).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= robot.acceleration * STEP_S * (1 + 1e-6)).all()


def test_it_approaches_replays_and_ends_in_all_limits(robot: Robot) -> None:
    start = np.clip(robot.rest + 0.2, robot.lower + 0.02, robot.upper - 0.02)
    session, motion = make(robot, start), swaying(robot)
    assert session.start(motion)
    session.run(30.0)
    assert session.replayer.state == ReplayState.FINISHED
    assert_in_limits(robot, start, session.commands)
    # The first command is within one step at full speed of where the robot is, and the last at rest at the end.
    assert (np.abs(session.commands[0].q - start) <= robot.velocity * STEP_S).all()
    np.testing.assert_allclose(session.commands[-1].q, motion.q[-1], atol=1e-6)
    assert (session.commands[-1].velocity == 0).all()
    # It is the motion, slower: each of its postures is passed.
    made = np.stack([command.q for command in session.commands])
    for posture in motion.q[::10]:
        assert np.abs(made - posture).max(axis=1).min() < 0.02
    # Grippers are left alone in the approach, then do what was shown, as fast as they may.
    for arm in grippers_of(robot):
        openings = np.array([command.openings[arm] for command in session.commands])
        assert np.isnan(openings[0])
        known = openings[np.isfinite(openings)]
        assert (known[0], known[-1]) == (1.0, 0.0)
        assert np.diff(known).min() == pytest.approx(-session.replayer.config.gripper_speed * STEP_S)


def test_tools_keep_their_speed(robot: Robot) -> None:
    session = make(robot, robot.rest, workspace=WorkspaceConfig(tool_speed=0.1))
    assert session.start(swaying(robot))
    session.run(60.0)
    assert session.replayer.state == ReplayState.FINISHED
    q = np.stack([command.q for command in session.commands])
    for arm in robot.arms:
        speed = np.linalg.norm(np.diff(robot.points(q, arm).tool[:, :3, 3], axis=0), axis=1) / STEP_S
        assert speed.max() <= 0.1


def test_half_the_speed_takes_twice_the_time() -> None:
    robot = load_robot("panda")
    motion = swaying(robot, seconds=6.0, amplitude=0.1)
    for scale, seconds in ((1.0, 6.0), (0.5, 12.0)):
        plan = plan_replay(robot, motion, motion.q[0], PlanLimits(STEP_S, 0.8, 1.0, scale))
        assert plan.slowed == 1.0
        assert plan.approach == 0
        assert len(plan.q) * STEP_S == pytest.approx(seconds, abs=0.05)


@pytest.fixture
def session() -> Session:
    robot = load_robot("panda")
    return make(robot, robot.rest + 0.1)


def _abort(session: Session, disturb: Callable[[Session], None], planned: np.ndarray | None = None) -> ReplayReason:
    robot, start = load_robot("panda"), session.q.copy()
    assert session.start(swaying(robot), planned)
    session.run(1.0)
    assert session.replayer.state in (ReplayState.APPROACHING, ReplayState.REPLAYING)
    session.run(3.0, disturb)
    assert session.replayer.state == ReplayState.ABORTED
    assert_in_limits(robot, start, session.commands)
    np.testing.assert_allclose(session.commands[-1].velocity, 0, atol=1e-6)
    assert session.replayer.counts[session.replayer.reason.value] == 1
    return session.replayer.reason


def _release(session: Session) -> None:
    session.is_pressed = False


def _silence(session: Session) -> None:
    session.is_pressed = None


def _stick(session: Session) -> None:
    session.follows = False


def _deafen(session: Session) -> None:
    session.has_joints = False


def _push(session: Session) -> None:
    session.q = load_robot("panda").upper + 0.1


@pytest.mark.parametrize(
    ("disturb", "reason"),
    [
        (_release, ReplayReason.DEADMAN_RELEASED),
        (_silence, ReplayReason.DEADMAN_SILENT),
        (_stick, ReplayReason.NOT_FOLLOWING),
        (_deafen, ReplayReason.JOINTS_MISSING),
        (_push, ReplayReason.OUTSIDE_LIMITS),
    ],
)
def test_what_goes_wrong_stops_the_robot_and_is_named(
    session: Session, disturb: Callable[[Session], None], reason: ReplayReason
) -> None:
    assert _abort(session, disturb) == reason


def test_an_object_that_is_lost_or_moved_stops_the_robot(session: Session) -> None:
    planned = np.eye(4)
    planned[:3, 3] = [0.3, 0.6, 0.1]
    session.object_pose = planned.copy()

    def move(running: Session) -> None:
        running.object_pose[0, 3] = 0.36

    assert _abort(session, move, planned) == ReplayReason.OBJECT_MOVED
    robot = load_robot("panda")

    def turn(running: Session) -> None:
        running.object_pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]

    turned = make(robot, robot.rest + 0.1)
    turned.object_pose = planned.copy()
    assert _abort(turned, turn, planned) == ReplayReason.OBJECT_MOVED
    other = make(robot, robot.rest + 0.1)
    other.object_pose = planned.copy()

    def lose(running: Session) -> None:
        running.object_pose = None

    assert _abort(other, lose, planned) == ReplayReason.OBJECT_LOST
    # What the tool is at, it hides.
    near = make(robot, robot.rest)
    near.object_pose = robot.points(robot.rest, "single").tool
    assert near.start(swaying(robot, amplitude=0.05), near.object_pose.copy())
    near.run(0.1)
    near.run(20.0, lose)
    assert near.replayer.state == ReplayState.FINISHED


def test_a_beginning_is_refused_with_its_reason(session: Session) -> None:
    robot, replayer = load_robot("panda"), session.replayer
    motion = swaying(robot)
    assert not replayer.start(0.0, motion)
    assert replayer.reason == ReplayReason.JOINTS_MISSING
    replayer.watch.take_joints(10.0, robot.upper + 0.2, np.zeros(7))
    assert not replayer.start(10.0, motion)
    assert replayer.reason == ReplayReason.OUTSIDE_LIMITS
    replayer.watch.take_joints(10.0, robot.rest, np.full(7, 0.2))
    assert not replayer.start(10.0, motion)
    assert replayer.reason == ReplayReason.ALREADY_MOVING
    replayer.watch.take_joints(10.0, robot.rest, np.full(7, np.nan))
    replayer.watch.press(10.0, True)
    assert not replayer.start(10.0, motion)
    assert replayer.reason == ReplayReason.DEADMAN_NEVER_RELEASED
    assert not session.start(motion, np.eye(4))
    assert replayer.reason == ReplayReason.OBJECT_LOST
    assert not session.start(replace(motion, joints=("a", *motion.joints[1:])))
    assert replayer.reason == ReplayReason.BAD_MOTION
    assert not session.start(replace(motion, q=motion.q + 2.0))
    assert replayer.reason == ReplayReason.BAD_MOTION
    assert "outside of its limits" in replayer.detail
    assert session.start(motion)
    assert not session.start(motion)
    assert replayer.counts[ReplayReason.RUNNING.value] == 1
    with pytest.raises(InvalidInputError):
        replayer.watch.take_joints(10.0, np.full(7, np.nan), np.zeros(7))


def test_motions_into_itself_or_out_of_the_box_are_refused() -> None:
    robot = load_robot("g1")
    capsules = load_capsules("g1", robot.kinematics)
    generator = np.random.default_rng(0)
    touching = next(
        q
        for q in generator.uniform(robot.lower, robot.upper, (500, len(robot.rest)))
        if capsules.nearest(robot.kinematics.bodies(q)).distances.min() < 0
    )
    share = np.linspace(0, 1, 101)[:, None]
    motion = Demonstration(share[:, 0] * 5, robot.joints, robot.rest + share * (touching - robot.rest))
    session = make(robot, robot.rest)
    assert not session.start(motion)
    assert session.replayer.reason == ReplayReason.WOULD_COLLIDE
    tool = robot.points(robot.rest, "left").tool[2, 3]
    boxed = make(robot, robot.rest, workspace=WorkspaceConfig(max_z=float(tool) + 0.02))
    assert not boxed.start(swaying(robot, amplitude=0.6))
    assert boxed.replayer.reason == ReplayReason.OUTSIDE_WORKSPACE


def run_until_it_moves(session: Session) -> None:
    """Go on until the robot is in the midst of the approach."""
    for _ in range(500):
        session.run(STEP_S)
        if np.abs(session.commands[-1].velocity).max() > 0.05:
            break


@pytest.mark.parametrize("stays", [False, True])
def test_commands_that_are_late_go_on_where_the_robot_is(robot: Robot, stays: bool) -> None:
    session = make(robot, robot.rest)
    assert session.start(swaying(robot))
    run_until_it_moves(session)
    told, before = session.replayer.ahead(), session.commands[-1]
    late_s = 0.1
    session.replayer.coast(late_s, stays)
    session.now_s += late_s
    session.run(STEP_S)
    after = session.commands[-1]
    if stays:
        # It stood, and quickens from rest.
        assert (np.abs(after.velocity) <= robot.acceleration * STEP_S).all()
        assert (np.abs(after.q - before.q) <= robot.acceleration * STEP_S**2).all()
    else:
        follower = PathFollower(told, before.q, before.velocity)
        np.testing.assert_allclose(after.q, follower.at(STEP_S + late_s + STEP_S)[0], atol=2e-3)
    session.run(60.0)
    assert session.replayer.state == ReplayState.FINISHED
    np.testing.assert_allclose(session.commands[-1].q, swaying(robot).q[-1], atol=1e-6)


def test_what_is_told_ahead_is_what_comes_and_ends_at_rest(robot: Robot) -> None:
    session = make(robot, robot.rest)
    assert session.start(swaying(robot))
    run_until_it_moves(session)
    told, count = session.replayer.ahead(), len(session.commands)
    session.run(0.4)
    coming = np.stack([command.q for command in session.commands[count - 1 :]])
    known = told.times_s <= AHEAD_STEPS * STEP_S
    at = np.round(told.times_s[known] / STEP_S).astype(int) - 1
    np.testing.assert_allclose(told.positions[known], coming[at], atol=1e-9)
    assert not told.velocities[-1].any()
    assert (np.diff(told.times_s) > 0).all()


def test_robot_that_heard_nothing_for_long_is_stopped(robot: Robot) -> None:
    session = make(robot, robot.rest)
    assert session.start(swaying(robot))
    run_until_it_moves(session)
    session.replayer.coast(0.5, stays=False)
    session.now_s += 0.5
    session.run(1.0)
    assert (session.replayer.state, session.replayer.reason) == (ReplayState.ABORTED, ReplayReason.TOO_LATE)
