"""Render and compare: how much of what a hypothesis should show was measured, and how much contradicts it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import Observation, crop_intrinsics, middles
from pose_perception.objects.renderer import Renderer

_RADII = 1.1
# Depths agree within this: metres, a share of the object's radius, and what stereo errors grow by (m / m^2).
_TOLERANCE_M, _TOLERANCE_RADII, _TOLERANCE_DEPTH = 0.004, 0.04, 0.004
# How much pixels that are hidden or not measured speak against a hypothesis, beside those that are seen through.
_HIDDEN, _UNKNOWN = 0.5, 0.3
# Where most of an object may be hidden: the same, and the least share of it that is seen.
_OPEN_HIDDEN, _OPEN_INLIER = 0.1, 0.15
_GLANCE_POINTS = 64

# What is around an outline, as a share of the object's radius, and that of it which goes on, on the whole, around right
# hypotheses.
_SURROUNDINGS, USUALLY_CONTINUED = 0.1, 0.1

# Standard deviation of colours, all channels together, below which they say little.
_LEAST_CONTRAST = 0.05


class Evidence(NamedTuple):
    """What speaks for and against N hypotheses, as shares of the pixels that each should show.

    Attributes:
        inlier: Measured where it should be, shape (N,).
        violated: Seen through: measured behind it.
        hidden: Measured in front of it: something stands there, or it is wrong.
        unknown: Nothing was measured.
        uncovered: Pixels of the mask that the hypothesis leaves, over those of the mask; 0 without a mask.
        covered: Share of the visible hypothesis (not hidden) that lies within the mask; 1 without a mask.
        continued: Share of what surrounds the outline where something that lies on no large plane was measured at the
            depth of the object's edge: it may be a part of a larger thing. `USUALLY_CONTINUED` when nobody has looked
            for planes.
        standing: Share of what was measured where it should be that lies on no large plane; 1 when nobody has looked
            for planes.
        color: Correlation of rendered and seen colours on inliers, -1 to 1; 0 when they say nothing.
        radius_px: Radius of the object in the image, px.
    """

    inlier: FloatArray
    violated: FloatArray
    hidden: FloatArray
    unknown: FloatArray
    uncovered: FloatArray
    covered: FloatArray
    continued: FloatArray
    standing: FloatArray
    color: FloatArray
    radius_px: FloatArray

    @property
    def score(self) -> FloatArray:
        """How well the geometry fits, 0 to 1, shape (N,)."""
        return self._fit(_HIDDEN)

    @property
    def open_score(self) -> FloatArray:
        """The same for an object that may well be hidden for the most part: 0 where hardly anything of it is seen."""
        return self._fit(_OPEN_HIDDEN) * (self.inlier > _OPEN_INLIER)

    def _fit(self, hidden: float) -> FloatArray:
        against = self.violated + hidden * self.hidden + _UNKNOWN * self.unknown
        seen = self.inlier / np.maximum(self.inlier + against, 1e-6)
        return seen * (1 - self.uncovered) * (0.5 + 0.5 * self.covered)

    def select(self, index: npt.ArrayLike) -> Evidence:
        """Return that of some hypotheses."""
        return Evidence(*(value[index] for value in self))


def verify(
    renderer: Renderer,
    poses: FloatArray,
    center: FloatArray,
    radius: float,
    seen: Observation,
    mask: Observation | None,
    size: int,
    color: bool = False,
) -> Evidence:
    """Compare renderings with what was measured.

    Args:
        renderer: Of the model.
        poses: camera_from_object, shape (N, 4, 4).
        center: Middle of the object in its frame, shape (3,), metres.
        radius: Of the object, metres.
        seen: The image.
        mask: Where the object was said to be: an observation whose depth is 1 there and 0 elsewhere; None without.
        size: Edge of the crops, px.
        color: Whether to compare colours.
    """
    crop = crop_intrinsics(poses, center, radius, seen.intrinsics, _RADII, size)
    made = renderer.render(poses, crop, size, color=color)
    depth = seen.depth_crops(crop, size)
    tolerance = _tolerance(radius, np.float32(middles(poses, center)[:, 2]))[:, None, None]
    shown, known = made.mask, depth > 0
    both, difference = shown & known, depth - made.depth
    violated, hidden = both & (difference > tolerance), both & (difference < -tolerance)
    inlier = both & ~(violated | hidden)
    count = np.maximum(shown.sum((1, 2)), 1)

    def share(of: npt.NDArray[np.bool_]) -> FloatArray:
        return of.sum((1, 2)) / count

    uncovered, covered = np.zeros(len(poses)), np.ones(len(poses))
    if mask is not None:
        inside = mask.depth_crops(crop, size) > 0.5
        uncovered = (inside & ~shown).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
        visible = shown & ~hidden
        covered = (visible & inside).sum((1, 2)) / np.maximum(visible.sum((1, 2)), 1)
    continued, stands = np.full(len(poses), USUALLY_CONTINUED), np.ones(len(poses))
    if seen.standing is not None:
        standing = seen.standing_crops(crop, size)
        continued = _continued(made.depth, standing, tolerance)
        stands = (inlier & (standing > 0)).sum((1, 2)) / np.maximum(inlier.sum((1, 2)), 1)
    agreement = _correlation(made.color, seen.color_crops(crop, size), inlier) if color else np.zeros(len(poses))
    radius_px = radius * seen.intrinsics[0] / middles(poses, center)[:, 2]
    return Evidence(
        share(inlier),
        share(violated),
        share(hidden),
        share(shown & ~known),
        uncovered,
        covered,
        continued,
        stands,
        agreement,
        radius_px,
    )


def glance(
    poses: FloatArray,
    points: FloatArray,
    normals: FloatArray,
    radius: float,
    seen: Observation,
    mask: Observation | None,
    two_sided: bool = False,
) -> FloatArray:
    """Return how well thousands of hypotheses fit, 0 to 1, shape (N,): like `Evidence.score`, from some of the points.

    Args:
        poses: camera_from_object, shape (N, 4, 4).
        points: Samples of the surface with shape (P, 3), metres.
        normals: Outward normals there, shape (P, 3).
        radius: Of the object, metres.
        seen: The image.
        mask: See `verify`.
        two_sided: Whether the surface is seen from both sides.
    """
    step = max(1, len(points) // _GLANCE_POINTS)
    turn = np.float32(np.swapaxes(poses[:, :3, :3], 1, 2))
    at = np.float32(points[::step]) @ turn + np.float32(poses[:, None, :3, 3])  # (N, P, 3)
    facing = two_sided | (np.einsum("npd,npd->np", np.float32(normals[::step]) @ turn, at) < 0)
    fx, fy, cx, cy = np.float32(seen.intrinsics)
    z = np.maximum(at[..., 2], np.float32(1e-3))
    height, width = seen.depth.shape
    u, v = np.rint(at[..., 0] / z * fx + cx), np.rint(at[..., 1] / z * fy + cy)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    place = np.where(inside, v * width + u, 0).astype(np.intp)
    depth = np.where(inside, seen.depth.ravel()[place], 0)
    known, gap, tolerance = facing & (depth > 0), depth - z, _tolerance(radius, np.float32(z.mean(1)))[:, None]
    inlier = known & (np.abs(gap) <= tolerance)
    outside = np.zeros(len(poses), np.intp)
    if mask is not None:
        within = mask.depth.ravel()[place] > 0.5
        outside = (inlier & ~within).sum(1)
        inlier &= within
    against = outside + (known & (gap > tolerance)).sum(1) + _HIDDEN * (known & (gap < -tolerance)).sum(1)
    against += _UNKNOWN * (facing & (depth <= 0)).sum(1)
    return inlier.sum(1) / np.maximum(inlier.sum(1) + against, 1)


def _tolerance(radius: float, distance: FloatArray) -> FloatArray:
    """Return within what depths agree, metres, for objects of a radius at N distances from the camera."""
    return _TOLERANCE_M + _TOLERANCE_RADII * radius + _TOLERANCE_DEPTH * distance**2


def _continued(
    made: npt.NDArray[np.float32], standing: npt.NDArray[np.float32], tolerance: npt.NDArray[np.float32]
) -> FloatArray:
    """Return `Evidence.continued`, shape (N,), of renderings and what was measured, both (N, size, size), metres."""
    count, size = made.shape[:2]
    width = max(1, round(_SURROUNDINGS * size / (2 * _RADII)))
    # One tall picture, with room between its parts, is dilated at once.
    apart = np.zeros((count, size + width, size), np.float32)
    apart[:, :size] = made
    edge = cv2.dilate(apart.reshape(-1, size), np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    edge = edge.reshape(count, size + width, size)[:, :size]
    around = (edge > 0) & (made == 0)
    # The farthest part of the edge nearby was taken; a slanted surface goes on before it.
    goes_on = around & (standing > edge - 3 * tolerance) & (standing < edge + tolerance)
    return goes_on.sum((1, 2)) / np.maximum(around.sum((1, 2)), 1)


def _correlation(
    made: npt.NDArray[np.float32], seen: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_]
) -> FloatArray:
    """Return the correlation of colours over the chosen pixels, shape (N,): light may change means and contrast."""
    product, norm = np.zeros((2, len(where)))
    # One picture after the other stays in the cache, and so do its chosen pixels alone.
    for i, chosen in enumerate(where.reshape(len(where), -1)):
        pixels = np.flatnonzero(chosen)
        if len(pixels) > 0:
            one = made[i].reshape(-1, 3).take(pixels, axis=0)
            other = seen[i].reshape(-1, 3).take(pixels, axis=0) * np.float32(1 / 255)
            one -= one.mean(0)
            other -= other.mean(0)
            product[i] = np.vdot(one, other)
            norm[i] = np.sqrt(np.vdot(one, one) * np.vdot(other, other))
    # What hardly varies correlates with anything.
    least = _LEAST_CONTRAST**2 * np.maximum(where.sum((1, 2)), 1)
    return product / np.maximum(norm, least)
