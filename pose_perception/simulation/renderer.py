"""Ray casting of posed bodies in a room: colour, depth, and who is where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.simulation.kinematics import FloatArray, unit
from pose_perception.simulation.landmarks import Landmarks
from pose_perception.simulation.people import Body
from pose_perception.simulation.props import Thing
from pose_perception.simulation.room import Poster, Room, RoomTexture, build_room

# Directions towards the lamps in the room (x right, y away from the camera, z up) and their strength; the rest of the
# light comes from the ceiling and, weaker, from the floor.
_LAMPS = ((unit(np.array([-0.5, -0.9, 0.8])), 0.55), (unit(np.array([0.8, -0.5, 0.3])), 0.18))
_SKY, _GROUND = 0.48, 0.26
_BLOCK = 4096


class Rendering(NamedTuple):
    """What an ideal camera sees.

    Attributes:
        color: RGB with shape (H, W, 3), uint8.
        depth: Along the optical axis with shape (H, W), metres, float32; infinite where there is nothing.
        instances: 0 for the room, i + 1 for person i, shape (H, W), uint8.
        parts: Index into `PARTS` where there is a person, shape (H, W), uint8.
        facing: Cosine between the surface's normal and the line of sight with shape (H, W), float32.
        reflectance: How well a depth camera sees the surface with shape (H, W), 0 to 1, float32.
    """

    color: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    instances: npt.NDArray[np.uint8]
    parts: npt.NDArray[np.uint8]
    facing: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]


class Renderer:
    """Renders people and things in a room; the room is rendered again only when the camera has moved.

    Args:
        camera: Intrinsics.
        camera_from_world: Pose of the room in the camera's frame with shape (4, 4).
        bodies: The people.
        farthest_m: Depth of the farthest person, metres.
        rng: Source of the room's texture.
        things: What else moves; belongs to nobody.
        room: Another room than the usual one.
        poster: What hangs on its wall.
        in_color: Whether the colour image is wanted; it stays black otherwise.
    """

    def __init__(
        self,
        camera: CameraIntrinsics,
        camera_from_world: FloatArray,
        bodies: Sequence[Body],
        farthest_m: float,
        rng: np.random.Generator,
        things: Sequence[Thing] = (),
        room: Room | None = None,
        poster: Poster | None = None,
        in_color: bool = True,
    ) -> None:
        self._camera = camera
        self._in_color = in_color
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        # Not normalised: with z = 1 the length along the ray is the depth.
        self._rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
        self._rays = self._rays.astype(np.float32)
        self._sight = unit(self._rays)
        meshes: list[Body | Thing] = [*bodies, *things]
        counts = [len(mesh.vertices) for mesh in meshes]
        starts = np.cumsum([0, *counts])
        self._faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
        self._people = np.repeat([*range(1, len(bodies) + 1), *[0] * len(things)], counts)
        self._colors = np.concatenate([mesh.colors for mesh in meshes])
        self._reflectance = np.concatenate([mesh.reflectance for mesh in meshes])
        nobody = [np.zeros(len(thing.vertices), np.uint8) for thing in things]
        self._parts = np.concatenate([*(body.parts for body in bodies), *nobody])
        self._skeletons = [body.skeleton for body in bodies]
        corners = self._faces.ravel()
        triangles = np.repeat(np.arange(len(self._faces)), 3)
        self._vertex_from_face = sparse.csr_matrix(
            (np.ones(len(corners), np.float32), (corners, triangles)), shape=(starts[-1], len(self._faces))
        )
        self._room, self._texture = room or build_room(farthest_m), RoomTexture(rng, poster)
        self._look_from(camera_from_world)

    def render(self, vertices: list[FloatArray], camera_from_world: FloatArray | None = None) -> Rendering:
        """Render one moment.

        Args:
            vertices: Posed vertices of each person and then of each thing in the camera's frame with shape (V, 3),
                metres.
            camera_from_world: Pose of the room in the camera's frame with shape (4, 4), when it has changed.
        """
        if camera_from_world is not None and not np.array_equal(camera_from_world, self._camera_from_world):
            self._look_from(camera_from_world, np.float32)
        points = np.concatenate(vertices).astype(np.float32)
        picture = Rendering(*(layer.copy() for layer in self._empty))
        window = self._window(points)
        if not picture.depth[window].size:
            return picture
        depth, faces, weights = _cast(points, self._faces, self._rays[window])
        nearer = depth < picture.depth[window]
        corners, weights = self._faces[faces[nearer]], weights[nearer]
        normals = unit(np.einsum("nc,nci->ni", weights, self._normals(points)[corners]) + 1e-12)
        closest = corners[np.arange(len(corners)), weights.argmax(axis=1)]
        layers = Rendering(
            color=self._color(corners, weights, normals),
            depth=depth[nearer],
            instances=self._people[closest],
            parts=self._parts[closest],
            facing=_facing(normals, self._sight[window][nearer]),
            reflectance=self._reflectance[closest],
        )
        for layer, values in zip(picture, layers, strict=True):
            layer[window][nearer] = values
        return picture

    def visible(
        self, points: FloatArray, picture: Rendering, landmarks: list[Landmarks] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Whether the camera sees the surface of the body right in front of each point.

        Args:
            points: N points of each person in the camera's frame with shape (P, N, 3), metres.
            picture: The same moment rendered.
            landmarks: What the points are; the keypoints of the skeleton by default.

        Returns:
            Shape (P, N).
        """
        camera, landmarks = self._camera, landmarks or self._skeletons
        z = points[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = points[..., 0] / z * camera.fx + camera.cx, points[..., 1] / z * camera.fy + camera.cy
        inside = (z > 0) & (u > -0.5) & (v > -0.5) & (u < camera.width - 0.5) & (v < camera.height - 0.5)
        pixel = tuple(np.round(np.where(inside, x, 0)).astype(int) for x in (v, u))
        people, names = np.indices(z.shape)
        around = np.stack([own.parts_around for own in landmarks])[people, names, picture.parts[pixel]]
        in_front = z - picture.depth[pixel]
        low, high = np.moveaxis(np.stack([own.in_front_m for own in landmarks]), -1, 0)
        near = (in_front > low) & (in_front < high)
        return inside & (picture.instances[pixel] == people + 1) & around & near

    def _window(self, points: FloatArray) -> tuple[slice, slice]:
        """Rows and columns that people may cover."""
        camera = self._camera
        z = np.maximum(points[:, 2], 1e-3)
        u = points[:, 0] / z * camera.fx + camera.cx
        v = points[:, 1] / z * camera.fy + camera.cy
        low_u, high_u = (int(x) for x in np.clip((u.min() - 1, u.max() + 2), 0, camera.width))
        low_v, high_v = (int(x) for x in np.clip((v.min() - 1, v.max() + 2), 0, camera.height))
        return slice(low_v, high_v), slice(low_u, high_u)

    def _normals(self, points: FloatArray) -> FloatArray:
        corners = points[self._faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return unit(self._vertex_from_face @ across + 1e-12)

    def _color(
        self, corners: npt.NDArray[np.integer], weights: FloatArray, normals: FloatArray
    ) -> npt.NDArray[np.uint8]:
        """Colour (N, 3) of points in triangles with these corners (N, 3), weights (N, 3) and normals (N, 3)."""
        if not self._in_color:
            return np.zeros(normals.shape, np.uint8)
        return self._shade(np.einsum("nc,nci->ni", weights, self._colors[corners]), normals)

    def _shade(self, albedo: FloatArray, normals: FloatArray) -> npt.NDArray[np.uint8]:
        world = normals @ self._axes
        light = _GROUND + (_SKY - _GROUND) * (0.5 + 0.5 * world[..., 2])
        for direction, strength in _LAMPS:
            light = light + strength * np.clip(world @ direction.astype(world.dtype), 0, None)
        return np.clip(255 * albedo * light[..., None], 0, 255).astype(np.uint8)

    def _look_from(self, camera_from_world: FloatArray, precision: type = np.float64) -> None:
        """Render the empty room; a camera that moves does with single precision."""
        self._camera_from_world = camera_from_world
        rotation, shift = camera_from_world[:3, :3].astype(precision), camera_from_world[:3, 3].astype(precision)
        room, self._axes = self._room, rotation
        vertices = room.vertices.astype(precision) @ rotation.T + shift
        depth, faces, _ = _cast(vertices.astype(np.float32), room.faces, self._rays)
        seen = np.isfinite(depth)
        world = (self._rays[seen] * depth[seen][:, None] - shift) @ rotation
        corners = vertices[room.faces]
        normals = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))[faces[seen]]
        # The sides of a box face both ways, as seen from inside the room.
        facing = _facing(normals, self._sight[seen])
        normals = np.where(facing[:, None] < 0, -normals, normals)
        shape = depth.shape
        self._empty = Rendering(
            color=np.zeros((*shape, 3), np.uint8),
            depth=depth,
            instances=np.zeros(shape, np.uint8),
            parts=np.zeros(shape, np.uint8),
            facing=np.zeros(shape, np.float32),
            reflectance=np.full(shape, 0.9, np.float32),
        )
        if self._in_color:
            # In blocks that fit into the cache: six times faster.
            points = (world, room.materials[faces[seen]], normals)
            blocks = zip(*(np.array_split(values, len(world) // _BLOCK + 1) for values in points), strict=True)
            self._empty.color[seen] = np.concatenate([self._shade(self._texture.albedo(p, m), n) for p, m, n in blocks])
        self._empty.facing[seen] = np.abs(facing)


def _facing(normals: FloatArray, sight: FloatArray) -> FloatArray:
    return -np.einsum("ni,ni->n", normals, sight)


def _cast(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.integer], rays: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], FloatArray]:
    """First hit of rays (H, W, 3) from the origin: depth (H, W), triangle (H, W), weights of its corners (H, W, 3)."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        open3d.core.Tensor(np.ascontiguousarray(vertices, np.float32)),
        open3d.core.Tensor(np.ascontiguousarray(faces, np.uint32)),
    )
    hits = scene.cast_rays(open3d.core.Tensor(np.concatenate([np.zeros_like(rays), rays], axis=-1)))
    uv = hits["primitive_uvs"].numpy()
    weights = np.concatenate([1 - uv.sum(axis=-1, keepdims=True), uv], axis=-1)
    return hits["t_hit"].numpy(), hits["primitive_ids"].numpy().astype(np.int64), weights
