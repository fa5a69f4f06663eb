"""Errors of imitation: angles, swivel, lag and jerk."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import ArmPoints

# Nearly straight arms have no swivel, degrees.
_STRAIGHT_DEG = 20.0


def angle_deg(a: FloatArray, b: FloatArray) -> float:
    """Return the angle between unit vectors with shape (3,), degrees."""
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b)))


def jerk(q: FloatArray, step_s: float) -> float:
    """Return the root mean square of the third derivative of joints (T, n), rad/s³."""
    return float(np.sqrt(np.mean(np.square(np.diff(q, 3, axis=0) / step_s**3))))


def swivel_deg(wanted: ArmPoints, made: ArmPoints) -> FloatArray:
    """Return by how much elbows (T,) are turned about the line from shoulder to wrist; straight arms left out."""
    normals, bends = [], []
    for points in (wanted, made):
        upper, forearm = points.upper, points.forearm
        cross = np.cross(upper, forearm)
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        normals.append(cross / np.maximum(length, 1e-9))
        bends.append(length[:, 0] > math.sin(math.radians(_STRAIGHT_DEG)))
    a, b = normals
    line = wanted.wrist - wanted.shoulder
    line = line / np.linalg.norm(line, axis=1, keepdims=True)
    across = [n - (n * line).sum(axis=1, keepdims=True) * line for n in (a, b)]
    turn = np.arctan2((np.cross(*across) * line).sum(axis=1), (across[0] * across[1]).sum(axis=1))
    return np.degrees(np.abs(turn))[bends[0] & bends[1]]


def delay_s(made: FloatArray, wanted: FloatArray, step_s: float) -> float:
    """Return the shift at which two motions (T, 3) fit best, seconds."""
    shifts = np.arange(0, int(0.4 / step_s))
    errors = [np.square(made[s:] - wanted[: len(wanted) - s]).mean() for s in shifts]
    return float(shifts[int(np.argmin(errors))] * step_s)


def rms_and_95(parts: Sequence[FloatArray]) -> tuple[float, float]:
    """Return root mean square and 95th percentile of all values."""
    values = np.concatenate(list(parts))
    return float(np.sqrt(np.mean(np.square(values)))), float(np.percentile(values, 95))
