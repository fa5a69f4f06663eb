"""Where people are heading: a Kalman filter with constant velocity, and the view in which it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame

# Spectral density of people's unforeseen acceleration, m²/s³: who stands still may walk at 1 m/s half a second later.
ACCELERATION_POWER = 1.3
# Standard deviation of a speed nobody measured, m/s.
SPEED_SIGMA = 1.0
# Who is not seen is expected to slow down with this time constant, seconds: people walk on, but not for ever.
_FADING_S = 2.0
# A measurement farther off than this many standard deviations counts less.
_SURPRISE = 2.0
# A velocity less certain than this is not known, m/s.
_KNOWN_SPEED_SIGMA = 0.7


@dataclass(frozen=True)
class View:
    """A camera and where it is in the frame of reference in which people are followed.

    Attributes:
        camera: Intrinsics.
        rotation: From the camera's axes to those of the reference, shape (3, 3).
        origin: Of the camera in the reference, shape (3,), metres.
    """

    camera: CameraIntrinsics
    rotation: FloatArray
    origin: FloatArray

    @classmethod
    def of(cls, frame: RgbdFrame, last_pose: FloatArray | None) -> View:
        """Return the view of a frame; one whose pose is not known is taken from where the last one was.

        Args:
            frame: Anything with intrinsics.
            last_pose: Pose of the camera in the last frame, shape (4, 4); None when it never had one.
        """
        pose = frame.fixed_from_camera
        if pose is None or not np.isfinite(pose).all():
            pose = np.eye(4) if last_pose is None else last_pose
        return cls(frame.camera, pose[:3, :3], pose[:3, 3])

    @property
    def pose(self) -> FloatArray:
        """Pose of the camera in the reference with shape (4, 4)."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.origin
        return pose

    def to_reference(self, points: FloatArray) -> FloatArray:
        """Return points (..., 3) of the camera's frame in the reference."""
        return points @ self.rotation.T + self.origin

    def to_camera(self, points: FloatArray) -> FloatArray:
        """Return points (..., 3) of the reference in the camera's frame."""
        return (points - self.origin) @ self.rotation

    def covariances_to_reference(self, covariances: FloatArray) -> FloatArray:
        """Return covariances (..., 3, 3) of the camera's frame in the reference."""
        return self.rotation @ covariances @ self.rotation.T

    def covariances_to_camera(self, covariances: FloatArray) -> FloatArray:
        """Return covariances (..., 3, 3) of the reference in the camera's frame."""
        return self.rotation.T @ covariances @ self.rotation


class Motion:
    """Position and velocity of one point with D axes, in metres or in pixels.

    Args:
        position: Where it is with shape (D,).
        covariance: Of this position with shape (D, D).
        unit: How many units of the position are a metre.
    """

    def __init__(self, position: FloatArray, covariance: FloatArray, unit: float = 1.0) -> None:
        self._unit = unit
        axes = len(position)
        self.position = np.array(position, dtype=np.float64)
        self.velocity = np.zeros(axes)
        self._covariance = np.zeros((2 * axes, 2 * axes))
        self._covariance[:axes, :axes] = covariance
        self._covariance[axes:, axes:] = np.eye(axes) * (SPEED_SIGMA * self._unit) ** 2

    @property
    def covariance(self) -> FloatArray:
        """Of the position, shape (D, D)."""
        axes = len(self.position)
        return self._covariance[:axes, :axes]

    @property
    def knows_velocity(self) -> bool:
        """Whether it was measured, and not too long ago."""
        axes = len(self.position)
        variance = np.trace(self._covariance[axes:, axes:]) / axes
        return bool(variance < (_KNOWN_SPEED_SIGMA * self._unit) ** 2)

    def predict(self, step_s: float, fades: bool) -> None:
        """Advance in time.

        Args:
            step_s: By how much, seconds.
            fades: Whether the point was not seen lately, so that its velocity counts less and less: an
                Ornstein-Uhlenbeck process, whose uncertainty stays finite.
        """
        if step_s <= 0:
            return
        power = ACCELERATION_POWER * self._unit**2
        if fades:
            kept = np.exp(-step_s / _FADING_S)
            reach = _FADING_S * (1 - kept)
            limit = power * _FADING_S / 2
            noise = (
                limit * _FADING_S * (2 * step_s - _FADING_S * (3 - 4 * kept + kept**2)),
                limit * _FADING_S * (1 - kept) ** 2,
                limit * (1 - kept**2),
            )
        else:
            kept, reach = 1.0, step_s
            noise = (power * step_s**3 / 3, power * step_s**2 / 2, power * step_s)
        identity = np.eye(len(self.position))
        transition = np.block([[identity, reach * identity], [0 * identity, kept * identity]])
        added = np.block([[noise[0] * identity, noise[1] * identity], [noise[1] * identity, noise[2] * identity]])
        self._covariance = transition @ self._covariance @ transition.T + added
        self.position = self.position + reach * self.velocity
        self.velocity = kept * self.velocity

    def surprise(self, position: FloatArray, covariance: FloatArray) -> float:
        """Return how far a measured position (D,) with its covariance is off, in standard deviations per axis."""
        innovation = position - self.position
        squared = innovation @ np.linalg.solve(self.covariance + covariance, innovation)
        return float(np.sqrt(squared / len(position)))

    def correct(self, position: FloatArray, covariance: FloatArray) -> None:
        """Take in a measured position (D,) with its covariance (D, D); one that is far off counts less."""
        axes = len(self.position)
        doubt = max(1.0, self.surprise(position, covariance) / _SURPRISE) ** 2
        innovation = position - self.position
        gain = np.linalg.solve(self.covariance + covariance * doubt, self._covariance[:axes]).T  # (2 D, D)
        change = gain @ innovation
        self.position = self.position + change[:axes]
        self.velocity = self.velocity + change[axes:]
        self._covariance = self._covariance - gain @ self._covariance[:axes]

    def move(self, pose: FloatArray) -> None:
        """Express a point in metres in another frame, by the pose (4, 4) of the old one in it."""
        rotation = np.kron(np.eye(2), pose[:3, :3])
        self.position = pose[:3, :3] @ self.position + pose[:3, 3]
        self.velocity = pose[:3, :3] @ self.velocity
        self._covariance = rotation @ self._covariance @ rotation.T
