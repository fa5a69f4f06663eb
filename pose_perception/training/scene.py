"""One picture of simulated people: who, where, seen how."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.people import Body
from pose_perception.simulation.renderer import Renderer
from pose_perception.training.backgrounds import Backgrounds, ColorImage, draw_shape
from pose_perception.training.clothes import redress
from pose_perception.training.poses import random_pose

PEOPLE = 6
"""Bodies among which the people of a picture are chosen."""
SIZES = ((480, 384), (384, 480), (432, 432))
"""(width, height) of the pictures, px."""

_HOW_MANY = (0.45, 0.3, 0.15, 0.1)  # share of pictures with one, two, ... people
_NEAREST_M, _FARTHEST_M = 0.8, 8.0
_STATURE_M = 1.7
_ROOM = 0.25  # share of pictures that keep the simulated room
_OCCLUDED = 0.25
# How many metres beside and behind the first person the others stand.
_ASIDE_M, _BEHIND_M = 1.1, 0.9


def take_picture(
    bodies: list[Body], backgrounds: Backgrounds, rng: np.random.Generator
) -> tuple[ColorImage, npt.NDArray[np.uint8], FloatArray, npt.NDArray[np.bool_]]:
    """Render some of the bodies, dressed and posed at random.

    Args:
        bodies: Whom to choose from.
        backgrounds: What is behind them.
        rng: Source of everything.

    Returns:
        RGB picture (H, W, 3); instances (H, W): i + 1 for person i; keypoints (P, K, 2), px; visible (P, K).
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    count = 1 + int(rng.choice(len(_HOW_MANY), p=_HOW_MANY))
    people = [redress(bodies[i], rng) for i in rng.permutation(len(bodies))[:count]]
    focal = max(width, height) * rng.uniform(0.8, 2.0)
    camera = CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    # The stature of the first person over the height of the picture; more than one is a close view.
    share = rng.uniform(0.3, 1.2)
    distance = float(np.clip(focal * _STATURE_M / (share * height), _NEAREST_M, _FARTHEST_M))
    posed = [random_pose(body, rng) for body in people]
    places = [np.array([0.0, distance, 0.0])]
    places += [places[0] + rng.uniform((-_ASIDE_M, -0.3, 0), (_ASIDE_M, _BEHIND_M, 0)) for _ in people[1:]]
    camera_from_world = _look(posed[0][0] + places[0], focal, height, rng)
    to_camera = [
        [(points + place) @ camera_from_world[:3, :3].T + camera_from_world[:3, 3] for points in both]
        for both, place in zip(posed, places, strict=True)
    ]
    renderer = Renderer(camera, camera_from_world, people, distance + _BEHIND_M, rng)
    rendering = renderer.render([vertices for vertices, _ in to_camera])
    points = np.stack([keypoints for _, keypoints in to_camera])
    visible = renderer.visible(points, rendering)
    depth = np.maximum(points[..., 2:], 0.05)
    pixels = points[..., :2] / depth * focal + (camera.cx, camera.cy)
    color, instances = _compose(rendering.color, rendering.instances, backgrounds, rng)
    column, row = (np.clip(np.rint(pixels[..., i]).astype(int), 0, (width, height)[i] - 1) for i in (0, 1))
    visible &= instances[row, column] == rendering.instances[row, column]
    return _photograph(color, rng), instances, pixels, visible


def _look(vertices: FloatArray, focal: float, height: int, rng: np.random.Generator) -> FloatArray:
    """Pose (4, 4) of the room in the frame of a camera that looks more or less at a person (V, 3)."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    eye = np.array([0.0, 0.0, rng.uniform(0.3, 2.3)])
    target = (low + high) / 2
    target[2] = rng.uniform(low[2] + 0.3 * (high - low)[2], high[2] - 0.1 * (high - low)[2])
    # Off the middle by up to a third of the picture.
    yaw = np.arctan2(target[0], target[1]) + np.arctan(height / 3 / focal) * rng.uniform(-1, 1)
    pitch = np.arctan2(target[2] - eye[2], np.hypot(*target[:2])) + np.arctan(height / 6 / focal) * rng.uniform(-1, 1)
    roll = rng.normal(0, 4)
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    turn = Rotation.from_euler("zxy", [0, -pitch, 0]).as_matrix() @ level @ Rotation.from_euler("z", yaw).as_matrix()
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("z", roll, degrees=True).as_matrix() @ turn
    transform[:3, 3] = -transform[:3, :3] @ eye
    return transform


def _compose(
    color: ColorImage, instances: npt.NDArray[np.uint8], backgrounds: Backgrounds, rng: np.random.Generator
) -> tuple[ColorImage, npt.NDArray[np.uint8]]:
    """Put people before a background under a light of their own, and sometimes something before them."""
    height, width = instances.shape
    mask = cv2.GaussianBlur((instances > 0).astype(np.float32), (0, 0), 0.7)[..., None]
    lit = color.astype(np.float32) * rng.uniform(0.5, 1.4) * rng.uniform(0.85, 1.15, 3)
    behind = color if rng.random() < _ROOM else backgrounds.draw(width, height, rng)
    mixed = np.clip(mask * lit + (1 - mask) * behind, 0, 255).astype(np.uint8)
    if rng.random() < _OCCLUDED:
        before = mixed.copy()
        draw_shape(before, rng)
        instances = np.where((before != mixed).any(axis=2), 0, instances).astype(np.uint8)
        mixed = before
    return mixed, instances


def _photograph(color: ColorImage, rng: np.random.Generator) -> ColorImage:
    """Uneven light, exposure, blur and noise of a camera."""
    height, width = color.shape[:2]
    light = cv2.resize(rng.uniform(0.7, 1.25, (2, 2)).astype(np.float32), (width, height))
    seen = 255 * (color / np.float32(255)) ** np.float32(rng.uniform(0.7, 1.4)) * light[..., None]
    if rng.random() < 0.4:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 1.6))
    seen = seen + rng.uniform(0, 8) * rng.standard_normal(color.shape, np.float32)
    return np.clip(seen, 0, 255).astype(np.uint8)
