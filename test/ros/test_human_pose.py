"""Tests for nodes/human_pose.py: the real pipeline over real topics."""

from __future__ import annotations

import gc
import itertools
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from pose_perception.msg import SkeletonArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from visualization_msgs.msg import MarkerArray

from pose_perception.datatypes import CameraIntrinsics, KeypointState, RgbdFrame, Skeleton
from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.human.joint_angles import JOINTS, joint_angles
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import BODY_33, COCO_17
from pose_perception.nodes.human_pose import HumanPoseNode
from pose_perception.ros.conversions import (
    matrix_from_pose,
    matrix_from_transform,
    skeletons_from_message,
    stamp_ns,
)
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

if TYPE_CHECKING:
    from conftest import Camera, Ros

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    try:
        HumanPipeline(HumanConfig(device="cpu"))
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def people() -> SimulatedSequence:
    return load_or_render(SequenceConfig(duration_s=1.0))


class Watched:
    """A started node, and what it published."""

    def __init__(self, ros: Ros, *, start: bool = True, **parameters: Any) -> None:
        values = {"device": "cpu", **{name.replace("__", "."): value for name, value in parameters.items()}}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node: HumanPoseNode = ros.add(HumanPoseNode(parameter_overrides=overrides))
        self.arrays: list[SkeletonArray] = []
        self.statuses: list[DiagnosticStatus] = []
        self._ros = ros
        watcher = ros.add(Node("watcher"))
        watcher.create_subscription(SkeletonArray, "/human_pose/skeletons", self.arrays.append, 10)
        watcher.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._diagnosed_ns = 0
        if start:
            self.node.start()

    def answers(self, camera: Camera, **changes: Any) -> SkeletonArray:
        """Send one moment and return what the node publishes about it."""
        stamp = camera.send(**changes)
        assert self._ros.spin_until(lambda: self.arrays and stamp_ns(self.arrays[-1].header) == stamp)
        return self.arrays[-1]

    def next_status(self) -> DiagnosticStatus:
        """Wait for a diagnosis that is made from now on."""
        now_ns = self.node.get_clock().now().nanoseconds
        assert self._ros.spin_until(lambda: self._diagnosed_ns > now_ns)
        return self.statuses[-1]

    def counts(self) -> dict[str, int]:
        """What the next diagnosis counts."""
        values = {pair.key: pair.value for pair in self.next_status().values}
        return {key.removeprefix("count: "): int(value) for key, value in values.items() if key.startswith("count: ")}

    def wait_for_count(self, reason: str, count: int) -> None:
        """Wait until the thread that works on images has counted something so often."""
        counts = self.node._perception.counters.counts
        assert self._ros.spin_until(lambda: counts().get(reason, 0) >= count), counts()

    def finish(self, camera: Camera) -> None:
        """Wait for what comes after the last result: images are worked on one after the other, unusable ones too."""
        camera.send(color=np.zeros((60, 80, 3), np.uint8))
        self.wait_for_count("sizes do not match", 1)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self._diagnosed_ns = stamp_ns(array.header)
        self.statuses.append(array.status[0])


def test_simulated_people_get_metric_skeletons(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    watched = Watched(ros)
    camera.intrinsics = people.camera
    camera.wait_for_subscriber()
    start_ns = camera.now_ns()
    for i in range(len(people)):
        stamp = start_ns + round(i * 1e9 / people.rate_hz)
        array = watched.answers(camera, stamp_ns=stamp, color=people.color[i], depth=people.depth_mm[i])
    assert array.header.frame_id == "camera"
    skeletons = skeletons_from_message(array)
    assert len(skeletons) == 2
    for skeleton in skeletons:
        assert _median_error_m(skeleton, array.keypoint_names, people, -1) < 0.1
        missing = skeleton.states == KeypointState.MISSING
        assert np.isnan(skeleton.positions[missing]).all()
        assert (np.linalg.norm(skeleton.positions[~missing], axis=1) > 0.5).all()
    ids = [{skeleton.id for skeleton in message.skeletons} for message in watched.arrays[-5:]]
    assert all(names == ids[0] for names in ids)
    values = {pair.key: pair.value for pair in watched.next_status().values}
    assert values["people"] == "2"
    assert float(values["latency p95 [ms]"]) > 0


def test_another_estimator_names_its_keypoints(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    watched = Watched(ros, estimator="movenet-multipose")
    camera.intrinsics = people.camera
    camera.wait_for_subscriber()
    for i in range(5):
        array = watched.answers(camera, color=people.color[i], depth=people.depth_mm[i])
    assert (array.topology, tuple(array.keypoint_names)) == (COCO_17.name, COCO_17.keypoints)
    skeletons = skeletons_from_message(array)
    assert len(skeletons) == 2
    for skeleton in skeletons:
        assert _median_error_m(skeleton, array.keypoint_names, people, 4) < 0.1


def test_estimator_gets_its_own_parameters(ros: Ros, tmp_path: Path) -> None:
    watched = Watched(ros, start=False, estimator="onnx")
    assert watched.node.trigger_configure() == FAILURE  # it has no public network
    names = ("estimation.network_file", "estimation.decoding", "estimation.grouping")
    assert [watched.node.get_parameter(name).value for name in names] == ["", "auto", "fast"]
    assert "simcc" in watched.node.describe_parameter("estimation.decoding").additional_constraints
    assert watched.node.set_parameters([Parameter("estimation.network_file", value=str(tmp_path / "no.onnx"))])
    assert watched.node.trigger_configure() == FAILURE
    assert watched.node.set_parameters([Parameter("estimator", value="movenet-lightning")])[0].successful
    assert watched.node.trigger_configure() == FAILURE  # it would ignore the file
    assert watched.node.set_parameters([Parameter("estimation.network_file", value="")])[0].successful
    assert watched.node.trigger_configure() == SUCCESS


def _median_error_m(skeleton: Skeleton, names: list[str], people: SimulatedSequence, index: int) -> float:
    """Distance of the measured joints to the person who fits best, metres."""
    shared = [name for name in people.keypoint_names if name in names]
    found = skeleton.positions[[names.index(name) for name in shared]]
    states = skeleton.states[[names.index(name) for name in shared]]
    true = people.positions[index][:, [people.keypoint_names.index(name) for name in shared]]
    errors = np.linalg.norm(found - true, axis=2)[:, states == KeypointState.MEASURED]
    return float(np.median(errors, axis=1).min())


def test_empty_view_is_published_as_nobody(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    array = watched.answers(camera)
    assert array.skeletons == []
    assert "left_wrist" in array.keypoint_names
    assert watched.next_status().level == DiagnosticStatus.OK


GOOD_DEPTH = np.full((120, 160), 2000, np.uint16)
JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"color": Image(height=120, width=160, encoding="yuv422", step=320)}, "colour image unusable"),
        ({"color": np.zeros((60, 80, 3), np.uint8)}, "sizes do not match"),
        ({"depth": np.zeros((60, 80), np.uint16) + np.uint16(900)}, "depth not registered"),
        ({"depth": np.zeros_like(GOOD_DEPTH)}, "depth image unusable"),
        ({"depth": np.full((120, 160), np.nan, np.float32)}, "depth image unusable"),
        ({"color_info": CameraInfo(width=160, height=120)}, "colour camera_info unusable"),
    ],
    ids=["encoding", "colour size", "depth size", "zero depth", "nan depth", "intrinsics"],
)
def test_bad_input_is_counted_and_the_next_image_works(
    ros: Ros, camera: Camera, bad: dict[str, Any], reason: str
) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    watched.answers(camera)
    for count in (1, 2, 3):
        camera.send(**bad)
        watched.wait_for_count(reason, count)
    assert watched.counts()[reason] == 3
    assert len(watched.arrays) == 1
    watched.answers(camera)
    assert len(watched.arrays) == 2


def test_half_written_image_is_counted_and_the_next_image_works(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros, input__compressed=True)
    camera.wait_for_subscriber("compressed", "depth", "color_info")
    camera.send(color=None, compressed=CompressedImage(format="jpeg", data=JPEG[: len(JPEG) // 2]))
    watched.wait_for_count("colour image unusable", 1)
    assert watched.counts()["colour image unusable"] == 1
    watched.answers(camera, color=None, compressed=CompressedImage(format="jpeg", data=JPEG))


def test_stamps_may_repeat_and_go_back(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    now = camera.now_ns()
    watched.answers(camera, stamp_ns=now)
    camera.send(now)
    ros.spin_for(0.2)
    assert len(watched.arrays) == 1
    watched.answers(camera, stamp_ns=now - 5_000_000_000)
    counts = watched.counts()
    assert counts["stamp repeated"] == 2
    assert counts["stamp jumped back"] == 2


def test_camera_may_pause_and_return(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    watched.answers(camera)
    assert ros.spin_until(lambda: watched.statuses and watched.statuses[-1].level == DiagnosticStatus.STALE)
    # Either of the two may be the first.
    assert ros.spin_until(lambda: "/depth/image" in watched.statuses[-1].message)
    assert "/color/image" in watched.statuses[-1].message
    ros.spin_for(2.0)
    watched.answers(camera)
    assert watched.next_status().level == DiagnosticStatus.OK


def test_topic_that_never_comes_is_named(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    camera.send(depth=None)
    monitor = watched.node._perception._subscriber._monitor
    assert ros.spin_until(lambda: "/color/image" not in monitor.missing())
    status = watched.next_status()
    assert status.level == DiagnosticStatus.ERROR
    assert "/depth/image" in status.message
    assert "/color/image" not in status.message
    assert watched.arrays == []


def test_colour_alone_measures_nothing(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    watched = Watched(ros, input__use_depth=False)
    camera.intrinsics = people.camera
    camera.wait_for_subscriber("color", "color_info")
    for i in range(4):
        array = watched.answers(camera, color=people.color[i], depth=None)
    (first, _) = skeletons_from_message(array)
    assert np.isfinite(first.pixels).any()
    assert not (first.states == KeypointState.MEASURED).any()
    assert (first.states == KeypointState.INFERRED).any()
    across_m, along_m = np.sqrt(np.nanmedian(np.diagonal(first.covariances, axis1=1, axis2=2), axis=0))[[0, 2]]
    assert along_m > 2 * across_m  # nobody knows how large this person is


def test_overlay_and_markers_only_while_somebody_listens(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    watched = Watched(ros)
    camera.intrinsics = people.camera
    camera.wait_for_subscriber()
    watched.answers(camera, color=people.color[0], depth=people.depth_mm[0])
    watched.finish(camera)
    listener = ros.add(Node("rviz"))
    pictures: list[Image] = []
    markers: list[MarkerArray] = []
    listener.create_subscription(Image, "/human_pose/overlay", pictures.append, 10)
    listener.create_subscription(MarkerArray, "/human_pose/markers", markers.append, 10)
    publisher_names = ("/human_pose/overlay", "/human_pose/markers")
    assert ros.spin_until(lambda: all(watched.node.count_subscribers(name) for name in publisher_names))
    ros.spin_for(0.3)
    assert pictures == []
    array = watched.answers(camera, color=people.color[1], depth=people.depth_mm[1])
    assert ros.spin_until(lambda: pictures and markers)
    assert pictures[0].header == array.header
    assert (np.asarray(pictures[0].data) != people.color[1].ravel()).any()
    assert len(markers[0].markers) > 1


def test_torsos_become_tf_frames(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    watched = Watched(ros, publish_tf=True, tf_prefix="left/body_")
    camera.intrinsics = people.camera
    camera.wait_for_subscriber()
    transforms: list[TransformStamped] = []
    listener = ros.add(Node("listener"))
    listener.create_subscription(tf2_msgs.TFMessage, "/tf", lambda tf: transforms.extend(tf.transforms), 10)
    assert ros.spin_until(lambda: listener.count_publishers("/tf"))
    for i in range(4):
        array = watched.answers(camera, color=people.color[i], depth=people.depth_mm[i])
    torsos = {f"left/body_{skeleton.id}": skeleton for skeleton in array.skeletons if skeleton.torso_valid}
    assert torsos
    assert ros.spin_until(lambda: transforms and transforms[-1].header == array.header)
    latest = {transform.child_frame_id: transform for transform in transforms}
    assert latest.keys() == torsos.keys()
    for name, skeleton in torsos.items():
        expected = matrix_from_pose(skeleton.torso)
        np.testing.assert_allclose(matrix_from_transform(latest[name]), expected, atol=1e-9)


def test_people_are_bodies_of_rep_155(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    """Joint states, and where TF is there frames of limbs, say the same as the skeletons."""
    watched = Watched(ros, rep155=True)
    camera.intrinsics = people.camera
    camera.wait_for_subscriber()
    listener = ros.add(Node("listener"))
    states: dict[str, JointState] = {}
    frames: dict[str, TransformStamped] = {}
    has_tf = find_spec("tf2_msgs") is not None
    if has_tf:
        from tf2_msgs.msg import TFMessage

        remember = lambda tf: frames.update((frame.child_frame_id, frame) for frame in tf.transforms)  # noqa: E731
        listener.create_subscription(TFMessage, "/tf", remember, 10)
        assert ros.spin_until(lambda: listener.count_publishers("/tf"))
    for i in range(12):
        array = watched.answers(camera, color=people.color[i], depth=people.depth_mm[i])
        for skeleton in array.skeletons:
            topic = f"/humans/bodies/{skeleton.id}/joint_states"
            if topic not in states:
                states[topic] = JointState()
                listener.create_subscription(JointState, topic, partial(states.__setitem__, topic), 10)
    assert len(states) == 2
    stamp = array.header.stamp
    last: Callable[[Any], bool] = lambda message: message is not None and message.header.stamp == stamp  # noqa: E731
    assert ros.spin_until(lambda: all(map(last, states.values())))
    if has_tf:
        assert ros.spin_until(lambda: all(last(frames.get(f"body_{skeleton.id}")) for skeleton in array.skeletons))
    for skeleton in skeletons_from_message(array):
        positions, torso = skeleton.positions, skeleton.camera_from_torso
        head = None if skeleton.head is None else skeleton.head.camera_from_head
        expected = joint_angles(positions, BODY_33, torso, head)
        state = states[f"/humans/bodies/{skeleton.id}/joint_states"]
        told = dict(zip(state.name, state.position, strict=True))
        known = {f"{name}_{skeleton.id}": angle for name, angle in zip(JOINTS, expected, strict=True) if angle == angle}
        assert told == pytest.approx(known, abs=1e-6)
        assert len(known) >= 8
        if has_tf:
            _check_frames(frames, skeleton)


def _check_frames(frames: dict[str, TransformStamped], skeleton: Skeleton) -> None:
    """The frames of one person lie in the joints."""
    body = frames[f"body_{skeleton.id}"]
    assert body.header.frame_id == "camera"
    np.testing.assert_allclose(matrix_from_transform(body), skeleton.camera_from_torso, atol=1e-6)
    checked = 0
    for side in ("left", "right"):
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            frame = frames.get(f"{side[0]}_{part}_{skeleton.id}")
            if frame is not None and frame.header.stamp == body.header.stamp:
                assert frame.header.frame_id == f"body_{skeleton.id}"
                place = (matrix_from_transform(body) @ matrix_from_transform(frame))[:3, 3]
                np.testing.assert_allclose(place, skeleton.positions[BODY_33.index[f"{side}_{part}"]], atol=1e-6)
                checked += 1
    assert checked >= 4


def test_transitions_can_be_asked_for_and_repeated(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros, autostart=False)
    assert watched.node.count_subscribers("/color/image") == 0
    client = ros.add(Node("manager")).create_client(ChangeState, "/human_pose/change_state")
    assert ros.spin_until(client.service_is_ready)

    def change(transition: int) -> bool:
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        assert ros.spin_until(future.done, timeout_s=30)
        return future.result().success

    assert not change(Transition.TRANSITION_ACTIVATE)  # not configured yet: refused, and the node lives on
    for _ in range(2):
        assert change(Transition.TRANSITION_CONFIGURE)
        assert change(Transition.TRANSITION_ACTIVATE)
        assert not change(Transition.TRANSITION_ACTIVATE)
        assert not change(99)
        camera.wait_for_subscriber()
        watched.answers(camera)
        assert change(Transition.TRANSITION_DEACTIVATE)
        assert watched.node.count_subscribers("/color/image") == 0
        assert change(Transition.TRANSITION_CLEANUP)
    assert change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_networks_go_with_a_cleanup_and_not_with_a_later_collection_of_garbage(ros: Ros, camera: Camera) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    watched.answers(camera)
    pipeline = weakref.ref(watched.node._pipeline)
    gc.disable()
    try:
        watched.node.trigger_deactivate()
        watched.node.trigger_cleanup()
        assert ros.spin_until(lambda: pipeline() is None)
    finally:
        gc.enable()


def test_people_from_before_a_pause_are_not_continued(ros: Ros, camera: Camera, people: SimulatedSequence) -> None:
    watched = Watched(ros)
    camera.intrinsics = people.camera
    ids = []
    for _ in range(2):
        camera.wait_for_subscriber()
        for i in range(4):
            array = watched.answers(camera, color=people.color[i], depth=people.depth_mm[i])
        ids.append({skeleton.id for skeleton in array.skeletons})
        assert watched.node.trigger_deactivate() == SUCCESS
        assert watched.node.trigger_activate() == SUCCESS
    assert ids[0]
    assert ids[1]
    assert not ids[0] & ids[1]


def test_frame_that_outlasts_a_deactivation_is_not_published_and_blocks_the_next_activation(
    ros: Ros, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    begun, go_on = threading.Event(), threading.Event()
    process = HumanPipeline.process

    def slow_process(pipeline: HumanPipeline, frame: RgbdFrame) -> list[Skeleton]:
        begun.set()
        assert go_on.wait(30)
        return process(pipeline, frame)

    with monkeypatch.context() as patch:
        # The node took its `process` when it was activated.
        patch.setattr(HumanPipeline, "process", slow_process)
        patch.setattr("pose_perception.nodes.human_pose._WAIT_S", 0.1)
        assert watched.node.trigger_deactivate() == SUCCESS
        assert watched.node.trigger_activate() == SUCCESS
        camera.wait_for_subscriber()
        late = camera.send()
        assert ros.spin_until(begun.is_set)
        assert watched.node.trigger_deactivate() == SUCCESS
        assert watched.node.trigger_activate() == FAILURE
        go_on.set()
    assert watched.node.trigger_activate() == SUCCESS
    camera.wait_for_subscriber()
    watched.answers(camera)
    assert late not in [stamp_ns(array.header) for array in watched.arrays]


def test_bad_parameter_fails_the_configuration_and_can_be_corrected(ros: Ros) -> None:
    watched = Watched(ros, start=False, detect_every=0)
    with pytest.raises(ConfigurationError):
        watched.node.start()
    assert watched.node.set_parameters([Parameter("detect_every", value=3)])[0].successful
    assert watched.node.trigger_configure() == SUCCESS
    assert not watched.node.set_parameters([Parameter("detect_every", value=4)])[0].successful
    assert watched.node.trigger_cleanup() == SUCCESS
    assert watched.node.set_parameters([Parameter("estimator", value="unheard of")])[0].successful
    assert watched.node.trigger_configure() == FAILURE


def test_activation_that_fails_leaves_the_node_inactive(ros: Ros) -> None:
    parameter = "qos_overrides./color/image.subscription.reliability"
    watched = Watched(ros, start=False, **{parameter: "sometimes"})
    assert watched.node.trigger_configure() == SUCCESS
    assert watched.node.trigger_activate() == FAILURE
    assert watched.node.count_publishers("/diagnostics") == 0
    assert watched.node.trigger_cleanup() == SUCCESS


def test_shipped_parameters_are_the_defaults(ros: Ros) -> None:
    path = Path(__file__).parents[2] / "config" / "human_pose.yaml"
    shipped = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    node = ros.add(HumanPoseNode())
    assert {name: node.get_parameter(name).value for name in shipped} == shipped


class Process:
    """The node as a process, under a name that no other test uses."""

    _numbers = itertools.count()

    def __init__(self, log: Path) -> None:
        self.name = f"human_pose_{next(self._numbers)}"
        self._log = log
        command = [sys.executable, "-m", "pose_perception.nodes.human_pose", "--ros-args", "-p", "device:=cpu"]
        with log.open("w") as stream:
            self.popen = subprocess.Popen(
                [*command, "-r", f"__node:={self.name}"], stdout=stream, stderr=stream, cwd=log.parent
            )

    def check_end(self, number: int) -> None:
        """Send a signal; the process must end by itself and quietly."""
        self.popen.send_signal(number)
        code, log = self.popen.wait(20), self._log.read_text()
        assert (code, "Traceback" in log, "Error" in log) == (0, False, False), log


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path / "log")
    yield started
    started.popen.kill()
    started.popen.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_working_process(ros: Ros, camera: Camera, process: Process, number: int) -> None:
    arrays: list[SkeletonArray] = []
    watcher = ros.add(Node("watcher"))
    watcher.create_subscription(SkeletonArray, f"/{process.name}/skeletons", arrays.append, 10)
    assert ros.spin_until(lambda: camera.send() and ros.spin_for(0.05) is None and arrays, timeout_s=60)
    camera.send()
    process.check_end(number)


def test_signal_ends_a_process_that_still_loads(ros: Ros, process: Process) -> None:
    watcher = ros.add(Node("watcher"))
    assert ros.spin_until(lambda: process.name in watcher.get_node_names(), timeout_s=60)
    process.check_end(signal.SIGINT)


def test_two_nodes_work_side_by_side(ros: Ros, camera: Camera) -> None:
    first = Watched(ros)
    second = ros.add(HumanPoseNode(namespace="other", parameter_overrides=[Parameter("device", value="cpu")]))
    second.start()
    others: list[SkeletonArray] = []
    ros.add(Node("listener")).create_subscription(SkeletonArray, "/other/human_pose/skeletons", others.append, 10)
    other_camera = type(camera)(ros, CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5), namespace="other")
    camera.wait_for_subscriber()
    other_camera.wait_for_subscriber()
    first.answers(camera)
    other_camera.send()
    assert ros.spin_until(lambda: others)
    assert len(first.arrays) == 1
