"""How imitation is switched: `~/enable`, `~/pause`, `~/reset` and `~/record`."""

from __future__ import annotations

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.supervisor import MOVING, State
from pose_perception.ros.imitation_control import ImitationControl
from pose_perception.ros.imitation_recording import DemonstrationRecorder


class ImitationServices:
    """Answers requests; `message` names what speaks against one.

    Args:
        node: Owner of the services.
        control: Owner of the core.
        recorder: Of demonstrations.
    """

    def __init__(self, node: Node, control: ImitationControl, recorder: DemonstrationRecorder) -> None:
        self._node, self._control, self._recorder = node, control, recorder
        # While an answer waits for something, control goes on.
        waiting = ReentrantCallbackGroup()
        self._services = [
            node.create_service(SetBool, "~/enable", self._enable),
            node.create_service(SetBool, "~/pause", self._pause),
            node.create_service(Trigger, "~/reset", self._reset),
            node.create_service(SetBool, "~/record", self._record, callback_group=waiting),
        ]

    def destroy(self) -> None:
        """Remove the services."""
        for service in self._services:
            self._node.destroy_service(service)

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        supervisor = self._control.imitator.supervisor
        if request.data:
            refusal = self._control.enable()
            response.success, response.message = not refusal, refusal or "enabled"
        else:
            supervisor.disable()
            response.success, response.message = True, self._state()
        return response

    def _pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        supervisor = self._control.imitator.supervisor
        if supervisor.state not in (*MOVING, State.HOLDING):
            response.success, response.message = False, f"nothing to pause: {self._state()}"
        elif request.data:
            supervisor.hold()
            response.success, response.message = True, self._state()
        else:
            refusal = supervisor.resume(self._control.now())
            response.success, response.message = refusal is None, self._state() if refusal is None else refusal.value
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        supervisor = self._control.imitator.supervisor
        response.success = supervisor.state == State.FAULT
        supervisor.reset()
        response.message = self._state()
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
        error = await bag.finished
        response.success, response.message = not error, error or f"recorded to {bag.path}"
        return response

    def _state(self) -> str:
        supervisor = self._control.imitator.supervisor
        return f"{supervisor.state.name.lower()}: {supervisor.reason.value}"
