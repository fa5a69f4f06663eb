"""Joints of robots: states, trajectories, positions, and the status of imitation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, Header, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.imitator import Status
from pose_perception.imitation.joint_path import JointPath
from pose_perception.msg import ImitationStatus

_NS_PER_S = 1_000_000_000


class JointValues(NamedTuple):
    """What a message says of m joints.

    Attributes:
        names: Of the joints.
        positions: Shape (m,), radians or metres.
        velocities: Shape (m,), per second; NaN when the message does not say.
    """

    names: tuple[str, ...]
    positions: FloatArray
    velocities: FloatArray


def joint_values_from_message(message: JointState) -> JointValues:
    """Read joint states; numbers that are not finite are left as they are.

    Raises:
        InvalidInputError: there are more or fewer positions or velocities than names, or a name comes twice.
    """
    names = tuple(message.name)
    positions, velocities = np.asarray(message.position, float), np.asarray(message.velocity, float)
    if len(set(names)) != len(names):
        raise InvalidInputError(f"joint states name a joint twice: {', '.join(names)}")
    if len(positions) != len(names) or len(velocities) not in (0, len(names)):
        raise InvalidInputError(
            f"joint states have {len(names)} names, {len(positions)} positions and {len(velocities)} velocities"
        )
    return JointValues(names, positions, velocities if len(velocities) else np.full(len(names), np.nan))


def robot_state_message(values: JointValues, header: Header) -> JointState:
    """Build joint states; velocities that are all unknown are left out."""
    is_known = np.isfinite(values.velocities).any()
    return JointState(
        header=header,
        name=list(values.names),
        position=values.positions.tolist(),
        velocity=values.velocities.tolist() if is_known else [],
    )


def joint_trajectory_message(joints: Sequence[str], path: JointPath) -> JointTrajectory:
    """Build a trajectory that begins when it arrives: its stamp is 0.

    Args:
        joints: Names of n joints.
        path: S moments, from then on; velocities that are not known are left out.
    """
    rows = zip(path.times_s.tolist(), path.positions.tolist(), path.velocities.tolist(), strict=True)
    points = [
        JointTrajectoryPoint(
            positions=positions,
            velocities=velocities if np.isfinite(velocities).all() else [],
            time_from_start=_duration(time_s),
        )
        for time_s, positions, velocities in rows
    ]
    return JointTrajectory(joint_names=list(joints), points=points)


def path_from_message(message: JointTrajectory, joints: Sequence[str]) -> JointPath:
    """Read a trajectory of certain joints, in their order, which need not be that of the message.

    Raises:
        InvalidInputError: it is of other joints, empty, or of numbers or times that make no path.
    """
    if sorted(message.joint_names) != sorted(joints):
        raise InvalidInputError(f"the trajectory is of {list(message.joint_names)}, expected {list(joints)}")
    order = [message.joint_names.index(joint) for joint in joints]
    positions = [point.positions for point in message.points]
    velocities = [point.velocities if len(point.velocities) else [np.nan] * len(order) for point in message.points]
    if any(len(row) != len(order) for row in (*positions, *velocities)):
        raise InvalidInputError(
            f"every point of a trajectory needs {len(order)} positions, and as many velocities or none"
        )
    times = [point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in message.points]
    shape = (len(times), len(order))
    return JointPath(np.array(times), np.reshape(positions, shape)[:, order], np.reshape(velocities, shape)[:, order])


def positions_message(q: FloatArray) -> Float64MultiArray:
    """Build the command of a forward position controller from joints with shape (n,), radians."""
    return Float64MultiArray(data=np.asarray(q, float).tolist())


def positions_from_message(message: Float64MultiArray, count: int) -> FloatArray:
    """Read the positions of so many joints, shape (count,), radians.

    Raises:
        InvalidInputError: there are more or fewer numbers, or one is not finite.
    """
    q = np.asarray(message.data, float)
    if q.shape != (count,) or not np.isfinite(q).all():
        raise InvalidInputError(f"{count} finite positions expected, got {q.tolist()}")
    return q


def flag_message(value: bool) -> Bool:
    """Build a yes or no, such as that of a dead-man switch."""
    return Bool(data=value)


def text_message(text: str) -> String:
    """Build a text, such as a robot description."""
    return String(data=text)


def imitation_status_message(
    status: Status, distance_m: float, is_following: bool, counts: Mapping[str, int], recording: str, header: Header
) -> ImitationStatus:
    """Build the status of imitation.

    Args:
        status: Of the core.
        distance_m: Between the nearest parts of the robot, metres; NaN when unknown.
        is_following: Whether every arm has a target.
        counts: What the node counted beside the core.
        recording: File that is being written; empty without one.
        header: Time of the status and base of the robot.
    """
    merged = {**status.counts, **counts}
    return ImitationStatus(
        header=header,
        state=int(status.state),
        reason=status.reason,
        operator_id=status.operator,
        person_age=status.person_age_s,
        nearest_distance=distance_m,
        is_following=is_following,
        count_names=list(merged),
        counts=list(merged.values()),
        recording=recording,
        calibrated_id=status.calibrated,
    )


def _duration(seconds: float) -> Duration:
    sec, nanosec = divmod(round(seconds * _NS_PER_S), _NS_PER_S)
    return Duration(sec=sec, nanosec=nanosec)
