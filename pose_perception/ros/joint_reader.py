"""The joints of one robot out of joint states, which may come in parts, in any order, and with joints of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.ros.conversions import JointValues

# Velocities that a robot does not tell are those over at least this time, seconds.
_VELOCITY_OVER_S = 0.05


class JointReport(NamedTuple):
    """All joints of the robot.

    Attributes:
        stamp_s: Of the oldest part, seconds.
        q: Shape (n,), radians.
        velocity: Shape (n,), rad/s; from the change of the positions where the robot does not say, NaN at first.
    """

    stamp_s: float
    q: FloatArray
    velocity: FloatArray


class JointReader:
    """Puts the parts together."""

    def __init__(self, joints: Sequence[str]) -> None:
        """Start without any.

        Args:
            joints: Names of the n joints, in the order of the reports.
        """
        self._index = {name: i for i, name in enumerate(joints)}
        self.forget()

    def forget(self) -> None:
        """Wait for all joints anew."""
        self._stamps = np.full(len(self._index), -np.inf)
        self._q = np.full(len(self._index), np.nan)
        self._velocity = np.full(len(self._index), np.nan)
        self._changes = np.full(len(self._index), np.nan)
        self._before: tuple[float, FloatArray] | None = None

    def missing(self) -> list[str]:
        """Return the joints that were never reported."""
        return [name for name, i in self._index.items() if self._stamps[i] == -np.inf]

    def read(self, stamp_s: float, values: JointValues) -> JointReport | None:
        """Take in one message; return the whole robot, or None as long as joints are missing.

        A message without any of the joints changes nothing and gives None. Numbers that are not finite are in the
        report, and not remembered.

        Args:
            stamp_s: When, seconds.
            values: What the message says.

        Raises:
            InvalidInputError: it is older than what is known of a joint.
        """
        places = [(self._index[name], row) for row, name in enumerate(values.names) if name in self._index]
        if not places:
            return None
        own, rows = (np.array(column) for column in zip(*places, strict=True))
        if (stamp_s < self._stamps[own]).any():
            raise InvalidInputError(f"joint states go back by {self._stamps[own].max() - stamp_s:.3f} s")
        stamps, q, velocity = self._stamps.copy(), self._q.copy(), self._velocity.copy()
        stamps[own], q[own], velocity[own] = stamp_s, values.positions[rows], values.velocities[rows]
        if np.isfinite(q[own]).all():
            self._stamps, self._q, self._velocity = stamps, q, velocity
        if not np.isfinite(stamps).all():
            return None
        oldest_s = float(stamps.min())
        return JointReport(oldest_s, q, np.where(np.isnan(velocity), self._measure(oldest_s), velocity))

    def _measure(self, stamp_s: float) -> FloatArray:
        """Return how fast the positions change, shape (n,), per second."""
        if self._before is None:
            self._before = (stamp_s, self._q)
        elif stamp_s - self._before[0] >= _VELOCITY_OVER_S:
            self._changes = (self._q - self._before[1]) / (stamp_s - self._before[0])
            self._before = (stamp_s, self._q)
        return self._changes
