"""People in front of a camera in a room, at any time of their loop."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.geometry.camera import project
from pose_perception.simulation.activities import plan
from pose_perception.simulation.camera import HeldCamera, StillCamera, color_from_depth
from pose_perception.simulation.config import SequenceConfig
from pose_perception.simulation.kinematics import FloatArray, unit
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import create_bodies
from pose_perception.simulation.posing import pose_body
from pose_perception.simulation.poster import corners, hang_poster
from pose_perception.simulation.props import cardboard_box, chair, held_between
from pose_perception.simulation.renderer import Renderer, Rendering
from pose_perception.simulation.room import build_room

# Somebody who walks out of the image still needs room.
_BESIDE_VIEW_M = {"exit": 1.2}
_BESIDE_STANDING_M = 0.4
# Arms hang, or have a task, in these activities.
_NO_GESTURES = ("cross", "occlude", "exit", "approach", "carry")
# A face that is turned farther away than this is not seen.
_FACE_SEEN_RAD = np.deg2rad(75.0)


class Moment(NamedTuple):
    """Images and truth of one time, in the camera optical frame, metres.

    Attributes:
        picture: What an ideal camera sees.
        depth_picture: What an ideal depth camera sees; the same where depth is registered to colour.
        positions: Keypoints with shape (P, K, 3).
        visible: Whether the camera sees the body right in front of a keypoint, shape (P, K).
        hands: Left and right hands with shape (P, 2, 21, 3).
        hands_visible: As `visible`, shape (P, 2, 21).
        heads: Poses of the heads with shape (P, 4, 4).
        heads_visible: Whether the camera sees the root of the nose and not just from the side, shape (P,).
        fixed_from_camera: Pose of the camera in the room with shape (4, 4): x right, y away, z up.
        poster_box: Image box (x0, y0, x1, y1) of the poster, px, shape (4,); NaN without one.
    """

    picture: Rendering
    depth_picture: Rendering
    positions: FloatArray
    visible: npt.NDArray[np.bool_]
    hands: FloatArray
    hands_visible: npt.NDArray[np.bool_]
    heads: FloatArray
    heads_visible: npt.NDArray[np.bool_]
    fixed_from_camera: FloatArray
    poster_box: FloatArray


class Scene:
    """The simulated world of one configuration.

    Args:
        config: Number of people, their distances, motion and seed; camera.
        model_cache: Directory where the body model keeps what it computed.

    Attributes:
        camera_from_world: Pose (4, 4) of the room in the camera optical frame at the beginning: x right, y away, z up,
            metres.
    """

    def __init__(self, config: SequenceConfig, model_cache: Path) -> None:
        # One stream each, so that a longer loop or another motion leaves people and room as they are.
        streams = np.random.default_rng(config.seed)
        body, place, motion, room = streams.spawn(4)
        held, picture = streams.spawn(2)
        self._config = config
        self._bodies = create_bodies(config.people, body, model_cache)
        kind = "rest" if config.activity in _NO_GESTURES else config.motion
        resting = "lap" if config.activity == "sit" else "hang"
        motions = [Motion(stream, config.loop_s, kind, resting) for stream in motion.spawn(config.people)]
        self._plan = plan(config, self._bodies, place, motions)
        self._camera = HeldCamera(held, config.loop_s) if config.camera_motion == "hand_held" else StillCamera()
        self.camera_from_world = self._camera.at(0.0)
        bearing, self._poster = self._plan.poster_bearing_rad, None
        if bearing is not None:
            self._poster = hang_poster(bearing, config.max_distance_m, picture, model_cache)
        makes = [cardboard_box] if self._plan.carries else [chair] if self._plan.sits else []
        self._things = [make() for make in makes for _ in self._bodies]
        self._depth_from_color = np.linalg.inv(color_from_depth())
        self._renderer = self._make_renderer(config.camera, self.camera_from_world, room)
        self._depth_renderer = None
        if config.depth_camera is not None:
            depth_from_world = self._depth_from_color @ self.camera_from_world
            self._depth_renderer = self._make_renderer(config.depth_camera, depth_from_world, room, in_color=False)

    @property
    def color_from_depth(self) -> FloatArray:
        """Pose (4, 4) of a depth camera of its own in the frame of the colour camera."""
        return np.linalg.inv(self._depth_from_color)

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """Names of the K keypoints."""
        return self._bodies[0].keypoint_names

    def at(self, time_s: float) -> Moment:
        """Ideal images and truth at a time of the loop."""
        camera_from_world = self._camera.at(time_s)
        posed, places = [], []
        for body, actor in zip(self._bodies, self._plan.actors, strict=True):
            pose, world_from_person = actor.at(time_s)
            places.append(camera_from_world @ world_from_person)
            posed.append(pose_body(body, pose).moved(places[-1]))
        if self._plan.carries:
            places = [held_between(person.hands, camera_from_world[:3, 2]) for person in posed]
        meshes = [person.vertices for person in posed] + [
            thing.vertices @ pose[:3, :3].T + pose[:3, 3] for thing, pose in zip(self._things, places, strict=False)
        ]
        picture = self._renderer.render(meshes, camera_from_world)
        depth_picture = picture
        if self._depth_renderer is not None:
            turn, shift = self._depth_from_color[:3, :3], self._depth_from_color[:3, 3]
            aside = [vertices @ turn.T + shift for vertices in meshes]
            depth_picture = self._depth_renderer.render(aside, self._depth_from_color @ camera_from_world)
        positions, hands, heads = (np.stack(values) for values in list(zip(*posed, strict=True))[1:])
        see = self._renderer.visible
        of_hands = see(hands.reshape(len(posed), -1, 3), picture, [body.hands for body in self._bodies])
        sellions = see(heads[:, None, :3, 3], picture, [body.sellion for body in self._bodies])[:, 0]
        return Moment(
            picture=picture,
            depth_picture=depth_picture,
            positions=positions,
            visible=see(positions, picture),
            hands=hands,
            hands_visible=of_hands.reshape(hands.shape[:3]),
            heads=heads,
            heads_visible=sellions & (_turned_away_rad(heads) < _FACE_SEEN_RAD),
            fixed_from_camera=np.linalg.inv(camera_from_world),
            poster_box=self._poster_box(camera_from_world),
        )

    def _make_renderer(
        self, camera: CameraIntrinsics, camera_from_world: FloatArray, rng: np.random.Generator, in_color: bool = True
    ) -> Renderer:
        config = self._config
        beside = _BESIDE_VIEW_M.get(config.activity, _BESIDE_STANDING_M)
        half_width = config.half_view * config.max_distance_m + beside
        room = build_room(config.max_distance_m, half_width, self._plan.blocks, self._poster)
        farthest = config.max_distance_m
        return Renderer(
            camera, camera_from_world, self._bodies, farthest, rng, self._things, room, self._poster, in_color
        )

    def _poster_box(self, camera_from_world: FloatArray) -> FloatArray:
        if self._poster is None:
            return np.full(4, np.nan)
        points = corners(self._poster) @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        pixels = project(points, self._config.camera)
        return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def _turned_away_rad(heads: FloatArray) -> FloatArray:
    """Angle (P,) between where faces (P, 4, 4) look and the direction to the camera."""
    to_camera = -unit(heads[:, :3, 3])
    return np.arccos(np.clip(np.einsum("pi,pi->p", heads[:, :3, 0], to_camera), -1, 1))
