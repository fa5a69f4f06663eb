"""A replay on a robot that does what it is told: for files and figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot


def run_replay(
    replayer: Replayer, motion: Demonstration, start: FloatArray, seen: FloatArray | None
) -> list[JointCommand]:
    """Return the commands of a replay on a robot that follows them.

    Args:
        replayer: That makes them; its state says how it ended.
        motion: What it replays.
        start: Where the robot is, shape (n,), radians.
        seen: Where the object is seen, shape (4, 4), metres in the base; None without one.
    """
    step_s, now, q = replayer.config.step_s, 0.0, start
    commands: list[JointCommand] = []
    velocity = np.zeros_like(start)
    while True:
        replayer.watch.take_joints(now, q, velocity)
        if seen is not None:
            replayer.watch.take_object(now, seen)
        if not commands and not replayer.start(now, motion, seen):
            return commands
        command = replayer.step(now)
        if command is None:
            return commands
        commands.append(command)
        q, velocity, now = command.q, command.velocity, now + step_s


def as_demonstration(robot: Robot, start: FloatArray, commands: Sequence[JointCommand], step_s: float) -> Demonstration:
    """Return commands as a demonstration that begins where the robot was.

    Args:
        robot: That they are for.
        start: Where it was, shape (n,), radians.
        commands: At least one.
        step_s: Time between them, seconds.
    """
    q = np.stack([start, *(command.q for command in commands)])
    openings = {
        name: np.array([np.nan, *(command.openings.get(name, np.nan) for command in commands)]) for name in robot.arms
    }
    known = {name: values for name, values in openings.items() if np.isfinite(values).any()}
    return Demonstration(np.arange(len(q)) * step_s, robot.joints, q, openings=known, source="replay")
