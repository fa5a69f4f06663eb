"""Tests for ros/transforms.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.ros.conversions import header_message, transform_message
from pose_perception.ros.transforms import TransformInput, TransformOutput

if TYPE_CHECKING:
    from conftest import Ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def shift(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def test_a_frame_is_itself_without_tf(ros: Ros) -> None:
    np.testing.assert_array_equal(TransformInput(ros.add(Node("tf_user"))).extrinsics("camera", "camera"), np.eye(4))


def test_extrinsics_come_from_static_tf(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("tf_user"))
    publisher = node.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
    transform = transform_message(shift(0.05), "depth", header_message(0, "color"))
    publisher.publish(tf2_msgs.TFMessage(transforms=[transform]))
    transforms = TransformInput(node)
    assert ros.spin_until(lambda: transforms.extrinsics("color", "depth") is not None)
    np.testing.assert_allclose(transforms.extrinsics("color", "depth"), shift(0.05))
    transforms.destroy()


def test_moving_joint_is_no_extrinsics(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("tf_user"))
    transforms = TransformInput(node)
    publishers = [
        node.create_publisher(tf2_msgs.TFMessage, "/tf", 10),
        node.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED),
    ]
    for publisher, child in zip(publishers, ("depth", "marker"), strict=True):
        transform = transform_message(shift(0.05), child, header_message(0, "color"))
        ros.spin_until(publisher.get_subscription_count, timeout_s=1.0)
        publisher.publish(tf2_msgs.TFMessage(transforms=[transform]))
    assert ros.spin_until(lambda: transforms.extrinsics("color", "marker") is not None)
    ros.spin_for(0.2)
    assert transforms.extrinsics("color", "depth") is None


def test_camera_is_where_tf_says_it_was_when_the_image_was_taken(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("tf_user"))
    transforms = TransformInput(node, "odom")
    with pytest.raises(InvalidInputError, match="no frame 'odom' and no frame 'color'"):
        transforms.fixed_from_camera("color", 0)
    moving = node.create_publisher(tf2_msgs.TFMessage, "/tf", 10)
    static = node.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
    static.publish(tf2_msgs.TFMessage(transforms=[transform_message(shift(0.1), "color", header_message(0, "base"))]))
    assert ros.spin_until(moving.get_subscription_count)
    for stamp_ns, x in ((1_000_000_000, 1.0), (1_100_000_000, 1.2)):
        transform = transform_message(shift(x), "base", header_message(stamp_ns, "odom"))
        moving.publish(tf2_msgs.TFMessage(transforms=[transform]))
    stamp_ns = 1_025_000_000

    def is_known() -> bool:
        try:
            return transforms.fixed_from_camera("color", stamp_ns) is not None
        except InvalidInputError:
            return False

    assert ros.spin_until(is_known)
    np.testing.assert_allclose(transforms.fixed_from_camera("color", stamp_ns), shift(1.15), atol=1e-9)
    with pytest.raises(InvalidInputError, match="at the time of the image"):
        transforms.fixed_from_camera("color", 5_000_000_000)
    transforms.destroy()
    assert node.count_subscribers("/tf") == 0


def test_fixed_frame_without_tf_is_a_clear_error(ros: Ros) -> None:
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match="tf2_msgs"):
            TransformInput(ros.add(Node("tf_user")), "odom")
    else:
        pytest.skip("tf2_msgs is installed")


def test_output_reaches_tf_or_says_what_lacks(ros: Ros) -> None:
    node = ros.add(Node("tf_user"))
    output = TransformOutput(node)
    output.publish([transform_message(shift(1.0), "body_p1", header_message(0, "camera"))])
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        assert node.count_publishers("/tf") == 0
    else:
        assert node.count_publishers("/tf") == 1
    output.destroy()
