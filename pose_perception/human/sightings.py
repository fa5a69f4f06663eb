"""What is seen of people before they are known: where their trunks are, how large they are and what they wear."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates, RgbdFrame
from pose_perception.geometry.camera import rays
from pose_perception.human.appearance import brightness, describe, features
from pose_perception.human.depth_evidence import median_of_finite
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
# How far the trunk may be from where it is expected, metres.
_SEARCH_REACH_M = 0.30
# The share of the samples that must have a depth, and the share of these that must lie where a person is expected.
_FEWEST_WITH_DEPTH, _SMALLEST_SHARE = 0.1, 0.25


class Layers(NamedTuple):
    """N people as if each was at M distances.

    Attributes:
        centers: Middle of each trunk in the camera optical frame, shape (N, M, 3), metres; NaN without depth or trunk.
        trunks: Apparent length from mid-shoulder to mid-hip, shape (N, M), metres: foreshortened when the person leans
            towards the camera. NaN without depth, or unless shoulders and hips are seen.
        clear: Share of the trunk's pixels that lie at that distance, shape (N, M): the others are of somebody or
            something in front. 1 without depth, 0 without a trunk.
        appearances: From `human.appearance`, shape (N, M, APPEARANCE_SIZE); NaN for what is not seen.
    """

    centers: FloatArray
    trunks: FloatArray
    clear: FloatArray
    appearances: FloatArray


@dataclass(frozen=True)
class Sightings:
    """N people of one frame, in the order of their estimates: samples of the images within their trunks and thighs.

    Attributes:
        view: Viewing rays of the trunks' middles with shape (N, 3), unit depth.
        length_m: Length of the trunks at a depth of 1 m with shape (N,), metres.
        trunk: Features of the trunk's pixels with shape (N, S, 3).
        trunk_depth: Their depth with shape (N, S), metres; NaN where unknown.
        thighs: Features of the thighs' pixels with shape (N, R, 3); NaN outside of the image.
        thigh_depth: Their depth with shape (N, R), metres.
        has_depth: Whether there is a depth image.
    """

    view: FloatArray
    length_m: FloatArray
    trunk: FloatArray
    trunk_depth: FloatArray
    thighs: FloatArray
    thigh_depth: FloatArray
    has_depth: bool

    def __len__(self) -> int:
        return len(self.view)

    @cached_property
    def majority(self) -> Layers:
        """Everybody at the distance of most of the trunk's pixels, M = 1."""
        return self.at(np.full((len(self), 1), np.nan))

    @property
    def centers(self) -> FloatArray:
        """Middle of each trunk in the camera optical frame, shape (N, 3), metres; NaN without depth or trunk."""
        return self.majority.centers[:, 0]

    def select(self, index: npt.ArrayLike) -> Sightings:
        """Return the people chosen by an index array with shape (M,)."""
        rows = np.asarray(index, dtype=np.int64)
        arrays = (self.view, self.length_m, self.trunk, self.trunk_depth, self.thighs, self.thigh_depth)
        return Sightings(*(values[rows] for values in arrays), self.has_depth)

    def at(self, distances: FloatArray) -> Layers:
        """Return people as if they were at given distances, of which a part of them may be hidden.

        Args:
            distances: Depth of the middle of the trunk with shape (N, M), metres. Where it is NaN, or too few of the
                pixels lie there, most of the pixels tell.
        """
        if not self.has_depth:
            return self._without_depth(distances.shape)
        depth = self._typical(distances)
        on_trunk = np.abs(self.trunk_depth[:, None] - depth[..., None]) < _TRUNK_REACH_M
        on_thighs = np.abs(self.thigh_depth[:, None] - depth[..., None]) < _THIGH_REACH_M
        clear = on_trunk.sum(axis=2) / np.maximum(np.isfinite(self.trunk_depth).sum(axis=1), 1)[:, None]
        centers = self.view[:, None] * (depth + _HALF_THICKNESS_M)[..., None]
        looks = describe(np.nan_to_num(self.trunk), on_trunk, np.nan_to_num(self.thighs), on_thighs)
        return Layers(centers, self.length_m[:, None] * centers[..., 2], clear, looks)

    def centers_at(self, distances: FloatArray) -> FloatArray:
        """Return `at(distances).centers` alone, shape (N, M, 3), metres: clothes cost more than all else."""
        if not self.has_depth:
            return np.full((*distances.shape, 3), np.nan)
        return self.view[:, None] * (self._typical(distances) + _HALF_THICKNESS_M)[..., None]

    def _without_depth(self, shape: tuple[int, ...]) -> Layers:
        on_trunk, on_thighs = (
            np.isfinite(part).all(axis=2)[:, None].repeat(shape[1], axis=1) for part in (self.trunk, self.thighs)
        )
        looks = describe(np.nan_to_num(self.trunk), on_trunk, np.nan_to_num(self.thighs), on_thighs)
        unknown = np.full(shape, np.nan)
        return Layers(np.full((*shape, 3), np.nan), unknown, on_trunk.any(axis=2).astype(np.float64), looks)

    def _typical(self, distances: FloatArray) -> FloatArray:
        """Return the depth of the trunk's surface with shape (N, M): near the distances where enough of it lies."""
        samples = np.broadcast_to(self.trunk_depth[:, None], (*distances.shape, self.trunk_depth.shape[1]))
        expected = distances[..., None] - _HALF_THICKNESS_M
        near = np.where(np.abs(samples - expected) < _SEARCH_REACH_M, samples, np.nan)
        known = np.isfinite(samples).sum(axis=2)
        is_there = np.isfinite(near).sum(axis=2) >= _SMALLEST_SHARE * np.maximum(known, 1)
        used = np.where(is_there[..., None], near, samples)
        depth = np.full(distances.shape, np.nan)
        enough = known >= _FEWEST_WITH_DEPTH * samples.shape[2]
        depth[enough] = median_of_finite(used[enough])
        return depth


def look_at(frame: RgbdFrame, estimates: PoseEstimates, topology: Topology, min_score: float) -> Sightings:
    """Look at everybody of a frame.

    Args:
        frame: Colour, and registered depth where there is some.
        estimates: N people.
        topology: Names of their keypoints.
        min_score: Keypoints below this confidence do not count.
    """
    pixels = np.where(estimates.scores[..., None] >= min_score, estimates.pixels, np.nan)
    seen = pixels[:, [topology.index[name] for name in _CORNERS]]
    corners = complete_trunk(seen)
    top, bottom = corners[:, :2].mean(axis=1), corners[:, 2:].mean(axis=1)
    trunk = _strip(top, bottom, _half_widths(corners), _TRUNK_GRID)
    thighs = _thighs(pixels, topology, np.linalg.norm(bottom - top, axis=1))
    light = brightness(frame.color)
    length_px = np.linalg.norm(seen[:, :2].mean(axis=1) - seen[:, 2:].mean(axis=1), axis=1)
    return Sightings(
        view=rays((top + bottom) / 2, frame.camera),
        length_m=length_px / frame.camera.fy,
        trunk=_read_features(frame.color, trunk, light),
        trunk_depth=_read_depth(frame.depth, trunk),
        thighs=_read_features(frame.color, thighs, light),
        thigh_depth=_read_depth(frame.depth, thighs),
        has_depth=frame.depth is not None,
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


def _indices(
    points: FloatArray, size: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return rows, columns and whether they are inside of an image of this size (H, W)."""
    finite = np.isfinite(points).all(axis=-1)
    u, v = np.moveaxis(np.rint(np.clip(np.where(finite[..., None], points, -1), -1, 1e6)).astype(np.int64), -1, 0)
    inside = (u >= 0) & (u < size[1]) & (v >= 0) & (v < size[0])
    return np.where(inside, v, 0), np.where(inside, u, 0), inside


def _read_features(color: npt.NDArray[np.uint8], points: FloatArray, light: float) -> FloatArray:
    """Return the features of the pixels at points (N, S, 2) with shape (N, S, 3); NaN outside of the image."""
    v, u, inside = _indices(points, color.shape)
    return np.where(inside[..., None], features(color[v, u], light), np.nan)


def _read_depth(depth: npt.NDArray[np.float32] | None, points: FloatArray) -> FloatArray:
    """Return the depth at points (N, S, 2) with shape (N, S), metres; NaN where unknown."""
    if depth is None:
        return np.full(points.shape[:2], np.nan)
    v, u, inside = _indices(points, depth.shape)
    values = depth[v, u].astype(np.float64)
    return np.where(inside & (values > 0), values, np.nan)
