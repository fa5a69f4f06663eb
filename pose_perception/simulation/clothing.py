"""Clothes, hair and skin colours painted onto a naked body mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.simulation.kinematics import unit

_SKIN = ((0.80, 0.58, 0.47), (0.72, 0.50, 0.38), (0.87, 0.68, 0.57), (0.50, 0.33, 0.24), (0.36, 0.23, 0.17))
_HAIR = ((0.08, 0.06, 0.05), (0.20, 0.12, 0.07), (0.42, 0.28, 0.15), (0.30, 0.29, 0.28))
_SHIRT = ((0.16, 0.38, 0.62), (0.64, 0.16, 0.16), (0.80, 0.78, 0.72), (0.18, 0.46, 0.30), (0.78, 0.55, 0.14))
_TROUSERS = ((0.12, 0.16, 0.28), (0.22, 0.22, 0.23), (0.45, 0.38, 0.28), (0.30, 0.34, 0.38))
_SHOES = ((0.08, 0.08, 0.08), (0.75, 0.75, 0.75), (0.30, 0.18, 0.11))
# How far cloth stands off the skin, metres.
_THICKNESS = {"hair": 0.012, "shirt": 0.008, "trousers": 0.009, "shoes": 0.007}


@dataclass(frozen=True)
class Appearance:
    """Colours as (red, green, blue) albedo, 0 to 1, and the length of the sleeves."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    shirt: tuple[float, float, float]
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    long_sleeves: bool


def draw_appearances(count: int, rng: np.random.Generator) -> list[Appearance]:
    """Draw people who look different from each other as far as the palettes reach."""
    shuffled = [rng.permutation(palette) for palette in (_SKIN, _HAIR, _SHIRT, _TROUSERS, _SHOES)]
    sleeves = rng.random(count) < 0.5
    return [
        Appearance(*(tuple(palette[i % len(palette)]) for palette in shuffled), long_sleeves=bool(sleeves[i]))
        for i in range(count)
    ]


class Dressed(NamedTuple):
    """Vertices (V, 3) in metres, albedo (V, 3) and reflectance for a depth camera (V,)."""

    vertices: npt.NDArray[np.floating]
    colors: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]


def dress(
    vertices: npt.NDArray[np.floating],
    faces: npt.NDArray[np.integer],
    parts: npt.NDArray[np.str_],
    nose: npt.NDArray[np.floating],
    eyes: npt.NDArray[np.floating],
    eyeballs: npt.NDArray[np.bool_],
    look: Appearance,
) -> Dressed:
    """Paint a body at rest and let the cloth stand off a little.

    Args:
        vertices: Skin with shape (V, 3): x to the left, y backwards, z up, metres.
        faces: Triangles with shape (F, 3).
        parts: Part of the body of each vertex without its side, shape (V,).
        nose: Tip of the nose with shape (3,).
        eyes: Both eyes on the lids with shape (2, 3).
        eyeballs: Whether a vertex belongs to an eyeball, shape (V,).
        look: Colours.
    """
    regions = {
        "hair": _hair(vertices, parts, eyes) & ~eyeballs,
        "shirt": np.isin(parts, ["torso", "upper_arm", "forearm"] if look.long_sleeves else ["torso", "upper_arm"]),
        "trousers": np.isin(parts, ["thigh", "shin"]),
        "shoes": parts == "foot",
    }
    # The belt: what hangs below the hips belongs to the trousers, the open collar to the skin.
    torso = parts == "torso"
    shoulder_z = vertices[parts == "upper_arm", 2].max()
    belt_z = vertices[parts == "thigh", 2].max()
    regions["trousers"] |= torso & (vertices[:, 2] < belt_z)
    neck = torso & (vertices[:, 2] > shoulder_z + 0.02) & (np.abs(vertices[:, 0]) < 0.075)
    regions["shirt"] &= ~regions["trousers"] & ~neck

    colors = np.broadcast_to(np.array(look.skin, np.float32), vertices.shape).copy()
    thickness = np.zeros(len(vertices))
    for name, region in regions.items():
        colors[region] = getattr(look, name)
        thickness[region] = _THICKNESS[name]
    _paint_face(colors, vertices, parts, nose, eyes, eyeballs, look)
    # Infrared light is swallowed by dark hair more than by dyed cloth, which is bright in infrared whatever its colour.
    reflectance = np.where(regions["hair"], 0.25 + 0.5 * max(look.hair), 0.9).astype(np.float32)
    return Dressed(vertices + thickness[:, None] * _normals(vertices, faces), colors, reflectance)


def _hair(
    vertices: npt.NDArray[np.floating], parts: npt.NDArray[np.str_], eyes: npt.NDArray[np.floating]
) -> np.ndarray:
    """Head above a line that falls from the forehead over the ears to the nape."""
    head = parts == "head"
    scale = np.ptp(eyes[:, 0]) / 0.064
    up, back = (vertices[:, axis] - eyes[:, axis].mean() for axis in (2, 1))
    ears = np.abs(vertices[:, 0]) > 0.078 * scale
    return head & ~(ears & (up < 0.05 * scale)) & (up > (0.075 - 0.8 * np.clip(back - 0.02, 0, None)) * scale)


def _paint_face(
    colors: npt.NDArray[np.float32],
    vertices: npt.NDArray[np.floating],
    parts: npt.NDArray[np.str_],
    nose: npt.NDArray[np.floating],
    eyes: npt.NDArray[np.floating],
    eyeballs: npt.NDArray[np.bool_],
    look: Appearance,
) -> None:
    """Colour lips, brows and eyes in place: without them a face detector sees a mannequin."""
    x, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    eye_x, eye_z = np.abs(eyes[:, 0]).mean(), eyes[:, 2].mean()
    scale = 2 * eye_x / 0.064
    face = (parts == "head") & ~eyeballs & (y < nose[1] + 0.06 * scale)
    below_nose = (nose[2] - z) / scale
    lips = face & (x < 0.024 * scale) & (below_nose > 0.037) & (below_nose < 0.051)
    colors[lips] = np.array(look.skin) * (0.85, 0.55, 0.55)
    above_eye = (z - eye_z) / scale
    brows = face & (np.abs(x - eye_x) < 0.02 * scale) & (above_eye > 0.014) & (above_eye < 0.021)
    colors[brows] = 0.3 * np.array(look.skin) + 0.7 * np.array(look.hair)
    to_pupil = np.hypot(x - eye_x, z - eye_z) / scale
    colors[eyeballs] = 0.85
    colors[eyeballs & (to_pupil < 0.0075)] = (0.12, 0.08, 0.06)


def _normals(vertices: npt.NDArray[np.floating], faces: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return unit(total + 1e-12)
