"""Head pose from nose, eyes, ears and shoulders: for faces that are too small, turned away or hidden.

A head of ordinary size is fitted to the lifted keypoints. What they leave open, as the nod of a head seen from behind,
is filled by what necks do, and the covariance says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, HeadPose, HeadSource, RgbdFrame, Skeleton
from pose_perception.human.face_regions import FACE_KEYPOINTS
from pose_perception.human.head_fit import HeadProblem, fit_heads, turns
from pose_perception.human.landmarks import DISTANCE_SPREAD
from pose_perception.human.topology import Topology

# How heads are held on the trunk: standard deviations of roll, pitch and yaw, radians.
_POSTURE_SIGMAS = np.deg2rad([15.0, 18.0, 60.0])
# Where shoulders are not seen, the image says what is up, and nothing what is ahead.
_UNKNOWN_POSTURE_SIGMAS = np.deg2rad([30.0, 30.0, 120.0])
# The ears of a head that looks ahead lie before the shoulders, radians from above them.
_NECK_LEAN_RAD = np.deg2rad(-8.0)
_IS_EAR = np.array([name.endswith("ear") for name in FACE_KEYPOINTS])
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
        known = np.isfinite(points).all(axis=2) & np.isfinite(covariances).all(axis=(2, 3))
        points = np.where(known[..., None], points, 0.0)
        posture, sigmas = _postures(points, known, shoulders, _up(frame))
        covariances = np.where(known[..., None, None], covariances, np.eye(3))
        poses, covariances = fit_heads(HeadProblem(points, covariances, known, posture, sigmas))
        if frame.depth is None:
            # All keypoints were placed by the same guess of the person's size.
            covariances[:, :3, :3] += np.square(DISTANCE_SPREAD) * poses[:, :3, 3, None] * poses[:, None, :3, 3]
        is_known = (known.sum(axis=1) >= _FEWEST_KEYPOINTS) & _are_certain(covariances)
        return [
            HeadPose(pose, covariance, HeadSource.FEATURES) if good else None
            for pose, covariance, good in zip(poses, covariances, is_known, strict=True)
        ]


def _are_certain(covariances: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of N poses are known well enough to be told, by covariances (N, 6, 6)."""
    place = np.linalg.eigvalsh(covariances[:, :3, :3])[:, -1]
    turn = np.linalg.eigvalsh(covariances[:, 3:, 3:])[:, -1]
    return (place < _LARGEST_SIGMA_M**2) & (turn < _LARGEST_SIGMA_RAD**2)


def _up(frame: RgbdFrame) -> FloatArray:
    """Return what is up in the camera optical frame, shape (3,)."""
    return np.array([0.0, -1.0, 0.0]) if frame.fixed_from_camera is None else frame.fixed_from_camera[2, :3]


def _postures(
    points: FloatArray, known: npt.NDArray[np.bool_], shoulders: FloatArray, up: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return heads that look straight ahead, camera_from_head (N, 3, 3), and how far heads turn from that (N, 3)."""
    # Ears lie in the middle of the head from all sides; the surface at eyes and nose may be the back of the head.
    ears = known & _IS_EAR
    counted = np.where(ears.any(axis=1, keepdims=True), ears, known)
    middle = (points * counted[..., None]).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)[:, None]
    on_trunk = np.isfinite(shoulders).all(axis=(1, 2))[:, None]
    z = _unit(np.where(on_trunk, middle - shoulders.mean(axis=1), up))
    left = np.where(on_trunk, shoulders[:, 0] - shoulders[:, 1], [1.0, 0.0, 0.0])
    y = _unit(left - np.sum(left * z, axis=1, keepdims=True) * z)
    upright = np.stack([np.cross(y, z), y, z], axis=2)
    lean = turns(np.where(on_trunk, _NECK_LEAN_RAD, 0.0) * [0.0, 1.0, 0.0])
    return upright @ lean, np.where(on_trunk, _POSTURE_SIGMAS, _UNKNOWN_POSTURE_SIGMAS)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
