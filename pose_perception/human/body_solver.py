"""Depths of a body's keypoints along their viewing rays, from everything that is known of them.

A keypoint's pixel fixes its ray; one number a keypoint is left, its depth. Three kinds of knowledge meet in a small
robust least-squares problem, solved for all people at once by Gauss-Newton with iterated reweighting: the measured
surface (with outliers: a hand in front, a wall behind), bone lengths, and the network's metric landmarks, which say
which end of a bone is nearer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

# Residual beyond which a measured depth loses its influence, metres: the scale of the Geman-McClure weight.
_DEPTH_SCALE_M = 0.10
# The same for bones. It shrinks from iteration to iteration (graduated non-convexity: Yang et al., Graduated
# Non-Convexity for Robust Spatial Perception, RA-L 2020), so that bones can pull joints over from where they began.
_BONE_SCALES_M = (0.40, 0.30, 0.25, 0.20, 0.15, 0.12, 0.10, 0.10, 0.10, 0.10)
BELIEVED = 0.4
"""A measured depth is believed when its weight is at least this: Geman-McClure's at a residual of 7.6 cm."""
# How sharply joints are kept behind the surface that hides them, metres.
_BOUND_SIGMA_M = 0.04
_LENGTH_ITERATIONS = 3
# A measurement is doubted by this part of its residual, or a sharp one on something held in front would win over all
# else before its weight has fallen.
_DOUBT = 0.12
# A measurement this many standard deviations off the first guess is not where the search begins.
_SURPRISING = 2.0


class BodyProblem(NamedTuple):
    """Everything that is known of N bodies with K keypoints and B bones.

    Attributes:
        rays: Viewing rays with unit depth, shape (N, K, 3); NaN where the keypoint has no pixel.
        guess: First guess of the depths with shape (N, K), metres.
        guess_sigma: Its standard deviation with shape (K,), metres.
        measured: Measured depth of the joint centres with shape (N, K), metres; NaN where there is none.
        measured_sigma: Its standard deviation with shape (N, K), metres.
        nearest: Surface in front of which a joint that is not measured cannot be, shape (N, K), metres; NaN where there
            is none.
        starts, ends: Keypoints that the bones connect, shape (B,).
        lengths, length_sigmas: Bone lengths with shape (N, B), metres.
        relative: Depth of each bone's end minus that of its start, by the network, shape (N, B), metres; NaN where
            unknown.
        relative_sigma: Standard deviation of `relative` with shape (N, B), metres.
    """

    rays: FloatArray
    guess: FloatArray
    guess_sigma: FloatArray
    measured: FloatArray
    measured_sigma: FloatArray
    nearest: FloatArray
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    lengths: FloatArray
    length_sigmas: FloatArray
    relative: FloatArray
    relative_sigma: FloatArray


class BodySolution(NamedTuple):
    """Depths of N bodies with K keypoints.

    Attributes:
        depth: Depth of each keypoint with shape (N, K), metres; NaN where the keypoint has no pixel.
        sigma: Standard deviation of the depth with shape (N, K), metres.
        weight: How far each measurement was believed with shape (N, K), 0 to 1; 0 without a measurement.
    """

    depth: FloatArray
    sigma: FloatArray
    weight: FloatArray


def solve_bodies(problem: BodyProblem) -> BodySolution:
    """Find the depths that agree best with measurements, bone lengths and the network's landmarks."""
    has_pixel = np.isfinite(problem.rays).all(axis=2)
    rays = np.where(has_pixel[..., None], problem.rays, 0.0)
    both_ends = has_pixel[:, problem.starts] & has_pixel[:, problem.ends]
    surprising = np.abs(problem.measured - problem.guess) > _SURPRISING * problem.guess_sigma
    depth = np.where(np.isfinite(problem.measured) & ~surprising, problem.measured, problem.guess)
    for scale in _BONE_SCALES_M:
        hessian, gradient, weight = _normal_equations(problem, rays, both_ends, depth, scale)
        step = np.linalg.solve(hessian, -gradient[..., None])[..., 0]
        depth = np.maximum(depth + np.clip(step, -0.3, 0.3), 0.05)
    # A compromise is at least as uncertain as the disagreement that it settles.
    disagreement = weight * np.square(np.nan_to_num(depth - problem.measured))
    variance = np.linalg.inv(hessian).diagonal(axis1=1, axis2=2) + disagreement
    unknown = np.where(has_pixel, 0.0, np.nan)
    return BodySolution(depth + unknown, np.sqrt(variance) + unknown, weight)


def _normal_equations(
    problem: BodyProblem, rays: FloatArray, both_ends: npt.NDArray[np.bool_], depth: FloatArray, bone_scale: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Hessian (N, K, K), gradient (N, K) and measurement weights (N, K) at the given depths."""
    people, keypoints = depth.shape
    bones = len(problem.starts)
    hessian = np.zeros((people, keypoints, keypoints))
    diagonal = np.einsum("nkk->nk", hessian)  # a view
    # First guess.
    diagonal += 1 / np.square(problem.guess_sigma)
    gradient = (depth - problem.guess) / np.square(problem.guess_sigma)
    # Measured surface.
    residual = np.nan_to_num(depth - problem.measured)
    weight = np.isfinite(problem.measured) * _outlier_weight(residual, _DEPTH_SCALE_M)
    sigma = np.hypot(np.where(weight > 0, problem.measured_sigma, 1.0), _DOUBT * residual)
    information = weight / np.square(sigma)
    diagonal += information
    gradient += information * residual
    # Free space: what is not measured is not in front of what is seen.
    violation = np.nan_to_num(np.minimum(depth - problem.nearest, 0.0))
    bound = (1 - weight) * (violation < 0) / _BOUND_SIGMA_M**2
    diagonal += bound
    gradient += bound * violation
    # Bones: one row for the length, one for the relative depth; both touch two depths.
    rows = np.arange(bones)
    points = rays * depth[..., None]
    along = points[:, problem.ends] - points[:, problem.starts]
    length = np.linalg.norm(along, axis=2)
    direction = along / np.maximum(length, 1e-6)[..., None]
    jacobian = np.zeros((people, 2 * bones, keypoints))
    jacobian[:, rows, problem.ends] = np.einsum("nbi,nbi->nb", direction, rays[:, problem.ends])
    jacobian[:, rows, problem.starts] = -np.einsum("nbi,nbi->nb", direction, rays[:, problem.starts])
    jacobian[:, bones + rows, problem.ends] = 1.0
    jacobian[:, bones + rows, problem.starts] = -1.0
    difference = depth[:, problem.ends] - depth[:, problem.starts] - problem.relative
    bone_residual = np.concatenate([length - problem.lengths, np.nan_to_num(difference)], axis=1)
    sigma = np.concatenate([problem.length_sigmas, problem.relative_sigma], axis=1)
    usable = np.concatenate([both_ends, both_ends & np.isfinite(problem.relative)], axis=1)
    bone_information = usable * _outlier_weight(bone_residual, bone_scale) / np.square(sigma)
    weighted = jacobian * bone_information[..., None]
    hessian += np.einsum("nrk,nrl->nkl", weighted, jacobian, optimize=True)
    gradient += np.einsum("nrk,nr->nk", weighted, bone_residual)
    return hessian, gradient, weight


def _outlier_weight(residual: FloatArray, scale: float) -> FloatArray:
    """Return Geman-McClure's weights: 1 for small residuals, 1/4 at the scale, 0 far beyond."""
    return 1 / np.square(1 + np.square(residual / scale))


def with_bone_lengths(
    positions: FloatArray,
    covariances: FloatArray,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    lengths: FloatArray,
    length_sigmas: FloatArray,
) -> FloatArray:
    """Move joints in all directions, as far as they are uncertain, so that the bones have their lengths.

    `solve_bodies` leaves joints on their rays; a keypoint that is off by a centimetre across the view makes a forearm
    wrong by 5 %. This is the update of an iterated extended Kalman filter (Bell and Cathey, The iterated Kalman filter
    update as a Gauss-Newton method, IEEE TAC 1993) with the lengths as measurements.

    Args:
        positions: Joints with shape (N, K, 3), metres; NaN when missing.
        covariances: Theirs with shape (N, K, 3, 3), square metres.
        starts: Joint where each bone begins, shape (B,).
        ends: Joint where it ends, shape (B,).
        lengths: Bone lengths with shape (N, B), metres.
        length_sigmas: Their standard deviations with shape (N, B), metres.

    Returns:
        Positions with shape (N, K, 3), metres; NaN stays.
    """
    people, bones = lengths.shape
    known = np.isfinite(positions).all(axis=2)
    usable = known[:, starts] & known[:, ends]
    prior, spread = np.where(known[..., None], positions, 0.0), np.where(known[..., None, None], covariances, 0.0)
    rows = np.arange(bones)
    moved = prior
    for _ in range(_LENGTH_ITERATIONS):
        along = moved[:, ends] - moved[:, starts]
        length = np.maximum(np.linalg.norm(along, axis=2), 1e-6)
        direction = np.where(usable[..., None], along / length[..., None], 0.0)
        jacobian = np.zeros((people, bones, *prior.shape[1:]))
        jacobian[:, rows, ends] = direction
        jacobian[:, rows, starts] = -direction
        gain = np.einsum("nkij,nbkj->nbki", spread, jacobian)
        # What the linearised lengths would be at the prior.
        shift = np.einsum("nbki,nki->nb", jacobian, prior - moved)
        innovation = np.where(usable, lengths - length - shift, 0.0)
        flat_gain, flat_jacobian = gain.reshape(people, bones, -1), jacobian.reshape(people, bones, -1)
        variance = flat_jacobian @ flat_gain.transpose(0, 2, 1)
        variance[:, rows, rows] += length_sigmas**2
        weights = np.linalg.solve(variance, innovation[..., None])[..., 0]
        moved = prior + np.einsum("nb,nbki->nki", weights, gain)
    return np.where(known[..., None], moved, np.nan)
