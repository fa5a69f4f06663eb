"""Demonstrations made ready: without the stillness at both ends, at a fixed rate, without the noise of sensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.imitation.demonstration import Demonstration

# A moment this much later than a recording counts as its end, in frames.
_END = 1e-6


def trim(demonstration: Demonstration, speed: float = 0.05, margin_s: float = 0.1) -> Demonstration:
    """Drop the stillness at both ends.

    Args:
        demonstration: What was recorded.
        speed: A robot none of whose joints is faster stands still, rad/s; a moving gripper counts as motion, too.
        margin_s: Stillness that is kept at each end, seconds.

    Raises:
        ConfigurationError: speed or margin are no such numbers.
        InvalidInputError: nothing moves.
    """
    if not speed > 0 or not margin_s >= 0:
        raise ConfigurationError(f"trimming needs a speed above 0 and a margin from 0, got {speed} and {margin_s}")
    demo = demonstration
    steps = np.diff(demo.times_s)
    is_moving = (np.abs(np.diff(demo.q, axis=0)) / steps[:, None] > speed).any(axis=1)
    for opening in demo.openings.values():
        is_moving |= np.nan_to_num(np.abs(np.diff(opening))) / steps > speed
    if not is_moving.any():
        raise InvalidInputError(f"{demo.source}: nothing moves faster than {speed:g} rad/s")
    moving = np.flatnonzero(is_moving)
    first, last = demo.times_s[moving[0]] - margin_s, demo.times_s[moving[-1] + 1] + margin_s
    kept = (demo.times_s >= first) & (demo.times_s <= last)
    return demo.map_arrays(lambda values: values[kept])


def resample(demonstration: Demonstration, fps: float) -> Demonstration:
    """Return a demonstration at a fixed rate, beginning at 0 s.

    Joints, commands and the positions of objects and keypoints are interpolated linearly, rotations along the shortest
    way; grippers keep what they had last. What is missing on either side of a moment is missing in it.

    Args:
        demonstration: What was recorded.
        fps: Moments per second.

    Raises:
        ConfigurationError: the rate is not positive.
        InvalidInputError: the recording is shorter than one step.
    """
    if not (fps > 0 and np.isfinite(fps)):
        raise ConfigurationError(f"frames per second must be positive, got {fps}")
    demo = demonstration
    count = int(np.floor(demo.duration_s * fps + _END)) + 1
    if count < 2:
        raise InvalidInputError(f"{demo.source} lasts {demo.duration_s:.3f} s, less than a step at {fps:g} a second")
    times = np.arange(count) / fps
    at = np.clip((times + demo.times_s[0]), demo.times_s[0], demo.times_s[-1])
    right = np.clip(np.searchsorted(demo.times_s, at, side="right"), 1, len(demo) - 1)
    share = (at - demo.times_s[right - 1]) / (demo.times_s[right] - demo.times_s[right - 1])

    def linear(values: FloatArray) -> FloatArray:
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        mixed = (1 - weight) * values[right - 1] + weight * values[right]
        # A moment that was recorded is what it was, whatever is missing beside it.
        return np.where(weight == 0, values[right - 1], np.where(weight == 1, values[right], mixed))

    def poses(values: FloatArray) -> FloatArray:
        mixed = linear(values)
        seen = np.isfinite(mixed).all(axis=(1, 2)) & (share > 0) & (share < 1)
        if seen.any():
            start = Rotation.from_matrix(values[right[seen] - 1, :3, :3])
            turn = (Rotation.from_matrix(values[right[seen], :3, :3]) * start.inv()).as_rotvec()
            mixed[seen, :3, :3] = (Rotation.from_rotvec(share[seen, None] * turn) * start).as_matrix()
        return mixed

    return replace(
        demo,
        times_s=times,
        q=linear(demo.q),
        commands=None if demo.commands is None else linear(demo.commands),
        openings={name: np.where(share == 1, v[right], v[right - 1]) for name, v in demo.openings.items()},
        objects={name: poses(values) for name, values in demo.objects.items()},
        keypoints={name: linear(values) for name, values in demo.keypoints.items()},
    )


def smooth(demonstration: Demonstration, cutoff_hz: float) -> Demonstration:
    """Return a demonstration without fast changes of its joints, such as the noise of sensors; all else stays.

    Penalises third differences (Eilers, A perfect smoother, Analytical Chemistry 75(14), 2003): no delay, and motions
    of constant acceleration stay as they are, up to both ends.

    Args:
        demonstration: What was recorded.
        cutoff_hz: Of changes at this frequency half is left; arms of people hardly move faster than 5 Hz.

    Raises:
        ConfigurationError: the frequency is not positive.
    """
    if not (cutoff_hz > 0 and np.isfinite(cutoff_hz)):
        raise ConfigurationError(f"the frequency must be positive, got {cutoff_hz}")
    demo = demonstration
    step_s = float(np.median(np.diff(demo.times_s)))
    count = int(np.ceil(demo.duration_s / step_s)) + 1
    # Slower sensors have nothing to be taken away.
    if count < 4 or cutoff_hz >= 0.5 / step_s:
        return demo
    even = np.linspace(demo.times_s[0], demo.times_s[-1], count)
    rows = np.stack([np.interp(even, demo.times_s, values) for values in demo.q.T], axis=1)
    penalty = (2 * np.sin(np.pi * cutoff_hz * (even[1] - even[0]))) ** -6
    smoothed = solveh_banded(_third_differences(count, penalty), rows)
    return replace(demo, q=np.stack([np.interp(demo.times_s, even, values) for values in smoothed.T], axis=1))


def _third_differences(count: int, penalty: float) -> FloatArray:
    """Return 1 + penalty D'D of third differences D, upper diagonals with shape (4, count) as `solveh_banded` wants."""
    coefficients = np.array([-1.0, 3.0, -3.0, 1.0])
    bands = np.zeros((4, count))
    for i in range(4):
        for j in range(i, 4):
            # Rows r of D have coefficient i at column r + i.
            bands[3 - (j - i), j : count - 3 + j] += penalty * coefficients[i] * coefficients[j]
    bands[3] += 1.0
    return bands
