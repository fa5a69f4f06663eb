"""Lifting of hand landmarks to metric 3D with the depth image and the skeletons that the hands hang on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, KeypointState, RgbdFrame
from pose_perception.geometry.camera import rays
from pose_perception.human.hand_depth import Wrists, expect, nothing_seen, read_surfaces, wrist_information
from pose_perception.human.hand_landmarks import HandMarks
from pose_perception.human.hand_model import HandSize, metric_shape, surface_offsets
from pose_perception.human.hand_solver import SAMPLES, HandProblem, HandSolution, solve_hands
from pose_perception.human.landmarks import rotate_to_view
from pose_perception.human.topology import HAND_21

# Error of the network's pixels: a part of the side of its region, and of a pixel of the image.
_REGION_SIGMA, _PIXEL_SIGMA = 0.014, 0.4
# Below this certainty of the side of the hand, the network's depth is believed in part only.
_SURE = 0.6
# A landmark is measured when the skin in front of it is believed this much, and is its own: on the far side of a hand
# seen from the side, it is not.
_BELIEVED, _OWN_SKIN_M = 0.4, 0.03
# Errors that landmarks of one hand share, across the view and along it, metres: the network's and those of the model.
# From simulated people, such that errors over standard deviations have unit variance.
_MEASURED_SIGMA_M, _INFERRED_SIGMA_M = (0.004, 0.008), (0.009, 0.028)
# Inferred landmarks less certain than this are missing, metres.
_MAX_SIGMA_M = 0.15
# A hand teaches its size when the frame alone knows it at least half as well as what was known before.
_TEACHES = 0.25


class LiftedHands(NamedTuple):
    """Landmarks of N hands in the camera optical frame.

    Attributes:
        positions: With shape (N, 21, 3), metres; NaN when missing.
        covariances: With shape (N, 21, 3, 3), square metres; NaN when missing.
        states: `KeypointState` with shape (N, 21), uint8.
    """

    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]


def lift_hands(
    frame: RgbdFrame, marks: HandMarks, is_right: npt.NDArray[np.bool_], wrists: Wrists, sizes: Sequence[HandSize]
) -> LiftedHands:
    """Lift the hands of a frame and learn how large the hands of their people are.

    Args:
        frame: Colour and registered depth.
        marks: N hands in the image.
        is_right: Which are right hands by the body they hang on, shape (N,).
        wrists: Where the skeletons have their wrists.
        sizes: Of the person of each hand; updated in place.
    """
    if len(marks.regions) == 0:
        return LiftedHands(np.zeros((0, 21, 3)), np.zeros((0, 21, 3, 3)), np.zeros((0, 21), np.uint8))
    boxes = np.concatenate([marks.pixels.min(axis=1), marks.pixels.max(axis=1)], axis=1)
    shape = metric_shape(rotate_to_view(_in_depth(marks, is_right), boxes, frame.camera))
    size, size_sigma = (np.array([getattr(person, key) for person in sizes]) for key in ("mean", "sigma"))
    sized = shape * size[:, None, None]
    view = rays(marks.pixels, frame.camera)
    expected = expect(view, sized, wrists)
    toward_camera = -view.mean(axis=1)
    toward_camera /= np.linalg.norm(toward_camera, axis=1, keepdims=True)
    if frame.depth is None:
        surfaces = nothing_seen(len(shape))
    else:
        skin = sized[..., 2] - surface_offsets(sized, toward_camera)
        scale = frame.camera.fx / expected.depth
        surfaces = read_surfaces(frame.depth, marks.pixels, skin @ SAMPLES.T, scale, expected)
    depth = np.nan_to_num(expected.depth, nan=1.0)[:, None] + sized[..., 2] + surfaces.correction
    depth = np.maximum(depth, 0.1)
    is_placed = surfaces.is_seen
    information = wrist_information(wrists, expected, np.where(is_placed, depth[:, 0], np.nan))
    ray_sigma = np.hypot(_REGION_SIGMA * marks.regions[:, 2:3], _PIXEL_SIGMA) * depth[:, :1] / frame.camera.fx
    problem = HandProblem(
        rays=view,
        ray_sigma=np.repeat(ray_sigma, len(HAND_21), axis=1),
        guess=view * depth[..., None],
        toward_camera=toward_camera,
        surface=surfaces.depth,
        surface_sigma=surfaces.sigma,
        shape=shape,
        wrist=np.nan_to_num(wrists.positions),
        wrist_information=information,
        size=size,
        size_sigma=size_sigma,
    )
    solution = solve_hands(problem)
    _learn(solution, problem, is_placed, sizes)
    return _conclude(solution, is_placed | (information[:, 0, 0] > 0))


def _in_depth(marks: HandMarks, is_right: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the network's shapes with as much depth as they deserve, shape (N, 21, 3).

    A hand and the mirrored other hand look alike where fingers hide each other. What the network takes for a hand of
    the other side is turned inside out; where it does not know, it knows nothing of the depth, either.
    """
    side = np.where(is_right, marks.right, 1 - marks.right)
    belief = np.clip((2 * side - 1) / _SURE, -1.0, 1.0)
    return np.concatenate([marks.world[..., :2], marks.world[..., 2:] * belief[:, None, None]], axis=2)


def _learn(
    solution: HandSolution, problem: HandProblem, is_placed: npt.NDArray[np.bool_], sizes: Sequence[HandSize]
) -> None:
    """Teach each person's size what this frame says of it, apart from what was known before."""
    before = 1 / np.square(problem.size_sigma)
    after = 1 / np.square(solution.size_sigmas)
    own = after - before
    told = solution.sizes * after - problem.size * before
    for person, value, weight, good in zip(sizes, told, own, is_placed & (own > _TEACHES * before), strict=True):
        if good:
            person.learn(value / weight)


def _conclude(solution: HandSolution, is_known: npt.NDArray[np.bool_]) -> LiftedHands:
    """Say how each position is known."""
    own = slice(0, len(HAND_21))
    is_measured = (solution.weights[:, own] > _BELIEVED) & (solution.offsets[:, own] < _OWN_SKIN_M)
    across, along = np.moveaxis(np.where(is_measured[..., None], _MEASURED_SIGMA_M, _INFERRED_SIGMA_M), -1, 0)
    view = solution.positions / np.linalg.norm(solution.positions, axis=2, keepdims=True)
    more = (np.square(along) - np.square(across))[..., None, None] * view[..., :, None] * view[..., None, :]
    covariances = solution.covariances + more + np.square(across)[..., None, None] * np.eye(3)
    sigma = np.sqrt(np.trace(covariances, axis1=2, axis2=3))
    known = is_known[:, None] & (sigma < _MAX_SIGMA_M)
    states = np.where(is_measured, KeypointState.MEASURED, KeypointState.INFERRED)
    states = np.where(known, states, KeypointState.MISSING).astype(np.uint8)
    positions = np.where(known[..., None], solution.positions, np.nan)
    return LiftedHands(positions, np.where(known[..., None, None], covariances, np.nan), states)
