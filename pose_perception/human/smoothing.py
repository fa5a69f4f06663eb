"""Smoothing of joints over time: quiet while they rest, without lag while they move.

Each joint is followed by two Kalman filters, one of a joint that rests (its position wanders a little) and one of a
joint that moves (constant velocity with large accelerations), mixed by how well each explains what is measured: the
interacting multiple model estimator (Blom and Bar-Shalom, The interacting multiple model algorithm for systems with
Markovian switching coefficients, IEEE Transactions on Automatic Control 33(8), 1988). A single filter, or One-Euro's
low-pass, has to pay for quiet joints with lag (`benchmarks/smoothing.py` compares them).

Depth noise lies along the viewing ray and is several times larger than that across, so the two directions have their
own noise and their own mixture: a hand that waves across the view is still smoothed in depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, KeypointState
from pose_perception.human.joint_filters import (
    MOVE,
    JointStates,
    Measured,
    begin,
    combined,
    correct,
    innovations,
    measurements,
    mix,
    predict,
)

# Time over which a moving joint's acceleration changes, seconds (a wave at 1.5 Hz turns within 0.17 s).
_ACCELERATION_TIME_S = 0.1
# A measurement this many standard deviations away from where even a moving joint can be is an outlier.
_GATE = 4.0
# Frames closer than this show the same moment, seconds.
_SHORTEST_STEP_S = 0.001


@dataclass(frozen=True)
class SmoothingConfig(Config):
    """How joints are smoothed over time."""

    enabled: bool = option(True, "Whether joints are smoothed over time.")
    jitter: float = option(
        0.55,
        "Part of a position's standard deviation that changes from frame to frame; the rest is a constant error.",
        minimum=0.01,
        maximum=1.0,
    )
    drift: float = option(
        0.0035, "How far a joint that rests wanders in a second, in metres.", minimum=0.0001, maximum=0.1
    )
    acceleration: float = option(
        7.0, "Typical acceleration of a joint that moves, in metres per square second.", minimum=0.1, maximum=100.0
    )
    max_gap_s: float = option(
        0.25, "A joint that was not seen for longer than this begins anew, in seconds.", minimum=0.0, maximum=5.0
    )


class SmoothedJoints(NamedTuple):
    """Joints of N people after smoothing.

    Attributes:
        positions: With shape (N, K, 3), metres; NaN when missing.
        covariances: With shape (N, K, 3, 3), square metres; NaN when missing.
        states: `KeypointState` with shape (N, K), uint8; an outlier is replaced by an inferred position.
    """

    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]


class JointSmoother:
    """Smooths the joints of all people of a frame at once."""

    def __init__(self, config: SmoothingConfig) -> None:
        self._config = config
        self._power = 2 * config.acceleration**2 * _ACCELERATION_TIME_S

    def smooth(
        self, people: Sequence[JointStates], measured: SmoothedJoints, origin: FloatArray, elapsed_s: FloatArray
    ) -> SmoothedJoints:
        """Take in a frame and return the best knowledge of its joints.

        Args:
            people: What is known of the K joints of each of the N people; updated in place.
            measured: Their joints in this frame, in a frame of reference that stays the same.
            origin: Where the camera is in it, shape (3,), metres.
            elapsed_s: Time since the last frame of each person, shape (N,), seconds.
        """
        if not self._config.enabled or not people:
            return measured
        k = measured.states.shape[1]
        everything = JointStates(*(np.concatenate([getattr(p, f.name) for p in people]) for f in fields(JointStates)))
        everything.age_s += np.repeat(elapsed_s, k)
        seen = np.flatnonzero((measured.states != KeypointState.MISSING).ravel())
        covariances = measured.covariances.reshape(-1, 3, 3)[seen]
        points = measurements(measured.positions.reshape(-1, 3)[seen], covariances, origin, self._config.jitter)
        states = everything.take(seen)
        rejected = self._step(states, points)
        positions, joint_covariances = measured.positions.copy(), measured.covariances.copy()
        flat_positions, flat_covariances = positions.reshape(-1, 3), joint_covariances.reshape(-1, 3, 3)
        flat_positions[seen], own = combined(states, points.axes)
        # The constant part of the error stays; that which changes from frame to frame is now the filter's.
        flat_covariances[seen] = (1 - self._config.jitter**2) * covariances + own
        new_states = measured.states.copy()
        new_states.reshape(-1)[seen[rejected]] = KeypointState.INFERRED
        everything.put(seen, states)
        for i, person in enumerate(people):
            person.put(np.arange(k), everything.take(slice(i * k, (i + 1) * k)))
        return SmoothedJoints(positions, joint_covariances, new_states)

    def _step(self, states: JointStates, points: Measured) -> npt.NDArray[np.bool_]:
        """Advance joints to their measurements; returns which of these were taken for outliers."""
        is_new = states.age_s > self._config.max_gap_s
        is_same_moment = states.age_s < _SHORTEST_STEP_S
        begin(states, points, is_new[:, None] & [[True, True]])
        before = states.take(slice(None))
        step_s = np.where(is_new, 0.0, states.age_s)
        mix(states, points.axes, step_s)
        predict(states, step_s, self._power, self._config.drift)
        innovation = innovations(states, points)
        outlier = innovation.squared[..., MOVE] > _GATE**2
        # Twice in a row is no outlier: the joint is there now.
        repeated = outlier & states.doubted
        rejected = outlier & ~states.doubted
        correct(states, innovation, rejected, points.axes)
        states.doubted[:] = rejected
        begin(states, points, repeated)
        done = is_new | is_same_moment
        states.put(np.flatnonzero(done), before.take(np.flatnonzero(done)))
        states.age_s[:] = 0.0
        return rejected.any(axis=1) & ~done
