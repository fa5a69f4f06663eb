"""Tests for ros/recorder.py: what it writes is read back with its own schemas by an independent reader."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from pose_perception.msg import Hand, Keypoint, Skeleton, SkeletonArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose_perception.recording.bag import BagRecording
from pose_perception.ros.recorder import BagWriter, message_definition


def test_messages_are_read_back_with_the_schemas_in_the_file(tmp_path: Path) -> None:
    keypoint = Keypoint(score=0.5, state=Keypoint.MEASURED, position=Point(x=1.0, y=2.0, z=3.0))
    hand = Hand(side=Hand.RIGHT, landmarks=[keypoint] * 21)
    people = [Skeleton(id="p1", keypoints=[keypoint], hands=[hand])]
    skeletons = SkeletonArray(header=Header(frame_id="cam"), skeletons=people)
    status = DiagnosticStatus(level=DiagnosticStatus.WARN, name="n", values=[KeyValue(key="a", value="b")])
    info = CameraInfo(width=640, k=[600.0] + [0.0] * 8)
    with BagWriter(tmp_path / "sub" / "a.mcap") as writer:
        writer.write("/skeletons", skeletons, 10)
        writer.write("/diagnostics", DiagnosticArray(status=[status]), 20)
        writer.write("/camera_info", info, 30)
    with (tmp_path / "sub" / "a.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        found = {item.channel.topic: item for item in reader.iter_decoded_messages()}
    read = found["/skeletons"].decoded_message
    assert (read.skeletons[0].id, read.skeletons[0].keypoints[0].position.z) == ("p1", 3.0)
    assert read.skeletons[0].hands[0].landmarks[20].position.z == 3.0
    assert found["/diagnostics"].decoded_message.status[0].values[0].value == "b"
    assert (found["/camera_info"].decoded_message.width, found["/camera_info"].decoded_message.k[0]) == (640, 600.0)
    assert found["/skeletons"].schema.name == "pose_perception/msg/SkeletonArray"
    assert found["/skeletons"].message.log_time == 10


def test_every_type_of_one_topic_is_defined_once() -> None:
    text = message_definition("pose_perception/msg/SkeletonArray")
    used = [line.removeprefix("MSG: ") for line in text.splitlines() if line.startswith("MSG: ")]
    assert sorted(used) == [
        *("builtin_interfaces/Time", "geometry_msgs/Point", "geometry_msgs/Pose"),
        *("geometry_msgs/PoseWithCovariance", "geometry_msgs/Quaternion", "geometry_msgs/Vector3"),
        *("pose_perception/Hand", "pose_perception/Keypoint", "pose_perception/Skeleton", "std_msgs/Header"),
    ]


def test_a_bag_of_ours_is_a_bag_for_the_reader(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap") as writer:
        for number in range(3):
            writer.write("/image", Image(width=number), number)
    bag = BagRecording(tmp_path / "a.mcap")
    assert bag.types == {"/image": "sensor_msgs/msg/Image"}
    assert bag.first_messages(["/image"])["/image"].width == 0
