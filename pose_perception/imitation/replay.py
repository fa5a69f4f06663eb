"""Replays a recorded or learned motion on a robot, as long as nothing speaks against it.

    idle ── start ──► approaching ── there ──► replaying ── end ──► finished
                            │                      │
                            ▼ something is wrong   ▼
                            stopping ── at rest ──► aborted

Like live imitation, this is no safety function: the robot's own emergency stop and enabling device are needed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.command_guard import CommandGuard
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.grippers import Grippers
from pose_perception.imitation.joint_limits import JointLimits
from pose_perception.imitation.replay_config import RUNNING, ReplayConfig, ReplayReason, ReplayState
from pose_perception.imitation.replay_plan import PlanLimits, ReplayPlan, plan_replay
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.stop_check import StopCheck
from pose_perception.imitation.supervisor import JointReport
from pose_perception.imitation.workspace import MARGIN, Workspace


class Replayer:
    """Replays one motion after the other. All times are in seconds, on one clock.

    Attributes:
        state: What it does.
        reason: What led to that.
        detail: More about it, for people.
        counts: How often each reason did something, by its text.
        plan: The commands of the present or last replay.
    """

    def __init__(self, robot: Robot, capsules: CapsuleModel | None, config: ReplayConfig) -> None:
        """Start idle.

        Args:
            robot: That moves.
            capsules: Its shape, for distances; None does without them.
            config: Settings.
        """
        self._robot, self._config = robot, config
        self._stop_check = StopCheck(robot, capsules, Workspace(robot, config.workspace), config.stop_distance_m)
        self._guard, self._limits = CommandGuard(robot, config.step_s), JointLimits(robot, config.step_s)
        self._grippers = Grippers(robot, config.step_s, config.gripper_speed)
        self._openings: Mapping[str, float] = {}
        self.state, self.reason, self.detail = ReplayState.IDLE, ReplayReason.ASKED_FOR, ""
        self.counts: Counter[str] = Counter()
        self.plan: ReplayPlan | None = None
        self._joints: JointReport | None = None
        self._deadman_s, self._is_pressed, self._was_released = -math.inf, False, False
        self._object: tuple[float, FloatArray] | None = None
        self._planned_object: FloatArray | None = None
        self._last: JointCommand | None = None
        self._next, self._off_since_s = 0, math.inf

    @property
    def config(self) -> ReplayConfig:
        """Settings."""
        return self._config

    def take_joints(self, stamp_s: float, q: FloatArray, velocity: FloatArray) -> None:
        """Take in what the robot says of itself: joints and velocities with shape (n,), radians and rad/s.

        Raises:
            InvalidInputError: the joints are not n finite numbers.
        """
        if np.shape(q) != self._robot.rest.shape or not np.isfinite(q).all() or not math.isfinite(stamp_s):
            raise InvalidInputError(f"joint states must be {len(self._robot.rest)} finite numbers, got {q}")
        self._joints = JointReport(stamp_s, np.asarray(q, float), np.asarray(velocity, float))

    def take_grippers(self, openings: Mapping[str, float]) -> None:
        """Take in measured openings of grippers by name of the arm, 0 closed to 1 open; what is not in it stays."""
        self._openings = {**self._openings, **openings}

    def take_object(self, stamp_s: float, base_from_object: FloatArray) -> None:
        """Take in where the object of the motion is, shape (4, 4), metres in the base; what is not finite is none."""
        if np.shape(base_from_object) == (4, 4) and np.isfinite(base_from_object).all():
            self._object = (stamp_s, np.asarray(base_from_object, float))

    def press(self, now_s: float, is_pressed: bool) -> None:
        """Take in the dead-man switch."""
        self._deadman_s, self._is_pressed = now_s, is_pressed
        self._was_released |= not is_pressed

    def start(self, now_s: float, motion: Demonstration, base_from_object: FloatArray | None = None) -> bool:
        """Begin a replay; return whether it does: `reason` and `detail` say what speaks against it.

        Args:
            now_s: Now.
            motion: Of the robot's joints, in its limits.
            base_from_object: Where the object is to which the motion goes, shape (4, 4), metres; None for no object.
        """
        if self.state in (*RUNNING, ReplayState.STOPPING):
            self.counts[ReplayReason.RUNNING.value] += 1
            return False
        self._planned_object = base_from_object
        refusal, detail = self._refusal(now_s), ""
        if refusal is None:
            refusal, detail = self._make_plan(motion)
        if refusal is not None:
            self._go(ReplayState.ABORTED, refusal, detail)
            return False
        self._grippers.forget(self._openings)
        self._next, self._off_since_s, self._last, self._was_released = 0, math.inf, None, False
        self._go(ReplayState.APPROACHING, ReplayReason.ASKED_FOR)
        return True

    def stop(self, reason: ReplayReason = ReplayReason.ASKED_FOR) -> None:
        """Bring the robot to rest."""
        if self.state in RUNNING:
            self._go(ReplayState.STOPPING, reason)

    def step(self, now_s: float) -> JointCommand | None:
        """Return the next command, a `step_s` after the last; None when the robot is to be left alone."""
        if self.state in RUNNING:
            trouble = self._trouble(now_s)
            if trouble is not None:
                self.stop(trouble)
        command = None
        if self.state in RUNNING:
            command = self._planned()
        if self.state == ReplayState.STOPPING:
            command = self._braking()
        if command is None:
            return None
        if not self._guard.accepts(command, self._last):
            self._go(ReplayState.ABORTED, ReplayReason.WRONG_COMMAND)
            return None
        self._last = command
        return command

    def _planned(self) -> JointCommand | None:
        """Return the next command of the plan; None when it is over, or was stopped instead."""
        plan = self.plan
        assert plan is not None
        if self._next == len(plan.q):
            self._go(ReplayState.FINISHED, ReplayReason.DONE)
            return None
        i = self._next
        before = plan.q[i] - self._config.step_s * plan.velocity[i]
        clearance = self._stop_check.can_stop(before, plan.velocity[i], self._limits)
        if not clearance.is_free:
            self.stop(ReplayReason.OUTSIDE_WORKSPACE if clearance.is_apart else ReplayReason.WOULD_COLLIDE)
            return None
        if i == plan.approach:
            self.state = ReplayState.REPLAYING
        self._next += 1
        openings = self._grippers.step({name: float(values[i]) for name, values in plan.openings.items()})
        return JointCommand(plan.q[i].copy(), plan.velocity[i].copy(), openings, clearance.distance_m, True, False)

    def _braking(self) -> JointCommand | None:
        """Return the next command on the way to rest; None when the robot is there."""
        last = self._last
        if last is None or not last.is_moving:
            self._go(ReplayState.ABORTED, self.reason, self.detail, count=False)
            return None
        bounds = self._limits.bounds(last.q, last.velocity)
        velocity = np.clip(0.0, bounds.lower, bounds.upper)
        q = last.q + self._config.step_s * velocity
        return replace(last, q=q, velocity=velocity, is_following=False, is_braking=True)

    def _refusal(self, now_s: float) -> ReplayReason | None:
        """Return what speaks against a beginning."""
        trouble = self._joint_trouble(now_s)
        if trouble is not None:
            return trouble
        assert self._joints is not None
        if (np.abs(np.nan_to_num(self._joints.velocity)) > self._config.still_speed).any():
            return ReplayReason.ALREADY_MOVING
        if self._config.deadman and not self._was_released:
            return ReplayReason.DEADMAN_NEVER_RELEASED
        return self._deadman_trouble(now_s) or self._object_trouble(now_s)

    def _make_plan(self, motion: Demonstration) -> tuple[ReplayReason | None, str]:
        config = self._config
        assert self._joints is not None
        speed = MARGIN * config.workspace.tool_speed
        limits = PlanLimits(config.step_s, config.limit_share, speed, config.speed_scale)
        start = np.clip(self._joints.q, self._robot.lower, self._robot.upper)
        try:
            self.plan = plan_replay(self._robot, motion, start, limits)
        except InvalidInputError as error:
            return ReplayReason.BAD_MOTION, str(error)
        clearance = self._stop_check.look(np.vstack([start, self.plan.q]))
        if not clearance.is_apart:
            return ReplayReason.WOULD_COLLIDE, ""
        return None if clearance.is_inside else ReplayReason.OUTSIDE_WORKSPACE, ""

    def _trouble(self, now_s: float) -> ReplayReason | None:
        """Return what speaks against going on."""
        trouble = self._joint_trouble(now_s) or self._deadman_trouble(now_s) or self._object_trouble(now_s)
        if trouble is not None:
            return trouble
        assert self._joints is not None
        if self._last is None or (np.abs(self._last.q - self._joints.q) <= self._config.following_error).all():
            self._off_since_s = math.inf
            return None
        self._off_since_s = min(self._off_since_s, now_s)
        return ReplayReason.NOT_FOLLOWING if now_s - self._off_since_s > self._config.following_time else None

    def _joint_trouble(self, now_s: float) -> ReplayReason | None:
        joints, tolerance = self._joints, self._config.limit_tolerance
        if joints is None or now_s - joints.stamp_s > self._config.joints_timeout:
            return ReplayReason.JOINTS_MISSING
        outside = (joints.q < self._robot.lower - tolerance) | (joints.q > self._robot.upper + tolerance)
        return ReplayReason.OUTSIDE_LIMITS if outside.any() else None

    def _deadman_trouble(self, now_s: float) -> ReplayReason | None:
        if not self._config.deadman:
            return None
        if now_s - self._deadman_s > self._config.deadman_timeout:
            return ReplayReason.DEADMAN_SILENT
        return None if self._is_pressed else ReplayReason.DEADMAN_RELEASED

    def _object_trouble(self, now_s: float) -> ReplayReason | None:
        planned = self._planned_object
        if planned is None or self._is_hidden(planned[:3, 3]):
            return None
        if self._object is None or now_s - self._object[0] > self._config.object_timeout:
            return ReplayReason.OBJECT_LOST
        shift = float(np.linalg.norm(self._object[1][:3, 3] - planned[:3, 3]))
        return ReplayReason.OBJECT_MOVED if shift > self._config.object_shift else None

    def _is_hidden(self, place: FloatArray) -> bool:
        """Return whether a tool is so near to a place (3,), metres, that it hides what is there."""
        if self._last is None:
            return False
        tools = [self._robot.points(self._last.q, arm).tool[:3, 3] for arm in self._robot.arms]
        return min(float(np.linalg.norm(tool - place)) for tool in tools) < self._config.object_hidden

    def _go(self, state: ReplayState, reason: ReplayReason, detail: str = "", count: bool = True) -> None:
        self.state, self.reason, self.detail = state, reason, detail
        self.counts[reason.value] += int(count)
