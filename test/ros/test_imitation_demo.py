"""Tests for ros/imitation_demo.py: the operator of the demo, with a person whose skeletons need no network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from pose_perception.msg import SkeletonArray
from rclpy.node import Node
from rclpy.parameter import Parameter

from pose_perception.evaluation.imitation_stream import imitation_table
from pose_perception.human.topology import COCO_17
from pose_perception.imitation.robot import load_robot
from pose_perception.nodes.imitation import ImitationNode
from pose_perception.nodes.simulated_robot import SimulatedRobotNode
from pose_perception.ros import conversions
from pose_perception.ros.imitation_demo import (
    PARAMETERS,
    REMAPPINGS,
    ROBOT_PARAMETERS,
    ROBOT_REMAPPINGS,
    ImitationDemo,
)

if TYPE_CHECKING:
    from conftest import Ros

_SPEC = importlib.util.spec_from_file_location("imitation_world", Path(__file__).with_name("imitation_world.py"))
imitation_world = sys.modules["imitation_world"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(imitation_world)
operators = imitation_world.operators


class Perception:
    """Publishes the skeletons of a person who stands for postures of a robot, and shows them to the operator."""

    def __init__(self, ros: Ros, robot: str, demo: ImitationDemo) -> None:
        self._demo, self._robot = demo, load_robot(robot)
        self._session = operators.Session(self._robot, operators.swaying(self._robot, 0.15, 0.1))
        self._node = ros.add(Node("perception"))
        self._publisher = self._node.create_publisher(SkeletonArray, "human_pose/skeletons", 10)
        self._picture = np.full((120, 160, 3), 90, np.uint8)
        self._node.create_timer(0.1, self._look)

    def _look(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        people = [self._session.person(now_ns * 1e-9)]
        self._publisher.publish(
            conversions.skeleton_array_message(people, COCO_17, conversions.header_message(now_ns, "camera"))
        )
        self._demo.show(self._picture, people, COCO_17.keypoints)


def remapped(names: dict[str, str]) -> dict[str, Any]:
    """Options of a node whose topics have other names."""
    words = [word for name, new in names.items() for word in ("-r", f"{name}:={new}")]
    return {"cli_args": ["--ros-args", *words], "use_global_arguments": False}


def parameters(values: dict[str, object], robot: str) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in {**values, "robot": robot}.items()]


@pytest.mark.parametrize("robot", ["g1", "panda"])
def test_robot_follows_is_measured_and_filmed(ros: Ros, tmp_path: Path, robot: str) -> None:
    recorded: list[str] = []
    film = tmp_path / "film.mp4"
    demo = ros.add(ImitationDemo(robot, film, lambda topic, message: recorded.append(topic)))
    imitation = ros.add(ImitationNode(parameter_overrides=parameters(PARAMETERS, robot), **remapped(REMAPPINGS)))
    ros.add(SimulatedRobotNode(parameter_overrides=parameters(ROBOT_PARAMETERS, robot), **remapped(ROBOT_REMAPPINGS)))
    imitation.start()
    Perception(ros, robot, demo)
    assert ros.spin_until(lambda: demo.has_followed, 40.0)
    ros.spin_until(lambda: demo.statistics.summary().states_s.get("active", 0.0) > 4.0, 40.0)
    demo.close()
    summary = demo.statistics.summary()
    assert summary.states_s["active"] > 4.0
    assert summary.beyond_limits == 0
    assert summary.bone_angle_deg[0] < 20.0
    assert summary.joint_error_rad[0] < 0.1
    assert {title for title, _ in imitation_table(summary)} > {"robot", "wrists of the robot", "events"}
    assert set(recorded) >= {"/imitation/status", "/imitation/preview", "/imitation/joint_trajectory"}
    assert "/simulated_robot/joint_states" in recorded
    reader = cv2.VideoCapture(str(film))
    frames = []
    while (found := reader.read())[0]:
        frames.append(found[1])
    assert len(frames) > 20
    assert frames[0].shape == (480, 640 + 480, 3)
    # The robot moves in the film.
    assert np.abs(frames[-1][:, 640:].astype(int) - frames[0][:, 640:]).max() > 100
