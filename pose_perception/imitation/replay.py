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
from pose_perception.imitation.joint_path import JointPath
from pose_perception.imitation.replay_config import RUNNING, ReplayConfig, ReplayReason, ReplayState
from pose_perception.imitation.replay_plan import PlanLimits, PreparedReplay, ReplayPlan, plan_replay, reason_of
from pose_perception.imitation.replay_watch import ReplayWatch
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.stop_check import Clearance, StopCheck
from pose_perception.imitation.workspace import MARGIN, Workspace

# With each command so many that follow are told, every third of them, so that the robot goes on evenly when the next
# one is late; a node that dies lets it go on for so long.
AHEAD_STEPS, _STRIDE = 30, 3
# A robot that is farther from where a replay was planned has moved, radians.
_MOVED = 0.02
# Part of the accelerations that a motion may need for going on after it stood; together with those that a plan uses it
# must stay below 1.
_QUICKEN = 0.2
# Moments of a way to rest.
_STOP_SAMPLES = 5


class Replayer:
    """Replays one motion after the other. All times are in seconds, on one clock.

    Attributes:
        state: What it does.
        reason: What led to that.
        detail: More about it, for people.
        counts: How often each reason did something, by its text.
        plan: The commands of the present or last replay.
        watch: What is known of robot, dead-man switch and object.
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
        self.watch = ReplayWatch(robot, config)
        self.state, self.reason, self.detail = ReplayState.IDLE, ReplayReason.ASKED_FOR, ""
        self.counts: Counter[str] = Counter()
        self.plan: ReplayPlan | None = None
        self._last: JointCommand | None = None
        # All postures of the plan, where it is among them, its pace, and up to where ways to rest were looked at.
        self._way, self._at, self._pace, self._looked = np.zeros((1, len(robot.joints))), 0.0, 1.0, 0
        self._quicken = _QUICKEN * config.step_s * float((robot.acceleration / robot.velocity).min())

    @property
    def config(self) -> ReplayConfig:
        """Settings."""
        return self._config

    @property
    def is_busy(self) -> bool:
        """Whether a replay runs, or is being stopped."""
        return self.state in (*RUNNING, ReplayState.STOPPING)

    def take_grippers(self, openings: Mapping[str, float]) -> None:
        """Take in measured openings of grippers by name of the arm, 0 closed to 1 open; what is not in it stays."""
        self._openings = {**self._openings, **openings}

    def start(self, now_s: float, motion: Demonstration, base_from_object: FloatArray | None = None) -> bool:
        """Begin a replay; return whether it does: `reason` and `detail` say what speaks against it.

        Args:
            now_s: Now.
            motion: Of the robot's joints, in its limits.
            base_from_object: Where the object is to which the motion goes, shape (4, 4), metres; None for no object.
        """
        if not self.is_busy:
            self.watch.planned_object = base_from_object
        return self.is_ready(now_s) and self.begin(now_s, self.prepare(motion))

    def is_ready(self, now_s: float) -> bool:
        """Return whether a replay could begin now: `reason` says what speaks against it."""
        if self.is_busy:
            self.counts[ReplayReason.RUNNING.value] += 1
            return False
        refusal = self.watch.refusal(now_s)
        if refusal is not None:
            self._go(ReplayState.ABORTED, refusal)
        return refusal is None

    def prepare(self, motion: Demonstration, speed_scale: float | None = None) -> PreparedReplay:
        """Plan a replay from where the robot is, which takes its time, and may be done in a thread of its own.

        Args:
            motion: Of the robot's joints, in its limits.
            speed_scale: Speed over that of the recording; None for that of the settings.
        """
        config = self._config
        assert self.watch.joints is not None
        speed = MARGIN * config.workspace.tool_speed
        scale = config.speed_scale if speed_scale is None else speed_scale
        limits = PlanLimits(config.step_s, config.limit_share, speed, scale)
        start = np.clip(self.watch.joints.q, self._robot.lower, self._robot.upper)
        try:
            plan = plan_replay(self._robot, motion, start, limits)
        except InvalidInputError as error:
            return PreparedReplay(start, None, ReplayReason.BAD_MOTION, str(error))
        clearance = self._stop_check.look(np.vstack([start, plan.q]))
        if clearance.is_free:
            return PreparedReplay(start, plan, None, "")
        return PreparedReplay(start, plan, reason_of(clearance), "")

    def begin(self, now_s: float, prepared: PreparedReplay) -> bool:
        """Begin what was prepared; return whether it does: `reason` and `detail` say what speaks against it."""
        if not self.is_ready(now_s):
            return False
        assert self.watch.joints is not None
        refusal = prepared.refusal
        here = np.clip(self.watch.joints.q, self._robot.lower, self._robot.upper)
        if refusal is None and np.abs(here - prepared.start).max() > _MOVED:
            refusal = ReplayReason.ALREADY_MOVING
        if refusal is not None:
            self._go(ReplayState.ABORTED, refusal, prepared.detail)
            return False
        assert prepared.plan is not None
        self.plan = plan = prepared.plan
        self._way = np.vstack([plan.q[0] - self._config.step_s * plan.velocity[0], plan.q])
        self._grippers.forget(self._openings)
        self.watch.begin()
        self._at, self._pace, self._looked, self._last = 0.0, 1.0, 0, None
        self._go(ReplayState.APPROACHING, ReplayReason.ASKED_FOR)
        return True

    def forget(self) -> None:
        """Take in that something else moves the robot: be idle, as if there had been no replay."""
        if not self.is_busy:
            self.state, self.reason, self.detail = ReplayState.IDLE, ReplayReason.ASKED_FOR, ""
            self.watch.need_release()

    def stop(self, reason: ReplayReason = ReplayReason.ASKED_FOR, detail: str = "") -> None:
        """Bring the robot to rest."""
        if self.state in RUNNING:
            self._go(ReplayState.STOPPING, reason, detail)

    def step(self, now_s: float) -> JointCommand | None:
        """Return the next command, a `step_s` after the last; None when the robot is to be left alone."""
        if self.state in RUNNING:
            trouble = self.watch.trouble(now_s, None if self._last is None else self._last.q)
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

    def ahead(self) -> JointPath:
        """Return the way from the last command on, which comes a step from now: those that follow, and to rest."""
        assert self._last is not None
        step_s, q, velocity = self._config.step_s, self._last.q[None], self._last.velocity[None]
        steps = np.ones(1)
        left = len(self._way) - 1 - self._at
        if self.state in RUNNING and left > 0:
            farthest = min(float(AHEAD_STEPS), left)
            told = np.append(np.arange(_STRIDE, farthest, _STRIDE), farthest)
            there = self._posture(self._at + told)
            q = np.vstack([q, there])
            velocity = np.vstack([velocity, (there - self._posture(self._at + told - 1)) / step_s])
            steps = np.append(steps, 1 + told)
        times, stop_q, stop_velocity = self._limits.stop(q[-1], velocity[-1], _STOP_SAMPLES)
        # The way to rest begins with the moment that is there already.
        is_later = times > step_s / 100
        times_s = step_s * np.concatenate([steps, steps[-1] + times[is_later] / step_s])
        velocity = np.vstack([velocity, stop_velocity[is_later]])
        velocity[-1] = 0.0
        return JointPath(times_s, np.vstack([q, stop_q[is_later]]), velocity)

    def coast(self, seconds: float, stays: bool, told: int = AHEAD_STEPS) -> None:
        """Take in that commands were late, so that the robot went on without them.

        Args:
            seconds: How late.
            stays: Whether it stopped at the last command, as it does that gets nothing but positions; otherwise it went
                along `ahead`.
            told: How many commands after the last the robot knows.
        """
        if self._last is None or not self.is_busy:
            return
        if stays:
            # It goes on from rest.
            self._pace = 0.0
            self._last = replace(self._last, velocity=np.zeros_like(self._last.velocity))
            return
        if self.state in RUNNING:
            passed = round(seconds / self._config.step_s)
            if passed == 0:
                return
            at = min(self._at + min(passed, told), len(self._way) - 1.0)
            q = self._posture(at)
            self._last = replace(self._last, q=q, velocity=(q - self._posture(at - 1)) / self._config.step_s)
            self._at = at
            if passed <= told or at == len(self._way) - 1:
                return
            seconds -= told * self._config.step_s
            self.stop(ReplayReason.TOO_LATE)
        q, velocity = self._limits.coast(self._last.q, self._last.velocity, seconds)
        self._last = replace(self._last, q=q, velocity=velocity)

    def _planned(self) -> JointCommand | None:
        """Return the next command of the plan; None when it is over, or was stopped instead."""
        plan = self.plan
        assert plan is not None
        end = len(self._way) - 1
        if self._at >= end:
            self._go(ReplayState.FINISHED, ReplayReason.DONE)
            return None
        self._pace = min(1.0, self._pace + self._quicken)
        at = min(self._at + self._pace, float(end))
        clearance = self._look_ahead(at)
        if not clearance.is_free:
            self.stop(reason_of(clearance))
            return None
        q, before = self._posture(at), self._posture(self._at)
        self._at = at
        if at > plan.approach:
            self.state = ReplayState.REPLAYING
        shown = math.ceil(at) - 1
        openings = self._grippers.step({name: float(values[shown]) for name, values in plan.openings.items()})
        velocity = (q - before) / self._config.step_s
        return JointCommand(q, velocity, openings, clearance.distance_m, True, False)

    def _posture(self, at: FloatArray | float) -> FloatArray:
        """Return joints between the postures of the plan, shape (..., n), radians.

        Straight between two of them: a mixture of two motions that keep limits of velocity and acceleration keeps them.
        """
        i = np.clip(np.floor(at).astype(int), 0, len(self._way) - 2)
        share = np.asarray(at - i)[..., None]
        return (1 - share) * self._way[i] + share * self._way[i + 1]

    def _look_ahead(self, at: float) -> Clearance:
        """Return what the ways to rest come near to from the commands that are told together with the next one."""
        end = min(math.ceil(at) + AHEAD_STEPS, len(self._way) - 1)
        clearance = Clearance(True, True, math.inf)
        for j in range(min(self._looked + 1, end), end + 1):
            velocity = (self._way[j] - self._way[j - 1]) / self._config.step_s
            clearance = self._stop_check.can_stop(self._way[j - 1], velocity, self._limits)
            if not clearance.is_free:
                break
        self._looked = end
        return clearance

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

    def _go(self, state: ReplayState, reason: ReplayReason, detail: str = "", count: bool = True) -> None:
        self.state, self.reason, self.detail = state, reason, detail
        self.counts[reason.value] += int(count)
