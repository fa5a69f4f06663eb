"""Replays in the node `imitation`: what a file shows, planned in a thread, under the same switch and limits."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rclpy.task import Future

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration_editing import trim
from pose_perception.imitation.imitator import ImitationConfig, Status
from pose_perception.imitation.joint_path import JointPath
from pose_perception.imitation.motion_files import SMOOTHING_HZ, goes_to_object, is_learned, read_motion
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.replay_config import ReplayConfig, ReplayReason, ReplayState
from pose_perception.imitation.replay_plan import PreparedReplay
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.supervisor import State
from pose_perception.ros.trajectory_action import TrajectoryAction

STREAM, ACTION = "stream", "action"
_STATES = {
    ReplayState.APPROACHING: State.APPROACHING,
    ReplayState.REPLAYING: State.REPLAYING,
    ReplayState.STOPPING: State.STOPPING,
}
# Within this time a controller answers, seconds.
_ANSWER_S = 1.0


@dataclass(frozen=True)
class MotionConfig(Config):
    """What ~/replay replays; read anew each time."""

    demonstration: str = option("", "What ~/replay replays: a .csv, .npz or .mcap file.")
    speed_scale: float = option(1.0, "Speed of the motion over that of the recording.", minimum=0.01, maximum=5.0)


@dataclass(frozen=True)
class ReplayOutputConfig(Config):
    """How motions are replayed."""

    output: str = option(
        STREAM,
        "stream: commands as of imitation; action: the whole motion to ~/follow_joint_trajectory, which goes on when "
        "the node dies; not with preview.",
        choices=(STREAM, ACTION),
    )
    limit_share: float = option(
        0.8, "Part of the robot's velocities and accelerations that is used.", minimum=0.01, maximum=1.0
    )
    smoothing_hz: float = option(
        SMOOTHING_HZ, "Faster changes of recorded joints are noise, in Hz; 0 leaves them.", minimum=0.0, maximum=1000.0
    )
    following_error: float = option(
        0.2, "Largest distance of a joint from its command, in radians.", minimum=0.001, maximum=3.0
    )
    following_time: float = option(
        0.3, "The robot may be that far from its command for so long, in seconds.", minimum=0.0, maximum=10.0
    )
    object_timeout: float = option(
        1.0, "An object that was seen longer ago is lost, in seconds.", minimum=0.05, maximum=60.0
    )
    object_shift: float = option(0.02, "How far an object may move, in metres.", minimum=0.001, maximum=1.0)
    object_turn: float = option(
        0.35, "How far an object may turn, in radians; 3.15 for one without sides.", minimum=0.01, maximum=3.15
    )


def replay_config(core: ImitationConfig, output: ReplayOutputConfig) -> ReplayConfig:
    """Return the settings of replays, of which all that imitation knows too are the same."""
    supervisor, retargeting = core.supervisor, core.retargeting
    return ReplayConfig(
        limit_share=output.limit_share * retargeting.speed_scale,
        gripper_speed=retargeting.gripper_speed,
        step_s=retargeting.step_s,
        stop_distance_m=retargeting.stop_distance_m,
        following_error=output.following_error,
        following_time=output.following_time,
        object_timeout=output.object_timeout,
        object_shift=output.object_shift,
        object_turn=output.object_turn,
        joints_timeout=supervisor.joints_timeout,
        limit_tolerance=supervisor.limit_tolerance,
        still_speed=supervisor.still_speed,
        deadman=supervisor.deadman,
        deadman_timeout=supervisor.deadman_timeout,
        workspace=core.workspace,
    )


class Replays:
    """One replay after the other.

    Args:
        robot: That moves.
        replayer: Of its motions.
        action: Takes whole motions; None streams commands.
        smoothing_hz: Faster changes of recorded joints are noise; 0 leaves them.

    Attributes:
        replayer, action: As given.
    """

    def __init__(self, robot: Robot, replayer: Replayer, action: TrajectoryAction | None, smoothing_hz: float) -> None:
        self._robot, self.replayer, self.action, self._smoothing_hz = robot, replayer, action, smoothing_hz
        self._object: FloatArray | None = None
        self._is_preparing, self._asked_s = False, -np.inf
        self._is_told, self._number = False, 0
        self._called_off: ReplayReason | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a replay is prepared, runs or is being stopped."""
        return self._is_preparing or self.replayer.is_busy

    @property
    def is_moving(self) -> bool:
        """Whether it is a replay that moves the robot."""
        return self.replayer.is_busy

    def take_object(self, stamp_s: float, base_from_object: FloatArray) -> None:
        """Take in where the object of a movement is, shape (4, 4), metres in the base."""
        self._object = base_from_object
        self.replayer.watch.take_object(stamp_s, base_from_object)

    def press(self, now_s: float, is_pressed: bool) -> None:
        """Take in the dead-man switch; one that is released calls off what is prepared."""
        self.replayer.watch.press(now_s, is_pressed)
        self.judge(now_s)

    def judge(self, now_s: float) -> None:
        """Call off what is prepared when nobody holds the dead-man switch."""
        reason = self.replayer.watch.deadman_trouble(now_s)
        if self._is_preparing and reason is not None:
            self.stop(reason)

    def prepare(self, now_s: float, config: MotionConfig) -> Future | str:
        """Have a motion read and planned; return its future `PreparedReplay`, or what speaks against it."""
        if self.is_busy:
            return ReplayReason.RUNNING.value
        if not config.demonstration:
            return "the parameter replay.demonstration names no file"
        if self.action is not None and not self.action.is_ready():
            return f"no controller offers the action {self.action.name}"
        path = Path(config.demonstration).expanduser()
        try:
            place = self._object if goes_to_object(path) else None
        except InvalidInputError as error:
            return str(error)
        self.replayer.watch.planned_object = place
        if not self.replayer.is_ready(now_s):
            return self.replayer.reason.value
        self._is_preparing, self._called_off, prepared = True, None, Future()
        work = threading.Thread(target=self._prepare, args=(path, config.speed_scale, place, prepared), daemon=True)
        work.start()
        return prepared

    def begin(self, now_s: float, prepared: PreparedReplay) -> str:
        """Begin what was prepared; return what speaks against it."""
        self._is_preparing = False
        if self._called_off is not None:
            return self._called_off.value
        if not self.replayer.begin(now_s, prepared):
            reason, detail = self.replayer.reason.value, self.replayer.detail
            return f"{reason}: {detail}" if detail else reason
        if self.action is not None:
            plan, step_s = self.replayer.plan, self.replayer.config.step_s
            assert plan is not None
            path = JointPath(step_s * np.arange(1, len(plan.q) + 1), plan.q, plan.velocity)
            self._is_told, self._asked_s, self._number = False, now_s, self._number + 1
            self.action.send(self._robot.joints, path).add_done_callback(partial(self._on_answer, self._number))
        return ""

    def drop(self) -> None:
        """Give up what is being prepared."""
        self._is_preparing = False

    def stop(self, reason: ReplayReason = ReplayReason.ASKED_FOR, detail: str = "") -> None:
        """Bring the robot to rest; what is prepared does not begin any more."""
        self._called_off = self._called_off or reason
        self.replayer.stop(reason, detail)
        self._tell_controller()

    def step(self, now_s: float) -> JointCommand | None:
        """Return the next command; None when the replay is over, or the controller has not answered yet."""
        if self.action is not None and not self._is_told and self.replayer.state != ReplayState.STOPPING:
            trouble = self.replayer.watch.trouble(now_s, None)
            if trouble is None and now_s - self._asked_s > _ANSWER_S:
                trouble = ReplayReason.CONTROLLER
            if trouble is None:
                return None
            self.replayer.stop(trouble)
        command = self.replayer.step(now_s)
        self._tell_controller()
        return command

    def coast(self, seconds: float, stays: bool) -> None:
        """Take in that the robot went on for some time without commands; see `Replayer.coast`."""
        plan = self.replayer.plan
        if self.action is not None and plan is not None:
            self.replayer.coast(seconds, False, len(plan.q))
        else:
            self.replayer.coast(seconds, stays)

    def status(self, status: Status) -> Status:
        """Return how it is going, when it is a replay that goes, or the last thing that was; else what it was."""
        replayer = self.replayer
        status = status._replace(counts=Counter(status.counts) + replayer.counts)
        ending = f"{replayer.reason.value}: {replayer.detail}" if replayer.detail else replayer.reason.value
        if replayer.is_busy:
            return status._replace(state=_STATES[replayer.state], reason=ending)
        if status.state != State.DISABLED:
            return status
        if self._is_preparing:
            called_off = self._called_off
            reason = "a replay is prepared" if called_off is None else f"replay called off: {called_off.value}"
            return status._replace(reason=reason)
        if replayer.state in (ReplayState.FINISHED, ReplayState.ABORTED):
            return status._replace(reason=f"replay {replayer.state.name.lower()}: {ending}")
        return status

    def end_with(self, detail: str) -> None:
        """Take in that the controller ended the motion."""
        self.replayer.stop(ReplayReason.CONTROLLER, detail)

    def _tell_controller(self) -> None:
        has_ended = self.replayer.state in (ReplayState.STOPPING, ReplayState.ABORTED)
        if self.action is not None and has_ended:
            self.action.cancel()

    def _on_answer(self, number: int, answer: Future) -> None:
        if number != self._number:
            return  # to a motion that was stopped before
        if answer.result():
            self._is_told = True
        else:
            self.replayer.stop(ReplayReason.CONTROLLER, "it does not accept the motion")

    def _prepare(self, path: Path, speed_scale: float, place: FloatArray | None, prepared: Future) -> None:
        # Whatever a file provokes, and when the clock is set back meanwhile, an answer comes.
        q = self._robot.rest
        try:
            joints = self.replayer.watch.joints
            if joints is None:
                prepared.set_result(PreparedReplay(q, None, ReplayReason.JOINTS_MISSING, ""))
                return
            q = joints.q
            motion = read_motion(path, self._robot, q, place, smoothing_hz=self._smoothing_hz)
            motion = motion if is_learned(path) else trim(motion)
            prepared.set_result(self.replayer.prepare(motion, speed_scale))
        except InvalidInputError as error:
            prepared.set_result(PreparedReplay(q, None, ReplayReason.BAD_MOTION, str(error)))
        except Exception as error:
            detail = f"{path}: {type(error).__name__}: {error}"
            prepared.set_result(PreparedReplay(q, None, ReplayReason.BAD_MOTION, detail))
