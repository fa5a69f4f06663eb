"""What the depth image says of the joints: where to expect each of them, and which surface is its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.human.depth_evidence import choose_layer, median_of_finite, sample_patches, trunk_depth
from pose_perception.human.joint_offsets import JointOffsets
from pose_perception.human.topology import Topology

TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""The corners of a trunk."""
# How far from its expected depth the seen surface of a keypoint may lie, metres. The expectation comes from the
# trunk and the network's landmarks, whose errors grow along the limbs.
_REACH_M = {"shoulder": 0.30, "hip": 0.30, "elbow": 0.45, "knee": 0.45, "ankle": 0.60, "heel": 0.60, "foot_index": 0.60}
_HAND_REACH_M = 0.70
_HAND = ("wrist", "index", "pinky", "thumb")
_FACE_REACH_M = 0.35
# The chest's surface to its middle, metres.
_TRUNK_HALF_THICKNESS_M = 0.10
# Half the side of a depth patch, metres: inside of a forearm, and inside of a finger or an eye socket.
_PATCH_RADIUS_M = 0.025
_SMALL_PATCH_RADIUS_M = 0.012
_LARGE_PARTS = ("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel")
# Standard deviation of a surface-to-joint offset between people and directions, metres: what the fit of
# `joint_offsets` leaves.
_OFFSET_SIGMA_M = 0.015
# Depth noise of a stereo camera at 1 m, of the median of a patch; it grows with the square of the depth (Intel
# RealSense D400 datasheet: RMS error below 2 % at 2 m is the guaranteed limit, a few millimetres at 1 m are typical).
_SENSOR_SIGMA_AT_1M = 0.002
# The depth of a patch is uncertain by this part of its spread: limbs are round, and the keypoint may lie aside.
_SPREAD_PART = 0.5
# Half the side of the patches whose depths vote for where a body is, px, the distance at which two of them agree,
# metres, and how much they count: joints that stay with the trunk more than arms, hands and feet, which go where they
# like, and more than each of the five points of a face.
_VOTE_RADIUS_PX = 3.0
_AGREED_M = 0.15
_BODY_VOTE, _FACE_VOTE, _ELBOW_VOTE, _EXTREMITY_VOTE = 1.0, 0.4, 0.5, 0.3
_VOTES = {
    **dict.fromkeys(("shoulder", "hip", "knee", "ankle"), _BODY_VOTE),
    **dict.fromkeys((*_HAND, "heel", "foot_index"), _EXTREMITY_VOTE),
    "elbow": _ELBOW_VOTE,
}
# A surface this far behind where a joint is expected does not hide it: it is what the camera sees beside the person.
FREE_SPACE_M = 0.15


class JointEvidence(NamedTuple):
    """What the depth image says of each keypoint; all with shape (N, K), metres, NaN where there is nothing.

    Attributes:
        depth: Of the joint centre.
        sigma: Its standard deviation.
        seen: The nearest surface there, whoever's it is.
        nearest: A surface in front of which the joint cannot be, because it would be seen there.
    """

    depth: FloatArray
    sigma: FloatArray
    seen: FloatArray
    nearest: FloatArray


class JointDepths:
    """Reads the depth of joints.

    Attributes:
        reach: How far from its expected depth the surface of each keypoint may lie, shape (K,), metres.

    Args:
        topology: Names of the keypoints.
        min_depth, max_depth: Depth outside of this range is ignored, metres.
    """

    def __init__(self, topology: Topology, min_depth: float, max_depth: float) -> None:
        self._min_depth, self._max_depth = min_depth, max_depth
        self._offsets = JointOffsets(topology)
        self._trunk = np.array([topology.index[name] for name in TRUNK])
        parts = [name.split("_", 1)[-1] for name in topology.keypoints]
        self.reach = np.array([_HAND_REACH_M if p in _HAND else _REACH_M.get(p, _FACE_REACH_M) for p in parts])
        self._is_limb = ~np.isin(np.arange(len(topology)), self._trunk)
        self._vote_weights = np.array([*(_VOTES.get(part, _FACE_VOTE) for part in parts), _BODY_VOTE])
        self._patch_radius = np.where(np.isin(parts, _LARGE_PARTS), _PATCH_RADIUS_M, _SMALL_PATCH_RADIUS_M)

    def expected(
        self,
        frame: RgbdFrame,
        pixels: FloatArray,
        relative: FloatArray,
        offsets: FloatArray,
        trusted: npt.NDArray[np.bool_],
    ) -> FloatArray:
        """Return where the joints should be, shape (N, K), metres; NaN if unknown.

        Each keypoint, and the surface between shoulders and hips, says where the body is, by its own depth and where
        the network has it in the body. The body is where most of them agree: something carried in front of the trunk
        does not speak for it, nor does the wall behind a raised arm.

        Args:
            frame: With depth.
            pixels: Keypoints with shape (N, K, 2), px; NaN when not known.
            relative: Metric landmarks in the axes of the camera with shape (N, K, 3), metres; NaN when not known.
            offsets: How far joint centres lie behind the surface with shape (N, K), metres.
            trusted: Keypoints that say which surface is that of their joint, shape (N, K).
        """
        people, keypoints = offsets.shape
        in_body = np.nan_to_num(relative[..., 2] - _mean_of_finite(relative[:, self._trunk, 2])[:, None])
        samples = sample_patches(frame.depth, pixels.reshape(-1, 2), np.full(people * keypoints, _VOTE_RADIUS_PX))
        surface = np.where(trusted, median_of_finite(samples).reshape(people, keypoints), np.nan)
        trunk = trunk_depth(frame.depth, self._offsets.trunk(pixels)) + _TRUNK_HALF_THICKNESS_M
        votes = np.concatenate([surface + offsets - in_body, trunk[:, None]], axis=1)
        votes[~((votes > self._min_depth) & (votes < self._max_depth))] = np.nan
        return _agreed(votes, self._vote_weights)[:, None] + in_body

    def measure(
        self,
        frame: RgbdFrame,
        pixels: FloatArray,
        expected: FloatArray,
        offsets: FloatArray,
        trusted: npt.NDArray[np.bool_],
    ) -> JointEvidence:
        """Return what the depth image says of each keypoint.

        Args:
            frame: With depth.
            pixels: Keypoints with shape (N, K, 2), px; NaN when not known.
            expected: Where the joints should be with shape (N, K), metres.
            offsets: How far joint centres lie behind the surface with shape (N, K), metres.
            trusted: Keypoints that say which surface is that of their joint, shape (N, K).
        """
        people, keypoints = expected.shape
        surface = expected - offsets
        radius = np.clip(self._patch_radius * frame.camera.fx / np.nan_to_num(expected, nan=2.0), 1.5, 15.0)
        samples = sample_patches(frame.depth, pixels.reshape(-1, 2), radius.ravel())
        samples[(samples < self._min_depth) | (samples > self._max_depth)] = np.nan
        chosen = choose_layer(samples, surface.ravel(), np.tile(self.reach, people), np.tile(self._is_limb, people))
        anything = np.full(surface.size, np.inf)
        seen = choose_layer(samples, surface.ravel(), anything, anything > 0).depth.reshape(people, keypoints)
        depth = np.where(trusted, chosen.depth.reshape(people, keypoints), np.nan)
        spread = chosen.sigma.reshape(people, keypoints)
        sensor = _SENSOR_SIGMA_AT_1M * np.square(depth)
        sigma = np.sqrt(np.square(_SPREAD_PART * spread) + np.square(sensor) + _OFFSET_SIGMA_M**2)
        is_occluder = seen < expected + FREE_SPACE_M
        return JointEvidence(depth + offsets, sigma, seen, np.where(is_occluder, seen, np.nan))


def _agreed(votes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mean of the largest group of votes that agree, shape (N,).

    Args:
        votes: With shape (N, V); NaN for those that say nothing.
        weights: How much each counts, shape (V,).
    """
    known = np.isfinite(votes)
    agrees = np.abs(votes[:, :, None] - votes[:, None]) < _AGREED_M  # NaN agrees with nobody
    support = np.where(known, (agrees * weights).sum(axis=2), 0.0)
    best = support.argmax(axis=1)
    group = agrees[np.arange(len(votes)), best] * weights
    with np.errstate(invalid="ignore"):
        return (group * np.nan_to_num(votes)).sum(axis=1) / group.sum(axis=1)  # NaN when nobody votes


def _mean_of_finite(values: FloatArray) -> FloatArray:
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
