"""Tests for nodes/simulated_camera.py: the node in its own process, read as perception reads it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from pose_perception.msg import SkeletonArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo

from pose_perception.datatypes import KeypointState
from pose_perception.errors import ConfigurationError
from pose_perception.nodes.simulated_camera import SimulatedCameraNode
from pose_perception.ros import conversions
from pose_perception.ros.counters import Counters
from pose_perception.ros.frames import FrameBuilder, RgbdMessages
from pose_perception.ros.rgbd import RgbdConfig, RgbdSubscriber
from pose_perception.ros.topics import TopicMonitor
from pose_perception.ros.transforms import TransformInput
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

if TYPE_CHECKING:
    from conftest import Ros

CONFIG = SequenceConfig(duration_s=1.0)


@pytest.fixture(scope="module")
def sequence() -> SimulatedSequence:
    return load_or_render(CONFIG)


@pytest.fixture
def process(sequence: SimulatedSequence, tmp_path: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "pose_perception.nodes.simulated_camera", "--ros-args"]
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(
            [*command, "-p", f"duration_s:={CONFIG.duration_s}"], stdout=log, stderr=log, cwd=tmp_path
        )
    yield started
    started.kill()
    started.wait()


def test_no_image_is_lost_and_each_has_its_truth(
    ros: Ros, sequence: SimulatedSequence, process: subprocess.Popen, tmp_path: Path
) -> None:
    node = ros.add(Node("reader"))
    counters = Counters(node.get_logger())
    images: list[RgbdMessages] = []
    truths: list[SkeletonArray] = []
    RgbdSubscriber(node, RgbdConfig(), counters, TopicMonitor(), images.append)
    node.create_subscription(SkeletonArray, "/simulated_camera/ground_truth", truths.append, 10)
    # Discovery may connect one topic later than another.
    assert ros.spin_until(lambda: images and truths, timeout_s=60)
    images.clear()
    truths.clear()
    # More than two passes, so that the loop is in it.
    count = 2 * len(sequence) + 5
    assert ros.spin_until(lambda: len(images) >= count and len(truths) >= count, timeout_s=60)
    # Discovery may connect the topics after the first images, and the truth of the last one may be on its way.
    images = images[5:-1]
    stamps = [conversions.stamp_ns(item.color.header) for item in images]
    period_ns = round(1e9 / sequence.rate_hz)
    assert not (np.diff(stamps) % period_ns).any()
    by_stamp = {conversions.stamp_ns(truth.header): truth for truth in truths}
    # A node that is late leaves frames out; what it published must have arrived.
    published = sorted(stamp for stamp in by_stamp if stamps[0] <= stamp <= stamps[-1])
    assert stamps == published
    for item, stamp in zip(images, stamps, strict=True):
        _check_moment(item, by_stamp[stamp], sequence)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def _check_moment(images: RgbdMessages, truth: SkeletonArray, sequence: SimulatedSequence) -> None:
    """Colour, depth and truth are those of one frame of the sequence."""
    people = conversions.skeletons_from_message(truth)
    positions = np.stack([person.positions for person in people])
    index = int(np.argmin(np.abs(sequence.positions - positions).sum(axis=(1, 2, 3))))
    np.testing.assert_array_equal(positions, sequence.positions[index])
    np.testing.assert_array_equal(conversions.color_from_message(images.color), sequence.color[index])
    depth = conversions.depth_from_message(images.depth)
    np.testing.assert_allclose(depth, sequence.depth_mm[index] * np.float32(1e-3))
    assert conversions.camera_from_info(images.color_info) == sequence.camera
    assert truth.header == images.color.header == images.depth.header
    measured = np.stack([person.states == KeypointState.MEASURED for person in people])
    np.testing.assert_array_equal(measured, sequence.visible[index])


def test_clock_that_steps_back_does_not_stop_the_camera(ros: Ros, sequence: SimulatedSequence) -> None:
    reader = ros.add(Node("reader"))
    stamps: list[int] = []
    collect = lambda message: stamps.append(conversions.stamp_ns(message.header))  # noqa: E731
    reader.create_subscription(CameraInfo, "color/camera_info", collect, 5)
    clock = reader.create_publisher(ClockMessage, "/clock", 1)
    overrides = [Parameter("duration_s", value=CONFIG.duration_s), Parameter("use_sim_time", value=True)]
    ros.add(SimulatedCameraNode(parameter_overrides=overrides))
    period_ns = round(1e9 / sequence.rate_hz)

    def publishes_from(start_ns: int) -> bool:
        stamps.clear()
        for now_ns in range(start_ns, start_ns + 100 * period_ns, period_ns):
            clock.publish(ClockMessage(clock=conversions.header_message(now_ns, "").stamp))
            ros.spin_for(0.05)
            if sum(start_ns <= stamp <= now_ns for stamp in stamps) > 5:
                return True
        return False

    assert publishes_from(1000 * 10**9)
    assert publishes_from(10 * 10**9)


def test_depth_of_another_view_comes_with_its_calibration_and_its_place(ros: Ros) -> None:
    config = SequenceConfig(people=1, duration_s=0.4, rate_hz=5.0, depth_view="separate", camera_motion="hand_held")
    sequence = load_or_render(config)
    pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    node = ros.add(Node("reader"))
    images: list[RgbdMessages] = []
    counters, transforms = Counters(node.get_logger()), TransformInput(node, fixed_frame="world")
    lookups = {"lookup": transforms.extrinsics, "fixed_from_camera": transforms.fixed_from_camera}
    builder = FrameBuilder(counters, node.get_logger(), **lookups)
    RgbdSubscriber(node, RgbdConfig(), counters, TopicMonitor(), images.append)
    names = ("people", "duration_s", "rate_hz", "depth_view", "camera_motion")
    ros.add(SimulatedCameraNode(parameter_overrides=[Parameter(name, value=getattr(config, name)) for name in names]))
    assert ros.spin_until(lambda: len(images) > 4, timeout_s=30)
    ros.spin_for(0.1)
    messages = images[-1]
    assert messages.depth_info is not None
    assert conversions.camera_from_info(messages.depth_info) == sequence.depth_camera
    frame = builder.build(messages)
    assert frame.depth is not None
    assert np.isfinite(frame.depth).mean() > 0.5
    index = int(np.argmin([np.abs(frame.color.astype(int) - color).mean() for color in sequence.color]))
    assert frame.fixed_from_camera is not None
    np.testing.assert_allclose(frame.fixed_from_camera, sequence.fixed_from_camera[index], atol=1e-5)


def test_shipped_parameters_are_the_defaults() -> None:
    path = Path(__file__).parents[2] / "config" / "simulated_camera.yaml"
    shipped = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    default = SequenceConfig()
    assert {name: getattr(default, name) for name in shipped} == shipped


def test_bad_parameter_is_a_clear_error(ros: Ros) -> None:
    with pytest.raises(ConfigurationError, match="people"):
        SimulatedCameraNode(parameter_overrides=[Parameter("people", value=0)])
