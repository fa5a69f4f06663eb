"""When a robot may move after a person, and when it must not: the states of imitation and the ways between them.

    disabled ── enable ──► enabling ── ramp is over ──► active
                              ▲  │                        │
              person is back  │  ▼ person or dead-man gone ▼
                            holding ── for too long ──► disabled
    any state but disabled ── what the robot reports cannot be ──► fault ── reset ──► disabled

Nothing moves in `disabled`; `holding` and `fault` bring the robot to a stop. This is software that avoids what it knows
of. It is no safety function in the sense of ISO 10218 or ISO 13849: the robot's own emergency stop and enabling device
are needed beside it.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.supervisor_config import SupervisorConfig


class State(enum.IntEnum):
    """What imitation does."""

    DISABLED = 0
    ENABLING = 1
    ACTIVE = 2
    HOLDING = 3
    FAULT = 4
    # What moves the robot is a replay, and nothing of a person.
    APPROACHING = 5
    REPLAYING = 6
    STOPPING = 7


MOVING = (State.ENABLING, State.ACTIVE)


class Reason(enum.Enum):
    """Why imitation was refused, held, ended or failed."""

    ASKED_FOR = "asked for"
    PAUSED = "paused"
    NO_PERSON = "no person who can be followed is seen"
    PERSON_GONE = "nothing of the operator that can be believed for too long"
    DEADMAN_RELEASED = "dead-man switch is released"
    DEADMAN_SILENT = "dead-man switch is silent"
    DEADMAN_NEVER_RELEASED = "dead-man switch was not released since the last time"
    JOINTS_MISSING = "no joint states, or old ones"
    JOINTS_INVALID = "joint states that are no numbers"
    OUTSIDE_LIMITS = "a joint is outside its limits"
    ALREADY_MOVING = "the robot is moving already"
    NOT_FOLLOWING = "the robot does not follow its commands"
    LATCHED_FAULT = "a fault must be reset first"
    WRONG_COMMAND = "a command that breaks a limit was stopped"
    CLOCK_SET_BACK = "the clock was set back"


@dataclass(frozen=True)
class JointReport:
    """What a robot says of itself.

    Attributes:
        stamp_s: When, seconds.
        q: Joints with shape (n,), radians.
        velocity: Shape (n,), rad/s; NaN when it does not say.
    """

    stamp_s: float
    q: FloatArray
    velocity: FloatArray


class Supervisor:
    """Decides in which state imitation is.

    Attributes:
        state: The present one.
        reason: What led to it.
        counts: How often each reason did something, by its text.
    """

    def __init__(self, config: SupervisorConfig, lower: FloatArray, upper: FloatArray) -> None:
        """Start disabled.

        Args:
            config: When the robot may move.
            lower: Limits of the joints with shape (n,), radians.
            upper: Limits of the joints with shape (n,), radians.
        """
        self._config = config
        self._lower, self._upper = lower, upper
        self.state, self.reason = State.DISABLED, Reason.ASKED_FOR
        self.counts: Counter[str] = Counter()
        self._joints: JointReport | None = None
        self._seen_s = -np.inf
        self._deadman_s, self._is_pressed, self._was_released = -np.inf, False, False
        self._enabled_s = self._off_command_since_s = -np.inf

    @property
    def joints(self) -> JointReport | None:
        """The last report of the robot that was usable."""
        return self._joints

    @property
    def person_stamp_s(self) -> float:
        """Stamp of the last believable image of the operator, seconds."""
        return self._seen_s

    def speed(self, now_s: float) -> float:
        """Return the part of the robot's speed that is allowed now, 0 to 1."""
        if self.state == State.ACTIVE:
            return 1.0
        if self.state != State.ENABLING:
            return 0.0
        share = (now_s - self._enabled_s) / self._config.ramp if self._config.ramp > 0 else 1.0
        return float(np.clip(self._config.first_speed + (1 - self._config.first_speed) * share, 0.0, 1.0))

    def press(self, stamp_s: float, is_pressed: bool) -> None:
        """Take in the dead-man switch."""
        self._deadman_s, self._is_pressed = stamp_s, is_pressed
        self._was_released |= not is_pressed

    def report(self, joints: JointReport) -> None:
        """Take in what the robot says of its joints.

        Raises:
            InvalidInputError: they are not n finite numbers; a robot that moves after a person stops for good.
        """
        if np.shape(joints.q) != self._lower.shape or not np.isfinite(joints.q).all():
            self._count(Reason.JOINTS_INVALID)
            if self.state != State.DISABLED:
                self._go(State.FAULT, Reason.JOINTS_INVALID)
            raise InvalidInputError(f"joint states must be {len(self._lower)} finite numbers, got {joints.q}")
        self._joints = joints

    def see(self, stamp_s: float) -> None:
        """Take in that an image showed the operator believably."""
        self._seen_s = max(self._seen_s, stamp_s)

    def enable(self, now_s: float, has_person: bool) -> Reason | None:
        """Begin, if nothing speaks against it; return what does."""
        if self.state in (*MOVING, State.HOLDING):
            return None
        refusal = self._refusal(now_s, has_person)
        if refusal is not None:
            self._count(refusal)
            return refusal
        self._begin(now_s)
        return None

    def disable(self, reason: Reason = Reason.ASKED_FOR) -> None:
        """End; a fault stays one."""
        if self.state not in (State.DISABLED, State.FAULT):
            self._go(State.DISABLED, reason)

    def hold(self) -> None:
        """Stop until somebody resumes or ends it; what was held for another reason does not go on by itself, too."""
        if self.state in (*MOVING, State.HOLDING) and self.reason != Reason.PAUSED:
            self._go(State.HOLDING, Reason.PAUSED)

    def forget_times(self) -> None:
        """End, and forget all that came with a time, because the clock was set back: ages would be wrong."""
        self.disable(Reason.CLOCK_SET_BACK)
        self._joints = None
        self._seen_s = self._deadman_s = -np.inf
        self._is_pressed = self._was_released = False

    def resume(self, now_s: float) -> Reason | None:
        """Go on after `hold`; return what speaks against it."""
        if self.state != State.HOLDING or self.reason != Reason.PAUSED:
            return None
        obstacle = self._obstacle(now_s)
        if obstacle is None:
            self._begin(now_s)
        else:
            self._count(obstacle)
        return obstacle

    def fail(self, reason: Reason) -> None:
        """Stop for good: until `reset`."""
        if self.state not in (State.DISABLED, State.FAULT):
            self._go(State.FAULT, reason)

    def latch(self, reason: Reason) -> None:
        """Take in that a robot which something else moved is unfit to be moved: until `reset`."""
        self._go(State.FAULT, reason)

    def need_release(self) -> None:
        """Have the dead-man switch released once more before the next beginning."""
        self._was_released = False

    def reset(self) -> None:
        """Leave a fault."""
        if self.state == State.FAULT:
            self._go(State.DISABLED, Reason.ASKED_FOR)

    def update(self, now_s: float, command: FloatArray | None) -> State:
        """Return the state at a time.

        Args:
            now_s: Now, seconds.
            command: Last command with shape (n,), radians; None before the first.
        """
        if self.state in (State.DISABLED, State.FAULT):
            return self.state
        fault = self._fault(now_s, command)
        if fault is not None:
            self._go(State.FAULT, fault)
        elif now_s - self._seen_s > self._config.disable_after:
            self._go(State.DISABLED, Reason.PERSON_GONE)
        elif self._config.deadman and now_s - self._deadman_s > self._config.disable_after:
            self._go(State.DISABLED, Reason.DEADMAN_SILENT)
        elif self.state == State.HOLDING:
            if self.reason != Reason.PAUSED and self._obstacle(now_s) is None:
                self._begin(now_s)
        else:
            obstacle = self._obstacle(now_s)
            if obstacle is not None:
                self._go(State.HOLDING, obstacle)
            elif self.state == State.ENABLING and now_s - self._enabled_s >= self._config.ramp:
                self.state = State.ACTIVE
        return self.state

    def _begin(self, now_s: float) -> None:
        self._enabled_s, self._off_command_since_s = now_s, np.inf
        self._was_released = False
        self._go(State.ENABLING, Reason.ASKED_FOR)

    def _refusal(self, now_s: float, has_person: bool) -> Reason | None:
        """Return what speaks against a beginning."""
        if self.state == State.FAULT:
            return Reason.LATCHED_FAULT
        joints = self._joints
        if joints is None or now_s - joints.stamp_s > self._config.joints_timeout:
            return Reason.JOINTS_MISSING
        if self._is_outside(joints.q):
            return Reason.OUTSIDE_LIMITS
        if (np.abs(np.nan_to_num(joints.velocity)) > self._config.still_speed).any():
            return Reason.ALREADY_MOVING
        if not has_person:
            return Reason.NO_PERSON
        if self._config.deadman and not self._was_released:
            return Reason.DEADMAN_NEVER_RELEASED
        return self._obstacle(now_s)

    def _obstacle(self, now_s: float) -> Reason | None:
        """Return what speaks against motion now, and may pass."""
        if now_s - self._seen_s > self._config.hold_after:
            return Reason.PERSON_GONE
        if self._config.deadman and now_s - self._deadman_s > self._config.deadman_timeout:
            return Reason.DEADMAN_SILENT
        if self._config.deadman and not self._is_pressed:
            return Reason.DEADMAN_RELEASED
        return None

    def _fault(self, now_s: float, command: FloatArray | None) -> Reason | None:
        """Return what makes the robot unfit to be moved."""
        joints = self._joints
        if joints is None or now_s - joints.stamp_s > self._config.joints_timeout:
            return Reason.JOINTS_MISSING
        if self._is_outside(joints.q):
            return Reason.OUTSIDE_LIMITS
        if command is None or (np.abs(command - joints.q) <= self._config.following_error).all():
            self._off_command_since_s = np.inf
            return None
        self._off_command_since_s = min(self._off_command_since_s, now_s)
        is_lasting = now_s - self._off_command_since_s > self._config.following_time
        return Reason.NOT_FOLLOWING if is_lasting else None

    def _is_outside(self, q: FloatArray) -> bool:
        tolerance = self._config.limit_tolerance
        return bool(((q < self._lower - tolerance) | (q > self._upper + tolerance)).any())

    def _go(self, state: State, reason: Reason) -> None:
        self.state, self.reason = state, reason
        self._count(reason)

    def _count(self, reason: Reason) -> None:
        self.counts[reason.value] += 1
