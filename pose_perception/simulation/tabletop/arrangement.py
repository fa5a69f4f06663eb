"""How things stand on a table, and from where a camera looks at them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.objects.surface import Surface, halvings
from pose_perception.simulation.tabletop.pictures import sheet
from pose_perception.simulation.tabletop.shapes import Shape, unfold

_TRIES = 20
_TILTED = 0.25
# Distance and elevation of the camera.
_NEAR_M, _FAR_M = 0.45, 1.4
_LOW_RAD, _HIGH_RAD = np.deg2rad((12.0, 75.0))


class Thing(NamedTuple):
    """A kind of object.

    Attributes:
        surface: Coloured, in its own frame.
        symmetries: Rotations that leave the shape as it is, shape (S, 3, 3), the identity first.
        tells_sides: Whether its picture tells apart what the shape does not.
    """

    surface: Surface
    symmetries: FloatArray
    tells_sides: bool

    @property
    def center(self) -> FloatArray:
        """Middle of the bounding box in the frame of the surface, shape (3,), metres."""
        vertices = self.surface.vertices
        return (vertices.min(axis=0) + vertices.max(axis=0)).astype(np.float64) / 2

    @property
    def radius(self) -> float:
        """Of the sphere around the bounding box, metres."""
        return float(np.linalg.norm(np.ptp(self.surface.vertices, axis=0)) / 2)


def make_thing(shape: Shape, rng: np.random.Generator) -> Thing:
    """Paint a shape at random."""
    picture, tells_sides = sheet(rng, shape.unfolding)
    mesh = shape.mesh
    surface = Surface(np.float32(mesh.vertices), np.int32(mesh.faces), uvs=unfold(shape), texture=halvings(picture))
    return Thing(surface, shape.symmetries, tells_sides)


def arrange(things: list[Thing], rng: np.random.Generator, spread_m: float) -> list[FloatArray | None]:
    """Put things on the table beside each other, each on one of the six sides of its box.

    Args:
        things: What is to be put there.
        rng: Source of the places.
        spread_m: Radius of the area in which they stand, metres.

    Returns:
        world_from_object of each, shape (4, 4); None for what found no room.
    """
    poses: list[FloatArray | None] = []
    taken: list[tuple[FloatArray, float]] = []
    for thing in things:
        rotation = _rest(rng)
        vertices = thing.surface.vertices @ rotation.T
        reach = float(np.linalg.norm(np.ptp(vertices[:, :2], axis=0)) / 2)
        for _ in range(_TRIES):
            at = rng.uniform(-spread_m, spread_m, 2)
            if all(np.linalg.norm(at - other) > 0.75 * (reach + size) for other, size in taken):
                pose = np.eye(4)
                pose[:3, :3] = rotation
                pose[:3, 3] = [*(at - (rotation @ thing.center)[:2]), -vertices[:, 2].min() + 5e-4]
                poses.append(pose)
                taken.append((at, reach))
                break
        else:
            poses.append(None)
    return poses


def _rest(rng: np.random.Generator) -> FloatArray:
    """Draw an orientation: standing on a side of the box, some leaning anyhow."""
    if rng.random() < _TILTED:
        return Rotation.random(rng=rng).as_matrix()
    ups = Rotation.from_euler("xy", [(0, 0), (0, 0), (180, 0), (90, 0), (-90, 0), (0, 90), (0, -90)], degrees=True)
    side = ups[int(rng.integers(7))]
    return (Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)) * side).as_matrix()


def look_at_table(rng: np.random.Generator, spread_m: float) -> FloatArray:
    """Draw camera_from_world, shape (4, 4), of a camera that looks at some place on the table."""
    distance, elevation = rng.uniform(_NEAR_M, _FAR_M), rng.uniform(_LOW_RAD, _HIGH_RAD)
    azimuth, roll = rng.uniform(-0.7, 0.7), rng.normal(0, 0.15)
    target = np.array([*rng.uniform(-spread_m / 2, spread_m / 2, 2), 0.03])
    back = np.array([np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.cross(-back, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(-back, right)
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = Rotation.from_euler("z", roll).as_matrix() @ np.stack([right, down, -back])
    camera_from_world[:3, 3] = -camera_from_world[:3, :3] @ (target + distance * back)
    return camera_from_world
