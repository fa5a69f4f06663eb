"""Tests for simulation/camera.py: cameras that move, and depth that a camera of its own sees."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.geometry.registration import DepthRegistration
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.camera import HeldCamera
from pose_perception.simulation.scene import Scene
from pose_perception.simulation.sequence import SequenceConfig

CACHE = cache_directory() / "anny"


def test_a_still_camera_does_not_move_and_looks_slightly_down() -> None:
    scene = Scene(SequenceConfig(people=1, width=64, height=48), CACHE)
    first, later = (scene.at(time).fixed_from_camera for time in (0.0, 3.0))
    assert np.array_equal(first, later)
    assert first[:3, 3] == pytest.approx([0, 0, 1.2])
    assert first[:3, 2] == pytest.approx([0, np.cos(np.deg2rad(6)), -np.sin(np.deg2rad(6))])  # away, down


def test_a_held_camera_sways_slowly_and_comes_back() -> None:
    camera = HeldCamera(np.random.default_rng(0), 10.0)
    poses = np.array([np.linalg.inv(camera.at(time)) for time in np.arange(0, 10, 0.05)])
    assert np.allclose(camera.at(0.0), camera.at(10.0))
    moved = np.linalg.norm(poses[:, :3, 3] - poses[0, :3, 3], axis=1)
    assert 0.01 < moved.max() < 0.15
    turned = np.rad2deg(np.arccos(np.clip(poses[:, :3, 2] @ poses[0, :3, 2], -1, 1)))
    assert 2 < turned.max() < 15
    assert np.abs(np.diff(turned)).max() / 0.05 < 20


def test_who_stands_still_does_so_in_the_room_of_a_moving_camera() -> None:
    config = SequenceConfig(people=1, motion="still", camera_motion="hand_held", width=160, height=120)
    moments = [Scene(config, CACHE).at(time) for time in (0.0, 2.0, 5.0)]
    fixed = np.array([m.positions[0] @ m.fixed_from_camera[:3, :3].T + m.fixed_from_camera[:3, 3] for m in moments])
    assert np.abs(fixed - fixed[0]).max() < 1e-6
    assert np.abs(moments[1].positions - moments[0].positions).max() > 0.02
    # What is seen moves along: joints stay behind the surface of their body.
    for moment in moments:
        assert moment.visible.mean() > 0.5


def test_depth_of_another_view_agrees_with_registered_depth_once_it_is_registered() -> None:
    configs = [
        SequenceConfig(people=2, seed=3, noise=False, depth_view=view, width=320, height=240)
        for view in ("registered", "separate")
    ]
    ideal, separate = (Scene(config, CACHE) for config in configs)
    moment, other = ideal.at(1.0), separate.at(1.0)
    assert np.array_equal(moment.picture.color, other.picture.color)
    assert np.array_equal(moment.positions, other.positions)
    depth_camera = configs[1].depth_camera
    assert depth_camera is not None
    assert other.depth_picture.depth.shape == (480, 848)
    assert 0.01 < np.linalg.norm(separate.color_from_depth[:3, 3]) < 0.02
    register = DepthRegistration(depth_camera, configs[1].camera, separate.color_from_depth)
    registered = register(other.depth_picture.depth)
    known = np.isfinite(registered)
    assert known.mean() > 0.85
    error = np.abs(registered - moment.picture.depth)[known]
    assert np.median(error) < 0.002
    assert (error < 0.02).mean() > 0.93  # the rest lies at the edges of people
    # Unregistered it does not fit: the views differ.
    assert not np.allclose(other.depth_picture.depth[:240, :320], moment.picture.depth, atol=0.02)
