"""Directions that are measured at the camera's rate with noise, made smooth and known at any time.

Each is followed by a Kalman filter with constant velocity, which has no lag while an arm moves evenly, as a low-pass
has. Its motion noise follows what the measurements say: small at rest, larger while the filter is surprised (Mehra,
Approaches to adaptive filtering, IEEE Transactions on Automatic Control 17(5), 1972, in its simplest form).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.imitation.targets import ArmTarget

# How fast the surprise is forgotten, and how far it may raise the motion noise.
_SURPRISE_SHARE, _LARGEST_SURPRISE = 0.25, 40.0


@dataclass(frozen=True)
class FilterConfig(Config):
    """How targets are smoothed."""

    noise_rad: float = option(
        0.05, "Standard deviation of measured directions, in radians.", minimum=0.0001, maximum=0.5
    )
    acceleration_rad_s2: float = option(
        1.5, "Acceleration of directions that are hardly moving, in rad/s².", minimum=0.01, maximum=100.0
    )
    hold_s: float = option(
        0.1, "How long a motion goes on after its last measurement, in seconds.", minimum=0.0, maximum=1.0
    )
    forget_s: float = option(
        0.5, "A direction not measured for longer than this is missing, in seconds.", minimum=0.01, maximum=10.0
    )


def torso_filter_config() -> FilterConfig:
    """Return settings for torsos, whose rotation has less noise than that of limbs and changes more slowly."""
    return FilterConfig(noise_rad=0.035, acceleration_rad_s2=0.2)


@dataclass(frozen=True)
class MovingTarget:
    """A target of one arm and how it moves.

    Attributes:
        target: Where to.
        upper_rate, forearm_rate: Velocities of the directions, shape (3,), 1/s.
        wrist_rate: Velocity of `target.wrist`, shape (3,), m/s.
    """

    target: ArmTarget
    upper_rate: FloatArray
    forearm_rate: FloatArray
    wrist_rate: FloatArray


class VectorFilter:
    """Follows one vector with three numbers."""

    def __init__(self, config: FilterConfig, is_direction: bool) -> None:
        """Start without a measurement.

        Args:
            config: Settings.
            is_direction: Whether the vector has length 1 (else it is a position, whose noise is taken in metres).
        """
        self._config, self._is_direction = config, is_direction
        self._stamp_s: float | None = None
        self._value, self._rate = np.zeros(3), np.zeros(3)
        self._spread = np.zeros((2, 2))
        self._surprise = 1.0

    def measure(self, stamp_s: float, value: FloatArray) -> None:
        """Take in a measurement; one that is older than the last is ignored."""
        noise = self._config.noise_rad**2
        if self._stamp_s is None or stamp_s - self._stamp_s > self._config.forget_s:
            self._stamp_s, self._value, self._rate = stamp_s, value.copy(), np.zeros(3)
            self._spread, self._surprise = np.diag([noise, 1.0]), 1.0
            return
        step = stamp_s - self._stamp_s
        if step <= 0:
            return
        self._stamp_s = stamp_s
        self._value = self._value + step * self._rate
        move = np.array([[1.0, step], [0.0, 1.0]])
        power = self._config.acceleration_rad_s2**2 * self._surprise
        jolt = np.array([step**2 / 2, step])
        self._spread = move @ self._spread @ move.T + power * np.outer(jolt, jolt)
        innovation = value - self._value
        variance = self._spread[0, 0] + noise
        squared = float(innovation @ innovation) / (3 * variance)
        self._surprise += _SURPRISE_SHARE * (np.clip(squared, 1.0, _LARGEST_SURPRISE) ** 2 - self._surprise)
        self._surprise = float(np.clip(self._surprise, 1.0, _LARGEST_SURPRISE**2))
        gain = self._spread[:, 0] / variance
        self._value, self._rate = self._value + gain[0] * innovation, self._rate + gain[1] * innovation
        self._spread = self._spread - np.outer(gain, self._spread[0])

    def predict(self, stamp_s: float) -> tuple[FloatArray, FloatArray] | None:
        """Return the vector and its velocity with shape (3,) at a time, or None when it is unknown."""
        if self._stamp_s is None or stamp_s - self._stamp_s > self._config.forget_s:
            return None
        ahead = min(max(stamp_s - self._stamp_s, 0.0), self._config.hold_s)
        value, rate = self._value + ahead * self._rate, self._rate
        if stamp_s - self._stamp_s > self._config.hold_s:
            rate = np.zeros(3)
        if not self._is_direction:
            return value, rate
        length = float(np.linalg.norm(value))
        if length < 1e-3:
            return None
        unit = value / length
        return unit, (rate - unit * (unit @ rate)) / length


class TorsoFilter:
    """Follows the rotation of a person's torso, which is slow, so that its noise can be kept away from the arms."""

    def __init__(self, config: FilterConfig) -> None:
        self._axes = [VectorFilter(config, True) for _ in range(2)]

    def smooth(self, stamp_s: float, skeleton: Skeleton) -> Skeleton:
        """Return a skeleton of the same person with a smoother torso; one without a torso stays without.

        Args:
            stamp_s: When it was seen, seconds.
            skeleton: The person, always the same.
        """
        pose = skeleton.camera_from_torso
        if pose is None:
            return skeleton
        for axis, column in zip(self._axes, (0, 2), strict=True):
            axis.measure(stamp_s, pose[:3, column])
        found = [axis.predict(stamp_s) for axis in self._axes]
        rotation = _rotation(*(None if item is None else item[0] for item in found))
        if rotation is None:
            return skeleton
        smoothed = pose.copy()
        smoothed[:3, :3] = rotation
        return replace(skeleton, camera_from_torso=smoothed)


class TargetFilter:
    """Follows all vectors of the target of one arm."""

    def __init__(self, config: FilterConfig) -> None:
        self._config = config
        self._vectors: dict[str, VectorFilter] = {}
        self._opening = np.nan
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        directions = ("upper", "forearm", "fingers", "back")
        self._vectors = {name: VectorFilter(self._config, True) for name in directions}
        self._vectors["wrist"] = VectorFilter(self._config, False)
        self._opening = np.nan

    def measure(self, stamp_s: float, target: ArmTarget) -> None:
        """Take in a target; what it lacks goes on as before until it is forgotten."""
        vectors = {"upper": target.upper, "forearm": target.forearm, "wrist": target.wrist}
        if target.tool is not None:
            vectors.update(fingers=target.tool[:, 0], back=target.tool[:, 2])
        for name, value in vectors.items():
            if value is not None and np.all(np.isfinite(value)):
                self._vectors[name].measure(stamp_s, value)
        if np.isfinite(target.opening):
            self._opening = target.opening if np.isnan(self._opening) else (self._opening + target.opening) / 2

    def predict(self, stamp_s: float) -> MovingTarget:
        """Return the target at a time."""
        found = {name: vector.predict(stamp_s) for name, vector in self._vectors.items()}
        values = {name: None if item is None else item[0] for name, item in found.items()}
        rates = {name: np.zeros(3) if item is None else item[1] for name, item in found.items()}
        target = ArmTarget(
            values["upper"],
            values["forearm"],
            _rotation(values["fingers"], values["back"]),
            self._opening,
            values["wrist"],
        )
        return MovingTarget(target, rates["upper"], rates["forearm"], rates["wrist"])


def still(targets: Mapping[str, ArmTarget]) -> dict[str, MovingTarget]:
    """Return targets that do not move."""
    zero = np.zeros(3)
    return {name: MovingTarget(replace(target), zero, zero, zero) for name, target in targets.items()}


def _rotation(x: FloatArray | None, z: FloatArray | None) -> FloatArray | None:
    """Return the rotation (3, 3) whose x axis is given, and whose z axis nearly."""
    if x is None or z is None:
        return None
    y = np.cross(z, x)
    length = np.linalg.norm(y)
    if length < 0.1:
        return None
    y = y / length
    return np.stack([x, y, np.cross(x, y)], axis=1)
