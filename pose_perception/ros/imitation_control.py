"""Imitation at the robot's rate: what came in goes to the core, and its commands go out, one every `step_s`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.imitation.imitator import ImitationConfig, Imitator, Status
from pose_perception.imitation.joint_path import JointPath, stopping_path
from pose_perception.imitation.replay_config import FAULTS, ReplayReason, ReplayState
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.supervisor import Reason, State
from pose_perception.ros.counters import Counters
from pose_perception.ros.imitation_calibration import Calibrations
from pose_perception.ros.imitation_output import ImitationOutput
from pose_perception.ros.imitation_replay import Replays
from pose_perception.ros.joint_reader import JointReport
from pose_perception.ros.loop_timing import LoopTiming

# How often the status is published, seconds; when the state changes, at once.
_STATUS_S = 0.1
# A clock that goes back by more than this was set back, seconds.
_SET_BACK_S = 0.02
# Late by more of these steps, the robot went on by itself: along the path to rest, or stood at the last position.
_LATE_STEPS, _STANDING_STEPS = 0.5, 2.0
# Later than this many steps the node was asleep: for as many it hears what came meanwhile, before it judges how old
# that is.
_ASLEEP_STEPS = 5.0
_NS = 1e-9
# Services answer a while longer than anything moves.
_STOPPED = "the node is not active"


class ImitationControl:
    """Owns the core and its loop. Everything runs in the executor's thread, one after the other.

    Args:
        node: Owner of the timer and the clock.
        config: Settings of the core.
        build: Makes the core, and what replays, for a robot description, None for the packaged one.
        description: The robot description that came already.
        output: Where commands go.
        counters: Where descriptions that do not fit are counted.
        moves_robot: Whether a robot follows the commands; otherwise an imagined one does.

    Attributes:
        imitator: The core.
        replays: Of recorded motions.
        timing: Of the loop.
        on_result: Called with the time from the stamp of an image to the first command that it had a part in, seconds.
        on_new_robot: Called when joint states are of another robot, or another time.
        recording: Returns the file that is being written; empty without one.

    Raises:
        ConfigurationError: robot, description and settings do not fit together.
    """

    def __init__(
        self,
        node: LifecycleNode,
        config: ImitationConfig,
        build: Callable[[str | None], tuple[Imitator, Replays]],
        description: str | None,
        output: ImitationOutput,
        counters: Counters,
        moves_robot: bool,
    ) -> None:
        self._node, self._build, self._output, self._counters = node, build, output, counters
        self._step_s, self._moves_robot = config.retargeting.step_s, moves_robot
        self.imitator, self.replays = build(description)
        self.timing = LoopTiming()
        self._description, self._offered, self._misfit, self._is_stopped = description, description, "", False
        self._imagined = (self.imitator.robot.rest, np.zeros_like(self.imitator.robot.rest))
        self._calibrations = Calibrations(config.calibration)
        self._command: JointCommand | None = None
        self._path: JointPath | None = None
        self._command_s = self._ticked_s = self._awake_s = self._now_s = -np.inf
        self._status_s, self._told = -np.inf, (State.DISABLED, "")
        self._used_stamp_s = -np.inf
        self.on_result: Callable[[float], None] = lambda latency_s: None
        self.on_new_robot: Callable[[], None] = lambda: None
        self.recording: Callable[[], str] = lambda: ""
        simulated = node.get_parameter("use_sim_time").value
        # Whether or not somebody sets the clock of the machine, commands go on at their rate.
        clock = node.get_clock() if simulated else Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(self._step_s, self._tick, clock=clock)

    def now(self) -> float:
        """Return the time of the node's clock, seconds; when that was set back, end and forget what came before."""
        now_s = self._node.get_clock().now().nanoseconds * _NS
        if now_s < self._now_s - _SET_BACK_S:
            self._node.get_logger().warning(f"the clock was set back by {self._now_s - now_s:.3f} s: imitation ends")
            self.imitator.forget_times()
            self._calibrations.end(Reason.CLOCK_SET_BACK.value)
            self.replays.stop(ReplayReason.CLOCK_SET_BACK)
            self.replays.replayer.watch.forget_times()
            self._command_s = self._ticked_s = now_s - self._step_s
            self._status_s = self._awake_s = self._used_stamp_s = -np.inf
            self.on_new_robot()
        self._now_s = now_s
        return now_s

    def status(self) -> Status:
        """Return how it is going."""
        return self._status(self.now())

    def offer(self, description: str) -> None:
        """Use a robot description as soon as nothing moves."""
        self._offered = description
        self._adopt()

    def take_people(self, stamp_s: float, skeletons: Sequence[Skeleton], keypoints: Sequence[str]) -> None:
        """Take in what one image shows; what does not count is counted by the core."""
        self.imitator.take_people(stamp_s, self.now(), skeletons, keypoints)

    def take_joints(self, report: JointReport) -> None:
        """Take in where the robot is; without a robot that follows, only while nothing moves.

        Raises:
            InvalidInputError: the joints are not finite.
        """
        if self._moves_robot or self._is_idle():
            self._feel(report.stamp_s, self.now(), report.q, report.velocity)
            self._imagined = (report.q, report.velocity)

    def take_grippers(self, openings: Mapping[str, float]) -> None:
        """Take in measured openings of grippers, by name of the arm."""
        self.imitator.take_grippers(openings)
        self.replays.replayer.take_grippers(openings)

    def take_deadman(self, is_pressed: bool) -> None:
        """Take in the dead-man switch."""
        now_s = self.now()
        self.imitator.take_deadman(now_s, is_pressed)
        self.replays.press(now_s, is_pressed)

    def enable(self) -> str:
        """Begin; return what speaks against it, empty when nothing does."""
        self._adopt()
        supervisor, now_s = self.imitator.supervisor, self.now()
        if unfit := self._unfit():
            return unfit
        if supervisor.state == State.HOLDING:
            return f"holding: {supervisor.reason.value}"
        if self.replays.is_busy:
            return ReplayReason.RUNNING.value
        self._imagine(now_s)
        refusal = self.imitator.enable(now_s)
        if refusal is None:
            self.replays.replayer.forget()
        return "" if refusal is None else refusal.value

    def disable(self) -> None:
        """End imitation or a replay."""
        self.imitator.supervisor.disable()
        self.replays.stop()

    def replay_refusal(self) -> str:
        """Return what speaks against a replay, empty when nothing does."""
        self._adopt()
        supervisor = self.imitator.supervisor
        if supervisor.state == State.FAULT:
            return Reason.LATCHED_FAULT.value
        if self.replays.is_busy:
            return ReplayReason.RUNNING.value
        if supervisor.state != State.DISABLED or self._command is not None:
            return f"{supervisor.state.name.lower()}: end imitation first"
        self._imagine(self.now())
        return self._unfit()

    def calibrate(self) -> Future | str:
        """Watch a person who holds a pose; return what speaks against it, as `Calibrations.begin` does."""
        unfit = _STOPPED if self._is_stopped else self.replays.is_busy and ReplayReason.RUNNING.value
        return unfit or self._calibrations.begin(self.imitator, self.now())

    def stop(self) -> None:
        """Disable, bring the robot to rest, and end the loop; nothing begins any more."""
        self._is_stopped = True
        self._node.destroy_timer(self._timer)
        self._calibrations.end()
        self.disable()
        end_s = time.monotonic() + 1.0
        while time.monotonic() < end_s:
            self._step(self.now())
            if self._command is None or self._output.has_stop_path:
                break
            time.sleep(self._step_s)
        self._publish_status(self.now())

    def _tick(self) -> None:
        now_s = self.now()
        # Simulated time is 0 before it begins. After a late call of a timer, the next one comes early.
        if now_s <= 0 or now_s - self._command_s < self._step_s / 2:
            return
        late_s, self._ticked_s = now_s - self._ticked_s, now_s
        if _ASLEEP_STEPS * self._step_s < late_s < np.inf:
            self._counters.note("loop was late", f"{late_s:.3f} s passed between two commands")
            self._awake_s = now_s + _ASLEEP_STEPS * self._step_s
        if now_s < self._awake_s:
            return
        self.timing.begin()
        self._step(now_s)
        self._calibrations.update(self.imitator, now_s)
        status = self._status(now_s)
        if now_s - self._status_s >= _STATUS_S or (status.state, status.reason) != self._told:
            self._publish_status(now_s)
        self.timing.end()

    def _step(self, now_s: float) -> None:
        late_s = now_s - self._command_s - self._step_s
        stays = not self._output.has_stop_path
        self.replays.judge(now_s)
        is_replay = self.replays.is_moving
        mover = self.replays if is_replay else self.imitator
        if self._command is not None and late_s > (_STANDING_STEPS if stays else _LATE_STEPS) * self._step_s:
            mover.coast(late_s, stays)
        self._command_s = now_s
        self._imagine(now_s)
        self._command = command = mover.step(now_s)
        replayer = self.replays.replayer
        if command is not None:
            # What moves the robot uses up a release of the switch for both.
            (self.imitator.supervisor if is_replay else replayer.watch).need_release()
        if is_replay and replayer.state == ReplayState.ABORTED and replayer.reason in FAULTS:
            self.imitator.supervisor.latch(Reason(replayer.reason.value))
        if command is None:
            if self._path is not None:
                self._imagined = (self._path.positions[-1], np.zeros_like(self._path.positions[-1]))
            self._path = None
            self._adopt()
            return
        self._path = replayer.ahead() if is_replay else stopping_path(self._step_s, *self.imitator.stop_path())
        by_action = is_replay and self.replays.action is not None
        self._output.command(command, self._path, round(now_s / _NS), is_told=by_action)
        self._imagined = (command.q, command.velocity)
        if is_replay:
            return
        seen_s = self.imitator.supervisor.person_stamp_s
        if seen_s != self._used_stamp_s and command.is_following:
            self._used_stamp_s = seen_s
            self.on_result(self.now() - seen_s)

    def _unfit(self) -> str:
        return _STOPPED if self._is_stopped else self._misfit

    def _imagine(self, now_s: float) -> None:
        if not self._moves_robot:
            self._feel(now_s, now_s, *self._imagined)

    def _feel(self, stamp_s: float, now_s: float, q: FloatArray, velocity: FloatArray) -> None:
        try:
            self.imitator.take_joints(stamp_s, now_s, q, velocity)
            self.replays.replayer.watch.take_joints(min(stamp_s, now_s), q, velocity)
        except InvalidInputError:
            self.replays.stop(ReplayReason.JOINTS_INVALID)
            raise

    def _status(self, now_s: float) -> Status:
        return self.replays.status(self.imitator.status(now_s))

    def _publish_status(self, now_s: float) -> None:
        status = self._status(now_s)
        self._status_s = now_s
        if (status.state, status.reason) != self._told:
            self._told = (status.state, status.reason)
            self._node.get_logger().info(f"{status.state.name.lower()}: {status.reason}")
        counts, time_ns = self._counters.counts(), round(now_s / _NS)
        self._output.status(self.imitator, status, self._command, counts, time_ns, self.recording())

    def _is_idle(self) -> bool:
        is_off = self.imitator.supervisor.state in (State.DISABLED, State.FAULT)
        return is_off and self._command is None and not self.replays.is_moving

    def _adopt(self) -> None:
        """Take the robot description that came last, unless something moves or a fault waits."""
        is_free = self.imitator.supervisor.state == State.DISABLED and self._is_idle()
        if self._offered == self._description or not is_free:
            return
        self._description = self._offered
        try:
            calibrated = self.imitator.calibrated
            self.imitator, self.replays = self._build(self._description)
            self.imitator.calibrated = calibrated
        except ConfigurationError as error:
            self._misfit = f"robot_description: {error}"
            self._counters.drop("robot_description unusable", str(error))
            return
        self._misfit = ""
        self._calibrations.end("the robot has changed")
        self._imagined = (self.imitator.robot.rest, np.zeros_like(self.imitator.robot.rest))
        self._command_s = -np.inf
        self.on_new_robot()
        self._node.get_logger().info("the robot is as robot_description says")
