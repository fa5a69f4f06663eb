"""Pictures on things, drawn at random: packages with labels and writing, materials, plain paint."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

_LETTERS = "ABCDEFGHIKLMNOPRSTUVWZaeioulnrst0123456789%&"
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def random_color(rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw a colour; strong ones, white, black and brown are as common as on shelves."""
    saturation = 0.0 if rng.random() < 0.25 else rng.beta(2.5, 1.5)
    value = rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.9), rng.uniform(0.85, 1.0)], p=[0.15, 0.5, 0.35])
    return tuple(int(255 * x) for x in colorsys.hsv_to_rgb(rng.random(), saturation, value))


def plain(rng: np.random.Generator, height: int, width: int) -> Picture:
    """One colour, a little worn."""
    image = np.empty((height, width, 3), np.float32)
    image[:] = random_color(rng)
    return _worn(image, rng, rng.uniform(0, 6))


def material(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Clouds or grain between two colours: wood, stone, cloth."""
    one, other = np.array(random_color(rng)), np.array(random_color(rng))
    if rng.random() < 0.6:
        other = np.clip(one + rng.normal(0, 35, 3), 0, 255)
    across, along = rng.integers(2, 25), rng.integers(2, 25)
    field = np.zeros((height, width), np.float32)
    for octave in range(3):
        small = rng.random((along * 2**octave, across * 2**octave), np.float32)
        field += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    mix = np.clip((field - field.min()) / max(float(np.ptp(field)), 1e-6), 0, 1)[..., None]
    return _worn(np.float32(one * mix + other * (1 - mix)), rng, 3)


def label(rng: np.random.Generator, height: int, width: int, palette: list[tuple[int, int, int]]) -> Picture:
    """One side of a package: coloured areas, emblems, writing, a bar code.

    Args:
        rng: Source of everything.
        height: Of the picture, px.
        width: Of the picture, px.
        palette: Colours of the brand, at least two.
    """
    image = np.empty((height, width, 3), np.uint8)
    image[:] = palette[0] if rng.random() < 0.7 else palette[rng.integers(len(palette))]
    for _ in range(rng.integers(1, 7)):
        _emblem(image, rng, palette)
    for _ in range(rng.integers(0, 6)):
        _writing(image, rng, palette)
    if rng.random() < 0.2:
        _bars(image, rng)
    return _worn(image.astype(np.float32), rng, rng.uniform(0, 5))


def sheet(rng: np.random.Generator, unfolding: str) -> tuple[Picture, bool]:
    """The picture of a whole object, laid out as `shapes.unfold` reads it.

    Returns:
        The picture, and whether it tells the sides of the object apart.
    """
    height, width = 256, 384
    kind = rng.random()
    if kind < 0.12:
        return plain(rng, height, width), False
    if kind < 0.24:
        return material(rng, height, width), True
    palette = [random_color(rng) for _ in range(rng.integers(2, 6))]
    half = height // 2
    if unfolding == "box":
        tiles = [label(rng, half, width // 3, palette) for _ in range(6)]
        if rng.random() < 0.3:  # both large sides alike, as on many packages
            tiles[4] = tiles[1]
        return np.concatenate([np.concatenate(tiles[:3], 1), np.concatenate(tiles[3:], 1)]), True
    parts = [label(rng, half, width // 2, palette) for _ in range(2)]
    if rng.random() < 0.3:  # the same label twice around, one of them with small differences
        parts[1] = parts[0].copy()
        _writing(parts[1], rng, palette)
        _emblem(parts[1], rng, palette)
    ends = [label(rng, half, width // 2, palette) for _ in range(2)]
    return np.concatenate([np.concatenate(parts, 1), np.concatenate(ends, 1)]), True


def _worn(image: npt.NDArray[np.float32], rng: np.random.Generator, strength: float) -> Picture:
    height, width = image.shape[:2]
    coarse = rng.normal(0, strength, (8, 12)).astype(np.float32)
    image = image + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(image + rng.normal(0, strength / 2, image.shape), 0, 255).astype(np.uint8)


def _emblem(image: Picture, rng: np.random.Generator, palette: list[tuple[int, int, int]]) -> None:
    height, width = image.shape[:2]
    color = palette[rng.integers(len(palette))] if rng.random() < 0.8 else random_color(rng)
    x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
    size = int(rng.uniform(0.08, 0.5) * height)
    kind = rng.integers(5)
    if kind == 0:
        cv2.rectangle(image, (x - size, y - size // 2), (x + size, y + size // 2), color, -1)
    elif kind == 1:
        axes = (size, max(1, int(size * rng.uniform(0.4, 1))))
        cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
    elif kind == 2:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * size * rng.uniform(0.4, 1, (len(angles), 1)) + (x, y)
        cv2.fillPoly(image, [points.astype(np.int32)], color, cv2.LINE_AA)
    elif kind == 3:
        band = max(2, int(rng.uniform(0.03, 0.35) * height))
        image[max(0, y - band) : y] = color
    else:
        band = max(2, int(rng.uniform(0.03, 0.3) * width))
        image[:, max(0, x - band) : x] = color


def _writing(image: Picture, rng: np.random.Generator, palette: list[tuple[int, int, int]]) -> None:
    height, width = image.shape[:2]
    text = "".join(rng.choice(list(_LETTERS), rng.integers(2, 12)))
    scale = float(np.exp(rng.uniform(np.log(0.3), np.log(2.2))))
    at = (int(rng.uniform(-0.1, 0.6) * width), int(rng.uniform(0.1, 1.0) * height))
    color = palette[rng.integers(len(palette))] if rng.random() < 0.5 else random_color(rng)
    lines = int(rng.integers(2, 6)) if scale < 0.5 else 1
    for line in range(lines):
        place = (at[0], at[1] + int(line * scale * 26))
        font = _FONTS[rng.integers(len(_FONTS))]
        cv2.putText(image, text, place, font, scale, color, max(1, int(scale * rng.uniform(1, 3))), cv2.LINE_AA)


def _bars(image: Picture, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    x, y = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0, 0.7) * height)
    bars = np.repeat(rng.integers(0, 2, 24), 2)[None, : max(1, width - x), None] * np.uint8(255)
    area = image[y : y + height // 4, x : x + bars.shape[1]]
    area[:] = np.broadcast_to(bars[:, : area.shape[1]], area.shape)
