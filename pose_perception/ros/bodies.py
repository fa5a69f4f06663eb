"""REP-155: each person as `/humans/bodies/<id>`, for programs that know the conventions of ROS4HRI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from pose_perception.datatypes import FloatArray, KeypointState, RgbdFrame, Skeleton
from pose_perception.human.joint_angles import joint_angles, limb_frames
from pose_perception.human.topology import Topology
from pose_perception.ros.conversions import (
    header_message,
    hri_messages,
    ids_list_message,
    joint_state_message,
    region_message,
    skeleton_2d_message,
    transform_message,
)

_TOPICS = "/humans/bodies"


class BodiesOutput:
    """Publishers of people as REP-155 has them; those of people who are gone are removed.

    `<id>/joint_states` and the frames need nothing else; `tracked`, `<id>/skeleton2d` and `<id>/roi` need hri_msgs, and
    without it are left out with one line in the log.

    Args:
        node: Owner of the publishers.
        topology: Keypoint set of the skeletons.
        id_prefix: Begins all ids.
        with_limbs: Whether frames of limbs are made.
    """

    def __init__(self, node: Node, topology: Topology, id_prefix: str, with_limbs: bool) -> None:
        self._node = node
        self._topology = topology
        self._id_prefix = id_prefix
        self._with_limbs = with_limbs
        self._bodies: dict[str, dict[str, Publisher]] = {}
        self._hri = hri_messages()
        self._kinds: dict[str, Any] = {"joint_states": JointState}
        self._tracked: Publisher | None = None
        if self._hri is None:
            node.get_logger().warning(
                f"rep155: hri_msgs is not installed, so {_TOPICS}/tracked, <id>/skeleton2d and <id>/roi are left out; "
                "joint_states and TF are published"
            )
        else:
            self._kinds["skeleton2d"] = self._hri.Skeleton2D
            self._kinds["roi"] = self._hri.NormalizedRegionOfInterest2D
            self._tracked = node.create_publisher(self._hri.IdsList, f"{_TOPICS}/tracked", 10)

    def publish(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> list[TransformStamped]:
        """Publish everyone who is not lost, and return the frames of their bodies, heads and limbs."""
        header = header_message(frame.stamp_ns, frame.frame_id)
        people = {self._id_prefix + skeleton.id: skeleton for skeleton in skeletons}
        for body_id in self._bodies.keys() - people.keys():
            self._remove(body_id)
        self._publish_ids(list(people), header)
        transforms = []
        for body_id, skeleton in people.items():
            positions = np.where((skeleton.states == KeypointState.MISSING)[:, None], np.nan, skeleton.positions)
            head = None if skeleton.head is None else skeleton.head.camera_from_head
            angles = joint_angles(positions, self._topology, skeleton.camera_from_torso, head)
            self._publish_body(body_id, skeleton, angles, frame, header)
            transforms += self._frames(body_id, skeleton, positions, angles, header)
        return transforms

    def clear(self) -> None:
        """Remove the publishers of all people, and say that nobody is tracked any more."""
        for body_id in list(self._bodies):
            self._remove(body_id)
        # A signal ends the context under the feet of a node that still cleans up.
        if self._node.context.ok():
            self._publish_ids([], header_message(self._node.get_clock().now().nanoseconds, ""))

    def destroy(self) -> None:
        """Remove all publishers."""
        for body_id in list(self._bodies):
            self._remove(body_id)
        if self._tracked is not None:
            self._node.destroy_publisher(self._tracked)

    def _publish_ids(self, ids: Sequence[str], header: Header) -> None:
        if self._tracked is not None and self._hri is not None:
            self._tracked.publish(ids_list_message(self._hri, ids, header))

    def _publish_body(
        self, body_id: str, skeleton: Skeleton, angles: FloatArray, frame: RgbdFrame, header: Header
    ) -> None:
        if body_id not in self._bodies:
            self._bodies[body_id] = {
                name: self._node.create_publisher(kind, f"{_TOPICS}/{body_id}/{name}", 10)
                for name, kind in self._kinds.items()
            }
        publishers = self._bodies[body_id]
        if np.isfinite(angles).any():
            publishers["joint_states"].publish(joint_state_message(angles, body_id, header))
        if self._hri is not None:
            flat = skeleton_2d_message(self._hri, skeleton, self._topology, frame.camera, header)
            publishers["skeleton2d"].publish(flat)
            if np.isfinite(skeleton.box).all():
                publishers["roi"].publish(region_message(self._hri, skeleton, frame.camera, header))

    def _frames(
        self, body_id: str, skeleton: Skeleton, positions: FloatArray, angles: FloatArray, camera: Header
    ) -> list[TransformStamped]:
        """Return the body in the camera's frame, and head and limbs in that of the body.

        Where there is no body, the head is given in the camera's frame.
        """
        head, camera_from_body = skeleton.head, skeleton.camera_from_torso
        if camera_from_body is None:
            return [] if head is None else [transform_message(head.camera_from_head, f"head_{body_id}", camera)]
        transforms = [transform_message(camera_from_body, f"body_{body_id}", camera)]
        links = limb_frames(positions, self._topology, camera_from_body, angles) if self._with_limbs else {}
        if head is not None:
            links["head"] = np.linalg.inv(camera_from_body) @ head.camera_from_head
        body = Header(stamp=camera.stamp, frame_id=f"body_{body_id}")
        return transforms + [transform_message(pose, f"{name}_{body_id}", body) for name, pose in links.items()]

    def _remove(self, body_id: str) -> None:
        for publisher in self._bodies.pop(body_id).values():
            self._node.destroy_publisher(publisher)
