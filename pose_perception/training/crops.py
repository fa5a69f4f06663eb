"""Crops of people as a network in training sees them: turned, mirrored, badly centred, in any light, half hidden."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import COCO_17
from pose_perception.training.backgrounds import ColorImage, draw_shape
from pose_perception.training.pictures import TrainingPicture

MIRRORED = np.array(COCO_17.mirrored)
"""Position of each keypoint's partner on the other side."""
_UPRIGHT, _TURN_DEG = 0.4, 18.0
_MOSTLY_SEEN = 0.5
_LOW_RESOLUTION, _GREY, _HIDDEN = 0.2, 0.05, 0.15


class View(NamedTuple):
    """A person in a picture that was turned, mirrored and recoloured.

    Attributes:
        color: RGB with shape (H, W, 3).
        keypoints: COCO's 17 with shape (17, 2), px; NaN where unknown.
        counts: Keypoints that are known and inside of the picture, shape (17,).
        box: Around the person as a detector may give it, (x0, y0, x1, y1), px.
    """

    color: ColorImage
    keypoints: FloatArray
    counts: npt.NDArray[np.bool_]
    box: FloatArray


def random_view(picture: TrainingPicture, person: int, size: int, rng: np.random.Generator) -> View:
    """Look at one person in another way.

    Args:
        picture: The picture.
        person: Which of its people.
        size: The longer side of the person's box afterwards, about, px.
        rng: Source of the choice.
    """
    box = picture.boxes[person].astype(np.float64)
    center, side = (box[:2] + box[2:]) / 2, max((box[2:] - box[:2]).max(), 2)
    mirrored = rng.random() < 0.5
    angle = 0.0 if rng.random() < _UPRIGHT else np.deg2rad(rng.normal(0, _TURN_DEG))
    scale = size / side * np.exp(rng.normal(0, 0.12))
    # Room for crops around joints at the border of the person.
    canvas = 2 * size
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag((-1.0 if mirrored else 1.0, 1.0))
    warp = np.concatenate([turn, (canvas / 2 - turn @ center)[:, None]], axis=1)
    color = cv2.warpAffine(_shrunk(picture.color, scale), warp @ _shrinking(scale), (canvas, canvas))
    moved = picture.keypoints[person] @ turn.T + warp[:, 2]
    height, width = picture.color.shape[:2]
    inside = (picture.keypoints[person] >= 0).all(axis=1) & (picture.keypoints[person] < (width, height)).all(axis=1)
    visible = picture.visible[person]
    # Of somebody who is mostly hidden, only what is seen can be learnt.
    inside &= visible | (visible.sum() >= _MOSTLY_SEEN * inside.sum())
    keypoints, counts = (moved[MIRRORED], inside[MIRRORED]) if mirrored else (moved, inside)
    # Boxes stay upright: around the turned ones they would grow, so they only move along.
    half = (box[2:] - box[:2]) / 2 * scale
    shift, growth = rng.normal(0, 0.05, 2) * 2 * half.max(), np.exp(rng.normal(0, 0.08, 2))
    new_box = np.concatenate([canvas / 2 + shift - half * growth, canvas / 2 + shift + half * growth])
    return View(recolored(color, rng), keypoints, counts & np.isfinite(keypoints).all(axis=1), new_box)


def recolored(color: ColorImage, rng: np.random.Generator) -> ColorImage:
    """Change light, colours, sharpness and noise of a picture, and sometimes hide a part of it."""
    if rng.random() < _HIDDEN:
        color = color.copy()
        draw_shape(color, rng)
    if rng.random() < _LOW_RESOLUTION:
        size, less = color.shape[1::-1], rng.uniform(0.25, 0.7)
        small = cv2.resize(color, None, fx=less, fy=less, interpolation=cv2.INTER_AREA)
        color = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    tone = np.arange(256, dtype=np.float32)[:, None] / 255
    tone = tone ** np.exp(rng.normal(0, 0.25)) * rng.uniform(0.65, 1.3) * rng.uniform(0.9, 1.1, 3)
    tone += rng.normal(0, 0.04)
    color = cv2.LUT(color, np.clip(255 * tone, 0, 255).astype(np.uint8)[:, None])
    if rng.random() < _GREY:
        color = np.repeat(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return color


def _shrunk(color: ColorImage, scale: float) -> ColorImage:
    """Shrink a large picture by a whole number, averaging: a warp alone would leave pixels out."""
    whole = _whole(scale)
    if whole == 1:
        return color
    height, width = (side // whole for side in color.shape[:2])
    return cv2.resize(color[: height * whole, : width * whole], (width, height), interpolation=cv2.INTER_AREA)


def _shrinking(scale: float) -> FloatArray:
    """Homogeneous map (3, 3) from the shrunk picture back to the full one."""
    whole = _whole(scale)
    return np.array([[whole, 0, (whole - 1) / 2], [0, whole, (whole - 1) / 2], [0, 0, 1.0]])


def _whole(scale: float) -> int:
    return max(1, int(1 / scale))
