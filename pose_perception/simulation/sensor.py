"""What a stereo depth camera of the RealSense D400 kind makes of an ideal image.

Sources: Grunnet-Jepsen, Sweetser and Woodfill, "Best-Known-Methods for Tuning Intel RealSense D400 Depth Cameras for
Best Performance" (depth error = distance^2 * subpixel / (focal length * baseline), subpixel 0.08 for a well-textured
scene); Intel RealSense D400 series datasheet (baseline 50 mm of the D435, 848x480 with 86 degrees, 1 mm units).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import CameraIntrinsics

if TYPE_CHECKING:
    from pose_perception.simulation.renderer import Rendering

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SensorConfig(Config):
    """Errors of the colour and depth cameras."""

    baseline_m: float = option(0.05, "Distance of the two imagers, metres (D435).", minimum=0.005, maximum=0.5)
    focal_px: float = option(
        425.0, "Focal length of the depth imagers, px (848 columns over 86 degrees).", minimum=50.0, maximum=5000.0
    )
    subpixel: float = option(0.08, "Standard deviation of the disparity, px.", minimum=0.0, maximum=2.0)
    correlation_px: float = option(
        1.5, "Radius over which neighbours share their error, as matching windows do, px.", minimum=0.1, maximum=20.0
    )
    disparity_step: float = option(0.03125, "Quantisation of the disparity, px (5 bits).", minimum=0.0, maximum=1.0)
    min_depth_m: float = option(0.3, "Nearest depth that is measured, metres.", minimum=0.0, maximum=5.0)
    max_depth_m: float = option(10.0, "Farthest depth that is measured, metres.", minimum=0.5, maximum=65.0)
    edge_step_m: float = option(
        0.06, "Step between neighbours that counts as an edge, metres.", minimum=0.01, maximum=2.0
    )
    edge_dropout: float = option(0.3, "Share of edge pixels without depth.", minimum=0.0, maximum=1.0)
    flying: float = option(0.25, "Share of edge pixels between foreground and background.", minimum=0.0, maximum=1.0)
    occlusion: bool = option(True, "Whether what only one imager sees has no depth.")
    holes: float = option(0.01, "Share of well visible surfaces lost in random holes.", minimum=0.0, maximum=0.9)
    hole_radius_px: float = option(4.0, "Size of the holes, px.", minimum=0.5, maximum=50.0)
    blur_px: float = option(
        0.5, "Blur of the colour camera's lens, standard deviation in px.", minimum=0.0, maximum=5.0
    )
    color_sigma: float = option(2.5, "Standard deviation of the colour noise, 0 to 255.", minimum=0.0, maximum=60.0)

    def depth_sigma_m(self, depth_m: float) -> float:
        """Standard deviation of the depth of a well visible surface, without the rounding to 1 mm."""
        return depth_m**2 * float(np.hypot(self.subpixel, self.disparity_step / np.sqrt(12))) / self._px_m

    @property
    def _px_m(self) -> float:
        return self.focal_px * self.baseline_m


class Sensor:
    """Turns ideal renderings into camera images.

    Args:
        config: The errors.
        camera: The colour camera, to which the depth is registered.
    """

    def __init__(self, config: SensorConfig, camera: CameraIntrinsics) -> None:
        self._config = config
        self._camera = camera

    def observe(
        self, picture: Rendering, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
        """Colour image (H, W, 3) and depth image (H, W) in millimetres, 0 where nothing was measured."""
        depth_mm = self.measure(picture, rng)
        return self.photograph(picture.color, rng), depth_mm

    def measure(self, picture: Rendering, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        """Depth image (H, W) in millimetres, 0 where nothing was measured."""
        config = self._config
        edges = self._edges(picture.depth)
        depth = self._fly(picture.depth, edges, rng)
        lost = ~(np.isfinite(depth) & (depth >= config.min_depth_m) & (depth <= config.max_depth_m))
        if config.occlusion:
            lost |= self._seen_by_one(picture.depth)
        lost |= edges & (rng.random(depth.shape, np.float32) < config.edge_dropout)
        lost |= self._holes(picture, rng)
        noisy = self._disturb(np.where(lost, 1.0, depth).astype(np.float32), rng)
        lost |= (noisy < config.min_depth_m) | (noisy > config.max_depth_m)
        return to_millimetres(np.where(lost, 0, noisy))

    def photograph(self, color: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Colour image (H, W, 3) as a real camera takes it."""
        seen = color.astype(np.float32)
        if self._config.blur_px > 0:
            seen = cv2.GaussianBlur(seen, (0, 0), self._config.blur_px)
        seen += self._config.color_sigma * rng.standard_normal(color.shape, np.float32)
        return np.clip(np.round(seen), 0, 255).astype(np.uint8)

    def _edges(self, depth: FloatImage) -> npt.NDArray[np.bool_]:
        """Pixels on either side of a step in depth."""
        kernel = np.ones((3, 3), np.uint8)
        finite = np.where(np.isfinite(depth), depth, self._config.max_depth_m).astype(np.float32)
        return cv2.dilate(finite, kernel) - cv2.erode(finite, kernel) > self._config.edge_step_m

    def _fly(self, depth: FloatImage, edges: npt.NDArray[np.bool_], rng: np.random.Generator) -> FloatImage:
        """Pixels at edges whose matching window saw both sides report something in between."""
        finite = np.where(np.isfinite(depth), depth, self._config.max_depth_m).astype(np.float32)
        flying = edges & (rng.random(depth.shape, np.float32) < self._config.flying)
        low, high = cv2.erode(finite, np.ones((3, 3), np.uint8)), cv2.dilate(finite, np.ones((3, 3), np.uint8))
        between = low + rng.random(depth.shape, np.float32) * (high - low)
        return np.where(flying, between, depth)

    def _seen_by_one(self, depth: FloatImage) -> npt.NDArray[np.bool_]:
        """Background beside a nearer surface on its right that hides it from the right imager."""
        shift = self._camera.fx * self._config.baseline_m / np.maximum(depth, 1e-3)
        column_in_other = np.arange(depth.shape[1]) - shift
        nearest = np.minimum.accumulate(column_in_other[:, :0:-1], axis=1)[:, ::-1]
        hidden = np.zeros(depth.shape, np.bool_)
        # Half a pixel: the nearer surface begins at the left border of its first pixel.
        hidden[:, :-1] = column_in_other[:, :-1] > nearest - 0.5
        return hidden

    def _holes(self, picture: Rendering, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Blobs without depth; the more light a surface swallows or throws past the camera, the more of them."""
        noise = _smooth_noise(picture.depth.shape, self._config.hole_radius_px, rng)
        usual = np.float32(self._config.holes)
        threshold = np.full(noise.shape, _normal_quantile(usual))
        if usual > 0:
            # As configured on bright surfaces that face the camera, up to 60 % more on dark or grazing ones.
            grazing = np.clip((0.35 - picture.facing) / 0.35, 0, 1)
            dark = np.clip((0.5 - picture.reflectance) / 0.5, 0, 1)
            hard = np.maximum(grazing, dark)
            more = hard > 0
            threshold[more] = _normal_quantile(np.clip(usual + np.float32(0.6) * hard[more], 0, 0.99))
        return noise < threshold

    def _disturb(self, depth: FloatImage, rng: np.random.Generator) -> FloatImage:
        config = self._config
        disparity = config._px_m / depth + config.subpixel * _smooth_noise(depth.shape, config.correlation_px, rng)
        if config.disparity_step > 0:
            disparity = np.round(disparity / config.disparity_step) * config.disparity_step
        return config._px_m / np.maximum(disparity, 1e-3)


def to_millimetres(depth: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """Depth in metres as a 16 bit image; what is not finite or too far becomes 0."""
    millimetres = np.round(np.where(np.isfinite(depth), depth, 0) * 1000)
    return np.where(millimetres <= np.iinfo(np.uint16).max, millimetres, 0).astype(np.uint16)


def _smooth_noise(shape: tuple[int, ...], radius_px: float, rng: np.random.Generator) -> FloatImage:
    """Normal noise of unit variance whose neighbours are correlated."""
    # Drawn with a margin, so that the border is no different; the sum of the squared kernel restores variance 1.
    margin = int(np.ceil(3 * radius_px))
    kernel = cv2.getGaussianKernel(2 * margin + 1, radius_px).astype(np.float32)
    noise = rng.standard_normal((shape[0] + 2 * margin, shape[1] + 2 * margin), np.float32)
    blurred = cv2.sepFilter2D(noise, -1, kernel, kernel)[margin:-margin, margin:-margin]
    return blurred / np.float32((kernel**2).sum())


def _normal_quantile(share: Any) -> Any:
    from scipy.special import ndtri

    return ndtri(np.maximum(share, 1e-12))
