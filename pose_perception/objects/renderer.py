"""Pictures of an object in many poses at once.

Every picture has a pinhole camera of its own, so that a crop around a hypothesis is simply a small picture. The light
sits at the camera: what the surface shows does not depend on a room that nobody knows.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.surface import Surface

# Share of the light that comes from everywhere; the rest falls along the line of sight.
AMBIENT = 0.5


class Pictures(NamedTuple):
    """N pictures of h x w pixels.

    Attributes:
        depth: Along the optical axis with shape (N, h, w), metres, float32; 0 where the object is not.
        color: RGB with shape (N, h, w, 3), 0 to 1, float32; 0 where the object is not.
        normals: Towards the camera, in the camera's frame, with shape (N, h, w, 3), float32; 0 where the object is not.
    """

    depth: npt.NDArray[np.float32]
    color: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Where the object is, shape (N, h, w)."""
        return self.depth > 0


class Renderer(Protocol):
    """What renders one surface on one device."""

    def render(
        self, camera_from_object: FloatArray, intrinsics: FloatArray, size: int | tuple[int, int], color: bool = True
    ) -> Pictures:
        """Render the surface.

        Args:
            camera_from_object: Poses with shape (N, 4, 4), metres.
            intrinsics: fx, fy, cx, cy of each picture with shape (N, 4), px.
            size: Height and width, or the edge of square pictures, px.
            color: Whether colours are wanted; they stay 0 otherwise.
        """
        ...


class Rays(NamedTuple):
    """Rays through the pixels of N pictures in the frame of the object; their length is one metre of depth.

    Attributes:
        origins: Shape (N, 3), metres.
        directions: Shape (N, h * w, 3).
    """

    origins: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float32]


def cast(camera_from_object: FloatArray, intrinsics: FloatArray, size: tuple[int, int]) -> Rays:
    """Return the rays of pictures; arguments as for `Renderer.render`."""
    height, width = size
    poses = np.asarray(camera_from_object, np.float32)
    fx, fy, cx, cy = np.asarray(intrinsics, np.float32).T[:, :, None]
    directions = np.ones((len(poses), height, width, 3), np.float32)
    directions[..., 0] = ((np.arange(width, dtype=np.float32) - cx) / fx)[:, None, :]
    directions[..., 1] = ((np.arange(height, dtype=np.float32) - cy) / fy)[:, :, None]
    rotation = poses[:, :3, :3]
    origins = -np.einsum("nji,nj->ni", rotation, poses[:, :3, 3])
    return Rays(origins, directions.reshape(len(poses), -1, 3) @ rotation)


def shade(
    surface: Surface,
    rays: Rays,
    poses: FloatArray,
    hits: tuple[npt.NDArray[np.intp], FloatArray, npt.NDArray[np.integer], FloatArray, FloatArray],
    size: tuple[int, int],
    texel_m: float | None,
) -> Pictures:
    """Make pictures of what rays met.

    Args:
        surface: What they met.
        rays: All of them.
        poses: camera_from_object, shape (N, 4, 4).
        hits: Of the M rays that met it: index among all N * h * w, depth (M,), face (M,), barycentric weights of the
            second and third corner (M, 2), normal of the face in the object's frame (M, 3), of any length.
        size: Height and width, px.
        texel_m: Size of a pixel on the surface, metres; None to leave the colours out.
    """
    index, depth, faces, barycentric, normals = hits
    count, pixels = rays.directions.shape[:2]
    shape = (count, *size)
    picture = np.zeros(count * pixels, np.float32)
    picture[index] = depth
    directions = rays.directions.reshape(-1, 3)[index]
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(directions, axis=1)
    facing = np.einsum("ij,ij->i", normals, directions)
    # A face is seen from whichever side it is looked at: meshes without an inside have faces of either winding.
    side = np.where(facing > 0, np.float32(-1), np.float32(1))
    unit = normals * (side / np.maximum(np.linalg.norm(normals, axis=1), 1e-12))[:, None]
    seen = np.zeros((count * pixels, 3), np.float32)
    seen[index] = np.einsum("nij,nj->ni", np.asarray(poses, np.float32)[index // pixels, :3, :3], unit)
    colors = np.zeros((count * pixels, 3), np.float32)
    if texel_m is not None:
        light = AMBIENT + (1 - AMBIENT) * np.abs(facing) / np.maximum(lengths, 1e-12)
        colors[index] = surface.albedo(faces, barycentric, texel_m) * light[:, None]
    return Pictures(picture.reshape(shape), colors.reshape(*shape, 3), seen.reshape(*shape, 3))


def pixel_size(poses: FloatArray, intrinsics: FloatArray, center: FloatArray) -> float:
    """Return the size of a pixel at the distance of the object, metres (the median over the pictures).

    Args:
        poses: camera_from_object, shape (N, 4, 4).
        intrinsics: Shape (N, 4).
        center: Middle of the object in its own frame, shape (3,).
    """
    depth = poses[:, 2, :3] @ center + poses[:, 2, 3]
    return float(np.median(np.abs(depth) / intrinsics[:, 0]))
