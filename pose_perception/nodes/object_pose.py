#!/usr/bin/env python3
"""Node `object_pose`: RGB-D camera in, 6D poses of objects out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError, DeviceError
from pose_perception.networks.runtime import choose_device
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.objects.search import ObjectSearch, SearchConfig
from pose_perception.ros.lifecycle import SelfStartingNode
from pose_perception.ros.object_output import ObjectOutput, ObjectOutputConfig
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.perception import Perception
from pose_perception.ros.process import run_node
from pose_perception.ros.regions import RegionConfig, RegionInput
from pose_perception.ros.rgbd import RgbdConfig
from pose_perception.ros.stage_times import StageTimes

# How long an activation waits for the frame that was in work when the node was deactivated.
_WAIT_S = 3.0


class ObjectPoseNode(SelfStartingNode):
    """Loads models and networks when it is configured, and reads the camera while it is active.

    Args:
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("object_pose", **options)
        self._search_parameters = ConfigParameters(self, SearchConfig)
        self._output_parameters = ConfigParameters(self, ObjectOutputConfig)
        self._region_parameters = ConfigParameters(self, RegionConfig, prefix="regions")
        self._input_parameters = ConfigParameters(self, RgbdConfig, prefix="input")
        self._input_config, self._region_config = RgbdConfig(), RegionConfig()
        self._device = ""
        self._times = StageTimes()
        self._search: ObjectSearch | None = None
        self._output: ObjectOutput | None = None
        self._regions: RegionInput | None = None
        self._perception: Perception | None = None
        self._unfinished: Perception | None = None

    def configure(self) -> None:
        started_s = time.monotonic()
        search, output = self._search_parameters.read(), self._output_parameters.read()
        self._input_config, self._region_config = self._input_parameters.read(), self._region_parameters.read()
        self._times = StageTimes()
        self._search = ObjectSearch(search, self._times.stage)
        if self._search.needs_depth and not self._input_config.use_depth:
            raise ConfigurationError("models need depth: set input.use_depth, or look for categories only")
        self._search.warm_up()
        self._device = choose_device(search.device)
        self._output = ObjectOutput(self, self._search.outlines, output)
        self.get_logger().info(f"ready on {self._device} after {time.monotonic() - started_s:.1f} s")

    def activate(self) -> None:
        if self._unfinished is not None and not self._unfinished.wait(_WAIT_S):
            raise DeviceError(
                "the frame in work when the node was deactivated is still in work: activate the node later, and "
                "restart it if that never ends"
            )
        self._unfinished = None
        # Nobody watched in the meantime what was moved.
        self._search.reset()
        self._perception = Perception(
            self,
            self._input_config,
            self._device,
            self._process,
            self._output.publish,
            self._output.illustrate,
            "objects",
            self._times.values,
        )
        self._regions = RegionInput(self, self._region_config, self._perception.counters)

    def stop(self) -> None:
        if self._perception is not None:
            if not self._perception.stop():
                self._unfinished = self._perception
            self._perception = None
        if self._regions is not None:
            self._regions.destroy()
            self._regions = None

    def release(self) -> None:
        if self._output is not None:
            self._output.destroy()
            self._output = None
        self._search = None
        parts = (self._search_parameters, self._output_parameters, self._region_parameters, self._input_parameters)
        for parameters in parts:
            parameters.release()

    def _process(self, frame: RgbdFrame) -> Sequence[ObjectPose]:
        search, regions = self._search, self._regions
        if search is None:  # released while this frame was in work
            return ()
        return search.process(frame, None if regions is None else regions.take(frame))


def main() -> int:
    """Run the node until it is told to end."""
    return run_node(ObjectPoseNode, ObjectPoseNode.start)


if __name__ == "__main__":
    sys.exit(main())
