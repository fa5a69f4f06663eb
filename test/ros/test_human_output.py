"""Tests for ros/human_output.py: what the node publishes of given people, over real topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pose_perception.msg import FaceArray, SkeletonArray
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from sensor_msgs.msg import JointState

from pose_perception.datatypes import (
    CameraIntrinsics,
    FaceMesh,
    KeypointState,
    RgbdFrame,
    Skeleton,
    TrackingState,
)
from pose_perception.human.topology import COCO_17
from pose_perception.ros.conversions import faces_from_message, matrix_from_transform, skeletons_from_message
from pose_perception.ros.human_output import HumanOutput, HumanOutputConfig

if TYPE_CHECKING:
    from conftest import Ros

FRAME = RgbdFrame(
    np.zeros((120, 160, 3), np.uint8), None, CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5), 1_500_000_000, "eye"
)
TORSO = np.array([[0.0, 1.0, 0.0, 0.1], [0.0, 0.0, -1.0, 0.2], [-1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 1.0]])


def somebody(person_id: str = "p1", **changes: Any) -> Skeleton:
    """Someone of whom shoulders and hips are seen."""
    positions, states = np.full((17, 3), np.nan), np.full(17, KeypointState.MISSING, np.uint8)
    for name, point in {"left_shoulder": (0, 0.2, 0.5), "right_shoulder": (0, -0.2, 0.5)}.items():
        positions[COCO_17.index[name]] = TORSO[:3, :3] @ point + TORSO[:3, 3]
        states[COCO_17.index[name]] = KeypointState.MEASURED
    values = {
        "id": person_id,
        "score": 0.9,
        "tracking_state": TrackingState.TRACKED,
        "box": np.array([10.0, 10.0, 60.0, 110.0]),
        "pixels": np.full((17, 2), 50.0),
        "scores": np.ones(17),
        "positions": positions,
        "covariances": np.full((17, 3, 3), np.nan),
        "states": states,
        "velocity": np.zeros(3),
        "camera_from_torso": TORSO,
    }
    return Skeleton(**{**values, **changes})


class Published:
    """An output of an active node, and somebody who listens."""

    def __init__(self, ros: Ros, **config: Any) -> None:
        self.ros = ros
        self.node = ros.add(LifecycleNode("human_pose"))
        self.output = HumanOutput(self.node, COCO_17, HumanOutputConfig(**config))
        self.node.trigger_configure()
        self.node.trigger_activate()
        self._listener = ros.add(Node("listener"))

    def listen(self, kind: type, topic: str) -> list[Any]:
        """Return a list that fills with the messages of a topic."""
        messages: list[Any] = []
        self._listener.create_subscription(kind, topic, messages.append, 10)
        assert self.ros.spin_until(lambda: self.node.count_subscribers(topic))
        return messages

    def publish_until(self, condition: Callable[[], object], *people: Skeleton) -> None:
        """Publish people, again and again, until something is true."""
        assert self.ros.spin_until(lambda: self.output.publish(FRAME, people) is None and condition())


def test_faces_are_published_only_while_somebody_listens(ros: Ros) -> None:
    published = Published(ros)
    skeletons = published.listen(SkeletonArray, "/human_pose/skeletons")
    face = FaceMesh(0.5, np.zeros((468, 2)), np.ones((468, 3)))
    published.publish_until(lambda: skeletons, somebody(face=face))
    assert not published.output.wants_faces
    faces = published.listen(FaceArray, "/human_pose/faces")
    assert ros.spin_until(lambda: published.output.wants_faces)
    assert faces == []
    published.publish_until(lambda: faces, somebody(face=face), somebody("p2"))
    assert faces[0].header == skeletons[0].header
    assert faces_from_message(faces[0]).keys() == {"p1"}


def test_flat_people_are_marked(ros: Ros) -> None:
    published = Published(ros)
    skeletons = published.listen(SkeletonArray, "/human_pose/skeletons")
    published.publish_until(lambda: skeletons, somebody("p1", is_flat=True), somebody("p2"))
    assert {person.id: person.is_flat for person in skeletons_from_message(skeletons[0])} == {"p1": True, "p2": False}


def test_lost_people_are_no_bodies(ros: Ros) -> None:
    published = Published(ros, rep155=True, rep155_id_prefix="eye_")
    states = published.listen(JointState, "/humans/bodies/eye_p1/joint_states")
    lost = published.listen(JointState, "/humans/bodies/eye_p2/joint_states")
    people = [somebody("p1", tracking_state=TrackingState.PREDICTED), somebody("p2", tracking_state=TrackingState.LOST)]
    published.publish_until(lambda: states, *people)
    assert states[0].name == ["waist_eye_p1"]
    assert states[0].position[0] == pytest.approx(0.0, abs=1e-12)
    ros.spin_for(0.2)
    assert lost == []


def test_what_hri_msgs_would_add_is_said_once(ros: Ros, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        import hri_msgs  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("hri_msgs is installed")
    published = Published(ros, rep155=True)
    for _ in range(3):
        published.output.publish(FRAME, [somebody()])
    assert capfd.readouterr().err.count("hri_msgs is not installed") == 1


def test_torso_and_body_are_one_frame_where_they_have_one_name(ros: Ros) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a complete ROS 2 only")
    published = Published(ros, rep155=True, publish_tf=True)
    arrays = published.listen(tf2_msgs.TFMessage, "/tf")
    published.publish_until(lambda: arrays, somebody())
    assert sorted(frame.child_frame_id for frame in arrays[0].transforms) == ["body_p1", "torso_p1"]
    np.testing.assert_allclose(matrix_from_transform(arrays[0].transforms[0]), TORSO, atol=1e-9)
