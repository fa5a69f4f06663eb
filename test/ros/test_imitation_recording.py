"""Tests for ros/imitation_recording.py and ros/bag_thread.py: sessions are recorded, and read as a user does."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from pose_perception.msg import ImitationStatus
from rclpy.node import Node
from sensor_msgs.msg import Image

from pose_perception.cli import main
from pose_perception.imitation.demonstration_csv import read_csv
from pose_perception.imitation.demonstration_lerobot import read_lerobot
from pose_perception.recording.bag import BagRecording
from pose_perception.ros import conversions
from pose_perception.ros.bag_thread import FAILED

if TYPE_CHECKING:
    from conftest import Ros

_SPEC = importlib.util.spec_from_file_location("imitation_world", Path(__file__).with_name("imitation_world.py"))
imitation_world = sys.modules["imitation_world"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(imitation_world)
World = imitation_world.World

OBJECT = Pose(position=Point(x=0.5, y=0.1, z=0.2), orientation=Quaternion(w=1.0))


class Surroundings:
    """A cup whose pose is known, and a camera."""

    def __init__(self, ros: Ros) -> None:
        self._node = ros.add(Node("surroundings"))
        self._cup = self._node.create_publisher(PoseStamped, "cup", 10)
        self._image = self._node.create_publisher(Image, "image", 10)
        self._node.create_timer(0.05, self._tell)

    def _tell(self) -> None:
        header = conversions.header_message(self._node.get_clock().now().nanoseconds, "panda_link0")
        self._cup.publish(PoseStamped(header=header, pose=OBJECT))
        self._image.publish(conversions.color_message(np.full((48, 64, 3), 7, np.uint8), header))


def recorded(folder: Path) -> Path:
    """The only bag in a folder."""
    (path,) = folder.glob("*.mcap")
    return path


def options(bag: Path, *words: object) -> list[str]:
    """Arguments of `demonstration` for a bag of the node."""
    topics = ["--commands", "/imitation/joint_trajectory", "--skeletons", "/skeletons", "--object-topic", "cup=/cup"]
    return [str(bag), "--robot", "panda", *topics, *map(str, words)]


def test_recorded_session_becomes_a_table_and_a_dataset_with_the_same_rows(ros: Ros, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "bags"
    world = World(ros, recording__directory=str(folder), recording__topics="cup image not_there")
    Surroundings(ros)
    answer = world.call("record", True)
    assert (answer.success, str(folder) in answer.message) == (True, True)
    assert not world.call("record", True).success
    world.start()
    assert world.statuses[-1].recording == str(recorded(folder))
    count = len(world.trajectories)
    assert ros.spin_until(lambda: len(world.trajectories) > count + 200, 60.0)
    assert world.call("enable", False).success
    world.wait_for(ImitationStatus.DISABLED, 1.0)
    world.wait_for_rest()
    ros.spin_for(0.2)
    answer = world.call("record", False)
    assert answer.success, answer.message
    assert ros.spin_until(lambda: world.statuses[-1].recording == "")
    assert not world.call("record", False).success

    bag = BagRecording(recorded(folder))
    own = {f"/imitation/{name}" for name in ("joint_trajectory", "preview", "status", "markers", "deadman")}
    assert bag.types.keys() == own | {"/skeletons", "/joint_states", "/cup", "/image"}
    written = [message for topic, _, message in bag.decoded(["/imitation/joint_trajectory"])]
    assert len(written) == len(world.trajectories)
    for ours, theirs in zip(written, world.trajectories, strict=True):
        assert list(ours.points[0].positions) == list(theirs.points[0].positions)
    assert bag.first_messages(["/image"])["/image"].width == 64

    assert main(["demonstration", "check", *options(bag.path)]) == 0
    assert main(["demonstration", "convert", *options(bag.path), "--to", "csv", "--out", str(tmp_path / "a.csv")]) == 0
    dataset = ["--to", "lerobot", "--out", str(tmp_path / "set"), "--fps", "30"]
    assert main(["demonstration", "convert", *options(bag.path), *dataset]) == 0
    resampled = ["--to", "csv", "--fps", "30", "--out", str(tmp_path / "b.csv")]
    assert main(["demonstration", "convert", *options(bag.path), *resampled]) == 0
    table, even = read_csv(tmp_path / "a.csv"), read_csv(tmp_path / "b.csv")
    assert np.isfinite(table.objects["cup"][:, 0, 0]).mean() > 0.9
    np.testing.assert_allclose(table.objects["cup"][-1, :3, 3], [0.5, 0.1, 0.2])
    assert np.isfinite(table.keypoints["right_wrist"]).all(axis=1).mean() > 0.9
    assert np.abs(table.commands - table.q).max() < 0.1
    assert np.abs(table.q - table.q[0]).max() > 0.02
    (episode,) = read_lerobot(tmp_path / "set")
    assert episode.joints == even.joints
    np.testing.assert_allclose(episode.q, even.q, atol=1e-6)
    np.testing.assert_allclose(episode.commands, even.commands, atol=1e-6)


def test_folder_that_is_none_is_refused_and_the_robot_goes_on(ros: Ros, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world = World(ros, recording__directory=str(tmp_path / "file"))
    world.start()
    answer = world.call("record", True)
    assert (answer.success, "recording.directory" in answer.message) == (False, True)
    world.wait_for_count(FAILED)
    assert world.state == ImitationStatus.ACTIVE


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may become longer than 40 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_ends_the_recording_and_not_the_motion(ros: Ros, tmp_path: Path, full_disk: None) -> None:
    world = World(ros, recording__directory=str(tmp_path))
    assert world.call("record", True).success
    world.start()
    assert ros.spin_until(lambda: world.count(FAILED), 60.0)
    assert ros.spin_until(lambda: world.statuses[-1].recording == "")
    assert world.state == ImitationStatus.ACTIVE
    answer = world.call("record", False)
    assert (answer.success, "File too large" in answer.message) == (False, True)
    assert world.state == ImitationStatus.ACTIVE


def test_killed_node_leaves_a_bag_that_is_a_demonstration(ros: Ros, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pose_perception.nodes.imitation", "--ros-args", "-p", "output:=joint_trajectory"]
    values = ["-p", "supervisor.ramp:=0.2", "-p", f"recording.directory:={tmp_path}"]
    with (tmp_path / "log").open("w") as stream:
        started = subprocess.Popen([*command, *values], stdout=stream, stderr=stream, cwd=tmp_path)
    try:
        world = World(ros, own_node=False)
        assert ros.spin_until(lambda: world.statuses, 60)
        assert world.call("record", True).success
        world.start()
        count = len(world.trajectories)
        assert ros.spin_until(lambda: len(world.trajectories) > count + 200, 60.0)
    finally:
        started.kill()
        started.wait()
    table = tmp_path / "table.csv"
    words = ["--robot", "panda", "--commands", "/imitation/joint_trajectory", "--to", "csv", "--out", str(table)]
    assert main(["demonstration", "convert", str(recorded(tmp_path)), *words]) == 0
    # What is lost is less than a second.
    assert read_csv(table).duration_s > 1.0
