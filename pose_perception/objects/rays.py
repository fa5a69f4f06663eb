"""Pictures by ray casting: all of it but where rays meet the surface, which differs between devices.

Only rays that may meet the object are cast: those through the outline of a simple body around it.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import HalfspaceIntersection

from pose_perception.datatypes import FloatArray
from pose_perception.objects.renderer import Pictures, pixel_size
from pose_perception.objects.surface import Surface

# Share of the light that comes from everywhere; the rest falls along the line of sight.
AMBIENT = 0.5
# Fewer are cast sooner by one thread.
_FEWEST_RAYS = 150_000
# Outlines beyond so many pixels are not drawn: all rays are cast.
_FARTHEST_PX = 10_000.0


class Rays(NamedTuple):
    """Rays through some pixels of N pictures in the frame of the object; their length is one metre of depth.

    Attributes:
        index: Of the pixel among all N * h * w, shape (M,), increasing.
        picture: That each belongs to, shape (M,).
        origins: Shape (N, 3), metres.
        lines: Origin and direction of each, shape (M, 6).
    """

    index: npt.NDArray[np.intp]
    picture: npt.NDArray[np.intp]
    origins: npt.NDArray[np.float32]
    lines: npt.NDArray[np.float32]

    @property
    def directions(self) -> npt.NDArray[np.float32]:
        """Shape (M, 3)."""
        return self.lines[:, 3:]


class SurfacePoints(NamedTuple):
    """H points on a surface.

    Attributes:
        face: Shape (H,).
        barycentric: Weights of the second and third corner, shape (H, 2).
        normal: Of the face in the object's frame, either way round, shape (H, 3), unit length.
    """

    face: npt.NDArray[np.integer]
    barycentric: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]


class Hits(NamedTuple):
    """What H of M rays met first.

    Attributes:
        ray: Which they are, shape (H,), increasing.
        depth: Shape (H,), metres.
        surface: What they met there; None unless it was asked for.
    """

    ray: npt.NDArray[np.intp]
    depth: npt.NDArray[np.float32]
    surface: SurfacePoints | None


def cast(
    poses: FloatArray, intrinsics: FloatArray, size: tuple[int, int], wanted: npt.NDArray[np.intp] | None = None
) -> Rays:
    """Return the rays of N pictures.

    Args:
        poses: camera_from_object, shape (N, 4, 4).
        intrinsics: fx, fy, cx, cy of each picture with shape (N, 4), px.
        size: Height and width, px.
        wanted: Index of the wanted pixels among all N * h * w; None for all of them.
    """
    height, width = size
    count = len(poses)
    index = np.arange(count * height * width) if wanted is None else wanted
    borders = np.searchsorted(index, np.arange(count + 1) * (height * width))
    picture = np.repeat(np.arange(count), np.diff(borders))
    # Columns and rows look the same way all along, and are far fewer than pixels.
    fx, fy, cx, cy = np.asarray(intrinsics, np.float32).T[..., None]
    right = np.float32((np.arange(width) - cx) / fx)
    down = np.float32((np.arange(height) - cy) / fy)
    row = index // width  # of all pictures one below the other
    sight = np.ones((len(index), 3), np.float32)
    sight[:, 0] = right.reshape(-1).take(index - (row - picture) * width)
    sight[:, 1] = down.reshape(-1).take(row)
    rotation = np.asarray(poses[:, :3, :3], np.float32)
    origins = -np.einsum("nji,nj->ni", rotation, np.asarray(poses[:, :3, 3], np.float32))
    # One product writes both: the third coordinate of every line of sight is 1, which gives the origin.
    both = np.zeros((count, 3, 6), np.float32)
    both[:, 2, :3], both[:, :, 3:] = origins, rotation
    lines = np.empty((len(index), 6), np.float32)
    for matrix, start, stop in zip(both, borders[:-1], borders[1:], strict=True):
        np.matmul(sight[start:stop], matrix, out=lines[start:stop])
    return Rays(index, picture, origins, lines)


class Outline:
    """A body around a surface, from which its outline in pictures is drawn.

    Args:
        vertices: Of the surface, shape (V, 3), metres.
    """

    def __init__(self, vertices: npt.NDArray[np.float32]) -> None:
        # The sides of a box, cut off at its edges and corners.
        sides = np.array([side for side in itertools.product((-1, 0, 1), repeat=3) if any(side)], np.float64)
        middle = np.float64(vertices.min(0) + vertices.max(0)) / 2
        reach = np.max((vertices - middle) @ sides.T, axis=0)
        reach += 1e-3 * reach.max() + 1e-6  # flat surfaces need some room as well
        corners = HalfspaceIntersection(np.column_stack([sides, -reach]), np.zeros(3)).intersections
        self._corners = corners + middle

    def pixels(self, poses: FloatArray, intrinsics: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.intp]:
        """Return the pixels that may show the surface among all N * h * w; arguments as for `cast`."""
        height, width = size
        inside = np.zeros((len(poses), height, width), np.uint8)
        corners = self._corners @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
        depth = corners[..., 2]
        focal, middle = intrinsics[:, None, :2], intrinsics[:, None, 2:]
        pixels = focal * corners[..., :2] / np.maximum(depth, 1e-6)[..., None] + middle
        drawable = (depth.min(1) > 1e-3) & (np.abs(pixels).max((1, 2)) < _FARTHEST_PX)
        inside[~drawable] = 1
        whole = np.int32(np.round(np.clip(pixels, -_FARTHEST_PX, _FARTHEST_PX)))
        for i in np.nonzero(drawable)[0]:
            cv2.fillConvexPoly(inside[i], cv2.convexHull(whole[i]), 1)
        # Corners were rounded; a few rays more at the seams between pictures do no harm.
        grown = cv2.dilate(inside.reshape(-1, width), np.ones((3, 3), np.uint8))
        return np.flatnonzero(grown.view(np.bool_))


class RayRenderer(ABC):
    """Renders a surface; `meet` is what a device adds.

    Args:
        surface: What to render.
        most_rays: Cast at once: large enough for the device to be busy, small enough for its memory or cache.
        threads: That render many pictures together.
    """

    def __init__(self, surface: Surface, most_rays: int, threads: int = 1) -> None:
        self._surface = surface
        self._most_rays, self._threads = most_rays, threads
        used = surface.vertices[np.unique(surface.faces)]
        self._center = (used.min(0) + used.max(0)) / 2
        self._outline = Outline(used)

    @abstractmethod
    def meet(self, rays: Rays, surface: bool) -> Hits:
        """Return where rays meet the surface, and with `surface` also what they meet there."""

    def render(
        self,
        camera_from_object: FloatArray,
        intrinsics: FloatArray,
        size: int | tuple[int, int],
        color: bool = True,
        normals: bool = False,
    ) -> Pictures:
        """See `Renderer.render`."""
        shape = (size, size) if isinstance(size, int) else size
        count = len(camera_from_object)
        colors, facing = np.zeros((2, count, *shape, 3), np.float32)
        made = Pictures(np.zeros((count, *shape), np.float32), colors, facing)
        texel = pixel_size(camera_from_object, intrinsics, self._center) if color and count else None

        def draw(part: slice) -> None:
            pictures = Pictures(*(array[part] for array in made))
            self._draw(pictures, camera_from_object[part], intrinsics[part], texel, normals)

        parts = self._parts(count, shape)
        if self._threads == 1 or len(parts) < 2:
            for part in parts:
                draw(part)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(draw, parts))  # which raises what a thread raised
        return made

    def _parts(self, count: int, shape: tuple[int, int]) -> list[slice]:
        """Return which of so many pictures are drawn at once."""
        pixels = shape[0] * shape[1]
        parts = math.ceil(count / max(1, self._most_rays // pixels))
        if count * pixels > _FEWEST_RAYS:  # no thread shall wait for the last part of another
            parts = math.ceil(parts / self._threads) * self._threads
        step = max(1, math.ceil(count / max(1, parts)))
        return [slice(start, start + step) for start in range(0, count, step)]

    def _draw(
        self, made: Pictures, poses: FloatArray, intrinsics: FloatArray, texel_m: float | None, normals: bool
    ) -> None:
        """Draw some pictures, with colours when the size of a pixel on the surface is given."""
        shape = made.depth.shape[1:]
        rays = cast(poses, intrinsics, shape, self._outline.pixels(poses, intrinsics, shape))
        hits = self.meet(rays, surface=texel_m is not None or normals)
        index = rays.index.take(hits.ray)
        made.depth.reshape(-1)[index] = hits.depth
        if hits.surface is None:
            return
        directions = rays.lines.take(hits.ray, axis=0)[:, 3:]
        along = _dot(hits.surface.normal, directions)
        if texel_m is not None:
            cosine = np.abs(along) / np.sqrt(_dot(directions, directions))
            _put(made.color, index, lit(self._surface, hits.surface, cosine, texel_m))
        if normals:
            facing = towards_camera(hits.surface.normal, along, rays.picture.take(hits.ray), poses)
            _put(made.normals, index, facing)


def lit(surface: Surface, points: SurfacePoints, cosine: npt.NDArray[np.float32], texel_m: float) -> FloatArray:
    """Return the colours of H points, shape (H, 3), 0 to 1, float32.

    Args:
        surface: On which they are.
        points: Where on it.
        cosine: Between normal and line of sight, shape (H,).
        texel_m: Size of a pixel on the surface, metres.
    """
    albedo = surface.albedo(points.face, points.barycentric, texel_m)
    albedo *= (np.float32(AMBIENT) + np.float32(1 - AMBIENT) * cosine)[:, None]
    return albedo


def towards_camera(
    normal: npt.NDArray[np.float32],
    along: npt.NDArray[np.float32],
    picture: npt.NDArray[np.intp],
    poses: FloatArray,
) -> npt.NDArray[np.float32]:
    """Return normals in the camera's frame, turned towards it, shape (H, 3).

    A face is seen from whichever side it is looked at: meshes without an inside have faces of either winding.

    Args:
        normal: In the object's frame, shape (H, 3).
        along: Their products with lines of sight, shape (H,).
        picture: In which each is seen, shape (H,), increasing.
        poses: camera_from_object of the pictures, shape (N, 4, 4).
    """
    facing = np.empty_like(normal)
    borders = np.searchsorted(picture, np.arange(len(poses) + 1))
    for rotation, start, stop in zip(poses[:, :3, :3].astype(np.float32), borders[:-1], borders[1:], strict=True):
        np.matmul(normal[start:stop], rotation.T, out=facing[start:stop])
    facing *= np.where(along > 0, np.float32(-1), np.float32(1))[:, None]
    return facing


def _dot(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the products of vectors (H, 3) by columns: numpy is slow along short axes."""
    return one[:, 0] * other[:, 0] + one[:, 1] * other[:, 1] + one[:, 2] * other[:, 2]


def _put(pictures: npt.NDArray[np.float32], index: npt.NDArray[np.intp], values: npt.NDArray[np.float32]) -> None:
    """Write values (H, 3) to pixels: each as one element of three numbers, which takes half the time."""
    pixel = np.dtype((np.void, 3 * values.itemsize))
    pictures.reshape(-1).view(pixel)[index] = values.reshape(-1).view(pixel)
