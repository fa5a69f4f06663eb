"""Where to look for objects when nobody says so: what stands out from large planes, and has the colours of a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.objects.model import ObjectModel, sample_surface

_BINS = 4  # of each colour channel
_TRIES = 200
_PLANE_POINTS = 4000
# How many points of a thing there must be, over what a disc of a third of its radius would show.
_LEAST_SHARE = 1 / 9
_LEAST_PLANE_M = 0.35


@dataclass(frozen=True)
class SegmentationConfig(Config):
    """How places to look at are found."""

    stride: int = option(3, "Only every so many pixels and rows are looked at.", minimum=1, maximum=16)
    planes: int = option(3, "Planes that are taken away, at most.", minimum=0, maximum=10)
    plane_tolerance_m: float = option(
        0.008, "What lies within this of a plane at 1 m belongs to it; grows with depth.", minimum=0.001, maximum=0.1
    )
    plane_size: float = option(
        1.6, "Planes are larger than this, in diameters of the largest model.", minimum=1.0, maximum=20.0
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
        for _ in range(self._config.planes):
            cloud = self.points[self.free]
            if len(cloud) < 100:
                break
            plane = self._largest_plane(cloud[rng.permutation(len(cloud))[:_PLANE_POINTS]], rng)
            if plane is None:
                break
            tolerance = self._config.plane_tolerance_m * np.maximum(cloud[:, 2], 0.5) ** 2
            on = np.abs(cloud @ plane[:3] + plane[3]) < tolerance
            # Half of it within this of its middle: what is no larger may be a side of an object.
            reach = np.median(np.linalg.norm(cloud[on] - np.median(cloud[on], axis=0), axis=1)) if on.any() else 0
            if 2 * reach * np.sqrt(2) < max(self._config.plane_size * largest_m, _LEAST_PLANE_M):
                break
            planes.append(plane)
            distance = self.points @ plane[:3] + plane[3]
            tolerance = self._config.plane_tolerance_m * np.maximum(self.points[..., 2], 0.5) ** 2
            on, behind = self.free & (np.abs(distance) < tolerance), self.free & (distance >= tolerance)
            self.free &= ~on
            # What lies behind the largest plane is below the table; behind another one there may be more objects.
            if len(planes) == 1:
                self.free &= ~behind
        return planes

    def _largest_plane(self, cloud: FloatArray, rng: np.random.Generator) -> FloatArray | None:
        """Return the plane that most area is near to: normal from the camera and offset, shape (4,); None of a line."""
        corners = cloud[rng.integers(len(cloud), size=(_TRIES, 3))]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normals, axis=1)
        if not (length > 1e-9).any():
            return None
        normals = normals[length > 1e-9] / length[length > 1e-9, None]
        offsets = -np.einsum("td,td->t", normals, corners[length > 1e-9, 0])
        tolerance = self._config.plane_tolerance_m * np.maximum(cloud[:, 2], 0.5) ** 2
        near = np.abs(cloud @ normals.T + offsets) < tolerance[:, None]
        # A sample far away stands for more area.
        best = int(((cloud[:, 2] ** 2) @ near).argmax())
        on = cloud[near[:, best]]
        middle = on.mean(0)
        normal = np.linalg.svd(on - middle, full_matrices=False)[2][2]
        plane = np.array([*normal, -normal @ middle])
        return plane if plane[3] < 0 else -plane

    @cached_property
    def _histograms(self) -> npt.NDArray[np.float32]:
        """Colour bins of each pixel, summed from the top left, shape (rows + 1, columns + 1, bins)."""
        bins = _one_hot(color_bins(self.color.reshape(-1, 3))).reshape(*self.color.shape[:2], -1)
        bins *= self.free[..., None]
        total = np.zeros((bins.shape[0] + 1, bins.shape[1] + 1, bins.shape[2]), np.float32)
        total[1:, 1:] = bins.cumsum(0).cumsum(1)
        return total

    def places(self, palette: Palette, radius: float) -> list[Place]:
        """Return where a model may be, the likeliest first.

        Args:
            palette: Colours of the model.
            radius: Of the model, metres.
        """
        rows, columns = self.free.shape
        v, u = np.nonzero(self.free)
        if len(v) == 0:
            return []
        cloud = self.points[v, u]
        half = 0.6 * radius / (self._pixel * cloud[:, 2])  # samples
        top, bottom = _clip(v - half, rows), _clip(v + half + 1, rows)
        left, right = _clip(u - half, columns), _clip(u + half + 1, columns)
        total = self._histograms
        local = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        count = local.sum(1)
        alike = np.minimum(local / np.maximum(count, 1)[:, None], palette.shares).sum(1)
        enough = np.minimum(count / (np.pi * half**2 * _LEAST_SHARE), 1)
        worth = alike * enough
        found: list[Place] = []
        left_over = np.ones(len(cloud), np.bool_)
        while left_over.any() and len(found) < self._config.places:
            i = int(np.argmax(np.where(left_over, worth, -1)))
            if worth[i] < 0.05:
                break
            gap = np.linalg.norm(cloud - cloud[i], axis=1)
            found.append(Place(np.median(cloud[gap < 0.5 * radius], axis=0), float(worth[i])))
            left_over &= gap > 0.9 * radius
        return found

    def points_near(self, middle: FloatArray, radius: float) -> FloatArray:
        """Return what stands out from planes within a sphere, shape (M, 3), metres."""
        cloud = self.points[self.free]
        return cloud[np.linalg.norm(cloud - middle, axis=1) < radius]


class Place(NamedTuple):
    """Where a model may be.

    Attributes:
        middle: Of the surface there, camera frame, shape (3,), metres.
        worth: How much its colours are those of the model, 0 to 1.
    """

    middle: FloatArray
    worth: float


class Palette(NamedTuple):
    """Colours of a model.

    Attributes:
        shares: Share of the surface in each bin, each raised to what one view can show of it, shape (bins,).
    """

    shares: npt.NDArray[np.float32]


def palette_of(model: ObjectModel) -> Palette:
    """Return the colours of a model; any colour suits one without."""
    colors = sample_surface(model.surface, 4000)[2]
    if colors is None:
        return Palette(np.ones(_BINS**3 + _BINS, np.float32))
    shares = np.zeros(_BINS**3 + _BINS, np.float32)
    # Light makes everything darker or brighter than the texture.
    for gain in (0.5, 0.65, 0.8, 1.0):
        dimmed = np.uint8(np.clip(colors * 255 * gain, 0, 255))
        shares = np.maximum(shares, _one_hot(color_bins(dimmed)).mean(0))
    # One view shows about half of an object, perhaps all of what is rare on the whole.
    return Palette(np.minimum(2.5 * shares, 1))


def color_bins(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the bin of each colour (N, 3), shape (N,): of its share of red, green and blue, or of its grey."""
    values = colors.astype(np.float32)
    brightest = values.max(1)
    saturation = (brightest - values.min(1)) / np.maximum(brightest, 1)
    relative = values / np.maximum(brightest, 1)[:, None]
    cells = np.minimum((relative * _BINS).astype(np.intp), _BINS - 1)
    colored = (cells[:, 0] * _BINS + cells[:, 1]) * _BINS + cells[:, 2]
    grey = _BINS**3 + np.minimum((brightest / 256 * _BINS).astype(np.intp), _BINS - 1)
    return np.where((saturation < 0.25) | (brightest < 40), grey, colored)


def _one_hot(bins: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    result = np.zeros((len(bins), _BINS**3 + _BINS), np.float32)
    result[np.arange(len(bins)), bins] = 1
    return result


def _clip(values: FloatArray, most: int) -> npt.NDArray[np.intp]:
    return np.clip(np.round(values), 0, most).astype(np.intp)
