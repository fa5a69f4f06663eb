#!/usr/bin/env python3
"""Node `human_pose`: RGB-D camera in, metric skeletons out."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from pose_perception.errors import ConfigurationError, DeviceError, PosePerceptionError
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.networks.runtime import choose_device
from pose_perception.ros.human_output import HumanOutput, HumanOutputConfig
from pose_perception.ros.lifecycle import SteadyLifecycleNode
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.perception import Perception
from pose_perception.ros.process import run_node
from pose_perception.ros.rgbd import RgbdConfig

# How long an activation waits for the frame that was in work when the node was deactivated.
_WAIT_S = 3.0


class HumanPoseNode(SteadyLifecycleNode):
    """Loads the networks when it is configured, and reads the camera while it is active.

    Args:
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("human_pose", **options)
        description = ParameterDescriptor(description="Configure and activate without being asked.", read_only=True)
        self._autostart = self.declare_parameter("autostart", True, description).value
        self._human_parameters = ConfigParameters(self, HumanConfig)
        self._output_parameters = ConfigParameters(self, HumanOutputConfig)
        self._input_parameters = ConfigParameters(self, RgbdConfig, prefix="input")
        self._input_config = RgbdConfig()
        self._device = ""
        self._pipeline: HumanPipeline | None = None
        self._output: HumanOutput | None = None
        self._perception: Perception | None = None
        self._unfinished: Perception | None = None

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
        if not self._attempt(self._configure):
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        if not self._attempt(self._activate):
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        self._release()
        super().destroy_node()

    def _configure(self) -> None:
        started_s = time.monotonic()
        human, output = self._human_parameters.read(), self._output_parameters.read()
        self._input_config = self._input_parameters.read()
        self._pipeline = HumanPipeline(human)
        self._pipeline.warm_up()
        self._device = choose_device(human.device)
        self._output = HumanOutput(self, self._pipeline.topology, output)
        self.get_logger().info(
            f"estimator {human.estimator} on {self._device}: ready after {time.monotonic() - started_s:.1f} s"
        )

    def _activate(self) -> None:
        if self._unfinished is not None and not self._unfinished.wait(_WAIT_S):
            raise DeviceError(
                "the frame in work when the node was deactivated is still in work: activate the node later, and "
                "restart it if that never ends"
            )
        self._unfinished = None
        # Nobody watched in the meantime who came and who went.
        self._pipeline.reset()
        self._perception = Perception(
            self,
            self._input_config,
            self._device,
            self._pipeline.process,
            self._output.publish,
            self._output.illustrate,
        )

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Return whether a step works; rclpy would swallow what it raises."""
        try:
            step()
        except PosePerceptionError as error:
            self.get_logger().error(str(error))
        except Exception:
            # A signal in the midst of loading comes back as whatever error the library makes of it.
            if self.context.ok():
                self.get_logger().error(traceback.format_exc())
        else:
            return True
        return False

    def _stop(self) -> None:
        if self._perception is not None:
            if not self._perception.stop():
                self._unfinished = self._perception
            self._perception = None
            if self._output is not None:
                self._output.clear()

    def _release(self) -> None:
        self._stop()
        if self._output is not None:
            self._output.destroy()
            self._output = None
        self._pipeline = None
        for parameters in (self._human_parameters, self._output_parameters, self._input_parameters):
            parameters.release()


def main() -> int:
    """Run the node until it is told to end."""
    return run_node(HumanPoseNode, HumanPoseNode.start)


if __name__ == "__main__":
    sys.exit(main())
