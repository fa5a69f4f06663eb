"""Which keypoints no body can have where they are: they lie on somebody else, on the background, or are invented."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import project
from pose_perception.human.body_model import Bone
from pose_perception.human.body_solver import BELIEVED
from pose_perception.human.topology import Topology

# A bone that differs from its length by more than this part of it, and this distance, is no bone of this person.
_POSSIBLE_STRETCH = 0.35
_POSSIBLE_ERROR_M = 0.05
# Networks put heads that are cut off by the image on the neck and the chest. Points of the head lie at least this far
# above the line of the shoulders, along the trunk, and its middle lies so far above it; metres (a bowed head is lower
# than that, but not out of the image for it).
_LOWEST_HEAD_M, _HEAD_M = 0.02, 0.20
# And nowhere farther from there than this, metres: it is somebody else's face.
_FARTHEST_HEAD_M = 0.45
# An ankle without a knee is at least this part of the leg away from its hip: so it is of somebody who sits, and legs
# that are cut off by the image end right under the hips. A leg whose knee is this near to the edge of the image, as a
# part of its size, and still on the way out, has its foot outside.
_SHORTEST_LEG, _EDGE = 0.5, 0.025
_HEAD = ("nose", "eye", "eye_inner", "eye_outer", "ear", "mouth", "left", "right")  # mouth_left, mouth_right
_FOOT = ("ankle", "heel", "foot_index")


class Anatomy:
    """Compares bodies with what bodies can be."""

    def __init__(self, topology: Topology, bones: tuple[Bone, ...]) -> None:
        """Take the names of joints and bones."""
        at = topology.index
        self._starts, self._ends = np.array([b.start for b in bones]), np.array([b.end for b in bones])
        self._shoulders, self._hips, self._knees, self._ankles = (
            np.array([at[f"left_{part}"], at[f"right_{part}"]]) for part in ("shoulder", "hip", "knee", "ankle")
        )
        self._trunk = np.concatenate([self._shoulders, self._hips])
        parts = np.array([name.split("_", 1)[-1] for name in topology.keypoints])
        self._head = np.flatnonzero(np.isin(parts, _HEAD))
        self._feet = [
            np.flatnonzero(np.isin(topology.keypoints, [f"{s}_{p}" for p in _FOOT])) for s in ("left", "right")
        ]
        ends = [(bone.start, bone.end) for bone in bones]
        self._thighs = [ends.index(pair) for pair in zip(self._hips, self._knees, strict=True)]
        self._shins = [ends.index(pair) for pair in zip(self._knees, self._ankles, strict=True)]

    def impossible(
        self, points: FloatArray, weight: FloatArray, lengths: FloatArray, camera: CameraIntrinsics
    ) -> npt.NDArray[np.bool_]:
        """Return the keypoints that no body can have there, shape (N, K).

        Args:
            points: N bodies with shape (N, K, 3), metres; NaN when unknown.
            weight: How far each measured depth is believed, shape (N, K); 0 without one.
            lengths: Of the bones with shape (N, B), metres.
            camera: That sees them.
        """
        impossible = self._on_long_bones(points, weight, lengths)
        left = np.where(impossible[..., None], np.nan, points)
        return impossible | self._without_head(left, camera) | self._without_foot(left, lengths, camera)

    def _on_long_bones(self, points: FloatArray, weight: FloatArray, lengths: FloatArray) -> npt.NDArray[np.bool_]:
        """Return ends of bones that are much too long or short, shape (N, K).

        Of both ends, the one without a believed measurement is to blame, else the one further out; what hangs on it
        goes with it.
        """
        error = np.abs(np.linalg.norm(points[:, self._ends] - points[:, self._starts], axis=2) - lengths)
        too_long = error > _POSSIBLE_STRETCH * lengths + _POSSIBLE_ERROR_M
        impossible = np.zeros(weight.shape, bool)
        for b, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):  # from the trunk outwards
            if end in self._trunk:
                continue
            blame_start = too_long[:, b] & (weight[:, start] < BELIEVED) & (weight[:, end] > BELIEVED)
            if start not in self._trunk:
                impossible[:, start] |= blame_start
            impossible[:, end] |= (too_long[:, b] & ~blame_start) | (impossible[:, start] & ~blame_start)
        return impossible

    def _without_head(self, points: FloatArray, camera: CameraIntrinsics) -> npt.NDArray[np.bool_]:
        """Return the points of heads that are no higher than the shoulders, or of heads that are out of the image."""
        neck = _mean_of_known(points[:, self._shoulders])
        up = neck - _mean_of_known(points[:, self._hips])
        up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-6)
        impossible = np.zeros(points.shape[:2], bool)
        from_neck = points[:, self._head] - neck[:, None]
        height = np.einsum("nki,ni->nk", from_neck, up)
        middle = project(neck + _HEAD_M * up, camera)
        with np.errstate(invalid="ignore"):  # where the trunk is not known, nothing is
            is_outside = ((middle < 0) | (middle > [camera.width - 1, camera.height - 1])).any(axis=1)
            is_far = np.linalg.norm(from_neck, axis=2) > _FARTHEST_HEAD_M
            impossible[:, self._head] = (height < _LOWEST_HEAD_M) | is_far | is_outside[:, None]
        return impossible

    def _without_foot(self, points: FloatArray, lengths: FloatArray, camera: CameraIntrinsics) -> npt.NDArray[np.bool_]:
        """Return the feet that hang on no knee and are too near to the hip, and those of legs that leave the image."""
        impossible = np.zeros(points.shape[:2], bool)
        size = np.array([camera.width, camera.height])
        for side, feet in enumerate(self._feet):
            hip, knee, ankle = (points[:, rows[side]] for rows in (self._hips, self._knees, self._ankles))
            leg = lengths[:, self._thighs[side]] + lengths[:, self._shins[side]]
            has_knee = np.isfinite(knee).all(axis=1)
            is_short = ~has_knee & (np.linalg.norm(ankle - hip, axis=1) < _SHORTEST_LEG * leg)
            at, way = project(knee, camera) / size, project(knee, camera) - project(hip, camera)
            with np.errstate(invalid="ignore"):
                leaves = ((at < _EDGE) & (way < 0)) | ((at > 1 - _EDGE) & (way > 0))
            impossible[:, feet] = (is_short | leaves.any(axis=1))[:, None]
        return impossible


def _mean_of_known(points: FloatArray) -> FloatArray:
    """Return the mean (N, 3) of the points (N, M, 3) that are known; NaN without one."""
    known = np.isfinite(points).all(axis=2)
    total = np.where(known[..., None], points, 0.0).sum(axis=1)
    return np.where(known.any(axis=1)[:, None], total / np.maximum(known.sum(axis=1), 1)[:, None], np.nan)
