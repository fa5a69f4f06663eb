"""Recorded streams as serialized messages that only wait for their stamp."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from rclpy.serialization import serialize_message

from pose_perception.errors import InvalidInputError
from pose_perception.recording.bag import BagRecording
from pose_perception.recording.folder import FolderRecording
from pose_perception.recording.topics import COMPRESSED_IMAGE, RgbdTopics
from pose_perception.ros.conversions import camera_info_message, color_message, depth_message, header_message

COLOR, DEPTH, CAMERA_INFO = "color/image", "depth/image", "color/camera_info"
COLOR_COMPRESSED, DEPTH_CAMERA_INFO = "color/image/compressed", "depth/camera_info"
STATIC_TRANSFORMS = "/tf_static"

_NS_PER_S = 1_000_000_000
# CDR begins with four bytes, the second of which tells the byte order; then comes `header.stamp`, when there is one.
_STAMP = slice(4, 12)

Report = Callable[[str], None]


class Event(NamedTuple):
    """One message to publish.

    Attributes:
        time_s: When, from the begin of the recording, seconds.
        topic: Where, relative to the namespace of the node.
        data: The serialized message.
    """

    time_s: float
    topic: str
    data: bytes


class Source(Protocol):
    """A recorded stream.

    Attributes:
        types: Message class of each topic.
        gap_s: Time between the last message and the first of the next pass, known after one pass.
    """

    types: dict[str, type]
    gap_s: float

    def events(self) -> Iterator[Event]:
        """Yield the messages of one pass in order."""
        ...


class FolderSource:
    """Plays a folder of images at a constant rate; a pair that cannot be used leaves its place empty.

    Args:
        recording: The folder.
        rate_hz: Pairs per second.
        frame_id: Optical frame that the messages name.
        report: Called with the reason when a pair cannot be used.
    """

    def __init__(self, recording: FolderRecording, rate_hz: float, frame_id: str, report: Report) -> None:
        self._recording, self._frame_id, self._report = recording, frame_id, report
        self.gap_s = 1.0 / rate_hz
        self.types = {
            CAMERA_INFO: message_class("sensor_msgs/msg/CameraInfo"),
            DEPTH: message_class("sensor_msgs/msg/Image"),
            COLOR: message_class("sensor_msgs/msg/Image"),
        }

    def events(self) -> Iterator[Event]:
        """Yield camera, depth and colour of each pair, with stamps that are the same within a pair only."""
        for index in range(len(self._recording)):
            try:
                images = self._recording.read(index)
            except InvalidInputError as error:
                self._report(str(error))
                continue
            time_s = index * self.gap_s
            header = header_message(round(time_s * _NS_PER_S), self._frame_id)
            for topic, message in (
                (CAMERA_INFO, camera_info_message(self._recording.camera, header)),
                (DEPTH, depth_message(images.depth_mm, header)),
                (COLOR, color_message(images.color, header)),
            ):
                yield Event(time_s, topic, serialize_message(message))


class BagSource:
    """Plays the RGB-D topics of a bag, and its static transforms, with the time between them as recorded.

    Args:
        bag: The bag.
        topics: The topics of the camera.
        report: Called with the reason when the bag ends in damage.
    """

    def __init__(self, bag: BagRecording, topics: RgbdTopics, report: Report) -> None:
        self._bag, self._report = bag, report
        compressed = bag.types[topics.color] == COMPRESSED_IMAGE
        self._color = topics.color
        self._targets = {
            topics.color: COLOR_COMPRESSED if compressed else COLOR,
            topics.depth: DEPTH,
            topics.camera_info: CAMERA_INFO,
        }
        if topics.depth_camera_info:
            self._targets[topics.depth_camera_info] = DEPTH_CAMERA_INFO
        self.types = {target: message_class(bag.types[name]) for name, target in self._targets.items()}
        if STATIC_TRANSFORMS in bag.types:
            self._add_static_transforms()
        self.gap_s = 0.0

    def events(self) -> Iterator[Event]:
        """Yield the messages in the order of recording."""
        begin_ns, times_ns = None, []
        try:
            for message in self._bag.messages(self._targets):
                begin_ns = message.time_ns if begin_ns is None else begin_ns
                if message.topic == self._color:
                    times_ns.append(message.time_ns)
                time_s = (message.time_ns - begin_ns) / _NS_PER_S
                yield Event(time_s, self._targets[message.topic], message.data)
        except InvalidInputError as error:
            self._report(str(error))
        if len(times_ns) > 1:
            self.gap_s = (times_ns[-1] - times_ns[0]) / _NS_PER_S / (len(times_ns) - 1)

    def _add_static_transforms(self) -> None:
        try:
            self.types[STATIC_TRANSFORMS] = message_class(self._bag.types[STATIC_TRANSFORMS])
        except InvalidInputError as error:
            self._report(str(error))
        else:
            self._targets[STATIC_TRANSFORMS] = STATIC_TRANSFORMS


def message_class(type_name: str) -> Any:
    """Return the class of a type as `sensor_msgs/msg/Image`.

    Raises:
        InvalidInputError: the package of the message is not installed.
    """
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(
            f"messages of type {type_name} cannot be played: install {package} ({error})"
        ) from error


def read_stamp(data: bytes) -> int:
    """Return the stamp in nanoseconds of a serialized message that begins with a header."""
    seconds, nanoseconds = struct.unpack(_stamp_format(data), data[_STAMP])
    return seconds * _NS_PER_S + nanoseconds


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """Return a serialized message that begins with a header, with another stamp."""
    stamp = struct.pack(_stamp_format(data), *divmod(stamp_ns, _NS_PER_S))
    return data[: _STAMP.start] + stamp + data[_STAMP.stop :]


def _stamp_format(data: bytes) -> str:
    return "<iI" if data[1] & 1 else ">iI"
