"""Coarse meshes of the objects, for pictures and viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray, TrackingState
from pose_perception.geometry.camera import project
from pose_perception.objects.datatypes import ObjectPose

_MOST_FACES = 1000
_PLAIN = (0.7, 0.7, 0.7)
_AXES = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
# Two triangles for each side.
_BOX_SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
_BOX_FACES = np.concatenate([_BOX_SIDES[:, [0, 1, 2]], _BOX_SIDES[:, [0, 2, 3]]])
_TEXT_SIZE = 0.45
_PAINT = {TrackingState.TRACKED: (40, 230, 60), TrackingState.PREDICTED: (255, 160, 0)}


class Outline(NamedTuple):
    """A mesh of few triangles.

    Attributes:
        vertices: Corners in the mesh's frame with shape (V, 3), metres.
        faces: Triangles with shape (F, 3), indices of vertices.
        colors: RGB of each face with shape (F, 3), 0 to 1.
    """

    vertices: FloatArray
    faces: npt.NDArray[np.int64]
    colors: FloatArray


def box_outline(center: FloatArray, size: FloatArray) -> Outline:
    """Return a grey box; centre and size have shape (3,), metres."""
    return Outline(center + _CORNERS * size, _BOX_FACES, np.tile(_PLAIN, (len(_BOX_FACES), 1)))


def mesh_outline(mesh: Any) -> Outline:
    """Return a `trimesh.Trimesh` with at most a thousand faces, coloured by its texture or its vertices."""
    import open3d

    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    coarse = open3d.geometry.TriangleMesh(open3d.utility.Vector3dVector(vertices), open3d.utility.Vector3iVector(faces))
    coarse.vertex_colors = open3d.utility.Vector3dVector(_vertex_colors(mesh))
    coarse.merge_close_vertices(1e-7)  # those that a texture splits
    if len(faces) > _MOST_FACES:
        coarse = coarse.simplify_quadric_decimation(_MOST_FACES)
    faces = np.asarray(coarse.triangles, np.int64)
    colors = np.clip(np.asarray(coarse.vertex_colors)[faces].mean(axis=1), 0.0, 1.0)
    return Outline(np.asarray(coarse.vertices), faces, colors)


def draw_objects(
    color: npt.NDArray[np.uint8],
    objects: Sequence[ObjectPose],
    outlines: dict[str, Outline],
    camera: CameraIntrinsics,
) -> npt.NDArray[np.uint8]:
    """Return a copy of an RGB image with contour, axes, name and score of each object that is not lost.

    Args:
        color: Shape (height, width, 3).
        objects: What was found in it.
        outlines: By name of the model; the others are drawn as boxes.
        camera: Intrinsics of the image.
    """
    picture = color.copy()
    for found in objects:
        if found.tracking_state == TrackingState.LOST:
            continue
        outline = outlines.get(found.model) or box_outline(found.box_center, found.box_size)
        pose, paint = found.camera_from_object, _PAINT[found.tracking_state]
        pixels = project(outline.vertices @ pose[:3, :3].T + pose[:3, 3], camera)
        if not np.isfinite(pixels).all() or np.abs(pixels).max() > 1e4:
            continue  # behind the camera, or all around it
        mask = np.zeros(color.shape[:2], np.uint8)
        for triangle in pixels.round().astype(np.int32)[outline.faces]:
            cv2.fillConvexPoly(mask, triangle, 1)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, paint, 2, cv2.LINE_AA)
        axes = pose.copy()
        axes[:3, 3] += pose[:3, :3] @ found.box_center
        draw_axes(picture, axes, 0.5 * float(found.box_size.max()), camera)
        write_label(picture, f"{found.id} {found.score:.2f}", contours, paint)
    return picture


def draw_axes(
    picture: npt.NDArray[np.uint8], camera_from_axes: FloatArray, length: float, camera: CameraIntrinsics
) -> None:
    """Draw x, y and z in red, green and blue into an RGB image, as far as they are in front of the camera.

    Args:
        picture: Shape (height, width, 3); drawn into.
        camera_from_axes: Where they are, shape (4, 4), metres.
        length: Of each, metres.
        camera: Intrinsics of the image.
    """
    ends = camera_from_axes[:3, 3] + length * np.vstack([np.zeros(3), camera_from_axes[:3, :3].T])
    pixels = project(ends, camera)
    if np.isfinite(pixels).all() and np.abs(pixels).max() < 1e4:
        start, *tips = ((round(x), round(y)) for x, y in pixels.tolist())
        for tip, paint in zip(tips, _AXES, strict=True):
            cv2.line(picture, start, tip, paint, 2, cv2.LINE_AA)


def write_label(
    picture: npt.NDArray[np.uint8], text: str, contours: Sequence[npt.NDArray[np.int32]], paint: tuple[int, ...]
) -> None:
    """Write above contours, as OpenCV finds them, on a dark ground; nothing where there are none."""
    if not contours:
        return
    left, top = np.concatenate(contours).min(axis=(0, 1)).tolist()
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _TEXT_SIZE, 1)
    x = max(0, min(left, picture.shape[1] - width))
    y = max(height + 2, top - below - 3)
    cv2.rectangle(picture, (x, y - height - 2), (x + width, y + below), (0, 0, 0), cv2.FILLED)
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, _TEXT_SIZE, paint, 1, cv2.LINE_AA)


def _vertex_colors(mesh: Any) -> FloatArray:
    """Return RGB of each vertex with shape (V, 3), 0 to 1; grey where the mesh has none or they cannot be read."""
    try:
        visual = mesh.visual.to_color() if mesh.visual.kind == "texture" else mesh.visual
        if visual.kind is not None:
            return np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255
    except Exception:  # a texture that is missing or damaged: trimesh and Pillow raise whatever they like
        return np.tile(_PLAIN, (len(mesh.vertices), 1))
    return np.tile(_PLAIN, (len(mesh.vertices), 1))
