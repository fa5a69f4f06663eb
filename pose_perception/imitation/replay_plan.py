"""The way of a replayed motion: from where the robot is to where the motion begins, and the motion, in all limits.

The approach is a straight line in joint space with the least jerk (Flash and Hogan, The coordination of arm movements,
Journal of Neuroscience 5(7), 1985), which starts and ends at rest. The motion keeps its shape in time, and is slowed
down as a whole where it would be too fast for a joint or a tool.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.replay_config import ReplayReason
from pose_perception.imitation.robot import Robot, arm_points
from pose_perception.imitation.stop_check import Clearance

# Largest speed and acceleration of a motion of least jerk over 1 in 1 s.
_LEAST_JERK_SPEED, _LEAST_JERK_ACCELERATION = 1.875, 10 / math.sqrt(3)
# How often a motion is slowed down anew before it counts as too rough, and by how much more than needed.
_ATTEMPTS, _SLACK = 50, 1.002
# An approach shorter than this is none, radians.
_THERE = 1e-4


@dataclass(frozen=True)
class PlanLimits:
    """What a plan keeps.

    Attributes:
        step_s: Time between commands, seconds.
        share: Of the robot's velocities and accelerations that is used, above 0 to 1.
        tool_speed: Largest speed of tools and wrists, m/s.
        speed_scale: How fast the motion is made, above 0; 1 as it was shown.
    """

    step_s: float
    share: float
    tool_speed: float
    speed_scale: float


@dataclass(frozen=True)
class ReplayPlan:
    """N commands, one after each step of time.

    Attributes:
        q: Joints with shape (N, n), radians; the last is at rest.
        velocity: Of the step that leads there, shape (N, n), rad/s.
        openings: Of the grippers by name of the arm, shape (N,); NaN where the motion says nothing.
        approach: How many of the commands lead to where the motion begins.
        slowed: How many times slower than asked for the motion is.
    """

    q: FloatArray
    velocity: FloatArray
    openings: dict[str, FloatArray]
    approach: int
    slowed: float


class PreparedReplay(NamedTuple):
    """What is known before a replay begins.

    Attributes:
        start: Where the robot was, shape (n,), radians.
        plan: The commands; None when there are none.
        refusal: What speaks against them; None when nothing does.
        detail: More about it, for people.
    """

    start: FloatArray
    plan: ReplayPlan | None
    refusal: ReplayReason | None
    detail: str


def plan_replay(robot: Robot, motion: Demonstration, start: FloatArray, limits: PlanLimits) -> ReplayPlan:
    """Return the commands that replay a motion.

    Args:
        robot: That moves.
        motion: Of its joints, in its limits.
        start: Where it is, at rest, shape (n,), radians.
        limits: What to keep.

    Raises:
        InvalidInputError: the motion is of other joints, leaves the limits, or is too rough.
    """
    if motion.joints != robot.joints or np.shape(start) != (len(robot.joints),) or not np.isfinite(start).all():
        raise InvalidInputError(f"{motion.source} must have joints {list(robot.joints)} and start at finite ones")
    # Measured joints may be outside of their limits by noise.
    path = np.clip(motion.q, robot.lower, robot.upper)
    if np.abs(path - motion.q).max() > 0.01:
        i, j = np.unravel_index(int(np.argmax(np.abs(path - motion.q))), path.shape)
        raise InvalidInputError(
            f"{motion.source}: {robot.joints[j]} is at {motion.q[i, j]:.3f} rad at {motion.place(int(i))}, outside of "
            "its limits"
        )
    approach = _approach(robot, start, path[0], limits)
    # Ends at rest; where the recording is uneven, so are the knots.
    times = (motion.times_s - motion.times_s[0]) / limits.speed_scale
    spline = CubicSpline(times, path, bc_type="clamped")
    slowed = 1.0
    for _ in range(_ATTEMPTS):
        count = max(2, math.ceil(times[-1] * slowed / limits.step_s))
        at = np.minimum(np.arange(1, count + 1) * limits.step_s / slowed, times[-1])
        q = np.clip(spline(at), robot.lower, robot.upper)
        excess = _excess(robot, np.vstack([path[0], q]), limits)
        if excess <= 1:
            break
        slowed *= excess * _SLACK
    else:
        raise InvalidInputError(f"{motion.source} is too rough to be replayed: smooth it, or learn from it")
    openings = _openings(robot, motion, at * limits.speed_scale + motion.times_s[0], len(approach))
    whole = np.vstack([start, approach, q])
    velocity = np.diff(whole, axis=0) / limits.step_s
    # One more command at rest: the one before it may still have moved.
    whole, velocity = np.vstack([whole, whole[-1:]]), np.vstack([velocity, np.zeros_like(start)])
    openings = {name: np.append(values, values[-1]) for name, values in openings.items()}
    return ReplayPlan(whole[1:], velocity, openings, len(approach), slowed)


def reason_of(clearance: Clearance) -> ReplayReason:
    """Return why a way is not free."""
    return ReplayReason.OUTSIDE_WORKSPACE if clearance.is_apart else ReplayReason.WOULD_COLLIDE


def _approach(robot: Robot, start: FloatArray, end: FloatArray, limits: PlanLimits) -> FloatArray:
    way = np.abs(end - start)
    if way.max() < _THERE:
        return np.zeros((0, len(start)))
    by_speed = _LEAST_JERK_SPEED * way / (limits.share * robot.velocity)
    by_acceleration = np.sqrt(_LEAST_JERK_ACCELERATION * way / (limits.share * robot.acceleration))
    duration = max(float(by_speed.max()), float(by_acceleration.max()), 2 * limits.step_s)
    for _ in range(_ATTEMPTS):
        count = math.ceil(duration / limits.step_s)
        t = np.arange(1, count + 1)[:, None] / count
        q = start + (end - start) * (10 * t**3 - 15 * t**4 + 6 * t**5)
        excess = _excess(robot, np.vstack([start, q]), limits)
        if excess <= 1:
            return q
        duration = count * limits.step_s * excess * _SLACK
    raise InvalidInputError("the robot cannot be brought to where the motion begins")


def _excess(robot: Robot, q: FloatArray, limits: PlanLimits) -> float:
    """Return how many times too fast commands with shape (N, n) are that start and end at rest; at most 1 is fine."""
    velocity = np.diff(q, axis=0) / limits.step_s
    rest = np.zeros((1, q.shape[1]))
    change = np.diff(np.vstack([rest, velocity, rest]), axis=0) / limits.step_s
    by_speed = float((np.abs(velocity) / robot.velocity).max()) / limits.share
    by_acceleration = math.sqrt(float((np.abs(change) / robot.acceleration).max()) / limits.share)
    bodies = robot.kinematics.bodies(q)
    by_tool = 0.0
    for arm in robot.arms.values():
        points = arm_points(arm, bodies)
        for way in (points.wrist, points.tool[:, :3, 3]):
            speed = np.linalg.norm(np.diff(way, axis=0), axis=1).max() / limits.step_s
            by_tool = max(by_tool, float(speed) / limits.tool_speed)
    return max(by_speed, by_acceleration, by_tool)


def _openings(robot: Robot, motion: Demonstration, at: FloatArray, approach: int) -> dict[str, FloatArray]:
    """Return what grippers do: nothing while the robot comes near, then what they did."""
    index = np.clip(np.searchsorted(motion.times_s, at + 1e-9, side="right") - 1, 0, len(motion) - 1)
    openings = {}
    for name in robot.arms:
        shown = motion.openings.get(name)
        during = np.full(len(at), math.nan) if shown is None else shown[index]
        openings[name] = np.concatenate([np.full(approach, math.nan), during])
    return openings
