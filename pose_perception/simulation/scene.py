"""People in front of a camera in a room, at any time of their loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.simulation.kinematics import FloatArray, unit
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import create_bodies
from pose_perception.simulation.posing import pose_body
from pose_perception.simulation.renderer import Renderer, Rendering

if TYPE_CHECKING:
    from pose_perception.simulation.sequence import SequenceConfig

# A camera on a mobile robot or a tripod: at chest height, looking slightly down.
_CAMERA_HEIGHT_M = 1.2
_CAMERA_PITCH_RAD = np.deg2rad(6.0)
# Angle between neighbours as seen from the camera: room for one person's elbows at 1.5 m.
_SPACING_RAD = np.deg2rad(21.0)
# All people stay within this share of the horizontal field of view.
_USED_WIDTH = 0.62
_HEADING_RAD = np.deg2rad(18.0)
# A face that is turned farther away than this is not seen.
_FACE_SEEN_RAD = np.deg2rad(75.0)


class Moment(NamedTuple):
    """Images and truth of one time, in the camera optical frame, metres.

    Attributes:
        picture: What an ideal camera sees.
        positions: Keypoints with shape (P, K, 3).
        visible: Whether the camera sees the body right in front of a keypoint, shape (P, K).
        hands: Left and right hands with shape (P, 2, 21, 3).
        hands_visible: As `visible`, shape (P, 2, 21).
        heads: Poses of the heads with shape (P, 4, 4).
        heads_visible: Whether the camera sees the root of the nose and not just from the side, shape (P,).
    """

    picture: Rendering
    positions: FloatArray
    visible: npt.NDArray[np.bool_]
    hands: FloatArray
    hands_visible: npt.NDArray[np.bool_]
    heads: FloatArray
    heads_visible: npt.NDArray[np.bool_]


class Scene:
    """The simulated world of one configuration.

    Args:
        config: Number of people, their distances, motion and seed; camera.
        model_cache: Directory where the body model keeps what it computed.

    Attributes:
        camera_from_world: Pose (4, 4) of the room in the camera optical frame: x right, y away, z up, metres.
    """

    def __init__(self, config: SequenceConfig, model_cache: Path) -> None:
        # One stream each, so that a longer loop or another motion leaves people and room as they are.
        body, place, motion, room = np.random.default_rng(config.seed).spawn(4)
        self._bodies = create_bodies(config.people, body, model_cache)
        self.camera_from_world = _camera_from_world()
        self._camera_from_people = _places(config, self.camera_from_world, place)
        self._motions = [
            Motion(stream, config.frames / config.rate_hz, config.motion) for stream in motion.spawn(config.people)
        ]
        self._renderer = Renderer(config.camera, self.camera_from_world, self._bodies, config.max_distance_m, room)

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """Names of the K keypoints."""
        return self._bodies[0].keypoint_names

    def at(self, time_s: float) -> Moment:
        """Ideal images and truth at a time of the loop."""
        posed = [
            pose_body(body, motion.at(time_s)).moved(pose)
            for body, motion, pose in zip(self._bodies, self._motions, self._camera_from_people, strict=True)
        ]
        picture = self._renderer.render([person.vertices for person in posed])
        positions, hands, heads = (np.stack(values) for values in list(zip(*posed, strict=True))[1:])
        see = self._renderer.visible
        of_hands = see(hands.reshape(len(posed), -1, 3), picture, [body.hands for body in self._bodies])
        sellions = see(heads[:, None, :3, 3], picture, [body.sellion for body in self._bodies])[:, 0]
        return Moment(
            picture=picture,
            positions=positions,
            visible=see(positions, picture),
            hands=hands,
            hands_visible=of_hands.reshape(hands.shape[:3]),
            heads=heads,
            heads_visible=sellions & (_turned_away_rad(heads) < _FACE_SEEN_RAD),
        )


def _turned_away_rad(heads: FloatArray) -> FloatArray:
    """Angle (P,) between where faces (P, 4, 4) look and the direction to the camera."""
    to_camera = -unit(heads[:, :3, 3])
    return np.arccos(np.clip(np.einsum("pi,pi->p", heads[:, :3, 0], to_camera), -1, 1))


def _camera_from_world() -> FloatArray:
    """Pose (4, 4) of the room (x right, y away from the camera, z up, origin on the floor) in the optical frame."""
    sine, cosine = np.sin(_CAMERA_PITCH_RAD), np.cos(_CAMERA_PITCH_RAD)
    transform = np.eye(4)
    transform[:3, :3] = [[1, 0, 0], [0, -sine, -cosine], [0, cosine, -sine]]
    transform[:3, 3] = transform[:3, :3] @ (0, 0, -_CAMERA_HEIGHT_M)
    return transform


def _places(config: SequenceConfig, camera_from_world: FloatArray, rng: np.random.Generator) -> list[FloatArray]:
    """Poses (4, 4) of the people in the camera's frame: side by side, each at a distance of its own."""
    half_view = np.arctan(config.width / 2 / config.camera.fx)
    spacing = min(_SPACING_RAD, 2 * _USED_WIDTH * half_view / max(1, config.people - 1))
    # One person per equal part of the range of distances, in random order: near and far are both there.
    parts = (rng.permutation(config.people) + rng.uniform(0.25, 0.75, config.people)) / config.people
    distances = config.min_distance_m + parts * (config.max_distance_m - config.min_distance_m)
    poses = []
    for i, distance in enumerate(distances):
        bearing = (i - (config.people - 1) / 2) * spacing
        world_from_person = np.eye(4)
        # They turn towards the camera more or less.
        heading = -bearing + rng.uniform(-_HEADING_RAD, _HEADING_RAD)
        world_from_person[:3, :3] = Rotation.from_rotvec([0, 0, heading]).as_matrix()
        world_from_person[:2, 3] = distance * np.tan(bearing), distance
        poses.append(camera_from_world @ world_from_person)
    return poses
