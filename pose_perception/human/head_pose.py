"""Head pose from nose, eyes, ears and shoulders: for faces that are too small, turned away or hidden.

A head of ordinary size is fitted to the lifted keypoints. What they leave open, as the nod of a head seen from behind,
is filled by what necks do, and the covariance says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray, HeadPose, HeadSource, RgbdFrame, Skeleton
from pose_perception.human.face_regions import FACE_KEYPOINTS
from pose_perception.human.landmarks import DISTANCE_SPREAD
from pose_perception.human.topology import Topology

# The keypoints in the frame of the head, metres: x out of the face, y to the left, z up, from the sellion. Of an adult
# (pupils and nose as in ISO 7250-1 and the network's faces; ears as lifted, their centres inside of the head).
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
# How heads are held on the trunk: standard deviations of roll, pitch and yaw, radians.
_POSTURE_SIGMAS = np.deg2rad([15.0, 18.0, 45.0])
# Where shoulders are not seen, the image says what is up, and nothing what is ahead.
_UNKNOWN_POSTURE_SIGMAS = np.deg2rad([30.0, 30.0, 120.0])
# From the middle of the shoulders to that of the keypoints a head that looks ahead leans forward, radians.
_NECK_LEAN_RAD = np.deg2rad(-15.0)
# Directions that are tried first, radians from straight ahead.
_FIRST_YAWS = np.deg2rad([0.0, -50.0, 50.0, -110.0, 110.0, 180.0])
_ITERATIONS = 6
_LONGEST_STEP_RAD = 0.5
# Keypoints this many standard deviations off count half.
_OUTLIER = 2.5
_FEWEST_KEYPOINTS = 2
# Less certain than this is not known, radians and metres.
_LARGEST_SIGMA_RAD, _LARGEST_SIGMA_M = np.deg2rad(50.0), 0.6


class HeadFitter:
    """Fits heads to the keypoints of skeletons."""

    def __init__(self, topology: Topology) -> None:
        self._keypoints = np.array([topology.index[name] for name in FACE_KEYPOINTS])
        self._shoulders = np.array([topology.index[name] for name in ("left_shoulder", "right_shoulder")])

    def fit(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> list[HeadPose | None]:
        """Return the head of each skeleton; None where it is hardly known.

        Args:
            frame: What the skeletons were found in.
            skeletons: People.
        """
        if not skeletons:
            return []
        points = np.stack([skeleton.positions[self._keypoints] for skeleton in skeletons])  # (N, 5, 3)
        covariances = np.stack([skeleton.covariances[self._keypoints] for skeleton in skeletons])
        shoulders = np.stack([skeleton.positions[self._shoulders] for skeleton in skeletons])
        posture, sigmas = _postures(points, shoulders, _up(frame))
        pose, covariance, enough = _fit(points, covariances, posture, sigmas)
        if frame.depth is None:
            covariance[:, :3, :3] += np.square(DISTANCE_SPREAD) * pose[:, :3, 3, None] * pose[:, None, :3, 3]
        deviations = (
            np.sqrt(np.linalg.eigvalsh(covariance[:, 3:, 3:])[:, -1]),
            np.sqrt(np.linalg.eigvalsh(covariance[:, :3, :3])[:, -1]),
        )
        known = enough & (deviations[0] < _LARGEST_SIGMA_RAD) & (deviations[1] < _LARGEST_SIGMA_M)
        return [
            HeadPose(pose[i], covariance[i], HeadSource.FEATURES) if known[i] else None for i in range(len(skeletons))
        ]


def _up(frame: RgbdFrame) -> FloatArray:
    """Return what is up in the camera optical frame, shape (3,)."""
    return np.array([0.0, -1.0, 0.0]) if frame.fixed_from_camera is None else frame.fixed_from_camera[2, :3]


def _postures(points: FloatArray, shoulders: FloatArray, up: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return heads that look straight ahead, camera_from_head (N, 3, 3), and how far heads turn from that (N, 3)."""
    known = np.isfinite(points).all(axis=2)
    middle = np.where(known[..., None], points, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)[:, None]
    on_trunk = np.isfinite(shoulders).all(axis=(1, 2))
    left = np.where(on_trunk[:, None], shoulders[:, 0] - shoulders[:, 1], [1.0, 0.0, 0.0])
    z = _unit(np.where(on_trunk[:, None], middle - shoulders.mean(axis=1), up))
    y = _unit(left - np.sum(left * z, axis=1, keepdims=True) * z)
    posture = np.stack([np.cross(y, z), y, z], axis=2)
    lean = np.where(on_trunk, _NECK_LEAN_RAD, 0.0)
    return posture @ _turns(lean[:, None] * [0, 1, 0]), np.where(
        on_trunk[:, None], _POSTURE_SIGMAS, _UNKNOWN_POSTURE_SIGMAS
    )


def _fit(
    points: FloatArray, covariances: FloatArray, posture: FloatArray, sigmas: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return poses (N, 4, 4), covariances (N, 6, 6) and whether there was enough to fit, (N,).

    Gauss-Newton from several directions at once for all people (N, H); of these the most probable one is taken.
    """
    known = np.isfinite(points).all(axis=2) & np.isfinite(covariances).all(axis=(2, 3))
    points = np.where(known[..., None], points, 0.0)[:, None]
    spread = np.where(known[..., None, None], covariances, np.eye(3)) + np.square(_HEAD_SIGMA_M) * np.eye(3)
    information = (np.linalg.inv(spread) * known[..., None, None])[:, None]
    rotation = posture[:, None] @ _turns(_FIRST_YAWS[:, None] * [0, 0, 1])
    total = np.maximum(known.sum(axis=1), 1)[:, None, None]
    offset = np.einsum("nhij,kj->nhki", rotation, _HEAD_M)
    origin = ((points - offset) * known[:, None, :, None]).sum(axis=2) / total
    for _ in range(_ITERATIONS):
        hessian, gradient, _ = _normal_equations(points, information, rotation, origin, posture, sigmas)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        origin = origin + step[..., :3]
        turn = step[..., 3:]
        length = np.linalg.norm(turn, axis=-1, keepdims=True)
        rotation = _turns(turn * np.minimum(1.0, _LONGEST_STEP_RAD / np.maximum(length, 1e-9))) @ rotation
    hessian, _, cost = _normal_equations(points, information, rotation, origin, posture, sigmas)
    people = np.arange(len(points))
    best = cost.argmin(axis=1)
    pose = np.tile(np.eye(4), (len(points), 1, 1))
    pose[:, :3, :3], pose[:, :3, 3] = rotation[people, best], origin[people, best]
    covariance = np.linalg.inv(hessian[people, best])
    return pose, covariance, known.sum(axis=1) >= _FEWEST_KEYPOINTS


def _normal_equations(
    points: FloatArray,
    information: FloatArray,
    rotation: FloatArray,
    origin: FloatArray,
    posture: FloatArray,
    sigmas: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Hessian (N, H, 6, 6), gradient (N, H, 6) and cost (N, H) for origin and turn about the camera's axes."""
    offset = np.einsum("nhij,kj->nhki", rotation, _HEAD_M)
    residual = points - origin[:, :, None] - offset
    square = np.einsum("nhki,nhkij,nhkj->nhk", residual, np.broadcast_to(information, (*residual.shape, 3)), residual)
    # Geman-McClure's robust cost, whose weight is 1 / 4 at the scale.
    weight = np.square(_OUTLIER**2 / (_OUTLIER**2 + square))
    jacobian = np.concatenate([np.broadcast_to(np.eye(3), (*offset.shape, 3)), -_cross_matrix(offset)], axis=-1)
    weighted = weight[..., None, None] * information @ jacobian
    hessian = np.einsum("nhkij,nhkil->nhjl", jacobian, weighted) + 1e-6 * np.eye(6)
    gradient = np.einsum("nhkij,nhki->nhj", weighted, residual)
    cost = (_OUTLIER**2 * square / (_OUTLIER**2 + square)).sum(axis=2)
    # The posture: the turn from it, in the axes of the head that looks ahead.
    relative = np.swapaxes(posture, 1, 2)[:, None] @ rotation
    turn = Rotation.from_matrix(relative.reshape(-1, 3, 3)).as_rotvec().reshape(relative.shape[:-1])
    expected = (posture / np.square(sigmas)[:, None, :]) @ np.swapaxes(posture, 1, 2)
    hessian[..., 3:, 3:] += expected[:, None]
    in_camera = np.einsum("nij,nhj->nhi", posture, turn)
    gradient[..., 3:] -= np.einsum("nij,nhj->nhi", expected, in_camera)
    cost = cost + np.square(turn / sigmas[:, None]).sum(axis=2)
    return hessian, gradient, cost


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _turns(vectors: FloatArray) -> FloatArray:
    """Return rotations (..., 3, 3) by rotation vectors (..., 3), radians."""
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3)


def _cross_matrix(vectors: FloatArray) -> FloatArray:
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
