"""Objects, and what vision_msgs calls detections."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from geometry_msgs.msg import Point, PoseWithCovariance, Vector3
from std_msgs.msg import Header

from pose_perception.datatypes import FloatArray, TrackingState
from pose_perception.errors import InvalidInputError
from pose_perception.msg import ObjectPose as ObjectPoseMessage
from pose_perception.msg import ObjectPoseArray
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.ros.conversions.transforms import matrix_from_pose, pose_message


def vision_messages() -> ModuleType | None:
    """Return vision_msgs.msg, or None where it is not installed."""
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None


def object_pose_array_message(objects: Sequence[ObjectPose], header: Header) -> ObjectPoseArray:
    """Build the message of all objects in one image; none gives an empty array, which says that nothing is seen.

    Args:
        objects: What was found.
        header: Stamp and optical frame of the colour image.
    """
    return ObjectPoseArray(header=header, objects=[_object_message(found) for found in objects])


def objects_from_message(message: ObjectPoseArray) -> list[ObjectPose]:
    """Read back what `object_pose_array_message` built.

    Raises:
        InvalidInputError: an orientation is no rotation, a state is none, or two objects have the same id.
    """
    ids = [found.id for found in message.objects]
    if len(set(ids)) != len(ids):
        raise InvalidInputError(f"every object needs an id of its own, got {', '.join(ids)}")
    return [_object(found) for found in message.objects]


def detections_message(vision: ModuleType, objects: Sequence[ObjectPose], header: Header) -> object:
    """Build vision_msgs/Detection3DArray of the objects that are not lost.

    The pose of the mesh is in `results[0].pose`, that of the middle of the bounding box, which has the same axes, in
    `bbox.center`.

    Args:
        vision: As `vision_messages` returns it.
        objects: What was found.
        header: Stamp and optical frame of the colour image.
    """
    present = [found for found in objects if found.tracking_state != TrackingState.LOST]
    return vision.Detection3DArray(header=header, detections=[_detection(vision, found, header) for found in present])


def _detection(vision: ModuleType, found: ObjectPose, header: Header) -> object:
    hypothesis = vision.ObjectHypothesis(class_id=found.model, score=float(found.score))
    center = found.camera_from_object.copy()
    center[:3, 3] += center[:3, :3] @ found.box_center
    return vision.Detection3D(
        header=header,
        id=found.id,
        results=[vision.ObjectHypothesisWithPose(hypothesis=hypothesis, pose=_pose_message(found))],
        bbox=vision.BoundingBox3D(center=pose_message(center), size=_vector_message(found.box_size)),
    )


def _object_message(found: ObjectPose) -> ObjectPoseMessage:
    x, y, z = (float(value) for value in found.box_center)
    return ObjectPoseMessage(
        id=found.id,
        model=found.model,
        score=float(found.score),
        tracking_state=int(found.tracking_state),
        pose=_pose_message(found),
        box_center=Point(x=x, y=y, z=z),
        box_size=_vector_message(found.box_size),
    )


def _object(message: ObjectPoseMessage) -> ObjectPose:
    try:
        state = TrackingState(message.tracking_state)
    except ValueError as error:
        raise InvalidInputError(f"{message.tracking_state} is no state of an object") from error
    center, size = message.box_center, message.box_size
    return ObjectPose(
        id=message.id,
        model=message.model,
        score=message.score,
        tracking_state=state,
        camera_from_object=matrix_from_pose(message.pose.pose),
        covariance=np.asarray(message.pose.covariance, float).reshape(6, 6),
        box_center=np.array([center.x, center.y, center.z]),
        box_size=np.array([size.x, size.y, size.z]),
    )


def _pose_message(found: ObjectPose) -> PoseWithCovariance:
    covariance = np.asarray(found.covariance, float).ravel()
    return PoseWithCovariance(pose=pose_message(found.camera_from_object), covariance=covariance)


def _vector_message(values: FloatArray) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)
