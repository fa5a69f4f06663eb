"""Joints that bring a tool to a pose, or along a path of poses, in the limits of the robot.

Damped least squares (Nakamura and Hanafusa, Inverse kinematic solutions with singularity robustness for robot
manipulator control, Journal of Dynamic Systems, Measurement, and Control 108, 1986), whose damping falls and rises with
the error (Levenberg and Marquardt). What the pose leaves open, the null space of the Jacobian brings to a posture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import Robot, arm_points
from pose_perception.imitation.tasks import rotation_vector

_ITERATIONS = 60
# Errors that end the search, metres and radians.
_NEAR_M, _NEAR_RAD = 1e-5, 1e-4
# Largest change of a joint in an iteration, radians, and how much of the way to the posture it makes.
_STEP_RAD, _POSTURE_SHARE = 0.3, 0.2
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 1e2


class ToolSolution(NamedTuple):
    """Joints that bring a tool near to a pose.

    Attributes:
        q: All joints of the robot, shape (n,), radians; those of other arms as they were.
        position_error_m: Distance of the tool from its goal, metres.
        rotation_error_rad: Angle between them, radians.
    """

    q: FloatArray
    position_error_m: float
    rotation_error_rad: float


def solve_tool(robot: Robot, arm: str, goal: FloatArray, start: FloatArray, posture: FloatArray) -> ToolSolution:
    """Return joints in the limits whose tool is nearest to a pose, by going there from a start.

    Args:
        robot: The robot with n joints.
        arm: Name of the arm.
        goal: Pose of the tool in the base, shape (4, 4), metres.
        start: Joints with shape (n,), radians.
        posture: That is preferred where the pose leaves a choice, shape (n,), radians.
    """
    own = robot.arms[arm].joints
    length = robot.arms[arm].upper_m + robot.arms[arm].forearm_m
    scale = np.array([1 / length] * 3 + [1.0] * 3)
    q = np.clip(start, robot.lower, robot.upper)
    error, jacobian = _linearise(robot, arm, q, goal)
    damping = 1e-4
    for _ in range(_ITERATIONS):
        if np.linalg.norm(error[:3]) < _NEAR_M and np.linalg.norm(error[3:]) < _NEAR_RAD:
            break
        weighted = scale[:, None] * jacobian[:, own]
        # Joints at a limit that the error presses against it do not take part.
        pull = weighted.T @ (scale * error)
        free = ~(((q[own] <= robot.lower[own]) & (pull < 0)) | ((q[own] >= robot.upper[own]) & (pull > 0)))
        active = weighted * free
        inverse = active.T @ np.linalg.inv(active @ active.T + damping * np.eye(6))
        comfort = _POSTURE_SHARE * (posture - q)[own] * free
        step = inverse @ (scale * error) + comfort - inverse @ (active @ comfort)
        step *= min(1.0, _STEP_RAD / max(float(np.abs(step).max()), 1e-12))
        candidate = q.copy()
        candidate[own] = np.clip(q[own] + step, robot.lower[own], robot.upper[own])
        next_error, next_jacobian = _linearise(robot, arm, candidate, goal)
        if np.linalg.norm(scale * next_error) < np.linalg.norm(scale * error):
            q, error, jacobian = candidate, next_error, next_jacobian
            damping = max(damping / 10, _LEAST_DAMPING)
        else:
            damping *= 10
            if damping > _MOST_DAMPING:
                break
    return ToolSolution(q, float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:])))


def _linearise(robot: Robot, arm: str, q: FloatArray, goal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the way to the goal, metres and radians, shape (6,), and its Jacobian with shape (6, n)."""
    kinematics = robot.kinematics
    bodies = kinematics.bodies(q)
    axes = kinematics.axes(bodies)
    tool, body = arm_points(robot.arms[arm], bodies).tool, robot.arms[arm].tool.body
    jacobian = np.vstack([kinematics.point_jacobian(axes, body, tool[:3, 3]), kinematics.turn_jacobian(axes, body)])
    return np.concatenate([goal[:3, 3] - tool[:3, 3], rotation_vector(goal[:3, :3] @ tool[:3, :3].T)]), jacobian
