#!/usr/bin/env python3
"""Node `human_pose`: RGB-D camera in, metric skeletons out."""

from __future__ import annotations

import sys
import time
from typing import Any

from pose_perception.errors import DeviceError
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.networks.runtime import choose_device
from pose_perception.ros.human_output import HumanOutput, HumanOutputConfig
from pose_perception.ros.lifecycle import SelfStartingNode
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.perception import Perception
from pose_perception.ros.process import run_node
from pose_perception.ros.rgbd import RgbdConfig

# How long an activation waits for the frame that was in work when the node was deactivated.
_WAIT_S = 3.0


class HumanPoseNode(SelfStartingNode):
    """Loads the networks when it is configured, and reads the camera while it is active.

    Args:
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("human_pose", **options)
        self._human_parameters = ConfigParameters(self, HumanConfig)
        self._output_parameters = ConfigParameters(self, HumanOutputConfig)
        self._input_parameters = ConfigParameters(self, RgbdConfig, prefix="input")
        self._input_config = RgbdConfig()
        self._device = ""
        self._pipeline: HumanPipeline | None = None
        self._output: HumanOutput | None = None
        self._perception: Perception | None = None
        self._unfinished: Perception | None = None

    def configure(self) -> None:
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

    def activate(self) -> None:
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

    def stop(self) -> None:
        if self._perception is not None:
            if not self._perception.stop():
                self._unfinished = self._perception
            self._perception = None
            if self._output is not None:
                self._output.clear()

    def release(self) -> None:
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
