"""Movements learned from demonstrations: in joints, or relative to an object, for wherever it is.

Relative to an object, the pose of the tool is learned in the object's frame: its position, and its rotation as a vector
from a mean rotation. All demonstrations then end alike and begin differently. For an object elsewhere, the movement is
conditioned on where the tool is and on where it ended in the demonstrations, and inverse kinematics give the joints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_files import load_arrays, save_arrays
from pose_perception.imitation.promp import Promp, PrompConfig, learn_promp
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.tool_ik import solve_tool

# How exactly conditioned motions pass through a point: squares of metres and radians.
_EXACT = 1e-10
# Sum of errors, metres and radians, with which an end counts as reached.
_REACHED = 1e-3
# One unit of the prior of positions, metres, beside that of rotations, radians.
_METRES_PER_RADIAN = 0.5


@dataclass(frozen=True)
class MovementConfig(Config):
    """How movements are learned and made."""

    rate: float = option(50.0, "Moments per second of what is made.", minimum=1.0, maximum=1000.0)
    object_time: float = option(
        0.5,
        "Where an object is at first is the mean of what was seen for so long, in seconds.",
        minimum=0.0,
        maximum=60,
    )
    position_tolerance: float = option(
        0.005, "How far the tool may end from where it shall, in metres, or it is out of reach.", minimum=0, maximum=1
    )
    rotation_tolerance: float = option(0.05, "Likewise of its rotation, in radians.", minimum=0.0, maximum=3.2)
    way_tolerance: float = option(
        6.0, "How many times farther than that it may be from its way before the end.", minimum=1.0, maximum=100.0
    )
    promp: PrompConfig = field(default_factory=PrompConfig)


@dataclass(frozen=True)
class Movement:
    """A learned movement.

    Attributes:
        joints: Names of the joints that it is for.
        joint_path: Of all joints, radians.
        openings: Of the grippers by name of the arm, at even phases, shape (S,).
        duration_s: Seconds, as demonstrated.
        object_name: What it is relative to; empty for nothing.
        arm: Whose tool goes there.
        tool_path: Position (metres) and rotation vector (radians) of the tool in the frame of the object, 6 numbers.
        turn: Rotation with shape (3, 3) in that frame, from which rotation vectors are counted.
    """

    joints: tuple[str, ...]
    joint_path: Promp
    openings: dict[str, FloatArray]
    duration_s: float
    object_name: str = ""
    arm: str = ""
    tool_path: Promp | None = None
    turn: FloatArray = field(default_factory=lambda: np.eye(3))


def learn_movement(
    robot: Robot,
    demonstrations: Sequence[Demonstration],
    object_name: str = "",
    arm: str = "",
    config: MovementConfig | None = None,
) -> Movement:
    """Learn from demonstrations that were checked and trimmed.

    Args:
        robot: That was taught.
        demonstrations: At least one; more tell what matters.
        object_name: Learn relative to this object; empty learns the joints alone.
        arm: Whose tool goes to the object; may be empty where there is one.
        config: Settings.

    Raises:
        InvalidInputError: joints are not the robot's, or the object was not seen.
    """
    config = config or MovementConfig()
    if not demonstrations:
        raise InvalidInputError("a movement is learned from at least one demonstration")
    for demo in demonstrations:
        if demo.joints != robot.joints:
            raise InvalidInputError(f"{demo.source} has joints {list(demo.joints)}, the robot {list(robot.joints)}")
    even = [_at_even_phases(demo, config.rate) for demo in demonstrations]
    joint_path = learn_promp([q for q, _ in even], config.promp)
    names = [name for name in demonstrations[0].openings if all(name in openings for _, openings in even)]
    openings = {name: np.clip(np.mean([openings[name] for _, openings in even], axis=0), 0, 1) for name in names}
    openings = {name: opening for name, opening in openings.items() if np.isfinite(opening).all()}
    duration = float(np.mean([demo.duration_s for demo in demonstrations]))
    if not object_name:
        return Movement(robot.joints, joint_path, openings, duration)
    arm = arm or next(iter(robot.arms))
    if arm not in robot.arms:
        raise InvalidInputError(f"there is no arm {arm!r}; choose one of {', '.join(robot.arms)}")
    relative = []
    for demo, (q, _) in zip(demonstrations, even, strict=True):
        relative.append(np.linalg.inv(first_pose(demo, object_name, config.object_time)) @ robot.points(q, arm).tool)
    turn = Rotation.from_matrix([path[-1, :3, :3] for path in relative]).mean().as_matrix()
    scale = np.array([_METRES_PER_RADIAN] * 3 + [1.0] * 3)
    tool_path = learn_promp([_vectors(path, turn) for path in relative], config.promp, scale)
    return Movement(robot.joints, joint_path, openings, duration, object_name, arm, tool_path, turn)


def reproduce(
    movement: Movement,
    robot: Robot,
    start: FloatArray,
    base_from_object: FloatArray | None = None,
    config: MovementConfig | None = None,
) -> Demonstration:
    """Return the movement from where the robot is, to where the object is.

    Args:
        movement: What was learned.
        robot: That moves.
        start: Its joints with shape (n,), radians.
        base_from_object: Pose of the object in the base, shape (4, 4), metres; None for a movement without one.
        config: Settings.

    Raises:
        InvalidInputError: the joints are not those of the robot, a pose is missing or none, or the object is out of
            reach; the message says where the tool would fail to follow.
    """
    config = config or MovementConfig()
    if movement.joints != robot.joints or np.shape(start) != (len(robot.joints),) or not np.isfinite(start).all():
        raise InvalidInputError(f"the movement is for joints {list(movement.joints)}, in radians; got {start}")
    count = max(2, math.ceil(movement.duration_s * config.rate) + 1)
    phases, times = np.linspace(0, 1, count), np.linspace(0, movement.duration_s, count)
    start = np.clip(start, robot.lower, robot.upper)
    exactly = _EXACT * np.eye(len(start))
    postures = movement.joint_path.condition(0.0, start, exactly)
    if movement.tool_path is None:
        q = np.clip(postures.motion(phases), robot.lower, robot.upper)
    else:
        if base_from_object is None or not np.isfinite(base_from_object).all():
            raise InvalidInputError(f"where is {movement.object_name}? The movement goes to it")
        goals = _tool_goals(movement, robot, start, base_from_object, phases)
        end = _end_posture(movement, robot, goals[-1], postures.motion(phases[-1:])[0])
        preferred = np.clip(postures.condition(1.0, end, exactly).motion(phases), robot.lower, robot.upper)
        q = _follow(movement, robot, goals, preferred, times, config)
    grid = {name: np.interp(phases, np.linspace(0, 1, len(v)), v) for name, v in movement.openings.items()}
    return Demonstration(times, robot.joints, q, openings=grid, source="movement")


def first_pose(demonstration: Demonstration, name: str, for_s: float) -> FloatArray:
    """Return where an object was at first: the mean of its poses for a while, shape (4, 4), metres in the base.

    Raises:
        InvalidInputError: it was never seen.
    """
    poses = demonstration.objects.get(name)
    seen = np.zeros(0, dtype=int) if poses is None else np.flatnonzero(np.isfinite(poses).all(axis=(1, 2)))
    if poses is None or not seen.size:
        choices = ", ".join(demonstration.objects) or "none"
        raise InvalidInputError(f"{demonstration.source} does not show object {name!r}; it shows {choices}")
    times = demonstration.times_s[seen]
    own = poses[seen[times <= times[0] + for_s]]
    mean = np.eye(4)
    mean[:3, :3] = Rotation.from_matrix(own[:, :3, :3]).mean().as_matrix()
    mean[:3, 3] = np.median(own[:, :3, 3], axis=0)
    return mean


def save_movement(movement: Movement, path: Path) -> None:
    """Write a movement as arrays (`.npz`).

    Raises:
        InvalidInputError: the file cannot be written.
    """
    arrays = {
        "joints": np.array(movement.joints),
        "duration_s": np.array(movement.duration_s),
        "object_name": np.array(movement.object_name),
        "arm": np.array(movement.arm),
        "turn": movement.turn,
    }
    for name, promp in (("joint_path", movement.joint_path), ("tool_path", movement.tool_path)):
        if promp is not None:
            arrays |= {f"{name}/mean": promp.mean, f"{name}/covariance": promp.covariance}
    save_arrays(path, arrays | {f"openings/{name}": values for name, values in movement.openings.items()})


def load_movement(path: Path) -> Movement:
    """Read what `save_movement` wrote.

    Raises:
        InvalidInputError: the file is missing or is no movement.
    """
    arrays = load_arrays(path)
    try:
        joints = tuple(map(str, arrays["joints"]))
        joint_path = Promp(arrays["joint_path/mean"], arrays["joint_path/covariance"], len(joints))
        tool_path = None
        if "tool_path/mean" in arrays:
            tool_path = Promp(arrays["tool_path/mean"], arrays["tool_path/covariance"], 6)
        openings = {key.partition("/")[2]: values for key, values in arrays.items() if key.startswith("openings/")}
        name, arm = str(arrays["object_name"]), str(arrays["arm"])
        return Movement(joints, joint_path, openings, float(arrays["duration_s"]), name, arm, tool_path, arrays["turn"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{path} is no learned movement: {error}") from error


def _at_even_phases(demo: Demonstration, rate: float) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return joints with shape (T, n) at even phases, and openings with shape (101,); these hold what they had."""
    times = np.linspace(demo.times_s[0], demo.times_s[-1], max(5, math.ceil(demo.duration_s * rate) + 1))
    q = np.stack([np.interp(times, demo.times_s, column) for column in demo.q.T], axis=1)
    at = np.clip(
        np.searchsorted(demo.times_s, np.linspace(times[0], times[-1], 101), side="right") - 1, 0, len(demo) - 1
    )
    return q, {name: values[at] for name, values in demo.openings.items()}


def _vectors(poses: FloatArray, turn: FloatArray) -> FloatArray:
    """Return positions and rotation vectors with shape (..., 6) of poses (..., 4, 4)."""
    turns = Rotation.from_matrix(turn.T @ poses[..., :3, :3]).as_rotvec()
    return np.concatenate([poses[..., :3, 3], turns], axis=-1)


def _tool_goals(
    movement: Movement, robot: Robot, start: FloatArray, base_from_object: FloatArray, phases: FloatArray
) -> FloatArray:
    """Return poses of the tool in the base with shape (S, 4, 4)."""
    assert movement.tool_path is not None
    end = movement.tool_path.motion(np.array([1.0]))[0]
    tool = np.linalg.inv(base_from_object) @ robot.points(start, movement.arm).tool
    exactly = _EXACT * np.eye(6)
    path = movement.tool_path.condition(1.0, end, exactly).condition(0.0, _vectors(tool, movement.turn), exactly)
    vectors = path.motion(phases)
    poses = np.tile(np.eye(4), (len(phases), 1, 1))
    poses[:, :3, :3] = movement.turn @ Rotation.from_rotvec(vectors[:, 3:]).as_matrix()
    poses[:, :3, 3] = vectors[:, :3]
    return base_from_object @ poses


def _end_posture(movement: Movement, robot: Robot, goal: FloatArray, mean: FloatArray) -> FloatArray:
    """Return joints with shape (n,), radians, with which the tool reaches its end and joints are far from limits."""
    mean = np.clip(mean, robot.lower, robot.upper)
    found = [solve_tool(robot, movement.arm, goal, begin, robot.rest) for begin in (mean, robot.rest)]
    best = min(found, key=lambda solution: solution.position_error_m + solution.rotation_error_rad)
    # Of those that reach it, the one with more room.
    own = robot.arms[movement.arm].joints
    reached = [s for s in found if s.position_error_m + s.rotation_error_rad < _REACHED] or [best]
    return max(reached, key=lambda s: float(np.minimum(s.q - robot.lower, robot.upper - s.q)[own].min())).q


def _follow(
    movement: Movement,
    robot: Robot,
    goals: FloatArray,
    posture: FloatArray,
    times: FloatArray,
    config: MovementConfig,
) -> FloatArray:
    """Return joints with shape (S, n) whose tool follows poses."""
    q, own = posture.copy(), robot.arms[movement.arm].joints
    last = posture[0]
    for i, goal in enumerate(goals):
        solution = solve_tool(robot, movement.arm, goal, last, posture[i])
        last = solution.q
        factor = 1.0 if i == len(goals) - 1 else config.way_tolerance
        is_far = solution.position_error_m > factor * config.position_tolerance
        if is_far or solution.rotation_error_rad > factor * config.rotation_tolerance:
            raise InvalidInputError(
                f"{movement.object_name} is out of reach: at {times[i]:.2f} s of the movement the tool stays "
                f"{1e3 * solution.position_error_m:.0f} mm and {math.degrees(solution.rotation_error_rad):.0f} degrees "
                f"away from {np.round(goal[:3, 3], 3).tolist()}"
            )
        q[i, own] = last[own]
    return q
