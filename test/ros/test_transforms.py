"""Tests for ros/transforms.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from pose_perception.ros.conversions import header_message, transform_message
from pose_perception.ros.transforms import ExtrinsicsLookup, FrameTree, TransformOutput

if TYPE_CHECKING:
    from conftest import Ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def shift(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def test_frames_are_connected_through_their_common_ancestor() -> None:
    turn = np.array([[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    tree = FrameTree()
    tree.add("base", "camera", turn)
    tree.add("camera", "color", shift(0.1))
    tree.add("/camera", "/depth", shift(0.0, 0.2))
    np.testing.assert_allclose(tree.lookup("color", "depth"), shift(-0.1, 0.2), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("base", "color"), turn @ shift(0.1), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("color", "base"), np.linalg.inv(turn @ shift(0.1)), atol=1e-12)


def test_unconnected_frames_and_cycles_give_nothing() -> None:
    tree = FrameTree()
    tree.add("a", "b", np.eye(4))
    tree.add("b", "a", np.eye(4))
    tree.add("x", "y", np.eye(4))
    assert tree.lookup("a", "y") is None
    assert tree.lookup("a", "unknown") is None


def test_a_frame_is_itself_without_tf(ros: Ros) -> None:
    np.testing.assert_array_equal(ExtrinsicsLookup(ros.add(Node("tf_user")))("camera", "camera"), np.eye(4))


def test_extrinsics_come_from_static_tf(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("tf_user"))
    publisher = node.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
    transform = transform_message(shift(0.05), "depth", header_message(0, "color"))
    publisher.publish(tf2_msgs.TFMessage(transforms=[transform]))
    lookup = ExtrinsicsLookup(node)
    assert ros.spin_until(lambda: lookup("color", "depth") is not None)
    np.testing.assert_allclose(lookup("color", "depth"), shift(0.05))
    lookup.destroy()


def test_moving_joint_is_no_extrinsics(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("tf_user"))
    lookup = ExtrinsicsLookup(node)
    publishers = [
        node.create_publisher(tf2_msgs.TFMessage, "/tf", 10),
        node.create_publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED),
    ]
    for publisher, child in zip(publishers, ("depth", "marker"), strict=True):
        transform = transform_message(shift(0.05), child, header_message(0, "color"))
        ros.spin_until(publisher.get_subscription_count, timeout_s=1.0)
        publisher.publish(tf2_msgs.TFMessage(transforms=[transform]))
    assert ros.spin_until(lambda: lookup("color", "marker") is not None)
    ros.spin_for(0.2)
    assert lookup("color", "depth") is None


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
