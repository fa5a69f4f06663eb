"""Tests for ros/conversions/robots.py and target_markers.py, and for reading what others wrote into skeletons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pose_perception.msg import Hand, ImitationStatus, SkeletonArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pose_perception.datatypes import KeypointState
from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.imitation_motion import robot_as_person, skeleton_of
from pose_perception.human.topology import COCO_17
from pose_perception.imitation.imitator import Status
from pose_perception.imitation.joint_path import JointPath
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.supervisor import State
from pose_perception.imitation.targets import Mapper, MappingConfig, body_arms
from pose_perception.ros import conversions

HEADER = conversions.header_message(5 * 10**9, "base")


def test_trajectory_comes_back_in_the_order_that_is_asked_for() -> None:
    path = JointPath(np.array([0.01, 0.21]), np.array([[1.0, 2.0], [1.1, 2.1]]), np.array([[0.5, 0.6], [0.0, 0.0]]))
    message = conversions.joint_trajectory_message(["a", "b"], path)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    found = conversions.path_from_message(message, ["b", "a"])
    np.testing.assert_allclose(found.times_s, path.times_s)
    np.testing.assert_allclose(found.positions, path.positions[:, ::-1])
    np.testing.assert_allclose(found.velocities, path.velocities[:, ::-1])
    for point in message.points:
        point.velocities = []
    assert np.isnan(conversions.path_from_message(message, ["a", "b"]).velocities).all()


@pytest.mark.parametrize(
    "message",
    [
        JointTrajectory(joint_names=["a"]),
        JointTrajectory(joint_names=["a", "b"]),
        JointTrajectory(joint_names=["a", "b"], points=[JointTrajectoryPoint(positions=[1.0])]),
        JointTrajectory(joint_names=["a", "b"], points=[JointTrajectoryPoint(positions=[1.0, np.nan])]),
        JointTrajectory(joint_names=["a", "b"], points=[JointTrajectoryPoint(positions=[1.0, 1.0])] * 2),
    ],
    ids=["other joints", "empty", "too few", "nan", "same times"],
)
def test_trajectory_that_makes_no_path_is_refused(message: JointTrajectory) -> None:
    with pytest.raises(InvalidInputError):
        conversions.path_from_message(message, ["a", "b"])


def test_joint_states_come_back() -> None:
    values = conversions.JointValues(("a", "b"), np.array([1.0, 2.0]), np.array([0.1, 0.2]))
    found = conversions.joint_values_from_message(conversions.robot_state_message(values, HEADER))
    assert found.names == values.names
    np.testing.assert_array_equal([*found.positions, *found.velocities], [1.0, 2.0, 0.1, 0.2])
    silent = conversions.joint_values_from_message(JointState(name=["a"], position=[1.0]))
    assert np.isnan(silent.velocities).all()


@pytest.mark.parametrize(
    "message",
    [
        JointState(name=["a"]),
        JointState(name=["a", "a"], position=[1.0, 1.0]),
        JointState(name=["a"], position=[1.0], velocity=[1.0, 2.0]),
    ],
)
def test_joint_states_that_do_not_fit_are_refused(message: JointState) -> None:
    with pytest.raises(InvalidInputError):
        conversions.joint_values_from_message(message)


def test_positions_come_back_or_are_refused() -> None:
    q = np.array([1.0, 2.0])
    np.testing.assert_array_equal(conversions.positions_from_message(conversions.positions_message(q), 2), q)
    for wrong in ([1.0], [1.0, np.nan]):
        with pytest.raises(InvalidInputError):
            conversions.positions_from_message(Float64MultiArray(data=wrong), 2)


def test_status_says_what_the_core_says() -> None:
    assert {state.name: int(state) for state in State} == {
        state.name: getattr(ImitationStatus, state.name) for state in State
    }
    status = Status(State.HOLDING, "paused", "a1", 0.2, {"paused": 3})
    message = conversions.imitation_status_message(status, 0.05, True, {"dropped": 2}, "/a.mcap", HEADER)
    assert (message.state, message.reason, message.operator_id) == (ImitationStatus.HOLDING, "paused", "a1")
    assert (message.person_age, message.nearest_distance, message.is_following) == (0.2, 0.05, True)
    assert (message.count_names, list(message.counts)) == (["paused", "dropped"], [3, 2])
    assert message.recording == "/a.mcap"


def test_markers_show_the_bones_that_are_asked_for() -> None:
    robot = load_robot("panda")
    person = skeleton_of(robot_as_person(robot, robot.rest))
    targets = Mapper(robot, MappingConfig()).targets(body_arms(person, COCO_17.keypoints))
    clear, bones = conversions.target_markers_message(robot, robot.rest, targets, HEADER).markers
    assert clear.action == clear.DELETEALL
    shoulder, elbow, _, wrist = (np.array([p.x, p.y, p.z]) for p in bones.points)
    points = robot.points(robot.rest, "single")
    np.testing.assert_allclose([shoulder, elbow, wrist], [points.shoulder, points.elbow, points.wrist], atol=1e-6)
    assert len(conversions.target_markers_message(robot, robot.rest, {}, HEADER).markers) == 1


def person_message() -> SkeletonArray:
    person = skeleton_of(robot_as_person(load_robot("panda"), load_robot("panda").rest))
    return conversions.skeleton_array_message([person], COCO_17, HEADER)


def test_position_of_what_is_missing_is_not_believed() -> None:
    message = person_message()
    keypoint = message.skeletons[0].keypoints[COCO_17.index["right_wrist"]]
    keypoint.state, keypoint.position.x = int(KeypointState.MISSING), 0.0
    (person,) = conversions.skeletons_from_message(message)
    assert np.isnan(person.positions[COCO_17.index["right_wrist"]]).all()
    assert np.isfinite(person.positions[COCO_17.index["right_elbow"]]).all()


def _spoil(name: str, value: int) -> Callable[[SkeletonArray], None]:
    return lambda message: setattr(message.skeletons[0], name, value)


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil("tracking_state", 9),
        _spoil("head_source", 9),
        lambda message: setattr(message.skeletons[0].keypoints[3], "state", 9),
        lambda message: message.skeletons[0].keypoints.pop(),
        lambda message: message.skeletons.append(message.skeletons[0]),
        lambda message: setattr(message.skeletons[0].torso.orientation, "w", float("nan")),
        lambda message: message.skeletons[0].hands.append(Hand(side=7)),
    ],
    ids=["tracking state", "head source", "keypoint state", "keypoints", "same id", "torso", "hand"],
)
def test_skeletons_that_make_no_sense_are_refused(spoil: Callable[[SkeletonArray], None]) -> None:
    message = person_message()
    spoil(message)
    with pytest.raises(InvalidInputError):
        conversions.skeletons_from_message(message)
