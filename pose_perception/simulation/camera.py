"""How the camera is held: on a tripod, or in a hand that sways."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.simulation.kinematics import FloatArray

# A camera on a mobile robot or a tripod: at chest height, looking slightly down.
_HEIGHT_M = 1.2
_PITCH_RAD = np.deg2rad(6.0)
# Amplitudes of a camera in a hand: to the right, away and up; about these axes (tilt, roll, pan).
_SWAY_M = (0.04, 0.03, 0.02)
_TURN_RAD = np.deg2rad((1.5, 1.0, 4.0))
_SLOWEST_HZ, _FASTEST_HZ = 0.1, 0.3
# The colour camera as seen from the left infrared imager of a D435: 15 mm to the right, not quite parallel.
_COLOR_FROM_DEPTH_M = (0.015, 0.0, 0.0)
_COLOR_FROM_DEPTH_RAD = np.deg2rad((0.3, -0.35, 0.2))


def camera_from_world() -> FloatArray:
    """Pose (4, 4) of the room (x right, y away from the camera, z up, origin on the floor) in the optical frame."""
    sine, cosine = np.sin(_PITCH_RAD), np.cos(_PITCH_RAD)
    transform = np.eye(4)
    transform[:3, :3] = [[1, 0, 0], [0, -sine, -cosine], [0, cosine, -sine]]
    transform[:3, 3] = transform[:3, :3] @ (0, 0, -_HEIGHT_M)
    return transform


def color_from_depth() -> FloatArray:
    """Pose (4, 4) of a depth camera of its own in the frame of the colour camera."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_rotvec(_COLOR_FROM_DEPTH_RAD).as_matrix()
    transform[:3, 3] = _COLOR_FROM_DEPTH_M
    return transform


class HeldCamera:
    """A camera that sways and pans slowly during a loop.

    Args:
        rng: Source of the motion.
        duration_s: Length of the loop; the motion closes.
    """

    def __init__(self, rng: np.random.Generator, duration_s: float) -> None:
        cycles = np.maximum(1, np.round(duration_s * rng.uniform(_SLOWEST_HZ, _FASTEST_HZ, (6, 2))))
        self._frequencies = 2 * np.pi * cycles / duration_s
        self._phases = rng.uniform(0, 2 * np.pi, (6, 2))

    def at(self, time_s: float) -> FloatArray:
        """Pose (4, 4) of the room in the camera's frame."""
        waves = 0.5 * np.sin(self._frequencies * time_s + self._phases).sum(axis=1)
        moved = np.eye(4)
        moved[:3, :3] = Rotation.from_rotvec(waves[3:] * _TURN_RAD).as_matrix()
        # The camera turns about itself, not about the origin on the floor.
        pivot = np.array([0.0, 0.0, _HEIGHT_M])
        moved[:3, 3] = pivot + waves[:3] * _SWAY_M - moved[:3, :3] @ pivot
        return camera_from_world() @ np.linalg.inv(moved)


class StillCamera:
    """A camera on a tripod."""

    def at(self, time_s: float) -> FloatArray:
        """Pose (4, 4) of the room in the camera's frame."""
        return camera_from_world()
