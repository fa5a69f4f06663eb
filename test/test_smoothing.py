"""Tests for human/smoothing.py: joints with the noise of a depth camera at rest, in motion, and with gaps."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import KeypointState
from pose_perception.human.joint_filters import JointStates
from pose_perception.human.smoothing import JointSmoother, SmoothedJoints, SmoothingConfig

_RNG_SEED = 3
_PLACE = np.array([0.4, -0.3, 2.5])
_RAY = _PLACE / np.linalg.norm(_PLACE)
_ACROSS = np.cross(_RAY, [0, 1, 0]) / np.linalg.norm(np.cross(_RAY, [0, 1, 0]))
# What a lifter states, and what changes from frame to frame of it: across the ray and along it, metres.
_STATED_M, _NOISE_M = (0.012, 0.027), (0.0025, 0.008)
_COVARIANCE = _STATED_M[0] ** 2 * np.eye(3) + (_STATED_M[1] ** 2 - _STATED_M[0] ** 2) * np.outer(_RAY, _RAY)


def _noise(frames: int) -> np.ndarray:
    rng = np.random.default_rng(_RNG_SEED)
    along = rng.normal(0, _NOISE_M[1], (frames, 1)) * _RAY
    return rng.normal(0, _NOISE_M[0], (frames, 3)) + along


def _smooth(
    measured: np.ndarray,
    rate_hz: float = 30.0,
    states: np.ndarray | None = None,
    config: SmoothingConfig | None = None,
    covariance: np.ndarray = _COVARIANCE,
) -> SmoothedJoints:
    """Smooth one joint (T, 3); returns results with the frames first, shapes (T, 3), (T, 3, 3) and (T,)."""
    states = np.full(len(measured), KeypointState.MEASURED) if states is None else states
    smoother, joint = JointSmoother(config or SmoothingConfig()), JointStates.unknown(1)
    results = []
    for position, state in zip(measured, states, strict=True):
        is_known = state != KeypointState.MISSING
        one = SmoothedJoints(
            np.where(is_known, position, np.nan)[None, None],
            np.where(is_known, covariance, np.nan)[None, None],
            np.array([[state]], np.uint8),
        )
        results.append(smoother.smooth([joint], one, np.zeros(3), np.array([1 / rate_hz])))
    return SmoothedJoints(*(np.stack([getattr(r, name)[0, 0] for r in results]) for name in SmoothedJoints._fields))


def _rms(offsets: np.ndarray) -> float:
    return float(np.sqrt(np.square(offsets).sum(axis=1).mean()))


@pytest.mark.parametrize("rate_hz", [15.0, 30.0])
def test_a_joint_at_rest_is_quiet(rate_hz: float) -> None:
    measured = _PLACE + _noise(400)
    smooth = _smooth(measured, rate_hz).positions[30:]
    assert _rms(measured - _PLACE) > 0.008
    assert _rms(smooth - _PLACE) < 0.004


@pytest.mark.parametrize("rate_hz", [15.0, 30.0])
@pytest.mark.parametrize("direction", [_ACROSS, _RAY], ids=["across", "along"])
def test_a_wave_is_neither_late_nor_small(rate_hz: float, direction: np.ndarray) -> None:
    amplitude_m, hertz = 0.17, 1.5
    times = np.arange(300) / rate_hz
    wave = amplitude_m * np.sin(2 * np.pi * hertz * times)
    smooth = _smooth(_PLACE + wave[:, None] * direction + _noise(300), rate_hz).positions
    moved = ((smooth - _PLACE) @ direction)[30:]
    angle = 2 * np.pi * hertz * times[30:]
    sine, cosine = np.linalg.lstsq(np.stack([np.sin(angle), np.cos(angle)], axis=1), moved, rcond=None)[0]
    delay_s = -np.arctan2(cosine, sine) / (2 * np.pi * hertz)
    assert abs(delay_s) < 0.010  # a third of a frame at 30 Hz
    assert 0.95 < np.hypot(sine, cosine) / amplitude_m < 1.05


def test_a_hand_that_moves_across_the_view_is_quiet_in_depth() -> None:
    times = np.arange(300) / 30
    wave = 0.17 * np.sin(2 * np.pi * 1.5 * times)[:, None] * _ACROSS
    noise = _noise(300)
    smooth = _smooth(_PLACE + wave + noise).positions - _PLACE - wave
    assert np.std((smooth @ _RAY)[30:]) < 0.6 * np.std(noise @ _RAY)


def test_one_wrong_depth_is_no_motion() -> None:
    measured = _PLACE + _noise(60)
    measured[40] += 0.3 * _RAY
    smooth = _smooth(measured)
    assert np.linalg.norm(smooth.positions[38:] - _PLACE, axis=1).max() < 0.03
    assert smooth.states[40] == KeypointState.INFERRED  # nobody measured where it says the joint is
    assert (smooth.states[41:] == KeypointState.MEASURED).all()


def test_a_joint_that_is_elsewhere_from_now_on_is_not_dragged() -> None:
    measured = _PLACE + _noise(60)
    measured[40:] += [0.5, 0, 0.4]
    smooth = _smooth(measured).positions
    assert np.linalg.norm(smooth[41:] - measured[41:], axis=1).max() < 0.03


def test_a_joint_begins_anew_after_a_gap() -> None:
    measured = _PLACE + _noise(60)
    measured[40:] += [0.05, 0, 0]
    states = np.full(60, KeypointState.MEASURED)
    states[30:40] = KeypointState.MISSING
    smooth = _smooth(measured, states=states)
    assert np.isnan(smooth.positions[30:40]).all()
    assert np.isnan(smooth.covariances[30:40]).all()
    assert (smooth.states[30:40] == KeypointState.MISSING).all()
    assert np.allclose(smooth.positions[40], measured[40])


def test_a_frame_without_the_joint_does_not_disturb_it() -> None:
    states = np.full(200, KeypointState.MEASURED)
    states[::7] = KeypointState.MISSING
    smooth = _smooth(_PLACE + _noise(200), states=states).positions[30:]
    assert _rms((smooth - _PLACE)[np.isfinite(smooth).all(axis=1)]) < 0.004


def test_a_measurement_soon_ends_a_guess() -> None:
    smoother, joint = JointSmoother(SmoothingConfig()), JointStates.unknown(1)
    for i, noise in enumerate(_noise(60)):
        is_guess = i < 40  # an inferred position is rough, and somewhere else
        one = SmoothedJoints(
            (_PLACE + (0.1 if is_guess else 0.0) * _ACROSS + noise)[None, None],
            (np.eye(3) * 0.15**2 if is_guess else _COVARIANCE)[None, None],
            np.array([[KeypointState.INFERRED if is_guess else KeypointState.MEASURED]], np.uint8),
        )
        result = smoother.smooth([joint], one, np.zeros(3), np.array([1 / 30]))
        if i == 42:
            assert np.linalg.norm(result.positions[0, 0] - _PLACE) < 0.03


def test_the_same_moment_twice_changes_nothing() -> None:
    smoother, joint = JointSmoother(SmoothingConfig()), JointStates.unknown(1)
    one = SmoothedJoints(_PLACE[None, None], _COVARIANCE[None, None], np.ones((1, 1), np.uint8))
    before = [smoother.smooth([joint], one, np.zeros(3), np.array([1 / 30])) for _ in range(5)][-1]
    moved = one._replace(positions=one.positions + 0.1)
    after = smoother.smooth([joint], moved, np.zeros(3), np.array([0.0]))
    assert np.allclose(after.positions, before.positions, atol=1e-9)


def test_certainty_grows_with_rest_but_not_beyond_what_stays_wrong() -> None:
    trace = np.trace(_smooth(_PLACE + _noise(60)).covariances, axis1=1, axis2=2)
    assert trace[50] < trace[0] <= np.trace(_COVARIANCE) * 1.05
    # A part of the standard deviation is noise, the rest is a constant error that no filter removes.
    assert trace[50] > (1 - SmoothingConfig().jitter ** 2) * np.trace(_COVARIANCE)


def test_people_do_not_disturb_each_other() -> None:
    measured = np.stack([_PLACE + _noise(40), _PLACE * [-1, 1, 1.2] + _noise(40)])
    smoother, people = JointSmoother(SmoothingConfig()), [JointStates.unknown(1), JointStates.unknown(1)]
    covariances, states = np.tile(_COVARIANCE, (2, 1, 1, 1)), np.ones((2, 1), np.uint8)
    for i in range(40):
        together = smoother.smooth(
            people, SmoothedJoints(measured[:, i, None], covariances, states), np.zeros(3), np.full(2, 1 / 30)
        )
    for i in range(2):
        assert np.allclose(together.positions[i, 0], _smooth(measured[i]).positions[-1])


def test_the_frame_of_reference_does_not_matter() -> None:
    measured = _PLACE + _noise(60)
    turn = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    moved_camera = np.array([5.0, -2.0, 1.0])
    smoother, joint = JointSmoother(SmoothingConfig()), JointStates.unknown(1)
    for position in measured:
        one = SmoothedJoints(
            (turn @ position + moved_camera)[None, None],
            (turn @ _COVARIANCE @ turn.T)[None, None],
            np.ones((1, 1), np.uint8),
        )
        result = smoother.smooth([joint], one, moved_camera, np.array([1 / 30]))
    expected = _smooth(measured)
    assert np.allclose((result.positions[0, 0] - moved_camera) @ turn, expected.positions[-1])
    assert np.allclose(turn.T @ result.covariances[0, 0] @ turn, expected.covariances[-1])


def test_switched_off_it_returns_what_was_measured() -> None:
    measured = _PLACE + _noise(20)
    assert np.array_equal(_smooth(measured, config=SmoothingConfig(enabled=False)).positions, measured)
