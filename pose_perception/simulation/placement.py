"""Where people stand: side by side before the camera, so that something of everybody is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pose_perception.simulation.kinematics import FloatArray

if TYPE_CHECKING:
    from pose_perception.simulation.config import SequenceConfig

# Angle between neighbours as seen from the camera: room for one person's elbows at 1.5 m.
_SPACING_RAD = np.deg2rad(21.0)
# All people stand within this share of the horizontal field of view; more of it where they are many.
_USED_WIDTH = 0.62
_FEW, _USED_BY_MANY = 6, 0.9
_HEADING_RAD = np.deg2rad(18.0)
# Half the width of someone whose arms hang, and the share of it that must be seen of everybody.
_HALF_WIDTH_M = 0.25
_SEEN_SHARE = 0.35
_ATTEMPTS = 200
# Nearer than this a person fills the image. One who does so is seen at its border, cut.
_FILLS_VIEW_M = 0.9
_BORDER = 0.8
# Many people stand in two rows this far apart, and not quite in line.
_ROW_M, _UNEVEN_M = 0.75, 0.15
# People who stand beside others who walk are in the farther part of the room.
_FAR_PART = 0.75
# People closer together than this would touch.
_APART_M = 0.55


def stand_side_by_side(
    config: SequenceConfig, count: int, rng: np.random.Generator, within: tuple[float, float] | None = None
) -> FloatArray:
    """Place people at different distances in neighbouring directions.

    Args:
        config: Camera and distances.
        count: How many.
        rng: Source of the choice.
        within: Tangents of the directions between which they stand; by default in the middle of the view.

    Returns:
        x, y and heading as in `routes.Route`, with shape (count, 3).
    """
    if within is not None:
        low, high = within
        bearings = np.arctan(low + (high - low) * (np.arange(count) + 0.5) / max(1, count))
    else:
        used = _USED_WIDTH if count <= _FEW else _USED_BY_MANY
        spacing = min(_SPACING_RAD, 2 * used * np.arctan(config.half_view) / max(1, count - 1))
        bearings = (np.arange(count) - (count - 1) / 2) * spacing
    nearest = config.min_distance_m if within is None else max(config.min_distance_m, _FAR_PART * config.max_distance_m)
    best, best_share = np.zeros((count, 3)), -1.0
    for _ in range(_ATTEMPTS):
        poses = _draw(config, bearings, nearest, rng)
        share = float(_seen_shares(poses, config.half_view).min()) if count > 1 else 1.0
        if (count < 2 or _apart(poses)) and share > best_share:
            best, best_share = poses, share
        if best_share > _SEEN_SHARE:
            break
    return best


def _draw(config: SequenceConfig, bearings: FloatArray, nearest_m: float, rng: np.random.Generator) -> FloatArray:
    count, farthest_m = len(bearings), config.max_distance_m
    if count > _FEW:
        # Two rows at the back, so that the front row does not hide the other one.
        row = (np.arange(count) + rng.integers(2)) % 2
        distances = np.maximum(nearest_m, farthest_m - row * _ROW_M - rng.uniform(0, _UNEVEN_M, count))
    else:
        # One person per equal part of the range of distances, in random order: near and far are both there.
        parts = (rng.permutation(count) + rng.uniform(0.25, 0.75, count)) / count
        distances = nearest_m + parts * (farthest_m - nearest_m)
    if count == 1 and distances[0] < _FILLS_VIEW_M:
        # Seen from the middle of the body to one arm.
        bearings = np.arctan([config.half_view * rng.choice((-_BORDER, _BORDER))])
    # They turn towards the camera more or less.
    headings = [-bearing + rng.uniform(-_HEADING_RAD, _HEADING_RAD) for bearing in bearings]
    return np.stack([distances * np.tan(bearings), distances, headings], axis=1)


def _apart(poses: FloatArray) -> bool:
    gaps = np.linalg.norm(poses[:, None, :2] - poses[None, :, :2], axis=-1)
    return bool((gaps + 9 * np.eye(len(poses)) > _APART_M).all())


def _seen_shares(poses: FloatArray, half_view: float) -> FloatArray:
    """Share of the width of each person that is in view and not behind somebody nearer, shape (N,)."""
    columns = np.linspace(-half_view, half_view, 400)
    covered = np.abs(columns - (poses[:, 0] / poses[:, 1])[:, None]) < (_HALF_WIDTH_M / poses[:, 1])[:, None]  # (N, C)
    nearer = poses[:, None, 1] > poses[None, :, 1]
    hidden = np.einsum("nm,mc->nc", nearer.astype(float), covered.astype(float)) > 0
    width = _HALF_WIDTH_M / poses[:, 1] / half_view * len(columns)
    return (covered & ~hidden).sum(axis=1) / width
