"""Errors of object poses, exactly as the BOP benchmark defines them.

Source: T. Hodan et al., "BOP Challenge 2020 on 6D Object Localization", ECCV Workshops 2020, and the reference
implementation bop_toolkit (`pose_error.py`, `visibility.py`, `misc.py`). Lengths are metres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError

SYMMETRY_STEP = 0.01
"""How far, in diameters, a continuous symmetry may move a point from one of its discrete turns to the next."""
VSD_TOLERANCE_M = 0.015
"""How far behind the measured surface a pixel of a model may lie and still count as visible."""
VSD_TAUS = np.arange(0.05, 0.51, 0.05)
"""Distances, in diameters, below which a visible pixel is right."""
_POINTS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class EvaluatedModel:
    """What is measured with.

    Attributes:
        name: For tables.
        vertices: Points of the surface in the mesh's frame, shape (V, 3), metres.
        faces: Corners of the triangles, shape (F, 3), indices of vertices.
        diameter: Largest distance of two vertices, metres.
        symmetries: Transforms with shape (S, 4, 4) that map the object onto itself, metres; the first is the identity.
    """

    name: str
    vertices: FloatArray
    faces: npt.NDArray[np.int64]
    diameter: float
    symmetries: FloatArray


RenderDepth = Callable[[EvaluatedModel, FloatArray], FloatArray]
"""Takes a model and its pose in the camera, (4, 4); returns depth along the axis in metres, (height, width), else 0."""


def add_error(model: EvaluatedModel, estimate: FloatArray, truth: FloatArray) -> float:
    """Return the mean distance of each vertex from itself, ADD, metres; poses have shape (4, 4)."""
    return float(np.linalg.norm(_move(model.vertices, estimate) - _move(model.vertices, truth), axis=-1).mean())


def adds_error(model: EvaluatedModel, estimate: FloatArray, truth: FloatArray) -> float:
    """Return the mean distance of each true vertex from the nearest estimated one, ADD-S, metres."""
    from scipy.spatial import cKDTree

    distances, _ = cKDTree(_move(model.vertices, estimate)).query(_move(model.vertices, truth))
    return float(np.mean(distances))


def mssd(model: EvaluatedModel, estimate: FloatArray, truth: FloatArray) -> float:
    """Return the largest distance of a vertex under the best symmetry, metres."""
    moved = _move(model.vertices, estimate)
    return min(float(np.linalg.norm(moved - block, axis=-1).max(axis=1).min()) for block in _symmetric(model, truth))


def mspd(model: EvaluatedModel, estimate: FloatArray, truth: FloatArray, camera: CameraIntrinsics) -> float:
    """Return the largest distance of a projected vertex under the best symmetry, px."""
    moved = _project(_move(model.vertices, estimate), camera)
    return min(
        float(np.linalg.norm(moved - _project(block, camera), axis=-1).max(axis=1).min())
        for block in _symmetric(model, truth)
    )


def vsd(
    rendered_estimate: FloatArray,
    rendered_truth: FloatArray,
    measured: FloatArray,
    camera: CameraIntrinsics,
    diameter: float,
    taus: FloatArray = VSD_TAUS,
) -> FloatArray:
    """Return the visible surface discrepancy with the step cost, 0 to 1, shape (len(taus),).

    Args:
        rendered_estimate: Depth of the model alone at the estimated pose, metres, 0 beside it, shape (height, width).
        rendered_truth: The same at the true pose.
        measured: Depth of the image, metres, 0 or NaN where the sensor saw nothing, shape (height, width).
        camera: Intrinsics of all three.
        diameter: Of the model, metres.
        taus: Distances, in diameters, from which a pixel is wrong.
    """
    rays = _ray_lengths(camera)
    estimate, truth, scene = rendered_estimate * rays, rendered_truth * rays, np.nan_to_num(measured) * rays
    sees_truth = _is_visible(truth, scene)
    sees_estimate = _is_visible(estimate, scene) | (sees_truth & (estimate > 0))
    both, either = sees_truth & sees_estimate, sees_truth | sees_estimate
    if not either.any():
        return np.ones(len(taus))
    distances = np.abs(truth[both] - estimate[both]) / diameter
    wrong = (distances >= np.asarray(taus)[:, None]).sum(axis=1)
    return (wrong + either.sum() - both.sum()) / either.sum()


def model_diameter(vertices: FloatArray) -> float:
    """Return the largest distance of two points with shape (V, 3).

    Raises:
        InvalidInputError: there is only one.
    """
    from scipy.spatial import ConvexHull, QhullError

    if len(vertices) < 2:
        raise InvalidInputError("a model has at least two points")
    try:
        hull = ConvexHull(vertices)
    except QhullError:  # flat
        hull = ConvexHull(vertices, qhull_options="QJ")
    corners = vertices[hull.vertices]
    return max(float(np.linalg.norm(corners - corner, axis=1).max()) for corner in corners)


def symmetry_transforms(info: dict[str, Any]) -> FloatArray:
    """Return all symmetries that an entry of `models_info.json` means, shape (S, 4, 4), metres; the identity first.

    Args:
        info: With `symmetries_discrete` and `symmetries_continuous` in millimetres, where the object has any. A
            continuous one is cut into steps that move no point by more than `SYMMETRY_STEP` diameters.

    Raises:
        InvalidInputError: a symmetry is not as BOP writes it.
    """
    try:
        discrete = [np.eye(4)]
        for numbers in info.get("symmetries_discrete", ()):
            transform = np.reshape(np.asarray(numbers, np.float64), (4, 4)).copy()
            transform[:3, 3] /= 1000
            discrete.append(transform)
        turns = [turn for entry in info.get("symmetries_continuous", ()) for turn in _turns(entry)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"a symmetry must be 16 numbers, or an axis with an offset: {error!r}") from error
    return np.array([turn @ transform for transform in discrete for turn in turns or [np.eye(4)]])


def _turns(entry: dict[str, Any]) -> list[FloatArray]:
    from scipy.spatial.transform import Rotation

    axis, offset = np.asarray(entry["axis"], np.float64), np.asarray(entry["offset"], np.float64) / 1000
    steps = int(np.ceil(np.pi / SYMMETRY_STEP))
    turns = []
    for angle in np.arange(steps) * (2 * np.pi / steps):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
        turn[:3, 3] = offset - turn[:3, :3] @ offset
        turns.append(turn)
    return turns


def _move(points: FloatArray, pose: FloatArray) -> FloatArray:
    return points @ np.swapaxes(pose[..., :3, :3], -1, -2) + pose[..., None, :3, 3]


def _symmetric(model: EvaluatedModel, truth: FloatArray) -> Iterator[FloatArray]:
    """Return the vertices at the true pose under all symmetries in blocks of shape (B, V, 3)."""
    poses = truth @ model.symmetries
    size = max(1, _POINTS_AT_ONCE // max(1, len(model.vertices)))
    return (_move(model.vertices, poses[start : start + size]) for start in range(0, len(poses), size))


def _project(points: FloatArray, camera: CameraIntrinsics) -> FloatArray:
    """Project as BOP does: points behind the camera, too, so that a wild estimate has an error and no NaN."""
    depth = np.where(np.abs(points[..., 2]) > 1e-9, points[..., 2], 1e-9)
    u, v = camera.fx * points[..., 0] / depth + camera.cx, camera.fy * points[..., 1] / depth + camera.cy
    return np.stack([u, v], axis=-1)


def _ray_lengths(camera: CameraIntrinsics) -> FloatArray:
    """Return the distance of a point at unit depth for each pixel, shape (height, width)."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.sqrt(((u - camera.cx) / camera.fx) ** 2 + ((v - camera.cy) / camera.fy) ** 2 + 1)


def _is_visible(model: FloatArray, scene: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where a model is not behind what was measured; where nothing was measured, it is taken as visible."""
    return (model > 0) & ((model - scene <= VSD_TOLERANCE_M) | (scene == 0))
