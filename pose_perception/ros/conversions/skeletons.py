"""Skeletons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import Header

from pose_perception.datatypes import CameraIntrinsics, FloatArray, KeypointState, Skeleton, TrackingState
from pose_perception.geometry.camera import project
from pose_perception.human.topology import Topology
from pose_perception.msg import Keypoint as KeypointMessage
from pose_perception.msg import Skeleton as SkeletonMessage
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions.transforms import matrix_from_pose, pose_message


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
    """Read back what `skeleton_array_message` built.

    Raises:
        InvalidInputError: a torso is said to be valid and its orientation is no rotation.
    """
    return [_skeleton(skeleton) for skeleton in message.skeletons]


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
    return SkeletonMessage(
        id=skeleton.id,
        score=float(skeleton.score),
        tracking_state=int(skeleton.tracking_state),
        box=np.asarray(skeleton.box, np.float32),
        torso_valid=skeleton.camera_from_torso is not None,
        torso=pose_message(skeleton.camera_from_torso),
        velocity=Vector3(x=vx, y=vy, z=vz),
        keypoints=_keypoint_messages(skeleton),
    )


def _keypoint_messages(skeleton: Skeleton) -> list[KeypointMessage]:
    # The state decides: without evidence nobody may read a position, whatever the arrays hold.
    missing = skeleton.states == KeypointState.MISSING
    positions = np.where(missing[:, None], np.nan, skeleton.positions).tolist()
    covariances = np.where(missing[:, None, None], np.nan, skeleton.covariances).reshape(-1, 9).astype(np.float64)
    pixels = np.asarray(skeleton.pixels, np.float32)
    return [
        KeypointMessage(
            pixel=pixels[i], score=score, state=state, position=Point(x=x, y=y, z=z), covariance=covariances[i]
        )
        for i, (score, state, (x, y, z)) in enumerate(
            zip(skeleton.scores.tolist(), skeleton.states.tolist(), positions, strict=True)
        )
    ]


def _skeleton(message: SkeletonMessage) -> Skeleton:
    keypoints = message.keypoints
    k = len(keypoints)
    positions = [(point.position.x, point.position.y, point.position.z) for point in keypoints]
    return Skeleton(
        id=message.id,
        score=message.score,
        tracking_state=TrackingState(message.tracking_state),
        box=np.asarray(message.box, float),
        pixels=np.array([point.pixel for point in keypoints], float).reshape(k, 2),
        scores=np.array([point.score for point in keypoints], float),
        positions=np.array(positions, float).reshape(k, 3),
        covariances=np.array([point.covariance for point in keypoints], float).reshape(k, 3, 3),
        states=np.array([point.state for point in keypoints], np.uint8),
        velocity=np.array([message.velocity.x, message.velocity.y, message.velocity.z]),
        camera_from_torso=matrix_from_pose(message.torso) if message.torso_valid else None,
    )
