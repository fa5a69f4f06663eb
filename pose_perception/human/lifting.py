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
from pose_perception.human.anatomy import Anatomy
from pose_perception.human.body_model import BoneLengths, bones_of
from pose_perception.human.body_solver import BELIEVED, BodyProblem, BodySolution, solve_bodies, with_bone_lengths
from pose_perception.human.estimators.agreement import keypoint_sigmas
from pose_perception.human.flatness import FlatnessTest
from pose_perception.human.joint_depth import FREE_SPACE_M, TRUNK, JointDepths
from pose_perception.human.joint_offsets import JointOffsets
from pose_perception.human.landmarks import DISTANCE_SPREAD, RELATIVE_SIGMA_M, depth_from_landmarks, rotate_to_view
from pose_perception.human.topology import Topology
from pose_perception.human.torso import torso_pose, trunk_rotations

# Standard deviation of the expected depth, as a part of this reach.
_GUESS_SIGMA = 0.4
# A joint hides that of the other side when they are this close across the view and one is this much deeper, metres.
_SAME_PLACE_M, _DEEPER_M = 0.10, 0.06
# Distance of people of whose distance nothing is known, metres.
_TYPICAL_DEPTH_M = 2.5
# Error of the network's relative depth along a bone: a part of the bone's length.
_RELATIVE_SIGMA = 0.35
# A keypoint less certain than this, metres across the view, does not say which surface is that of the joint, and one
# less certain than the second is no position when no surface confirms it.
_TRUSTED_SIGMA_M = 0.10
_PLAUSIBLE_SIGMA_M = 0.08
# Eyes are placed better than hips, of which the picture shows nothing: factors on the standard deviation of keypoints
# across the view, by the part. All of these from simulated people (docs/simulation.md), such that errors over standard
# deviations have unit variance.
_ACROSS_FACTORS = {
    **dict.fromkeys(("nose", "eye", "mouth", "eye_inner", "eye_outer"), 0.3),
    **dict.fromkeys(("ear", "elbow", "wrist", "knee"), 0.5),
    **dict.fromkeys(("ankle", "heel"), 0.65),
    **dict.fromkeys(("shoulder", "hip", "foot_index"), 0.8),
}
# A joint that cannot be measured is mostly one that cannot be seen, so that its keypoint is a guess, too: least
# standard deviation across the view, metres. A wrist can be anywhere. Mostly the guess is better than that; but bodies
# mixed up of two are part of it.
_INFERRED_ACROSS_M = {
    **dict.fromkeys(("nose", "eye", "eye_inner", "eye_outer", "ear", "mouth"), 0.055),
    **dict.fromkeys(("shoulder", "hip", "ankle", "heel", "foot_index", "index", "pinky", "thumb"), 0.07),
    **dict.fromkeys(("elbow", "knee"), 0.085),
    "wrist": 0.14,
}
_HANGING = dict.fromkeys(("index", "pinky", "thumb"), "wrist") | dict.fromkeys(("heel", "foot_index"), "ankle")
# Factors on the solver's standard deviation of the depth.
_MEASURED_SIGMA_FACTOR, _INFERRED_SIGMA_FACTOR = 0.85, 0.90
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
        flat: Whose depth lies in one plane with what is beside them, shape (N,): a picture, a screen or a mirror.
    """

    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]
    impossible: npt.NDArray[np.bool_]
    flat: npt.NDArray[np.bool_]


class Lifter:
    """Finds the metric position of each keypoint, or says that it is not known."""

    def __init__(self, topology: Topology, config: LiftingConfig) -> None:
        self._config = config
        self.bones = bones_of(topology)
        self._starts = np.array([bone.start for bone in self.bones])
        self._ends = np.array([bone.end for bone in self.bones])
        self._topology = topology
        self._mirrored = np.array(topology.mirrored)
        pairs = [{topology.index[f"{side}_{part}"] for side in ("left", "right")} for part in ("shoulder", "hip")]
        ends = [{bone.start, bone.end} for bone in self.bones]
        self._width_bones = np.array([ends.index(pair) for pair in pairs])
        self._offsets = JointOffsets(topology)
        self._anatomy = Anatomy(topology, self.bones)
        self._is_flat = FlatnessTest(topology)
        self._trunk = np.array([topology.index[name] for name in TRUNK])
        parts = [name.split("_", 1)[-1] if "_" in name else name for name in topology.keypoints]
        self._extremities = np.flatnonzero(np.isin(parts, list(_HANGING)))
        joints = [topology.keypoints[k].replace(parts[k], _HANGING[parts[k]]) for k in self._extremities]
        self._extremity_joints = np.array([topology.index[joint] for joint in joints], np.int64)
        self._across_factors = np.array([_ACROSS_FACTORS.get(part, 1.0) for part in parts])
        self._inferred_across = np.array([_INFERRED_ACROSS_M.get(part, 0.1) for part in parts])
        self._depths = JointDepths(topology, config.min_depth, config.max_depth)

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
        view = rays(self._offsets.centered(pixels), frame.camera)
        trunks = self._trunk_rotations(relative)
        if frame.depth is None:
            depth = depth_from_landmarks(view, estimates.scores, relative)
            return self._lift_without_depth(view, depth, self._across(estimates, frame, depth))
        offsets = self._offsets.depths(view, trunks)
        hidden = self._offsets.hidden(view, trunks)
        # How large people appear tells how far away they are, until depth does.
        about = np.nan_to_num(depth_from_landmarks(view, estimates.scores, relative), nan=_TYPICAL_DEPTH_M)
        trusted = (self._across(estimates, frame, about) < _TRUSTED_SIGMA_M) & ~hidden
        expected = self._depths.expected(frame, pixels, relative, offsets, trusted)
        across = self._across(estimates, frame, expected)
        body_depth = expected[:, self._trunk].mean(axis=1)[:, None, None]
        trunks = trunk_rotations(view[:, self._trunk] * body_depth, relative[:, self._trunk], self._widths(lengths))
        offsets = self._offsets.depths(view, trunks)
        hidden = self._offsets.hidden(view, trunks) | self._behind_partner(view, expected)
        evidence = self._depths.measure(frame, pixels, expected, offsets, (across < _TRUSTED_SIGMA_M) & ~hidden)
        problem = BodyProblem(
            rays=view,
            guess=np.nan_to_num(expected, nan=1.0),
            guess_sigma=_GUESS_SIGMA * self._depths.reach,
            measured=evidence.depth,
            measured_sigma=evidence.sigma,
            nearest=evidence.nearest,
            starts=self._starts,
            ends=self._ends,
            lengths=np.stack([person.lengths for person in lengths]),
            length_sigmas=np.stack([person.sigmas for person in lengths]),
            relative=relative[:, self._ends, 2] - relative[:, self._starts, 2],
            relative_sigma=_RELATIVE_SIGMA * np.stack([person.lengths for person in lengths]),
        )
        solution = solve_bodies(problem)
        points = view * solution.depth[..., None]
        impossible = self._anatomy.impossible(points, solution.weight, problem.lengths, frame.camera)
        impossible |= (solution.weight < BELIEVED) & (evidence.seen > solution.depth + FREE_SPACE_M)
        states = self._states(solution, np.isfinite(expected), across, impossible)
        self._learn(view * evidence.depth[..., None], states, estimates.scores, lengths)
        flat = self._is_flat(frame.depth, pixels)
        return self._bodies(problem, solution, states, across, impossible)._replace(flat=flat)

    def _lift_without_depth(self, view: FloatArray, depth: FloatArray, across: FloatArray) -> LiftedBodies:
        known = np.isfinite(depth)
        states = np.where(known, KeypointState.INFERRED, KeypointState.MISSING).astype(np.uint8)
        sigma = np.hypot(DISTANCE_SPREAD * depth, RELATIVE_SIGMA_M)
        covariances = self._covariances(view, sigma, across, states)
        nothing = np.zeros(known.shape, bool)
        return LiftedBodies(view * depth[..., None], covariances, states, nothing, nothing.any(axis=1))

    def _widths(self, lengths: Sequence[BoneLengths]) -> FloatArray:
        """Return the distances of the shoulders and of the hips of each person, shape (N, 2), metres."""
        return np.stack([person.lengths[self._width_bones] for person in lengths])

    def _trunk_rotations(self, points: FloatArray) -> FloatArray:
        """Return the axes of each trunk with shape (N, 3, 3) from points (N, K, 3); NaN where they do not tell."""
        poses = [torso_pose(person, self._topology) for person in points]
        unknown = np.full((3, 3), np.nan)
        return np.array([unknown if pose is None else pose[:3, :3] for pose in poses]).reshape(-1, 3, 3)

    def _behind_partner(self, view: FloatArray, expected: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which joints the same joint of the other side hides, shape (N, K).

        Both appear in one place, so the surface there is that of the nearer one: the legs of somebody seen from the
        side have one depth otherwise.
        """
        apart = np.linalg.norm(view - view[:, self._mirrored], axis=2) * expected
        deeper = expected > expected[:, self._mirrored] + _DEEPER_M
        return (apart < _SAME_PLACE_M) & deeper

    def _across(self, estimates: PoseEstimates, frame: RgbdFrame, depth: FloatArray) -> FloatArray:
        """Return the standard deviation of each keypoint across the view with shape (N, K), metres."""
        by_score = keypoint_sigmas(estimates.scores)
        if estimates.pixel_sigmas is None:
            return by_score
        by_estimator = estimates.pixel_sigmas * depth / frame.camera.fx
        return np.where(np.isfinite(by_estimator), by_estimator, by_score)

    def _states(
        self,
        solution: BodySolution,
        expected: npt.NDArray[np.bool_],
        across: FloatArray,
        impossible: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.uint8]:
        """Return how each position is known, shape (N, K)."""
        known = np.isfinite(solution.depth) & expected & (solution.weight.max(axis=1) > BELIEVED)[:, None]
        known &= ~impossible
        states = np.full(known.shape, KeypointState.MISSING, np.uint8)
        plausible = (solution.sigma < self._config.max_inferred_sigma) & (across <= _PLAUSIBLE_SIGMA_M)
        states[known & plausible] = KeypointState.INFERRED
        states[known & (solution.weight > BELIEVED)] = KeypointState.MEASURED
        # Points of hands and feet are small: without their wrist or ankle nothing says whose they are.
        alone = states[:, self._extremity_joints] != KeypointState.MEASURED
        states[:, self._extremities] = np.where(alone, KeypointState.MISSING, states[:, self._extremities])
        return states

    def _bodies(
        self,
        problem: BodyProblem,
        solution: BodySolution,
        states: npt.NDArray[np.uint8],
        across: FloatArray,
        impossible: npt.NDArray[np.bool_],
    ) -> LiftedBodies:
        """Turn depths into positions that carry how they are known, and let the bones have their lengths."""
        depth = np.where(states == KeypointState.MISSING, np.nan, solution.depth)
        factor = np.where(states == KeypointState.INFERRED, _INFERRED_SIGMA_FACTOR, _MEASURED_SIGMA_FACTOR)
        covariances = self._covariances(problem.rays, factor * solution.sigma, across * self._across_factors, states)
        positions = with_bone_lengths(
            problem.rays * depth[..., None],
            covariances,
            self._starts,
            self._ends,
            problem.lengths,
            problem.length_sigmas,
        )
        return LiftedBodies(positions, covariances, states, impossible, np.zeros(len(states), bool))

    def _covariances(
        self, view: FloatArray, along: FloatArray, across: FloatArray, states: npt.NDArray[np.uint8]
    ) -> FloatArray:
        """Return covariances (N, K, 3, 3) of standard deviations along the ray and across it (N, K), metres."""
        across = np.where(states == KeypointState.INFERRED, np.maximum(self._inferred_across, across), across)
        outer = view[..., :, None] * view[..., None, :]
        covariances = outer * np.square(along)[..., None, None] + np.eye(3) * np.square(across)[..., None, None]
        covariances[states == KeypointState.MISSING] = np.nan
        return covariances

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


def _all_missing(people: int, keypoints: int) -> LiftedBodies:
    return LiftedBodies(
        np.full((people, keypoints, 3), np.nan),
        np.full((people, keypoints, 3, 3), np.nan),
        np.full((people, keypoints), KeypointState.MISSING, np.uint8),
        np.zeros((people, keypoints), bool),
        np.zeros(people, bool),
    )
