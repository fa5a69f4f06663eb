"""Motions in files, ready to be replayed: demonstrations, and movements that were learned from some."""

from __future__ import annotations

from pathlib import Path

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.demonstration import Demonstration, check
from pose_perception.imitation.demonstration_bag import BagTopics, read_bag
from pose_perception.imitation.demonstration_editing import smooth
from pose_perception.imitation.demonstration_files import is_movement, read_demonstration
from pose_perception.imitation.movement import load_movement, reproduce
from pose_perception.imitation.robot import Robot

# Arms of people hardly move faster.
SMOOTHING_HZ = 5.0


def is_learned(path: Path) -> bool:
    """Return whether a file holds a movement that was learned.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    return path.suffix == ".npz" and is_movement(path)


def goes_to_object(path: Path) -> bool:
    """Return whether a file holds a movement that leads to an object, wherever that is.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    return is_learned(path) and load_movement(path).tool_path is not None


def read_motion(
    path: Path,
    robot: Robot,
    start: FloatArray,
    base_from_object: FloatArray | None = None,
    topics: BagTopics | None = None,
    smoothing_hz: float = SMOOTHING_HZ,
) -> Demonstration:
    """Read what a robot shall do.

    Args:
        path: A demonstration (`.csv`, `.npz`, `.mcap` or the folder of a bag), or a movement (`.npz`).
        robot: That shall do it.
        start: Where it is, shape (n,), radians: where a movement begins.
        base_from_object: Where the object of a movement is, shape (4, 4), metres in the base; None for none.
        topics: Of bags; None for those that everybody uses.
        smoothing_hz: Faster changes of recorded joints are noise, which would make a replay slow; 0 leaves them.

    Raises:
        InvalidInputError: the file cannot be read, is of another robot, or breaks its limits.
    """
    if is_learned(path):
        return reproduce(load_movement(path), robot, start, base_from_object)
    is_bag = path.suffix == ".mcap" or path.is_dir()
    motion = read_bag(path, robot, topics or BagTopics()) if is_bag else read_demonstration(path)
    check(motion, robot)
    return smooth(motion, smoothing_hz) if smoothing_hz > 0 else motion
