"""Tests over real topics: they need the built package first on the path, and talk on this machine only."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
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

# Tells of every time at which it was not woken for so long: when, on the monotonic clock, and how long, seconds.
_STILL_S = 0.1
_WATCH, _START_S = pytest.StashKey["Watch"](), pytest.StashKey[float]()
_SCRIPT = f"""
import os, time
last, parent = time.monotonic(), os.getppid()
while os.getppid() == parent:
    time.sleep(0.01)
    now = time.monotonic()
    if now - last > {_STILL_S}:
        print(now, now - last, flush=True)
    last = now
"""


class Watch:
    """Watches, from a process of its own, whether the machine lets processes run.

    Args:
        path: File for what it sees.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("w") as output:
            self._process = subprocess.Popen([sys.executable, "-c", _SCRIPT], stdout=output)

    def stood_still_since(self, start_s: float) -> bool:
        """Return whether the machine let nothing run for a while, some time after a moment."""
        return any(float(line.split()[0]) > start_s for line in self._path.read_text().splitlines())

    def close(self) -> None:
        """End the process; what it has told can still be asked for."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(autouse=True, scope="session")
def _watch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    request.config.stash[_WATCH] = watch = Watch(tmp_path_factory.mktemp("watch") / "still.txt")
    yield
    watch.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests another try when the machine stood still in the midst of them: nodes keep real time, or say so."""

    def stood_still() -> bool:
        return config.stash[_WATCH].stood_still_since(config.stash[_START_S])

    # Older plugins would take the condition for true.
    if int(metadata.version("pytest-rerunfailures").split(".")[0]) < 16:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2, condition=stood_still))


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_START_S] = time.monotonic()


@pytest.fixture(autouse=True, scope="module")
def _no_long_collections() -> Iterator[None]:
    """Keep what other tests left from being looked at by the garbage collector while a node keeps real time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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
