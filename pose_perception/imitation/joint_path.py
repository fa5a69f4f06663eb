"""A path of joints over time, as trajectory controllers take it, and a robot that follows one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError

# Moments that are nearer to each other are the same, seconds.
_SAME_S = 1e-4


@dataclass(frozen=True)
class JointPath:
    """Where n joints are at S moments; the path ends at the last.

    Attributes:
        times_s: Shape (S,), seconds from its beginning, ever later.
        positions: Shape (S, n), radians.
        velocities: Shape (S, n), rad/s; NaN in a moment that has none: the way from it to the next is straight.

    Raises:
        InvalidInputError: it has no moment, shapes or times do not fit, or a position is not finite.
    """

    times_s: FloatArray
    positions: FloatArray
    velocities: FloatArray

    def __post_init__(self) -> None:
        count = len(self.times_s)
        if not count or self.positions.shape[:1] != (count,) or self.positions.shape != self.velocities.shape:
            raise InvalidInputError(
                f"a path of {count} moments has positions {self.positions.shape}, velocities {self.velocities.shape}"
            )
        if not np.isfinite(self.positions).all() or np.isinf(self.velocities).any():
            raise InvalidInputError("a path has numbers that are not finite")
        if not (self.times_s[0] >= 0 and (np.diff(self.times_s) > 0).all() and np.isfinite(self.times_s[-1])):
            raise InvalidInputError(f"the times of a path must rise, got {self.times_s.tolist()}")


def stopping_path(step_s: float, times_s: FloatArray, positions: FloatArray, velocities: FloatArray) -> JointPath:
    """Return a path whose first moment is a step ahead, and which then follows a way to rest.

    Args:
        step_s: Time until the first moment, seconds.
        times_s: Of the way, shape (S,), seconds, from 0; moments that coincide are left out.
        positions: Shape (S, n), radians.
        velocities: Shape (S, n), rad/s.
    """
    keep = np.concatenate([[True], np.diff(times_s) > _SAME_S])
    velocities = velocities[keep].copy()
    velocities[-1] = 0.0
    return JointPath(step_s + times_s[keep], positions[keep], velocities)


class PathFollower:
    """Where a path leads from where joints are, as a joint trajectory controller does it: cubic between two moments."""

    def __init__(self, path: JointPath, q: FloatArray, velocity: FloatArray) -> None:
        """Begin at time 0.

        Args:
            path: Where to.
            q: Joints now with shape (n,), radians.
            velocity: Of them, shape (n,), rad/s.
        """
        is_later = path.times_s > 0
        start = (np.zeros(1), q[None], velocity[None])
        parts = (path.times_s[is_later], path.positions[is_later], path.velocities[is_later])
        self._times, self._q, self._velocity = (np.concatenate(pair) for pair in zip(start, parts, strict=True))
        if not is_later.any():
            self._q[0] = path.positions[-1]
            self._velocity[0] = 0.0

    def at(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """Return joints and velocities, shape (n,) each, at a time from the beginning in seconds."""
        i = int(np.searchsorted(self._times, time_s, side="right")) - 1
        if i >= len(self._times) - 1:
            return self._q[-1], np.zeros_like(self._q[-1])
        span = self._times[i + 1] - self._times[i]
        s = max(time_s - self._times[i], 0.0) / span
        step = self._q[i + 1] - self._q[i]
        start, end = self._velocity[i] * span, self._velocity[i + 1] * span
        # Without a velocity at either end, the way is straight.
        is_straight = np.isnan(start) | np.isnan(end)
        start, end = np.where(is_straight, step, start), np.where(is_straight, step, end)
        a, b = start + end - 2 * step, 3 * step - 2 * start - end
        return self._q[i] + ((a * s + b) * s + start) * s, ((3 * a * s + 2 * b) * s + start) / span


class SimulatedJoints:
    """Joints that follow a path or positions as far as their velocities and accelerations allow.

    Attributes:
        q, velocity: Now, shape (n,), radians and rad/s.
    """

    def __init__(self, q: FloatArray, fastest: FloatArray, acceleration: FloatArray) -> None:
        """Stand still.

        Args:
            q: Joints with shape (n,), radians.
            fastest: Largest velocities, shape (n,), rad/s.
            acceleration: Largest accelerations, shape (n,), rad/s².
        """
        self.q, self.velocity = q.copy(), np.zeros_like(q)
        self._fastest, self._acceleration = fastest, acceleration
        self._wanted: PathFollower | FloatArray = q.copy()
        self._time_s = 0.0
        self._last = q.copy(), np.zeros_like(q)

    def follow(self, path: JointPath) -> None:
        """Follow a path from now on, from where the last one would be."""
        self._wanted, self._time_s = PathFollower(path, *self._last), 0.0

    def go(self, positions: FloatArray) -> None:
        """Go to positions with shape (n,), radians, as fast as possible."""
        self._wanted = positions.copy()

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self._time_s += seconds
        if isinstance(self._wanted, PathFollower):
            self._last = self._wanted.at(self._time_s)
        else:
            self._last = self._wanted, np.zeros_like(self._wanted)
        q, velocity = self._last
        lag = q - self.q - velocity * seconds
        # Half of what braking allows, so that it does not overshoot.
        catch_up = np.sign(lag) * np.minimum(np.abs(lag) / seconds, np.sqrt(self._acceleration * np.abs(lag)))
        change = self._acceleration * seconds
        wanted = np.clip(velocity + catch_up, self.velocity - change, self.velocity + change)
        self.velocity = np.clip(wanted, -self._fastest, self._fastest)
        self.q = self.q + self.velocity * seconds
