"""Tests for recording/: folders and bags as users have them, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.writer import CompressionType, Writer

from pose_perception.errors import InvalidInputError
from pose_perception.recording.bag import BagRecording
from pose_perception.recording.folder import FolderRecording
from pose_perception.recording.topics import choose_topics

CAMERA = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5}
_HEADER = """std_msgs/Header header
{}
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
_IMAGE = _HEADER.format("uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data")
_COMPRESSED = _HEADER.format("string format\nuint8[] data")
_INFO = _HEADER.format("uint32 height\nuint32 width")


def write_folder(path: Path, count: int = 3, suffix: str = ".png") -> Path:
    """Write pairs whose colour is (200, 100, index) and whose depth is 1000 + index millimetres."""
    for kind in ("color", "depth"):
        (path / kind).mkdir(parents=True)
    for index in range(count):
        color = np.full((48, 64, 3), (index, 100, 200), np.uint8)
        cv2.imwrite(str(path / "color" / f"{index:05d}{suffix}"), color)
        cv2.imwrite(str(path / "depth" / f"{index:05d}.png"), np.full((48, 64), 1000 + index, np.uint16))
    (path / "camera.json").write_text(json.dumps(CAMERA))
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_folder_gives_rgb_and_millimetres(tmp_path: Path, suffix: str) -> None:
    folder = FolderRecording(write_folder(tmp_path / "f", suffix=suffix))
    images = folder.read(2)
    assert images.name == "00002"
    np.testing.assert_allclose(images.color[5, 5], (200, 100, 2), atol=0 if suffix == ".png" else 4)
    assert images.depth_mm.dtype == np.uint16
    assert np.all(images.depth_mm == 1002)
    assert (len(folder), folder.camera.width, folder.camera.fx) == (3, 64, 60.0)


def test_the_camera_may_be_stored_column_by_column(tmp_path: Path) -> None:
    write_folder(tmp_path / "f")
    matrix = [60.0, 0, 0, 0, 61.0, 0, 31.5, 23.5, 1]
    (tmp_path / "f" / "camera.json").write_text(json.dumps({"width": 64, "height": 48, "intrinsic_matrix": matrix}))
    camera = FolderRecording(tmp_path / "f").camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (60.0, 61.0, 31.5, 23.5)


@pytest.mark.parametrize(("kind", "suffix"), [("color", ".png"), ("color", ".jpg"), ("depth", ".png")])
def test_a_half_written_file_is_refused_and_the_others_are_read(tmp_path: Path, kind: str, suffix: str) -> None:
    folder = FolderRecording(write_folder(tmp_path / "f", suffix=suffix))
    cut(tmp_path / "f" / kind / f"00001{suffix}")
    with pytest.raises(InvalidInputError, match=r"00001.*half written"):
        folder.read(1)
    assert folder.read(2).name == "00002"


def test_images_of_another_size_or_type_are_refused(tmp_path: Path) -> None:
    folder = FolderRecording(write_folder(tmp_path / "f"))
    cv2.imwrite(str(tmp_path / "f" / "color" / "00000.png"), np.zeros((24, 32, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "f" / "depth" / "00001.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(InvalidInputError, match=r"32x24, but camera.json says 64x48"):
        folder.read(0)
    with pytest.raises(InvalidInputError, match="16-bit"):
        folder.read(1)


def test_files_without_a_partner_are_named_and_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "f")
    (tmp_path / "f" / "depth" / "00001.png").unlink()
    (tmp_path / "f" / "color" / "00002.png").unlink()
    folder = FolderRecording(tmp_path / "f")
    assert folder.names == ("00000",)
    assert [path.relative_to(tmp_path / "f").as_posix() for path in folder.unpaired] == [
        "color/00001.png",
        "depth/00002.png",
    ]


def test_a_folder_without_images_or_camera_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no folder"):
        FolderRecording(tmp_path / "absent")
    with pytest.raises(InvalidInputError, match="no folder color"):
        FolderRecording(tmp_path)
    with pytest.raises(InvalidInputError, match=r"no pair.*0 files in color"):
        FolderRecording(write_folder(tmp_path / "empty", count=0))
    write_folder(tmp_path / "f")
    (tmp_path / "f" / "camera.json").unlink()
    with pytest.raises(InvalidInputError, match="camera"):
        FolderRecording(tmp_path / "f")


def cdr_image(encoding: str, frame_id: str) -> bytes:
    """Serialize an image of one pixel by hand, so that the reader is checked against the standard and not itself."""
    content = bytearray(b"\x00\x01\x00\x00")

    def add(kind: str, value: int) -> None:
        size = int(kind)
        content.extend(b"\x00" * (-(len(content) - 4) % size))
        content.extend(value.to_bytes(size, "little"))

    def text(value: str) -> None:
        add("4", len(value) + 1)
        content.extend(value.encode() + b"\x00")

    add("4", 7)
    add("4", 8)
    text(frame_id)
    add("4", 1)
    add("4", 1)
    text(encoding)
    add("1", 0)
    add("4", 2)
    add("4", 2)
    content.extend(b"\x01\x02")
    return bytes(content)


def write_bag(path: Path, channels: list[tuple[str, str, str, bytes]], count: int = 4, index: bool = True) -> Path:
    """Write a bag with one channel per (topic, type, schema text, message), each message `count` times, 10 ms apart."""
    with path.open("wb") as stream:
        options = {} if index else {"use_chunking": False, "use_summary_offsets": False, "repeat_channels": False}
        writer = Writer(stream, chunk_size=200, compression=CompressionType.ZSTD, **options)
        writer.start(profile="ros2", library="test")
        ids = []
        for topic, kind, text, _ in channels:
            schema = writer.register_schema(kind, "ros2msg", text.encode())
            ids.append(writer.register_channel(topic, "cdr", schema))
        for number in range(count):
            for identity, (*_, data) in zip(ids, channels, strict=True):
                writer.add_message(identity, number * 10_000_000, data, number * 10_000_000)
        writer.finish()
    return path


REALSENSE = [
    ("/camera/color/image_raw", "sensor_msgs/msg/Image", _IMAGE, cdr_image("rgb8", "color_optical")),
    ("/camera/infra1/image_raw", "sensor_msgs/msg/Image", _IMAGE, cdr_image("mono8", "infra_optical")),
    ("/camera/depth/image_raw", "sensor_msgs/msg/Image", _IMAGE, cdr_image("16UC1", "depth_optical")),
    ("/camera/registered/image_raw", "sensor_msgs/msg/Image", _IMAGE, cdr_image("16UC1", "color_optical")),
    ("/camera/color/camera_info", "sensor_msgs/msg/CameraInfo", _INFO, b""),
    ("/camera/depth/camera_info", "sensor_msgs/msg/CameraInfo", _INFO, b""),
]


def test_topics_are_found_by_encoding_frame_and_name(tmp_path: Path) -> None:
    bag = BagRecording(write_bag(tmp_path / "a.mcap", REALSENSE))
    topics = choose_topics(bag)
    assert topics.color == "/camera/color/image_raw"
    assert topics.depth == "/camera/registered/image_raw"
    assert topics.camera_info == "/camera/color/camera_info"
    assert topics.depth_camera_info is None


def test_depth_of_another_frame_brings_its_own_camera(tmp_path: Path) -> None:
    bag = BagRecording(write_bag(tmp_path / "a.mcap", REALSENSE))
    topics = choose_topics(bag, depth="/camera/depth/image_raw")
    assert topics.depth_camera_info == "/camera/depth/camera_info"


def test_a_wrong_topic_is_refused_with_the_choices(tmp_path: Path) -> None:
    bag = BagRecording(write_bag(tmp_path / "a.mcap", REALSENSE))
    with pytest.raises(InvalidInputError, match=r"color_topic '/rgb'.*choices: .*/camera/color/image_raw"):
        choose_topics(bag, color="/rgb")
    with pytest.raises(InvalidInputError, match=r"no depth image.*infra1/image_raw \(mono8\)"):
        choose_topics(BagRecording(write_bag(tmp_path / "b.mcap", REALSENSE[:2] + REALSENSE[4:])))


@pytest.mark.parametrize("index", [True, False])
def test_messages_come_in_order_with_and_without_an_index(tmp_path: Path, index: bool) -> None:
    bag = BagRecording(write_bag(tmp_path / "a.mcap", REALSENSE, index=index))
    messages = list(bag.messages(["/camera/color/image_raw", "/camera/depth/image_raw"]))
    assert [message.time_ns for message in messages] == [n * 10_000_000 for n in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert messages[0].data == REALSENSE[0][3]


def test_a_folder_of_parts_is_read_in_their_order(tmp_path: Path) -> None:
    for number in (9, 10):
        write_bag(tmp_path / f"bag_{number}.mcap", REALSENSE[:1], count=number)
    bag = BagRecording(tmp_path)
    assert [file.name for file in bag.files] == ["bag_9.mcap", "bag_10.mcap"]
    assert len(list(bag.messages(["/camera/color/image_raw"]))) == 19


def test_a_bag_that_was_cut_off_gives_what_it_holds_and_then_says_so(tmp_path: Path) -> None:
    cut(write_bag(tmp_path / "a.mcap", REALSENSE, count=50))
    bag = BagRecording(tmp_path / "a.mcap")
    count = 0
    with pytest.raises(InvalidInputError, match=r"cut off.*mcap recover"):  # noqa: PT012 - counts up to the error
        for _ in bag.messages(["/camera/color/image_raw"]):
            count += 1
    assert count > 5


def test_what_is_no_bag_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "bag.db3").write_bytes(b"SQLite format 3")
    (tmp_path / "noise.mcap").write_bytes(b"this is no bag at all" * 10)
    with pytest.raises(InvalidInputError, match="ros2 bag convert"):
        BagRecording(tmp_path / "bag.db3")
    with pytest.raises(InvalidInputError, match="there is no bag"):
        BagRecording(tmp_path / "absent.mcap")
    with pytest.raises(InvalidInputError, match="damaged"):
        BagRecording(tmp_path / "noise.mcap")


def test_a_bag_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    bag = BagRecording(write_bag(tmp_path / "a.mcap", REALSENSE[:1]))
    (tmp_path / "a.mcap").unlink()
    with pytest.raises(InvalidInputError, match=r"a\.mcap cannot be read"):
        next(bag.messages(["/camera/color/image_raw"]))
    (tmp_path / "parts" / "b.mcap").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match=r"b\.mcap cannot be read"):
        BagRecording(tmp_path / "parts")


def test_a_bag_of_ros_1_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.mcap").open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="ros1", library="test")
        schema = writer.register_schema("sensor_msgs/Image", "ros1msg", b"")
        writer.add_message(writer.register_channel("/image", "ros1", schema), 1, b"", 1)
        writer.finish()
    with pytest.raises(InvalidInputError, match=r"only /image \(ros1\)"):
        BagRecording(tmp_path / "a.mcap")
