"""Tests for imitation/robot.py and imitation/robot_config.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import (
    description_path,
    load_config,
    parse_config,
    robot_names,
    robots_folder,
)
from pose_perception.imitation.urdf import parse_urdf


def _content(name: str) -> dict[str, Any]:
    return yaml.safe_load((robots_folder() / f"{name}.yaml").read_text())


def _panda(**changes: Any) -> Robot:
    content = _content("panda")
    content["arms"]["single"].update(changes)
    urdf = parse_urdf(description_path(content["urdf"]).read_text())
    return Robot(parse_config("panda", content), urdf)


@pytest.mark.parametrize("name", robot_names())
def test_every_robot_fits_its_description(name: str) -> None:
    robot = load_robot(name)
    urdf = robot.kinematics.urdf
    for joint, low, high, speed in zip(robot.joints, robot.lower, robot.upper, robot.velocity, strict=True):
        described = urdf.joints_by_name[joint]
        assert described.lower <= low < high <= described.upper
        assert 0 < speed <= described.velocity or described.velocity == 0
    assert np.all((robot.rest >= robot.lower) & (robot.rest <= robot.upper))
    for arm in robot.arms.values():
        points = robot.points(robot.rest, arm.name)
        np.testing.assert_allclose(np.linalg.norm(points.elbow - points.shoulder), arm.upper_m)


def test_two_arms_are_mirror_images() -> None:
    for name in ("g1", "baxter", "tiago_pro", "tiago_dual"):
        robot = load_robot(name)
        left, right = robot.points(robot.rest, "left"), robot.points(robot.rest, "right")
        for a, b in zip(left[:3], right[:3], strict=True):
            np.testing.assert_allclose(a, b * [1, -1, 1], atol=0.02, err_msg=name)


def test_a_wrong_name_lists_the_robots() -> None:
    with pytest.raises(ConfigurationError, match="baxter, g1, kinova, panda"):
        load_robot("nao")


def test_a_robot_can_be_described_by_the_text_of_robot_description() -> None:
    text = description_path(load_config("ur5").urdf).read_text()
    np.testing.assert_array_equal(load_robot("ur5", text).upper, load_robot("ur5").upper)
    with pytest.raises(ConfigurationError, match=r"no frame 'base_link'|no moving joint"):
        load_robot("ur5", description_path(load_config("panda").urdf).read_text())


def test_the_tighter_limit_counts() -> None:
    robot = _panda(lower=[-1, None, -9, None, None, None, None], velocity=[0.5, 9, 9, 9, 9, 9, 9])
    assert robot.lower[0] == -1
    assert robot.lower[2] == pytest.approx(-2.8973)
    assert robot.velocity[0] == 0.5
    assert robot.velocity[1] == pytest.approx(2.175)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tool": "hand"}, "no frame 'hand'; it has panda_link0"),
        ({"elbow": "panda_link4a"}, "no frame 'panda_link4a'"),
        ({"elbow": ["panda_link4", 1]}, r"must be a frame or \[frame, x, y, z\]"),
        ({"elbow": "panda_link2"}, "are no bones"),
        ({"joints": ["panda_joint8"] * 7}, "different names"),
        ({"joints": [f"panda_joint{i}" for i in range(2, 9)]}, "no moving joint 'panda_joint8'"),
        ({"rest": [0] * 6}, "must be 7 numbers, got 6"),
        ({"rest": 0.0}, r"panda_joint4.* rests at 0.000"),
        ({"velocity": -1}, "must be positive"),
        ({"acceleration": "fast"}, "finite numbers, got 'fast'"),
        ({"gripper": {"joint": "panda_finger", "open": 1, "closed": 0}}, "no moving joint 'panda_finger'"),
        ({"speed": 1}, r"unknown .*speed"),
    ],
)
def test_a_wrong_configuration_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _panda(**changes)


def test_a_missing_key_is_told() -> None:
    content = _content("panda")
    del content["arms"]["single"]["wrist"]
    with pytest.raises(ConfigurationError, match=r"lacks \['wrist'\]"):
        parse_config("panda", content)
    with pytest.raises(ConfigurationError, match="left and right, or single"):
        parse_config("panda", {**_content("panda"), "arms": {"middle": {}}})


def test_another_mounting_turns_the_torso() -> None:
    robot = load_robot("panda", base_from_torso_deg=(-90, 0, 0))
    np.testing.assert_allclose(robot.base_from_torso @ [0, -1, 0], [0, 0, 1], atol=1e-12)


def test_a_description_that_does_not_exist_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"has no nao/nao.urdf; it has a1_description"):
        description_path("nao/nao.urdf")
