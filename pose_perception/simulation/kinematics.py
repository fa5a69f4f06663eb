"""Posing of a rigged body: forward kinematics, two-bone limbs and skinning.

Frame of a body: x to its left, y backwards, z up; metres. Rotations are absolute: they take the rest pose to the posed
one in that frame, and a bone without one of its own moves with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Rig:
    """Bones of one body at rest.

    Attributes:
        names: Name of each of the B bones; parents come before their children.
        parents: Index of the parent of each bone with shape (B,); -1 for the root.
        heads: Rotation centre of each bone with shape (B, 3), metres.
    """

    names: tuple[str, ...]
    parents: npt.NDArray[np.int64]
    heads: FloatArray

    def head(self, name: str) -> FloatArray:
        """Rotation centre of one bone at rest with shape (3,)."""
        return self.heads[self.names.index(name)]


def forward(rig: Rig, rotations: Mapping[str, FloatArray], root: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pose all bones.

    Args:
        rig: The bones.
        rotations: Absolute rotation (3, 3) of the bones that do not simply follow their parent.
        root: Position of the first bone with shape (3,), metres.

    Returns:
        Absolute rotations (B, 3, 3) and rotation centres (B, 3) of all bones.
    """
    turned = np.empty((len(rig.names), 3, 3))
    heads = np.empty((len(rig.names), 3))
    for i, (name, parent) in enumerate(zip(rig.names, rig.parents, strict=True)):
        if parent < 0:
            turned[i], heads[i] = rotations.get(name, np.eye(3)), root
            continue
        turned[i] = rotations.get(name, turned[parent])
        heads[i] = heads[parent] + turned[parent] @ (rig.heads[i] - rig.heads[parent])
    return turned, heads


def skin(rig: Rig, weights: Any, vertices: FloatArray, turned: FloatArray, heads: FloatArray) -> FloatArray:
    """Linear blend skinning.

    Args:
        rig: The bones.
        weights: Influence of each bone with shape (V, B), dense or sparse; rows add up to 1.
        vertices: Vertices at rest with shape (V, 3).
        turned: Posed rotations with shape (B, 3, 3).
        heads: Posed rotation centres with shape (B, 3).
    """
    offsets = heads - np.einsum("bij,bj->bi", turned, rig.heads)
    blend = (weights @ np.concatenate([turned.reshape(-1, 9), offsets], axis=1).astype(weights.dtype)).reshape(-1, 12)
    return np.einsum("vij,vj->vi", blend[:, :9].reshape(-1, 3, 3), vertices) + blend[:, 9:]


@dataclass(frozen=True)
class Limb:
    """Two bones with a hinge between them at rest: an arm or a leg.

    Attributes:
        upper, lower: Directions of the two bones at rest with shape (3,).
        hinge: Axis of the middle joint at rest with shape (3,); flexing turns `lower` around it.
        lengths: Of the two bones, metres.
    """

    upper: FloatArray
    lower: FloatArray
    hinge: FloatArray
    lengths: tuple[float, float]

    # A hinge that is locked straight has no defined bending plane and looks stiff; nor can flesh fold completely.
    MIN_FLEXION = np.deg2rad(6.0)
    MAX_FLEXION = np.deg2rad(142.0)

    @classmethod
    def from_points(cls, start: FloatArray, middle: FloatArray, end: FloatArray) -> Limb:
        """Make a limb from its three rotation centres at rest, which must not lie on a line."""
        upper, lower = middle - start, end - middle
        hinge = unit(np.cross(upper, lower))
        return cls(unit(upper), unit(lower), hinge, (float(np.linalg.norm(upper)), float(np.linalg.norm(lower))))

    def solve(self, start: FloatArray, target: FloatArray, pole: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bend the limb so that its end reaches for a target.

        Args:
            start: Posed first rotation centre with shape (3,).
            target: Where the end should be with shape (3,); pulled into reach when the limb is too short or too long.
            pole: Direction in which the middle joint should point with shape (3,).

        Returns:
            Absolute rotations (3, 3) of the upper and the lower bone.
        """
        a, b = self.lengths
        shortest, longest = (
            np.sqrt(a * a + b * b + 2 * a * b * np.cos(x)) for x in (self.MAX_FLEXION, self.MIN_FLEXION)
        )
        distance = np.clip(np.linalg.norm(target - start), shortest, longest)
        along = unit(target - start)
        aside = unit(pole - (pole @ along) * along)
        cos_start = (a * a + distance * distance - b * b) / (2 * a * distance)
        upper = cos_start * along + np.sqrt(max(0.0, 1 - cos_start**2)) * aside
        lower = unit(distance * along - a * upper)
        hinge = np.cross(aside, along)
        return (
            _axes(upper, hinge) @ _axes(self.upper, self.hinge).T,
            _axes(lower, hinge) @ _axes(self.lower, self.hinge).T,
        )


def unit(vector: FloatArray) -> FloatArray:
    """Scale vectors with shape (..., 3) to length 1."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def between(start: FloatArray, end: FloatArray, share: float = 1.0) -> FloatArray:
    """Rotation (3, 3) by the given share of the smallest turn that takes one direction (3,) to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, start @ end) * share).as_matrix()


def about(axis: FloatArray, angle_rad: float) -> FloatArray:
    """Rotation (3, 3) about a unit axis (3,)."""
    return Rotation.from_rotvec(np.asarray(axis) * angle_rad).as_matrix()


def twist_rad(rotation: FloatArray, axis: FloatArray) -> float:
    """Angle of a rotation (3, 3) about its own unit axis (3,), -pi to pi."""
    rotvec = Rotation.from_matrix(rotation).as_rotvec()
    return float(rotvec @ axis)


def minimum_jerk(progress: float) -> float:
    """Share of the way at a share of the time, both clipped to 0 to 1 (Flash and Hogan 1985)."""
    x = min(1.0, max(0.0, progress))
    return x * x * x * (10 + x * (6 * x - 15))


def _axes(direction: FloatArray, hinge: FloatArray) -> FloatArray:
    return np.stack([direction, hinge, np.cross(direction, hinge)], axis=1)
