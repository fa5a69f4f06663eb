"""What the node `object_pose` publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from pose_perception.config import Config, option
from pose_perception.datatypes import RgbdFrame, TrackingState
from pose_perception.msg import ObjectPoseArray
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.objects.outlines import Outline, draw_objects
from pose_perception.ros.conversions import (
    ObjectMarkers,
    color_message,
    detections_message,
    header_message,
    object_pose_array_message,
    transform_message,
    vision_messages,
)
from pose_perception.ros.transforms import TransformOutput


@dataclass(frozen=True)
class ObjectOutputConfig(Config):
    """What is published besides the objects, detections, markers and overlay."""

    publish_tf: bool = option(False, "Publish the frame of each object's mesh as TF frame <tf_prefix><id>.")
    tf_prefix: str = option("object_", "Begins the names of the TF frames; nodes that publish TF need different ones.")
    tf_min_score: float = option(0.5, "Only objects with this score get a TF frame.", minimum=0.0, maximum=1.0)


class ObjectOutput:
    """Publishers of objects, detections (where vision_msgs is installed), markers, overlay and TF.

    Args:
        node: Owner of the publishers, which work while it is active.
        outlines: Coarse meshes by name of the model.
        config: What is published.
    """

    def __init__(self, node: LifecycleNode, outlines: dict[str, Outline], config: ObjectOutputConfig) -> None:
        self._node = node
        self._outlines = outlines
        self._config = config
        self._marker_builder = ObjectMarkers(outlines)
        self._objects = node.create_lifecycle_publisher(ObjectPoseArray, "~/objects", 10)
        self._vision = vision_messages()
        self._detections = None
        if self._vision is not None:
            self._detections = node.create_lifecycle_publisher(self._vision.Detection3DArray, "~/detections", 10)
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", 10)
        self._overlay = node.create_lifecycle_publisher(Image, "~/overlay", 2)
        self._transforms = TransformOutput(node) if config.publish_tf else None

    def publish(self, frame: RgbdFrame, objects: Sequence[ObjectPose]) -> None:
        """Publish one result under the stamp and frame of its image; nothing in view is a result too."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        self._objects.publish(object_pose_array_message(objects, header))
        if self._detections is not None and self._vision is not None:
            self._detections.publish(detections_message(self._vision, objects, header))
        if self._transforms is not None:
            self._transforms.publish(
                [
                    transform_message(found.camera_from_object, self._config.tf_prefix + found.id, header)
                    for found in objects
                    if found.tracking_state != TrackingState.LOST and found.score >= self._config.tf_min_score
                ]
            )

    def illustrate(self, frame: RgbdFrame, objects: Sequence[ObjectPose]) -> None:
        """Publish what is only looked at, and only while somebody listens."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        if self._markers.get_subscription_count():
            self._markers.publish(self._marker_builder.message(objects, header))
        if self._overlay.get_subscription_count():
            drawn = draw_objects(frame.color, objects, self._outlines, frame.camera)
            self._overlay.publish(color_message(drawn, header))

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._objects, self._detections, self._markers, self._overlay):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
        if self._transforms is not None:
            self._transforms.destroy()
