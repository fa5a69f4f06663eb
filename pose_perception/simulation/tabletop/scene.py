"""Things on a table in front of a wall, seen by an RGB-D camera: colour, depth, and what is where.

World frame: metres, the table is z = 0, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.rays import cast
from pose_perception.objects.surface import Surface, halvings
from pose_perception.simulation.tabletop.pictures import label, material, plain, random_color

_TABLE_M, _TILE_M = 6.0, 0.8


class Placed(NamedTuple):
    """A surface somewhere in the world.

    Attributes:
        surface: In its own frame.
        world_from_object: Pose, shape (4, 4).
    """

    surface: Surface
    world_from_object: FloatArray


class Light(NamedTuple):
    """Light in a room.

    Attributes:
        ambient: From everywhere, 0 to 1.
        directions: Towards the lamps in the world, shape (L, 3), unit length.
        strengths: Of the lamps, shape (L,).
        tint: Colour of all light with shape (3,), about 1.
        gloss: Strength of highlights on everything, 0 to 1.
        sharpness: Exponent of the highlights.
    """

    ambient: float
    directions: FloatArray
    strengths: FloatArray
    tint: FloatArray
    gloss: float
    sharpness: float


class View(NamedTuple):
    """What an ideal camera sees; also what `simulation.sensor.Sensor` needs of a rendering.

    Attributes:
        color: RGB with shape (h, w, 3), uint8.
        depth: Along the optical axis with shape (h, w), metres, float32; infinite where there is nothing.
        instances: Index of the thing with shape (h, w), int16; -1 for nothing. Table and wall come after the things.
        facing: Cosine between normal and line of sight with shape (h, w), float32.
        reflectance: How bright the surface is with shape (h, w), 0 to 1, float32.
    """

    color: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    instances: npt.NDArray[np.int16]
    facing: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]


def random_light(rng: np.random.Generator) -> Light:
    """Draw the light of a room: lamps above, from soft to hard, a little warm or cold."""
    directions = rng.normal(0, 1, (rng.integers(1, 4), 3))
    directions[:, 2] = np.abs(directions[:, 2]) + 0.3
    ambient = rng.uniform(0.25, 0.8)
    strengths = rng.dirichlet(np.ones(len(directions))) * (1 - ambient) * rng.uniform(0.7, 1.5)
    tint = np.clip(rng.normal(1, 0.08, 3), 0.75, 1.25) * rng.uniform(0.55, 1.25)
    gloss = rng.uniform(0, 0.5) if rng.random() < 0.5 else 0.0
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return Light(ambient, unit, strengths, tint, gloss, rng.uniform(8, 80))


class TabletopScene:
    """Renders what stands on a table.

    Args:
        things: What stands there.
        light: How it is lit.
        rng: Source of the looks of table and wall; None for neither.
    """

    def __init__(self, things: Sequence[Placed], light: Light, rng: np.random.Generator | None = None) -> None:
        import open3d

        self._open3d = open3d
        self._light = light
        self._placed = [*things, *(_room(rng) if rng is not None else ())]
        self._scene = open3d.t.geometry.RaycastingScene()
        for surface, pose in self._placed:
            vertices = np.float32(surface.vertices @ pose[:3, :3].T + pose[:3, 3])
            self._scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(surface.faces.astype(np.uint32)))

    def view(self, camera_from_world: FloatArray, intrinsics: FloatArray, size: tuple[int, int]) -> View:
        """Look at the scene.

        Args:
            camera_from_world: Pose with shape (4, 4).
            intrinsics: fx, fy, cx, cy with shape (4,), px.
            size: Height and width, px.
        """
        rays = cast(camera_from_world[None], np.asarray(intrinsics)[None], size)
        directions = rays.directions
        lines = np.concatenate([np.broadcast_to(rays.origins, directions.shape), directions], axis=1)
        answer = self._scene.cast_rays(self._open3d.core.Tensor(lines))
        depth = answer["t_hit"].numpy()
        geometry = answer["geometry_ids"].numpy()
        faces, weights = answer["primitive_ids"].numpy().astype(np.int64), answer["primitive_uvs"].numpy()
        normals = answer["primitive_normals"].numpy()
        sight = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        facing = np.einsum("ij,ij->i", normals, sight)
        normals *= np.where(facing > 0, -1, 1)[:, None]
        hit = np.isfinite(depth)
        albedo = np.zeros((len(depth), 3), np.float32)
        for index, (surface, _) in enumerate(self._placed):
            chosen = np.nonzero(hit & (geometry == index))[0]
            if len(chosen):
                texel = float(np.median(depth[chosen])) / float(intrinsics[0])
                albedo[chosen] = surface.albedo(faces[chosen], weights[chosen], texel)
        color = np.clip(self._lit(albedo, normals, sight), 0, 1) * hit[:, None]
        return View(
            np.round(color * 255).astype(np.uint8).reshape(*size, 3),
            np.where(hit, depth, np.float32(np.inf)).reshape(size),
            np.where(hit, geometry.astype(np.int64), -1).astype(np.int16).reshape(size),
            np.abs(facing).reshape(size),
            albedo.mean(axis=1).reshape(size),
        )

    def _lit(self, albedo: FloatArray, normals: FloatArray, sight: FloatArray) -> FloatArray:
        """Lambert's reflection and Phong's highlights."""
        light = self._light
        cosines = np.maximum(normals @ np.float32(light.directions.T), 0)
        bright = light.ambient + cosines @ np.float32(light.strengths)
        color = albedo * bright[:, None]
        if light.gloss > 0:
            mirrored = sight - 2 * np.einsum("ij,ij->i", sight, normals)[:, None] * normals
            shine = np.maximum(mirrored @ np.float32(light.directions.T), 0) ** np.float32(light.sharpness)
            color += np.float32(light.gloss) * (shine @ np.float32(light.strengths))[:, None]
        return color * np.float32(light.tint)


def _room(rng: np.random.Generator) -> list[Placed]:
    table = np.eye(4)
    wall = np.eye(4)
    angle = rng.uniform(-0.6, 0.6)
    wall[:3, 0] = [np.cos(angle), np.sin(angle), 0]
    wall[:3, 1] = [0, 0, 1]
    wall[:3, 2] = [np.sin(angle), -np.cos(angle), 0]
    wall[:3, 3] = [0, rng.uniform(0.5, 1.5), 0]
    return [Placed(_sheet(rng), table), Placed(_sheet(rng), wall)]


def _sheet(rng: np.random.Generator) -> Surface:
    """A square in the plane z = 0 with a repeated picture."""
    half = _TABLE_M / 2
    vertices = np.float32([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    kind = rng.random()
    if kind < 0.4:
        picture = plain(rng, 128, 128)
    elif kind < 0.8:
        picture = material(rng, 256, 256)
    else:
        picture = label(rng, 256, 256, [random_color(rng) for _ in range(4)])
    tile = _TILE_M * rng.uniform(0.5, 2)
    return Surface(vertices, faces, uvs=np.float32(vertices[faces][..., :2] / tile), texture=halvings(picture))
