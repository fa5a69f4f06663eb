"""Lifecycle nodes that survive requests which do not fit their state, and steps that fail."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from pose_perception.errors import ConfigurationError, PosePerceptionError


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


class SelfStartingNode(SteadyLifecycleNode):
    """Configures and activates itself, when the parameter `autostart` says so; a step that fails is logged.

    Subclasses say what the steps are: `configure`, `activate`, `stop` and `release`; the last two also undo the half of
    a step that failed.

    Args:
        name: Name of the node.
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        description = ParameterDescriptor(description="Configure and activate without being asked.", read_only=True)
        self._autostart = self.declare_parameter("autostart", True, description).value

    def configure(self) -> None:
        """Make ready what needs no input. Raises what it likes."""

    def activate(self) -> None:
        """Begin to work. Raises what it likes."""

    def stop(self) -> None:
        """End the work; called when there is none, too."""

    def release(self) -> None:
        """Free what `configure` made; called when there is nothing, too."""

    def start(self) -> None:
        """Configure and activate, when the parameter `autostart` says so.

        Raises:
            ConfigurationError: it did not work; the log tells why.
        """
        if self._autostart:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    raise ConfigurationError("the node cannot start; the error above says why")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `configure`."""
        if not self._attempt(self.configure):
            self.release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `activate`."""
        result = super().on_activate(state)
        if not self._attempt(self.activate):
            self.stop()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `stop`."""
        self._attempt(self.stop)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `release`."""
        self.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `stop` and `release`."""
        self._attempt(self.stop)
        self.release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call `stop` and `release`."""
        self._attempt(self.stop)
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Call `stop` and `release`, and destroy the node."""
        self._attempt(self.stop)
        self.release()
        super().destroy_node()

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Return whether a step works; rclpy would swallow what it raises."""
        try:
            step()
        except PosePerceptionError as error:
            self.get_logger().error(str(error))
        except Exception:
            # A signal in the midst of it comes back as whatever error the library makes of it.
            if self.context.ok():
                self.get_logger().error(traceback.format_exc())
        else:
            return True
        return False
