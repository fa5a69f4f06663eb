"""Pictures of estimated object poses: contours and axes drawn over the image."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.evaluation.bop import EvaluatedModel, RenderDepth
from pose_perception.objects.outlines import draw_axes, write_label
from pose_perception.recording.bop_results import BopResult

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
        axes = pose.copy()
        axes[:3, 3] += pose[:3, :3] @ (model.vertices.min(axis=0) + model.vertices.max(axis=0)) / 2
        draw_axes(picture, axes, _AXIS_LENGTH * model.diameter, camera)
        write_label(picture, f"{model.name} {result.score:.2f}", contours, paint)
    return picture


def _paint(number: int) -> tuple[int, int, int]:
    """Return an RGB colour that numbers next to each other do not share."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.6, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
