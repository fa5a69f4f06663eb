"""Demonstrations made ready: without the stillness at both ends, at a fixed rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
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
