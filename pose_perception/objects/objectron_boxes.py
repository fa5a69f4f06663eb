"""Boxes in space from the nine points that Objectron's networks find in the image.

First the linear lifting of Objectron (Hou et al., MobilePose, 2020; the variant of EPnP in MediaPipe's
modules/objectron): centre and half axes up to scale from the eight corners. It knows nothing of right angles, so that
rotation, sizes and centre are then fitted to all nine points, and the fit says how certain it is. What stays open is
the scale: the centre lies at unit depth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, FloatArray

SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
"""Where the eight corners lie from the centre along the axes of the box, shape (8, 3): y is up."""
EDGES = tuple((a, b) for a in range(8) for b in range(a + 1, 8) if (SIGNS[a] != SIGNS[b]).sum() == 1)
"""Pairs of corners that an edge joins."""
_ITERATIONS = 30
_DAMPING = 1e-3
# An axis that the lifting gives no length begins with this one.
_SMALLEST = 1e-3
# The sides of things differ by a factor of e to this, one standard deviation: what points that hardly tell leave open.
_PROPORTIONS = 0.7
_PARAMETERS, _PIXELS = 8, 18


class UnitBox(NamedTuple):
    """A box whose centre lies at unit depth.

    Attributes:
        rotation: From the axes of the box to those of the camera (optical frame), shape (3, 3).
        center: Shape (3,), z = 1.
        size: Along the axes of the box, shape (3,).
        covariance: Of centre x, y, rotation about the axes of the camera in radians, and logarithms of the size, shape
            (8, 8).
        error_px: Root mean square distance of the nine points from their projections.
        cost: What the fit minimised.
    """

    rotation: FloatArray
    center: FloatArray
    size: FloatArray
    covariance: FloatArray
    error_px: float
    cost: float

    def corners(self) -> FloatArray:
        """Return the eight corners in the order of `SIGNS`, shape (8, 3)."""
        return (SIGNS * self.size / 2) @ self.rotation.T + self.center


def lift(points: FloatArray, camera: CameraIntrinsics) -> tuple[FloatArray, FloatArray]:
    """Return centre, shape (3,), and half axes in columns, shape (3, 3), up to scale, from the eight corners.

    Args:
        points: Corners in the order of `SIGNS` with shape (8, 2), px.
        camera: Intrinsics of the image.
    """
    # Each corner is a sum of four control points, the centre and the ends of the half axes.
    weights = np.concatenate([1 - SIGNS.sum(axis=1, keepdims=True), SIGNS], axis=1)  # (8, 4)
    x, y = points[:, :1] - camera.cx, points[:, 1:] - camera.cy
    zero = np.zeros_like(weights)
    across = np.stack([camera.fx * weights, zero, -x * weights], axis=2)  # (8, 4, 3)
    down = np.stack([zero, camera.fy * weights, -y * weights], axis=2)
    _, _, right = np.linalg.svd(np.concatenate([across, down]).reshape(16, 12))
    control = right[-1].reshape(4, 3)
    control = control if control[0, 2] > 0 else -control
    return control[0], (control[1:] - control[0]).T


def fit_box(points: FloatArray, camera: CameraIntrinsics, sigma_px: float) -> UnitBox | None:
    """Fit a box to the nine points of a network.

    Args:
        points: Centre, then the corners in the order of `SIGNS`, shape (9, 2), px.
        camera: Intrinsics of the image.
        sigma_px: Standard deviation of the points; where they fit worse, what the fit leaves counts.

    Returns:
        The box; None where no box in front of the camera looks like that.
    """
    center, half_axes = lift(points[1:], camera)
    if not center[2] > 0:
        return None
    half_axes = half_axes / center[2]
    best: UnitBox | None = None
    # Far away, a box and its mirror image in depth look alike: both are tried.
    for mirror in (1.0, -1.0):
        start = _start(center, half_axes * np.array([[1.0], [1.0], [mirror]]))
        box = _refine(points, camera, *start, sigma_px)
        if box is not None and (best is None or box.cost < best.cost):
            best = box
    return best


def _start(center: FloatArray, half_axes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return rotation, centre at unit depth and size of the box nearest to what was lifted."""
    lengths = np.maximum(np.linalg.norm(half_axes, axis=0), _SMALLEST)
    left, _, right = np.linalg.svd(half_axes / lengths)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return left @ flip @ right, center / center[2], 2 * lengths


def _refine(
    points: FloatArray,
    camera: CameraIntrinsics,
    rotation: FloatArray,
    center: FloatArray,
    size: FloatArray,
    sigma_px: float,
) -> UnitBox | None:
    """Minimise the distances in the image (Levenberg-Marquardt)."""
    damping = _DAMPING
    residuals, jacobian = _linearise(points, camera, rotation, center, size, sigma_px)
    for _ in range(_ITERATIONS):
        if residuals is None:
            return None
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residuals
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), gradient)
        moved = _apply(rotation, center, size, step)
        trial, trial_jacobian = _linearise(points, camera, *moved, sigma_px)
        if trial is not None and trial @ trial < residuals @ residuals:
            (rotation, center, size), residuals, jacobian = moved, trial, trial_jacobian
            damping = max(damping / 10, 1e-9)
            if np.abs(step).max() < 1e-7:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    if residuals is None:
        return None
    in_image = residuals[:_PIXELS]
    variance = max(1.0, float(in_image @ in_image) / (_PIXELS - _PARAMETERS))
    covariance = variance * np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-12, hermitian=True)
    error = sigma_px * float(np.sqrt(in_image @ in_image / len(points)))
    return UnitBox(rotation, center, size, covariance, error, float(residuals @ residuals))


def _apply(
    rotation: FloatArray, center: FloatArray, size: FloatArray, step: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    from scipy.spatial.transform import Rotation

    moved = center + np.append(step[:2], 0.0)
    return Rotation.from_rotvec(step[2:5]).as_matrix() @ rotation, moved, size * np.exp(np.clip(step[5:], -1, 1))


def _linearise(
    points: FloatArray,
    camera: CameraIntrinsics,
    rotation: FloatArray,
    center: FloatArray,
    size: FloatArray,
    sigma_px: float,
) -> tuple[FloatArray | None, FloatArray]:
    """Return what is off, in standard deviations, and its derivatives, shape (21, 8); None behind the camera.

    First the 18 coordinates of the projections, then the logarithms of the three sides from their mean.
    """
    along = np.vstack([np.zeros(3), SIGNS * size / 2])  # (9, 3) along the axes of the box
    turned = along @ rotation.T
    place = turned + center
    if place[:, 2].min() < 1e-3:
        return None, np.zeros((_PIXELS + 3, _PARAMETERS))
    u, v = place[:, 0] / place[:, 2], place[:, 1] / place[:, 2]
    zero, inverse = np.zeros(9), 1 / place[:, 2]
    by_place = np.stack(
        [
            np.stack([camera.fx * inverse, zero, -camera.fx * u * inverse], axis=1),
            np.stack([zero, camera.fy * inverse, -camera.fy * v * inverse], axis=1),
        ],
        axis=1,
    )  # (9, 2, 3)
    by_parameter = np.zeros((9, 3, _PARAMETERS))
    by_parameter[:, 0, 0] = by_parameter[:, 1, 1] = 1
    for axis in range(3):
        by_parameter[:, :, 2 + axis] = np.cross(np.eye(3)[axis], turned)
        by_parameter[:, :, 5 + axis] = along[:, axis : axis + 1] * rotation[:, axis]
    residuals = np.stack([camera.fx * u + camera.cx, camera.fy * v + camera.cy], axis=1) - points
    jacobian = np.einsum("nij,njk->nik", by_place, by_parameter).reshape(_PIXELS, _PARAMETERS)
    from_mean = np.eye(3) - 1 / 3
    proportions = np.concatenate([np.zeros((3, 5)), from_mean / _PROPORTIONS], axis=1)
    return (
        np.concatenate([residuals.ravel() / sigma_px, from_mean @ np.log(size) / _PROPORTIONS]),
        np.concatenate([jacobian / sigma_px, proportions]),
    )
