"""Tests for ros/monitor.py: what it makes of the messages of a camera and of a perception node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pose_perception.msg import SkeletonArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from pose_perception.ros.conversions import header_message
from pose_perception.ros.counters import Counters
from pose_perception.ros.diagnostics import Diagnostics
from pose_perception.ros.monitor import Monitor
from pose_perception.ros.recorder import BagWriter
from pose_perception.ros.rgbd import COLOR_WITHOUT_DEPTH, DEPTH_WITHOUT_COLOR, INCOMPATIBLE_QOS
from pose_perception.ros.synchronizer import BACKWARD_STAMP
from pose_perception.ros.topics import TopicMonitor
from pose_perception.ros.worker import REPLACED

if TYPE_CHECKING:
    from conftest import Ros


def test_only_what_costs_an_image_explains_that_one_is_missing(ros: Ros, tmp_path: Path) -> None:
    node = ros.add(Node("human_pose"))
    counters = Counters(node.get_logger())
    diagnostics = Diagnostics(node, counters, TopicMonitor(), "cpu")
    results = node.create_publisher(SkeletonArray, "human_pose/skeletons", 10)
    camera = node.create_publisher(CameraInfo, "color/camera_info", 20)
    with BagWriter(tmp_path / "a.mcap") as recording:
        monitor = ros.add(Monitor(recording))
        assert ros.spin_until(lambda: monitor.connect() or camera.get_subscription_count())
        for stamp in range(1, 11):
            camera.publish(CameraInfo(header=header_message(stamp, "")))
        for stamp in (1, 2, 3, 4, 10):
            results.publish(SkeletonArray(header=header_message(stamp, "")))
        counters.drop(COLOR_WITHOUT_DEPTH, "one image")
        counters.add(REPLACED)
        for reason in (DEPTH_WITHOUT_COLOR, INCOMPATIBLE_QOS):
            counters.drop(reason, "no image")
        counters.note(BACKWARD_STAMP, "no image")
        diagnostics.publish()
        expected = {"sent": 10, "processed": 5, "replaced by a newer one": 1, "dropped": 1, "lost on the way": 3}
        assert ros.spin_until(lambda: monitor.image_counts(everything=True) == expected), monitor.image_counts(True)
