"""How imitation is switched: `~/enable`, `~/pause`, `~/reset`, `~/calibrate`, `~/record` and `~/replay`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.imitation.supervisor import MOVING, State
from pose_perception.ros.imitation_control import ImitationControl
from pose_perception.ros.imitation_recording import DemonstrationRecorder
from pose_perception.ros.imitation_replay import MotionConfig
from pose_perception.ros.parameters import ConfigParameters

# Services are looked at so often, until nothing is to be answered any more, seconds.
_ANSWER_S = 0.2


class ImitationServices:
    """Answers requests; `message` names what speaks against one.

    Args:
        node: Owner of the services.
        control: Owner of the core.
        recorder: Of demonstrations.
        motion: Parameters that say what is replayed.
    """

    def __init__(
        self,
        node: Node,
        control: ImitationControl,
        recorder: DemonstrationRecorder,
        motion: ConfigParameters[MotionConfig],
    ) -> None:
        self._node, self._control, self._recorder, self._motion = node, control, recorder, motion
        self._answering = 0
        # While an answer waits for something, control goes on.
        waiting = ReentrantCallbackGroup()
        self._services = [
            node.create_service(SetBool, "~/enable", self._enable),
            node.create_service(SetBool, "~/pause", self._pause),
            node.create_service(Trigger, "~/reset", self._reset),
            node.create_service(Trigger, "~/calibrate", self._calibrate, callback_group=waiting),
            node.create_service(SetBool, "~/record", self._record, callback_group=waiting),
            node.create_service(Trigger, "~/replay", self._replay, callback_group=waiting),
        ]

    def destroy(self) -> None:
        """Remove the services; when an answer is still to come, after it."""
        if not self._answering:
            for service in self._services:
                self._node.destroy_service(service)
            return

        def destroy_later() -> None:
            self._node.destroy_timer(timer)
            self.destroy()

        timer = self._node.create_timer(_ANSWER_S, destroy_later, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @contextmanager
    def _answer_comes(self) -> Iterator[None]:
        """Keep the services as long as an answer is to come."""
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            refusal = self._control.enable()
            response.success, response.message = not refusal, refusal or "enabled"
        else:
            self._control.disable()
            response.success, response.message = True, self._state()
        return response

    def _pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        supervisor = self._control.imitator.supervisor
        if request.data and self._control.replays.is_busy:
            # A replay does not go on from the midst of a motion.
            self._control.disable()
            response.success, response.message = True, self._state()
        elif supervisor.state not in (*MOVING, State.HOLDING):
            response.success, response.message = False, f"nothing to pause: {self._state()}"
        elif request.data:
            supervisor.hold()
            response.success, response.message = True, self._state()
        else:
            refusal = supervisor.resume(self._control.now())
            response.success, response.message = refusal is None, self._state() if refusal is None else refusal.value
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        imitator = self._control.imitator
        if imitator.supervisor.state == State.FAULT:
            imitator.supervisor.reset()
            response.success, response.message = True, self._state()
        elif imitator.supervisor.state == State.DISABLED and imitator.calibrated is not None:
            imitator.calibrated = None
            response.success, response.message = True, "the calibration is forgotten"
        else:
            response.success, response.message = False, self._state()
        return response

    async def _calibrate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        answer = self._control.calibrate()
        with self._answer_comes():
            refusal = answer if isinstance(answer, str) else await answer
        calibrated = self._control.status().calibrated
        response.success, response.message = not refusal, refusal or f"{calibrated} is calibrated"
        return response

    async def _record(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            try:
                response.success, response.message = True, f"recording to {self._recorder.start()}"
            except InvalidInputError as error:
                response.success, response.message = False, str(error)
            return response
        bag = self._recorder.end()
        if bag is None:
            response.success, response.message = False, "nothing is recorded"
            return response
        with self._answer_comes():
            error = await bag.finished
        response.success, response.message = not error, error or f"recorded to {bag.path}"
        return response

    async def _replay(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            config = self._motion.read()
        except ConfigurationError as error:
            response.success, response.message = False, str(error)
            return response
        finally:
            # For the next replay it may be another motion.
            self._motion.release()
        refusal = await self._begin_replay(config)
        response.success, response.message = not refusal, refusal or self._state()
        return response

    async def _begin_replay(self, config: MotionConfig) -> str:
        """Begin a replay as soon as it is planned; return what speaks against it, empty when nothing does."""
        control, replays = self._control, self._control.replays
        refusal = control.replay_refusal()
        if refusal:
            return refusal
        prepared = replays.prepare(control.now(), config)
        if isinstance(prepared, str):
            return prepared
        try:
            with self._answer_comes():
                plan = await prepared
        finally:
            replays.drop()
        # Meanwhile a fault may have come, or another description of the robot.
        refusal = control.replay_refusal()
        if refusal or replays is not control.replays:
            return refusal or "the robot has changed"
        return replays.begin(control.now(), plan)

    def _state(self) -> str:
        status = self._control.status()
        return f"{status.state.name.lower()}: {status.reason}"
