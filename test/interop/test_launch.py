"""Tests for launch/: started by the real launch system, looked at with the real tools of ROS 2."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs a complete ROS 2: run scripts/test")
pytest.importorskip("pose_perception.msg", reason="needs the built package: run scripts/test")

import cv2
import psutil
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from pose_perception.msg import ObjectPoseArray, SkeletonArray
from rclpy.executors import SingleThreadedExecutor
from tf2_ros import Buffer, TransformListener
from vision_msgs.msg import Detection3DArray

from pose_perception.simulation.sequence import SequenceConfig, load_or_render

_START_S, _TOOL_S, _END_S = 90.0, 30.0, 5.0
# As the verb `ros2 launch` does it.
_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
service = LaunchService(argv=sys.argv[2:])
arguments = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
source = AnyLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""
_TOOL = "import sys; from ros2cli.cli import main; sys.exit(main())"


class Launched:
    """A launch file at work, in a process group like that of a terminal."""

    def __init__(self, log: Path, file: str, arguments: dict[str, object]) -> None:
        path = Path(get_package_share_directory("pose_perception")) / "launch" / file
        words = [f"{name}:={value}" for name, value in arguments.items()]
        environment = {name: value for name, value in os.environ.items() if name != "FASTRTPS_DEFAULT_PROFILES_FILE"}
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(path), *words],
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What launch and the nodes wrote."""
        return self._log.read_text(errors="replace")

    def nodes(self) -> dict[str, psutil.Process]:
        """Return the processes of the nodes by program."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return {Path(word).name: child for child in found for word in child.cmdline()[1:2]}

    def interrupt(self) -> list[psutil.Process]:
        """Press Ctrl-C; return the processes that are still there 5 s later."""
        everything = [psutil.Process(self.process.pid), *self.nodes().values()]
        os.killpg(self.process.pid, signal.SIGINT)
        return psutil.wait_procs(everything, timeout=_END_S)[1]

    def close(self) -> None:
        """End what is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Observer:
    """A node of somebody else."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("observer")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def wait_for(self, condition: Callable[[], object], launched: Launched) -> None:
        """Receive until something is true; the limit is there to end a test that failed."""
        end = time.monotonic() + _START_S
        while not condition():
            assert time.monotonic() < end, f"nothing came of it; the log:\n{launched.log}"
            assert launched.process.poll() is None, f"launch has ended; the log:\n{launched.log}"
            self._executor.spin_once(timeout_sec=0.1)

    def is_active(self, name: str) -> bool:
        """Ask a lifecycle node for its state."""
        client = self.node.create_client(GetState, f"{name}/get_state")
        try:
            if not client.wait_for_service(timeout_sec=0.5):
                return False
            future = client.call_async(GetState.Request())
            self._executor.spin_until_future_complete(future, timeout_sec=2.0)
            return future.done() and future.result().current_state.id == State.PRIMARY_STATE_ACTIVE
        finally:
            self.node.destroy_client(client)

    def collect(self, topic: str) -> list[SkeletonArray]:
        """Return a list that fills with the messages of a topic."""
        messages: list[SkeletonArray] = []
        self.node.create_subscription(SkeletonArray, topic, messages.append, 10)
        return messages

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Observer]:
    """A node in a domain of its own."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    node = Observer()
    yield node
    node.close()


@pytest.fixture
def launch(tmp_path: Path, observer: Observer) -> Iterator[Callable[..., Launched]]:
    """Start a launch file with some arguments; it is ended after the test."""
    started = []

    def start(file: str, **arguments: object) -> Launched:
        started.append(Launched(tmp_path / f"{file}.log", file, arguments))
        return started[-1]

    yield start
    for launched in started:
        launched.close()


@pytest.fixture
def camera(observer: Observer) -> Iterator[str]:
    """A camera that publishes under names of its own; the value is their prefix."""
    program = Path(get_package_prefix("pose_perception")) / "lib" / "pose_perception" / "simulated_camera"
    names = {"color/image": "rgb", "color/camera_info": "rgb_info", "depth/image": "depth"}
    remappings = [word for name, new in names.items() for word in ("-r", f"{name}:=/driver/{new}")]
    process = subprocess.Popen([sys.executable, str(program), "--ros-args", *remappings])
    yield "/driver"
    process.terminate()
    process.wait()


def tool(*words: str) -> str:
    """Run `ros2 <words>` and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", _TOOL, *words], capture_output=True, text=True, timeout=_TOOL_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_end(launched: Launched) -> None:
    """Check that Ctrl-C ends everything, quietly."""
    assert launched.interrupt() == [], launched.log
    assert "Traceback" not in launched.log
    assert "escalating" not in launched.log


def test_human_pose_is_launched_for_a_driver_with_other_topics(
    launch: Callable, camera: str, observer: Observer
) -> None:
    topics = {
        "color_image": f"{camera}/rgb",
        "color_camera_info": f"{camera}/rgb_info",
        "depth_image": f"{camera}/depth",
    }
    launched = launch(
        "human_pose.launch.py", namespace="robot", device="cpu", publish_tf="true", rep155="true", **topics
    )
    buffer = Buffer()
    TransformListener(buffer, observer.node)
    results = observer.collect("/robot/human_pose/skeletons")
    observer.wait_for(lambda: observer.is_active("/robot/human_pose"), launched)
    observer.wait_for(lambda: results and len(results[-1].skeletons) == 2, launched)

    message = results[-1]
    frame = message.header.frame_id
    bodies = [f"body_{skeleton.id}" for skeleton in message.skeletons]
    observer.wait_for(lambda: all(buffer.can_transform(frame, body, rclpy.time.Time()) for body in bodies), launched)
    translation = buffer.lookup_transform(frame, bodies[0], rclpy.time.Time()).transform.translation
    assert 1.0 < translation.z < 4.0
    # The limbs hang on the bodies: with REP-155's outputs the trunk ends between the shoulders.
    trunks = [f"torso_{skeleton.id}" for skeleton in message.skeletons]
    observer.wait_for(lambda: all(buffer.can_transform(frame, trunk, rclpy.time.Time()) for trunk in trunks), launched)
    trunk = buffer.lookup_transform(bodies[0], trunks[0], rclpy.time.Time()).transform.translation
    assert (abs(trunk.x) < 0.05, abs(trunk.y) < 0.15, 0.3 < trunk.z < 0.7) == (True, True, True)

    # With the type given it waits for the topic; without, it gives up when it has not found it within half a second.
    topic = ("/robot/human_pose/skeletons", "pose_perception/msg/SkeletonArray")
    text = tool("topic", "echo", "--no-daemon", "--once", *topic)
    assert "keypoint_names:" in text
    assert "left_shoulder" in text
    environment = launched.nodes()["human_pose"].environ()
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("fastdds_shared_memory.xml")
    check_end(launched)


def test_compressed_colour_of_a_file_of_parameters_gets_the_topic_of_the_argument(
    launch: Callable, observer: Observer, tmp_path: Path
) -> None:
    file = tmp_path / "jpeg.yaml"
    file.write_text("/**: {ros__parameters: {input.compressed: true}}")
    launched = launch("human_pose.launch.py", device="cpu", params_file=file, color_image="/driver/jpeg")
    observer.wait_for(lambda: observer.node.count_subscribers("/driver/jpeg"), launched)
    readers = observer.node.get_subscriptions_info_by_topic("/driver/jpeg")
    assert [reader.topic_type for reader in readers] == ["sensor_msgs/msg/CompressedImage"]


def test_network_that_a_user_brings_is_named_by_an_argument(launch: Callable, tmp_path: Path) -> None:
    file = tmp_path / "none.onnx"
    launched = launch("human_pose.launch.py", device="cpu", estimator="onnx", network_file=file, decoding="simcc")
    launched.process.wait(timeout=_START_S)
    assert f"network_file {file} is not there" in launched.log
    assert "Traceback" not in launched.log


def test_object_pose_is_launched_with_masks_of_somebody(launch: Callable, camera: str, observer: Observer) -> None:
    topics = {
        "color_image": f"{camera}/rgb",
        "color_camera_info": f"{camera}/rgb_info",
        "depth_image": f"{camera}/depth",
        "masks": "/segmentation",
    }
    launched = launch(
        "object_pose.launch.py", namespace="robot", device="cpu", categories="cup,chair", regions="masks", **topics
    )
    results: list[ObjectPoseArray] = []
    observer.node.create_subscription(ObjectPoseArray, "/robot/object_pose/objects", results.append, 10)
    detections: list[Detection3DArray] = []
    observer.node.create_subscription(Detection3DArray, "/robot/object_pose/detections", detections.append, 10)
    observer.wait_for(lambda: observer.is_active("/robot/object_pose"), launched)
    observer.wait_for(lambda: len(results) > 2 and detections, launched)
    assert results[0].header.frame_id == detections[0].header.frame_id
    observer.wait_for(lambda: observer.node.count_subscribers("/segmentation"), launched)
    assert observer.node.count_subscribers("/segmentation") == 1
    environment = launched.nodes()["object_pose"].environ()
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("fastdds_shared_memory.xml")
    check_end(launched)


def test_imitation_is_launched_with_a_simulated_robot(launch: Callable, observer: Observer) -> None:
    launched = launch(
        "imitation.launch.py", robot="baxter", output="joint_trajectory", simulated="true", skeletons="/people"
    )
    observer.wait_for(lambda: observer.is_active("/imitation"), launched)
    observer.wait_for(lambda: "the robot is as robot_description says" in launched.log, launched)
    assert "robot baxter with 14 joints, output joint_trajectory" in launched.log
    counts = observer.node.count_subscribers, observer.node.count_publishers
    expected = {
        "/people": (1, 0),
        "/imitation/deadman": (1, 0),
        "/imitation/joint_trajectory": (1, 1),
        "/imitation/left_gripper/joint_trajectory": (1, 1),
        "/joint_states": (1, 1),
        "/robot_description": (1, 1),
    }
    observer.wait_for(
        lambda: {topic: tuple(count(topic) for count in counts) for topic in expected} == expected, launched
    )
    answer = tool("service", "call", "/imitation/enable", "std_srvs/srv/SetBool", "data: true")
    assert "no person who can be followed is seen" in answer
    check_end(launched)


def test_the_demo_shows_simulated_people(launch: Callable, observer: Observer) -> None:
    launched = launch("demo.launch.py", device="cpu")
    results = observer.collect("/human_pose/skeletons")
    observer.wait_for(lambda: observer.is_active("/human_pose"), launched)
    observer.wait_for(lambda: results and len(results[-1].skeletons) == 2, launched)
    assert launched.nodes().keys() == {"human_pose", "simulated_camera"}
    assert "/human_pose/skeletons" in tool("topic", "list", "--no-daemon", "--spin-time", "5")
    check_end(launched)


def test_the_demo_ends_with_a_recording_that_is_played_once(
    launch: Callable, observer: Observer, tmp_path: Path
) -> None:
    sequence = load_or_render(SequenceConfig())
    folder = tmp_path / "recording"
    for kind in ("color", "depth"):
        (folder / kind).mkdir(parents=True)
    for index in range(15):
        cv2.imwrite(str(folder / "color" / f"{index:05d}.png"), sequence.color[index][:, :, ::-1])
        cv2.imwrite(str(folder / "depth" / f"{index:05d}.png"), sequence.depth_mm[index])
    camera = {name: getattr(sequence.camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "camera.json").write_text(json.dumps(camera))
    estimator = {"estimator": "movenet-multipose", "grouping": "exact"}
    launched = launch("demo.launch.py", device="cpu", folder=folder, loop="false", rate_hz=5, **estimator)
    results = observer.collect("/human_pose/skeletons")
    observer.wait_for(lambda: len(results) >= 5, launched)
    assert results[0].topology == "coco_17"
    assert launched.process.wait(timeout=_START_S) == 0
    assert "Traceback" not in launched.log
