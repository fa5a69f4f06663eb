"""What speaks against a replay: what the robot says of itself, the dead-man switch, and where an object is."""

from __future__ import annotations

import math

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.replay_config import ReplayConfig, ReplayReason
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.supervisor import JointReport


class ReplayWatch:
    """Keeps what was heard last, and judges it. All times are in seconds, on one clock.

    Attributes:
        joints: What the robot says of itself; None before it did.
        planned_object: Where the object of the motion was when it was planned, shape (4, 4), metres in the base; None
            for no object.
    """

    def __init__(self, robot: Robot, config: ReplayConfig) -> None:
        self._robot, self._config = robot, config
        self.joints: JointReport | None = None
        self.planned_object: FloatArray | None = None
        self._deadman_s, self._is_pressed, self._was_released = -math.inf, False, False
        self._object: tuple[float, FloatArray] | None = None
        self._off_since_s = math.inf

    def take_joints(self, stamp_s: float, q: FloatArray, velocity: FloatArray) -> None:
        """Take in joints and velocities with shape (n,), radians and rad/s.

        Raises:
            InvalidInputError: the joints are not n finite numbers.
        """
        if np.shape(q) != self._robot.rest.shape or not np.isfinite(q).all() or not math.isfinite(stamp_s):
            raise InvalidInputError(f"joint states must be {len(self._robot.rest)} finite numbers, got {q}")
        self.joints = JointReport(stamp_s, np.asarray(q, float), np.asarray(velocity, float))

    def take_object(self, stamp_s: float, base_from_object: FloatArray) -> None:
        """Take in where the object of the motion is, shape (4, 4), metres in the base; what is not finite is none."""
        if np.shape(base_from_object) == (4, 4) and np.isfinite(base_from_object).all():
            self._object = (stamp_s, np.asarray(base_from_object, float))

    def press(self, now_s: float, is_pressed: bool) -> None:
        """Take in the dead-man switch."""
        self._deadman_s, self._is_pressed = now_s, is_pressed
        self._was_released |= not is_pressed

    def need_release(self) -> None:
        """Have the dead-man switch released once more before the next beginning."""
        self._was_released = False

    def begin(self) -> None:
        """Take in that a replay begins."""
        self._off_since_s = math.inf
        self.need_release()

    def forget_times(self) -> None:
        """Forget all that came with a time, because the clock was set back."""
        self.joints, self._object = None, None
        self._deadman_s, self._is_pressed, self._was_released = -math.inf, False, False

    def refusal(self, now_s: float) -> ReplayReason | None:
        """Return what speaks against a beginning."""
        trouble = self._joint_trouble(now_s)
        if trouble is not None:
            return trouble
        assert self.joints is not None
        if (np.abs(np.nan_to_num(self.joints.velocity)) > self._config.still_speed).any():
            return ReplayReason.ALREADY_MOVING
        if self._config.deadman and not self._was_released:
            return ReplayReason.DEADMAN_NEVER_RELEASED
        return self.deadman_trouble(now_s) or self._object_trouble(now_s, None)

    def trouble(self, now_s: float, command: FloatArray | None) -> ReplayReason | None:
        """Return what speaks against going on.

        Args:
            now_s: Now.
            command: Joints that were commanded last, shape (n,), radians; None before the first command.
        """
        trouble = self._joint_trouble(now_s) or self.deadman_trouble(now_s) or self._object_trouble(now_s, command)
        if trouble is not None:
            return trouble
        assert self.joints is not None
        if command is None or (np.abs(command - self.joints.q) <= self._config.following_error).all():
            self._off_since_s = math.inf
            return None
        self._off_since_s = min(self._off_since_s, now_s)
        return ReplayReason.NOT_FOLLOWING if now_s - self._off_since_s > self._config.following_time else None

    def deadman_trouble(self, now_s: float) -> ReplayReason | None:
        """Return what is wrong with the dead-man switch; None where none is needed."""
        if not self._config.deadman:
            return None
        if now_s - self._deadman_s > self._config.deadman_timeout:
            return ReplayReason.DEADMAN_SILENT
        return None if self._is_pressed else ReplayReason.DEADMAN_RELEASED

    def _joint_trouble(self, now_s: float) -> ReplayReason | None:
        joints, tolerance = self.joints, self._config.limit_tolerance
        if joints is None or now_s - joints.stamp_s > self._config.joints_timeout:
            return ReplayReason.JOINTS_MISSING
        outside = (joints.q < self._robot.lower - tolerance) | (joints.q > self._robot.upper + tolerance)
        return ReplayReason.OUTSIDE_LIMITS if outside.any() else None

    def _object_trouble(self, now_s: float, command: FloatArray | None) -> ReplayReason | None:
        planned = self.planned_object
        if planned is None or self._is_hidden(planned[:3, 3], command):
            return None
        if self._object is None or now_s - self._object[0] > self._config.object_timeout:
            return ReplayReason.OBJECT_LOST
        seen = self._object[1]
        shift = float(np.linalg.norm(seen[:3, 3] - planned[:3, 3]))
        # The trace of a turn is 1 + 2 cos of its angle.
        cosine = (float(np.trace(planned[:3, :3].T @ seen[:3, :3])) - 1) / 2
        turn = float(np.arccos(np.clip(cosine, -1, 1)))
        moved = shift > self._config.object_shift or turn > self._config.object_turn
        return ReplayReason.OBJECT_MOVED if moved else None

    def _is_hidden(self, place: FloatArray, command: FloatArray | None) -> bool:
        """Return whether a tool is so near to a place (3,), metres, that it hides what is there."""
        if command is None:
            return False
        tools = [self._robot.points(command, arm).tool[:3, 3] for arm in self._robot.arms]
        return min(float(np.linalg.norm(tool - place)) for tool in tools) < self._config.object_hidden
