"""Tests for nodes/rgbd_player.py: the real process, watched through real topics."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python.packages import get_package_prefix
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose_perception.ros.recorder import BagWriter

_PROFILE = Path(__file__).parents[2] / "config" / "fastdds_shared_memory.xml"
_ALIVE_S = 30.0
# With room for what comes while a busy machine lets this process wait.
_RELIABLE = QoSProfile(depth=100)
# As a camera's subscriber.
_BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
_DOMAINS = itertools.count(os.getpid())
_TOPICS = {
    "color/image": Image,
    "color/image/compressed": CompressedImage,
    "depth/image": Image,
    "color/camera_info": CameraInfo,
    "/diagnostics": DiagnosticArray,
}


class Player:
    """The node in its own process, and what it published."""

    def __init__(self, log: Path, domain: int, qos: QoSProfile, parameters: dict[str, object]) -> None:
        self.received: dict[str, list] = {topic: [] for topic in _TOPICS}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("listener", context=self._context)
        for topic, kind in _TOPICS.items():
            self._node.create_subscription(kind, topic, self.received[topic].append, qos)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        options = {"wait_for_subscribers": 1, "start_delay_s": 0.5, **parameters}
        arguments = [text for name, value in options.items() for text in ("-p", f"{name}:={_yaml(value)}")]
        self._log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, _program(), "--ros-args", *arguments],
                env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
                stderr=stream,
            )

    @property
    def log(self) -> str:
        """What the node wrote to stderr."""
        return self._log.read_text()

    def spin_until(self, done: Callable[[], bool]) -> None:
        """Receive until something is true; the limit is there to end a test that failed."""
        end = time.monotonic() + _ALIVE_S
        while not done():
            assert time.monotonic() < end, f"nothing came of it; the node says:\n{self.log}"
            self._executor.spin_once(timeout_sec=0.05)

    def spin_to_the_end(self) -> int:
        """Receive until the process has ended; return its exit code."""
        self.spin_until(lambda: self.process.poll() is not None)
        count = -1
        while count < (count := sum(map(len, self.received.values()))):
            for _ in range(20):
                self._executor.spin_once(timeout_sec=0.01)
        return self.process.returncode

    def stamps(self, topic: str) -> list[int]:
        """Return the stamps received on a topic in nanoseconds."""
        return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in self.received[topic]]

    def diagnosis(self) -> dict[str, str]:
        """Return the values of the last diagnostics."""
        return {pair.key: pair.value for pair in self.received["/diagnostics"][-1].status[0].values}

    def close(self) -> None:
        """End the process, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def _program() -> str:
    return str(Path(get_package_prefix("pose_perception")) / "lib" / "pose_perception" / "rgbd_player")


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Player]]:
    """Start a player with some parameters; it is ended after the test."""
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(_PROFILE))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    players = []

    def start(qos: QoSProfile = _RELIABLE, **parameters: object) -> Player:
        # Domains above 101 collide with the ports that Linux gives to clients.
        players.append(Player(tmp_path / "log", 1 + next(_DOMAINS) % 100, qos, parameters))
        return players[-1]

    yield start
    for player in players:
        player.close()


def write_folder(path: Path, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Write pairs of noise; colour and depth of pair n begin with n in the first pixel."""
    generator = np.random.default_rng(1)
    width, height = size
    for kind in ("color", "depth"):
        (path / kind).mkdir(parents=True)
    for index in range(count):
        color = generator.integers(0, 255, (height, width, 3), np.uint8)
        depth = generator.integers(500, 5000, (height, width), np.uint16)
        color[0, 0], depth[0, 0] = index, index
        cv2.imwrite(str(path / "color" / f"{index:05d}.png"), color, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        cv2.imwrite(str(path / "depth" / f"{index:05d}.png"), depth, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    camera = {"width": width, "height": height, "fx": 60.0, "fy": 61.0, "cx": 31.5, "cy": 23.5}
    (path / "camera.json").write_text(json.dumps(camera))
    return path


def test_a_folder_is_played_once_with_matching_stamps_and_the_node_ends(play: Callable, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", 20)
    before_ns = time.time_ns()
    player = play(folder=folder, loop=False, rate_hz=50.0)
    assert player.spin_to_the_end() == 0
    color, depth = player.received["color/image"], player.received["depth/image"]
    assert [message.data[0] for message in color] == list(range(20))
    assert [message.data[0] for message in depth] == list(range(20))
    assert (color[0].encoding, depth[0].encoding) == ("rgb8", "16UC1")
    stamps = player.stamps("color/image")
    assert stamps == player.stamps("depth/image") == player.stamps("color/camera_info")
    assert before_ns < stamps[0]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    np.testing.assert_allclose(np.mean(np.diff(stamps)), 20e6, rtol=0.3)
    expected = cv2.cvtColor(cv2.imread(str(folder / "color" / "00003.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(np.array(color[3].data).reshape(expected.shape), expected)
    assert player.received["color/camera_info"][0].k[4] == 61.0
    assert player.diagnosis() == {"published": "20", "skipped": "0"}


def test_no_image_is_lost_at_camera_size_and_rate(play: Callable, tmp_path: Path) -> None:
    player = play(_BEST_EFFORT, folder=write_folder(tmp_path / "f", 45, (640, 480)), loop=False, rate_hz=15.0)
    assert player.spin_to_the_end() == 0
    assert [message.data[0] for message in player.received["color/image"]] == list(range(45))
    assert len(player.received["depth/image"]) == len(player.received["color/camera_info"]) == 45


def test_what_does_not_fit_into_memory_is_played_all_the_same(play: Callable, tmp_path: Path) -> None:
    player = play(folder=write_folder(tmp_path / "f", 12, (640, 480)), rate_hz=30.0, memory_mb=3)
    player.spin_until(lambda: len(player.received["color/image"]) >= 30)
    assert [message.data[0] for message in player.received["color/image"]][:30] == [n % 12 for n in range(30)]


def test_unusable_files_are_skipped_and_counted_and_the_node_lives(play: Callable, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", 8)
    half = folder / "color" / "00002.png"
    half.write_bytes(half.read_bytes()[:300])
    (folder / "depth" / "00005.png").unlink()
    cv2.imwrite(str(folder / "color" / "00006.png"), np.zeros((20, 30, 3), np.uint8))
    player = play(folder=folder, loop=False, rate_hz=30.0)
    assert player.spin_to_the_end() == 0
    assert [message.data[0] for message in player.received["color/image"]] == [0, 1, 3, 4, 7]
    assert player.diagnosis() == {"published": "5", "skipped": "3"}
    assert "00005.png has no partner" in player.log


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: {"folder": write_folder(path / "f", 0)}, "no pair of images"),
        (lambda path: {"folder": path / "absent"}, "there is no folder"),
        (lambda path: {"bag": path / "absent.mcap"}, "there is no bag"),
        (lambda path: {}, "set one of the parameters folder and bag"),
        (lambda path: {"folder": "a", "rate_hz": "fast"}, "rate_hz"),
    ],
)
def test_nothing_to_play_is_a_clear_error(play: Callable, tmp_path: Path, prepare: Callable, message: str) -> None:
    player = play(**prepare(tmp_path))
    assert player.spin_to_the_end() == 1
    assert message in player.log
    assert "Traceback" not in player.log


def test_a_folder_with_only_damaged_files_is_an_error(play: Callable, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", 2)
    for path in (folder / "color").iterdir():
        path.write_bytes(b"\x89PNG")
    player = play(folder=folder, loop=True)
    assert player.spin_to_the_end() == 1
    assert "nothing could be played" in player.log


def test_a_player_that_waits_says_which_subscribers_it_waits_for(play: Callable, tmp_path: Path) -> None:
    player = play(folder=write_folder(tmp_path / "f", 3), wait_for_subscribers=2)
    player.spin_until(lambda: "waiting for subscribers" in player.log)
    assert "color/image (1 of 2)" in player.log
    assert "depth/image (" not in player.log
    assert not player.received["color/image"]


def test_an_interrupt_ends_a_loop(play: Callable, tmp_path: Path) -> None:
    player = play(folder=write_folder(tmp_path / "f", 3), rate_hz=30.0)
    player.spin_until(lambda: len(player.received["color/image"]) > 6)
    player.process.send_signal(signal.SIGINT)
    assert player.spin_to_the_end() == 0
    assert "Traceback" not in player.log


def write_bag(
    path: Path, count: int, compressed: bool = False, depth_offset_ms: int = 0, depth_late_ms: int = 5
) -> Path:
    """Write a bag with stamps from 100 s on, one image in 40 ms; depth is recorded later than colour."""
    with BagWriter(path) as writer:
        for index in range(count):
            header = Header(stamp=Time(sec=100 + index // 25, nanosec=index % 25 * 40_000_000), frame_id="camera")
            color = Image(header=header, height=2, width=2, encoding="rgb8", step=6, data=bytes([index % 200] * 12))
            depth_stamp = Time(sec=100 + index // 25, nanosec=(index % 25 * 40 + depth_offset_ms) * 1_000_000)
            depth = Image(
                header=Header(stamp=depth_stamp, frame_id="camera"),
                height=2,
                width=2,
                encoding="16UC1",
                step=4,
                data=bytes([index % 200, 0] * 4),
            )
            small = CompressedImage(header=header, format="jpeg", data=bytes([index % 200]))
            time_ns = 5_000_000_000 + index * 40_000_000
            writer.write("/cam/rgb", small if compressed else color, time_ns)
            writer.write("/cam/camera_info", CameraInfo(header=header, width=2, height=2), time_ns)
            writer.write("/cam/depth", depth, time_ns + depth_late_ms * 1_000_000)
    return path


def test_a_bag_is_played_with_new_stamps_that_pairs_share(play: Callable, tmp_path: Path) -> None:
    player = play(bag=write_bag(tmp_path / "a.mcap", 10), speed=2.0)
    topics = ("color/image", "depth/image", "color/camera_info")
    player.spin_until(lambda: all(len(player.received[topic]) >= 25 for topic in topics))
    stamps = player.stamps("color/image")[:25]
    assert stamps == player.stamps("depth/image")[:25] == player.stamps("color/camera_info")[:25]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    assert abs(stamps[-1] - time.time_ns()) < 10e9
    # 40 ms at twice the speed, at the seam of the loop too.
    np.testing.assert_allclose((stamps[-1] - stamps[0]) / 24, 20e6, rtol=0.3)
    assert [message.data[0] for message in player.received["color/image"]][:25] == [n % 10 for n in range(25)]


def test_depth_stays_as_far_from_colour_as_recorded(play: Callable, tmp_path: Path) -> None:
    player = play(bag=write_bag(tmp_path / "a.mcap", 10, depth_offset_ms=2, depth_late_ms=30))
    player.spin_until(lambda: len(player.received["depth/image"]) >= 25)
    color, depth = player.stamps("color/image")[:25], player.stamps("depth/image")[:25]
    assert [later - earlier for earlier, later in zip(color, depth, strict=True)] == [2_000_000] * 25
    assert all(later > earlier for earlier, later in itertools.pairwise(color))


def test_a_bag_can_keep_its_stamps(play: Callable, tmp_path: Path) -> None:
    player = play(bag=write_bag(tmp_path / "a.mcap", 5), stamps="original", loop=False)
    assert player.spin_to_the_end() == 0
    assert player.stamps("color/image") == [100 * 10**9 + n * 40_000_000 for n in range(5)]
    assert player.received["depth/image"][4].data[0] == 4


def test_compressed_colour_is_played_as_compressed(play: Callable, tmp_path: Path) -> None:
    player = play(bag=write_bag(tmp_path / "a.mcap", 4, compressed=True), loop=False)
    assert player.spin_to_the_end() == 0
    assert [message.data[0] for message in player.received["color/image/compressed"]] == [0, 1, 2, 3]
    assert len(player.received["depth/image"]) == 4


def test_a_bag_that_was_cut_off_is_played_up_to_there(play: Callable, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "a.mcap", 4000)
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])
    player = play(bag=bag, speed=100.0, loop=False)
    assert player.spin_to_the_end() == 0
    assert int(player.diagnosis()["published"]) > 0
    assert "cut off" in player.log
