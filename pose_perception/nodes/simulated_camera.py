#!/usr/bin/env python3
"""Node `simulated_camera`: an RGB-D camera in front of animated people, with exact ground truth."""

from __future__ import annotations

import sys
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from pose_perception.human.topology import Topology
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions import (
    camera_info_message,
    color_message,
    depth_message,
    ground_truth_skeletons,
    header_message,
    skeleton_array_message,
    transform_message,
)
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.process import run_node
from pose_perception.ros.transforms import TransformOutput
from pose_perception.simulation.sequence import SequenceConfig, load_or_render

_FRAME_ID, _DEPTH_FRAME_ID, _FIXED_FRAME_ID = "camera_color_optical_frame", "camera_depth_optical_frame", "world"
_PROGRESS_PERIOD_S = 5.0
# Reliable, as most camera drivers publish: it serves subscribers of either kind.
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


class SimulatedCameraNode(Node):
    """Publishes a rendered sequence over and over, without a jump between the passes.

    Colour, depth and both calibrations of one moment carry the same stamp, and so does the true pose on
    `~/ground_truth`. Stamps follow the rate exactly; when the process cannot keep up, frames are left out.

    Depth that is not registered has a frame of its own, which `/tf_static` connects to that of colour; the pose of a
    camera that moves is on `/tf`, in the frame `world`.

    When the clock goes back, the sequence goes on from there without a pause.

    Args:
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("simulated_camera", **options)
        config = ConfigParameters(self, SequenceConfig).read()
        self._reported_s = time.monotonic()
        self._sequence = load_or_render(config, self._report_progress)
        # Nothing but names: what a skeleton looks like is known to who estimates it.
        self._topology = Topology("simulation", self._sequence.keypoint_names, ())
        self._color = self.create_publisher(Image, "color/image", _QOS)
        self._depth = self.create_publisher(Image, "depth/image", _QOS)
        self._infos = [self.create_publisher(CameraInfo, f"{name}/camera_info", _QOS) for name in ("color", "depth")]
        self._truth = self.create_publisher(SkeletonArray, "~/ground_truth", 10)
        self._transforms = TransformOutput(self) if config.camera_motion != "still" else None
        self._extrinsics = self._publish_extrinsics()
        self._period_ns = round(1e9 / self._sequence.rate_hz)
        self._start_ns = self.get_clock().now().nanoseconds
        self._next = 0
        # The steady clock wakes the node; the stamps are those of the node's clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(self._period_ns * 1e-9, self._publish_due, clock=steady)
        self.get_logger().info(
            f"{len(self._sequence)} frames of {len(self._sequence.person_ids)} people at {self._sequence.rate_hz:g} Hz"
        )

    def _publish_due(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        # The two clocks drift apart: a tick that is a little early still means its frame.
        number = (now_ns - self._start_ns + self._period_ns // 10) // self._period_ns
        if number < self._next - 1:
            # The clock was set back. The next frame is due now.
            number = self._next
            self._start_ns = now_ns - number * self._period_ns
        if number < self._next:
            return
        self._next = number + 1
        self._publish(number % len(self._sequence), self._start_ns + number * self._period_ns)

    def _publish(self, index: int, stamp_ns: int) -> None:
        sequence, header = self._sequence, header_message(stamp_ns, _FRAME_ID)
        depth_header = header if self._extrinsics is None else header_message(stamp_ns, _DEPTH_FRAME_ID)
        color_info, depth_info = self._infos
        color_info.publish(camera_info_message(sequence.camera, header))
        depth_info.publish(camera_info_message(sequence.depth_camera or sequence.camera, depth_header))
        if self._transforms is not None:
            fixed_header = header_message(stamp_ns, _FIXED_FRAME_ID)
            self._transforms.publish([transform_message(sequence.fixed_from_camera[index], _FRAME_ID, fixed_header)])
        self._color.publish(color_message(sequence.color[index], header))
        self._depth.publish(depth_message(sequence.depth_mm[index], depth_header))
        people = ground_truth_skeletons(
            sequence.positions[index], sequence.visible[index], sequence.person_ids, sequence.camera
        )
        self._truth.publish(skeleton_array_message(people, self._topology, header))

    def _publish_extrinsics(self) -> TransformOutput | None:
        """Say where the depth camera is, if it is another one."""
        color_from_depth = self._sequence.color_from_depth
        if color_from_depth is None:
            return None
        output = TransformOutput(self, static=True)
        output.publish([transform_message(color_from_depth, _DEPTH_FRAME_ID, header_message(0, _FRAME_ID))])
        return output

    def _report_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._reported_s > _PROGRESS_PERIOD_S:
            self._reported_s = now
            self.get_logger().info(f"rendering once: {done} of {total} frames")


def main() -> int:
    """Run the node until it is told to end."""
    return run_node(SimulatedCameraNode)


if __name__ == "__main__":
    sys.exit(main())
