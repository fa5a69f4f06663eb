"""Where to look for objects when nobody says so: what is on no large plane, by itself, and has a model's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.palette import Palette, color_bins, one_hot

_TRIES = 200
# So many planes may turn out to be none.
_FAILURES = 5
_PLANE_POINTS = 4000
# Possible places that are looked at, and samples around them.
_TRIED, _AROUND = 1200, 2500
# What is seen of a thing has at least this area over the mean of its outlines, and at most that.
_LEAST_SHARE, _MOST_SHARE = 0.3, 1.5
# Up to so many radii away from a thing on its own there is little else; how much that counts.
_SHELL, _ALONE = 1.4, 0.9
# What places are worth that have none of the colours of the model: light may be stranger than expected.
_COLORLESS = 0.3
# Places for each object of a model beyond the first.
_PLACES_EACH = 2
# Planes are at least so large, metres, and so much of a disc of their size is there.
_LEAST_PLANE_M, _LEAST_FILLED = 0.2, 0.2
# Behind them, farther than noise and nearer than a floor below a table, is at most so much of what is on them; unless
# they are so vast: in diameters of the largest model, and metres.
_MOST_BEHIND, _NOISE_M, _FAR_BEHIND_M = 0.3, 0.01, 0.4
_VAST, _VAST_M = 3.0, 0.8


@dataclass(frozen=True)
class SegmentationConfig(Config):
    """How places to look at are found."""

    stride: int = option(3, "Only every so many pixels and rows are looked at.", minimum=1, maximum=16)
    planes: int = option(3, "Planes that are taken away, at most.", minimum=0, maximum=10)
    plane_tolerance_m: float = option(
        0.008, "What lies within this of a plane at 1 m belongs to it; grows with depth.", minimum=0.001, maximum=0.1
    )
    plane_size: float = option(
        1.1, "Planes are larger than this, in diameters of the largest model.", minimum=1.0, maximum=20.0
    )
    max_depth_m: float = option(2.0, "Nothing farther away is looked at, metres.", minimum=0.2, maximum=10.0)
    places: int = option(8, "Places that each model is looked for at.", minimum=1, maximum=100)


class Scene:
    """The part of a frame in which objects may be.

    Args:
        frame: With depth.
        config: How places are found.
        largest_m: Diameter of the largest model, metres.
    """

    def __init__(self, frame: RgbdFrame, config: SegmentationConfig, largest_m: float) -> None:
        self._config = config
        step = config.stride
        camera = frame.camera
        # Nearest pixels for depth, so that nothing is between surfaces; averages for colour.
        depth = np.nan_to_num(frame.depth[step // 2 :: step, step // 2 :: step], nan=0.0, posinf=0.0)
        rows, columns = depth.shape
        small = cv2.resize(frame.color[: rows * step, : columns * step], (columns, rows), interpolation=cv2.INTER_AREA)
        u, v = np.arange(columns) * step + step // 2, np.arange(rows) * step + step // 2
        x = (u[None] - camera.cx) / camera.fx * depth
        y = (v[:, None] - camera.cy) / camera.fy * depth
        self.points = np.stack([x, y, depth], axis=2)
        self.color = small
        self.free = (depth > 0) & (depth < config.max_depth_m)
        self._pixel = step / camera.fx  # edge of a sample at 1 m
        self.planes = self._take_planes(largest_m)

    def _take_planes(self, largest_m: float) -> list[FloatArray]:
        """Take large planes, and what lies behind them, out of `free`; return their (normal, offset)."""
        rng = np.random.default_rng(0)
        planes: list[FloatArray] = []
        rest = self.free.copy()  # what may be on a plane that was not looked at yet
        for _ in range(self._config.planes + _FAILURES):
            cloud = self.points[rest]
            if len(cloud) < 100 or len(planes) == self._config.planes:
                break
            plane = self._largest_plane(cloud[rng.permutation(len(cloud))[:_PLANE_POINTS]], rng)
            if plane is None:
                break
            distance, tolerance = self.points @ plane[:3] + plane[3], self._tolerance(self.points)
            on, behind = self.free & (np.abs(distance) < tolerance), self.free & (distance >= tolerance)
            rest &= ~on
            if not self._bounds(self.points[self.free], plane, largest_m):
                if planes:
                    break
                continue  # a room far behind may seem to have a larger plane than the table
            planes.append(plane)
            self.free &= ~on
            # What lies behind the largest plane is below the table; behind another one there may be more objects.
            if len(planes) == 1:
                self.free &= ~behind
                rest &= ~behind
        return planes

    def _bounds(self, cloud: FloatArray, plane: FloatArray, largest_m: float) -> bool:
        """Return whether a plane is what things stand on or before, and not their sides.

        It is large, not only parts of it are there, and little is behind it.
        """
        distance, tolerance = cloud @ plane[:3] + plane[3], self._tolerance(cloud)
        on = cloud[np.abs(distance) < tolerance]
        if len(on) == 0:
            return False
        # Half of a disc lies within its radius over the root of two.
        size = 2 * math.sqrt(2) * np.median(np.linalg.norm(on - np.median(on, axis=0), axis=1))
        if size <= max(self._config.plane_size * largest_m, _LEAST_PLANE_M):
            return False
        behind = np.count_nonzero((distance > 2 * tolerance + _NOISE_M) & (distance < _FAR_BEHIND_M)) / len(on)
        slant = np.abs(on @ plane[:3]) / np.linalg.norm(on, axis=1)
        filled = np.sum((self._pixel * on[:, 2]) ** 2 / np.maximum(slant, 0.1)) / (np.pi / 4 * size**2)
        is_vast = size > max(_VAST * largest_m, _VAST_M)
        return bool(filled > _LEAST_FILLED and (is_vast or behind < _MOST_BEHIND))

    def _tolerance(self, points: FloatArray) -> FloatArray:
        """Return how far from a plane points (..., 3) that belong to it may be, metres."""
        return self._config.plane_tolerance_m * np.maximum(points[..., 2], 0.5) ** 2

    def _largest_plane(self, cloud: FloatArray, rng: np.random.Generator) -> FloatArray | None:
        """Return the plane that most area is near to: normal from the camera and offset, shape (4,); None of a line."""
        corners = cloud[rng.integers(len(cloud), size=(_TRIES, 3))]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normals, axis=1)
        if not (length > 1e-9).any():
            return None
        normals = normals[length > 1e-9] / length[length > 1e-9, None]
        offsets = -np.einsum("td,td->t", normals, corners[length > 1e-9, 0])
        near = np.abs(cloud @ normals.T + offsets) < self._tolerance(cloud)[:, None]
        # A sample far away stands for more area.
        best = int(((cloud[:, 2] ** 2) @ near).argmax())
        on = cloud[near[:, best]]
        middle = on.mean(0)
        normal = np.linalg.svd(on - middle, full_matrices=False)[2][2]
        plane = np.array([*normal, -normal @ middle])
        return plane if plane[3] < 0 else -plane

    @cached_property
    def _samples(self) -> npt.NDArray[np.intp]:
        """Rows and columns of what is free, in random order, shape (2, M)."""
        found = np.array(np.nonzero(self.free))
        return found[:, np.random.default_rng(0).permutation(found.shape[1])]

    @cached_property
    def _surroundings(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What is around possible places: areas (R,) that samples stand for, m^2, and squared distances (P, R), m^2."""
        around = np.float32(self.points[tuple(self._samples[:, :_AROUND])])
        at = around[:_TRIED]
        share = self._samples.shape[1] / max(len(around), 1)
        areas = share * (self._pixel * around[:, 2]) ** 2
        squares = (at**2).sum(1)[:, None] + (around**2).sum(1) - 2 * at @ around.T
        return areas, squares

    @cached_property
    def _histograms(self) -> npt.NDArray[np.float32]:
        """Colour bins of each pixel, summed from the top left, shape (rows + 1, columns + 1, bins)."""
        bins = one_hot(color_bins(self.color.reshape(-1, 3))).reshape(*self.color.shape[:2], -1)
        bins *= self.free[..., None]
        total = np.zeros((bins.shape[0] + 1, bins.shape[1] + 1, bins.shape[2]), np.float32)
        total[1:, 1:] = bins.cumsum(0).cumsum(1)
        return total

    def places(
        self, palette: Palette, model: ObjectModel, known: Sequence[FloatArray] = (), more: int = 0
    ) -> list[Place]:
        """Return where a model may be, the likeliest first.

        Args:
            palette: Colours of the model.
            model: What to look for.
            known: camera_from_object of objects of this model that are known, shape (4, 4) each; others are looked for.
            more: How many objects of this model to look for besides one.
        """
        radius = model.radius
        rows, columns = self.free.shape
        v, u = self._samples[:, :_TRIED]
        cloud = self.points[v, u]
        half = 0.6 * radius / (self._pixel * cloud[:, 2])  # samples
        top, bottom = _clip(v - half, rows), _clip(v + half + 1, rows)
        left, right = _clip(u - half, columns), _clip(u + half + 1, columns)
        total = self._histograms
        local = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        count = local.sum(1)
        alike = np.minimum(local / np.maximum(count, 1)[:, None], palette.shares).sum(1)
        worth = (_COLORLESS + (1 - _COLORLESS) * alike) * self._detached(radius, model.silhouette_m2)
        found: list[Place] = []
        left_over = np.ones(len(cloud), np.bool_)
        for pose in known:
            left_over &= ~_inside(cloud, pose, model)
        most = self._config.places + _PLACES_EACH * more
        while left_over.any() and len(found) < most:
            i = int(np.argmax(np.where(left_over, worth, -1)))
            if worth[i] < 0.05:
                break
            gap = np.linalg.norm(cloud - cloud[i], axis=1)
            found.append(Place(np.median(cloud[gap < 0.5 * radius], axis=0), float(worth[i])))
            left_over &= gap > 0.9 * radius
        return found

    def _detached(self, radius: float, area: float) -> npt.NDArray[np.float32]:
        """Return how much the surroundings of possible places are those of a thing on its own, shape (P,), 0 to 1.

        What lies within its radius has about the area of its outline, and little is around it.
        """
        areas, squares = self._surroundings
        inside = np.maximum((squares < radius**2) @ areas, 1e-12)
        with_shell = np.maximum((squares < (_SHELL * radius) ** 2) @ areas, 1e-12)
        size = np.minimum(inside / (_LEAST_SHARE * area), 1) * np.minimum(_MOST_SHARE * area / inside, 1)
        return size * (1 - _ALONE + _ALONE * inside / with_shell)

    def standing(self, depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return depth of the frame, shape (H, W), metres, with 0 where nothing is looked for: on planes, far away."""
        row, column = (
            np.minimum(np.arange(size) // self._config.stride, least - 1)
            for size, least in zip(depth.shape, self.free.shape, strict=True)
        )
        return np.where(self.free[row[:, None], column], depth, np.float32(0))


class Place(NamedTuple):
    """Where a model may be.

    Attributes:
        middle: Of the surface there, camera frame, shape (3,), metres.
        worth: How much its colours are those of the model, and its surroundings those of a thing of its size, 0 to 1.
    """

    middle: FloatArray
    worth: float


def _inside(cloud: FloatArray, pose: FloatArray, model: ObjectModel) -> npt.NDArray[np.bool_]:
    """Return which points, shape (P, 3), lie within the bounding box of a model at a pose, or nearly, shape (P,)."""
    offset = (cloud - pose[:3, 3]) @ pose[:3, :3] - model.center
    return (np.abs(offset) < model.size / 2 + _NOISE_M).all(axis=1)


def _clip(values: FloatArray, most: int) -> npt.NDArray[np.intp]:
    return np.clip(np.round(values), 0, most).astype(np.intp)
