"""Where an object may be: views from all around times turns in the image, placed at what was measured."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray

_SAME_RAD = math.radians(15.0)
# Neighbouring views of the icosahedron are 32 to 36 degrees apart: less than that must count as equal.
_HALF_STEP_RAD = math.radians(30.0)


def view_directions(subdivisions: int = 1) -> FloatArray:
    """Return even directions on a sphere: the corners of a subdivided icosahedron, shape (12, 42, 162, ...; 3)."""
    golden = (1 + math.sqrt(5)) / 2
    base = np.array([(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)], np.float64)
    corners = np.concatenate([base, base[:, [2, 0, 1]], base[:, [1, 2, 0]]])
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    for _ in range(subdivisions):
        gaps = np.linalg.norm(corners[:, None] - corners[None], axis=2)
        edge = np.min(gaps[gaps > 1e-6])
        i, j = np.nonzero(np.triu((gaps > 1e-6) & (gaps < 1.3 * edge)))
        between = corners[i] + corners[j]
        corners = np.concatenate([corners, between / np.linalg.norm(between, axis=1, keepdims=True)])
    return corners


def orientations(symmetries: FloatArray, subdivisions: int = 1, turns: int = 4) -> FloatArray:
    """Return orientations that cover all rotations, without those that symmetry makes equal, shape (N, 3, 3).

    Args:
        symmetries: Motions of the object that look the same, shape (S, 4, 4).
        subdivisions: Of the icosahedron from whose corners the object is looked at.
        turns: In the image, from each corner.
    """
    directions = view_directions(subdivisions)
    # camera_from_object whose third row, the optical axis in the object's frame, looks at its middle.
    forward = -directions
    helper = np.where(np.abs(forward[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    views = np.stack([right, np.cross(forward, right), forward], axis=1)
    angles = np.outer(np.arange(turns) * 2 * math.pi / turns, [0, 0, 1])
    all_of_them = (Rotation.from_rotvec(angles).as_matrix()[None] @ views[:, None]).reshape(-1, 3, 3)
    if len(symmetries) == 1:
        return all_of_them
    # Steps of the grid are wide: what lies within half a step of an equal one is covered by it.
    near = max(_SAME_RAD, min(math.pi / turns, _HALF_STEP_RAD))
    kept: list[FloatArray] = []
    images = symmetries[:, :3, :3]
    for rotation in all_of_them:
        if kept:
            equal = np.einsum("ij,sjk->sik", rotation, images)
            cosine = (np.einsum("kij,sij->ks", np.stack(kept), equal).max() - 1) / 2
            if cosine > math.cos(near * 0.9):
                continue
        kept.append(rotation)
    return np.stack(kept)


def place(rotations: FloatArray, points: FloatArray, normals: FloatArray, observed: FloatArray) -> FloatArray:
    """Return hypotheses whose visible surface lies where points were observed, shape (N, 4, 4).

    Args:
        rotations: Shape (N, 3, 3).
        points: Samples of the model with shape (P, 3), metres.
        normals: Outward normals there, shape (P, 3).
        observed: Points in the camera frame with shape (M, 3), metres.
    """
    target = np.median(observed, axis=0)
    sight = target / np.linalg.norm(target)
    turned = points @ np.swapaxes(rotations, 1, 2)
    visible = (normals @ np.swapaxes(rotations, 1, 2)) @ sight < 0
    visible[~visible.any(1)] = True  # a sheet seen from behind
    shown = np.where(visible[..., None], turned, np.nan)
    middle = np.nanmedian(shown, axis=1)
    poses = np.tile(np.eye(4), (len(rotations), 1, 1))
    poses[:, :3, :3] = rotations
    poses[:, :3, 3] = target - middle
    return poses
