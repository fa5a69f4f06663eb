"""Tests for ros/bodies.py: REP-155's topics and frames, as other programs see them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import JointState

from pose_perception.datatypes import (
    CameraIntrinsics,
    HeadPose,
    HeadSource,
    KeypointState,
    RgbdFrame,
    Skeleton,
    TrackingState,
)
from pose_perception.human.joint_angles import JOINTS, joint_angles
from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose
from pose_perception.ros.bodies import BodiesOutput
from pose_perception.ros.conversions import header_message, matrix_from_transform

if TYPE_CHECKING:
    from conftest import Ros

CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 319.5, 239.5)
FRAME = RgbdFrame(np.zeros((480, 640, 3), np.uint8), None, CAMERA, 5_250_000_000, "camera")
# Somebody 2 m away who faces the camera, the right hand lifted to the side and forwards.
JOINTS_M = {
    "left_shoulder": (0.18, -0.5, 2.0),
    "right_shoulder": (-0.18, -0.5, 2.0),
    "left_elbow": (0.2, -0.2, 2.02),
    "right_elbow": (-0.45, -0.45, 1.95),
    "left_wrist": (0.22, 0.03, 1.9),
    "right_wrist": (-0.5, -0.6, 1.7),
    "left_hip": (0.1, 0.0, 2.0),
    "right_hip": (-0.1, 0.0, 2.0),
    "left_knee": (0.12, 0.42, 1.95),
    "right_knee": (-0.11, 0.42, 1.98),
    "left_ankle": (0.12, 0.83, 2.05),
    "right_ankle": (-0.11, 0.83, 2.02),
}


def somebody(person_id: str = "p1", **changes: Any) -> Skeleton:
    positions, states = np.full((17, 3), np.nan), np.full(17, KeypointState.MISSING, np.uint8)
    for name, position in JOINTS_M.items():
        positions[COCO_17.index[name]] = position
        states[COCO_17.index[name]] = KeypointState.MEASURED
    pixels = np.stack([320 + 10 * np.arange(17.0), 100 + 20 * np.arange(17.0)], axis=1)
    values = {
        "id": person_id,
        "score": 0.75,
        "tracking_state": TrackingState.TRACKED,
        "box": np.array([-64.0, 48.0, 320.0, 432.0]),
        "pixels": pixels,
        "scores": np.full(17, 0.5),
        "positions": positions,
        "covariances": np.tile(np.eye(3), (17, 1, 1)),
        "states": states,
        "velocity": np.zeros(3),
        "camera_from_torso": torso_pose(positions, COCO_17),
    }
    return Skeleton(**{**values, **changes})


def head() -> HeadPose:
    pose = np.eye(4)
    pose[:3, :3] = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    pose[:3, 3] = 0.0, -0.75, 1.9
    return HeadPose(pose, np.eye(6), HeadSource.FACE)


class Bodies:
    """An output, and who listens to the joints of its people."""

    def __init__(self, ros: Ros, id_prefix: str = "", with_limbs: bool = True) -> None:
        self.node = ros.add(Node("human_pose"))
        self.output = BodiesOutput(self.node, COCO_17, id_prefix, with_limbs)
        self._ros = ros
        self._listener = ros.add(Node("listener"))
        self._states: dict[str, list[JointState]] = {}

    def listen(self, body_id: str) -> list[JointState]:
        """Return a list that fills with the joints of one body."""
        self._states[body_id] = []
        topic = f"/humans/bodies/{body_id}/joint_states"
        self._listener.create_subscription(JointState, topic, self._states[body_id].append, 10)
        return self._states[body_id]

    def topics(self) -> set[str]:
        """Return the names under /humans that somebody publishes."""
        names = self._listener.get_topic_names_and_types()
        return {name for name, _ in names if self._listener.count_publishers(name) and name.startswith("/humans")}


def test_joint_states_arrive_and_are_the_angles(ros: Ros) -> None:
    bodies = Bodies(ros)
    received = bodies.listen("p1")
    assert ros.spin_until(lambda: bodies.output.publish(FRAME, [somebody(head=head())]) and received)
    person = somebody()
    expected = joint_angles(person.positions, COCO_17, person.camera_from_torso, head().camera_from_head)
    message = received[0]
    assert message.header.stamp == header_message(FRAME.stamp_ns, "").stamp
    assert message.name == [f"{joint}_p1" for joint in JOINTS]
    np.testing.assert_allclose(message.position, expected, atol=1e-12)


def test_unknown_joints_are_left_out_and_positions_without_evidence_do_not_count(ros: Ros) -> None:
    bodies = Bodies(ros)
    received = bodies.listen("p1")
    person = somebody()
    person.states[COCO_17.index["left_wrist"]] = KeypointState.MISSING
    assert ros.spin_until(lambda: bodies.output.publish(FRAME, [person]) and received)
    assert set(JOINTS) - {name.removesuffix("_p1") for name in received[0].name} == {
        *("r_head", "y_head", "p_head", "l_r_shoulder", "l_elbow")
    }
    assert np.isfinite(received[0].position).all()


def test_publishers_of_people_who_are_gone_are_removed(ros: Ros) -> None:
    bodies = Bodies(ros, id_prefix="left_")
    bodies.output.publish(FRAME, [somebody("p1"), somebody("p2")])
    names = {body: f"/humans/bodies/left_{body}/joint_states" for body in ("p1", "p2")}
    assert ros.spin_until(lambda: set(names.values()) <= bodies.topics())
    bodies.output.publish(FRAME, [somebody("p2")])
    assert ros.spin_until(lambda: names["p1"] not in bodies.topics())
    assert names["p2"] in bodies.topics()
    bodies.output.clear()
    assert ros.spin_until(lambda: names["p2"] not in bodies.topics())
    bodies.output.publish(FRAME, [somebody("p1")])
    assert ros.spin_until(lambda: names["p1"] in bodies.topics())
    bodies.output.destroy()
    assert ros.spin_until(lambda: not bodies.topics())


def test_frames_of_limbs_lie_in_the_joints_and_hang_on_the_body(ros: Ros) -> None:
    person = somebody(head=head())
    frames = {frame.child_frame_id: frame for frame in Bodies(ros).output.publish(FRAME, [person])}
    body = frames.pop("body_p1")
    assert body.header.frame_id == "camera"
    camera_from_body = matrix_from_transform(body)
    np.testing.assert_allclose(camera_from_body, person.camera_from_torso, atol=1e-9)
    assert {frame.header.frame_id for frame in frames.values()} == {"body_p1"}
    assert {(frame.header.stamp.sec, frame.header.stamp.nanosec) for frame in frames.values()} == {(5, 250_000_000)}
    camera_from = {name: camera_from_body @ matrix_from_transform(frame) for name, frame in frames.items()}
    np.testing.assert_allclose(camera_from["head_p1"], head().camera_from_head, atol=1e-9)
    sides = {"l": "left", "r": "right"}
    for name, position in JOINTS_M.items():
        side, part = name.split("_")
        np.testing.assert_allclose(camera_from[f"{side[0]}_{part}_p1"][:3, 3], position, atol=1e-9)
    for letter, side in sides.items():
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            limb = np.subtract(JOINTS_M[f"{side}_{end}"], JOINTS_M[f"{side}_{start}"])
            down = -camera_from[f"{letter}_{start}_p1"][:3, 2]
            np.testing.assert_allclose(down, limb / np.linalg.norm(limb), atol=1e-6)


def test_limbs_can_be_left_to_a_robot_state_publisher(ros: Ros) -> None:
    frames = Bodies(ros, with_limbs=False).output.publish(FRAME, [somebody(head=head())])
    assert [frame.child_frame_id for frame in frames] == ["body_p1", "head_p1"]


def test_head_without_a_body_is_given_in_the_frame_of_the_camera(ros: Ros) -> None:
    alone = somebody(head=head(), camera_from_torso=None)
    (frame,) = Bodies(ros).output.publish(FRAME, [alone])
    assert (frame.header.frame_id, frame.child_frame_id) == ("camera", "head_p1")
    np.testing.assert_allclose(matrix_from_transform(frame), head().camera_from_head, atol=1e-9)


@pytest.fixture(scope="module")
def heard() -> dict[str, Any]:
    """What a program with hri_msgs receives of two people: see ros4hri_listener.py."""
    folder = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        environment = importlib.import_module("hri_package").environment_with_hri_msgs()
    done = subprocess.run(
        [sys.executable, folder / "ros4hri_listener.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hri_msgs is not installed" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ros4hri_hears_who_is_tracked_and_where_they_are_in_the_image(heard: dict[str, Any]) -> None:
    assert heard["ids"] == ["p1", "p2"]
    np.testing.assert_allclose(heard["roi"], [0.0, 0.1, 0.5, 0.9, 0.75], atol=1e-6)
    assert heard["frames"] == ["camera", "camera"]
    assert heard["stamps"] == [[5, 250_000_000]] * 2


def test_points_of_the_skeleton_are_mapped_by_name(heard: dict[str, Any]) -> None:
    pixels = somebody().pixels / (640, 480)
    expected = {number: pixels[COCO_17.index[name]] for number, name in ((14, "left_eye"), (15, "right_eye"))}
    expected |= {16: pixels[COCO_17.index["left_ear"]], 17: pixels[COCO_17.index["right_ear"]]}
    expected |= {2: pixels[COCO_17.index["right_shoulder"]], 5: pixels[COCO_17.index["left_shoulder"]]}
    expected |= {13: pixels[COCO_17.index["left_ankle"]], 1: (expected[2] + expected[5]) / 2}
    for number, point in expected.items():
        np.testing.assert_allclose(heard["points"][number], point, atol=1e-6)


def test_points_that_are_unknown_or_outside_have_no_place_and_no_confidence(heard: dict[str, Any]) -> None:
    unknown = {number for number, point in enumerate(heard["points"]) if point is None}
    assert unknown == {0, 3}  # nose and right elbow
    assert [heard["confidence"][number] for number in range(18)] == [0.0 if n in unknown else 0.5 for n in range(18)]
