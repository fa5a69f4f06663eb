"""Things that people handle, or that stand in the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.simulation.kinematics import FloatArray, unit
from pose_perception.simulation.legs import SEAT_M
from pose_perception.simulation.room import BOX_FACES

CARRIED_M = (0.40, 0.30, 0.30)
"""Width, depth and height of a carried box."""
CARRIED_AHEAD_M = 0.04
"""How far in front of the palms its middle is."""
# Width, depth and height of a chair, half the thickness of its legs, and its colour.
_CHAIR_M, _RAIL_M, _BEECH = (0.42, 0.42, 0.88), 0.02, (0.60, 0.47, 0.33)
_CARDBOARD, _TAPE, _LABEL = (0.62, 0.46, 0.30), (0.80, 0.70, 0.52), (0.92, 0.92, 0.90)
# Quads along each edge: enough to paint a tape and a label on them.
_GRID = 15
# The middle of the palm on the way from the wrist to the knuckle of the middle finger.
_PALM_SHARE, _MIDDLE_KNUCKLE = 0.84, 9


@dataclass(frozen=True)
class Thing:
    """A rigid mesh around its origin.

    Attributes:
        vertices: With shape (V, 3), metres, float32.
        faces: Vertices of each triangle with shape (F, 3), int32.
        colors: Albedo of each vertex with shape (V, 3), 0 to 1.
        reflectance: How well a depth camera sees each vertex with shape (V,), 0 to 1.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colors: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]


def cardboard_box() -> Thing:
    """Make the box that people carry: x to the left, y backwards, z up, as the bodies have it."""
    steps = np.linspace(-1, 1, _GRID + 1)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    corner = np.arange(_GRID * (_GRID + 1)).reshape(_GRID, _GRID + 1)[:, :-1].ravel()
    across, diagonal = corner + _GRID + 1, corner + _GRID + 2
    quads = np.stack([corner, across, corner + 1, corner + 1, across, diagonal], axis=1).reshape(-1, 3)
    vertices, colors, faces = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            side = np.empty((len(a), 3))
            side[:, axis], side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = sign, a, b
            paint = np.full((len(a), 3), _CARDBOARD)
            if axis != 0:  # the tape runs around the middle, the label sticks to the front and the back
                paint[np.abs(side[:, 0]) < 0.15] = _TAPE
            if axis == 1:
                paint[(side[:, 0] > 0.3) & (side[:, 0] < 0.8) & (side[:, 2] > -0.1) & (side[:, 2] < 0.6)] = _LABEL
            faces.append((quads if sign > 0 else quads[:, ::-1]) + len(a) * len(vertices))
            vertices.append(side * np.array(CARRIED_M) / 2)
            colors.append(paint)
    count = len(a) * len(vertices)
    return Thing(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(colors).astype(np.float32),
        np.full(count, 0.9, np.float32),
    )


def chair() -> Thing:
    """Make a chair around the place of somebody who sits on it, the floor at z = 0."""
    half, back, top = _CHAIR_M[0] / 2, _CHAIR_M[1] / 2, _CHAIR_M[2]
    ends = [(x, y) for x in (-half + _RAIL_M, half - _RAIL_M) for y in (-back + _RAIL_M, back - _RAIL_M)]
    blocks = [
        ((-half, -back, SEAT_M - 0.04), (half, back, SEAT_M)),
        ((-half, back, SEAT_M + 0.1), (half, back + 0.03, top)),
        *[((x - _RAIL_M, y - _RAIL_M, 0), (x + _RAIL_M, y + _RAIL_M, SEAT_M)) for x, y in ends],
        *[((x - _RAIL_M, back, 0), (x + _RAIL_M, back + 0.03, top)) for x in (ends[0][0], ends[-1][0])],
    ]
    sides = []
    for low, high in blocks:
        corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, 8).T
        # Corners of its own for each triangle, or the edges would look round; the room sees its boxes from inside.
        sides.append(corners[BOX_FACES[:, ::-1].ravel()])
    vertices = np.concatenate(sides)
    return Thing(
        vertices.astype(np.float32),
        np.arange(len(vertices), dtype=np.int32).reshape(-1, 3),
        np.full((len(vertices), 3), _BEECH, np.float32),
        np.full(len(vertices), 0.9, np.float32),
    )


def held_between(hands: FloatArray, trunk_up: FloatArray) -> FloatArray:
    """Pose (4, 4) of a box whose sides lie in both palms.

    Args:
        hands: Left and right in the order of `landmarks.HAND_LANDMARKS`, shape (2, 21, 3).
        trunk_up: Direction of the trunk's upper end, shape (3,).
    """
    palms = hands[:, 0] + _PALM_SHARE * (hands[:, _MIDDLE_KNUCKLE] - hands[:, 0])
    left = unit(palms[0] - palms[1])
    back = unit(np.cross(trunk_up, left))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([left, back, np.cross(left, back)], axis=1)
    pose[:3, 3] = palms.mean(axis=0) - CARRIED_AHEAD_M * back
    return pose
