"""How imitation is switched: `~/enable`, `~/pause` and `~/reset`."""

from __future__ import annotations

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from pose_perception.imitation.supervisor import MOVING, State
from pose_perception.ros.imitation_control import ImitationControl


class ImitationServices:
    """Answers at once; `message` names what speaks against a request.

    Args:
        node: Owner of the services.
        control: Owner of the core.
    """

    def __init__(self, node: Node, control: ImitationControl) -> None:
        self._node, self._control = node, control
        self._services = [
            node.create_service(SetBool, "~/enable", self._enable),
            node.create_service(SetBool, "~/pause", self._pause),
            node.create_service(Trigger, "~/reset", self._reset),
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

    def _state(self) -> str:
        supervisor = self._control.imitator.supervisor
        return f"{supervisor.state.name.lower()}: {supervisor.reason.value}"
