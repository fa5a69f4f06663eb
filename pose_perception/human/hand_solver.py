"""Positions of the landmarks of hands, from everything that is known of them.

The network's pixels fix the viewing rays, the depth image how far away the skin is, anatomy how long the bones are, and
the network's shape which way they turn. They meet in a small robust least-squares problem over the 21 positions and the
size of each hand, solved for all hands at once by Gauss-Newton with iterated reweighting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.hand_model import BONES, LENGTH_SIGMAS, LENGTHS, TREE, TREE_LENGTHS, surface_offsets
from pose_perception.human.topology import HAND_21

_POINTS = len(HAND_21)
_COORDINATES = 3 * _POINTS
_SIZE = _COORDINATES  # the last unknown
# Residual beyond which a measured depth loses its influence, metres (the scale of the Geman-McClure weight), from
# iteration to iteration: at first the whole hand may be off, then only single landmarks.
_DEPTH_SCALES_M = (0.10, 0.06, 0.04, 0.03)
# And at least this many standard deviations of the measurement.
_DEPTH_SCALE_SIGMAS = 2.5
# Error of the surface-to-landmark offset between hands and directions, as a part of it.
_OFFSET_SIGMA = 0.3
# A point in front of the surface loses influence more slowly, by this factor of the squared residual.
_FREE_SPACE = 0.5
# Standard deviation of a bone's direction by the network, as a part of the bone.
_DIRECTION_SIGMA = 0.45
# Where the depth is read: at each landmark, and in the palm, which is large enough for any camera, on the way from the
# wrist to the knuckles.
_PALM_PART = 0.6
# What lies this close in the view, and this much nearer, hides a landmark: the depth there is not its own, metres.
_HIDING_RADIUS_M, _HIDING_DEPTH_M = 0.011, 0.012
_KNUCKLES = tuple(HAND_21.index[f"{finger}_mcp"] for finger in ("index", "middle", "ring", "pinky"))


def _make_samples() -> FloatArray:
    samples = np.zeros((_POINTS + len(_KNUCKLES), _POINTS))
    samples[:_POINTS] = np.eye(_POINTS)
    for row, knuckle in enumerate(_KNUCKLES, start=_POINTS):
        samples[row, 0], samples[row, knuckle] = 1 - _PALM_PART, _PALM_PART
    return samples


SAMPLES = _make_samples()
"""Weights that make the points whose depth is read of the landmarks, shape (S, 21); the landmarks come first."""


_MIDDLES = TREE[[b for b, (start, _) in enumerate(TREE) if start]]
"""The bones of the fingers, shape (B, 2)."""


class HandProblem(NamedTuple):
    """Everything that is known of N hands.

    Attributes:
        rays: Viewing rays of the landmarks with unit depth, shape (N, 21, 3).
        ray_sigma: How far landmarks may lie beside their rays, shape (N, 21), metres.
        guess: Where the landmarks are at first, shape (N, 21, 3), metres.
        toward_camera: Unit vectors from the hands to the camera, shape (N, 3).
        surface: Depth of the skin in front of the points `SAMPLES`, shape (N, S), metres; NaN where it is not seen.
        surface_sigma: Its standard deviation, shape (N, S), metres.
        shape: The network's hand at size 1, shape (N, 21, 3), metres, axes of the camera.
        wrist: Where the skeleton has the wrist, shape (N, 3), metres.
        wrist_information: Inverse of its covariance, shape (N, 3, 3); 0 when the skeleton does not know.
        size, size_sigma: Size of the hand and its standard deviation, shape (N,).
    """

    rays: FloatArray
    ray_sigma: FloatArray
    guess: FloatArray
    toward_camera: FloatArray
    surface: FloatArray
    surface_sigma: FloatArray
    shape: FloatArray
    wrist: FloatArray
    wrist_information: FloatArray
    size: FloatArray
    size_sigma: FloatArray


class HandSolution(NamedTuple):
    """Solution for N hands.

    Attributes:
        positions: Landmarks with shape (N, 21, 3), metres.
        covariances: With shape (N, 21, 3, 3), square metres.
        weights: How far each measured depth was believed, shape (N, S), 0 to 1; 0 without a measurement.
        offsets: How far the points `SAMPLES` lie behind the skin, shape (N, S), metres.
        sizes: With shape (N,).
        size_sigmas: Their standard deviations with shape (N,).
    """

    positions: FloatArray
    covariances: FloatArray
    weights: FloatArray
    offsets: FloatArray
    sizes: FloatArray
    size_sigmas: FloatArray


def solve_hands(problem: HandProblem) -> HandSolution:
    """Find the landmarks that agree best with pixels, depth, bones and the network's shape."""
    hands = len(problem.rays)
    constant, right_side = _linear_part(problem)
    state = np.concatenate([problem.guess.reshape(hands, -1), problem.size[:, None]], axis=1)
    for scale in _DEPTH_SCALES_M:
        positions = state[:, :_COORDINATES].reshape(hands, _POINTS, 3)
        hessian, target = constant.copy(), right_side.copy()
        depth = _depth(problem, positions, state[:, _SIZE], scale)
        hessian[:, 2:_COORDINATES:3, 2:_COORDINATES:3] += (SAMPLES.T * depth.information[:, None]) @ SAMPLES
        target[:, 2:_COORDINATES:3] += (depth.information * depth.measured) @ SAMPLES
        jacobian, length_residual = _bones(positions, state[:, _SIZE])
        weighted = jacobian / np.square(LENGTH_SIGMAS)[:, None]
        hessian += np.swapaxes(weighted, 1, 2) @ jacobian
        # Gauss-Newton in the form that gives the new state: J (x' - x) = -r is J x' = J x - r.
        wanted = np.einsum("nbi,ni->nb", jacobian, state) - length_residual
        target += np.einsum("nbi,nb->ni", weighted, wanted)
        state = np.linalg.solve(hessian, target[..., None])[..., 0]
        state[:, 2:_COORDINATES:3] = np.maximum(state[:, 2:_COORDINATES:3], 0.05)
    positions = state[:, :_COORDINATES].reshape(hands, _POINTS, 3)
    evidence = _depth(problem, positions, state[:, _SIZE], scale)
    covariance = np.linalg.inv(hessian)
    blocks = covariance[:, :_COORDINATES, :_COORDINATES].reshape(hands, _POINTS, 3, _POINTS, 3)
    return HandSolution(
        positions=positions,
        covariances=np.moveaxis(np.diagonal(blocks, axis1=1, axis2=3), -1, 1),
        weights=evidence.weights,
        offsets=evidence.offsets,
        sizes=state[:, _SIZE],
        size_sigmas=np.sqrt(covariance[:, _SIZE, _SIZE]),
    )


class _Depth(NamedTuple):
    """What the surfaces say of the points `SAMPLES`, all with shape (N, S).

    Attributes:
        measured: Their depths, metres.
        information: How much these count, 1 over square metres.
        weights: How far they are believed, 0 to 1.
        offsets: How far they lie behind the skin, metres.
    """

    measured: FloatArray
    information: FloatArray
    weights: FloatArray
    offsets: FloatArray


def _depth(problem: HandProblem, positions: FloatArray, sizes: FloatArray, scale: float) -> _Depth:
    seen = np.isfinite(problem.surface)
    offsets = sizes[:, None] * (surface_offsets(positions, problem.toward_camera) @ SAMPLES.T)
    measured = np.where(seen, problem.surface, 0.0) + offsets
    residual = np.where(seen, positions[..., 2] @ SAMPLES.T - measured, 0.0)
    sigma = np.hypot(problem.surface_sigma, _OFFSET_SIGMA * offsets)
    squared = np.square(residual / np.maximum(scale, _DEPTH_SCALE_SIGMAS * problem.surface_sigma))
    seen = seen & ~(_hidden(positions) & (residual > 0))
    weights = seen / np.square(1 + squared)
    # Points behind the surface may be hidden by something; nothing can be in front of what is seen.
    pull = np.where(residual < 0, seen / np.square(1 + _FREE_SPACE * squared), weights)
    return _Depth(measured, pull / np.square(sigma), weights, offsets)


def _hidden(positions: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which points `SAMPLES` have another part of the hand in front of them, shape (N, S)."""
    fingers = positions[:, _MIDDLES[:, 0]] * 0.5 + positions[:, _MIDDLES[:, 1]] * 0.5
    others = np.concatenate([positions, fingers], axis=1)
    flat = others[..., :2] / others[..., 2:] * positions[:, :1, 2:]
    between = flat[:, :_POINTS, None] - flat[:, None]
    near = np.square(between).sum(axis=3) < _HIDING_RADIUS_M**2
    in_front = others[:, None, :, 2] < positions[:, :, None, 2] - _HIDING_DEPTH_M
    hidden = (near & in_front).any(axis=2)
    return np.concatenate([hidden, np.zeros((len(hidden), len(SAMPLES) - _POINTS), bool)], axis=1)


def _linear_part(problem: HandProblem) -> tuple[FloatArray, FloatArray]:
    """Return Hessian (N, 64, 64) and right side (N, 64) of what is linear: rays, directions, wrist and size."""
    hands = len(problem.rays)
    hessian, target = np.zeros((hands, _SIZE + 1, _SIZE + 1)), np.zeros((hands, _SIZE + 1))
    # A point (X, Y, Z) is X - x Z and Y - y Z beside the ray (x, y, 1).
    across = np.zeros((hands, _POINTS, 2, 3))
    across[..., 0, 0] = across[..., 1, 1] = 1.0
    across[..., 2] = -problem.rays[..., :2]
    blocks = np.einsum("nkci,nkcj->nkij", across, across) / np.square(problem.ray_sigma)[..., None, None]
    blocks[:, 0] += problem.wrist_information
    grid = hessian[:, :_COORDINATES, :_COORDINATES].reshape(hands, _POINTS, 3, _POINTS, 3)
    everyone = np.arange(_POINTS)
    grid[:, everyone, :, everyone, :] += np.swapaxes(blocks, 0, 1)
    hessian[:, :_COORDINATES, :_COORDINATES] = grid.reshape(hands, _COORDINATES, _COORDINATES)
    target[:, :3] += np.einsum("nij,nj->ni", problem.wrist_information, problem.wrist)
    # The end of a bone minus its start is the network's bone times the size.
    jacobian = np.zeros((hands, len(TREE), 3, _SIZE + 1))
    bone = np.arange(len(TREE))[:, None]
    axis = np.arange(3)
    jacobian[:, bone, axis, 3 * TREE[:, 1:] + axis] = 1.0
    jacobian[:, bone, axis, 3 * TREE[:, :1] + axis] = -1.0
    jacobian[..., _SIZE] = -(problem.shape[:, TREE[:, 1]] - problem.shape[:, TREE[:, 0]])
    jacobian /= (_DIRECTION_SIGMA * TREE_LENGTHS)[:, None, None]
    jacobian = jacobian.reshape(hands, -1, _SIZE + 1)
    hessian += np.swapaxes(jacobian, 1, 2) @ jacobian
    hessian[:, _SIZE, _SIZE] += 1 / np.square(problem.size_sigma)
    target[:, _SIZE] += problem.size / np.square(problem.size_sigma)
    return hessian, target


def _bones(positions: FloatArray, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return derivatives (N, B, 64) and residuals (N, B), metres, of the bone lengths."""
    hands, bones = len(positions), len(BONES)
    along = positions[:, BONES[:, 1]] - positions[:, BONES[:, 0]]
    length = np.sqrt(np.maximum(np.square(along).sum(axis=2), 1e-12))
    direction = along / length[..., None]
    jacobian = np.zeros((hands, bones, _SIZE + 1))
    bone, axis = np.arange(bones)[:, None], np.arange(3)
    jacobian[:, bone, 3 * BONES[:, 1:] + axis] = direction
    jacobian[:, bone, 3 * BONES[:, :1] + axis] = -direction
    jacobian[..., _SIZE] = -LENGTHS
    return jacobian, length - sizes[:, None] * LENGTHS
