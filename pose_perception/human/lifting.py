"""Lifting of keypoints to metric 3D with the depth image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, KeypointState, PoseEstimates, RgbdFrame
from pose_perception.geometry.camera import rays
from pose_perception.human.body_model import BoneLengths, bones_of, surface_offsets
from pose_perception.human.body_solver import BodyProblem, BodySolution, solve_bodies
from pose_perception.human.depth_evidence import choose_layer, sample_patches, trunk_depth
from pose_perception.human.landmarks import DISTANCE_SPREAD, RELATIVE_SIGMA_M, depth_from_landmarks, rotate_to_view
from pose_perception.human.topology import Topology

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# How far from its expected depth the seen surface of a keypoint may lie, metres. The expectation comes from the
# trunk and the network's landmarks, whose errors grow along the limbs.
_REACH_M = {"shoulder": 0.30, "hip": 0.30, "elbow": 0.45, "knee": 0.45, "ankle": 0.60, "heel": 0.60, "foot_index": 0.60}
_HAND_REACH_M = 0.70
_HAND = ("wrist", "index", "pinky", "thumb")
_FACE_REACH_M = 0.35
# Standard deviation of the expected depth, as a part of this reach.
_GUESS_SIGMA = 0.4
# The chest's surface to its middle, metres.
_TRUNK_HALF_THICKNESS_M = 0.10
# Half the side of a depth patch, metres: inside of a forearm, and inside of a finger or an eye socket.
_PATCH_RADIUS_M = 0.025
_SMALL_PATCH_RADIUS_M = 0.012
_SMALL_OFFSET_M = 0.02
# Standard deviation of a surface-to-joint offset between people and directions, metres.
_OFFSET_SIGMA_M = 0.02
# Depth noise of a stereo camera at 1 m; it grows with the square of the depth (Intel RealSense D400 datasheet: RMS
# error below 2 % at 2 m is the guaranteed limit, a few millimetres at 1 m are typical).
_SENSOR_SIGMA_AT_1M = 0.003
# Error of the network's relative depth along a bone: a part of the bone's length.
_RELATIVE_SIGMA = 0.35
# A measured depth that the solution does not believe at least this far is not called measured. The weight is
# Geman-McClure's: 0.4 is reached at a residual of 7.6 cm.
_BELIEVED = 0.4
# Error of a keypoint across the view, metres: the networks' cells are a part of the person, whatever the distance. A
# joint that cannot be measured is mostly one that cannot be seen. From simulated people (docs/simulation.md), such that
# errors over standard deviations have unit variance.
_MEASURED_ACROSS_SIGMA_M = 0.012
_INFERRED_ACROSS_SIGMA_M = 0.060
_INFERRED_SIGMA_FACTOR = 1.2
# A bone that differs from its length by more than this part of it, and this distance, is no bone of this person.
_POSSIBLE_STRETCH = 0.35
_POSSIBLE_ERROR_M = 0.05
# A joint that nothing measures cannot be this far in front of the surface that the camera sees there.
_FREE_SPACE_M = 0.15
# A bone teaches its length only when this part of it lies across the view, where depth noise matters little.
_LATERAL_PART = 0.6


@dataclass(frozen=True)
class LiftingConfig(Config):
    """How keypoints are lifted to 3D."""

    min_score: float = option(0.25, "Keypoints below this confidence have no position.", minimum=0.0, maximum=1.0)
    min_depth: float = option(0.15, "Depth below this is ignored, in metres.", minimum=0.0, maximum=5.0)
    max_depth: float = option(8.0, "Depth beyond this is ignored, in metres.", minimum=0.5, maximum=20.0)
    max_inferred_sigma: float = option(
        0.30, "Inferred positions less certain than this standard deviation are missing, in metres.", minimum=0.01
    )


class LiftedBodies(NamedTuple):
    """Positions of N people with K keypoints in the camera optical frame.

    Attributes:
        positions: Joint centres with shape (N, K, 3), metres; NaN when missing.
        covariances: With shape (N, K, 3, 3), square metres; NaN when missing.
        states: `KeypointState` with shape (N, K), uint8.
        impossible: Keypoints whose pixel cannot belong to this body, shape (N, K): a bone would be much too long, or
            the joint would float in space that the camera sees through. They lie on somebody else or on the
            background, and have no position.
    """

    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]
    impossible: npt.NDArray[np.bool_]


class Lifter:
    """Finds the metric position of each keypoint, or says that it is not known."""

    def __init__(self, topology: Topology, config: LiftingConfig) -> None:
        self._config = config
        self.bones = bones_of(topology)
        self._starts = np.array([bone.start for bone in self.bones])
        self._ends = np.array([bone.end for bone in self.bones])
        self._offsets = surface_offsets(topology)
        self._trunk = np.array([topology.index[name] for name in _TRUNK])
        parts = [name.split("_", 1)[-1] for name in topology.keypoints]
        self._reach = np.array([_HAND_REACH_M if p in _HAND else _REACH_M.get(p, _FACE_REACH_M) for p in parts])
        self._is_limb = ~np.isin(np.arange(len(topology)), self._trunk)
        self._patch_radius = np.where(self._offsets < _SMALL_OFFSET_M, _SMALL_PATCH_RADIUS_M, _PATCH_RADIUS_M)

    def lift(self, frame: RgbdFrame, estimates: PoseEstimates, lengths: Sequence[BoneLengths]) -> LiftedBodies:
        """Lift all people of a frame and learn their bone lengths.

        Args:
            frame: Colour and registered depth.
            estimates: N people in the image.
            lengths: Bone lengths of each of the N people; updated in place.

        Returns:
            Positions, covariances and states.
        """
        if len(estimates) == 0:
            return _all_missing(*estimates.scores.shape)
        pixels = np.where(estimates.scores[..., None] >= self._config.min_score, estimates.pixels, np.nan)
        relative = rotate_to_view(estimates.world, estimates.boxes, frame.camera)
        if frame.depth is None:
            return self._lift_without_depth(rays(pixels, frame.camera), estimates.scores, relative)
        expected = self._expected_depth(frame, pixels, relative)
        measured, sigma, seen = self._measure(frame, pixels, expected)
        view = rays(pixels, frame.camera)
        problem = BodyProblem(
            rays=view,
            guess=np.nan_to_num(expected, nan=1.0),
            guess_sigma=_GUESS_SIGMA * self._reach,
            measured=measured,
            measured_sigma=sigma,
            starts=self._starts,
            ends=self._ends,
            lengths=np.stack([person.lengths for person in lengths]),
            length_sigmas=np.stack([person.sigmas for person in lengths]),
            relative=relative[:, self._ends, 2] - relative[:, self._starts, 2],
            relative_sigma=_RELATIVE_SIGMA * np.stack([person.lengths for person in lengths]),
        )
        solution = solve_bodies(problem)
        impossible = self._impossible(view * solution.depth[..., None], solution.weight, problem.lengths)
        impossible |= (solution.weight < _BELIEVED) & (seen > solution.depth + _FREE_SPACE_M)
        bodies = self._conclude(view, solution, np.isfinite(expected), impossible)
        self._learn(view * measured[..., None], bodies.states, estimates.scores, lengths)
        return bodies

    def _lift_without_depth(self, view: FloatArray, scores: FloatArray, relative: FloatArray) -> LiftedBodies:
        depth = depth_from_landmarks(view, scores, relative)
        known = np.isfinite(depth)
        states = np.where(known, KeypointState.INFERRED, KeypointState.MISSING).astype(np.uint8)
        sigma = np.hypot(DISTANCE_SPREAD * depth, RELATIVE_SIGMA_M)
        nothing_impossible = np.zeros(known.shape, bool)
        return LiftedBodies(view * depth[..., None], _covariances(view, sigma, states), states, nothing_impossible)

    def _expected_depth(self, frame: RgbdFrame, pixels: FloatArray, relative: FloatArray) -> FloatArray:
        """Return where the joints should be by the trunk and the network, shape (N, K), metres; NaN if unknown."""
        trunk = trunk_depth(frame.depth, complete_trunk(pixels[:, self._trunk])) + _TRUNK_HALF_THICKNESS_M
        trunk = np.where(np.isnan(trunk), _typical_depth(frame.depth, pixels), trunk)
        is_usable = (trunk > self._config.min_depth + _TRUNK_HALF_THICKNESS_M) & (trunk < self._config.max_depth)
        trunk = np.where(is_usable, trunk, np.nan)
        trunk_relative = _mean_of_finite(relative[:, self._trunk, 2])
        offset = np.nan_to_num(relative[..., 2] - trunk_relative[:, None])
        return trunk[:, None] + offset

    def _measure(
        self, frame: RgbdFrame, pixels: FloatArray, expected: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return measured depths of the joint centres, their standard deviations, and the nearest surface there.

        All with shape (N, K), metres; NaN where there is none.
        """
        people, keypoints = expected.shape
        surface = expected - self._offsets
        radius = np.clip(self._patch_radius * frame.camera.fx / np.nan_to_num(expected, nan=2.0), 1.5, 15.0)
        samples = sample_patches(frame.depth, pixels.reshape(-1, 2), radius.ravel())
        samples[(samples < self._config.min_depth) | (samples > self._config.max_depth)] = np.nan
        evidence = choose_layer(samples, surface.ravel(), np.tile(self._reach, people), np.tile(self._is_limb, people))
        anything = np.full(surface.size, np.inf)
        seen = choose_layer(samples, surface.ravel(), anything, anything > 0).depth.reshape(people, keypoints)
        depth = evidence.depth.reshape(people, keypoints)
        spread = evidence.sigma.reshape(people, keypoints)
        sensor = _SENSOR_SIGMA_AT_1M * np.square(depth)
        sigma = np.sqrt(np.square(spread) + np.square(sensor) + _OFFSET_SIGMA_M**2)
        return depth + self._offsets, sigma, seen

    def _conclude(
        self,
        view: FloatArray,
        solution: BodySolution,
        expected: npt.NDArray[np.bool_],
        impossible: npt.NDArray[np.bool_],
    ) -> LiftedBodies:
        """Turn depths into positions that carry how they are known."""
        known = np.isfinite(solution.depth) & expected & (solution.weight.max(axis=1) > _BELIEVED)[:, None]
        known &= ~impossible
        states = np.full(known.shape, KeypointState.MISSING, np.uint8)
        states[known & (solution.sigma < self._config.max_inferred_sigma)] = KeypointState.INFERRED
        states[known & (solution.weight > _BELIEVED)] = KeypointState.MEASURED
        depth = np.where(states == KeypointState.MISSING, np.nan, solution.depth)
        return LiftedBodies(view * depth[..., None], _covariances(view, solution.sigma, states), states, impossible)

    def _impossible(self, points: FloatArray, weight: FloatArray, lengths: FloatArray) -> npt.NDArray[np.bool_]:
        """Return the keypoints that no body can have there, shape (N, K).

        Of the ends of a bone that is much too long, the one without a believed measurement is to blame, else the one
        further out; what hangs on it goes with it.
        """
        error = np.abs(np.linalg.norm(points[:, self._ends] - points[:, self._starts], axis=2) - lengths)
        too_long = error > _POSSIBLE_STRETCH * lengths + _POSSIBLE_ERROR_M
        impossible = np.zeros(weight.shape, bool)
        for b, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):  # from the trunk outwards
            if end in self._trunk:
                continue
            blame_start = too_long[:, b] & (weight[:, start] < _BELIEVED) & (weight[:, end] > _BELIEVED)
            if start not in self._trunk:
                impossible[:, start] |= blame_start
            impossible[:, end] |= (too_long[:, b] & ~blame_start) | (impossible[:, start] & ~blame_start)
        return impossible

    def _learn(
        self, points: FloatArray, states: FloatArray, scores: FloatArray, lengths: Sequence[BoneLengths]
    ) -> None:
        """Teach each person's bone lengths from measured joints, before the solver touched them."""
        along = points[:, self._ends] - points[:, self._starts]
        length = np.linalg.norm(along, axis=2)
        trusted = (states == KeypointState.MEASURED) & (scores >= 0.4)
        with np.errstate(invalid="ignore"):
            across = np.linalg.norm(along[..., :2], axis=2) > _LATERAL_PART * length
        reliable = trusted[:, self._starts] & trusted[:, self._ends] & across
        for person, sample, good in zip(lengths, length, reliable, strict=True):
            person.learn(sample, good)


def complete_trunk(corners: FloatArray) -> FloatArray:
    """Fill in corners of the trunk that are not seen.

    Args:
        corners: Left shoulder, right shoulder, left hip, right hip with shape (N, 4, 2), px; NaN when not seen.

    Returns:
        Corners with shape (N, 4, 2): hips below the shoulders by their width when only these are seen, and the other
        way round; a single one of a pair counts for both.
    """
    corners = corners.copy()
    for pair in (corners[:, :2], corners[:, 2:]):  # views
        seen = np.isfinite(pair).all(axis=2)
        pair[seen[:, 0] & ~seen[:, 1], 1] = pair[seen[:, 0] & ~seen[:, 1], 0]
        pair[seen[:, 1] & ~seen[:, 0], 0] = pair[seen[:, 1] & ~seen[:, 0], 1]
    shoulders, hips = corners[:, :2], corners[:, 2:]
    for known, missing, direction in ((shoulders, hips, 1.0), (hips, shoulders, -1.0)):
        width = np.linalg.norm(known[:, 0] - known[:, 1], axis=1)
        lacks = np.isnan(missing).any(axis=(1, 2))
        missing[lacks] = known[lacks] + np.array([0.0, 1.0]) * direction * width[lacks, None, None]
    return corners


def _typical_depth(depth: npt.NDArray[np.float32], pixels: FloatArray) -> FloatArray:
    """Return the median depth around each person's keypoints with shape (N,), metres: for those without a trunk."""
    people, keypoints = pixels.shape[:2]
    samples = sample_patches(depth, pixels.reshape(-1, 2), np.full(people * keypoints, 2.0)).reshape(people, -1)
    result = np.full(people, np.nan)
    seen = np.isfinite(samples).any(axis=1)
    result[seen] = np.nanmedian(samples[seen], axis=1)
    return result


def _covariances(view: FloatArray, sigma: FloatArray, states: npt.NDArray[np.uint8]) -> FloatArray:
    """Return covariances (N, K, 3, 3): along the ray from the solver, across it from the keypoint's error."""
    inferred = states == KeypointState.INFERRED
    along = np.where(inferred, _INFERRED_SIGMA_FACTOR, 1.0) * sigma
    across = np.where(inferred, _INFERRED_ACROSS_SIGMA_M, _MEASURED_ACROSS_SIGMA_M)
    outer = view[..., :, None] * view[..., None, :]
    covariances = outer * np.square(along)[..., None, None] + np.eye(3) * np.square(across)[..., None, None]
    covariances[states == KeypointState.MISSING] = np.nan
    return covariances


def _mean_of_finite(values: FloatArray) -> FloatArray:
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)


def _all_missing(people: int, keypoints: int) -> LiftedBodies:
    return LiftedBodies(
        np.full((people, keypoints, 3), np.nan),
        np.full((people, keypoints, 3, 3), np.nan),
        np.full((people, keypoints), KeypointState.MISSING, np.uint8),
        np.zeros((people, keypoints), bool),
    )
