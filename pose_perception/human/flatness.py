"""Tells pictures of people from people: a poster, a screen or a mirror that the depth camera sees is flat.

Two things must come together: the depth of the body fits one plane, and the plane goes on beside the body. A person who
stands in front of a wall fails the second even where camera noise hides the relief of the body.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.depth_evidence import median_of_finite, sample_patches
from pose_perception.human.joint_offsets import JointOffsets
from pose_perception.human.topology import Topology

# Standard deviation that a flat surface may have, metres: plus camera noise, which grows with the square of the
# distance. A body has 3 to 8 cm.
_RELIEF_M, _NOISE_AT_1M = 0.012, 0.0035
# How far beside the body the plane is looked for, metres from shoulders and hips: beyond sleeves, on the poster.
_BESIDE_M = (0.16, 0.22, 0.28)
_TYPICAL_TRUNK_M = 0.50
# Least number of places with depth on and beside the body, and the share of those beside it that must lie on the plane.
_FEWEST_ON, _FEWEST_BESIDE = 15, 6
_SHARE_BESIDE = 0.6
_ITERATIONS = 5


class FlatnessTest:
    """Looks whether the depth of whole people lies in one plane."""

    def __init__(self, topology: Topology) -> None:
        self._offsets = JointOffsets(topology)
        limbs = np.array([[topology.index[end] for end in limb] for limb in topology.limbs])
        self._starts, self._ends = limbs.T

    def __call__(self, depth: npt.NDArray[np.float32], pixels: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which of N people are flat.

        Args:
            depth: Depth image with shape (H, W), metres; NaN or 0 where unknown.
            pixels: Keypoints with shape (N, K, 2), px; NaN where they are not known.

        Returns:
            Shape (N,). False also where too little depth is there to tell.
        """
        corners = self._offsets.trunk(pixels)
        on = np.concatenate(
            [pixels, (pixels[:, self._starts] + pixels[:, self._ends]) / 2, _trunk_grid(corners)], axis=1
        )
        on_depth, beside = _depths(depth, on), _beside(corners)
        beside_depth = _depths(depth, beside)
        planes, sigma = _fit_planes(on, on_depth)
        typical = median_of_finite(on_depth)
        allowed = np.hypot(_RELIEF_M, _NOISE_AT_1M * typical**2)
        residual = np.abs(_residuals(planes, beside, beside_depth))
        seen = np.isfinite(residual)
        share = (residual < 3 * allowed[:, None]).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        enough = (np.isfinite(on_depth).sum(axis=1) >= _FEWEST_ON) & (seen.sum(axis=1) >= _FEWEST_BESIDE)
        return enough & (sigma < allowed) & (share >= _SHARE_BESIDE)


def _trunk_grid(corners: FloatArray) -> FloatArray:
    """Return 16 points between shoulders and hips (N, 4, 2) of each person, shape (N, 16, 2), px."""
    across, down = (
        share.ravel()[None, :, None] for share in np.meshgrid(np.linspace(0.1, 0.9, 4), np.linspace(0, 1, 4))
    )
    top = corners[:, None, 0] * (1 - across) + corners[:, None, 1] * across
    bottom = corners[:, None, 2] * (1 - across) + corners[:, None, 3] * across
    return top * (1 - down) + bottom * down


def _beside(corners: FloatArray) -> FloatArray:
    """Return points outside of shoulders and hips (N, 4, 2) of each person, shape (N, 12, 2), px."""
    top, bottom = corners[:, :2].mean(axis=1), corners[:, 2:].mean(axis=1)
    down = bottom - top
    # Pixels of a metre, from the trunk; at a right angle to it.
    metre = np.linalg.norm(down, axis=1, keepdims=True) / _TYPICAL_TRUNK_M
    aside = np.stack([-down[:, 1], down[:, 0]], axis=1) / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    middle = np.stack([top, top, bottom, bottom], axis=1)
    direction = np.sign(np.einsum("nci,ni->nc", corners - middle, aside))[..., None] * aside[:, None]
    steps = np.array(_BESIDE_M)[None, None, :, None] * metre[:, None, None]
    return (corners[:, :, None] + steps * direction[:, :, None]).reshape(len(corners), -1, 2)


def _depths(depth: npt.NDArray[np.float32], points: FloatArray) -> FloatArray:
    """Return the median depth around points (N, S, 2) with shape (N, S), metres; NaN where there is none."""
    samples = sample_patches(depth, points.reshape(-1, 2), np.full(points.shape[0] * points.shape[1], 3.0))
    return median_of_finite(samples).reshape(points.shape[:2])


def _fit_planes(points: FloatArray, depth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a plane to the depths of each person; in an image, the inverse depth of a plane is linear.

    Args:
        points: With shape (N, S, 2), px.
        depth: With shape (N, S), metres; NaN where unknown.

    Returns:
        Coefficients (N, 3), and the robust standard deviation of the depth around the plane (N,), metres.
    """
    known = np.isfinite(depth)
    weight = known.astype(float)
    matrix = np.where(known[..., None], _homogeneous(points), 0.0)
    target = np.where(known, 1 / np.where(known, depth, 1.0), 0.0)
    planes = np.zeros((len(points), 3))
    sigma = np.full(len(points), np.inf)
    for _ in range(_ITERATIONS):
        weighted = matrix * weight[..., None]
        hessian = np.einsum("nsi,nsj->nij", weighted, matrix) + 1e-9 * np.eye(3)
        planes = np.linalg.solve(hessian, np.einsum("nsi,ns->ni", weighted, target)[..., None])[..., 0]
        residual = np.abs(_residuals(planes, points, depth))
        sigma = 1.4826 * median_of_finite(residual)
        weight = known / (1 + np.square(np.nan_to_num(residual) / np.maximum(2 * np.nan_to_num(sigma), 1e-4)[:, None]))
    return planes, np.where(np.isfinite(sigma), sigma, np.inf)


def _residuals(planes: FloatArray, points: FloatArray, depth: FloatArray) -> FloatArray:
    """Return how far depths (N, S) lie behind planes (N, 3) at points (N, S, 2), metres; NaN where unknown."""
    inverse = np.einsum("nsi,ni->ns", _homogeneous(points), planes)
    return depth - 1 / np.where(inverse > 1e-3, inverse, np.nan)


def _homogeneous(points: FloatArray) -> FloatArray:
    # In hundreds of pixels, so that all coefficients are of one size.
    return np.concatenate([points / 100, np.ones((*points.shape[:2], 1))], axis=2)
