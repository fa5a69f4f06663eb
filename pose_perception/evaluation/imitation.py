"""How well robots imitate: against exact truth, with noise, and what they never do on recorded motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.evaluation.imitation_errors import angle_deg, delay_s, jerk, rms_and_95, swivel_deg
from pose_perception.evaluation.imitation_motion import (
    HumanModel,
    clip_points,
    robot_as_person,
    skeleton_of,
    wandering,
)
from pose_perception.human.topology import COCO_17
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.closed_form import ClosedForm
from pose_perception.imitation.collision_meshes import CollisionMeshes
from pose_perception.imitation.joint_limits import VelocityBounds
from pose_perception.imitation.least_squares import LeastSquaresSolver
from pose_perception.imitation.motion_clips import MotionClip
from pose_perception.imitation.retargeting import JointCommand, Retargeter, RetargetingConfig
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.target_filter import TorsoFilter, still, torso_filter_config
from pose_perception.imitation.targets import ArmTarget, Mapper, MappingConfig, body_arms
from pose_perception.imitation.tasks import TaskConfig

CAMERA_HZ = 30.0
_POSES, _NOISE_M = 300, 0.010
# Poses that are held, for how long, how far from rest and from the limits they are.
_HELD, _HELD_S, _HELD_RAD, _HELD_ROOM_RAD = 20, 4.0, 0.8, 0.05
# Every so many commands the meshes are looked at, which takes long.
_MESH_EVERY = 10
# Rounding, in units of the limit's own.
_ROUNDING = 1e-9


class ExactFigures(NamedTuple):
    """Errors without noise.

    Attributes:
        direction_deg: Largest error of upper arm and forearm, degrees, of poses inside of the limits.
        reached: Part of the poses that are inside of them.
        joint_rmse_rad: Joints found against those that made the pose, radians; NaN for a person's poses.
    """

    direction_deg: float
    reached: float
    joint_rmse_rad: float


class NoiseFigures(NamedTuple):
    """Errors with noise: root mean square and 95th percentile over time and arms.

    Attributes:
        wrist_m: Wrist against the scaled target, metres.
        swivel_deg: Turn of the elbow about the line from shoulder to wrist, degrees.
        jerk_ratio: Jerk (RMS) of joints that follow the noisy targets exactly over that of the commands.
        delay_s: By how much the wrist is late, seconds.
    """

    wrist_m: tuple[float, float]
    swivel_deg: tuple[float, float]
    jerk_ratio: float
    delay_s: float


@dataclass
class ClipFigures:
    """What happened on recorded motion.

    Attributes:
        commands: How many there were.
        position, velocity, acceleration: How many joints exceeded a limit.
        nearest_m: Smallest distance of capsules, metres.
        nearest_mesh_m: Of the meshes (convex hulls) of watched pairs, metres; NaN when not looked at.
        first_steps: Largest way of the first command over one step at full speed.
        braked: Part of the commands at which a target was refused.
        direction_deg: Median error of the bones' directions, degrees, where the arm reaches, and where it does not.
    """

    commands: int = 0
    position: int = 0
    velocity: int = 0
    acceleration: int = 0
    nearest_m: float = math.inf
    nearest_mesh_m: float = math.nan
    first_steps: float = 0.0
    braked: float = 0.0
    direction_deg: float = math.nan


def measure_closed_form(robot: Robot, arm: str, seed: int = 0) -> ExactFigures:
    """Return errors of the closed form on poses that the robot itself makes."""
    solver, own = ClosedForm(robot, arm), robot.arms[arm].joints
    generator = np.random.default_rng(seed)
    worst, squares, reached = 0.0, [], 0
    for q in generator.uniform(robot.lower, robot.upper, (_POSES, len(robot.joints))):
        target = _targets(robot, robot_as_person(robot, q))[arm]
        tool = robot.points(q, arm).tool[:3, :3]
        near = np.clip(q[own] + generator.normal(0, 0.02, 7), robot.lower[own], robot.upper[own])
        assert target.upper is not None
        assert target.forearm is not None
        solution = solver.solve(target.upper, target.forearm, tool, near)
        again = q.copy()
        again[own] = solution.q
        reached += solution.reached
        worst = max(worst, _direction_error_deg(robot, arm, again, robot.points(q, arm)))
        squares.append(np.square(solution.q - q[own]))
    return ExactFigures(worst, reached / _POSES, float(np.sqrt(np.mean(squares))))


def measure_human(robot: Robot, arm: str, config: MappingConfig, seed: int = 0) -> ExactFigures:
    """Return errors of the closed form on poses of `human.urdf`, of those that it reaches in the robot's limits."""
    human, solver, own = HumanModel(), ClosedForm(robot, arm), robot.arms[arm].joints
    mapper, generator = Mapper(robot, config), np.random.default_rng(seed)
    side = mapper.person_side(arm)
    worst, reached = 0.0, 0
    for _ in range(_POSES):
        points = human.points(human.random(generator))
        skeleton = skeleton_of(points)
        target = mapper.targets(body_arms(skeleton, COCO_17.keypoints))[arm]
        assert target.upper is not None
        assert target.forearm is not None
        assert skeleton.camera_from_torso is not None
        solution = solver.solve(target.upper, target.forearm, None, robot.rest[own])
        if not solution.reached:
            continue
        reached += 1
        q = robot.rest.copy()
        q[own] = solution.q
        made = robot.points(q, arm)
        # The person's bones in the robot's base, by the way of the camera and not of the mapper.
        turn = robot.base_from_torso @ skeleton.camera_from_torso[:3, :3].T
        for bone, start, end in ((made.upper, "shoulder", "elbow"), (made.forearm, "elbow", "wrist")):
            wanted = turn @ (points[f"{side}_{end}"] - points[f"{side}_{start}"])
            worst = max(worst, angle_deg(bone, wanted / np.linalg.norm(wanted)))
    return ExactFigures(worst, reached / _POSES, math.nan)


def measure_settled(robot: Robot, config: RetargetingConfig, seed: int = 0) -> FloatArray:
    """Return errors of directions (N,), degrees, after poses of the robot's own were held for a while, from rest."""
    generator, errors = np.random.default_rng(seed), []
    for _ in range(_HELD):
        change = generator.uniform(-_HELD_RAD, _HELD_RAD, len(robot.joints))
        q = np.clip(robot.rest + change, robot.lower + _HELD_ROOM_RAD, robot.upper - _HELD_ROOM_RAD)
        frames = [_targets(robot, robot_as_person(robot, q))] * int(_HELD_S * CAMERA_HZ)
        retargeter = Retargeter(robot, None, config)
        last = run(retargeter, frames, config.step_s)[-1].q
        errors += [_direction_error_deg(robot, arm, last, robot.points(q, arm)) for arm in robot.arms]
    return np.array(errors)


def measure_noise(robot: Robot, config: RetargetingConfig, seconds: float = 30.0, seed: int = 0) -> NoiseFigures:
    """Return errors while a person moves like the robot could, seen with 10 mm of noise on every keypoint and axis."""
    generator = np.random.default_rng(seed)
    frames = np.arange(int(seconds * CAMERA_HZ)) / CAMERA_HZ
    ticks = np.arange(int(seconds / config.step_s)) * config.step_s
    truth_at_frames, q_true = (wandering(robot, t, np.random.default_rng(seed)) for t in (frames, ticks))
    noisy, raw, torso = [], [], TorsoFilter(torso_filter_config())
    for stamp_s, q in zip(frames, truth_at_frames, strict=True):
        points = {n: p + generator.normal(0, _NOISE_M, 3) for n, p in robot_as_person(robot, q).items()}
        raw.append(_targets(robot, points))
        noisy.append(_targets(robot, points, float(stamp_s), torso))
    # Self-collisions would hide what the filter does.
    retargeter = Retargeter(robot, None, config)
    retargeter.reset(truth_at_frames[0])
    commands = run(retargeter, noisy, config.step_s)
    exact = _follow_exactly(robot, raw, truth_at_frames[0])
    q = np.stack([command.q for command in commands])[: len(q_true)]
    settled = slice(int(1.0 / config.step_s), None)
    errors, swivels, delays = [], [], []
    for name, arm in robot.arms.items():
        made, wanted = robot.points(q[settled], name), robot.points(q_true[settled], name)
        target = arm.upper_m * wanted.upper + arm.forearm_m * wanted.forearm
        errors.append(np.linalg.norm(made.wrist - made.shoulder - target, axis=1))
        swivels.append(swivel_deg(wanted, made))
        delays.append(delay_s(made.wrist - made.shoulder, target, config.step_s))
    stride = round(1 / CAMERA_HZ / config.step_s)
    ratio = jerk(exact[30:], 1 / CAMERA_HZ) / jerk(q[settled][::stride], stride * config.step_s)
    return NoiseFigures(rms_and_95(errors), rms_and_95(swivels), ratio, float(np.mean(delays)))


def measure_clip(
    robot: Robot, capsules: CapsuleModel, meshes: CollisionMeshes | None, clip: MotionClip, config: RetargetingConfig
) -> ClipFigures:
    """Return what a robot does on a recorded motion that begins somewhere else than it."""
    torso = TorsoFilter(torso_filter_config())
    frames = [_targets(robot, points, i / CAMERA_HZ, torso) for i, points in enumerate(clip_points(clip, CAMERA_HZ))]
    retargeter = Retargeter(robot, capsules, config)
    retargeter.reset(robot.rest)
    commands = run(retargeter, frames, config.step_s)
    q = np.stack([robot.rest, *(command.q for command in commands)])
    speed = np.diff(q, axis=0) / config.step_s
    change = np.diff(np.vstack([np.zeros(len(robot.joints)), speed]), axis=0) / config.step_s
    figures = ClipFigures(len(commands))
    figures.position = int(((q < robot.lower - _ROUNDING) | (q > robot.upper + _ROUNDING)).sum())
    figures.velocity = int((np.abs(speed) > robot.velocity * (1 + _ROUNDING) + 1e-9).sum())
    figures.acceleration = int((np.abs(change) > robot.acceleration * (1 + _ROUNDING) + 1e-7).sum())
    figures.nearest_m = float(capsules.nearest(robot.kinematics.bodies(q)).distances.min())
    figures.first_steps = float((np.abs(q[1] - q[0]) / (robot.velocity * config.step_s)).max())
    figures.braked = float(np.mean([command.is_braking for command in commands]))
    figures.direction_deg = _clip_direction(robot, frames, commands, config.step_s)
    if meshes is not None:
        links = {
            tuple(sorted(capsules.capsules[i].link for i in pair)) for pair in capsules.pairs
        } - capsules.neighbours
        figures.nearest_mesh_m = min(meshes.distance(*pair, joints) for joints in q[::_MESH_EVERY] for pair in links)
    return figures


def run(retargeter: Retargeter, frames: Sequence[dict[str, ArmTarget]], step_s: float) -> list[JointCommand]:
    """Return the commands for the targets of frames at the camera's rate."""
    commands: list[JointCommand] = []
    shown = 0
    for tick in range(int(len(frames) / CAMERA_HZ / step_s)):
        now = tick * step_s
        while shown < len(frames) and shown / CAMERA_HZ <= now + 1e-9:
            retargeter.observe(shown / CAMERA_HZ, frames[shown])
            shown += 1
        commands.append(retargeter.step(now))
    return commands


def has_closed_form(robot: Robot, arm: str) -> bool:
    """Return whether the closed form fits an arm."""
    try:
        ClosedForm(robot, arm)
    except ConfigurationError:
        return False
    return True


def _targets(
    robot: Robot, points: dict[str, FloatArray], stamp_s: float = 0.0, torso: TorsoFilter | None = None
) -> dict[str, ArmTarget]:
    skeleton = skeleton_of(points)
    if torso is not None:
        skeleton = torso.smooth(stamp_s, skeleton)
    return Mapper(robot, MappingConfig()).targets(body_arms(skeleton, COCO_17.keypoints))


def _direction_error_deg(robot: Robot, arm: str, q: FloatArray, wanted: object) -> float:
    made = robot.points(q, arm)
    return max(angle_deg(getattr(made, bone), getattr(wanted, bone)) for bone in ("upper", "forearm"))


def _clip_direction(
    robot: Robot, frames: Sequence[dict[str, ArmTarget]], commands: Sequence[JointCommand], step_s: float
) -> float:
    errors = []
    for tick in range(int(0.5 / step_s), len(commands), round(0.1 / step_s)):
        target_by_arm = frames[min(int(tick * step_s * CAMERA_HZ), len(frames) - 1)]
        for name, target in target_by_arm.items():
            if target.upper is not None and target.forearm is not None:
                made = robot.points(commands[tick].q, name)
                errors += [angle_deg(made.upper, target.upper), angle_deg(made.forearm, target.forearm)]
    return float(np.median(errors)) if errors else math.nan


def _follow_exactly(robot: Robot, frames: Sequence[dict[str, ArmTarget]], start: FloatArray) -> FloatArray:
    """Return the joints (T, n) whose bones point where each frame says, without a filter and limits of speed."""
    solver = LeastSquaresSolver(robot, replace(TaskConfig(), gain_hz=1.0))
    q, found = start, []
    for frame in frames:
        for _ in range(60):
            bounds = VelocityBounds(np.maximum(robot.lower - q, -0.5), np.minimum(robot.upper - q, 0.5))
            step = solver.step(q, np.zeros(len(q)), bounds, still(frame), robot.rest)
            assert step is not None
            q = q + step
        found.append(q)
    return np.stack(found)
