"""How objects map onto themselves: found from samples of their surface, or told.

Two groups matter. Turns that change neither shape nor colour can never be told apart: a pose is any of them, and one is
chosen. Turns that change the colour only, or the shape hardly, look alike to a depth camera: each must be tried.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError

STEPS = 36  # of a full turn about a continuous axis
_ORDERS = (6, 5, 4, 3, 2)
_MOST = 2 * STEPS
_BALL_STEPS = 12
_MOST_DISCRETE = 24  # those of a cube; more of them without an axis of revolution are an error of sampling
_QUERIES = 1000
# Largest distance between the surface and the turned surface, in diameters: its mean and its 95th percentile.
_SAME_SHAPE = (0.006, 0.02)
_LIKE_SHAPE = (0.02, 0.06)
# Largest difference between colours of the same place, 0 to 1: its mean and its 95th percentile.
_SAME_COLOR = (0.05, 0.2)
_EQUAL_SPREAD = 0.06  # relative difference of spreads along two axes that leaves axes between them possible
_OTHER_AXIS = math.cos(math.radians(40.0))
# Normals within this of each other are those of a flat side, if they are this share of the surface.
_SIDE, _SIDE_SHARE, _MOST_SIDES = math.cos(math.radians(5.0)), 0.1, 3
_PROBES_RAD = (0.31, 0.74, 1.35, 2.33)  # no multiples of each other


@dataclass(frozen=True, eq=False)
class Symmetries:
    """Rigid motions of the mesh's frame, the identity first.

    Attributes:
        same: Those that change nothing, shape (S, 4, 4), metres.
        alike: Those that the shape alone hardly shows, shape (T, 4, 4), metres; holds `same`.
        axis: Point and direction of the axis about which every turn changes nothing, shape (2, 3); None without.

    Raises:
        InvalidInputError: they are no rigid motions or do not begin with the identity.
    """

    same: FloatArray
    alike: FloatArray
    axis: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("same", "alike"):
            value = getattr(self, name)
            if value.ndim != 3 or value.shape[1:] != (4, 4) or not np.allclose(value[0], np.eye(4), atol=1e-6):
                raise InvalidInputError(f"symmetries `{name}` must have shape (S, 4, 4) and begin with the identity")
            gram = value[:, :3, :3] @ np.swapaxes(value[:, :3, :3], 1, 2)
            if not np.allclose(gram, np.eye(3), atol=1e-3) or np.any(np.linalg.det(value[:, :3, :3]) < 0):
                raise InvalidInputError(f"symmetries `{name}` must be rigid motions without mirrors")

    @classmethod
    def none(cls) -> Symmetries:
        """Return those of an object without any."""
        return cls(np.eye(4)[None], np.eye(4)[None])

    @classmethod
    def from_lists(cls, discrete: Sequence[FloatArray], axes: Sequence[tuple[FloatArray, FloatArray]]) -> Symmetries:
        """Return what BOP's `models_info.json` says, in metres.

        Args:
            discrete: Rigid motions, each (4, 4).
            axes: Point and direction of continuous axes; two are those of a ball, which has coarser steps.
        """
        group = _close([np.eye(4), *discrete], _MOST)
        steps = STEPS if len(axes) < 2 else _BALL_STEPS
        for point, direction in axes[:2]:
            turns = np.stack([about(point, direction, 2 * math.pi * k / steps) for k in range(steps)])
            group = (turns[:, None] @ group[None]).reshape(-1, 4, 4)
        group = _distinct(group)
        axis = np.stack(axes[0]) if axes else None
        return cls(group, group, axis)

    def with_alike(self, alike: FloatArray) -> Symmetries:
        """Return the same with more that the shape hardly shows, shape (T, 4, 4)."""
        return Symmetries(self.same, _distinct(np.concatenate([self.alike, alike])), self.axis)


class _Cloud(NamedTuple):
    points: FloatArray
    tree: cKDTree
    normals: FloatArray
    colors: FloatArray | None
    queries: FloatArray
    query_colors: FloatArray | None
    diameter: float

    def differences(self, motion: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return distances along the normal in diameters, and differences of colour, of the moved samples."""
        moved = self.queries @ motion[:3, :3].T + motion[:3, 3]
        gap, nearest = self.tree.query(moved)
        along = np.abs(np.einsum("pd,pd->p", moved - self.points[nearest], self.normals[nearest]))
        # Beside an edge of a thin part the plane of the nearest sample goes on where the surface does not.
        spacing = math.sqrt(1.0 / len(self.points)) * self.diameter
        distance = np.maximum(along, gap - 2 * spacing) / self.diameter
        colors = None if self.colors is None else np.abs(self.query_colors - self.colors[nearest]).mean(1)
        return distance, colors

    def is_alike(self, motion: FloatArray) -> bool:
        distance, _ = self.differences(motion)
        return _within(distance, _LIKE_SHAPE)

    def is_same(self, motion: FloatArray) -> bool:
        distance, colors = self.differences(motion)
        return _within(distance, _SAME_SHAPE) and (colors is None or _within(colors, _SAME_COLOR))


def find_symmetries(points: FloatArray, normals: FloatArray, colors: FloatArray | None) -> Symmetries:
    """Find how an object maps onto itself.

    Args:
        points: Even samples of its surface with shape (P, 3), metres.
        normals: Unit normals there, shape (P, 3).
        colors: Albedo there with shape (P, 3), 0 to 1; None without colour.
    """
    step = max(1, len(points) // _QUERIES)
    diameter = float(np.linalg.norm(np.ptp(points, axis=0)))
    if diameter <= 0:
        return Symmetries.none()
    query_colors = None if colors is None else colors[::step]
    cloud = _Cloud(points, cKDTree(points), normals, colors, points[::step], query_colors, diameter)
    group, axis = _shape_group(cloud)
    same = [motion for motion in group if cloud.is_same(motion)]
    # What changes nothing is a group: it cannot be open, whatever the noise of the samples says.
    closed = _close(same, _MOST) if len(same) < STEPS else np.stack(same)
    same_axis = axis if axis is not None and all(cloud.is_same(about(*axis, angle)) for angle in _PROBES_RAD) else None
    if same_axis is None and len(closed) > _MOST_DISCRETE:
        closed = np.eye(4)[None]
    return Symmetries(closed, _distinct(np.concatenate([closed, group])), same_axis)


def about(point: FloatArray, direction: FloatArray, angle_rad: float) -> FloatArray:
    """Return the turn about an axis, shape (4, 4)."""
    motion = np.eye(4)
    unit = np.asarray(direction) / np.linalg.norm(direction)
    motion[:3, :3] = Rotation.from_rotvec(unit * angle_rad).as_matrix()
    motion[:3, 3] = point - motion[:3, :3] @ point
    return motion


def turned_equal(pose: FloatArray, symmetries: FloatArray, reference: FloatArray) -> FloatArray:
    """Return which of the equal poses of a symmetric object is turned the least from another pose, shape (4, 4).

    Args:
        pose: camera_from_object, shape (4, 4).
        symmetries: Motions that change nothing, shape (S, 4, 4).
        reference: Shape (4, 4).
    """
    equal = pose @ symmetries
    return equal[np.einsum("sij,ij->s", equal[:, :3, :3], reference[:3, :3]).argmax()]


def _within(values: FloatArray, limits: tuple[float, float]) -> bool:
    return bool(values.mean() <= limits[0] and np.quantile(values, 0.95) <= limits[1])


def _full_turn() -> Iterator[float]:
    return (2 * math.pi * k / STEPS for k in range(STEPS))


def _shape_group(cloud: _Cloud) -> tuple[FloatArray, FloatArray | None]:
    """Return the motions that the shape hardly shows, and the axis of a surface of revolution."""
    centers = (cloud.points.mean(0), (cloud.points.min(0) + cloud.points.max(0)) / 2)
    axes = _candidate_axes(cloud.points, cloud.normals)
    for direction, center in itertools.product(axes, centers):
        if all(cloud.is_alike(about(center, direction, angle)) for angle in _PROBES_RAD):
            turns = np.stack([about(center, direction, angle) for angle in _full_turn()])
            flip = about(center, np.cross(direction, axes[int(np.argmin(np.abs(axes @ direction)))]), math.pi)
            group = np.concatenate([turns, turns @ flip]) if cloud.is_alike(flip) else turns
            return group, np.stack([center, direction])
    found: list[tuple[float, FloatArray, FloatArray]] = []
    for direction, order in itertools.product(axes, _ORDERS):
        motions = [about(center, direction, 2 * math.pi / order) for center in centers]
        gaps = [float(cloud.differences(motion)[0].mean()) for motion in motions]
        best = int(np.argmin(gaps))
        if cloud.is_alike(motions[best]):
            found.append((gaps[best], direction, motions[best]))
    kept: list[tuple[FloatArray, FloatArray]] = []
    for _, direction, motion in sorted(found, key=lambda item: item[0]):
        # Beside a true axis many others look like one.
        lines = [abs(float(direction @ other)) for other, _ in kept]
        if all(line > 0.9999 or line < _OTHER_AXIS for line in lines):
            kept.append((direction, motion))
    return _close([motion for _, motion in kept], STEPS), None


def _candidate_axes(points: FloatArray, normals: FloatArray) -> FloatArray:
    """Return directions of axes that a symmetric object may have, shape (A, 3).

    They are the principal ones, the frame's own, and those through large flat sides.
    """
    spread, directions = np.linalg.eigh(np.cov(points.T))
    principal = directions.T[::-1]
    spread = spread[::-1]
    axes = [*principal, *np.eye(3), *_side_axes(normals)]
    for i, j in ((0, 1), (1, 2)):
        if spread[i] - spread[j] < _EQUAL_SPREAD * spread[i]:
            # Any direction between them is as principal as they are.
            angles = np.arange(1, STEPS) * math.pi / STEPS
            axes += [np.cos(a) * principal[i] + np.sin(a) * principal[j] for a in angles]
    return np.array(axes)


def _side_axes(normals: FloatArray) -> list[FloatArray]:
    """Return the normals of the largest flat sides, opposite ones once."""
    left, axes = normals, []
    while len(left) and len(axes) < _MOST_SIDES:
        near = np.abs(left[:: max(1, len(left) // 200)] @ left.T) > _SIDE
        side = left[near[near.sum(1).argmax()]]
        if len(side) < _SIDE_SHARE * len(normals):
            break
        axes.append(np.linalg.eigh(side.T @ side)[1][:, 2])
        left = left[np.abs(left @ axes[-1]) < _OTHER_AXIS]
    return axes


def _close(motions: Sequence[FloatArray], most: int) -> FloatArray:
    """Return the group that motions generate, shape (S, 4, 4), as far as it has at most so many elements."""
    group = _distinct(np.stack([np.eye(4), *motions]))
    while len(group) < most:
        products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 4, 4)
        larger = _distinct(np.concatenate([group, products]))
        if len(larger) == len(group) or len(larger) > most:
            break
        group = larger
    return group


def _distinct(motions: FloatArray) -> FloatArray:
    """Leave out motions that turn within 8 degrees of an earlier one."""
    kept: list[FloatArray] = []
    for motion in motions:
        traces = [np.trace(motion[:3, :3].T @ other[:3, :3]) for other in kept]
        if not traces or max(traces) < 1 + 2 * math.cos(math.radians(8.0)):
            kept.append(motion)
    return np.stack(kept)
