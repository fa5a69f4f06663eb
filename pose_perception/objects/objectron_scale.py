"""How large a box is that is known up to scale: from the depth inside of its outline."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.geometry.camera import project, rays
from pose_perception.objects.objectron_boxes import UnitBox

_MOST_PIXELS = 4000
# With fewer pixels, or a smaller part of the outline with depth, nothing is known.
_FEWEST_PIXELS = 30
_LEAST_DEPTH = 0.1
# Scales that explain at least this part of what the best one explains are all possible.
_PLATEAU = 0.9
_LEAST_SIGMA = 0.02


class Scale(NamedTuple):
    """Depth of the centre of a box.

    Attributes:
        depth: Metres.
        sigma: Its standard deviation, metres.
        support: Part of the pixels with depth inside of the outline that lie in the box at that depth, 0 to 1.
    """

    depth: float
    sigma: float
    support: float


def scale_from_depth(
    box: UnitBox,
    depth: npt.NDArray[np.float32],
    camera: CameraIntrinsics,
    mask: npt.NDArray[np.bool_] | None = None,
) -> Scale | None:
    """Find the depth of a box's centre.

    A ray enters the box at one depth and leaves it at another. What is measured on it lies between them, if it lies on
    the object; that allows a range of scales. The scale that most pixels allow is taken: the background, which needs
    another one in each pixel, is outvoted.

    Args:
        box: Known up to scale.
        depth: Image in metres; NaN or 0 where the sensor saw nothing.
        camera: Its intrinsics.
        mask: Where the object is, when that is known; else all of the outline is used.

    Returns:
        The depth; None where there is too little of it.
    """
    inside = np.zeros(depth.shape, np.uint8)
    outline = cv2.convexHull(np.clip(project(box.corners(), camera), -1e4, 1e4).round().astype(np.int32))
    cv2.fillConvexPoly(inside, outline, 1)
    candidates = (inside > 0) if mask is None else (inside > 0) & mask
    known = candidates & np.isfinite(depth) & (depth > 0)
    count = np.count_nonzero(known)
    if count < _FEWEST_PIXELS or count < _LEAST_DEPTH * np.count_nonzero(candidates):
        return None
    v, u = np.nonzero(known)
    step = -(-count // _MOST_PIXELS)
    v, u = v[::step], u[::step]
    enter, leave = _depths(box, rays(np.stack([u, v], axis=1), camera))
    hits = leave > enter
    measured = depth[v, u][hits].astype(np.float64)
    return _vote(measured / leave[hits], measured / enter[hits], len(u)) if len(measured) else None


def _depths(box: UnitBox, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the depths at which rays, shape (N, 3) with z = 1, enter and leave the box; shape (N,) each."""
    origin, along = -box.center @ box.rotation, directions @ box.rotation
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)
    first, second = (-box.size / 2 - origin) / along, (box.size / 2 - origin) / along
    enter, leave = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
    return np.maximum(enter, 1e-6), leave


def _vote(low: FloatArray, high: FloatArray, pixels: int) -> Scale:
    """Return the scale in most of the intervals."""
    edges = np.concatenate([low, high])
    order = np.argsort(edges, kind="stable")
    votes = np.cumsum(np.concatenate([np.ones(len(low)), -np.ones(len(high))])[order])
    best = int(votes.argmax())
    enough = votes >= _PLATEAU * votes[best]
    # The plateau around the best one.
    before, after = np.flatnonzero(~enough[:best]), np.flatnonzero(~enough[best:])
    begin = edges[order[before[-1] + 1 if len(before) else 0]]
    end = edges[order[min(best + after[0], len(edges) - 1)]]
    # Things touch the front of their boxes, so that the truth is at the far end.
    depth, sigma = float(end), float(end - begin) / np.sqrt(3)
    return Scale(depth, max(sigma, _LEAST_SIGMA * depth), float(votes[best]) / pixels)
