"""What the depth image says of the joints: where to expect each of them, and which surface is its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.human.depth_evidence import choose_layer, sample_patches, trunk_depth
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
# A keypoint less certain than this, metres across the view, does not say which surface is that of the joint.
_TRUSTED_SIGMA_M = 0.10
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
        self._patch_radius = np.where(np.isin(parts, _LARGE_PARTS), _PATCH_RADIUS_M, _SMALL_PATCH_RADIUS_M)

    def expected(self, frame: RgbdFrame, pixels: FloatArray, relative: FloatArray) -> FloatArray:
        """Return where the joints should be by the trunk and the network, shape (N, K), metres; NaN if unknown."""
        trunk = trunk_depth(frame.depth, self._offsets.trunk(pixels)) + _TRUNK_HALF_THICKNESS_M
        trunk = np.where(np.isnan(trunk), _typical_depth(frame.depth, pixels), trunk)
        is_usable = (trunk > self._min_depth + _TRUNK_HALF_THICKNESS_M) & (trunk < self._max_depth)
        trunk = np.where(is_usable, trunk, np.nan)
        trunk_relative = _mean_of_finite(relative[:, self._trunk, 2])
        offset = np.nan_to_num(relative[..., 2] - trunk_relative[:, None])
        return trunk[:, None] + offset

    def measure(
        self, frame: RgbdFrame, pixels: FloatArray, expected: FloatArray, offsets: FloatArray, across: FloatArray
    ) -> JointEvidence:
        """Return what the depth image says of each keypoint.

        Args:
            frame: With depth.
            pixels: Keypoints with shape (N, K, 2), px; NaN when not known.
            expected: Where the joints should be with shape (N, K), metres.
            offsets: How far joint centres lie behind the surface with shape (N, K), metres.
            across: Standard deviation of the keypoints across the view with shape (N, K), metres.
        """
        people, keypoints = expected.shape
        surface = expected - offsets
        radius = np.clip(self._patch_radius * frame.camera.fx / np.nan_to_num(expected, nan=2.0), 1.5, 15.0)
        samples = sample_patches(frame.depth, pixels.reshape(-1, 2), radius.ravel())
        samples[(samples < self._min_depth) | (samples > self._max_depth)] = np.nan
        chosen = choose_layer(samples, surface.ravel(), np.tile(self.reach, people), np.tile(self._is_limb, people))
        anything = np.full(surface.size, np.inf)
        seen = choose_layer(samples, surface.ravel(), anything, anything > 0).depth.reshape(people, keypoints)
        depth = np.where(across < _TRUSTED_SIGMA_M, chosen.depth.reshape(people, keypoints), np.nan)
        spread = chosen.sigma.reshape(people, keypoints)
        sensor = _SENSOR_SIGMA_AT_1M * np.square(depth)
        sigma = np.sqrt(np.square(_SPREAD_PART * spread) + np.square(sensor) + _OFFSET_SIGMA_M**2)
        is_occluder = seen < expected + FREE_SPACE_M
        return JointEvidence(depth + offsets, sigma, seen, np.where(is_occluder, seen, np.nan))


def _typical_depth(depth: npt.NDArray[np.float32], pixels: FloatArray) -> FloatArray:
    """Return the median depth around each person's keypoints with shape (N,), metres: for those without a trunk."""
    people, keypoints = pixels.shape[:2]
    samples = sample_patches(depth, pixels.reshape(-1, 2), np.full(people * keypoints, 2.0)).reshape(people, -1)
    result = np.full(people, np.nan)
    seen = np.isfinite(samples).any(axis=1)
    result[seen] = np.nanmedian(samples[seen], axis=1)
    return result


def _mean_of_finite(values: FloatArray) -> FloatArray:
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
