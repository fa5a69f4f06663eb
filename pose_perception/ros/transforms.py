"""TF in and out, with tf2_msgs only: the messages come with every distribution, and where they lack the rest works."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.ros.conversions import matrix_from_transform

_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_DYNAMIC_QOS = QoSProfile(depth=100)


def _tf_message_type() -> type | None:
    try:
        return importlib.import_module("tf2_msgs.msg").TFMessage
    except ImportError:
        return None


class TransformOutput:
    """Publishes transforms on `/tf`. Without tf2_msgs it says so once and publishes nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._type = _tf_message_type()
        self._publisher = None if self._type is None else node.create_publisher(self._type, "/tf", _DYNAMIC_QOS)
        if self._publisher is None:
            node.get_logger().warning("no TF is published: install tf2_msgs (it comes with every ROS 2 distribution)")

    def publish(self, transforms: Collection[TransformStamped]) -> None:
        """Publish transforms; none at all is fine."""
        if self._publisher is not None and self._type is not None and transforms:
            self._publisher.publish(self._type(transforms=list(transforms)))

    def destroy(self) -> None:
        """Remove the publisher."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)


class FrameTree:
    """The newest transform of each frame to its parent."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, FloatArray]] = {}

    def add(self, parent: str, child: str, parent_from_child: FloatArray) -> None:
        """Set the transform with shape (4, 4) of a frame to its parent."""
        self._parents[child.lstrip("/")] = (parent.lstrip("/"), parent_from_child)

    def lookup(self, target: str, source: str) -> FloatArray | None:
        """Return `target_from_source` with shape (4, 4), or None when the frames are not connected."""
        target_ancestors, source_ancestors = self._ancestors(target), self._ancestors(source)
        common = next((frame for frame in source_ancestors if frame in target_ancestors), None)
        if common is None:
            return None
        return np.linalg.inv(target_ancestors[common]) @ source_ancestors[common]

    def _ancestors(self, frame: str) -> dict[str, FloatArray]:
        """Map a frame and each of its ancestors, nearest first, to `ancestor_from_frame`."""
        frame = frame.lstrip("/")
        found = {frame: np.eye(4)}
        while frame in self._parents and self._parents[frame][0] not in found:
            parent, parent_from_child = self._parents[frame]
            found[parent] = parent_from_child @ found[frame]
            frame = parent
        return found


class ExtrinsicsLookup:
    """Finds transforms between sensors of one device in `/tf_static`.

    `/tf` is not read: what moves there would need the transform of each image's own time, and sensors of one device
    do not move.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tree = FrameTree()
        message_type = _tf_message_type()
        self._subscription = (
            None
            if message_type is None
            else node.create_subscription(message_type, "/tf_static", self._receive, _STATIC_QOS)
        )

    def __call__(self, target: str, source: str) -> FloatArray | None:
        """Return `target_from_source` with shape (4, 4), or None as long as TF does not tell."""
        return self._tree.lookup(target, source)

    def destroy(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _receive(self, message: Any) -> None:
        for transform in message.transforms:
            self._add(transform)

    def _add(self, transform: TransformStamped) -> None:
        parent, child = transform.header.frame_id, transform.child_frame_id
        try:
            self._tree.add(parent, child, matrix_from_transform(transform))
        except InvalidInputError as error:
            self._node.get_logger().warning(f"TF {parent} -> {child}: {error}", throttle_duration_sec=5.0)
