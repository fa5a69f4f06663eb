"""Tests for ros/joint_reader.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.ros.conversions import JointValues
from pose_perception.ros.joint_reader import JointReader


def values(**joints: float) -> JointValues:
    positions = np.array(list(joints.values()))
    return JointValues(tuple(joints), positions, 10 * positions)


def test_joints_are_picked_by_name_in_any_order_and_others_are_left_out() -> None:
    report = JointReader(["a", "b"]).read(5.0, values(b=2.0, gripper=9.0, a=1.0))
    assert report is not None
    np.testing.assert_array_equal([report.q, report.velocity], [[1.0, 2.0], [10.0, 20.0]])
    assert report.stamp_s == 5.0


def test_parts_are_put_together_and_are_as_old_as_the_oldest() -> None:
    reader = JointReader(["a", "b"])
    assert reader.read(5.0, values(a=1.0)) is None
    assert reader.missing() == ["b"]
    assert reader.read(5.1, values(gripper=1.0)) is None
    report = reader.read(5.2, values(b=2.0))
    assert report is not None
    assert (report.stamp_s, report.q.tolist()) == (5.0, [1.0, 2.0])
    assert reader.missing() == []


def test_older_states_are_refused_and_forgetting_takes_them() -> None:
    reader = JointReader(["a"])
    reader.read(5.0, values(a=1.0))
    with pytest.raises(InvalidInputError, match="back"):
        reader.read(4.9, values(a=2.0))
    reader.forget()
    assert reader.read(4.9, values(a=2.0)) is not None


def test_numbers_that_are_none_are_reported_and_not_kept() -> None:
    reader = JointReader(["a", "b"])
    reader.read(5.0, values(a=1.0, b=2.0))
    report = reader.read(5.1, values(a=np.nan))
    assert report is not None
    assert np.isnan(report.q[0])
    report = reader.read(5.2, values(b=3.0))
    assert report is not None
    assert report.q.tolist() == [1.0, 3.0]


def test_velocity_that_the_robot_does_not_tell_is_that_of_its_positions() -> None:
    reader = JointReader(["a", "b"])
    for i in range(30):
        silent = JointValues(("a", "b"), np.array([0.2 * 0.01 * i, 1.0]), np.array([np.nan, 7.0]))
        report = reader.read(5.0 + 0.01 * i, silent)
        assert report is not None
        assert np.isnan(report.velocity[0]) or i >= 5
    np.testing.assert_allclose(report.velocity, [0.2, 7.0])
