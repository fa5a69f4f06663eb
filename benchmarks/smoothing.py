"""Jitter, lag and loss of amplitude of joint filters: none, One-Euro with three settings, and the one in use.

    python benchmarks/smoothing.py

prints one table for 15 and one for 30 frames a second. Noise and outliers are like those of lifted joints: measured on
two simulated people who stand still 2.5 m away and on two real ones (`shared/data/rgbd_two_people`), where it has no
correlation in time worth modelling (below 0.2 from frame to frame).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import FloatArray, KeypointState
from pose_perception.human.joint_filters import JointStates
from pose_perception.human.smoothing import JointSmoother, SmoothedJoints, SmoothingConfig

# Median noise of wrists, elbows and shoulders from frame to frame across the view (each axis) and along it, metres.
_NOISE_M = np.array([0.0025, 0.0025, 0.0080])
# Standard deviations that the lifter states for them, which include errors that stay the same.
_STATED_M = np.array([0.012, 0.012, 0.027])
# One depth in fifty lies on something else.
_OUTLIER_SHARE, _OUTLIER_M = 0.02, (0.03, 0.4)
_DISTANCE_M = 2.5
_SECONDS, _RUNS = 20, 20
_WAVE_HZ, _WAVE_M, _SWAY_HZ, _SWAY_M = 1.5, 0.17, 0.3, 0.015
_REACH_M, _REACH_S = 0.5, 0.8

# Positions (T, J, 3) and the time between frames to positions.
Filter = Callable[[FloatArray, float], FloatArray]


class OneEuro(NamedTuple):
    """The 1 € filter (Casiez et al., CHI 2012) with the speed of all axes together.

    Attributes:
        min_cutoff: Cutoff at rest, Hz.
        beta: Growth of the cutoff with speed, 1/m.
        speed_cutoff: Cutoff of the speed, Hz.
    """

    min_cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def __call__(self, measured: FloatArray, step_s: float) -> FloatArray:
        """Filter joints (T, J, 3)."""
        smooth = measured.copy()
        velocity = np.zeros_like(measured[0])
        for t in range(1, len(measured)):
            newest = (measured[t] - measured[t - 1]) / step_s
            velocity = velocity + _share(self.speed_cutoff, step_s) * (newest - velocity)
            cutoff = self.min_cutoff + self.beta * np.linalg.norm(velocity, axis=1, keepdims=True)
            smooth[t] = smooth[t - 1] + _share(cutoff, step_s) * (measured[t] - smooth[t - 1])
        return smooth


def _share(cutoff: FloatArray | float, step_s: float) -> FloatArray | float:
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step_s))


def _ours(measured: FloatArray, step_s: float) -> FloatArray:
    smoother, joints = JointSmoother(SmoothingConfig()), JointStates.unknown(measured.shape[1])
    shape = measured.shape[1:]
    covariances = np.tile(np.diag(np.square(_STATED_M)), (1, shape[0], 1, 1))
    states = np.full((1, shape[0]), KeypointState.MEASURED, np.uint8)
    results = [
        smoother.smooth([joints], SmoothedJoints(frame[None], covariances, states), np.zeros(3), np.array([step_s]))
        for frame in measured
    ]
    return np.stack([result.positions[0] for result in results])


FILTERS: dict[str, Filter] = {
    "none": lambda measured, _: measured,
    "One-Euro 1.0 Hz, beta 8": OneEuro(1.0, 8.0),
    "One-Euro 1.5 Hz, beta 20": OneEuro(1.5, 20.0),
    "One-Euro 0.5 Hz, beta 40": OneEuro(0.5, 40.0),
    "rest and motion (ours)": _ours,
}


def _measured(truth: FloatArray, rng: np.random.Generator, outliers: bool) -> FloatArray:
    """Return truth (T, 3) as a lifter measures it in front of the camera, `_RUNS` times, with shape (T, _RUNS, 3)."""
    shape = (len(truth), _RUNS, 3)
    noise = rng.normal(0, 1, shape) * _NOISE_M
    if outliers:
        noise[..., 2] += rng.uniform(*_OUTLIER_M, shape[:2]) * (rng.random(shape[:2]) < _OUTLIER_SHARE)
    return truth[:, None] + noise + [0, 0, _DISTANCE_M]


def _fit(times: FloatArray, values: FloatArray, hertz: float) -> tuple[float, float]:
    """Return amplitude and delay (s) of the sine in values (T, J), the mean over J."""
    angle = 2 * np.pi * hertz * times
    basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(basis, values, rcond=None)[0]
    return float(np.hypot(sine, cosine).mean()), float((-np.arctan2(cosine, sine) / (2 * np.pi * hertz)).mean())


def figures(joint_filter: Filter, rate_hz: float) -> list[float]:
    """Return the numbers of one line of the table; times in milliseconds, lengths in millimetres."""
    rng = np.random.default_rng(0)
    times = np.arange(int(_SECONDS * rate_hz)) / rate_hz
    settled = times > 2
    rest = np.zeros((len(times), 3))
    row = []
    for outliers in (False, True):
        quiet = joint_filter(_measured(rest, rng, outliers), 1 / rate_hz)[settled]
        row.append(1e3 * float(np.sqrt(np.square(quiet - quiet.mean(axis=0)).sum(axis=2).mean())))
    for hertz, size, axis in ((_WAVE_HZ, _WAVE_M, 0), (_WAVE_HZ, _WAVE_M, 2), (_SWAY_HZ, _SWAY_M, 0)):
        truth = rest.copy()
        truth[:, axis] = size * np.sin(2 * np.pi * hertz * times)
        smooth = joint_filter(_measured(truth, rng, False), 1 / rate_hz)[settled]
        amplitude, delay = _fit(times[settled], smooth[..., axis], hertz)
        row += [1e3 * delay, 100 * (1 - amplitude / size)]
    progress = np.clip((times % 4 - 1) / _REACH_S, 0, 1) - np.clip((times % 4 - 3) / _REACH_S, 0, 1)
    reach = rest.copy()
    reach[:, 2] = -_REACH_M * (10 * progress**3 - 15 * progress**4 + 6 * progress**5)  # minimum jerk
    smooth = joint_filter(_measured(reach, rng, False), 1 / rate_hz) - [0, 0, _DISTANCE_M]
    row.append(1e3 * float(np.sqrt(np.square(smooth - reach[:, None])[settled].sum(axis=2).mean())))
    return row


def main() -> int:
    """Print the tables."""
    head = ("jitter", "+outliers", "wave lag", "loss", "deep lag", "loss", "sway lag", "loss", "reach error")
    units = ("mm", "mm", "ms", "%", "ms", "%", "ms", "%", "mm")
    for rate_hz in (15.0, 30.0):
        print(f"\n{rate_hz:g} frames a second")
        print(" " * 26 + "".join(f"{name:>12}" for name in head))
        print(" " * 26 + "".join(f"{unit:>12}" for unit in units))
        for name, joint_filter in FILTERS.items():
            print(f"{name:<26}" + "".join(f"{value:12.1f}" for value in figures(joint_filter, rate_hz)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
