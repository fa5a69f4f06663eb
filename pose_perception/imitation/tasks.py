"""What the target of an arm asks of the velocities of elbow, wrist and tool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.imitation.kinematics import Axes
from pose_perception.imitation.robot import Arm, Robot, arm_points
from pose_perception.imitation.target_filter import MovingTarget


@dataclass(frozen=True)
class TaskConfig(Config):
    """What tasks are worth.

    Costs multiply errors in radians, or in lengths of the arm, so that large and small robots are alike.
    """

    elbow_cost: float = option(
        0.5, "Cost of the elbow's distance from its target, in lengths of the arm.", minimum=0.0, maximum=100.0
    )
    wrist_cost: float = option(
        1.0, "Cost of the wrist's distance from its target, in lengths of the arm.", minimum=0.0, maximum=100.0
    )
    tool_cost: float = option(
        0.3, "Cost of the tool's rotation from its target, in radians.", minimum=0.0, maximum=100.0
    )
    gain_hz: float = option(10.0, "Part of an error that is corrected in a second.", minimum=0.1, maximum=100.0)
    slowing_m_s2: float = option(
        2.5, "Deceleration with which points arrive at their targets, in m/s².", minimum=0.1, maximum=100.0
    )
    slowing_rad_s2: float = option(
        8.0, "Deceleration with which tools arrive at their targets, in rad/s².", minimum=0.1, maximum=100.0
    )


def arm_tasks(
    robot: Robot, arm: Arm, bodies: FloatArray, axes: Axes, moving: MovingTarget, config: TaskConfig
) -> tuple[FloatArray, FloatArray]:
    """Return the tasks of an arm: velocities of points and tools that are wanted, times their costs.

    Args:
        robot: The robot with n joints.
        arm: Its arm.
        bodies: Where it is, as `Kinematics.bodies` returns it.
        axes: Of its joints.
        moving: Target of the arm.
        config: Costs.

    Returns:
        The Jacobian with shape (m, n) and the velocities with shape (m,).
    """
    kinematics = robot.kinematics
    points, target = arm_points(arm, bodies), moving.target
    length = arm.upper_m + arm.forearm_m
    jacobians, wanted = [np.zeros((0, len(robot.joints)))], [np.zeros(0)]

    def add(jacobian: FloatArray, velocity: FloatArray, cost: float) -> None:
        jacobians.append(cost * jacobian)
        wanted.append(cost * velocity)

    def draw(error: FloatArray) -> FloatArray:
        return toward(error, config.gain_hz, config.slowing_m_s2)

    at_wrist = kinematics.point_jacobian(axes, arm.wrist.body, points.wrist)
    if target.wrist is not None:
        error = target.wrist - points.wrist
        add(at_wrist, draw(error) + moving.wrist_rate, config.wrist_cost / length)
    elif target.upper is not None:
        # Bones, not points: where the shoulder is does not count, which moves a little in many robots.
        at_shoulder = kinematics.point_jacobian(axes, arm.shoulder.body, points.shoulder)
        at_elbow = kinematics.point_jacobian(axes, arm.elbow.body, points.elbow)
        bone, rate = arm.upper_m * target.upper, arm.upper_m * moving.upper_rate
        error = bone - (points.elbow - points.shoulder)
        add(at_elbow - at_shoulder, draw(error) + rate, config.elbow_cost / length)
        if target.forearm is not None:
            bone, rate = bone + arm.forearm_m * target.forearm, rate + arm.forearm_m * moving.forearm_rate
            error = bone - (points.wrist - points.shoulder)
            add(at_wrist - at_shoulder, draw(error) + rate, config.wrist_cost / length)
    if target.tool is not None:
        error = rotation_vector(target.tool @ points.tool[:3, :3].T)
        turn = toward(error, config.gain_hz, config.slowing_rad_s2)
        add(kinematics.turn_jacobian(axes, arm.tool.body), turn, config.tool_cost)
    return np.concatenate(jacobians), np.concatenate(wanted)


def normal_equations(
    robot: Robot,
    bodies: FloatArray,
    axes: Axes,
    targets: Mapping[str, MovingTarget],
    config: TaskConfig,
    priors: Sequence[tuple[float, FloatArray]],
) -> tuple[FloatArray, FloatArray]:
    """Return H with shape (n, n) and g with shape (n,) of the velocities v that cost 1/2 v'Hv - g'v.

    Args:
        robot: The robot with n joints.
        bodies: Where it is, as `Kinematics.bodies` returns it.
        axes: Of its joints.
        targets: By name of the arm.
        config: Costs of the tasks.
        priors: Costs of the distance from velocities with shape (n,), rad/s, and these velocities.
    """
    hessian = np.diag(np.full(len(robot.joints), sum(cost**2 for cost, _ in priors)))
    wish = np.sum([cost**2 * velocity for cost, velocity in priors], axis=0)
    for name, target in targets.items():
        jacobian, wanted = arm_tasks(robot, robot.arms[name], bodies, axes, target, config)
        hessian += jacobian.T @ jacobian
        wish += jacobian.T @ wanted
    return hessian, wish


def rotation_vector(rotation: FloatArray) -> FloatArray:
    """Return the axis times the angle, shape (3,), radians, of a rotation with shape (3, 3)."""
    twice = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = np.linalg.norm(twice) / 2, (np.trace(rotation) - 1) / 2
    angle = float(np.arctan2(sine, cosine))
    if sine > 1e-6:
        return twice * (angle / (2 * sine))
    if cosine > 0:
        return twice / 2
    # Half a turn: the columns of R + 1 lie along the axis.
    column = (rotation + np.eye(3))[:, int(np.argmax(np.diag(rotation)))]
    return angle * column / np.linalg.norm(column)


def toward(error: FloatArray, gain_hz: float, slowing: float) -> FloatArray:
    """Return the velocity that closes an error (3,): in proportion to it, but so that it can stop in time.

    Args:
        error: The way to go, metres or radians.
        gain_hz: Part of it that is closed in a second.
        slowing: Deceleration, per square second.
    """
    size = float(np.linalg.norm(error))
    return error * min(gain_hz, math.sqrt(2 * slowing / max(size, 1e-9)))
