"""Tests over real topics: they need the built package first on the path, and talk on this machine only."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node


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


@pytest.fixture
def ros() -> Iterator[Ros]:
    """A fresh ROS context."""
    context = Ros()
    yield context
    context.close()
