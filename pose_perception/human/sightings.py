"""What is seen of people before they are known: where their trunks are, how large they are and what they wear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates, RgbdFrame
from pose_perception.geometry.camera import rays
from pose_perception.human.appearance import APPEARANCE_SIZE, brightness, describe
from pose_perception.human.joint_offsets import complete_trunk
from pose_perception.human.topology import Topology

_CORNERS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# Samples across and along the trunk, and across and along each thigh.
_TRUNK_GRID, _THIGH_GRID = (9, 12), (3, 10)
# The strip of samples over the distance between the corners; half its width over the trunk's length at least, so that
# a trunk from the side, where both shoulders are on one line, still has pixels.
_STRIP_WIDTH, _NARROWEST = 0.7, 0.10
_THIGH_HALF_WIDTH = 0.10
# The chest's surface to its middle, metres.
_HALF_THICKNESS_M = 0.10
# How far pixels of the trunk and of the thighs may be from the trunk's typical depth: chest and belly of a person who
# leans, and the knees of one who sits. An arm or another person in front is nearer.
_TRUNK_REACH_M, _THIGH_REACH_M = 0.20, 0.60
# The share of the samples that must have a depth, and the share of these that must lie at the person's depth.
_FEWEST_WITH_DEPTH, _SMALLEST_SHARE = 0.1, 0.4


@dataclass(frozen=True)
class Sightings:
    """N people of one frame, in the order of their estimates.

    Attributes:
        centers: Middle of each trunk in the camera optical frame, shape (N, 3), metres; NaN without depth or trunk.
        trunks: Apparent length from mid-shoulder to mid-hip, shape (N,), metres: foreshortened when the person leans
            towards the camera. NaN without depth, or unless shoulders and hips are seen.
        clear: Share of the trunk's pixels that lie at the person's depth, shape (N,): the others are of somebody or
            something in front. 1 without depth, 0 without a trunk.
        appearances: From `human.appearance`, shape (N, APPEARANCE_SIZE); NaN for what is not seen.
    """

    centers: FloatArray
    trunks: FloatArray
    clear: FloatArray
    appearances: FloatArray

    def __len__(self) -> int:
        return len(self.centers)

    def select(self, index: npt.ArrayLike) -> Sightings:
        """Return the people chosen by an index array with shape (M,)."""
        rows = np.asarray(index, dtype=np.int64)
        return Sightings(self.centers[rows], self.trunks[rows], self.clear[rows], self.appearances[rows])


def look_at(frame: RgbdFrame, estimates: PoseEstimates, topology: Topology, min_score: float) -> Sightings:
    """Look at everybody of a frame.

    Args:
        frame: Colour, and registered depth where there is some.
        estimates: N people.
        topology: Names of their keypoints.
        min_score: Keypoints below this confidence do not count.
    """
    if len(estimates) == 0:
        return Sightings(np.empty((0, 3)), np.empty(0), np.empty(0), np.empty((0, APPEARANCE_SIZE)))
    pixels = np.where(estimates.scores[..., None] >= min_score, estimates.pixels, np.nan)
    seen = pixels[:, [topology.index[name] for name in _CORNERS]]
    corners = complete_trunk(seen)
    top, bottom = corners[:, :2].mean(axis=1), corners[:, 2:].mean(axis=1)
    trunk = _strip(top, bottom, _half_widths(corners), _TRUNK_GRID)
    thighs = _thighs(pixels, topology, np.linalg.norm(bottom - top, axis=1))
    trunk_colors, on_trunk = _read(frame.color, trunk)
    thigh_colors, on_thighs = _read(frame.color, thighs)
    centers = np.full((len(estimates), 3), np.nan)
    clear = on_trunk.any(axis=1).astype(np.float64)
    if frame.depth is not None:
        depth, on_trunk, clear = _layer(_read_depth(frame.depth, trunk))
        on_thighs &= np.abs(_read_depth(frame.depth, thighs) - depth[:, None]) < _THIGH_REACH_M
        centers = rays((top + bottom) / 2, frame.camera) * (depth + _HALF_THICKNESS_M)[:, None]
    length_px = np.linalg.norm(seen[:, :2].mean(axis=1) - seen[:, 2:].mean(axis=1), axis=1)
    on_trunk &= (clear >= _SMALLEST_SHARE)[:, None]
    return Sightings(
        centers=centers,
        trunks=length_px * centers[:, 2] / frame.camera.fy,
        clear=clear,
        appearances=describe(trunk_colors, on_trunk, thigh_colors, on_thighs, brightness(frame.color)),
    )


def _half_widths(corners: FloatArray) -> FloatArray:
    """Return half the width of the trunk's strip at shoulders and hips with shape (N, 2), px."""
    length = np.linalg.norm(corners[:, :2].mean(axis=1) - corners[:, 2:].mean(axis=1), axis=1)
    width = np.linalg.norm(corners[:, [0, 2]] - corners[:, [1, 3]], axis=2)
    return np.maximum(_STRIP_WIDTH * width / 2, _NARROWEST * length[:, None])


def _thighs(pixels: FloatArray, topology: Topology, trunk_px: FloatArray) -> FloatArray:
    """Return sample points on both thighs, shape (N, R, 2), px; NaN where hip or knee are not seen."""
    width = np.repeat(_THIGH_HALF_WIDTH * trunk_px[:, None], 2, axis=1)
    sides = [
        _strip(pixels[:, topology.index[f"{side}_hip"]], pixels[:, topology.index[f"{side}_knee"]], width, _THIGH_GRID)
        for side in ("left", "right")
    ]
    return np.concatenate(sides, axis=1)


def _strip(top: FloatArray, bottom: FloatArray, half_widths: FloatArray, grid: tuple[int, int]) -> FloatArray:
    """Return a grid of points around the line from `top` to `bottom` (N, 2) with shape (N, S, 2), px.

    Args:
        top: First end of the line with shape (N, 2), px.
        bottom: Other end with shape (N, 2), px.
        half_widths: Half the width of the strip at both ends with shape (N, 2), px.
        grid: Points across and along.
    """
    across, along = (a.ravel()[None, :, None] for a in np.meshgrid(np.linspace(-1, 1, grid[0]), _inner(grid[1])))
    line = (bottom - top)[:, None]
    length = np.maximum(np.linalg.norm(line, axis=2, keepdims=True), 1e-6)
    sideways = np.stack([-line[..., 1], line[..., 0]], axis=-1) / length
    width = half_widths[:, None, :1] * (1 - along) + half_widths[:, None, 1:] * along
    return top[:, None] + line * along + sideways * width * across


def _inner(count: int) -> FloatArray:
    """Return places between 0 and 1 that keep away from both ends, where neck and belt are."""
    return np.linspace(0.08, 0.92, count)


def _indices(points: FloatArray, size: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return rows, columns and whether they are inside of an image of this size (H, W)."""
    finite = np.isfinite(points).all(axis=-1)
    u, v = np.moveaxis(np.rint(np.clip(np.where(finite[..., None], points, -1), -1, 1e6)).astype(np.int64), -1, 0)
    inside = (u >= 0) & (u < size[1]) & (v >= 0) & (v < size[0])
    return np.where(inside, v, 0), np.where(inside, u, 0), inside


def _read(color: npt.NDArray[np.uint8], points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the colours at points (N, S, 2) with shape (N, S, 3), and which of the points are in the image."""
    v, u, inside = _indices(points, color.shape)
    return color[v, u].astype(np.float64), inside.astype(bool)


def _read_depth(depth: npt.NDArray[np.float32], points: FloatArray) -> FloatArray:
    """Return the depth at points (N, S, 2) with shape (N, S), metres; NaN where unknown."""
    v, u, inside = _indices(points, depth.shape)
    values = depth[v, u].astype(np.float64)
    return np.where(inside.astype(bool) & (values > 0), values, np.nan)


def _layer(samples: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray]:
    """Return the typical depth of each row (N, S), which samples lie there, and their share of those with a depth."""
    has_depth = np.isfinite(samples)
    enough = has_depth.mean(axis=1) >= _FEWEST_WITH_DEPTH
    depth = np.full(len(samples), np.nan)
    depth[enough] = np.nanmedian(samples[enough], axis=1)
    member = np.abs(samples - depth[:, None]) < _TRUNK_REACH_M
    return depth, member, member.sum(axis=1) / np.maximum(has_depth.sum(axis=1), 1)
