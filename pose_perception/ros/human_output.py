"""What the node `human_pose` publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from pose_perception.config import Config, option
from pose_perception.datatypes import RgbdFrame, Skeleton, TrackingState
from pose_perception.human.drawing import draw_skeletons
from pose_perception.human.topology import Topology
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions import (
    color_message,
    header_message,
    marker_array_message,
    skeleton_array_message,
    transform_message,
)
from pose_perception.ros.transforms import TransformOutput


@dataclass(frozen=True)
class HumanOutputConfig(Config):
    """What is published besides the skeletons, markers and overlay."""

    publish_tf: bool = option(False, "Publish the torso of each person as TF frame <tf_prefix><id>.")
    tf_prefix: str = option("body_", "Begins the names of the TF frames; nodes that publish TF need different ones.")


class HumanOutput:
    """Publishers of skeletons, markers, overlay and TF.

    Args:
        node: Owner of the publishers, which work while it is active.
        topology: Keypoint set of the skeletons.
        config: What is published.
    """

    def __init__(self, node: LifecycleNode, topology: Topology, config: HumanOutputConfig) -> None:
        self._node = node
        self._topology = topology
        self._tf_prefix = config.tf_prefix
        self._skeletons = node.create_lifecycle_publisher(SkeletonArray, "~/skeletons", 10)
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", 10)
        self._overlay = node.create_lifecycle_publisher(Image, "~/overlay", 2)
        self._transforms = TransformOutput(node) if config.publish_tf else None

    def publish(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> None:
        """Publish one result under the stamp and frame of its image; nobody in view is a result too."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        self._skeletons.publish(skeleton_array_message(skeletons, self._topology, header))
        if self._transforms is not None:
            bodies = [
                transform_message(skeleton.camera_from_torso, self._tf_prefix + skeleton.id, header)
                for skeleton in skeletons
                if skeleton.camera_from_torso is not None and skeleton.tracking_state != TrackingState.LOST
            ]
            self._transforms.publish(bodies)

    def illustrate(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> None:
        """Publish what is only looked at, and only while somebody listens."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        if self._markers.get_subscription_count():
            self._markers.publish(marker_array_message(skeletons, self._topology, header))
        if self._overlay.get_subscription_count():
            self._overlay.publish(color_message(draw_skeletons(frame.color, skeletons, self._topology), header))

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._skeletons, self._markers, self._overlay):
            self._node.destroy_lifecycle_publisher(publisher)
        if self._transforms is not None:
            self._transforms.destroy()
