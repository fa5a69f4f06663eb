"""The room behind the people: walls, floor and furniture with texture, so that the background is not empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_WALL_M = 1.1  # behind the farthest person
_HALF_WIDTH_M = 2.6
_HEIGHT_M = 2.6
_FRONT_M = -0.5
BOX_FACES = np.array(
    [
        *((0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4)),
        *((2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)),
    ]
)
"""Triangles of a box with its corners in the order (x, y, z), z fastest."""


class Room(NamedTuple):
    """Triangles (F, 3) of vertices (V, 3) in metres (x right, y away from the camera, z up) with a material each."""

    vertices: FloatArray
    faces: npt.NDArray[np.int64]
    materials: npt.NDArray[np.int64]


class Block(NamedTuple):
    """An upright box between two corners (3,), metres."""

    material: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


class Poster(NamedTuple):
    """A picture on a wall that faces the camera.

    Attributes:
        albedo: With shape (rows, columns, 3), 0 to 1.
        low, high: Corners (x, y, z) in the room, metres; y is that of its surface.
    """

    albedo: FloatArray
    low: FloatArray
    high: FloatArray


_MATERIALS = ("wall", "side_wall", "floor", "wood", "metal", "cloth", "board", "poster")
_ALBEDO = np.array(
    [
        (0.72, 0.70, 0.64),
        (0.60, 0.66, 0.68),
        (0.52, 0.40, 0.29),
        (0.58, 0.42, 0.26),
        (0.42, 0.45, 0.48),
        (0.55, 0.30, 0.26),
        (0.46, 0.52, 0.50),
        (1.0, 1.0, 1.0),
    ]
)


# Wave vectors of the grain of wood and of what bends it.
_GRAIN = ((9.0, 90.0, 70.0), (4.0, 3.0, 5.0))
# The poster is as thick as a canvas on a frame.
_POSTER_M = 0.02


def wall_m(farthest_m: float) -> float:
    """Distance of the back wall for people who stand up to `farthest_m` metres away."""
    return farthest_m + _WALL_M


def build_room(
    farthest_m: float, half_width_m: float = _HALF_WIDTH_M, blocks: Sequence[Block] = (), poster: Poster | None = None
) -> Room:
    """Make a room that leaves space behind people who stand up to `farthest_m` metres away.

    Args:
        farthest_m: Distance of the farthest person.
        half_width_m: Half the distance of the side walls, at least that of the usual room.
        blocks: What else stands in the room.
        poster: Hangs on the back wall; the furniture in front of it is left out.
    """
    wall = wall_m(farthest_m)
    w, h = max(_HALF_WIDTH_M, half_width_m), _HEIGHT_M
    walls = [
        Block("wall", (-w, wall, 0), (w, wall + 0.1, h)),
        Block("side_wall", (-w - 0.1, _FRONT_M, 0), (-w, wall, h)),
        Block("side_wall", (w, _FRONT_M, 0), (w + 0.1, wall, h)),
        Block("side_wall", (-w, _FRONT_M, h), (w, wall, h + 0.1)),
        Block("floor", (-w, _FRONT_M, -0.1), (w, wall, 0)),
    ]
    furniture = _furniture(wall)
    if poster is not None:
        (left, front, low), (right, _, high) = poster.low, poster.high
        furniture = [block for block in furniture if block.high[0] < left or block.low[0] > right]
        furniture.append(Block("poster", (left, front, low), (right, front + _POSTER_M, high)))
    boxes = [*walls, *furniture, *blocks]
    corners = [
        np.array(np.meshgrid(*zip(box.low, box.high, strict=True), indexing="ij")).reshape(3, 8).T for box in boxes
    ]
    faces = np.concatenate([BOX_FACES + 8 * i for i in range(len(boxes))])
    materials = np.repeat([_MATERIALS.index(box.material) for box in boxes], len(BOX_FACES))
    return Room(np.concatenate(corners), faces, materials)


def _furniture(wall: float) -> list[Block]:
    boxes = [
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
    return [Block(*box) for box in boxes]


class RoomTexture:
    """Colours of the surfaces of the room.

    Args:
        rng: Source of the texture.
        poster: What is on the poster.
    """

    def __init__(self, rng: np.random.Generator, poster: Poster | None = None) -> None:
        self._planks = rng.uniform(0.8, 1.15, 64)
        # Plane waves of random direction, 0.1 to 1 m long.
        waves = rng.normal(size=(3, 24))
        self._waves = waves * 2 * np.pi / (np.linalg.norm(waves, axis=0) * rng.uniform(0.1, 1.0, 24))
        self._phases = rng.uniform(0, 2 * np.pi, 24)
        self._poster = poster

    def albedo(self, points: FloatArray, materials: npt.NDArray[np.int64]) -> FloatArray:
        """Colour of points on the surfaces.

        Args:
            points: Positions with shape (N, 3), metres.
            materials: Material of each with shape (N,).

        Returns:
            Albedo with shape (N, 3), 0 to 1.
        """
        floor, wood, board, poster = (
            materials == _MATERIALS.index(name) for name in ("floor", "wood", "board", "poster")
        )
        planks = self._planks.astype(points.dtype)[np.floor(points[:, 0] / 0.14).astype(int) % 64]
        # In the precision of the points: single is several times faster.
        lines, bends, waves, phases = (
            np.asarray(values, points.dtype) for values in (_GRAIN[0], _GRAIN[1], self._waves, self._phases)
        )
        grain = 1 + 0.06 * np.sin(points @ lines + 3 * np.sin(points @ bends))
        clouds = np.sin(points @ waves + phases).sum(axis=1) / points.dtype.type(np.sqrt(12))
        tint = (1 + 0.05 * clouds) * np.where(floor, planks, 1.0) * np.where(floor | wood, grain, 1.0)
        # A board is covered with felt whose seams show.
        tint = np.where(board & (np.abs(points[:, 2] % 0.7 - 0.35) < 0.01), 0.6 * tint, tint)
        albedo = np.clip(_ALBEDO.astype(points.dtype)[materials] * tint[:, None], 0, 1)
        if self._poster is not None and poster.any():
            albedo[poster] = _picture(self._poster, points[poster])
        return albedo


def _picture(poster: Poster, points: FloatArray) -> FloatArray:
    """Colour (N, 3) of points (N, 3) of a poster, between its pixels as they are."""
    rows, columns = poster.albedo.shape[:2]
    across, _, up = ((points - poster.low) / np.maximum(poster.high - poster.low, 1e-6)).T
    column = np.clip((across * columns).astype(int), 0, columns - 1)
    row = np.clip(((1 - up) * rows).astype(int), 0, rows - 1)
    return poster.albedo[row, column]
