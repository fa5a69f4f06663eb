"""How far away faces are: the depth image at all landmarks votes, and hair, holes, hands and the wall are outvoted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import project

# Skin seen at a more grazing angle than this cosine lies at the edge of the face, where depth is smeared.
_LEAST_FACING = 0.35
# Votes this far from what the size of the face says, as parts of the distance, are not of the face.
_NEAREST, _FARTHEST = 0.6, 1.6
# Depth noise of a stereo camera at 1 m; it grows with the square of the depth (Grunnet-Jepsen et al.,
# Best-Known-Methods for Tuning Intel RealSense D400: 0.08 px of disparity, 425 px of focal length, 50 mm of baseline).
SENSOR_SIGMA_AT_1M = 0.0038
# Half the thickness of a layer of votes, without noise: the shape of a face is known this well, metres.
_HALF_LAYER_M = 0.020
# A layer behind the largest one with this share of its votes is the face: only what is in front of a face hides it. It
# must be farther behind than by this part of half a layer, for the tail of a layer is none.
_SHARE_OF_LARGEST = 0.35
_APART = 1.5
_FEWEST_VOTES = 12
# Layers are looked for by mean shift around every so many votes.
_CANDIDATE_STEP = 18
_SHIFTS = 4
# Neighbouring pixels share their noise: area of one independent measurement, px.
_INDEPENDENT_PX = 25.0
# Standard deviation of the distance of a face without noise: its shape, and the sellion's place in it, metres.
_SHAPE_SIGMA_M = 0.006


class FaceDistances(NamedTuple):
    """Depth of the sellion of N faces along the axis of their views; NaN where the depth image does not tell.

    Attributes:
        distance: With shape (N,), metres.
        sigma: Standard deviation with shape (N,), metres.
    """

    distance: FloatArray
    sigma: FloatArray


def measure_distances(
    depth: npt.NDArray[np.float32], camera: CameraIntrinsics, rays: FloatArray, facing: FloatArray, expected: FloatArray
) -> FaceDistances:
    """Measure how far away faces are.

    Args:
        depth: Depth image with shape (H, W), metres; NaN or 0 where unknown.
        camera: Its intrinsics.
        rays: To the landmarks of N faces with shape (N, L, 3), in the camera's axes; scaled such that the landmark of a
            face at distance d lies at d times its ray.
        facing: How much the skin faces the camera with shape (N, L).
        expected: Distances that the sizes of the faces suggest with shape (N,), metres.
    """
    votes, area = _vote(depth, camera, rays)
    with np.errstate(invalid="ignore"):
        usable = (facing > _LEAST_FACING) & (votes > _NEAREST * expected[:, None])
        usable &= votes < _FARTHEST * expected[:, None]
    weights = np.where(usable, facing, 0.0)
    votes = np.where(usable, votes, 0.0)
    half = _HALF_LAYER_M + 2 * SENSOR_SIGMA_AT_1M * np.square(np.nan_to_num(expected, nan=1.0))
    candidates = _shift_to_layers(votes[:, ::_CANDIDATE_STEP], votes, weights, half)
    support = _support(votes, weights, candidates, half)
    largest = np.take_along_axis(candidates, support.argmax(axis=1)[:, None], axis=1)
    behind = (candidates > largest + _APART * half[:, None]) & (
        support >= _SHARE_OF_LARGEST * support.max(axis=1, keepdims=True)
    )
    chosen = np.where(behind, candidates, largest).max(axis=1)
    distance = _shift_to_layers(chosen[:, None], votes, weights, half)[:, 0]
    in_layer = usable & (np.abs(votes - distance[:, None]) < half[:, None])
    count = in_layer.sum(axis=1)
    independent = np.clip(area * count / votes.shape[1] / _INDEPENDENT_PX, 1.0, np.maximum(count, 1))
    sigma = np.hypot(SENSOR_SIGMA_AT_1M * np.square(distance) / np.sqrt(independent), _SHAPE_SIGMA_M)
    enough = count >= _FEWEST_VOTES
    return FaceDistances(np.where(enough, distance, np.nan), np.where(enough, sigma, np.nan))


def _vote(depth: npt.NDArray[np.float32], camera: CameraIntrinsics, rays: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distance of the face by each landmark (N, L), 0 where there is none, and the faces' areas (N,), px."""
    pixels = project(rays, camera)
    finite = np.isfinite(pixels).all(axis=2)
    rounded = np.rint(np.where(finite[..., None], pixels, -1)).astype(np.int64)
    u, v = rounded[..., 0], rounded[..., 1]
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    values = depth[np.where(inside, v, 0), np.where(inside, u, 0)]
    area = np.prod(np.where(finite[..., None], pixels, 0).std(axis=1) * np.sqrt(12), axis=1)
    return np.where(inside & (values > 0), values / np.maximum(rays[..., 2], 1e-6), 0.0), area


def _shift_to_layers(middles: FloatArray, votes: FloatArray, weights: FloatArray, half: FloatArray) -> FloatArray:
    """Return the middles of the layers of votes (N, L) around these places, both with shape (N, C), metres."""
    for _ in range(_SHIFTS):
        near = weights[:, None] * (np.abs(votes[:, None] - middles[..., None]) < half[:, None, None])  # (N, C, L)
        total = near.sum(axis=2)
        middles = np.where(total > 0, np.einsum("ncl,nl->nc", near, votes) / np.maximum(total, 1e-12), middles)
    return middles


def _support(votes: FloatArray, weights: FloatArray, middles: FloatArray, half: FloatArray) -> FloatArray:
    """Return how much votes for each layer with shape (N, C)."""
    return (weights[:, None] * (np.abs(votes[:, None] - middles[..., None]) < half[:, None, None])).sum(axis=2)
