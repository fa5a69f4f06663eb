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
        continued: Share of what surrounds the outline where something that lies on no large plane was measured no
            deeper than the object's edge: it may be a part of a larger thing. `USUALLY_CONTINUED` when nobody has
            looked for planes.
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
    color: FloatArray
    radius_px: FloatArray

    @property
    def score(self) -> FloatArray:
        """How well the geometry fits, 0 to 1, shape (N,)."""
        seen = self.inlier / np.maximum(self.inlier + self.violated + 0.5 * self.hidden + 0.3 * self.unknown, 1e-6)
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
    tolerance = _TOLERANCE_M + _TOLERANCE_RADII * radius + _TOLERANCE_DEPTH * middles(poses, center)[:, 2] ** 2
    tolerance = tolerance.astype(np.float32)[:, None, None]
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
    continued = np.full(len(poses), USUALLY_CONTINUED)
    if seen.standing is not None:
        continued = _continued(made.depth, seen.standing_crops(crop, size), tolerance)
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
        agreement,
        radius_px,
    )


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
    goes_on = around & (standing > 0) & (standing < edge + tolerance)
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
