"""How well a robot does at other places what it was shown at a few: reaching for an object.

Five simulated demonstrations of least jerk (Flash and Hogan, The coordination of arm movements, Journal of
Neuroscience 5(7), 1985) with the unsteadiness of a hand, the noise of joint sensors and that of object poses.
The movement that is learned is replayed at new places, with everything that a replay checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.demonstration import Demonstration, check
from pose_perception.imitation.demonstration_editing import trim
from pose_perception.imitation.movement import learn_movement, reproduce
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.replay_config import ReplayConfig, ReplayState
from pose_perception.imitation.replay_run import run_replay
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.tool_ik import solve_tool

DEMONSTRATIONS, PLACES = 5, 20
_RATE_HZ, _REACH_S, _STILL_S = 50.0, 3.0, 0.5
# Unsteadiness of the hand on its way and where it ends, metres and radians; how slowly it changes, seconds.
_HAND_M, _HAND_RAD, _HAND_S = 0.005, 0.02, 0.15
_END_M, _END_RAD = 0.002, 0.01
# Noise of joint sensors and of object poses.
_JOINT_RAD, _OBJECT_M, _OBJECT_RAD = 0.0003, 0.002, 0.01
# Where objects are: so far from the tool at rest in lengths of the arm, and turned about the vertical, radians.
_NEAREST, _FARTHEST, _TURN_RAD = 0.15, 0.4, 0.5
# What counts as reachable, metres and radians, and how far joints stay from their limits, radians.
_REACHED_M, _REACHED_RAD, _ROOM_RAD = 1e-3, 1e-2, 0.1
# Capsules stay so far apart on the way, metres, or in pairs that are nearer at rest as far as there but for a little.
_APART_M, _LESS_M = 0.035, 0.001
# How far from rest replays begin, radians, and how high objects are above the base at least, metres.
_START_RAD, _TABLE_M = 0.05, -0.5
_ATTEMPTS = 2000
_ROUNDING = 1e-6


@dataclass
class ReplayFigures:
    """What happened at new places.

    Attributes:
        errors_m: Distance of the tool's end from the object, metres, of each replay that ended.
        errors_rad: Angle between tool and object beside the one that was shown, radians.
        refused: What replays that did not end said.
        commands: How many commands there were.
        position, velocity, acceleration: How many joints exceeded a limit.
        first_steps: Largest way of a first command over one step at full speed.
        nearest_m: Smallest distance of capsules, metres.
        slowed: How many times slower than shown the slowest replay was.
    """

    errors_m: list[float] = field(default_factory=list)
    errors_rad: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    commands: int = 0
    position: int = 0
    velocity: int = 0
    acceleration: int = 0
    first_steps: float = 0.0
    nearest_m: float = np.inf
    slowed: float = 1.0


def measure_demonstrations(robot: Robot, capsules: CapsuleModel, seed: int = 0) -> ReplayFigures:
    """Return what a robot does at new places after it was shown five.

    Raises:
        InvalidInputError: there are no places that the arm reaches.
    """
    generator, arm = np.random.default_rng(seed), next(iter(robot.arms))
    places = reachable_places(robot, arm, capsules, DEMONSTRATIONS + PLACES, generator)
    shown = [show(robot, arm, place, generator) for place in places[:DEMONSTRATIONS]]
    for demo in shown:
        check(demo, robot)
    movement = learn_movement(robot, [trim(demo) for demo in shown], "object", arm)
    figures = ReplayFigures()
    for place in places[DEMONSTRATIONS:]:
        start = _start(robot, capsules, generator)
        seen = _noisy(place, _OBJECT_M, _OBJECT_RAD, generator)
        try:
            motion = reproduce(movement, robot, start, seen)
        except InvalidInputError as error:
            figures.refused.append(str(error))
            continue
        replayer = Replayer(robot, capsules, ReplayConfig(deadman=False))
        commands = run_replay(replayer, motion, start, seen)
        _count(figures, robot, start, commands, replayer)
        if replayer.state != ReplayState.FINISHED:
            figures.refused.append(f"{replayer.reason.value} {replayer.detail}")
            continue
        tool, goal = robot.points(commands[-1].q, arm).tool, place @ _object_from_tool(robot, arm)
        figures.errors_m.append(float(np.linalg.norm(tool[:3, 3] - goal[:3, 3])))
        figures.errors_rad.append(float(Rotation.from_matrix(goal[:3, :3].T @ tool[:3, :3]).magnitude()))
    return figures


def reachable_places(
    robot: Robot, arm: str, capsules: CapsuleModel, count: int, generator: np.random.Generator
) -> list[FloatArray]:
    """Return poses of an object in the base, shape (4, 4), to which a straight way of the tool from rest leads.

    Raises:
        InvalidInputError: too few are found.
    """
    rest, length = robot.points(robot.rest, arm).tool, robot.arms[arm].upper_m + robot.arms[arm].forearm_m
    found: list[FloatArray] = []
    for _ in range(_ATTEMPTS):
        direction = generator.normal(size=3)
        way = generator.uniform(_NEAREST, _FARTHEST) * length * direction / np.linalg.norm(direction)
        place = np.eye(4)
        place[:3, :3] = Rotation.from_euler("z", generator.uniform(-_TURN_RAD, _TURN_RAD)).as_matrix()
        place[:3, 3] = rest[:3, 3] + way
        if place[2, 3] > _TABLE_M and _is_reachable(robot, arm, capsules, place):
            found.append(place)
        if len(found) == count:
            return found
    raise InvalidInputError(f"{robot.config.name}: only {len(found)} of {count} places are in reach")


def show(robot: Robot, arm: str, place: FloatArray, generator: np.random.Generator) -> Demonstration:
    """Return a demonstration of reaching for an object, as it would be recorded.

    Args:
        robot: That is taught.
        arm: Name of the arm.
        place: Pose of the object in the base, shape (4, 4), metres.
        generator: Of the noise.
    """
    count = round(_REACH_S * _RATE_HZ) + 1
    share = np.linspace(0, 1, count)[:, None]
    share = 10 * share**3 - 15 * share**4 + 6 * share**5
    start = robot.points(robot.rest, arm).tool
    end = _noisy(place @ _object_from_tool(robot, arm), _END_M, _END_RAD, generator)
    # A hand that rests does not sway.
    sway = 4 * share * (1 - share) * gaussian_filter1d(generator.normal(size=(count, 6)), _HAND_S * _RATE_HZ, axis=0)
    sway *= np.sqrt(2 * np.sqrt(np.pi) * _HAND_S * _RATE_HZ)
    turn = Rotation.from_matrix(end[:3, :3] @ start[:3, :3].T).as_rotvec()
    turns = Rotation.from_rotvec(share * turn + _HAND_RAD * sway[:, 3:])
    goals = np.tile(np.eye(4), (count, 1, 1))
    goals[:, :3, :3] = turns.as_matrix() @ start[:3, :3]
    goals[:, :3, 3] = start[:3, 3] + share * (end - start)[:3, 3] + _HAND_M * sway[:, :3]
    q = [robot.rest]
    for goal in goals[1:]:
        q.append(solve_tool(robot, arm, goal, q[-1], robot.rest).q)
    still = round(_STILL_S * _RATE_HZ)
    path = np.vstack([np.tile(q[0], (still, 1)), q, np.tile(q[-1], (still, 1))])
    noise = generator.normal(0, _JOINT_RAD, path.shape)
    objects = np.stack([_noisy(place, _OBJECT_M, _OBJECT_RAD, generator) for _ in path])
    # Sensors do not see joints beyond their limits.
    measured = np.clip(path + noise, robot.lower, robot.upper)
    return Demonstration(np.arange(len(path)) / _RATE_HZ, robot.joints, measured, objects={"object": objects})


def _count(
    figures: ReplayFigures, robot: Robot, start: FloatArray, commands: list[JointCommand], replayer: Replayer
) -> None:
    if not commands:
        return
    step_s = replayer.config.step_s
    q = np.stack([start, *(command.q for command in commands)])
    speed = np.diff(q, axis=0) / step_s
    change = np.diff(np.vstack([np.zeros_like(start), speed]), axis=0) / step_s
    figures.commands += len(commands)
    figures.position += int(((q < robot.lower - _ROUNDING) | (q > robot.upper + _ROUNDING)).sum())
    figures.velocity += int((np.abs(speed) > robot.velocity + _ROUNDING).sum())
    figures.acceleration += int((np.abs(change) > robot.acceleration + _ROUNDING).sum())
    figures.first_steps = max(figures.first_steps, float((np.abs(q[1] - q[0]) / (robot.velocity * step_s)).max()))
    figures.nearest_m = min(figures.nearest_m, *(command.distance_m for command in commands))
    figures.slowed = max(figures.slowed, replayer.plan.slowed if replayer.plan is not None else 1.0)


def _is_reachable(robot: Robot, arm: str, capsules: CapsuleModel, place: FloatArray) -> bool:
    start, end = robot.points(robot.rest, arm).tool, place @ _object_from_tool(robot, arm)
    turn = Rotation.from_matrix(end[:3, :3] @ start[:3, :3].T).as_rotvec()
    q = robot.rest
    for share in (0.25, 0.5, 0.75, 1.0):
        goal = np.eye(4)
        goal[:3, :3] = Rotation.from_rotvec(share * turn).as_matrix() @ start[:3, :3]
        goal[:3, 3] = (1 - share) * start[:3, 3] + share * end[:3, 3]
        solution = solve_tool(robot, arm, goal, q, robot.rest)
        q, own = solution.q, robot.arms[arm].joints
        room = np.minimum(q - robot.lower, robot.upper - q)[own].min()
        if solution.position_error_m > _REACHED_M or solution.rotation_error_rad > _REACHED_RAD:
            return False
        if room < _ROOM_RAD or _is_near(robot, capsules, q):
            return False
    return True


def _is_near(robot: Robot, capsules: CapsuleModel, q: FloatArray) -> bool:
    rest, now = (capsules.nearest(robot.kinematics.bodies(posture)).distances for posture in (robot.rest, q))
    return bool((now < np.minimum(_APART_M, rest - _LESS_M)).any())


def _start(robot: Robot, capsules: CapsuleModel, generator: np.random.Generator) -> FloatArray:
    """Return a posture near rest, shape (n,), radians."""
    for _ in range(_ATTEMPTS):
        start = robot.rest + generator.normal(0, _START_RAD, len(robot.rest))
        start = np.clip(start, robot.lower + _START_RAD, robot.upper - _START_RAD)
        if not _is_near(robot, capsules, start):
            return start
    raise InvalidInputError(f"{robot.config.name} touches itself wherever it starts")


def _object_from_tool(robot: Robot, arm: str) -> FloatArray:
    """Return how the tool is held at an object that is not turned: at its origin, as in the robot's rest posture."""
    pose = np.eye(4)
    pose[:3, :3] = robot.points(robot.rest, arm).tool[:3, :3]
    return pose


def _noisy(pose: FloatArray, metres: float, radians: float, generator: np.random.Generator) -> FloatArray:
    noisy = pose.copy()
    noisy[:3, 3] += generator.normal(0, metres, 3)
    noisy[:3, :3] = Rotation.from_rotvec(generator.normal(0, radians, 3)).as_matrix() @ pose[:3, :3]
    return noisy
