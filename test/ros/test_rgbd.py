"""Tests for ros/rgbd.py, over real topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import ConfigurationError
from pose_perception.ros.conversions import stamp_ns
from pose_perception.ros.counters import Counters
from pose_perception.ros.frames import RgbdMessages
from pose_perception.ros.rgbd import RgbdConfig, RgbdSubscriber
from pose_perception.ros.topics import TopicMonitor

if TYPE_CHECKING:
    from conftest import Camera, Ros


class Reader:
    """A subscriber, and what it handed on."""

    def __init__(self, ros: Ros, parameters: dict[str, object] | None = None, **config: object) -> None:
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        self.node = ros.add(Node("reader", parameter_overrides=overrides))
        self.images: list[RgbdMessages] = []
        self.counters = Counters(self.node.get_logger())
        self.monitor = TopicMonitor()
        self.subscriber = RgbdSubscriber(
            self.node, RgbdConfig(**config), self.counters, self.monitor, self.images.append
        )

    def stamps(self) -> list[int]:
        """Stamps of the colour images."""
        return [stamp_ns(images.color.header) for images in self.images]


def test_every_moment_of_the_camera_arrives_once(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros)
    camera.wait_for_subscriber()
    sent = []
    for _ in range(30):
        sent.append(camera.send())
        ros.spin_for(0.01)
        # A subscription keeps 5 images that were not fetched yet.
        assert ros.spin_until(lambda: len(reader.images) > len(sent) - 5)
    assert ros.spin_until(lambda: len(reader.images) == 30)
    assert reader.stamps() == sent
    assert all(stamp_ns(images.depth.header) == stamp for images, stamp in zip(reader.images, sent, strict=True))
    assert reader.counters.counts() == {}


DEPTH_CAMERA = CameraIntrinsics(80, 60, 70.0, 70.0, 39.5, 29.5)


def test_calibration_of_depth_that_somebody_publishes_is_waited_for(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros)
    camera.wait_for_subscriber()
    camera.send()
    assert ros.spin_until(lambda: reader.images)
    assert reader.images[0].depth_info is None
    camera.wait_for_subscriber("depth_info")
    camera.send()
    assert ros.spin_until(lambda: reader.counters.counts() == {"no depth camera_info": 1})
    camera.send(color=None, depth=None, depth_info=DEPTH_CAMERA)
    ros.spin_for(0.1)
    camera.send()
    assert ros.spin_until(lambda: len(reader.images) == 2)
    assert reader.images[1].depth_info.width == 80


def test_fixed_transform_needs_the_calibration_of_depth(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros, color_from_depth="0.1 0 0 0 0 0 1")
    assert "/depth/camera_info" in reader.monitor.missing()
    camera.wait_for_subscriber()
    camera.send()
    assert ros.spin_until(lambda: reader.counters.counts() == {"no depth camera_info": 1})
    assert reader.images == []


def test_bad_qos_of_one_topic_leaves_no_subscription(ros: Ros) -> None:
    with pytest.raises(Exception, match="sometimes"):
        Reader(ros, {"qos_overrides./depth/image.subscription.reliability": "sometimes"})
    watcher = ros.add(Node("watcher"))
    ros.spin_for(0.5)
    assert watcher.count_subscribers("/color/image") == 0


def test_colour_alone_is_enough_without_depth(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros, use_depth=False)
    camera.wait_for_subscriber("color", "color_info")
    camera.send(depth=None)
    assert ros.spin_until(lambda: reader.images)
    assert reader.images[0].depth is None
    assert reader.node.count_subscribers("depth/image") == 0


def test_compressed_colour_is_read_on_demand(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros, compressed=True)
    camera.wait_for_subscriber("compressed", "depth", "color_info")
    camera.send(color=None, compressed=CompressedImage(format="jpeg", data=b"\xff\xd8"))
    assert ros.spin_until(lambda: reader.images)
    assert isinstance(reader.images[0].color, CompressedImage)


def test_missing_depth_is_counted_and_bounded(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros, queue_size=3)
    camera.wait_for_subscriber()
    reason = "colour image without depth image"
    for number in range(8):
        camera.send(depth=None)
        ros.spin_for(0.02)
        assert ros.spin_until(lambda n=number: reader.counters.counts().get(reason, 0) >= n - 2)
    assert ros.spin_until(lambda: reader.counters.counts() == {reason: 5})
    camera.send()
    assert ros.spin_until(lambda: len(reader.images) == 1)


def test_missing_calibration_is_counted(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros)
    camera.wait_for_subscriber()
    camera.send(color_info=None)
    assert ros.spin_until(lambda: reader.counters.counts() == {"no camera_info": 1})
    camera.send()
    assert ros.spin_until(lambda: reader.images)


@pytest.mark.parametrize("use_depth", [True, False])
def test_repeated_and_backward_stamps(ros: Ros, camera: Camera, use_depth: bool) -> None:
    reader = Reader(ros, use_depth=use_depth)
    camera.wait_for_subscriber("color", "color_info")
    first = camera.now_ns()
    stamps = [first, first, first + 33_000_000, first - 5_000_000_000, first - 4_900_000_000]
    for stamp in stamps:
        camera.send(stamp)
        ros.spin_for(0.02)
    expected = [stamps[0], *stamps[2:]]
    assert ros.spin_until(lambda: reader.stamps() == expected)
    streams = 2 if use_depth else 1
    assert reader.counters.counts() == {"stamp repeated": streams, "stamp jumped back": streams}


def test_publisher_that_cannot_serve_is_reported(ros: Ros) -> None:
    topic = "/color/image"
    reader = Reader(ros, {f"qos_overrides.{topic}.subscription.reliability": "reliable"})
    driver = ros.add(Node("driver"))
    driver.create_publisher(Image, topic, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    assert ros.spin_until(lambda: reader.counters.counts().get("incompatible QoS") == 1)


def test_destroyed_subscriber_hears_nothing(ros: Ros, camera: Camera) -> None:
    reader = Reader(ros)
    camera.wait_for_subscriber()
    reader.subscriber.destroy()
    camera.send()
    ros.spin_for(0.1)
    assert reader.images == []
    # Created again, as after another configure transition.
    RgbdSubscriber(reader.node, RgbdConfig(), reader.counters, reader.monitor, reader.images.append)
    camera.wait_for_subscriber()
    camera.send()
    assert ros.spin_until(lambda: reader.images)


def test_fixed_transform_is_read_from_seven_numbers() -> None:
    matrix = RgbdConfig(color_from_depth="0.1 0 -0.2  0 0 1 0").color_from_depth_matrix()
    np.testing.assert_allclose(matrix, [[-1, 0, 0, 0.1], [0, -1, 0, 0], [0, 0, 1, -0.2], [0, 0, 0, 1]], atol=1e-12)
    assert RgbdConfig().color_from_depth_matrix() is None


@pytest.mark.parametrize("text", ["1 2 3", "a b c d e f g", "0 0 0 0 0 0 0", "100 0 0 0 0 0 1"])
def test_bad_fixed_transform_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="x y z qx qy qz qw"):
        RgbdConfig(color_from_depth=text)
