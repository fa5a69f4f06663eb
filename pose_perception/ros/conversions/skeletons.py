"""Skeletons."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from geometry_msgs.msg import PoseWithCovariance, Vector3
from std_msgs.msg import Header

from pose_perception.datatypes import (
    CameraIntrinsics,
    FloatArray,
    HeadPose,
    HeadSource,
    KeypointState,
    Skeleton,
    TrackingState,
)
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.camera import project
from pose_perception.human.topology import Topology
from pose_perception.msg import Skeleton as SkeletonMessage
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions.hands import hand_from_message, hand_message
from pose_perception.ros.conversions.keypoints import Keypoints, keypoint_messages, keypoints_from_messages
from pose_perception.ros.conversions.transforms import matrix_from_pose, pose_message

Member = TypeVar("Member", bound=IntEnum)


def skeleton_array_message(skeletons: Sequence[Skeleton], topology: Topology, header: Header) -> SkeletonArray:
    """Build the message of all people in one image.

    Args:
        skeletons: People with the keypoints of `topology`; none gives an empty array, which says that nobody is seen.
        topology: The keypoint set.
        header: Stamp and optical frame of the colour image.
    """
    return SkeletonArray(
        header=header,
        topology=topology.name,
        keypoint_names=list(topology.keypoints),
        skeletons=[_skeleton_message(skeleton) for skeleton in skeletons],
    )


def skeletons_from_message(message: SkeletonArray) -> list[Skeleton]:
    """Read back what `skeleton_array_message` built; landmarks of faces are in a message of their own.

    Raises:
        InvalidInputError: a torso, head or palm is said to be valid and its orientation is no rotation, a hand has no
            side, a state is none, two people have the same id, or there are more or fewer keypoints than names.
    """
    ids = [skeleton.id for skeleton in message.skeletons]
    if len(set(ids)) != len(ids):
        raise InvalidInputError(f"every skeleton needs an id of its own, got {', '.join(ids)}")
    return [_skeleton(skeleton, len(message.keypoint_names)) for skeleton in message.skeletons]


def ground_truth_skeletons(
    positions: FloatArray, visible: np.ndarray, person_ids: Sequence[str], camera: CameraIntrinsics
) -> list[Skeleton]:
    """Turn the exact joints of a simulation into skeletons: what the camera sees is measured, the rest inferred.

    Args:
        positions: Joints in the camera optical frame with shape (P, K, 3), metres.
        visible: Which joints the camera sees, with shape (P, K).
        person_ids: P names.
        camera: For the pixels.

    Returns:
        P skeletons with score 1 and covariance 0. A joint behind the camera has no pixel (NaN).
    """
    pixels = project(positions, camera)
    states = np.where(visible, KeypointState.MEASURED, KeypointState.INFERRED).astype(np.uint8)
    k = positions.shape[1]
    return [
        Skeleton(
            id=str(person_id),
            score=1.0,
            tracking_state=TrackingState.TRACKED,
            box=_box(pixels[i]),
            pixels=pixels[i],
            scores=np.ones(k),
            positions=positions[i],
            covariances=np.zeros((k, 3, 3)),
            states=states[i],
            velocity=np.full(3, np.nan),
            camera_from_torso=None,
        )
        for i, person_id in enumerate(person_ids)
    ]


def _box(pixels: FloatArray) -> FloatArray:
    known = pixels[np.isfinite(pixels).all(axis=1)]
    return np.concatenate([known.min(axis=0), known.max(axis=0)]) if len(known) else np.full(4, np.nan)


def _skeleton_message(skeleton: Skeleton) -> SkeletonMessage:
    vx, vy, vz = (float(value) for value in skeleton.velocity)
    keypoints = Keypoints(skeleton.pixels, skeleton.scores, skeleton.positions, skeleton.covariances, skeleton.states)
    return SkeletonMessage(
        id=skeleton.id,
        score=float(skeleton.score),
        tracking_state=int(skeleton.tracking_state),
        flat=bool(skeleton.is_flat),
        box=np.asarray(skeleton.box, np.float32),
        torso_valid=skeleton.camera_from_torso is not None,
        torso=pose_message(skeleton.camera_from_torso),
        velocity=Vector3(x=vx, y=vy, z=vz),
        head_source=int(HeadSource.NONE if skeleton.head is None else skeleton.head.source),
        head=_head_message(skeleton.head),
        keypoints=keypoint_messages(keypoints),
        hands=[hand_message(hand) for hand in skeleton.hands],
    )


def _head_message(head: HeadPose | None) -> PoseWithCovariance:
    if head is None:
        return PoseWithCovariance(pose=pose_message(None), covariance=np.full(36, np.nan))
    return PoseWithCovariance(
        pose=pose_message(head.camera_from_head), covariance=np.asarray(head.covariance, float).ravel()
    )


def _skeleton(message: SkeletonMessage, count: int) -> Skeleton:
    if len(message.keypoints) != count:
        raise InvalidInputError(f"skeleton {message.id} has {len(message.keypoints)} keypoints for {count} names")
    keypoints = keypoints_from_messages(message.keypoints)
    return Skeleton(
        id=message.id,
        score=message.score,
        tracking_state=_member(TrackingState, message.tracking_state),
        box=np.asarray(message.box, float),
        pixels=keypoints.pixels,
        scores=keypoints.scores,
        positions=keypoints.positions,
        covariances=keypoints.covariances,
        states=keypoints.states,
        velocity=np.array([message.velocity.x, message.velocity.y, message.velocity.z]),
        camera_from_torso=matrix_from_pose(message.torso) if message.torso_valid else None,
        is_flat=message.flat,
        hands=tuple(hand_from_message(hand) for hand in message.hands),
        head=_head(message),
    )


def _member(kind: type[Member], value: int) -> Member:
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInputError(f"{value} is no {kind.__name__}") from error


def _head(message: SkeletonMessage) -> HeadPose | None:
    source = _member(HeadSource, message.head_source)
    if source == HeadSource.NONE:
        return None
    covariance = np.asarray(message.head.covariance, float).reshape(6, 6)
    return HeadPose(matrix_from_pose(message.head.pose), covariance, source)
