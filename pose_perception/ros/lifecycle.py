"""A lifecycle node that survives requests which do not fit its state."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode


class SteadyLifecycleNode(LifecycleNode):
    """Answers an unfitting transition with `success` false.

    rclpy's own node raises out of the service there (rclpy 7, lifecycle/node.py, `__on_change_state`): a second
    `activate` would end the process.

    Args:
        name: Name of the node.
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._change_state_if_possible

    def _change_state_if_possible(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        _, state = self._state_machine.current_state
        try:
            return self._change_state(request, response)
        except rclpy_implementation.RCLError:
            asked = request.transition.label or request.transition.id
            self.get_logger().warning(f"transition {asked} does not fit the state {state!r}: refused")
            response.success = False
            return response
