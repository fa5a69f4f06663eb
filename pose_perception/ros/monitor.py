"""Watches a perception node from outside, as a user would: by its topics."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pose_perception.datatypes import CameraIntrinsics, Skeleton
from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.images import ImageCounts
from pose_perception.evaluation.stream import StreamStatistics
from pose_perception.human.drawing import draw_skeletons
from pose_perception.human.topology import BODY_33, COCO_17
from pose_perception.msg import SkeletonArray
from pose_perception.ros.conversions import (
    camera_from_info,
    color_from_message,
    compressed_color_message,
    skeletons_from_message,
    stamp_ns,
)
from pose_perception.ros.frames import CAMERA_POSE_UNKNOWN
from pose_perception.ros.recorder import BagWriter
from pose_perception.ros.rgbd import DEPTH_WITHOUT_COLOR, INCOMPATIBLE_QOS
from pose_perception.ros.synchronizer import BACKWARD_STAMP, REPEATED_STAMP
from pose_perception.ros.worker import REPLACED

_TOPOLOGIES = {topology.name: topology for topology in (BODY_33, COCO_17)}
_COUNT = "count: "
# What human_pose counts that takes no colour image away from those with a stamp of their own.
_COSTS_NO_IMAGE = {DEPTH_WITHOUT_COLOR, INCOMPATIBLE_QOS, BACKWARD_STAMP, REPEATED_STAMP, CAMERA_POSE_UNKNOWN}
# Images wait for their result; more than this in flight means that there will be none.
_IMAGES_KEPT = 20
_SKELETONS = "human_pose/skeletons"
_RELIABLE = QoSProfile(depth=50)
_BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)


class Monitor(Node):
    """Measures skeletons against stamps and truth, records what it sees, and keeps one picture.

    Args:
        recording: The bag to write.
        compressed: Whether colour comes as `color/image/compressed`.
        options: Passed to `rclpy.node.Node`.

    Attributes:
        statistics: The measures.
        first_result_s: `time.monotonic()` at the first result with a person in it; None before.
        status: What the perception node says about itself.
        on_people: Called with each result: its image, None when that is not there any more, and the people.
    """

    def __init__(self, recording: BagWriter, compressed: bool = False, **options: Any) -> None:
        super().__init__("monitor", **options)
        self.statistics = StreamStatistics()
        self.first_result_s: float | None = None
        self.status = "no diagnostics yet"
        self.on_people: Callable[[Image | CompressedImage | None, list[Skeleton], SkeletonArray], None] | None = None
        self._recording = recording
        self._images: OrderedDict[int, Image | CompressedImage] = OrderedDict()
        self._picture: tuple[int, Image | CompressedImage, SkeletonArray] | None = None
        self._camera: CameraIntrinsics | None = None
        self._image_counts = ImageCounts()
        self._counts: dict[str, int] = {}
        self._connected = False
        self._color = (CompressedImage, "color/image/compressed") if compressed else (Image, "color/image")
        self._subscribe(SkeletonArray, _SKELETONS, self._on_skeletons, _RELIABLE)
        self._subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, _RELIABLE)

    def connect(self) -> None:
        """Subscribe to the camera as soon as results would arrive; a player waits for that."""
        if not self._connected and self.count_publishers(_SKELETONS):
            self._connected = True
            self._subscribe(SkeletonArray, "simulated_camera/ground_truth", self._on_truth, _RELIABLE)
            self._subscribe(CameraInfo, "color/camera_info", self._on_camera, _BEST_EFFORT)
            self._subscribe(*self._color, self._on_color, _BEST_EFFORT)

    def image_counts(self, everything: bool) -> dict[str, int]:
        """Return what became of the images that the camera sent.

        Args:
            everything: Count all images, of a camera that waited for its subscribers; otherwise those between the
                first and the last result.
        """
        replaced = self._counts.get(REPLACED, 0)
        dropped = sum(count for name, count in self._counts.items() if name not in {*_COSTS_NO_IMAGE, REPLACED})
        return self._image_counts.fates(replaced, dropped, everything)

    def write_picture(self, path: Path) -> bool:
        """Draw the result that holds the most people into its image; return whether there was one."""
        if self._picture is None:
            return False
        _, image, message = self._picture
        drawn = self.draw(image, skeletons_from_message(message), message.topology)
        return cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def draw(self, image: Image | CompressedImage, people: list[Skeleton], topology: str) -> npt.NDArray[np.uint8]:
        """Return an RGB image with people drawn into it, whose keypoints are those of a topology."""
        return draw_skeletons(color_from_message(image), people, _TOPOLOGIES[topology], self._camera)

    def record(self, topic: str, message: object) -> None:
        """Write a message into the recording."""
        self._recording.write(topic, message, self.get_clock().now().nanoseconds)

    def _subscribe(self, kind: type, topic: str, react: Callable[[str, Any], None], qos: QoSProfile) -> None:
        self.create_subscription(kind, topic, partial(react, self.resolve_topic_name(topic)), qos)

    def _on_color(self, topic: str, message: Image | CompressedImage) -> None:
        self._images[stamp_ns(message.header)] = message
        if len(self._images) > _IMAGES_KEPT:
            self._images.popitem(last=False)
        if isinstance(message, CompressedImage):
            self.record(topic, message)
        else:
            self.record(f"{topic}/compressed", compressed_color_message(color_from_message(message), message.header))

    def _on_camera(self, topic: str, message: CameraInfo) -> None:
        self._image_counts.add_sent(stamp_ns(message.header))
        with contextlib.suppress(InvalidInputError):
            self._camera = camera_from_info(message)
        self.record(topic, message)

    def _on_truth(self, topic: str, message: SkeletonArray) -> None:
        people = skeletons_from_message(message)
        self.statistics.add_truth(stamp_ns(message.header), people, message.keypoint_names)
        self.record(topic, message)

    def _on_skeletons(self, topic: str, message: SkeletonArray) -> None:
        received_ns, stamp = self.get_clock().now().nanoseconds, stamp_ns(message.header)
        people = skeletons_from_message(message)
        self.statistics.add(stamp, received_ns, people, message.keypoint_names)
        self._image_counts.add_result(stamp)
        if people and self.first_result_s is None:
            self.first_result_s = time.monotonic()
        self._keep_picture(stamp, people, message)
        if self.on_people is not None:
            self.on_people(self._images.get(stamp), people, message)
        self.record(topic, message)

    def _keep_picture(self, stamp: int, people: list[Skeleton], message: SkeletonArray) -> None:
        image = self._images.get(stamp)
        if image is not None and (self._picture is None or len(people) >= self._picture[0]):
            self._picture = (len(people), image, message)

    def _on_diagnostics(self, topic: str, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith("human_pose"):
                self.status = status.message
                values = {pair.key: pair.value for pair in status.values}
                self._counts = {key.removeprefix(_COUNT): int(values[key]) for key in values if key.startswith(_COUNT)}
        self.record(topic, message)
