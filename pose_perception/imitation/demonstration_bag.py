"""Demonstrations in bags (MCAP) as nodes record them: joint states, and where they are asked for commands and objects.

Messages are read by the definitions in the bag itself: no ROS is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.se3 import matrix_from_numbers
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.grippers import grippers_of, opening_at
from pose_perception.imitation.robot import Robot
from pose_perception.recording.bag import BagCutOffError, BagRecording

JOINT_STATE, TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
NUMBERS, POSE = "std_msgs/msg/Float64MultiArray", "geometry_msgs/msg/PoseStamped"
SKELETONS = "pose_perception/msg/SkeletonArray"
# What was seen longer ago than this is not known any more, seconds.
_FRESH_S = 0.2


@dataclass(frozen=True)
class BagTopics:
    """Where in a bag things are.

    Attributes:
        joint_states: sensor_msgs/JointState.
        commands: JointState, JointTrajectory, or Float64MultiArray in the order of the robot's joints; None for none.
        skeletons: pose_perception/SkeletonArray, of which the person seen most is the operator; None for none.
        objects: geometry_msgs/PoseStamped in the robot's base, by name of the object.
    """

    joint_states: str = "/joint_states"
    commands: str | None = None
    skeletons: str | None = None
    objects: Mapping[str, str] = field(default_factory=dict)


def read_bag(path: Path, robot: Robot, topics: BagTopics) -> Demonstration:
    """Read a demonstration.

    Args:
        path: A file `*.mcap`, or the folder that rosbag2 writes.
        robot: Whose joints are meant.
        topics: Where they are.

    Raises:
        InvalidInputError: the bag is damaged, lacks a topic or a joint, or a pose is in another frame.
    """
    bag = BagRecording(path)
    _require(bag, topics.joint_states, (JOINT_STATE,))
    times, q, openings = _joints(bag, robot, topics.joint_states)
    commands, keypoints = None, {}
    if topics.commands is not None:
        _require(bag, topics.commands, (JOINT_STATE, TRAJECTORY, NUMBERS))
        stamps, values = _rows(_commands(bag, robot, topics.commands))
        if not len(stamps):
            raise InvalidInputError(f"{path}: no message on {topics.commands} commands all joints of the robot")
        # Before the first command nothing was commanded.
        kept = times >= stamps[0]
        times, q, openings = times[kept], q[kept], {name: values[kept] for name, values in openings.items()}
        commands = values[np.searchsorted(stamps, times, side="right") - 1]
    objects = {}
    for name, topic in topics.objects.items():
        _require(bag, topic, (POSE,))
        stamps, values = _rows(_poses(bag, topic, robot.config.base))
        objects[name] = _latest(times, stamps, values.reshape(-1, 4, 4))
    if topics.skeletons is not None:
        _require(bag, topics.skeletons, (SKELETONS,))
        keypoints = _operator(bag, topics.skeletons, times)
    return Demonstration(times, robot.joints, q, commands, openings, objects, keypoints, str(path))


def _decoded(bag: BagRecording, topic: str) -> Iterator[tuple[int, Any]]:
    """Yield time of recording in nanoseconds and the message; where a recorder was killed, the bag just ends."""
    try:
        for _, time_ns, message in bag.decoded([topic]):
            yield time_ns, message
    except BagCutOffError:
        return


def _require(bag: BagRecording, topic: str, types: tuple[str, ...]) -> None:
    if bag.types.get(topic) not in types:
        choices = sorted(name for name, kind in bag.types.items() if kind in types)
        raise InvalidInputError(
            f"{bag.path} has no topic {topic} with type {' or '.join(types)}; choices: {', '.join(choices) or 'none'}"
        )


def _joints(bag: BagRecording, robot: Robot, topic: str) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    grippers = grippers_of(robot)
    columns = [*robot.joints, *(gripper.joint for gripper in grippers.values())]
    last = dict.fromkeys(columns, np.nan)
    rows: dict[float, list[float]] = {}
    for time_ns, message in _decoded(bag, topic):
        known = {name: p for name, p in zip(message.name, message.position, strict=False) if name in last}
        last |= known
        # Several parts of a robot may publish on one topic.
        if known and np.isfinite([last[joint] for joint in robot.joints]).all():
            rows[_stamp(message, time_ns)] = list(last.values())
    missing = [joint for joint in robot.joints if np.isnan(last[joint])]
    if missing:
        raise InvalidInputError(f"{bag.path}: {topic} never has the joints {', '.join(missing)}")
    table = np.array(list(rows.values()))
    n, openings = len(robot.joints), {}
    for i, (name, gripper) in enumerate(grippers.items()):
        opening = opening_at(gripper, table[:, n + i])
        if np.isfinite(opening).any():
            openings[name] = opening
    return np.array(list(rows)), table[:, :n], openings


def _commands(bag: BagRecording, robot: Robot, topic: str) -> Iterator[tuple[float, FloatArray]]:
    kind = bag.types[topic]
    for time_ns, message in _decoded(bag, topic):
        if kind == NUMBERS:
            values = dict(zip(robot.joints, message.data, strict=False))
        elif kind == TRAJECTORY:
            positions = message.points[0].positions if message.points else []
            values = dict(zip(message.joint_names, positions, strict=False))
        else:
            values = dict(zip(message.name, message.position, strict=False))
        if all(joint in values for joint in robot.joints):
            yield _stamp(message, time_ns), np.array([values[joint] for joint in robot.joints])


def _poses(bag: BagRecording, topic: str, base: str) -> Iterator[tuple[float, FloatArray]]:
    for time_ns, message in _decoded(bag, topic):
        if message.header.frame_id.lstrip("/") != base:
            raise InvalidInputError(f"{bag.path}: {topic} is in frame {message.header.frame_id!r}, not {base!r}")
        place, turn = message.pose.position, message.pose.orientation
        numbers = (place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w)
        yield _stamp(message, time_ns), matrix_from_numbers(numbers).ravel()


def _operator(bag: BagRecording, topic: str, times: FloatArray) -> dict[str, FloatArray]:
    """Return the keypoints of the person who is seen most, by name, shape (T, 3)."""
    names: list[str] = []
    seen: list[tuple[float, str, FloatArray]] = []
    for time_ns, message in _decoded(bag, topic):
        names = list(message.keypoint_names)
        for person in message.skeletons:
            points = [(p.position.x, p.position.y, p.position.z) for p in person.keypoints]
            seen.append((_stamp(message, time_ns), person.id, np.array(points, dtype=float)))
    if not seen:
        return {}
    operator = Counter(person for _, person, _ in seen).most_common(1)[0][0]
    stamps, values = _rows((stamp, points.ravel()) for stamp, person, points in seen if person == operator)
    points = _latest(times, stamps, values.reshape(len(stamps), -1, 3))
    return {name: points[:, i] for i, name in enumerate(names)}


def _rows(items: Iterator[tuple[float, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Return stamps in order with shape (M,), seconds, and what belongs to them, shape (M, k)."""
    found = sorted(items, key=lambda item: item[0])
    return np.array([stamp for stamp, _ in found]), np.array([values for _, values in found])


def _latest(times: FloatArray, stamps: FloatArray, values: FloatArray) -> FloatArray:
    """Return what was known last at each time; NaN when that is long ago."""
    if not len(stamps):
        return np.full((len(times), *values.shape[1:]), np.nan)
    index = np.searchsorted(stamps, times, side="right") - 1
    is_fresh = (index >= 0) & (times - stamps[np.maximum(index, 0)] <= _FRESH_S)
    found = values[np.maximum(index, 0)].copy()
    found[~is_fresh] = np.nan
    return found


def _stamp(message: Any, time_ns: int) -> float:
    """Return when something was, seconds: by its header, where it has one that is set."""
    header = getattr(message, "header", None)
    stamp_ns = 0 if header is None else header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
    return (stamp_ns or time_ns) / 1e9
