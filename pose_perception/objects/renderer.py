"""Pictures of an object in many poses at once.

Every picture has a pinhole camera of its own, so that a crop around a hypothesis is simply a small picture. The light
sits at the camera: what the surface shows does not depend on a room that nobody knows.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import DeviceError
from pose_perception.objects.surface import Surface


class Pictures(NamedTuple):
    """N pictures of h x w pixels.

    Attributes:
        depth: Along the optical axis with shape (N, h, w), metres, float32; 0 where the object is not.
        color: RGB with shape (N, h, w, 3), 0 to 1, float32; 0 where the object is not.
        normals: Towards the camera, in the camera's frame, with shape (N, h, w, 3), float32; 0 where the object is not,
            and everywhere unless they were asked for.
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
        self,
        camera_from_object: FloatArray,
        intrinsics: FloatArray,
        size: int | tuple[int, int],
        color: bool = True,
        normals: bool = False,
    ) -> Pictures:
        """Render the surface.

        Args:
            camera_from_object: Poses with shape (N, 4, 4), metres.
            intrinsics: fx, fy, cx, cy of each picture with shape (N, 4), px.
            size: Height and width, or the edge of square pictures, px.
            color: Whether colours are wanted; they stay 0 otherwise.
            normals: Whether normals are wanted; they stay 0 otherwise.
        """
        ...


def make_renderer(surface: Surface, device: str) -> Renderer:
    """Return the renderer for a device; where Warp cannot use a GPU that torch can, that for the CPU with a warning.

    Args:
        surface: What to render.
        device: `cpu`, or what torch calls a GPU: `cuda`, `cuda:0`.
    """
    if device.startswith("cuda"):
        from pose_perception.objects.warp_renderer import WarpRenderer

        try:
            return WarpRenderer(surface, device)
        except DeviceError as error:
            warnings.warn(f"{error}; objects are rendered on the CPU", RuntimeWarning, stacklevel=2)
    from pose_perception.objects.raycasting import RaycastingRenderer

    return RaycastingRenderer(surface)


def pixel_size(poses: FloatArray, intrinsics: FloatArray, center: FloatArray) -> float:
    """Return the size of a pixel at the distance of the object, metres (the median over the pictures).

    Args:
        poses: camera_from_object, shape (N, 4, 4).
        intrinsics: Shape (N, 4).
        center: Middle of the object in its own frame, shape (3,).
    """
    depth = poses[:, 2, :3] @ center + poses[:, 2, 3]
    return float(np.median(np.abs(depth) / intrinsics[:, 0]))
