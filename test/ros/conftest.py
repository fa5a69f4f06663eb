"""Tests over real topics: they need the built package first on the path, and talk on this machine only."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run scripts/test")
pytest.importorskip("pose_perception.msg", reason="needs the built package: run scripts/test")

# The middleware reads these when it starts; a domain of its own keeps other runs on this machine out.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("ROS_LOG_DIR", str(Path(tempfile.gettempdir()) / "pose_perception_test_logs"))
os.environ.setdefault(
    "FASTRTPS_DEFAULT_PROFILES_FILE", str(Path(__file__).parents[2] / "config" / "fastdds_shared_memory.xml")
)

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.ros import conversions


class Ros:
    """A ROS context with one executor for all nodes of a test."""

    def __init__(self) -> None:
        rclpy.init()
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []

    def add(self, node: Node) -> Node:
        """Spin this node too, and destroy it at the end."""
        self._executor.add_node(node)
        self._nodes.append(node)
        return node

    def spin_until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
        """Run callbacks until the condition holds; returns whether it does."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def spin_for(self, seconds: float) -> None:
        """Run callbacks for a while."""
        self.spin_until(lambda: False, seconds)

    def close(self) -> None:
        """Destroy the nodes and the context."""
        for node in self._nodes:
            node.destroy_node()
        self._executor.shutdown()
        rclpy.try_shutdown()


class Camera:
    """Publishes images as a driver does; every argument of `send` can be left out or made wrong."""

    def __init__(self, ros: Ros, intrinsics: CameraIntrinsics, namespace: str = "") -> None:
        self.intrinsics = intrinsics
        self._ros = ros
        self._node = ros.add(Node("test_camera", namespace=namespace))
        self._topics = {
            "color": (Image, "color/image"),
            "compressed": (CompressedImage, "color/image/compressed"),
            "depth": (Image, "depth/image"),
            "color_info": (CameraInfo, "color/camera_info"),
            "depth_info": (CameraInfo, "depth/camera_info"),
        }
        # A camera need not publish a calibration of depth, and perception waits for one that does.
        self._publishers = {name: self._publisher(name) for name in self._topics if name != "depth_info"}

    def wait_for_subscriber(self, *names: str) -> None:
        """Wait until somebody listens to these topics."""
        if "depth_info" in names:
            self.announce_depth_info()
        publishers = [self._publishers[name] for name in names or ("color", "depth", "color_info")]
        assert self._ros.spin_until(lambda: all(publisher.get_subscription_count() for publisher in publishers))

    def announce_depth_info(self) -> None:
        """Be a camera that publishes a calibration of depth, from now on."""
        self._publishers["depth_info"] = self._publisher("depth_info")

    def now_ns(self) -> int:
        """Time for a stamp, nanoseconds."""
        return self._node.get_clock().now().nanoseconds

    def send(self, stamp_ns: int | None = None, **changes: Any) -> int:
        """Publish calibration, depth and colour of one moment.

        Args:
            stamp_ns: Stamp of all of them; None for now.
            changes: Messages or arrays to send instead of the good ones; None for nothing.

        Returns:
            The stamp.
        """
        stamp_ns = self.now_ns() if stamp_ns is None else stamp_ns
        header = conversions.header_message(stamp_ns, "camera")
        size = (self.intrinsics.height, self.intrinsics.width)
        messages = {
            "color_info": self.intrinsics,
            "depth": np.full(size, 2000, np.uint16),
            "color": np.full((*size, 3), 90, np.uint8),
            **changes,
        }
        for name, content in messages.items():
            if content is not None:
                self._publishers[name].publish(_message(name, content, header))
        return stamp_ns

    def _publisher(self, name: str) -> Publisher:
        kind, topic = self._topics[name]
        return self._node.create_publisher(kind, topic, 10)


def _message(name: str, content: Any, header: Header) -> Any:
    if isinstance(content, CameraIntrinsics):
        return conversions.camera_info_message(content, header)
    if isinstance(content, np.ndarray):
        return (conversions.color_message if name == "color" else conversions.depth_message)(content, header)
    content.header = header
    return content


@pytest.fixture
def camera(ros: Ros) -> Camera:
    """A small camera."""
    return Camera(ros, CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5))


@pytest.fixture
def ros() -> Iterator[Ros]:
    """A fresh ROS context."""
    context = Ros()
    yield context
    context.close()
