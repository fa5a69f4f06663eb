"""Constructed hands, and depth images of them: what several tests share."""

from __future__ import annotations

import itertools

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.geometry.camera import project
from pose_perception.human.hand_landmarks import HandMarks
from pose_perception.human.hand_regions import regions_from_landmarks

CAMERA = CameraIntrinsics(640, 480, 615.0, 615.0, 319.5, 239.5)
# Knuckles of a right hand whose palm faces the camera, fingers up, and the lengths of the fingers' bones, metres.
_KNUCKLES = np.array([[0.026, -0.092], [0.003, -0.093], [-0.017, -0.084], [-0.035, -0.074]])
_BONES = np.array([[0.040, 0.022, 0.020], [0.045, 0.026, 0.021], [0.041, 0.026, 0.021], [0.033, 0.018, 0.020]])
_THUMB = np.array([[0.026, -0.022, -0.008], [0.055, -0.055, -0.014], [0.072, -0.082, -0.016], [0.084, -0.106, -0.016]])
# How far the joints of a finger bend in a fist, radians.
_FIST = np.deg2rad([85.0, 100.0, 60.0])


def make_hand(side: str, curl: float = 0.0) -> np.ndarray:
    """Return landmarks with shape (21, 3), metres: wrist in the origin, palm to the camera, fingers up.

    Args:
        side: Mirrored for the left hand.
        curl: 0 for stretched fingers to 1 for a fist.
    """
    fingers = []
    for knuckle, bones in zip(_KNUCKLES, _BONES, strict=True):
        points = [np.array([*knuckle, 0.0])]
        for angle, bone in zip(np.cumsum(curl * _FIST), bones, strict=True):
            points.append(points[-1] + bone * np.array([0.0, -np.cos(angle), -np.sin(angle)]))  # towards the palm
        fingers.append(np.stack(points))
    hand = np.concatenate([np.zeros((1, 3)), _THUMB, *fingers])
    return hand * (1.0 if side == "right" else -1.0, 1.0, 1.0)


def marks_of(hand: np.ndarray, side: str, presence: float = 0.99) -> HandMarks:
    """Return what a perfect network sees of landmarks (21, 3) in the camera's frame."""
    pixels = project(hand, CAMERA)[None]
    region = regions_from_landmarks(pixels)
    right = np.array([0.98 if side == "right" else 0.02])
    return HandMarks(region, region, pixels, np.array([presence]), right, (hand - hand.mean(axis=0))[None])


def depth_of(hand: np.ndarray, wall_m: float = np.nan) -> np.ndarray:
    """Return a depth image (480, 640) of a hand made of balls, metres; a wall or nothing behind it."""
    chains = [[0, 1, 2, 3, 4], [1, 5], [5, 9], [9, 13], [13, 17]]
    chains += [[0, *range(first, first + 4)] for first in (5, 9, 13, 17)]
    centers, radii = [], []
    for chain in chains:
        for start, end in itertools.pairwise(chain):
            steps = np.linspace(0, 1, 24)[:, None]
            centers.append(hand[start] * (1 - steps) + hand[end] * steps)
            in_palm = start in (0, 1, 5, 9, 13) and end in (1, 5, 9, 13, 17)
            radii.append(np.full(len(steps), 0.013 if in_palm else 0.008))
    # A palm is filled between its bones.
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 300)
    centers.append(weights @ hand[[0, 1, 5, 17]])
    radii.append(np.full(len(weights), 0.013))
    depth = np.full((CAMERA.height, CAMERA.width), np.inf)
    for center, radius in zip(np.concatenate(centers), np.concatenate(radii), strict=True):
        (u, v), reach = project(center, CAMERA), CAMERA.fx * radius / center[2]
        columns = np.arange(max(int(u - reach), 0), min(int(u + reach) + 2, CAMERA.width))
        rows = np.arange(max(int(v - reach), 0), min(int(v + reach) + 2, CAMERA.height))
        if not len(columns) or not len(rows):
            continue
        inside = 1 - ((columns[None] - u) ** 2 + (rows[:, None] - v) ** 2) / reach**2
        surface = np.where(inside > 0, center[2] - radius * np.sqrt(np.maximum(inside, 0)), np.inf)
        part = depth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.minimum(part, surface, out=part)
    return np.where(np.isfinite(depth), depth, wall_m).astype(np.float32)


def frame_of(depth: np.ndarray | None) -> RgbdFrame:
    """Return a black picture with a depth image."""
    return RgbdFrame(np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8), depth, CAMERA)
