"""Tests for ros/conversions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_perception.msg import FaceArray, Hand, Keypoint, SkeletonArray
from pose_perception.msg import Skeleton as SkeletonMessage
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from pose_perception.datatypes import (
    CameraIntrinsics,
    FaceMesh,
    HandPose,
    HeadPose,
    HeadSource,
    KeypointState,
    Skeleton,
    TrackingState,
)
from pose_perception.errors import InvalidInputError
from pose_perception.human.drawing import draw_skeletons
from pose_perception.human.topology import COCO_17, HAND_21
from pose_perception.ros import conversions

HEADER = conversions.header_message(1_700_000_000_123_456_789, "camera")
CAMERA = CameraIntrinsics(64, 48, 60.0, 61.0, 31.5, 23.5)
K = len(COCO_17)
# Someone who looks along the camera's x axis.
TURN = np.array([[0.0, -1.0, 0.0, 0.1], [0.0, 0.0, -1.0, 0.2], [1.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]])


def color_image(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def padded_image(pixels: np.ndarray, encoding: str, padding: int) -> Image:
    """An image whose rows end with bytes that mean nothing, as many drivers publish them."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    height, width = pixels.shape[:2]
    return Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes())


def skeleton(**changes: object) -> Skeleton:
    rng = np.random.default_rng(1)
    states = np.array([KeypointState.MEASURED, KeypointState.INFERRED] * K, np.uint8)[:K]
    states[3] = KeypointState.MISSING
    positions = rng.normal(size=(K, 3)) + np.array([0.0, 0.0, 3.0])
    covariances = rng.normal(size=(K, 3, 3))
    positions[3] = covariances[3] = np.nan
    values = {
        "id": "p7",
        "score": 0.75,
        "tracking_state": TrackingState.PREDICTED,
        "box": np.array([1.0, 2.0, 30.0, 40.0]),
        "pixels": rng.uniform(0, 60, (K, 2)),
        "scores": rng.uniform(0, 1, K),
        "positions": positions,
        "covariances": covariances,
        "states": states,
        "velocity": np.array([0.1, np.nan, 0.3]),
        "camera_from_torso": TURN,
    }
    return Skeleton(**{**values, **changes})


def hand(side: str = "right", **changes: object) -> HandPose:
    rng = np.random.default_rng(2)
    states = np.full(21, KeypointState.MEASURED, np.uint8)
    states[20] = KeypointState.MISSING
    positions, covariances = rng.normal(size=(21, 3)), rng.normal(size=(21, 3, 3))
    positions[20] = covariances[20] = np.nan
    values = {
        "side": side,
        "score": 0.5,
        "pixels": rng.uniform(0, 60, (21, 2)),
        "positions": positions,
        "covariances": covariances,
        "states": states,
        "camera_from_palm": TURN,
        "pinch": 0.03,
        "openness": 0.75,
    }
    return HandPose(**{**values, **changes})


@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [
        ("rgb8", None),
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
        ("mono8", cv2.COLOR_RGB2GRAY),
    ],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_every_colour_encoding_becomes_rgb(encoding: str, conversion: int | None, padding: int) -> None:
    color = color_image()
    encoded = color if conversion is None else cv2.cvtColor(color, conversion)
    expected = cv2.cvtColor(encoded, cv2.COLOR_GRAY2RGB) if encoding == "mono8" else color
    result = conversions.color_from_message(padded_image(encoded, encoding, padding))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)


def test_colour_image_survives_message_and_wire() -> None:
    color = color_image()
    message = deserialize_message(serialize_message(conversions.color_message(color, HEADER)), Image)
    np.testing.assert_array_equal(conversions.color_from_message(message), color)
    assert conversions.stamp_ns(message.header) == 1_700_000_000_123_456_789
    assert message.header.frame_id == "camera"


def test_png_is_exact_and_jpeg_keeps_the_colour_order() -> None:
    color = np.zeros((48, 64, 3), np.uint8)
    color[:, :, 0] = 200
    for suffix, tolerance in ((".png", 0), (".jpg", 4)):
        data = cv2.imencode(suffix, cv2.cvtColor(color, cv2.COLOR_RGB2BGR))[1].tobytes()
        decoded = conversions.color_from_message(CompressedImage(format=suffix[1:], data=data))
        assert np.abs(decoded.astype(int) - color).max() <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_half_written_image_is_refused(suffix: str) -> None:
    data = cv2.imencode(suffix, color_image(480, 640))[1].tobytes()
    with pytest.raises(InvalidInputError, match="cut off"):
        conversions.color_from_message(CompressedImage(format=suffix[1:], data=data[: len(data) // 2]))


@pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8 no image \xff\xd9"])
def test_compressed_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        conversions.color_from_message(CompressedImage(format="jpeg", data=data))


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_millimetres_become_metres(byte_order: str, padding: int) -> None:
    depth_mm = np.arange(48 * 64).reshape(48, 64).astype(byte_order + "u2")
    message = padded_image(depth_mm, "16UC1", padding)
    message.is_bigendian = int(byte_order == ">")
    depth = conversions.depth_from_message(message)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, depth_mm.astype(float) * 1e-3, rtol=1e-6)


def test_depth_metres_keep_nan_and_lose_values_that_are_no_distance() -> None:
    depth = np.full((48, 64), 1.5, np.float32)
    depth[0, :4] = np.nan, np.inf, -1.0, 0.0
    message = conversions.depth_message(depth, HEADER)
    result = conversions.depth_from_message(message)
    np.testing.assert_array_equal(result[0, :5], np.array([np.nan, np.nan, np.nan, 0.0, 1.5], np.float32))


@pytest.mark.parametrize("encoding", ["yuv422", "bayer_rggb8", "16UC1", ""])
def test_unknown_colour_encoding_names_the_known_ones(encoding: str) -> None:
    with pytest.raises(InvalidInputError, match="rgb8"):
        conversions.color_from_message(Image(height=1, width=1, encoding=encoding, step=2, data=b"\0\0"))


def test_unknown_depth_encoding_names_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="16UC1"):
        conversions.depth_from_message(Image(height=1, width=1, encoding="mono16", step=2, data=b"\0\0"))


@pytest.mark.parametrize(
    "changes", [{"data": b"\0" * 10}, {"step": 3}, {"width": 0}, {"height": 0}], ids=["data", "step", "width", "height"]
)
def test_image_with_missing_data_is_refused(changes: dict[str, object]) -> None:
    message = conversions.color_message(color_image(), HEADER)
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(InvalidInputError):
        conversions.color_from_message(message)


def test_camera_survives_the_message() -> None:
    message = conversions.camera_info_message(CAMERA, HEADER)
    assert conversions.camera_from_info(message) == CAMERA
    assert not conversions.is_distorted(message)


def test_intrinsics_are_those_of_the_rectified_image() -> None:
    message = conversions.camera_info_message(CAMERA, HEADER)
    message.d = [0.1, -0.2, 0.0, 0.0, 0.0]
    message.p[0] = 55.0
    assert conversions.camera_from_info(message).fx == 55.0
    assert conversions.is_distorted(message)
    message.p = [0.0] * 12
    assert conversions.camera_from_info(message).fx == CAMERA.fx


def test_camera_without_calibration_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="calibrat"):
        conversions.camera_from_info(CameraInfo(width=64, height=48))


def test_skeletons_survive_message_and_wire() -> None:
    original = [skeleton(), skeleton(id="p8", camera_from_torso=None)]
    message = conversions.skeleton_array_message(original, COCO_17, HEADER)
    message = over_the_wire(message)
    assert isinstance(message, SkeletonArray)
    assert message.keypoint_names == list(COCO_17.keypoints)
    for before, after in zip(original, conversions.skeletons_from_message(message), strict=True):
        assert (after.id, after.tracking_state) == (before.id, before.tracking_state)
        for name in ("box", "pixels", "scores", "positions", "covariances", "states", "velocity"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        conversions.skeletons_from_message(message)[0].camera_from_torso, original[0].camera_from_torso, atol=1e-9
    )
    assert np.isnan(message.skeletons[1].torso.position.x)


def over_the_wire(message: object) -> object:
    return deserialize_message(serialize_message(message), type(message))


def test_hands_survive_message_and_wire() -> None:
    unknown = {"camera_from_palm": None, "pinch": np.nan, "openness": np.nan}
    original = (hand(), hand("left", **unknown))
    message = over_the_wire(conversions.skeleton_array_message([skeleton(hands=original)], COCO_17, HEADER))
    assert [sent.side for sent in message.skeletons[0].hands] == [Hand.RIGHT, Hand.LEFT]
    (person,) = conversions.skeletons_from_message(message)
    for before, after in zip(original, person.hands, strict=True):
        assert after.side == before.side
        for name in ("score", "pixels", "positions", "covariances", "states", "pinch", "openness"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(person.hands[0].camera_from_palm, TURN, atol=1e-9)
    assert person.hands[1].camera_from_palm is None
    assert np.isnan(message.skeletons[0].hands[1].palm.position.x)


def test_hand_message_lists_the_landmarks_in_their_order() -> None:
    path = Path(__file__).parents[2] / "msg" / "Hand.msg"
    if not path.is_file():
        pytest.skip("needs the sources")
    comment = " ".join(line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#"))
    assert tuple(comment.split("21 in this order: ")[1].split(", ")) == HAND_21.keypoints


def test_head_and_flatness_survive_message_and_wire() -> None:
    head = HeadPose(TURN, np.arange(36.0).reshape(6, 6), HeadSource.FEATURES)
    message = over_the_wire(
        conversions.skeleton_array_message([skeleton(head=head, is_flat=True), skeleton(id="p8")], COCO_17, HEADER)
    )
    flat, plain = conversions.skeletons_from_message(message)
    assert (flat.is_flat, plain.is_flat) == (True, False)
    assert flat.head.source == HeadSource.FEATURES
    np.testing.assert_allclose(flat.head.camera_from_head, TURN, atol=1e-9)
    np.testing.assert_array_equal(flat.head.covariance, head.covariance)
    assert plain.head is None
    assert message.skeletons[1].head_source == SkeletonMessage.HEAD_NONE
    assert np.isnan(message.skeletons[1].head.pose.position.x)
    assert np.isnan(message.skeletons[1].head.covariance).all()


def test_constants_of_the_message_are_those_of_the_core() -> None:
    names = {HeadSource: "HEAD_", TrackingState: ""}
    for kind, prefix in names.items():
        assert {item.name: getattr(SkeletonMessage, prefix + item.name) for item in kind} == {
            item.name: item.value for item in kind
        }


def test_hand_without_a_side_is_refused() -> None:
    message = conversions.skeleton_array_message([skeleton(hands=(hand(),))], COCO_17, HEADER)
    message.skeletons[0].hands[0].side = 7
    with pytest.raises(InvalidInputError, match="left"):
        conversions.skeletons_from_message(message)


def test_faces_survive_message_and_wire() -> None:
    rng = np.random.default_rng(4)
    positions = rng.normal(size=(468, 3))
    positions[7] = np.nan
    face = FaceMesh(0.875, rng.uniform(0, 60, (468, 2)), positions)
    people = [skeleton(id="p1", face=face), skeleton(id="p2")]
    message = over_the_wire(conversions.face_array_message(people, HEADER))
    assert isinstance(message, FaceArray)
    assert message.header == HEADER
    assert [sent.id for sent in message.faces] == ["p1"]
    found = conversions.faces_from_message(message)["p1"]
    assert found.score == 0.875
    np.testing.assert_allclose(found.pixels, face.pixels, rtol=1e-6)
    np.testing.assert_allclose(found.positions, face.positions, rtol=1e-6)


def test_missing_joint_never_carries_a_position() -> None:
    states = np.full(K, KeypointState.MISSING, np.uint8)
    careless = skeleton(states=states, positions=np.zeros((K, 3)), covariances=np.zeros((K, 3, 3)))
    for keypoint in conversions.skeleton_array_message([careless], COCO_17, HEADER).skeletons[0].keypoints:
        assert keypoint.state == Keypoint.MISSING
        assert np.isnan([keypoint.position.x, keypoint.position.y, keypoint.position.z]).all()
        assert np.isnan(keypoint.covariance).all()


def test_ground_truth_marks_hidden_joints_and_projects() -> None:
    positions = np.array([[[0.0, 0.0, 2.0], [0.2, 0.1, 2.0], [0.0, 0.0, -1.0]]])
    visible = np.array([[True, False, False]])
    (person,) = conversions.ground_truth_skeletons(positions, visible, ["anna"], CAMERA)
    assert person.states.tolist() == [KeypointState.MEASURED, KeypointState.INFERRED, KeypointState.INFERRED]
    np.testing.assert_allclose(person.pixels[1], [0.1 * 60 + 31.5, 0.05 * 61 + 23.5])
    assert np.isnan(person.pixels[2]).all()
    np.testing.assert_allclose(person.box, [31.5, 23.5, 37.5, 26.55])
    assert not person.covariances.any()


def test_markers_show_known_joints_and_clear_old_ones() -> None:
    message = conversions.marker_array_message([skeleton()], COCO_17, HEADER)
    assert message.markers[0].action == Marker.DELETEALL
    joints, limbs, name = message.markers[1:]
    assert len(joints.points) == len(joints.colors) == K - 1
    touching = sum(COCO_17.keypoints[3] in limb for limb in COCO_17.limbs)
    assert touching
    assert len(limbs.points) == len(limbs.colors) == 2 * (len(COCO_17.limbs) - touching)
    assert joints.colors[0] != joints.colors[1]
    assert name.text == "p7"
    empty = conversions.marker_array_message([], COCO_17, HEADER)
    assert [marker.action for marker in empty.markers] == [Marker.DELETEALL]


def test_markers_show_hands_and_head() -> None:
    person = skeleton(hands=(hand(), hand("left")), head=HeadPose(TURN, np.eye(6), HeadSource.FACE), is_flat=True)
    markers = {marker.ns: marker for marker in conversions.marker_array_message([person], COCO_17, HEADER).markers}
    fingers, axes = markers["p7/hands"], markers["p7/head"]
    assert len(fingers.points) == len(fingers.colors) == 2 * 2 * (len(HAND_21.limbs) - 1)  # one tip is missing
    ends = np.array([[point.x, point.y, point.z] for point in axes.points])
    np.testing.assert_allclose(ends[::2], np.tile(TURN[:3, 3], (3, 1)))
    np.testing.assert_allclose((ends[1::2] - ends[::2]).T / 0.2, TURN[:3, :3], atol=1e-12)
    assert [(color.r, color.g, color.b) for color in axes.colors[::2]] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert markers["p7/name"].text == "p7 flat"


def test_person_without_positions_has_no_markers() -> None:
    states = np.full(K, KeypointState.MISSING, np.uint8)
    flat = skeleton(states=states, positions=np.full((K, 3), np.nan), covariances=np.full((K, 3, 3), np.nan))
    assert len(conversions.marker_array_message([flat], COCO_17, HEADER).markers) == 1


def test_lost_person_is_shown_no_more() -> None:
    lost = skeleton(tracking_state=TrackingState.LOST)
    assert len(conversions.marker_array_message([lost], COCO_17, HEADER).markers) == 1
    black = np.zeros((480, 640, 3), np.uint8)
    assert draw_skeletons(black, [skeleton()], COCO_17).any()
    assert not draw_skeletons(black, [lost], COCO_17).any()


def test_transform_survives_the_message() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        matrix = np.eye(4)
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        matrix[:3, :3] = rotation * np.sign(np.linalg.det(rotation))
        matrix[:3, 3] = rng.normal(size=3)
        message = conversions.transform_message(matrix, "body_p1", HEADER)
        np.testing.assert_allclose(conversions.matrix_from_transform(message), matrix, atol=1e-9)
    assert message.header == HEADER
    assert message.child_frame_id == "body_p1"


def test_pose_without_rotation_is_refused() -> None:
    message = conversions.pose_message(np.eye(4))
    message.orientation.w = 0.0
    with pytest.raises(InvalidInputError, match="quaternion"):
        conversions.matrix_from_pose(message)


def test_diagnostics_hold_level_and_values() -> None:
    values = {"rate [Hz]": 29.97123, "dropped": 3}
    message = conversions.diagnostic_message(Header(), "human_pose", "cpu", b"\x01", "slow", values)
    (status,) = message.status
    assert (status.level, status.message) == (b"\x01", "slow")
    assert {pair.key: pair.value for pair in status.values} == {"rate [Hz]": "29.971", "dropped": "3"}
