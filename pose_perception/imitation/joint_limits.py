"""How fast joints may move next, so that they can always stop before a limit or a collision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import Robot


class VelocityBounds(NamedTuple):
    """Smallest and largest joint velocities of the next step, shape (n,), rad/s."""

    lower: FloatArray
    upper: FloatArray


class JointLimits:
    """Limits of position, velocity and acceleration as bounds of the velocity in the next step."""

    def __init__(self, robot: Robot, step_s: float, speed_scale: float = 1.0) -> None:
        """Take the limits of a robot.

        Args:
            robot: The robot.
            step_s: Time between commands, seconds.
            speed_scale: Part of its velocities that is allowed, above 0 to 1.
        """
        self._robot, self._step_s = robot, step_s
        self._velocity = speed_scale * robot.velocity

    def bounds(self, q: FloatArray, velocity: FloatArray) -> VelocityBounds:
        """Return the bounds of the next velocity; never empty.

        From a distance d to a limit a joint can stop if v dt + v² / 2a <= d, the way of this step and of braking after
        it; a velocity that fulfils this can be followed by one that is a dt slower and fulfils it again.

        Args:
            q: Joints with shape (n,), radians; outside of the limits they come back, and slowly.
            velocity: In the last step, shape (n,), rad/s.
        """
        a, dt = self._robot.acceleration, self._step_s
        slowest, fastest = velocity - a * dt, velocity + a * dt
        upper = np.minimum(np.minimum(self._velocity, fastest), self._stopping(self._robot.upper - q))
        lower = np.maximum(np.maximum(-self._velocity, slowest), -self._stopping(q - self._robot.lower))
        # Faster than allowed (the scale has just become smaller, or a limit has been passed): brake.
        upper, lower = np.maximum(upper, np.minimum(slowest, 0.0)), np.minimum(lower, np.maximum(fastest, 0.0))
        upper, lower = np.maximum(upper, slowest), np.minimum(lower, fastest)
        return VelocityBounds(np.minimum(lower, upper), upper)

    def braking(self, q: FloatArray, velocity: FloatArray, samples: int) -> FloatArray:
        """Return joints on the way to a stop with the largest deceleration, the next step included.

        Args:
            q: Joints with shape (n,), radians.
            velocity: In the next step, shape (n,), rad/s.
            samples: How many, at least 2; the first after the next step, the last at rest.

        Returns:
            Shape (samples, n), radians.
        """
        return self.stop(q + self._step_s * velocity, velocity, samples)[1]

    def stop(self, q: FloatArray, velocity: FloatArray, samples: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return how joints come to rest with the largest deceleration.

        Args:
            q: Joints with shape (n,), radians.
            velocity: Of them, shape (n,), rad/s.
            samples: How many moments, at least 2; the last is at rest.

        Returns:
            Times with shape (samples,), seconds; joints and velocities with shape (samples, n), radians and rad/s.
        """
        a = self._robot.acceleration
        stop_s = np.abs(velocity) / a
        times = np.linspace(0.0, stop_s.max(), samples)
        t = np.minimum(times[:, None], stop_s)
        return times, q + velocity * t - np.sign(velocity) * a * t**2 / 2, velocity - np.sign(velocity) * a * t

    def coast(self, q: FloatArray, velocity: FloatArray, seconds: float) -> tuple[FloatArray, FloatArray]:
        """Return joints and velocities, shape (n,) each, a time after joints began to come to rest as `stop` says."""
        a = self._robot.acceleration
        t = np.minimum(seconds, np.abs(velocity) / a)
        return q + velocity * t - np.sign(velocity) * a * t**2 / 2, velocity - np.sign(velocity) * a * t

    def _stopping(self, distance: FloatArray) -> FloatArray:
        a, dt = self._robot.acceleration, self._step_s
        return np.sqrt(np.maximum((a * dt) ** 2 + 2 * a * distance, 0.0)) - a * dt
