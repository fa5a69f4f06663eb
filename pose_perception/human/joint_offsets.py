"""Where joint centres lie against what is seen of them: behind the surface, and beside the keypoint of the networks.

Both depend on the side from which a body is seen: from the front a hip lies 12 cm under the surface, from its own side
6 cm. The figures are fits to simulated people (docs/simulation.md) seen from all around, 12 pairs of bodies that no
published figure is measured on: depth of the rotation centre minus the depth image around the pixel of the default
estimator's keypoint (robust least squares; the rest has a standard deviation of 9 to 20 mm).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import Topology

# How far a joint centre lies behind the seen surface, metres, seen from the person's front, back, the joint's own side,
# the other side, and from above or below.
_DEPTHS_M = {
    "nose": (0.008, 0.015, 0.014, 0.014, 0.008),
    "eye": (0.013, 0.025, 0.017, 0.020, 0.015),
    "ear": (0.035, 0.030, 0.005, 0.100, 0.030),
    "shoulder": (0.049, 0.078, 0.042, 0.120, 0.055),
    "elbow": (0.050, 0.039, 0.029, 0.062, 0.036),
    "wrist": (0.040, 0.033, 0.027, 0.036, 0.032),
    "hip": (0.120, 0.096, 0.063, 0.150, 0.085),
    "knee": (0.074, 0.068, 0.056, 0.070, 0.063),
    "ankle": (0.060, 0.065, 0.050, 0.050, 0.055),
    "index": (0.015, 0.025, 0.020, 0.020, 0.020),
    "pinky": (0.025, 0.022, 0.012, 0.030, 0.020),
    "thumb": (0.015, 0.030, 0.030, 0.015, 0.020),
    "heel": (0.120, 0.025, 0.045, 0.050, 0.040),
    "foot_index": (-0.025, -0.015, -0.015, -0.010, -0.020),
}
# Keypoints of COCO's kind lie beside the rotation centre: annotators mark shoulders and hips higher. How far to move
# them along the line from a shoulder to the hip below it, as a part of that line (0.5 m), and an elbow along the upper
# arm (0.3 m).
_SHOULDER_SHIFT, _HIP_SHIFT, _ELBOW_SHIFT = 0.048, 0.024, 0.043
# Shoulders and hips are hidden behind the trunk, and faces by the head, when the direction to the camera has less than
# this component to their own side, and forward.
_FAR_SIDE, _BEHIND = -0.80, -0.35
_SIDES = ("left", "right")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_IMAGE_DOWN = np.array([0.0, 1.0])


class JointOffsets:
    """Offsets of the joints of a topology."""

    def __init__(self, topology: Topology) -> None:
        parts = [name.split("_", 1)[-1] if "_" in name else name for name in topology.keypoints]
        nothing = (0.0,) * 5
        self._depths = np.array([_DEPTHS_M.get(part, nothing) for part in parts])  # (K, 5)
        self._outward = np.array([-1.0 if name.startswith("right_") else 1.0 for name in topology.keypoints])
        self._shoulders, self._hips, self._elbows = (
            np.array([topology.index[f"{side}_{part}"] for side in _SIDES]) for part in ("shoulder", "hip", "elbow")
        )
        self._is_trunk = np.isin(parts, ("shoulder", "hip"))
        self._is_face = np.isin(parts, ("nose", "eye", "eye_inner", "eye_outer")) | np.char.startswith(
            np.array(topology.keypoints), "mouth"
        )
        self._knees = np.array([topology.index[f"{side}_knee"] for side in _SIDES])
        self._face = np.array([topology.index[name] for name in _FACE])

    @property
    def mean_depths(self) -> FloatArray:
        """How far joint centres lie behind the surface for whatever side they are seen from, shape (K,), metres."""
        return self._depths.mean(axis=1)

    def depths(self, view: FloatArray, camera_from_trunk: FloatArray) -> FloatArray:
        """Return how far each joint centre lies behind the surface that the camera sees.

        Args:
            view: Viewing rays of the keypoints with shape (N, K, 3).
            camera_from_trunk: Rotation of each trunk with shape (N, 3, 3): x forward, y to the person's left, z to the
                head; NaN where it is not known.

        Returns:
            Shape (N, K), metres; the mean over all sides where the trunk's rotation or a ray is not known.
        """
        forward, outward, up = self._sides(view, camera_from_trunk)
        sides = np.stack([forward, -forward, outward, -outward], axis=2)
        # The squares of the components add up to 1: the offset is a mean of those of the sides that are seen.
        shares = np.concatenate([np.maximum(sides, 0) ** 2, up[..., None] ** 2], axis=2)
        offsets = np.einsum("nks,ks->nk", shares, self._depths)
        return np.where(np.isfinite(offsets), offsets, self.mean_depths)

    def _sides(self, view: FloatArray, camera_from_trunk: FloatArray) -> FloatArray:
        """Return the direction to the camera: forward, to the joint's own side, up, with shape (3, N, K)."""
        to_camera = -np.einsum("nji,nkj->nki", camera_from_trunk, view)
        to_camera /= np.linalg.norm(to_camera, axis=2, keepdims=True)
        forward, left, up = np.moveaxis(to_camera, 2, 0)
        return np.stack([forward, left * self._outward, up])

    def hidden(self, view: FloatArray, camera_from_trunk: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which joints lie on the far side of their own body, so that the surface in front is not theirs.

        Args:
            view: As for `depths`.
            camera_from_trunk: As for `depths`; nothing is hidden where it is not known.

        Returns:
            Shape (N, K): the shoulder and hip of the far side of people seen from their side, and the faces of people
            seen from behind.
        """
        forward, outward, _ = self._sides(view, camera_from_trunk)
        with np.errstate(invalid="ignore"):
            return (self._is_trunk & (outward < _FAR_SIDE)) | (self._is_face & (forward < _BEHIND))

    def trunk(self, pixels: FloatArray) -> FloatArray:
        """Return left and right shoulder, left and right hip of keypoints (N, K, 2) with shape (N, 4, 2), px.

        Those that are not seen are filled in, below or above the others as the head or the knees tell, in whatever
        direction the camera is turned.
        """
        corners = pixels[:, np.concatenate([self._shoulders, self._hips])]
        shoulders, hips = _middle(corners[:, :2]), _middle(corners[:, 2:])
        down = shoulders - _middle(pixels[:, self._face])
        down = np.where(np.isfinite(down), down, _middle(pixels[:, self._knees]) - hips)
        length = np.linalg.norm(down, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            down = np.where(length > 0, down / length, _IMAGE_DOWN)
        return complete_trunk(corners, down)

    def centered(self, pixels: FloatArray) -> FloatArray:
        """Move keypoints from where networks mark joints to where their rotation centres appear.

        Args:
            pixels: With shape (N, K, 2), px; NaN when missing.

        Returns:
            Shape (N, K, 2), px.
        """
        corners = self.trunk(pixels)
        trunk = corners[:, 2:] - corners[:, :2]
        upper_arm = pixels[:, self._elbows] - pixels[:, self._shoulders]
        moved = pixels.copy()
        moved[:, self._shoulders] += _SHOULDER_SHIFT * np.nan_to_num(trunk)
        moved[:, self._hips] += _HIP_SHIFT * np.nan_to_num(trunk)
        moved[:, self._elbows] += _ELBOW_SHIFT * np.nan_to_num(upper_arm)
        return moved


def _middle(points: FloatArray) -> FloatArray:
    """Return the mean of the finite points (N, S, 2) with shape (N, 2); NaN where there is none."""
    known = np.isfinite(points).all(axis=2)
    count = known.sum(axis=1, keepdims=True)
    mean = np.where(known[..., None], points, 0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def complete_trunk(corners: FloatArray, down: FloatArray | None = None) -> FloatArray:
    """Fill in corners of the trunk that are not seen.

    Args:
        corners: Left shoulder, right shoulder, left hip, right hip with shape (N, 4, 2), px; NaN when not seen.
        down: Direction from the head to the feet of each person in the image, shape (N, 2), unit length; None for
            people who are upright in it.

    Returns:
        Corners with shape (N, 4, 2): hips below the shoulders by their width when only these are seen, and the other
        way round; a single one of a pair counts for both.
    """
    down = np.tile(_IMAGE_DOWN, (len(corners), 1)) if down is None else down
    corners = corners.copy()
    for pair in (corners[:, :2], corners[:, 2:]):  # views
        seen = np.isfinite(pair).all(axis=2)
        pair[seen[:, 0] & ~seen[:, 1], 1] = pair[seen[:, 0] & ~seen[:, 1], 0]
        pair[seen[:, 1] & ~seen[:, 0], 0] = pair[seen[:, 1] & ~seen[:, 0], 1]
    shoulders, hips = corners[:, :2], corners[:, 2:]
    for known, missing, direction in ((shoulders, hips, 1.0), (hips, shoulders, -1.0)):
        width = np.linalg.norm(known[:, 0] - known[:, 1], axis=1)
        lacks = np.isnan(missing).any(axis=(1, 2))
        missing[lacks] = known[lacks] + direction * (width[:, None] * down)[lacks, None]
    return corners
