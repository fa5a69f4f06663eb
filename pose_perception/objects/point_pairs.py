"""Where an object may be, from geometry alone: pairs of points with normals that model and image have in common.

Two points with their normals fix a pose. Pairs of the model are sorted by what no motion changes: their distance, and
the angles between it and the normals (Winkelbach et al., DAGM 2006). Pairs of observed points are drawn, each is laid
upon a pair of the model that is like it, and the poses that follow are judged at a glance (Papazov and Burschka, ACCV
2010; there are no votes, as in Drost et al., CVPR 2010, which are patented). It does not matter which part of an object
is seen, and little that many points are of something else.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import Observation

# Points whose pairs are compared: of the model, and observed.
_MODEL_POINTS, _SEEN_POINTS = 250, 250
# Steps of a diameter and of half a turn: an odd number, so that right angles are not between two of them.
_LENGTHS, _ANGLES = 20, 15
# Lengths of pairs, in diameters: normals err too much for shorter ones.
_SHORTEST, _LONGEST = 0.2, 1.02
# Normals that lie along their pair leave the turn about it open.
_LEAST_ACROSS = 0.2
# Half the edge of the window in which a normal is measured, in radii of the object; its samples along an edge.
_WINDOW, _SAMPLES = 0.1, 7
_LEAST_SAMPLES = 6


class PointPairs:
    """Pairs of points of a model, found by their features.

    Args:
        points: Samples of the surface with shape (P, 3), metres.
        normals: Outward unit normals there, shape (P, 3).
        diameter: Of the object, metres.
        two_sided: Whether the surface is seen from both sides: a sheet that encloses nothing.
    """

    def __init__(self, points: FloatArray, normals: FloatArray, diameter: float, two_sided: bool = False) -> None:
        step = max(1, len(points) // _MODEL_POINTS)
        points, normals = points[::step], normals[::step]
        if two_sided:
            points, normals = np.concatenate([points, points]), np.concatenate([normals, -normals])
        self._points, self._normals, self._diameter = points, normals, diameter
        first, second = np.nonzero(~np.eye(len(points), dtype=np.bool_))
        first, second, cells = self._usable(points, normals, first, second)
        order = np.argsort(cells, kind="stable")
        self._cells, self._first, self._second = cells[order], first[order], second[order]

    def poses(self, points: FloatArray, normals: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
        """Return poses that lay pairs of the model upon observed ones, shape (count, 4, 4); (0, 4, 4) if none is alike.

        Args:
            points: Observed points in the camera frame with shape (M, 3), metres.
            normals: Unit normals there, towards the camera, shape (M, 3).
            count: How many.
            rng: What draws them.
        """
        first, second, cells = self._usable(points, normals, *np.triu_indices(len(points), 1))
        low = np.searchsorted(self._cells, cells)
        alike = np.searchsorted(self._cells, cells, side="right") - low
        first, second, low, alike = (values[alike > 0] for values in (first, second, low, alike))
        if len(first) == 0:
            return np.empty((0, 4, 4))
        # Pairs that are rare on the model say more, but may be rare because their normals are wrong.
        total = np.cumsum(1 / np.sqrt(alike))
        drawn = np.searchsorted(total, (np.arange(count) + rng.random(count)) * (total[-1] / count))
        drawn = np.minimum(drawn, len(first) - 1)
        pair = low[drawn] + (rng.random(count) * alike[drawn]).astype(np.intp)
        seen = _frames(points, normals, first[drawn], second[drawn])
        return seen @ np.linalg.inv(_frames(self._points, self._normals, self._first[pair], self._second[pair]))

    def _usable(
        self, points: FloatArray, normals: FloatArray, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int64]]:
        """Return the pairs that fix a pose, and the cell of each: distance and three angles, each in steps."""
        between = points[second] - points[first]
        length = np.linalg.norm(between, axis=1) / self._diameter
        kept = (length > _SHORTEST) & (length < _LONGEST)
        first, second, length = first[kept], second[kept], length[kept]
        along = between[kept] / (length * self._diameter)[:, None]
        one, other = normals[first], normals[second]
        cosines = np.stack([np.einsum("nd,nd->n", a, b) for a, b in ((one, along), (other, along), (one, other))])
        angles = np.minimum((np.arccos(np.clip(cosines, -1, 1)) * (_ANGLES / math.pi)).astype(np.int64), _ANGLES - 1)
        cell = (length * _LENGTHS).astype(np.int64)
        for angle in angles:
            cell = cell * _ANGLES + angle
        across = one + other - (cosines[0] + cosines[1])[:, None] * along
        fixes = np.linalg.norm(across, axis=1) > _LEAST_ACROSS
        return first[fixes], second[fixes], cell[fixes]


def observed_normals(seen: Observation, points: FloatArray, radius: float) -> FloatArray:
    """Return the unit normals of observed points, towards the camera, shape (M, 3); NaN where too little was measured.

    Args:
        seen: The image.
        points: Points of it in the camera frame, shape (M, 3), metres.
        radius: Of the object that is looked for, metres: normals are those of a window of some tenths of it.
    """
    fx, fy, cx, cy = seen.intrinsics
    height, width = seen.depth.shape
    half = np.maximum(_WINDOW * radius * fx / points[:, 2], (_SAMPLES - 1) / 2)  # px
    across, down = np.meshgrid(np.linspace(-1, 1, _SAMPLES), np.linspace(-1, 1, _SAMPLES))
    u = np.rint((points[:, 0] / points[:, 2] * fx + cx)[:, None] + half[:, None] * across.ravel()).astype(np.intp)
    v = np.rint((points[:, 1] / points[:, 2] * fy + cy)[:, None] + half[:, None] * down.ravel()).astype(np.intp)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    z = seen.depth[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)].astype(np.float64)  # (M, samples)
    z[~np.isfinite(z)] = 0
    offset = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], axis=2) - points[:, None]
    # What is much farther away than the corners of the window is another surface.
    reach = 1.8 * half / fx * points[:, 2]
    near = (inside & (z > 0) & (np.linalg.norm(offset, axis=2) < reach[:, None]))[..., None]
    count = near.sum(1)
    away = (offset - (offset * near).sum(1, keepdims=True) / np.maximum(count, 1)[:, None]) * near
    normals = np.linalg.eigh(np.swapaxes(away, 1, 2) @ away)[1][:, :, 0]
    normals *= np.where(np.einsum("md,md->m", normals, points) > 0, -1.0, 1.0)[:, None]
    return np.where(count < _LEAST_SAMPLES, np.nan, normals)


def paired_poses(pairs: PointPairs, seen: Observation, points: FloatArray, radius: float, count: int) -> FloatArray:
    """Return hypotheses that observed points and their normals suggest, shape (N, 4, 4); N is `count` or 0.

    Args:
        pairs: Of the model.
        seen: The image.
        points: Observed points that are partly of the object, camera frame, shape (M, 3), metres.
        radius: Of the object, metres.
        count: How many; the same are drawn every time.
    """
    rng = np.random.default_rng(0)
    few = points[rng.permutation(len(points))[:_SEEN_POINTS]]
    normals = observed_normals(seen, few, radius)
    known = np.isfinite(normals[:, 0])
    return pairs.poses(few[known], normals[known], count, rng)


def _frames(
    points: FloatArray, normals: FloatArray, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
) -> FloatArray:
    """Return the frames of pairs, shape (N, 4, 4): origin between the points, x along them, z near to both normals."""
    x = points[second] - points[first]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = normals[first] + normals[second]
    z -= np.einsum("nd,nd->n", z, x)[:, None] * x
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    frames = np.tile(np.eye(4), (len(x), 1, 1))
    frames[:, :3, :3] = np.stack([x, np.cross(z, x), z], axis=2)
    frames[:, :3, 3] = (points[first] + points[second]) / 2
    return frames
