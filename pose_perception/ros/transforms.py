"""TF in and out, with tf2_msgs only: the messages come with every distribution, and where they lack the rest works."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.ros.conversions import numbers_from_transform, stamp_ns
from pose_perception.ros.frame_tree import FrameTree

_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_DYNAMIC_QOS = QoSProfile(depth=100)


def _tf_message_type() -> type | None:
    try:
        return importlib.import_module("tf2_msgs.msg").TFMessage
    except ImportError:
        return None


class TransformOutput:
    """Publishes transforms on `/tf`. Without tf2_msgs it says so once and publishes nothing.

    Args:
        node: Owner of the publisher.
        static: Publish on `/tf_static` instead, where the last message stays for whoever comes later.
    """

    def __init__(self, node: Node, static: bool = False) -> None:
        self._node = node
        self._type = _tf_message_type()
        topic, qos = ("/tf_static", _STATIC_QOS) if static else ("/tf", _DYNAMIC_QOS)
        self._publisher = None if self._type is None else node.create_publisher(self._type, topic, qos)
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


class TransformInput:
    """What TF says about the frames of the camera.

    Transforms between sensors of one device come from `/tf_static` only: what moves is no extrinsics. `/tf` is read
    where the pose of the camera in a fixed frame is wanted.

    Args:
        node: Owner of the subscriptions.
        fixed_frame: Frame that does not move, with z upwards; empty when it is not wanted.

    Raises:
        ConfigurationError: a fixed frame is wanted, and tf2_msgs is not installed.
    """

    def __init__(self, node: Node, fixed_frame: str = "") -> None:
        self._node = node
        self._tree = FrameTree()
        self._fixed_frame = fixed_frame
        kind = _tf_message_type()
        if kind is None and fixed_frame:
            raise ConfigurationError(
                f"fixed_frame {fixed_frame!r} comes from TF: install tf2_msgs (it comes with every ROS 2 distribution)"
            )
        topics = [("/tf_static", self._receive_static, _STATIC_QOS)]
        if fixed_frame:
            topics.append(("/tf", self._receive, _DYNAMIC_QOS))
        self._subscriptions = [] if kind is None else [node.create_subscription(kind, *topic) for topic in topics]

    def extrinsics(self, target: str, source: str) -> FloatArray | None:
        """Return `target_from_source` of two sensors with shape (4, 4), or None as long as TF does not tell."""
        return self._tree.lookup(target, source)

    def fixed_from_camera(self, camera_frame: str, stamp_ns: int) -> FloatArray:
        """Return the pose of the camera in the fixed frame at a time, shape (4, 4). Does not wait.

        Raises:
            InvalidInputError: TF does not tell it.
        """
        found = self._tree.lookup(self._fixed_frame, camera_frame, stamp_ns)
        if found is not None:
            return found
        unknown = [repr(name) for name in (self._fixed_frame, camera_frame) if not self._tree.is_known(name)]
        raise InvalidInputError(
            f"TF has no frame {' and no frame '.join(unknown)}"
            if unknown
            else f"TF does not connect {self._fixed_frame!r} and {camera_frame!r} at the time of the image"
        )

    def destroy(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _receive_static(self, message: Any) -> None:
        for transform in message.transforms:
            with self._warned(transform):
                self._tree.add_fixed(*_names(transform), numbers_from_transform(transform))

    def _receive(self, message: Any) -> None:
        for transform in message.transforms:
            with self._warned(transform):
                self._tree.add(*_names(transform), stamp_ns(transform.header), numbers_from_transform(transform))

    @contextmanager
    def _warned(self, transform: TransformStamped) -> Iterator[None]:
        try:
            yield
        except InvalidInputError as error:
            parent, child = _names(transform)
            self._node.get_logger().warning(f"TF {parent} -> {child}: {error}", throttle_duration_sec=5.0)


def _names(transform: TransformStamped) -> tuple[str, str]:
    return transform.header.frame_id, transform.child_frame_id
