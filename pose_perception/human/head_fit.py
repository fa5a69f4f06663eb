"""Least-squares fit of an ordinary head to nose, eyes and ears in space.

Gauss-Newton from several directions at once for all people; the most probable result is taken. How heads are held on
the trunk is a prior, so that what the keypoints leave open stays finite, and the covariance says how open it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray

# The keypoints nose, eyes and ears in the frame of the head, metres: x out of the face, y to the left, z up, from the
# sellion. Of an adult (pupils and nose as in ISO 7250-1 and the network's faces; ears as lifted, their centres inside
# of the head).
_HEAD_M = np.array(
    [
        [0.018, 0.0, -0.040],
        [-0.014, 0.032, 0.0],
        [-0.014, -0.032, 0.0],
        [-0.098, 0.075, -0.018],
        [-0.098, -0.075, -0.018],
    ]
)
# How far heads differ from this one, metres.
_HEAD_SIGMA_M = 0.008
# Where the head itself hides a keypoint, the depth image shows hair or a cheek in front of it: so much nearer when the
# camera looks along these axes of the head, metres, in simulation; and depth and pixel err by these parts of that.
_HIDDEN_BY_M = np.array([[0.15, 0.0, 0.0], [0.15, 0.05, 0.0], [0.15, -0.05, 0.0], [0.0, 0.05, 0.0], [0.0, -0.05, 0.0]])
_HIDDEN_SIGMA, _HIDDEN_ACROSS_SIGMA = 0.5, 0.25
# Directions that are tried first, radians from straight ahead.
_FIRST_YAWS = np.deg2rad([0.0, -50.0, 50.0, -110.0, 110.0, 180.0])
_ITERATIONS = 5
_LONGEST_STEP_RAD = 0.5
# Keypoints this many standard deviations off weigh a quarter.
_OUTLIER = 2.5


class HeadProblem(NamedTuple):
    """What is known of N heads.

    Attributes:
        points: Nose, left and right eye, left and right ear with shape (N, 5, 3), metres, in the camera optical frame;
            anything finite where one is not known.
        covariances: Of the points with shape (N, 5, 3, 3), square metres.
        known: Which points are known with shape (N, 5).
        posture: Heads that look straight ahead: camera_from_head with shape (N, 3, 3).
        sigmas: How far heads turn from that about their own axes, standard deviations with shape (N, 3), radians.
    """

    points: FloatArray
    covariances: FloatArray
    known: npt.NDArray[np.bool_]
    posture: FloatArray
    sigmas: FloatArray


class _Equations(NamedTuple):
    """Normal equations for origin and turn about the camera's axes, of N people and H directions each.

    Attributes:
        hessian: With shape (N, H, 6, 6).
        gradient: With shape (N, H, 6).
        cost: What is to be least, shape (N, H).
    """

    hessian: FloatArray
    gradient: FloatArray
    cost: FloatArray


def fit_heads(problem: HeadProblem) -> tuple[FloatArray, FloatArray]:
    """Return the most probable poses camera_from_head (N, 4, 4) and their covariances (N, 6, 6).

    Covariances are of x, y, z in metres and rotations about the camera's axes in radians.
    """
    rotation = problem.posture[:, None] @ turns(_FIRST_YAWS[:, None] * [0, 0, 1])
    weight = problem.known[:, None, :, None] / np.maximum(problem.known.sum(axis=1), 1)[:, None, None, None]
    origin = ((problem.points[:, None] - _in_camera(rotation)) * weight).sum(axis=2)
    rotation, origin = _iterate(problem, rotation, origin)
    best = _linearise(problem, rotation, origin).cost.argmin(axis=1)
    people = np.arange(len(origin))
    rotation, origin = _iterate(problem, rotation[people, best][:, None], origin[people, best][:, None])
    pose = np.tile(np.eye(4), (len(origin), 1, 1))
    pose[:, :3, :3], pose[:, :3, 3] = rotation[:, 0], origin[:, 0]
    return pose, np.linalg.inv(_linearise(problem, rotation, origin).hessian[:, 0])


def turns(vectors: FloatArray) -> FloatArray:
    """Return rotations (..., 3, 3) by rotation vectors (..., 3), radians."""
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3)


def _iterate(problem: HeadProblem, rotation: FloatArray, origin: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Improve rotations (N, H, 3, 3) and origins (N, H, 3) of N people in H directions each."""
    for _ in range(_ITERATIONS):
        equations = _linearise(problem, rotation, origin)
        step = np.linalg.solve(equations.hessian, equations.gradient[..., None])[..., 0]
        origin = origin + step[..., :3]
        turn = step[..., 3:]
        length = np.linalg.norm(turn, axis=-1, keepdims=True)
        rotation = turns(turn * np.minimum(1.0, _LONGEST_STEP_RAD / np.maximum(length, 1e-9))) @ rotation
    return rotation, origin


def _linearise(problem: HeadProblem, rotation: FloatArray, origin: FloatArray) -> _Equations:
    offset = _in_camera(rotation)
    seen, spread = _as_seen(problem, rotation)
    residual = seen - origin[:, :, None] - offset
    information = np.linalg.inv(spread) * problem.known[:, None, :, None, None]
    square = np.einsum("nhki,nhkij,nhkj->nhk", residual, information, residual)
    # Geman-McClure's robust cost.
    weight = np.square(_OUTLIER**2 / (_OUTLIER**2 + square))
    jacobian = np.concatenate([np.broadcast_to(np.eye(3), (*offset.shape, 3)), -_cross_matrix(offset)], axis=-1)
    weighted = weight[..., None, None] * information @ jacobian
    hessian = np.einsum("nhkij,nhkil->nhjl", jacobian, weighted) + 1e-6 * np.eye(6)
    gradient = np.einsum("nhkij,nhki->nhj", weighted, residual)
    cost = (_OUTLIER**2 * square / (_OUTLIER**2 + square)).sum(axis=2)
    # The posture: the turn from it about the axes of the head that looks ahead.
    posture = problem.posture
    relative = np.swapaxes(posture, 1, 2)[:, None] @ rotation
    turn = Rotation.from_matrix(relative.reshape(-1, 3, 3)).as_rotvec().reshape(relative.shape[:-1])
    expected = (posture / np.square(problem.sigmas)[:, None, :]) @ np.swapaxes(posture, 1, 2)
    hessian[..., 3:, 3:] += expected[:, None]
    gradient[..., 3:] -= np.einsum("nij,njk,nhk->nhi", expected, posture, turn)
    return _Equations(hessian, gradient, cost + np.square(turn / problem.sigmas[:, None]).sum(axis=2))


def _in_camera(rotation: FloatArray) -> FloatArray:
    """Return the keypoints from the sellion in the axes of the camera with shape (N, H, 5, 3)."""
    return np.einsum("nhij,kj->nhki", rotation, _HEAD_M)


def _as_seen(problem: HeadProblem, rotation: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the keypoints of heads that are so turned are (N, H, 5, 3), and covariances (N, H, 5, 3, 3)."""
    ray = problem.points / np.maximum(np.linalg.norm(problem.points, axis=2, keepdims=True), 1e-9)
    along = np.einsum("nhij,nki->nhkj", rotation, ray)  # where the camera looks, in the axes of the head
    hidden = np.maximum(np.sum(along * _HIDDEN_BY_M, axis=3), 0.0)
    seen = problem.points[:, None] + hidden[..., None] * ray[:, None]
    spread = problem.covariances + np.square(_HEAD_SIGMA_M) * np.eye(3)
    outer = (ray[..., :, None] * ray[..., None, :])[:, None]
    error = np.square(_HIDDEN_SIGMA) * outer + np.square(_HIDDEN_ACROSS_SIGMA) * np.eye(3)
    return seen, spread[:, None] + np.square(hidden)[..., None, None] * error


def _cross_matrix(vectors: FloatArray) -> FloatArray:
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
