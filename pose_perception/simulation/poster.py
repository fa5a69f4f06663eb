"""A life-size picture of a person on the wall: taken by the renderer itself, flat like any picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.simulation.kinematics import about
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import create_bodies
from pose_perception.simulation.posing import pose_body
from pose_perception.simulation.renderer import Renderer
from pose_perception.simulation.room import Poster, wall_m

_WIDTH_M, _HEIGHT_M, _BOTTOM_M = 0.9, 2.0, 0.1
_IN_FRONT_M = 0.02
_PIXELS_PER_M = 400
# The picture was taken from here, level, at the height of the chest.
_TAKEN_FROM_M, _TAKEN_AT_M = 4.0, 1.2
_MOTION_S, _TAKEN_S = 8.0, 2.0
_HEADING_RAD = np.deg2rad(15.0)
# What the light in the room makes of white, about: the picture shall look as bright as the person did.
_WHITE = 0.85


def hang_poster(bearing_rad: float, farthest_m: float, rng: np.random.Generator, model_cache: Path) -> Poster:
    """Take a picture of somebody and hang it on the back wall.

    Args:
        bearing_rad: Direction of the poster from the camera.
        farthest_m: Distance of the farthest person.
        rng: Source of the person and the pose.
        model_cache: As for `create_bodies`.
    """
    wall = wall_m(farthest_m)
    center = wall * np.tan(bearing_rad)
    low = np.array([center - _WIDTH_M / 2, wall - _IN_FRONT_M, _BOTTOM_M])
    return Poster(_picture(rng, model_cache), low, low + np.array([_WIDTH_M, 0.0, _HEIGHT_M]))


def corners(poster: Poster) -> FloatArray:
    """Corners of its surface in the room with shape (4, 3)."""
    (left, y, bottom), (right, _, top) = poster.low, poster.high
    return np.array([(left, y, bottom), (right, y, bottom), (left, y, top), (right, y, top)])


def _picture(rng: np.random.Generator, model_cache: Path) -> FloatArray:
    """Albedo with shape (rows, columns, 3)."""
    (body,) = create_bodies(1, rng, model_cache)
    width, height = round(_WIDTH_M * _PIXELS_PER_M), round(_HEIGHT_M * _PIXELS_PER_M)
    focal = _PIXELS_PER_M * _TAKEN_FROM_M
    camera = CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (_HEIGHT_M - _TAKEN_AT_M) * _PIXELS_PER_M)
    camera_from_world = np.array([[1.0, 0, 0, 0], [0, 0, -1, _TAKEN_AT_M], [0, 1, 0, 0], [0, 0, 0, 1]])
    world_from_person = np.eye(4)
    world_from_person[:3, :3] = about(np.array([0.0, 0.0, 1.0]), rng.uniform(-_HEADING_RAD, _HEADING_RAD))
    world_from_person[1, 3] = _TAKEN_FROM_M
    posed = pose_body(body, Motion(rng, _MOTION_S, "mixed").at(_TAKEN_S)).moved(camera_from_world @ world_from_person)
    picture = Renderer(camera, camera_from_world, [body], _TAKEN_FROM_M, rng).render([posed.vertices])
    return np.clip(picture.color / 255 / _WHITE, 0, 1)
