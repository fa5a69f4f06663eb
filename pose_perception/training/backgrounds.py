"""What is behind and in front of simulated people: colour gradients, textures, clutter, or pieces of real pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.recording.images import read_color

ColorImage = npt.NDArray[np.uint8]
_SUFFIXES = (".jpg", ".jpeg", ".png")
_REAL = 0.35  # share of pictures with a real background, where there is a folder of them


class Backgrounds:
    """Draws pictures without people.

    Args:
        folder: Real pictures without people, used for a part of the backgrounds; None for procedural ones only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES) if folder else []

    def draw(self, width: int, height: int, rng: np.random.Generator) -> ColorImage:
        """Return an RGB picture with shape (height, width, 3)."""
        if self._files and rng.random() < _REAL:
            return _piece(read_color(self._files[rng.integers(len(self._files))]), width, height, rng)
        picture = _texture(width, height, rng)
        for _ in range(rng.integers(0, 25)):
            draw_shape(picture, rng)
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4))
        return picture


def draw_shape(picture: ColorImage, rng: np.random.Generator) -> None:
    """Draw a polygon, an ellipse, a bar or a checked box into an RGB picture, in place."""
    height, width = picture.shape[:2]
    color = tuple(int(c) for c in rng.integers(0, 256, 3))
    x, y = (int(v) for v in rng.uniform((0, 0), (width, height)))
    size = rng.uniform(0.03, 0.3) * max(width, height)
    kind = rng.integers(4)
    if kind == 0:
        corners = np.array([x, y]) + size * rng.uniform(-1, 1, (rng.integers(3, 7), 2))
        cv2.fillPoly(picture, [corners.astype(np.int32)], color, cv2.LINE_AA)
    elif kind == 1:
        axes = tuple(int(a) + 1 for a in size * rng.uniform(0.2, 1, 2))
        cv2.ellipse(picture, (x, y), axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
    elif kind == 2:
        end = tuple(int(v) for v in rng.uniform((0, 0), (width, height)))
        cv2.line(picture, (x, y), end, color, int(rng.uniform(2, 0.15 * size + 3)), cv2.LINE_AA)
    else:
        w, h = (int(s) + 2 for s in size * rng.uniform(0.3, 1, 2))
        box = picture[y : y + h, x : x + w]
        checked = rng.random() < 0.4
        cells = np.indices(box.shape[:2]).sum(axis=0) // max(2, int(size / 8)) % 2
        box[:] = np.where((cells > 0)[..., None] & checked, 255 - np.array(color), color)


def _texture(width: int, height: int, rng: np.random.Generator) -> ColorImage:
    """Noise of several scales between a few colours."""
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    picture = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(rng.integers(1, 5)):
        cells = int(2 ** rng.uniform(1, 7))
        noise = rng.normal(size=(cells, cells, 3 if rng.random() < 0.5 else 1)).astype(np.float32)
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
        picture = picture + rng.uniform(5, 35) * noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def _piece(color: ColorImage, width: int, height: int, rng: np.random.Generator) -> ColorImage:
    """Cut a random piece of a picture and bring it to a size."""
    share = rng.uniform(0.4, 1)
    h, w = (max(2, int(share * side)) for side in color.shape[:2])
    y, x = rng.integers(color.shape[0] - h + 1), rng.integers(color.shape[1] - w + 1)
    piece = cv2.resize(color[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)
    return piece[:, ::-1].copy() if rng.random() < 0.5 else piece
