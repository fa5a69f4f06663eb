"""Tests for ros/perception.py: which frames the networks get, over real topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.errors import ConfigurationError
from pose_perception.ros.conversions import header_message, transform_message
from pose_perception.ros.perception import Perception
from pose_perception.ros.rgbd import RgbdConfig

if TYPE_CHECKING:
    from conftest import Camera, Ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Watched:
    """A perception that keeps the frames it gets, and its diagnostics."""

    def __init__(self, ros: Ros, **config: Any) -> None:
        self.frames: list[RgbdFrame] = []
        self.statuses: list[DiagnosticStatus] = []
        self._ros = ros
        self.node = ros.add(Node("perception"))
        self._perception: Perception[Any] = Perception(
            self.node, RgbdConfig(**config), "cpu", self._process, lambda *_: None, lambda *_: None
        )
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda array: self.statuses.append(array.status[0]), 10
        )

    def frame_of(self, camera: Camera, **changes: Any) -> RgbdFrame:
        """Send one moment and return the frame that it became."""
        stamp = camera.send(**changes)
        assert self._ros.spin_until(lambda: self.frames and self.frames[-1].stamp_ns == stamp)
        return self.frames[-1]

    def stop(self) -> None:
        """End its thread."""
        self._perception.stop()

    def _process(self, frame: RgbdFrame) -> list[Any]:
        self.frames.append(frame)
        return []


@pytest.fixture
def watch(ros: Ros) -> Iterator[Any]:
    """Start a perception with some configuration; it is ended after the test."""
    started: list[Watched] = []

    def start(**config: Any) -> Watched:
        started.append(Watched(ros, **config))
        return started[-1]

    yield start
    for watched in started:
        watched.stop()


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_depth_at_half_the_resolution_of_colour_fills_the_image(
    ros: Ros, camera: Camera, watch: Any, kind: type
) -> None:
    watched = watch()
    camera.wait_for_subscriber("color", "depth", "color_info", "depth_info")
    half = CameraIntrinsics(80, 60, 75.0, 75.0, 39.75, 29.75)  # scaled as many drivers do: 79.5 / 2
    depth = np.full((60, 80), 1500, np.uint16) if kind == np.uint16 else np.full((60, 80), 1.5, np.float32)
    camera.send(depth_info=half, depth=depth)
    assert ros.spin_until(lambda: watched.frames)
    np.testing.assert_allclose(watched.frames[-1].depth[:-1, :-1], 1.5, rtol=1e-6)


@pytest.mark.parametrize(("x", "unit"), [("1.5", "centimetres"), ("15", "millimetres")])
def test_parameter_in_another_unit_is_refused_by_the_name_of_the_unit(x: str, unit: str) -> None:
    with pytest.raises(ConfigurationError, match=f"seems to be in {unit}"):
        RgbdConfig(color_from_depth=f"{x} 0 0 0 0 0 1")


def optical() -> np.ndarray:
    """The optical frame on a robot: z forward, x to the right, half a metre above its base."""
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    pose[:3, 3] = 0.2, 0.0, 0.5
    return pose


def driving(time_s: float) -> np.ndarray:
    """The base of a robot that turns while it drives."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0, 0, 0.5 * time_s]).as_matrix()
    pose[:2, 3] = 0.6 * time_s, 0.1 * time_s
    return pose


def test_pose_of_a_moving_camera_is_that_of_the_stamp_of_its_image(ros: Ros, camera: Camera, watch: Any) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    watched = watch(fixed_frame="odom")
    robot = ros.add(Node("robot"))
    static = robot.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
    moving = robot.create_publisher(tf2_msgs.TFMessage, "/tf", 10)
    static.publish(tf2_msgs.TFMessage(transforms=[transform_message(optical(), "camera", header_message(0, "base"))]))
    assert ros.spin_until(moving.get_subscription_count)
    camera.wait_for_subscriber()
    start_ns = camera.now_ns()
    # 50 Hz, and images in between; the last one is newer than all odometry.
    for i in range(11):
        transform = transform_message(driving(i / 50), "base", header_message(start_ns + i * 20_000_000, "odom"))
        moving.publish(tf2_msgs.TFMessage(transforms=[transform]))
        ros.spin_for(0.01)
    ros.spin_for(0.2)
    for time_s in (0.05, 0.1133, 0.23):
        frame = watched.frame_of(camera, stamp_ns=start_ns + round(time_s * 1e9))
        np.testing.assert_allclose(frame.fixed_from_camera, driving(time_s) @ optical(), atol=1e-4)
    # A point straight ahead is as high above the floor as the camera: the frame has z upwards.
    assert (frame.fixed_from_camera @ [0, 0, 2, 1])[2] == pytest.approx(0.5)


def test_image_without_tf_is_used_and_counted(ros: Ros, camera: Camera, watch: Any) -> None:
    pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    watched = watch(fixed_frame="odom")
    camera.wait_for_subscriber()
    assert watched.frame_of(camera).fixed_from_camera is None
    assert ros.spin_until(lambda: watched.statuses and "camera pose unknown" in watched.statuses[-1].message)
    assert watched.statuses[-1].level == DiagnosticStatus.WARN


def test_without_a_fixed_frame_tf_is_not_listened_to(ros: Ros, camera: Camera, watch: Any) -> None:
    watched = watch()
    camera.wait_for_subscriber()
    assert watched.frame_of(camera).fixed_from_camera is None
    assert watched.node.count_subscribers("/tf") == 0
