"""Tests for imitation/kinematics.py and imitation/urdf.py: against Pinocchio and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.kinematics import Kinematics
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import description_path, robot_names
from pose_perception.imitation.urdf import parse_urdf, rotation_from_rpy

ROBOTS = robot_names()
ARM = """<robot name="arm"><link name="base"/><link name="upper"/><link name="hand"/>
<joint name="a" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
<limit lower="-1" upper="2" velocity="3"/></joint>
<joint name="b" type="fixed"><parent link="upper"/><child link="hand"/><origin xyz="1 0 0" rpy="0 0 1.5707963"/></joint>
</robot>"""


def _inside(robot: Robot, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(np.maximum(robot.lower, -3), np.minimum(robot.upper, 3))


@pytest.mark.parametrize("name", ROBOTS)
def test_frames_are_where_pinocchio_says(name: str) -> None:
    pinocchio = pytest.importorskip("pinocchio")
    robot = load_robot(name)
    model = pinocchio.buildModelFromUrdf(str(description_path(robot.config.urdf)))
    data = model.createData()
    neutral = pinocchio.neutral(model)
    # Locked joints are at 0 or at the limit next to it, or where the configuration says.
    for joint, urdf_joint in robot.kinematics.urdf.joints_by_name.items():
        if urdf_joint.kind in ("revolute", "prismatic"):
            position = np.clip(0.0, urdf_joint.lower, urdf_joint.upper)
            neutral[model.joints[model.getJointId(joint)].idx_q] = robot.config.locked.get(joint, position)
    for q in (_inside(robot, np.random.default_rng(seed)) for seed in range(5)):
        full = neutral.copy()
        for joint, position in zip(robot.joints, q, strict=True):
            item = model.joints[model.getJointId(joint)]
            values = [position] if item.nq == 1 else [np.cos(position), np.sin(position)]
            full[item.idx_q : item.idx_q + item.nq] = values
        pinocchio.framesForwardKinematics(model, data, full)

        def pose(link: str) -> np.ndarray:
            return data.oMf[model.getFrameId(link)].homogeneous

        root_from_base = pose(robot.config.base)
        bodies = robot.kinematics.bodies(q)
        for arm in robot.arms.values():
            for link in (arm.config.tool, arm.config.shoulder.frame, arm.config.elbow.frame, arm.config.wrist.frame):
                point = robot.kinematics.locate(link)
                expected = np.linalg.inv(root_from_base) @ pose(link)
                np.testing.assert_allclose(bodies[point.body] @ point.pose, expected, atol=1e-9)


@pytest.mark.parametrize("name", ROBOTS)
def test_jacobians_are_the_slopes_of_the_poses(name: str) -> None:
    robot = load_robot(name)
    q, kinematics = _inside(robot, np.random.default_rng(3)), robot.kinematics
    bodies, step = kinematics.bodies(q), 1e-6
    axes = kinematics.axes(bodies)
    shifted = kinematics.bodies(q + step * np.eye(len(q)))
    for arm in robot.arms.values():
        for point in (arm.elbow, arm.wrist, arm.tool):
            position = (bodies[point.body] @ point.pose)[:3, 3]
            slopes = ((shifted[:, point.body] @ point.pose)[:, :3, 3] - position).T / step
            np.testing.assert_allclose(kinematics.point_jacobian(axes, point.body, position), slopes, atol=1e-5)
        turns = (shifted[:, arm.tool.body, :3, :3] @ bodies[arm.tool.body, :3, :3].T - np.eye(3)) / step
        expected = np.stack([turns[:, 2, 1], turns[:, 0, 2], turns[:, 1, 0]])
        np.testing.assert_allclose(kinematics.turn_jacobian(axes, arm.tool.body), expected, atol=1e-5)


def test_many_postures_at_once_are_the_same_as_one_after_the_other() -> None:
    robot = load_robot("g1")
    q = np.random.default_rng(0).uniform(robot.lower, robot.upper, (4, 3, len(robot.joints)))
    bodies = robot.kinematics.bodies(q)
    np.testing.assert_allclose(bodies[2, 1], robot.kinematics.bodies(q[2, 1]), atol=1e-12)


def test_a_description_gives_limits_and_fixed_frames() -> None:
    urdf = parse_urdf(ARM)
    joint = urdf.joints_by_name["a"]
    assert (joint.lower, joint.upper, joint.velocity) == (-1, 2, 3)
    kinematics = Kinematics(urdf, "base", ["a"], {})
    hand = kinematics.locate("hand")
    pose = kinematics.bodies(np.array([np.pi / 2]))[hand.body] @ hand.pose
    np.testing.assert_allclose(pose[:3, 3], [0, 1, 0], atol=1e-7)
    np.testing.assert_allclose(pose[:3, :3], rotation_from_rpy(0, 0, np.pi), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "no XML"),
        ("<mujoco/>", "no URDF"),
        (ARM.replace('"0 0 1"', '"0 0 0"'), "no axis"),
        (ARM.replace('"1 0 0"', '"1 0"'), "three finite numbers"),
        (ARM.replace('"1 0 0"', '"1 0 x"'), "no numbers"),
        (ARM.replace('lower="-1"', 'lower="low"'), "no number"),
        (ARM.replace('<child link="hand"/>', ""), "lacks a parent or a child"),
        (ARM.replace('<child link="hand"/>', '<child link="upper"/>'), "two joints"),
    ],
)
def test_a_wrong_description_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_urdf(text)


def test_what_does_not_exist_is_told_with_what_does() -> None:
    urdf = parse_urdf(ARM)
    with pytest.raises(ConfigurationError, match=r"no moving joint 'c'; it has a"):
        Kinematics(urdf, "base", ["c"], {})
    with pytest.raises(ConfigurationError, match="no frame 'head'; it has base, upper, hand"):
        Kinematics(urdf, "head", ["a"], {})
    with pytest.raises(ConfigurationError, match="moved by a joint that imitates"):
        Kinematics(urdf, "hand", ["a"], {})
