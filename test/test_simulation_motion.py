"""Tests for simulation/motion.py: what the arms of the simulated people do. Needs no body model."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.simulation.motion import GESTURES, Motion
from pose_perception.simulation.posing import Pose


def numbers(pose: Pose) -> np.ndarray:
    arms = [np.concatenate([arm.wrist, arm.pole, arm.palm, [arm.curl]]) for arm in pose.arms.values()]
    return np.concatenate([pose.sway, pose.trunk, pose.head, *arms])


@pytest.mark.parametrize("kind", [*GESTURES, "mixed", "waving", "rest"])
@pytest.mark.parametrize("duration", [1.0, 10.0])
def test_motion_is_a_smooth_loop(kind: str, duration: float) -> None:
    motion = Motion(np.random.default_rng(3), duration, kind)
    step = 0.02
    poses = np.array([numbers(motion.at(t)) for t in np.arange(0, duration, step)])
    assert np.allclose(numbers(motion.at(0.0)), numbers(motion.at(duration)), atol=1e-9)
    velocity = np.diff(np.concatenate([poses, poses[:2]]), axis=0) / step
    # Lengths of the arm (about 0.5 m) per second, and its change from step to step.
    assert np.abs(velocity).max() < 8
    assert np.abs(np.diff(velocity, axis=0)).max() < 2


def test_the_same_seed_gives_the_same_motion() -> None:
    one, same, other = (Motion(np.random.default_rng(seed), 8.0, "mixed") for seed in (5, 5, 6))
    assert np.array_equal(numbers(one.at(2.5)), numbers(same.at(2.5)))
    assert not np.allclose(numbers(one.at(2.5)), numbers(other.at(2.5)))


def wrists(kind: str) -> np.ndarray:
    motion = Motion(np.random.default_rng(0), 8.0, kind)
    return np.array([motion.at(t).arms["left"].wrist for t in np.arange(0, 8, 0.02)])


def test_a_wave_lifts_the_hand_above_the_shoulder_and_swings_it() -> None:
    wrist = wrists("wave")
    raised = wrist[wrist[:, 2] > 0.15, 0]
    swings = np.count_nonzero(np.diff(np.sign(np.diff(raised))))
    assert swings >= 4
    assert np.ptp(raised) > 0.2


def test_pointing_stretches_the_arm_forward() -> None:
    wrist = wrists("point")
    farthest = wrist[wrist[:, 1].argmax()]
    assert farthest[1] > 0.6
    assert np.linalg.norm(farthest) > 0.9


def test_reaching_brings_the_hand_before_the_body() -> None:
    wrist = wrists("reach")
    assert wrist[:, 1].max() > 0.45


def test_who_stands_still_does_not_move() -> None:
    motion = Motion(np.random.default_rng(0), 5.0, "still")
    assert np.array_equal(numbers(motion.at(0.0)), numbers(motion.at(1.7)))


@pytest.mark.parametrize("duration", [8.0, 7.0])
def test_waving_goes_on_at_one_and_a_half_waves_a_second(duration: float) -> None:
    motion = Motion(np.random.default_rng(0), duration, "waving")
    poses = [motion.at(time) for time in np.arange(0, duration, 0.02)]
    wrist = np.array([[pose.arms[side].wrist for side in ("left", "right")] for pose in poses])
    raised = wrist[:, :, 2].min(axis=0) > -0.2
    assert raised.sum() == 1
    swing = wrist[:, raised.argmax(), 0]
    spectrum = np.abs(np.fft.rfft(swing - swing.mean()))
    assert np.fft.rfftfreq(len(swing), 0.02)[spectrum.argmax()] == pytest.approx(1.5, abs=0.08)
    # Without pauses: every second holds a whole swing.
    assert min(np.ptp(part) for part in np.array_split(swing, int(duration))) > 0.3
