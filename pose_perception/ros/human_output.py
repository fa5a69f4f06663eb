"""What the node `human_pose` publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geometry_msgs.msg import TransformStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pose_perception.config import Config, option
from pose_perception.datatypes import RgbdFrame, Skeleton, TrackingState
from pose_perception.human.drawing import draw_skeletons
from pose_perception.human.topology import Topology
from pose_perception.msg import FaceArray, SkeletonArray
from pose_perception.ros.bodies import BodiesOutput
from pose_perception.ros.conversions import (
    color_message,
    face_array_message,
    header_message,
    marker_array_message,
    skeleton_array_message,
    transform_message,
)
from pose_perception.ros.transforms import TransformOutput


@dataclass(frozen=True)
class HumanOutputConfig(Config):
    """What is published besides the skeletons, faces, markers and overlay."""

    publish_tf: bool = option(False, "Publish the torso of each person as TF frame <tf_prefix><id>.")
    tf_prefix: str = option("body_", "Begins the names of the TF frames; nodes that publish TF need different ones.")
    rep155: bool = option(
        False,
        "Publish each person as REP-155 says: joint_states and, where hri_msgs is installed, skeleton2d and roi under "
        "/humans/bodies/<id>, the ids on /humans/bodies/tracked, and TF frames of body, head and limbs.",
    )
    rep155_id_prefix: str = option(
        "", "Begins the ids of bodies of rep155; nodes that publish under /humans need different ones."
    )
    rep155_limb_frames: bool = option(
        True,
        "Publish the limbs as TF frames with rep155; not where a robot_state_publisher makes them from joint_states.",
    )


class HumanOutput:
    """Publishers of skeletons, faces, markers, overlay, TF and REP-155's topics.

    Args:
        node: Owner of the publishers, which work while it is active.
        topology: Keypoint set of the skeletons.
        config: What is published.
    """

    def __init__(self, node: LifecycleNode, topology: Topology, config: HumanOutputConfig) -> None:
        self._node = node
        self._topology = topology
        self._config = config
        self._skeletons = node.create_lifecycle_publisher(SkeletonArray, "~/skeletons", 10)
        self._faces = node.create_lifecycle_publisher(FaceArray, "~/faces", 2)
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", 10)
        self._overlay = node.create_lifecycle_publisher(Image, "~/overlay", 2)
        self._bodies = (
            BodiesOutput(node, topology, config.rep155_id_prefix, config.rep155_limb_frames) if config.rep155 else None
        )
        self._transforms = TransformOutput(node) if config.publish_tf or config.rep155 else None

    @property
    def wants_faces(self) -> bool:
        """Whether somebody listens to the landmarks of faces."""
        return self._faces.get_subscription_count() > 0

    def publish(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> None:
        """Publish one result under the stamp and frame of its image; nobody in view is a result too."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        self._skeletons.publish(skeleton_array_message(skeletons, self._topology, header))
        if self.wants_faces:
            self._faces.publish(face_array_message(skeletons, header))
        present = [skeleton for skeleton in skeletons if skeleton.tracking_state != TrackingState.LOST]
        transforms = self._torsos(present, header) if self._config.publish_tf else []
        if self._bodies is not None:
            transforms += self._bodies.publish(frame, present)
        if self._transforms is not None:
            # A torso and a body with the same name are the same frame.
            self._transforms.publish({transform.child_frame_id: transform for transform in transforms}.values())

    def illustrate(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> None:
        """Publish what is only looked at, and only while somebody listens."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        if self._markers.get_subscription_count():
            self._markers.publish(marker_array_message(skeletons, self._topology, header))
        if self._overlay.get_subscription_count():
            drawn = draw_skeletons(frame.color, skeletons, self._topology, frame.camera)
            self._overlay.publish(color_message(drawn, header))

    def clear(self) -> None:
        """Forget the people of the last frame, because no other will follow."""
        if self._bodies is not None:
            self._bodies.clear()

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._skeletons, self._faces, self._markers, self._overlay):
            self._node.destroy_lifecycle_publisher(publisher)
        for part in (self._bodies, self._transforms):
            if part is not None:
                part.destroy()

    def _torsos(self, skeletons: Sequence[Skeleton], header: Header) -> list[TransformStamped]:
        return [
            transform_message(skeleton.camera_from_torso, self._config.tf_prefix + skeleton.id, header)
            for skeleton in skeletons
            if skeleton.camera_from_torso is not None
        ]
