"""The room behind the people: walls, floor and furniture with texture, so that the background is not empty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_WALL_M = 1.1  # behind the farthest person
_HALF_WIDTH_M = 2.6
_HEIGHT_M = 2.6
_FRONT_M = -0.5
_BOX_FACES = np.array(
    [
        *((0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4)),
        *((2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)),
    ]
)


class Room(NamedTuple):
    """Triangles (F, 3) of vertices (V, 3) in metres (x right, y away from the camera, z up) with a material each."""

    vertices: FloatArray
    faces: npt.NDArray[np.int64]
    materials: npt.NDArray[np.int64]


_MATERIALS = ("wall", "side_wall", "floor", "wood", "metal", "cloth")
_ALBEDO = np.array(
    [
        (0.72, 0.70, 0.64),
        (0.60, 0.66, 0.68),
        (0.52, 0.40, 0.29),
        (0.58, 0.42, 0.26),
        (0.42, 0.45, 0.48),
        (0.55, 0.30, 0.26),
    ]
)


def build_room(farthest_m: float) -> Room:
    """Make a room that leaves space behind people who stand up to `farthest_m` metres away."""
    wall = farthest_m + _WALL_M
    w, h = _HALF_WIDTH_M, _HEIGHT_M
    boxes = [
        ("wall", (-w, wall, 0), (w, wall + 0.1, h)),
        ("side_wall", (-w - 0.1, _FRONT_M, 0), (-w, wall, h)),
        ("side_wall", (w, _FRONT_M, 0), (w + 0.1, wall, h)),
        ("side_wall", (-w, _FRONT_M, h), (w, wall, h + 0.1)),
        ("floor", (-w, _FRONT_M, -0.1), (w, wall, 0)),
        # A sideboard with a case on it and a picture above, a shelf and a bin.
        ("wood", (-1.9, wall - 0.45, 0), (-0.5, wall, 0.85)),
        ("cloth", (-1.2, wall - 0.35, 0.85), (-0.75, wall - 0.1, 1.15)),
        ("cloth", (-1.55, wall - 0.02, 1.35), (-0.85, wall, 1.85)),
        ("wood", (1.0, wall - 0.35, 0), (1.08, wall, 2.0)),
        ("wood", (1.9, wall - 0.35, 0), (1.98, wall, 2.0)),
        *[("wood", (1.0, wall - 0.35, z), (1.98, wall, z + 0.04)) for z in (0.4, 0.9, 1.4, 1.96)],
        ("metal", (1.2, wall - 0.3, 0.94), (1.5, wall - 0.05, 1.25)),
        ("metal", (0.35, wall - 0.35, 0), (0.62, wall - 0.05, 0.45)),
    ]
    corners = [
        np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, 8).T for _, low, high in boxes
    ]
    faces = np.concatenate([_BOX_FACES + 8 * i for i in range(len(boxes))])
    materials = np.repeat([_MATERIALS.index(name) for name, _, _ in boxes], len(_BOX_FACES))
    return Room(np.concatenate(corners), faces, materials)


def room_albedo(points: FloatArray, materials: npt.NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    """Colour of points on the room's surfaces.

    Args:
        points: Positions with shape (N, 3), metres.
        materials: Material of each with shape (N,).
        rng: Source of the texture.

    Returns:
        Albedo with shape (N, 3), 0 to 1.
    """
    albedo = _ALBEDO[materials]
    floor, wood = (materials == _MATERIALS.index(name) for name in ("floor", "wood"))
    planks = rng.uniform(0.8, 1.15, 64)[np.floor(points[:, 0] / 0.14).astype(int) % 64]
    grain = 1 + 0.06 * np.sin(points @ (9.0, 90.0, 70.0) + 3 * np.sin(points @ (4.0, 3.0, 5.0)))
    mottled = 1 + 0.05 * _clouds(points, rng)
    tint = mottled * np.where(floor, planks, 1.0) * np.where(floor | wood, grain, 1.0)
    return np.clip(albedo * tint[:, None], 0, 1)


def _clouds(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Smooth noise with shape (N,) around 0: plane waves of random direction, 0.1 to 1 m long."""
    waves = rng.normal(size=(3, 24))
    waves *= 2 * np.pi / (np.linalg.norm(waves, axis=0) * rng.uniform(0.1, 1.0, 24))
    return np.sin(points @ waves + rng.uniform(0, 2 * np.pi, 24)).sum(axis=1) / np.sqrt(12)
