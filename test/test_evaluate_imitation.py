"""Tests for evaluation/imitation.py, imitation_motion.py and imitation_cli.py: goals on short samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.evaluation.imitation import (
    angle_deg,
    has_closed_form,
    measure_clip,
    measure_closed_form,
    measure_human,
    measure_noise,
    measure_settled,
)
from pose_perception.evaluation.imitation_motion import HumanModel, clip_points, skeleton_of, wandering
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.motion_clips import JOINTS, MotionClip, read_clip
from pose_perception.imitation.retargeting import RetargetingConfig
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.robot_config import robot_names
from pose_perception.imitation.targets import MappingConfig


def test_the_person_model_has_a_torso_and_bones_of_its_description() -> None:
    human = HumanModel()
    points = human.points(human.random(np.random.default_rng(0)))
    assert np.linalg.norm(points["left_elbow"] - points["left_shoulder"]) == pytest.approx(0.276, abs=1e-3)
    assert np.linalg.norm(points["right_wrist"] - points["right_elbow"]) == pytest.approx(0.287, abs=1e-3)
    torso = skeleton_of(points).camera_from_torso
    assert torso is not None
    # They face the camera and stand upright: x against its z, z against its y.
    np.testing.assert_allclose(torso[:3, 0], [0, 0, -1], atol=0.05)
    np.testing.assert_allclose(torso[:3, 2], [0, -1, 0], atol=0.05)
    assert points["left_shoulder"][0] > 0 > points["right_shoulder"][0]


def test_closed_forms_meet_their_goals() -> None:
    for name, arm in (("panda", "single"), ("g1", "right")):
        own = measure_closed_form(load_robot(name), arm)
        assert own.direction_deg < 1.0
        assert own.joint_rmse_rad < 1e-3
        assert own.reached == 1.0
    person = measure_human(load_robot("g1"), "left", MappingConfig())
    assert person.direction_deg < 1.0
    assert person.reached > 0.95


def test_poses_that_are_held_are_reached_by_an_arm_without_closed_form() -> None:
    robot = load_robot("ur5")
    assert not has_closed_form(robot, "single")
    assert measure_settled(robot, RetargetingConfig()).max() < 1.0


def test_noise_is_smoothed_without_lag() -> None:
    figures = measure_noise(load_robot("g1"), RetargetingConfig(), seconds=8.0)
    assert figures.wrist_m[0] < 0.030
    assert figures.swivel_deg[0] < 5.0
    assert figures.jerk_ratio > 10.0
    assert figures.delay_s < 0.1


@pytest.mark.parametrize("name", robot_names())
def test_recorded_motion_breaks_nothing(name: str, shared_data: Path) -> None:
    robot = load_robot(name)
    clip = read_clip(shared_data / "arm_motion" / "humanoid3d_punch.txt")
    figures = measure_clip(robot, load_capsules(name, robot.kinematics), None, clip, RetargetingConfig())
    assert figures.commands > 200
    assert (figures.position, figures.velocity, figures.acceleration) == (0, 0, 0)
    assert figures.nearest_m > 0.02
    assert 0 < figures.first_steps <= 1


def test_clips_are_resampled_in_between() -> None:
    positions = np.arange(5.0)[:, None, None] * np.ones((1, len(JOINTS), 3))
    points = clip_points(MotionClip("line", 60.0, positions), 45.0)
    np.testing.assert_allclose([frame["left_wrist"][0] for frame in points], [0.0, 4 / 3, 8 / 3, 4.0])


def test_motion_around_rest_stays_inside_of_the_limits() -> None:
    robot = load_robot("tiago_pro")
    motion = wandering(robot, np.arange(0, 30, 0.01), np.random.default_rng(0))
    assert np.all((motion >= robot.lower) & (motion <= robot.upper))
    assert motion.std(axis=0).min() > 0.02
    assert angle_deg(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])) == pytest.approx(90.0)


def test_a_wrong_robot_or_folder_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", "imitation", "--robots", "nao"]) == 2
    assert "choose one of baxter" in capsys.readouterr().err
    assert main(["evaluate", "imitation", "--clips", str(tmp_path)]) == 2
    assert "no .bvh or .txt" in capsys.readouterr().err
