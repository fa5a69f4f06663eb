"""Pictures by ray casting: all of it but where rays meet the surface, which differs between devices.

Only rays that may meet the object are cast: those through the outline of a simple body around it.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
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
# Outlines beyond so many pixels are not drawn: all rays are cast.
_FARTHEST_PX = 10_000.0


class Rays(NamedTuple):
    """Rays through some pixels of N pictures in the frame of the object; their length is one metre of depth.

    Attributes:
        index: Of the pixel among all N * h * w, shape (M,), increasing.
        picture: That each belongs to, shape (M,).
        origins: Shape (N, 3), metres.
        directions: Shape (M, 3).
    """

    index: npt.NDArray[np.intp]
    picture: npt.NDArray[np.intp]
    origins: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float32]


class Hits(NamedTuple):
    """What H of M rays met first.

    Attributes:
        ray: Which they are, shape (H,).
        depth: Shape (H,), metres.
        face: Shape (H,).
        barycentric: Weights of the second and third corner, shape (H, 2).
        normal: Of the face in the object's frame, either way round, shape (H, 3), unit length.
    """

    ray: npt.NDArray[np.intp]
    depth: npt.NDArray[np.float32]
    face: npt.NDArray[np.integer]
    barycentric: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]


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
    count, pixels = len(poses), height * width
    index = np.arange(count * pixels) if wanted is None else wanted
    borders = np.searchsorted(index, np.arange(count + 1) * pixels)
    picture = np.repeat(np.arange(count), np.diff(borders))
    row, column = np.divmod((index - picture * pixels).astype(np.int32), np.int32(width))
    fx, fy, cx, cy = (value.take(picture) for value in np.asarray(intrinsics, np.float32).T)
    sight = np.ones((len(index), 3), np.float32)
    sight[:, 0] = (column - cx) / fx
    sight[:, 1] = (row - cy) / fy
    rotation = np.asarray(poses[:, :3, :3], np.float32)
    directions = np.empty_like(sight)
    for turn, start, stop in zip(rotation, borders[:-1], borders[1:], strict=True):
        np.matmul(sight[start:stop], turn, out=directions[start:stop])
    origins = -np.einsum("nji,nj->ni", rotation, np.asarray(poses[:, :3, 3], np.float32))
    return Rays(index, picture, origins, directions)


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
    """

    def __init__(self, surface: Surface, most_rays: int) -> None:
        self._surface = surface
        self._most_rays = most_rays
        used = surface.vertices[np.unique(surface.faces)]
        self._center = (used.min(0) + used.max(0)) / 2
        self._outline = Outline(used)

    @abstractmethod
    def meet(self, rays: Rays) -> Hits:
        """Return where rays meet the surface."""

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
        count, pixels = len(camera_from_object), shape[0] * shape[1]
        depth = np.zeros((count, pixels), np.float32)
        colors, facing = np.zeros((2, count, pixels, 3), np.float32)
        texel = pixel_size(camera_from_object, intrinsics, self._center) if color and count else None
        step = max(1, self._most_rays // pixels)
        for start in range(0, count, step):
            part = slice(start, start + step)
            poses = camera_from_object[part]
            wanted = self._outline.pixels(poses, intrinsics[part], shape)
            rays = cast(poses, intrinsics[part], shape, wanted)
            hits = self.meet(rays)
            index = rays.index[hits.ray]
            depth[part].reshape(-1)[index] = hits.depth
            if texel is not None:
                colors[part].reshape(-1, 3)[index] = lit(self._surface, rays, hits, texel)
            if normals:
                facing[part].reshape(-1, 3)[index] = towards_camera(rays, hits, poses)
        return Pictures(depth.reshape(-1, *shape), colors.reshape(-1, *shape, 3), facing.reshape(-1, *shape, 3))


def lit(surface: Surface, rays: Rays, hits: Hits, texel_m: float) -> npt.NDArray[np.float32]:
    """Return the colours of what rays met, shape (H, 3), 0 to 1.

    Args:
        surface: What they met.
        rays: All of them.
        hits: Where.
        texel_m: Size of a pixel on the surface, metres.
    """
    directions = rays.directions[hits.ray]
    cosine = np.abs(np.einsum("ij,ij->i", hits.normal, directions))
    cosine /= np.sqrt(np.einsum("ij,ij->i", directions, directions))
    albedo = surface.albedo(hits.face, hits.barycentric, texel_m)
    return albedo * (np.float32(AMBIENT) + np.float32(1 - AMBIENT) * cosine)[:, None]


def towards_camera(rays: Rays, hits: Hits, poses: FloatArray) -> npt.NDArray[np.float32]:
    """Return the normals of what rays met in the camera's frame, shape (H, 3); arguments as for `cast` and `lit`.

    A face is seen from whichever side it is looked at: meshes without an inside have faces of either winding.
    """
    away = np.einsum("ij,ij->i", hits.normal, rays.directions[hits.ray]) > 0
    normal = np.where(away[:, None], -hits.normal, hits.normal)
    rotation = np.asarray(poses[:, :3, :3], np.float32)[rays.picture[hits.ray]]
    return np.einsum("nij,nj->ni", rotation, normal)
