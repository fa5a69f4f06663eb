"""Headers, poses and transforms."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from pose_perception.datatypes import FloatArray
from pose_perception.geometry.se3 import matrix_from_numbers, quaternion_from_matrix

_NS_PER_S = 1_000_000_000


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * _NS_PER_S + header.stamp.nanosec


def header_message(time_ns: int, frame_id: str) -> Header:
    """Build a header from a stamp in nanoseconds and the name of a frame."""
    seconds, nanoseconds = divmod(time_ns, _NS_PER_S)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def matrix_from_pose(pose: Pose) -> FloatArray:
    """Return a pose as matrix with shape (4, 4).

    Raises:
        InvalidInputError: the orientation is no rotation.
    """
    return matrix_from_numbers(_numbers(pose.position, pose.orientation))


def pose_message(matrix: FloatArray | None) -> Pose:
    """Build a pose from a matrix with shape (4, 4); None becomes NaN everywhere."""
    if matrix is None:
        nan = float("nan")
        return Pose(position=Point(x=nan, y=nan, z=nan), orientation=Quaternion(x=nan, y=nan, z=nan, w=nan))
    x, y, z = (float(value) for value in matrix[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion_message(matrix))


def matrix_from_transform(message: TransformStamped) -> FloatArray:
    """Return `parent_from_child` with shape (4, 4) of a transform.

    Raises:
        InvalidInputError: the rotation is none.
    """
    return matrix_from_numbers(numbers_from_transform(message))


def numbers_from_transform(message: TransformStamped) -> tuple[float, ...]:
    """Return seven numbers: x, y, z and the quaternion x, y, z, w of `parent_from_child`, as they are."""
    return _numbers(message.transform.translation, message.transform.rotation)


def transform_message(parent_from_child: FloatArray, child_frame: str, parent: Header) -> TransformStamped:
    """Build a transform from a matrix with shape (4, 4); stamp and parent frame come from the header."""
    x, y, z = (float(value) for value in parent_from_child[:3, 3])
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion_message(parent_from_child))
    return TransformStamped(header=parent, child_frame_id=child_frame, transform=transform)


def _numbers(translation: Point | Vector3, rotation: Quaternion) -> tuple[float, ...]:
    return translation.x, translation.y, translation.z, rotation.x, rotation.y, rotation.z, rotation.w


def _quaternion_message(matrix: FloatArray) -> Quaternion:
    x, y, z, w = (float(value) for value in quaternion_from_matrix(matrix[:3, :3]))
    return Quaternion(x=x, y=y, z=z, w=w)
