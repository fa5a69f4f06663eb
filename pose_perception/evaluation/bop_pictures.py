"""Pictures of estimated object poses: contours and axes drawn over the image."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.evaluation.bop import EvaluatedModel, RenderDepth
from pose_perception.geometry.camera import project
from pose_perception.recording.bop_results import BopResult

_AXES = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_AXIS_LENGTH = 0.3
_GOLDEN = 0.618034


def draw_results(
    color: npt.NDArray[np.uint8],
    camera: CameraIntrinsics,
    results: Sequence[BopResult],
    models: Mapping[int, EvaluatedModel],
    render: RenderDepth,
) -> npt.NDArray[np.uint8]:
    """Return a copy of an RGB image with the contour, axes, name and score of each estimate.

    Args:
        color: Shape (height, width, 3).
        camera: Its intrinsics.
        results: What was found in it.
        models: By number.
        render: Depth of a model alone in this camera.
    """
    picture = color.copy()
    for result in sorted(results, key=lambda result: result.score):
        model, pose = models[result.obj_id], result.camera_from_object
        paint = _paint(result.obj_id)
        mask = (render(model, pose) > 0).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, paint, 2, cv2.LINE_AA)
        _draw_axes(picture, camera, pose, model)
        if contours:
            low = np.concatenate(contours).min(axis=(0, 1))
            _write(picture, f"{model.name} {result.score:.2f}", (int(low[0]), max(12, int(low[1]) - 4)), paint)
    return picture


def _draw_axes(
    picture: npt.NDArray[np.uint8], camera: CameraIntrinsics, pose: FloatArray, model: EvaluatedModel
) -> None:
    """Draw x, y and z of the mesh in red, green and blue, from the middle of its box."""
    middle = (model.vertices.min(axis=0) + model.vertices.max(axis=0)) / 2
    ends = middle + np.vstack([np.zeros(3), _AXIS_LENGTH * model.diameter * np.eye(3)])
    pixels = project(ends @ pose[:3, :3].T + pose[:3, 3], camera)
    if not np.isfinite(pixels).all() or np.abs(pixels).max() > 1e4:
        return
    start, *tips = ((round(x), round(y)) for x, y in pixels.tolist())
    for tip, paint in zip(tips, _AXES, strict=True):
        cv2.line(picture, start, tip, paint, 2, cv2.LINE_AA)


def _write(picture: npt.NDArray[np.uint8], text: str, place: tuple[int, int], paint: tuple[int, ...]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, paint, 1, cv2.LINE_AA)


def _paint(number: int) -> tuple[int, int, int]:
    """Return an RGB colour that numbers next to each other do not share."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.6, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
