"""Tests for imitation/demonstration_bag.py: bags as a recorder writes them, made and read without ROS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap_ros2.writer import Writer

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration_bag import BagTopics, read_bag
from pose_perception.imitation.robot import Robot, load_robot

_HEADER = """std_msgs/Header header
{fields}
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
{more}"""
_LINE = "================================================================================\n"
DEFINITIONS = {
    "sensor_msgs/msg/JointState": _HEADER.format(
        fields="string[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort", more=""
    ),
    "trajectory_msgs/msg/JointTrajectory": _HEADER.format(
        fields="string[] joint_names\ntrajectory_msgs/JointTrajectoryPoint[] points",
        more=_LINE
        + "MSG: trajectory_msgs/JointTrajectoryPoint\nfloat64[] positions\nfloat64[] velocities\n"
        + "float64[] accelerations\nfloat64[] effort\nbuiltin_interfaces/Duration time_from_start\n"
        + _LINE
        + "MSG: builtin_interfaces/Duration\nint32 sec\nuint32 nanosec\n",
    ),
    "geometry_msgs/msg/PoseStamped": _HEADER.format(
        fields="geometry_msgs/Pose pose",
        more=_LINE
        + "MSG: geometry_msgs/Pose\ngeometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n"
        + _LINE
        + "MSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n"
        + _LINE
        + "MSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n",
    ),
    "std_msgs/msg/Float64MultiArray": "float64[] data\n",
    "pose_perception/msg/SkeletonArray": _HEADER.format(
        fields="string topology\nstring[] keypoint_names\npose_perception/Skeleton[] skeletons",
        more=_LINE
        + "MSG: pose_perception/Skeleton\nstring id\npose_perception/Keypoint[] keypoints\n"
        + _LINE
        + "MSG: pose_perception/Keypoint\ngeometry_msgs/Point position\n"
        + _LINE
        + "MSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n",
    ),
}
COUNT, RATE = 60, 50


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("panda")


def _header(time_s: float, frame: str = "panda_link0") -> dict[str, object]:
    return {"stamp": {"sec": int(time_s), "nanosec": round(time_s % 1 * 1e9)}, "frame_id": frame}


@pytest.fixture
def bag(robot: Robot, tmp_path: Path) -> Path:
    """Return a bag in which arm and gripper publish apart, commands begin late and the object is lost."""
    path = tmp_path / "bag.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        schemas = {name: writer.register_msgdef(name, text) for name, text in DEFINITIONS.items()}

        def write(topic: str, kind: str, time_s: float, message: dict[str, object]) -> None:
            at = round((time_s + 0.004) * 1e9)
            writer.write_message(topic=topic, schema=schemas[kind], message=message, log_time=at, publish_time=at)

        for i in range(COUNT):
            t = 100 + i / RATE
            state = "sensor_msgs/msg/JointState"
            q = (robot.rest + 0.001 * i).tolist()
            message = {"header": _header(t), "velocity": [], "effort": []}
            # Other joints and another order do not matter.
            names, values = ["other", *reversed(robot.joints)], [9.0, *reversed(q)]
            write("/joint_states", state, t, {**message, "name": names, "position": values})
            finger = {**message, "header": _header(t), "name": ["panda_finger_joint1"], "position": [0.01]}
            write("/joint_states", state, t, finger)
            if i >= 10:
                point = {"positions": q, "velocities": [], "accelerations": [], "effort": []}
                point["time_from_start"] = {"sec": 0, "nanosec": 0}
                trajectory = {"header": _header(t), "joint_names": list(robot.joints), "points": [point]}
                write("/commands", "trajectory_msgs/msg/JointTrajectory", t, trajectory)
                write("/numbers", "std_msgs/msg/Float64MultiArray", t - 0.004, {"data": q})
            if i < 30:
                pose = {"position": {"x": 0.5, "y": 0.1, "z": 0.2}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}}
                write("/cup", "geometry_msgs/msg/PoseStamped", t, {"header": _header(t), "pose": pose})
                away = {"header": _header(t, "camera"), "pose": pose}
                write("/cup_in_camera", "geometry_msgs/msg/PoseStamped", t, away)
            people = [{"id": "p1", "keypoints": [{"position": {"x": 1.0, "y": float(i), "z": 2.0}}]}]
            people += [{"id": "p2", "keypoints": [{"position": {"x": 5.0, "y": 5.0, "z": 5.0}}]}] * (i % 2)
            array = {"header": _header(t), "topology": "one", "keypoint_names": ["nose"], "skeletons": people}
            write("/skeletons", "pose_perception/msg/SkeletonArray", t, array)
        writer.finish()
    return path


@pytest.mark.parametrize("commands", ["/commands", "/numbers"])
def test_bags_become_demonstrations(bag: Path, robot: Robot, commands: str) -> None:
    demo = read_bag(bag, robot, BagTopics("/joint_states", commands, "/skeletons", {"cup": "/cup"}))
    # Until the first command there is none.
    assert len(demo) == COUNT - 10
    np.testing.assert_allclose(demo.times_s, 100 + np.arange(10, COUNT) / RATE, atol=1e-6)
    np.testing.assert_allclose(demo.q, robot.rest + 0.001 * np.arange(10, COUNT)[:, None])
    np.testing.assert_allclose(demo.commands, demo.q, atol=1.1e-3)
    np.testing.assert_allclose(demo.openings["single"][1:], 0.25)
    # The cup is known for 0.2 s after it was seen last.
    seen = np.isfinite(demo.objects["cup"][:, 0, 0])
    assert seen.sum() == pytest.approx(20 + 10, abs=1)
    np.testing.assert_allclose(demo.objects["cup"][0, :3, 3], [0.5, 0.1, 0.2])
    np.testing.assert_allclose(demo.keypoints["nose"][:, 1], np.arange(10, COUNT))


def test_joint_states_alone_are_enough(bag: Path, robot: Robot) -> None:
    demo = read_bag(bag, robot, BagTopics())
    assert len(demo) == COUNT
    assert demo.commands is None


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (BagTopics("/states"), "no topic /states .* choices: /joint_states"),
        (BagTopics(commands="/cup"), "no topic /cup with type"),
        (BagTopics(objects={"cup": "/cup_in_camera"}), "is in frame 'camera', not 'panda_link0'"),
    ],
)
def test_bags_that_do_not_fit_are_refused(bag: Path, robot: Robot, topics: BagTopics, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_bag(bag, robot, topics)


def test_another_robot_and_a_cut_bag_are_refused(bag: Path, robot: Robot) -> None:
    with pytest.raises(InvalidInputError, match="never has the joints shoulder_pan_joint"):
        read_bag(bag, load_robot("ur5"), BagTopics())
    content = bag.read_bytes()
    bag.write_bytes(content[: len(content) // 3])
    with pytest.raises(InvalidInputError):
        read_bag(bag, robot, BagTopics())
