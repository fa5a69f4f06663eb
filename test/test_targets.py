"""Tests for imitation/targets.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_perception.datatypes import HandPose, Skeleton
from pose_perception.errors import ConfigurationError
from pose_perception.evaluation.imitation_motion import CAMERA_FROM_FRONT, robot_as_person, skeleton_of
from pose_perception.human.hand_model import palm_pose
from pose_perception.human.topology import COCO_17, HAND_21
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.steering import Clutch
from pose_perception.imitation.targets import (
    BodyArm,
    Calibration,
    Mapper,
    MappingConfig,
    body_arms,
    calibrate,
    target_points,
)
from pose_perception.imitation.urdf import rotation_from_rpy


def _skeleton(**arms: tuple[np.ndarray, np.ndarray]) -> Skeleton:
    """Return somebody whose hanging arms are replaced by others: directions of both bones in the torso, by side."""
    points = robot_as_person(load_robot("panda"), load_robot("panda").rest)
    for side in ("left", "right"):
        upper, forearm = arms.get(side, (np.array([0, 0, -1.0]), np.array([0, 0, -1.0])))
        turn = CAMERA_FROM_FRONT[:3, :3]
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] + 0.3 * turn @ upper
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + 0.25 * turn @ forearm
    return skeleton_of(points)


FORWARD, LEFT, UP = np.eye(3)


def _moved(skeleton: Skeleton, turn: np.ndarray, shift: np.ndarray, scale: float) -> Skeleton:
    """Return somebody of another size, who stands somewhere else."""
    positions = scale * skeleton.positions @ turn.T + shift
    return skeleton_of({name: positions[i] for name, i in COCO_17.index.items() if np.isfinite(positions[i, 0])})


def test_directions_do_not_depend_on_size_and_place() -> None:
    robot = load_robot("g1")
    here = _skeleton(left=(FORWARD, UP), right=(-LEFT, FORWARD))
    there = _moved(here, rotation_from_rpy(0.3, -0.8, 1.9), np.array([0.4, -0.2, 1.0]), 0.7)
    mapper = Mapper(robot, MappingConfig())
    for skeleton in (here, there):
        targets = mapper.targets(body_arms(skeleton, COCO_17.keypoints))
        np.testing.assert_allclose(targets["left"].upper, FORWARD, atol=1e-6)
        np.testing.assert_allclose(targets["left"].forearm, UP, atol=1e-6)
        np.testing.assert_allclose(targets["right"].upper, -LEFT, atol=1e-6)
        np.testing.assert_allclose(targets["right"].forearm, FORWARD, atol=1e-6)


def test_a_mirror_image_swaps_sides() -> None:
    skeleton = _skeleton(left=(LEFT, FORWARD))
    targets = Mapper(load_robot("g1"), MappingConfig(mirrored=True)).targets(body_arms(skeleton, COCO_17.keypoints))
    np.testing.assert_allclose(targets["right"].upper, -LEFT, atol=1e-6)
    np.testing.assert_allclose(targets["right"].forearm, FORWARD, atol=1e-6)
    np.testing.assert_allclose(targets["left"].upper, -UP, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_single_arm_follows_the_arm_that_is_asked_for(side: str) -> None:
    skeleton = _skeleton(left=(LEFT, UP), right=(FORWARD, UP))
    mapper = Mapper(load_robot("panda"), MappingConfig(person_arm=side))
    upper = mapper.targets(body_arms(skeleton, COCO_17.keypoints))["single"].upper
    np.testing.assert_allclose(upper, LEFT if side == "left" else FORWARD, atol=1e-6)


def test_what_is_missing_stays_missing() -> None:
    skeleton = _skeleton()
    mapper = Mapper(load_robot("g1"), MappingConfig())
    skeleton.positions[COCO_17.index["left_wrist"]] = np.nan
    skeleton.positions[COCO_17.index["right_elbow"]] = np.nan
    targets = mapper.targets(body_arms(skeleton, COCO_17.keypoints))
    assert targets["left"].upper is not None
    assert targets["left"].forearm is None
    assert targets["right"].upper is None
    assert targets["right"].forearm is None
    assert targets["left"].tool is None
    assert np.isnan(targets["left"].opening)
    nobody = mapper.targets(body_arms(replace(skeleton, camera_from_torso=None), COCO_17.keypoints))
    assert all(target.upper is None and target.forearm is None for target in nobody.values())


def test_points_have_the_lengths_of_the_robot() -> None:
    robot = load_robot("baxter")
    target = Mapper(robot, MappingConfig()).targets(body_arms(_skeleton(left=(FORWARD, UP)), COCO_17.keypoints))["left"]
    arm = robot.arms["left"]
    points = target_points(arm, target, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(points.elbow, [1 + arm.upper_m, 2, 3], atol=1e-6)
    np.testing.assert_allclose(points.wrist, [1 + arm.upper_m, 2, 3 + arm.forearm_m], atol=1e-6)


def _hand(side: str, torso_from_palm: np.ndarray, pinch: float) -> HandPose:
    camera_from_palm = np.eye(4)
    camera_from_palm[:3, :3] = CAMERA_FROM_FRONT[:3, :3] @ torso_from_palm
    missing = np.full((21, 3), np.nan)
    states = np.zeros(21, np.uint8)
    return HandPose(
        side, 1.0, missing[:, :2], missing, np.full((21, 3, 3), np.nan), states, camera_from_palm, pinch, 1.0
    )


def test_the_tool_follows_the_palm_and_the_gripper_the_pinch() -> None:
    robot = load_robot("panda")
    config = MappingConfig(pinch_closed_m=0.02, pinch_open_m=0.10)
    for pinch, opening in ((0.01, 0.0), (0.06, 0.5), (0.3, 1.0)):
        skeleton = replace(_skeleton(), hands=(_hand("right", np.eye(3), pinch),))
        target = Mapper(robot, config).targets(body_arms(skeleton, COCO_17.keypoints))["single"]
        assert target.tool is not None
        assert target.opening == pytest.approx(opening)
        # Fingers forward: the hand of the Panda points along its z axis.
        np.testing.assert_allclose(target.tool[:, 2], FORWARD, atol=1e-6)


def test_a_mirrored_palm_is_that_of_the_other_hand() -> None:
    # A right hand with its mirror image: palm_pose has a mirrored convention for left hands.
    right = np.full((21, 3), np.nan)
    for name, point in {
        "wrist": (0, 0, 0),
        "index_mcp": (0.09, 0.03, 0.01),
        "middle_mcp": (0.09, 0.01, 0.02),
        "pinky_mcp": (0.07, -0.04, 0.0),
    }.items():
        right[HAND_21.index[name]] = point
    palm, image = palm_pose(right, "right"), palm_pose(right * [1, -1, 1], "left")
    assert palm is not None
    assert image is not None
    robot = load_robot("g1")
    body = {"right": BodyArm(None, None, palm[:3, :3], np.nan)}
    tool = Mapper(robot, MappingConfig(mirrored=True)).targets(body)["left"].tool
    np.testing.assert_allclose(tool, image[:3, :3] @ robot.arms["left"].palm_from_tool, atol=1e-9)


def test_the_clutch_moves_from_where_it_closed() -> None:
    home, home_tool = np.array([0.4, 0.0, 0.5]), rotation_from_rpy(0.1, 0.2, 0.3)
    wrist, palm = np.array([1.0, 1.0, 1.0]), rotation_from_rpy(0.5, 0.0, 0.0)
    clutch = Clutch(scale=2.0)
    assert clutch.target(wrist, palm).wrist is None
    clutch.close(wrist, palm, home, home_tool)
    still = clutch.target(wrist, palm)
    np.testing.assert_allclose(still.wrist, home)
    np.testing.assert_allclose(still.tool, home_tool)
    turn = rotation_from_rpy(0.0, 0.0, 0.7)
    moved = clutch.target(wrist + np.array([0.1, 0.0, -0.05]), turn @ palm)
    np.testing.assert_allclose(moved.wrist, [0.6, 0.0, 0.4])
    np.testing.assert_allclose(moved.tool, turn @ home_tool)
    assert clutch.target(None, None).wrist is None
    clutch.open()
    assert clutch.target(wrist, palm).wrist is None


def test_a_calibration_takes_the_tilt_out_and_tells_the_lengths() -> None:
    tilt = rotation_from_rpy(0.1, -0.15, 0.05)
    frame = {
        side: BodyArm(tilt @ (0.3 * direction), tilt @ (0.25 * direction), None, np.nan)
        for side, direction in (("left", LEFT), ("right", -LEFT))
    }
    calibration = calibrate([frame] * 5, "t")
    np.testing.assert_allclose(calibration.lengths_m["left"], [0.3, 0.25])
    target = Mapper(load_robot("g1"), MappingConfig(), calibration).targets(frame)
    np.testing.assert_allclose(target["left"].upper, LEFT, atol=1e-9)
    np.testing.assert_allclose(target["right"].forearm, -LEFT, atol=1e-9)


def test_a_calibration_without_arms_or_with_another_pose_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="shoulder, elbow and wrist"):
        calibrate([{"left": BodyArm(UP, None, None, np.nan)}], "n")
    with pytest.raises(ConfigurationError, match="t, n; got 'a'"):
        calibrate([], "a")
    assert Calibration({}, {}).turns == {}


def test_configurations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="smaller than pinch_open_m"):
        MappingConfig(pinch_closed_m=0.1, pinch_open_m=0.1)
    with pytest.raises(ConfigurationError, match="left, right"):
        MappingConfig(person_arm="both")
    with pytest.raises(ConfigurationError, match="positive"):
        Clutch(0.0)
