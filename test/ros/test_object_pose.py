"""Tests for nodes/object_pose.py: the real pipeline over real topics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from pose_perception.msg import ObjectPoseArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from pose_perception.datatypes import RgbdFrame, TrackingState
from pose_perception.errors import PosePerceptionError, WeightsError
from pose_perception.networks.runtime import load_network
from pose_perception.nodes.object_pose import ObjectPoseNode
from pose_perception.objects.objectron import ObjectronConfig
from pose_perception.objects.search import ObjectSearch, SearchConfig
from pose_perception.recording.bop import BopScene, list_models
from pose_perception.recording.json_files import write_json
from pose_perception.ros.conversions import (
    header_message,
    matrix_from_transform,
    objects_from_message,
    stamp_ns,
    vision_messages,
)

if TYPE_CHECKING:
    from conftest import Camera, Ros

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    try:
        ObjectSearch(SearchConfig(device="cpu", objectron=ObjectronConfig(categories="cup")))
    except WeightsError as error:
        pytest.skip(str(error))


class Mug:
    """Real frames with a mug that the detector does not find, and masks that point at it.

    Attributes:
        im_ids: Numbers of the frames.
    """

    def __init__(self, folder: Path) -> None:
        self._scene = BopScene(folder)
        self.im_ids = self._scene.im_ids

    def frame(self, index: int) -> RgbdFrame:
        """Return a frame."""
        return self._scene.read(self.im_ids[index])

    def label(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where it is visible, and the middle of it."""
        truth = self._scene.truth(self.im_ids[index])
        number = next(i for i, label in enumerate(truth) if label.obj_id == 14)
        mask = self._scene.visible_mask(self.im_ids[index], number)
        return mask, truth[number].camera_from_object[:3, 3]


@pytest.fixture(scope="module")
def mug(shared_data: Path) -> Mug:
    return Mug(shared_data / "ycbv" / "test" / "000000")


class Watched:
    """A started node, what it published, and somebody who points at objects."""

    def __init__(self, ros: Ros, *, start: bool = True, **parameters: Any) -> None:
        values = {"device": "cpu", "objectron.categories": "cup"}
        values |= {name.replace("__", "."): value for name, value in parameters.items()}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node: ObjectPoseNode = ros.add(ObjectPoseNode(parameter_overrides=overrides))
        self.arrays: list[ObjectPoseArray] = []
        self.statuses: list[DiagnosticStatus] = []
        self._ros = ros
        self.watcher = ros.add(Node("watcher"))
        self.watcher.create_subscription(ObjectPoseArray, "/object_pose/objects", self.arrays.append, 10)
        self.watcher.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._diagnosed_ns = 0
        self.masks = self.watcher.create_publisher(Image, "/object_pose/masks", 10)
        if start:
            self.node.start()

    def point(self, mask: np.ndarray, stamp: int) -> None:
        """Publish a mask."""
        assert self._ros.spin_until(self.masks.get_subscription_count)
        labels = np.where(mask, 255, 0).astype(np.uint8)
        height, width = labels.shape
        header = header_message(stamp, "camera")
        self.masks.publish(
            Image(header=header, height=height, width=width, encoding="mono8", step=width, data=labels.tobytes())
        )
        self.wait_for_regions(stamp)

    def wait_for_regions(self, stamp: int) -> None:
        """Wait until the node has heard of the regions of one moment, which must be there before its image."""
        waiting = self.node._regions._waiting
        assert self._ros.spin_until(lambda: waiting and waiting[-1][0] == stamp)

    def answers(self, camera: Camera, frame: RgbdFrame, stamp: int | None = None, **changes: Any) -> ObjectPoseArray:
        """Send one moment and return what the node publishes about it."""
        camera.intrinsics = frame.camera
        values = {"color": frame.color, "depth": frame.depth, **changes}
        stamp = camera.send(stamp, **values)
        assert self._ros.spin_until(lambda: self.arrays and stamp_ns(self.arrays[-1].header) == stamp)
        return self.arrays[-1]

    def next_values(self) -> dict[str, str]:
        """What a diagnosis holds that is made from now on."""
        now_ns = self.node.get_clock().now().nanoseconds
        assert self._ros.spin_until(lambda: self._diagnosed_ns > now_ns)
        return {pair.key: pair.value for pair in self.statuses[-1].values}

    def wait_for_count(self, reason: str) -> None:
        """Wait until the thread that works on images has counted something."""
        counts = self.node._perception.counters.counts
        assert self._ros.spin_until(lambda: reason in counts()), counts()

    def finish(self, camera: Camera, stamp: int) -> None:
        """Wait for what comes after the last result: images are worked on one after the other, unusable ones too."""
        camera.send(stamp, color=np.zeros((60, 80, 3), np.uint8))
        self.wait_for_count("sizes do not match")

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self._diagnosed_ns = stamp_ns(array.header)
        self.statuses.append(array.status[0])


def test_a_mug_that_a_mask_points_at_is_found_and_followed(ros: Ros, camera: Camera, mug: Mug) -> None:
    watched = Watched(ros, regions__source="masks")
    camera.wait_for_subscriber()
    start = camera.now_ns()
    watched.point(mug.label(0)[0], start)
    arrays = [watched.answers(camera, mug.frame(i), start + i * 100_000_000) for i in range(5)]
    for index, array in enumerate(arrays):
        assert array.header.frame_id == "camera"
        (found,) = objects_from_message(array)
        assert (found.id, found.model, found.tracking_state) == ("cup_1", "cup", TrackingState.TRACKED)
        np.testing.assert_allclose(found.camera_from_object[:3, 3], mug.label(index)[1], atol=0.03)
        assert 0 < found.score < 1
        assert np.linalg.eigvalsh(found.covariance).min() > 0
    values = watched.next_values()
    assert values["objects"] == "1"
    assert float(values["latency p95 [ms]"]) > 0
    assert float(values["stage categories p50 [ms]"]) > 0


@pytest.fixture(scope="module")
def matcher() -> None:
    """Skip where the network for meshes is not there."""
    try:
        load_network("pose_matcher", "cpu")
    except PosePerceptionError as error:
        pytest.skip(str(error))


def test_a_mesh_that_a_mask_points_at_is_found_and_followed(
    ros: Ros, camera: Camera, shared_data: Path, matcher: None
) -> None:
    folder = shared_data / "ycbv"
    scene = BopScene(folder / "test" / "000001")
    model = list_models(folder / "models")[scene.truth(1)[1].obj_id]
    watched = Watched(
        ros,
        models=str(model.path),
        objectron__categories="",
        regions__source="masks",
        regions__search=False,
        regions__classes=f"255={model.name}",
    )
    camera.wait_for_subscriber()
    start = camera.now_ns()
    watched.point(scene.visible_mask(1, 1), start)
    for index, im_id in enumerate(scene.im_ids):
        array = watched.answers(camera, scene.read(im_id), start + index * 100_000_000)
        (found,) = objects_from_message(array)
        assert (found.model, found.tracking_state) == (model.name, TrackingState.TRACKED)
        np.testing.assert_allclose(
            found.camera_from_object[:3, 3], scene.truth(im_id)[1].camera_from_object[:3, 3], atol=0.02
        )
    assert float(watched.next_values()["stage meshes p50 [ms]"]) > 0


def test_meshes_without_depth_are_refused(ros: Ros, shared_data: Path, matcher: None) -> None:
    path = next(iter(list_models(shared_data / "ycbv" / "models").values())).path
    watched = Watched(ros, start=False, models=str(path), input__use_depth=False)
    assert watched.node.trigger_configure() == FAILURE
    assert watched.node.set_parameters([Parameter("models", value="none.obj")])[0].successful
    assert watched.node.trigger_configure() == FAILURE
    assert watched.node.set_parameters([Parameter("models", value="")])[0].successful
    assert watched.node.trigger_configure() == SUCCESS  # the categories are left


def test_an_empty_view_is_published_as_nothing(ros: Ros, camera: Camera, mug: Mug) -> None:
    watched = Watched(ros)
    camera.wait_for_subscriber()
    assert watched.answers(camera, mug.frame(0)).objects == []  # the detector does not find it
    assert watched.next_values()["objects"] == "0"
    assert watched.statuses[-1].level == DiagnosticStatus.OK


def test_bad_input_is_counted_and_the_next_image_works(ros: Ros, camera: Camera, mug: Mug) -> None:
    watched = Watched(ros, regions__source="masks")
    camera.wait_for_subscriber()
    frame, (mask, _) = mug.frame(0), mug.label(0)
    watched.answers(camera, frame)
    for name, bad in (
        ("colour", {"color": Image(height=480, width=640, encoding="yuv422", step=1280), "depth": frame.depth}),
        ("depth", {"color": frame.color, "depth": np.zeros((480, 640), np.uint16)}),
    ):
        camera.send(**bad)
        watched.wait_for_count(f"{name} image unusable")
    publisher = watched.watcher.create_publisher(Image, "/object_pose/masks", 10)
    assert ros.spin_until(publisher.get_subscription_count)
    stamp = camera.now_ns()
    header = header_message(stamp, "camera")
    publisher.publish(Image(header=header, height=480, width=640, encoding="rgb8", step=1920))
    watched.wait_for_regions(stamp)
    assert watched.answers(camera, frame, stamp).objects == []
    watched.point(mask, stamp - 2_000_000_000)  # two seconds old
    assert watched.answers(camera, frame, stamp + 1_000_000).objects == []
    values = watched.next_values()
    for reason in ("colour image unusable", "depth image unusable", "regions unusable", "regions too late"):
        assert values[f"count: {reason}"] == "1", reason
    watched.point(mask, stamp + 2_000_000)
    assert len(watched.answers(camera, frame, stamp + 2_000_000).objects) == 1


def test_overlay_and_markers_only_while_somebody_listens(ros: Ros, camera: Camera, mug: Mug) -> None:
    watched = Watched(ros, regions__source="masks")
    camera.wait_for_subscriber()
    stamp, frame = camera.now_ns(), mug.frame(0)
    watched.point(mug.label(0)[0], stamp)
    watched.answers(camera, frame, stamp)
    watched.finish(camera, stamp + 25_000_000)
    pictures: list[Image] = []
    markers: list[MarkerArray] = []
    watched.watcher.create_subscription(Image, "/object_pose/overlay", pictures.append, 10)
    watched.watcher.create_subscription(MarkerArray, "/object_pose/markers", markers.append, 10)
    topics = ("/object_pose/overlay", "/object_pose/markers")
    assert ros.spin_until(lambda: all(watched.node.count_subscribers(topic) for topic in topics))
    ros.spin_for(0.3)
    assert pictures == []
    array = watched.answers(camera, frame, stamp + 50_000_000)
    assert ros.spin_until(lambda: pictures and markers)
    assert pictures[0].header == array.header
    assert (np.asarray(pictures[0].data) != frame.color.ravel()).any()
    assert len(markers[0].markers) == 3


def test_objects_become_tf_frames_and_detections(ros: Ros, camera: Camera, mug: Mug) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    vision = vision_messages()
    assert vision is not None
    watched = Watched(ros, regions__source="masks", publish_tf=True, tf_prefix="left/object_", tf_min_score=0.1)
    camera.wait_for_subscriber()
    transforms: list[TransformStamped] = []
    detections: list[Any] = []
    watched.watcher.create_subscription(tf2_msgs.TFMessage, "/tf", lambda tf: transforms.extend(tf.transforms), 10)
    watched.watcher.create_subscription(vision.Detection3DArray, "/object_pose/detections", detections.append, 10)
    assert ros.spin_until(lambda: watched.watcher.count_publishers("/tf"))
    stamp = camera.now_ns()
    watched.point(mug.label(0)[0], stamp)
    array = watched.answers(camera, mug.frame(0), stamp)
    assert ros.spin_until(lambda: transforms and detections)
    (found,) = objects_from_message(array)
    assert transforms[0].child_frame_id == f"left/object_{found.id}"
    assert transforms[0].header == array.header == detections[0].header
    np.testing.assert_allclose(matrix_from_transform(transforms[0]), found.camera_from_object, atol=1e-9)
    assert detections[0].detections[0].results[0].hypothesis.class_id == "cup"


def test_detections_of_vision_msgs_point_at_objects(ros: Ros, camera: Camera, mug: Mug) -> None:
    vision = vision_messages()
    if vision is None:
        watched = Watched(ros, start=False, regions__source="detections_2d")
        assert watched.node.trigger_configure() == SUCCESS
        assert watched.node.trigger_activate() == FAILURE  # and says what to install
        return
    watched = Watched(ros, regions__source="detections_2d", regions__classes="mug=cup")
    publisher = watched.watcher.create_publisher(vision.Detection2DArray, "/object_pose/detections_2d", 10)
    camera.wait_for_subscriber()
    assert ros.spin_until(publisher.get_subscription_count)
    rows, columns = np.nonzero(mug.label(0)[0])
    stamp = camera.now_ns()
    detection = vision.Detection2D()
    detection.bbox.center.position.x, detection.bbox.center.position.y = float(columns.mean()), float(rows.mean())
    detection.bbox.size_x, detection.bbox.size_y = float(np.ptp(columns)), float(np.ptp(rows))
    hypothesis = vision.ObjectHypothesis(class_id="mug", score=0.8)
    detection.results = [vision.ObjectHypothesisWithPose(hypothesis=hypothesis)]
    publisher.publish(vision.Detection2DArray(header=header_message(stamp, "camera"), detections=[detection]))
    watched.wait_for_regions(stamp)
    assert [found.model for found in watched.answers(camera, mug.frame(0), stamp).objects] == ["cup"]


def test_wrong_parameters_are_refused_and_can_be_corrected(ros: Ros) -> None:
    watched = Watched(ros, start=False, objectron__categories="banana")
    assert watched.node.trigger_configure() == FAILURE
    for name, wrong, right in (
        ("objectron.categories", "", "cup, chair"),  # nothing to look for
        ("regions.classes", "mug", "1=mug"),
    ):
        assert watched.node.set_parameters([Parameter(name, value=wrong)])[0].successful
        assert watched.node.trigger_configure() == FAILURE
        assert watched.node.set_parameters([Parameter(name, value=right)])[0].successful
    assert watched.node.trigger_configure() == SUCCESS
    assert not watched.node.set_parameters([Parameter("tf_prefix", value="x_")])[0].successful
    assert watched.node.trigger_cleanup() == SUCCESS
    assert watched.node.set_parameters([Parameter("tf_prefix", value="x_")])[0].successful


def test_the_node_may_be_deactivated_and_activated_again(ros: Ros, camera: Camera, mug: Mug) -> None:
    watched = Watched(ros, regions__source="masks")
    camera.wait_for_subscriber()
    ids = []
    for _ in range(2):
        stamp = camera.now_ns()
        watched.point(mug.label(0)[0], stamp)
        ids += [found.id for found in watched.answers(camera, mug.frame(0), stamp).objects]
        assert watched.node.trigger_deactivate() == SUCCESS
        assert watched.node.trigger_activate() == SUCCESS
    assert ids == ["cup_1", "cup_2"]  # nobody watched it in the meantime


@pytest.fixture
def recording(mug: Mug, tmp_path: Path) -> Path:
    """Write the frames as a recording."""
    for index, im_id in enumerate(mug.im_ids):
        frame = mug.frame(index)
        for name, image in (
            ("color", cv2.cvtColor(frame.color, cv2.COLOR_RGB2BGR)),
            ("depth", np.round(frame.depth * 1000).astype(np.uint16)),
        ):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{im_id:06d}.png"), image)
    camera = mug.frame(0).camera
    write_json(tmp_path / "camera.json", {name: getattr(camera, name) for name in camera.__dataclass_fields__})
    return tmp_path


@pytest.fixture
def player(recording: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = Path(get_package_prefix("pose_perception")) / "lib" / "pose_perception" / "rgbd_player"
    options = {"folder": recording, "rate_hz": 10.0, "wait_for_subscribers": 1}
    words = [word for name, value in options.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen([sys.executable, str(program), "--ros-args", *words], env=dict(os.environ))
    yield process
    process.terminate()
    process.wait(10)


def test_a_recording_is_followed_as_it_is_played(ros: Ros, mug: Mug, player: subprocess.Popen[bytes]) -> None:
    watched = Watched(ros, regions__source="masks")
    labels = np.where(mug.label(0)[0], 255, 0).astype(np.uint8).tobytes()

    def point(image: Image) -> None:
        """Segment the images until the mug is found, a little late, as a network would."""
        if not any(array.objects for array in watched.arrays):
            mask = Image(header=image.header, height=480, width=640, encoding="mono8", step=640, data=labels)
            watched.masks.publish(mask)

    watched.watcher.create_subscription(Image, "/color/image", point, 10)
    assert ros.spin_until(lambda: sum(bool(array.objects) for array in watched.arrays) >= 15, 90.0)
    assert player.poll() is None
    found = [objects_from_message(array) for array in watched.arrays if array.objects]
    assert {(pose.id, pose.model) for poses in found for pose in poses} == {("cup_1", "cup")}
