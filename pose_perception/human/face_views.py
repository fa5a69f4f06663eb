"""Small cameras that look straight at faces: how regions of an image are cut out, and how results find back into it.

A network sees every crop as if it lay on the optical axis. Away from the axis a plain crop is not what a camera turned
towards the face would have seen: it is stretched, and the head seems turned. A camera that is turned to the face about
the same centre of projection sees exactly what the network expects.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import project, rays


class FaceViews(NamedTuple):
    """N square images of turned cameras with the centre of projection of the real one.

    Attributes:
        camera_from_view: Rotations with shape (N, 3, 3): columns are the axes of the views, in the real camera.
        focal: Focal lengths with shape (N,), px.
        size: Side of all images, px; the optical axis passes through their middle, (size / 2, size / 2).
    """

    camera_from_view: FloatArray
    focal: FloatArray
    size: int

    def rays(self, points: FloatArray) -> FloatArray:
        """Return viewing rays in the real camera, scaled to unit depth in the view.

        Args:
            points: In the images of the views with shape (N, L, 2), px.

        Returns:
            With shape (N, L, 3): a point at depth d of the view lies at d times its ray.
        """
        across = (points - self.size / 2) / self.focal[:, None, None]
        ahead = np.ones((*points.shape[:2], 1))
        return np.einsum("nij,nlj->nli", self.camera_from_view, np.concatenate([across, ahead], axis=2))


def look_at(regions: FloatArray, camera: CameraIntrinsics, size: int) -> FaceViews:
    """Return the views that show square regions of the image.

    Args:
        regions: Centre x, y, side and rotation (radians, clockwise in the image) with shape (N, 4), px.
        camera: Intrinsics of the real camera.
        size: Side of the views, px.
    """
    ahead = rays(regions[:, :2], camera)
    stretch = np.linalg.norm(ahead, axis=1)  # 1 / cosine of the angle to the optical axis
    z = ahead / stretch[:, None]
    # The direction in space that the image shows as the region's own horizontal.
    angle = regions[:, 3]
    x = np.stack([np.cos(angle) / camera.fx, np.sin(angle) / camera.fy, np.zeros_like(angle)], axis=1)
    x -= np.sum(x * z, axis=1, keepdims=True) * z
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    # Away from the axis an image shows a solid angle on stretch^3 times the area.
    focal = size / regions[:, 2] * np.sqrt(camera.fx * camera.fy) * stretch**1.5
    return FaceViews(np.stack([x, np.cross(z, x), z], axis=2), focal, size)


def cut_views(color: npt.NDArray[np.uint8], views: FaceViews, camera: CameraIntrinsics) -> npt.NDArray[np.uint8]:
    """Return what the views see, shape (N, size, size, 3); outside of the image its border is repeated.

    Args:
        color: RGB image with shape (H, W, 3).
        views: N views.
        camera: Intrinsics of the image.
    """
    size = views.size
    crops = np.empty((len(views.focal), size, size, 3), np.uint8)
    image_from_ray = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    for crop, rotation, focal in zip(crops, views.camera_from_view, views.focal, strict=True):
        ray_from_crop = np.array([[1, 0, -size / 2], [0, 1, -size / 2], [0, 0, focal]])
        cv2.warpPerspective(
            color,
            image_from_ray @ rotation @ ray_from_crop,
            (size, size),
            dst=crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return crops


def to_image(points: FloatArray, views: FaceViews, camera: CameraIntrinsics) -> FloatArray:
    """Return where the real image shows points of the views, shape (N, L, 2), px; arguments as above."""
    return project(views.rays(points), camera)
