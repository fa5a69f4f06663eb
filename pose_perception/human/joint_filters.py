"""Kalman filters of joints that rest or move, all joints at once: the arithmetic behind `human.smoothing`.

Positions and velocities are vectors in the frame of reference; variances and the weights of the two models are kept
across and along the viewing ray, two directions whose noise differs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

REST, MOVE = 0, 1
"""Order of the models."""
# Direction of each axis: the first two are across the ray, the last along it.
_DIRECTION = np.array([0, 0, 1])
# Means over the axes of each direction.
_MEAN = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
# How long joints rest and move on average, seconds: sets how readily the mixture changes.
_REST_S, _MOVE_S = 2.0, 0.2
# Standard deviation of the velocity of a joint that rests, and of one seen for the first time, m/s.
_RESTING_SPEED, _UNKNOWN_SPEED = 0.1, 1.0
# Part of a moving joint's acceleration (squared) with which a joint starts that rested: people start gently, and what
# jumps from rest is an outlier.
_ONSET = 0.10
# Noise that is always there, metres: rounding to pixels.
_SMALLEST_NOISE_M = 0.001


@dataclass
class JointStates:
    """What the filters know of J joints; the first axis of all arrays.

    Attributes:
        position: Of each model with shape (J, 2, 3), metres.
        velocity: Of each model with shape (J, 2, 3), m/s.
        spread: Variance of the position, covariance of position and velocity, variance of the velocity, in each
            direction and model, shape (J, 2, 2, 3).
        weight: Probability of the models in each direction with shape (J, 2, 2).
        age_s: Time since the joint was last measured, shape (J,), seconds; infinite before the first time.
        doubted: Whether the last measurement was taken for an outlier in each direction, shape (J, 2).
    """

    position: FloatArray
    velocity: FloatArray
    spread: FloatArray
    weight: FloatArray
    age_s: FloatArray
    doubted: npt.NDArray[np.bool_]

    @classmethod
    def unknown(cls, joints: int) -> JointStates:
        """Return joints that were never seen."""
        return cls(
            np.zeros((joints, 2, 3)),
            np.zeros((joints, 2, 3)),
            np.zeros((joints, 2, 2, 3)),
            np.full((joints, 2, 2), 0.5),
            np.full(joints, np.inf),
            np.zeros((joints, 2), bool),
        )

    def take(self, index: npt.NDArray[np.int64] | slice) -> JointStates:
        """Return a copy of some joints."""
        return JointStates(*(np.array(getattr(self, item.name)[index]) for item in fields(self)))

    def put(self, index: npt.NDArray[np.int64], values: JointStates) -> None:
        """Replace some joints."""
        for item in fields(self):
            getattr(self, item.name)[index] = getattr(values, item.name)


class Measured(NamedTuple):
    """J measurements: positions (J, 3), variances across and along the ray (J, 2), axes (J, 3, 3), ray last."""

    position: FloatArray
    noise: FloatArray
    axes: FloatArray


class Innovations(NamedTuple):
    """How far J measurements are from where the models expect them.

    Attributes:
        apart: In the axes of the measurements with shape (J, 2 models, 3), metres.
        variance: Expected in each direction and model, shape (J, 2, 2).
        squared: Squared distance in standard deviations, shape (J, 2, 2).
    """

    apart: FloatArray
    variance: FloatArray
    squared: FloatArray


def measurements(positions: FloatArray, covariances: FloatArray, origin: FloatArray, jitter: float) -> Measured:
    """Return J measured joints as the filters need them.

    Args:
        positions: With shape (J, 3), metres.
        covariances: With shape (J, 3, 3), square metres.
        origin: Where the camera is, shape (3,), metres.
        jitter: Part of the standard deviations that changes from frame to frame.
    """
    ray = positions - origin
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-9)
    # Any two axes across the ray: the first is across the one of x and y that the ray is further from.
    helper = np.where(np.abs(ray[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(ray, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    axes = np.stack([first, np.cross(ray, first), ray], axis=2)  # columns
    along = np.einsum("ji,jik,jk->j", ray, covariances, ray)
    across = (np.trace(covariances, axis1=1, axis2=2) - along) / 2
    noise = np.square(jitter) * np.maximum(np.stack([across, along], axis=1), 0.0) + _SMALLEST_NOISE_M**2
    return Measured(positions, noise, axes)


def rotated(vectors: FloatArray, axes: FloatArray) -> FloatArray:
    """Return vectors (J, M, 3) in the axes (J, 3, 3) across and along the rays."""
    return np.einsum("jmi,jia->jma", vectors, axes)


def unrotated(vectors: FloatArray, axes: FloatArray) -> FloatArray:
    """Undo `rotated`."""
    return np.einsum("jma,jia->jmi", vectors, axes)


def begin(states: JointStates, points: Measured, which: npt.NDArray[np.bool_]) -> None:
    """Start joints from their measurements, in the directions (J, 2) that are chosen."""
    if not which.any():
        return
    chosen = which[:, None, _DIRECTION]
    offset = rotated(states.position - points.position[:, None], points.axes)
    states.position[:] = points.position[:, None] + unrotated(np.where(chosen, 0.0, offset), points.axes)
    states.velocity[:] = unrotated(np.where(chosen, 0.0, rotated(states.velocity, points.axes)), points.axes)
    fresh = np.zeros_like(states.spread)
    fresh[..., 0] = points.noise[..., None]
    fresh[..., REST, 2], fresh[..., MOVE, 2] = _RESTING_SPEED**2, _UNKNOWN_SPEED**2
    states.spread[:] = np.where(which[..., None, None], fresh, states.spread)
    states.weight[:] = np.where(which[..., None], 0.5, states.weight)
    states.doubted &= ~which


def mix(states: JointStates, axes: FloatArray, step_s: FloatArray) -> None:
    """Let joints change from rest to motion and back: each model starts from a mixture of both."""
    leave = 1 - np.exp(-step_s[:, None] / np.array([_REST_S, _MOVE_S]))  # (J, 2)
    change = np.stack([np.stack([1 - leave[:, 0], leave[:, 0]], 1), np.stack([leave[:, 1], 1 - leave[:, 1]], 1)], 1)
    joint = states.weight[..., None] * change[:, None]  # (J, direction, from, to)
    states.weight[:] = joint.sum(axis=2)
    share = joint / np.maximum(states.weight, 1e-12)[:, :, None]
    by_axis = share[:, _DIRECTION]  # (J, axis, from, to)
    reference = states.position.mean(axis=1, keepdims=True)
    moved, speed = rotated(states.position - reference, axes), rotated(states.velocity, axes)  # (J, from, axis)
    mixed = [np.einsum("jaft,jfa->jta", by_axis, values) for values in (moved, speed)]
    dp, dv = (old[:, :, None] - new[:, None] for old, new in zip((moved, speed), mixed, strict=True))
    between = np.stack([dp * dp, dp * dv, dv * dv], axis=-1)  # (J, from, to, axis, 3)
    between = np.einsum("jftas,da->jdfts", between, _MEAN)
    states.spread[:] = np.einsum("jdft,jdfts->jdts", share, states.spread[:, :, :, None] + between)
    states.position[:] = reference + unrotated(mixed[0], axes)
    states.velocity[:] = unrotated(mixed[1], axes)


def predict(states: JointStates, step_s: FloatArray, power: float, drift: float) -> None:
    """Advance joints in time.

    Args:
        states: J joints.
        step_s: By how much with shape (J,), seconds.
        power: Spectral density of the acceleration of a joint that moves, m²/s³.
        drift: How far a joint that rests wanders in a second, metres.
    """
    step = step_s[:, None]
    power = power * (_ONSET + (1 - _ONSET) * states.weight[..., MOVE])
    states.position[:, MOVE] += step * states.velocity[:, MOVE]
    states.velocity[:, REST] = 0.0
    moving = states.spread[:, :, MOVE]
    pp, pv, vv = moving[..., 0], moving[..., 1], moving[..., 2]  # views
    pp += 2 * step * pv + step**2 * vv + power * step**3 / 3
    pv += step * vv + power * step**2 / 2
    vv += power * step
    resting = states.spread[:, :, REST]
    resting[..., 0] += drift**2 * step
    resting[..., 1], resting[..., 2] = 0.0, _RESTING_SPEED**2


def innovations(states: JointStates, points: Measured) -> Innovations:
    """Compare measurements with what the models expect."""
    apart = rotated(points.position[:, None] - states.position, points.axes)
    variance = states.spread[..., 0] + points.noise[..., None]
    per_axis = np.square(apart) / variance.transpose(0, 2, 1)[..., _DIRECTION]
    return Innovations(apart, variance, np.einsum("jma,da->jdm", per_axis, 1.0 * (_MEAN > 0)))


def correct(states: JointStates, innovation: Innovations, rejected: npt.NDArray[np.bool_], axes: FloatArray) -> None:
    """Move the models towards the measurements, and the weights to the model that explains them better.

    Args:
        states: J joints.
        innovation: Of their measurements.
        rejected: Directions in which the measurement does not count, shape (J, 2).
        axes: Of the measurements.
    """
    counts = ~rejected[..., None, None]
    gain = counts * states.spread[..., :2] / innovation.variance[..., None]  # (J, direction, m, 2)
    by_axis = gain[:, _DIRECTION].transpose(0, 2, 1, 3)  # (J, m, axis, 2)
    states.position += unrotated(by_axis[..., 0] * innovation.apart, axes)
    states.velocity += unrotated(by_axis[..., 1] * innovation.apart, axes)
    pp, pv = states.spread[..., 0].copy(), states.spread[..., 1].copy()
    states.spread[..., 0] -= gain[..., 0] * pp
    states.spread[..., 1] -= gain[..., 0] * pv
    states.spread[..., 2] -= gain[..., 1] * pv
    axes_count = (_MEAN > 0).sum(axis=1)[:, None]
    log_likelihood = -0.5 * (innovation.squared + axes_count * np.log(innovation.variance))
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=2, keepdims=True))
    weight = states.weight * np.where(rejected[..., None], 1.0, likelihood)
    states.weight[:] = weight / weight.sum(axis=2, keepdims=True)


def combined(states: JointStates, axes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mixture's positions (J, 3) and covariances (J, 3, 3)."""
    reference = states.position.mean(axis=1, keepdims=True)
    offset = rotated(states.position - reference, axes)  # (J, m, axis)
    weight = states.weight[:, _DIRECTION].transpose(0, 2, 1)  # (J, m, axis)
    mean = (weight * offset).sum(axis=1)
    own = states.spread[..., 0][:, _DIRECTION].transpose(0, 2, 1)
    variance = (weight * (own + np.square(offset - mean[:, None]))).sum(axis=1)
    position = reference[:, 0] + np.einsum("ja,jia->ji", mean, axes)
    return position, np.einsum("jia,ja,jka->jik", axes, variance, axes)
