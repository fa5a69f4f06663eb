"""What is known of hands before one is seen: bone lengths and how thick they are; and what a posed hand says."""

from __future__ import annotations

from collections import deque
from statistics import median

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.geometry.palm import pose_from_knuckles
from pose_perception.human.topology import HAND_21

FINGERS = ("index", "middle", "ring", "pinky")
_AT = HAND_21.index

# Lengths between landmarks of an adult, metres. Phalanges and metacarpals: means of Buryanov and Kotiuk, Proportions
# of Hand Segments, International Journal of Morphology 28(3), 2010, with 28 mm for the wrist's bones and their 4 mm of
# flesh (thumb: 6 mm) in front of the last bone.
_LENGTHS_M = {
    ("wrist", "thumb_cmc"): 0.036,
    ("thumb_cmc", "thumb_mcp"): 0.046,
    ("thumb_mcp", "thumb_ip"): 0.032,
    ("thumb_ip", "thumb_tip"): 0.027,
    ("wrist", "index_mcp"): 0.096,
    ("index_mcp", "index_pip"): 0.040,
    ("index_pip", "index_dip"): 0.022,
    ("index_dip", "index_tip"): 0.020,
    ("wrist", "middle_mcp"): 0.093,
    ("middle_mcp", "middle_pip"): 0.045,
    ("middle_pip", "middle_dip"): 0.026,
    ("middle_dip", "middle_tip"): 0.021,
    ("wrist", "ring_mcp"): 0.086,
    ("ring_mcp", "ring_pip"): 0.041,
    ("ring_pip", "ring_dip"): 0.026,
    ("ring_dip", "ring_tip"): 0.021,
    ("wrist", "pinky_mcp"): 0.082,
    ("pinky_mcp", "pinky_pip"): 0.033,
    ("pinky_pip", "pinky_dip"): 0.018,
    ("pinky_dip", "pinky_tip"): 0.020,
}
# Distances that hardly change because the palm is stiff: the knuckles lie 21 mm apart (hand breadth at the metacarpals
# of ISO 7250-1, 84 mm, over four knuckles and the flesh beside them).
_STIFF_M = {
    ("index_mcp", "middle_mcp"): 0.023,
    ("middle_mcp", "ring_mcp"): 0.021,
    ("ring_mcp", "pinky_mcp"): 0.020,
    ("index_mcp", "ring_mcp"): 0.043,
    ("middle_mcp", "pinky_mcp"): 0.040,
    ("index_mcp", "pinky_mcp"): 0.060,
    ("thumb_cmc", "index_mcp"): 0.074,
}
# Standard deviations of these lengths between hands of the same size: of bones, and of the palm, which arches.
_BONE_SPREAD, _STIFF_SPREAD = 0.07, 0.10
# Half the thickness and half the width of the wrist and of the palm at the knuckles, metres: ISO 7250-1 gives a hand
# thickness of 29 mm, a hand breadth of 84 mm and a wrist of 0.16 m around.
_WRIST_HALF_M = (0.020, 0.029)
_PALM_HALF_M = (0.013, 0.042)
# How far a landmark of a finger lies behind the skin that the camera sees, metres (depth of the index finger at its
# joints, 18 and 15 mm, halved).
_FINGER_OFFSET_M, _TIP_OFFSET_M = 0.008, 0.005
# Standard deviation of the size of hands in the population, children from ten years on included, as a part of it; and
# what remains of it once a person's hands were seen often.
SIZE_SPREAD, _LEARNED_SPREAD = 0.09, 0.03
_SMALLEST, _LARGEST = 0.6, 1.3
# The prior counts as much as this many frames.
_PRIOR_FRAMES = 5.0
# Distance from the wrist to the fingertips over that along the bones: of a fist and of a flat hand.
_FIST_REACH, _FLAT_REACH = 0.45, 0.97

_IS_TIP = np.array([name.endswith("tip") for name in HAND_21.keypoints])
_PALM = np.array([_AT[name] for name in ("thumb_cmc", *(f"{finger}_mcp" for finger in FINGERS))])

TREE = np.array([(_AT[a], _AT[b]) for a, b in _LENGTHS_M])
"""Bones from the wrist outwards, shape (20, 2): parents come before their children."""
TREE_LENGTHS = np.array(list(_LENGTHS_M.values()))
"""Their lengths in a hand of size 1, shape (20,), metres."""
BONES = np.array([(_AT[a], _AT[b]) for a, b in (*_LENGTHS_M, *_STIFF_M)])
"""Pairs of landmarks with a known distance, shape (B, 2)."""
LENGTHS = np.array([*_LENGTHS_M.values(), *_STIFF_M.values()])
"""These distances in a hand of size 1, shape (B,), metres."""
LENGTH_SIGMAS = LENGTHS * np.array([_BONE_SPREAD] * len(_LENGTHS_M) + [_STIFF_SPREAD] * len(_STIFF_M))
"""Their standard deviations, shape (B,), metres."""


def surface_offsets(shape: FloatArray, toward_camera: FloatArray) -> FloatArray:
    """Return how far landmarks lie behind the skin that the camera sees.

    A palm is a slab: seen from the side, its middle lies much deeper than seen from the front.

    Args:
        shape: Landmarks of N hands with shape (N, 21, 3), metres, in any frame.
        toward_camera: Unit vectors to the camera in that frame, shape (N, 3).

    Returns:
        With shape (N, 21), metres.
    """
    wrist, index, middle, pinky = (shape[:, _AT[n]] for n in ("wrist", "index_mcp", "middle_mcp", "pinky_mcp"))
    along = _unit(middle - wrist)
    across = index - pinky
    across = _unit(across - _dot(across, along)[:, None] * along)
    view_along, view_across = _dot(along, toward_camera), _dot(across, toward_camera)
    view_normal = np.sqrt(np.maximum(1 - np.square(view_along) - np.square(view_across), 1e-6))
    offsets = np.tile(np.where(_IS_TIP, _TIP_OFFSET_M, _FINGER_OFFSET_M), (len(shape), 1))
    thickness, width = _WRIST_HALF_M
    offsets[:, 0] = 1 / np.sqrt(np.square(view_normal / thickness) + np.square(view_across / width))
    thickness, width = _PALM_HALF_M
    beside = ((shape[:, _PALM] - (index + pinky)[:, None] / 2) * across[:, None]).sum(axis=2)
    to_edge = np.maximum(width - np.sign(view_across)[:, None] * beside, _FINGER_OFFSET_M)
    through_edge = to_edge / np.maximum(np.abs(view_across), 1e-6)[:, None]
    offsets[:, _PALM] = np.minimum((thickness / view_normal)[:, None], through_edge)
    return offsets


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.sqrt(np.maximum(np.square(vectors).sum(axis=-1, keepdims=True), 1e-18))


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    return (first * second).sum(axis=-1)


def metric_shape(world: FloatArray) -> FloatArray:
    """Return hands of size 1 whose bones have the directions of others.

    The network's landmarks are too small where it cannot see how deep a hand reaches, while the directions stay useful.

    Args:
        world: Landmarks of N hands with shape (N, 21, 3), metres.

    Returns:
        Landmarks with the wrist in the origin, shape (N, 21, 3), metres.
    """
    along = world[:, TREE[:, 1]] - world[:, TREE[:, 0]]
    along *= (TREE_LENGTHS / np.maximum(np.linalg.norm(along, axis=2), 1e-6))[..., None]
    shape = np.zeros_like(world)
    for bone, (parent, child) in enumerate(TREE):
        shape[:, child] = shape[:, parent] + along[:, bone]
    return shape


class HandSize:
    """Size of one person's hands over that of an adult's: the population's at first, then what was seen."""

    def __init__(self, memory: int = 60) -> None:
        """Start with the population's.

        Args:
            memory: How many of the latest frames count.
        """
        self._samples: deque[float] = deque(maxlen=memory)

    @property
    def mean(self) -> float:
        """The most probable size."""
        if not self._samples:
            return 1.0
        trust = self._trust
        return (1 - trust) + trust * median(self._samples)

    @property
    def sigma(self) -> float:
        """Its standard deviation."""
        return (1 - self._trust) * SIZE_SPREAD + self._trust * _LEARNED_SPREAD

    def learn(self, size: float) -> None:
        """Take in the size that one frame says by itself; what no hand has is ignored."""
        if _SMALLEST <= size <= _LARGEST:
            self._samples.append(size)

    @property
    def _trust(self) -> float:
        return len(self._samples) / (len(self._samples) + _PRIOR_FRAMES)


def pinch(positions: FloatArray) -> float:
    """Return the distance between the tips of thumb and index finger of landmarks (21, 3), metres; NaN if unknown."""
    return float(np.linalg.norm(positions[_AT["thumb_tip"]] - positions[_AT["index_tip"]]))


def openness(positions: FloatArray) -> float:
    """Return how far the four fingers are stretched, 0 for a fist to 1 for a flat hand, whatever its size.

    Args:
        positions: Landmarks with shape (21, 3); NaN gives NaN.
    """
    chains = np.array([[_AT["wrist"], *(_AT[f"{f}_{j}"] for j in ("mcp", "pip", "dip", "tip"))] for f in FINGERS])
    points = positions[chains]  # (4, 5, 3)
    along = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1)
    reach = np.linalg.norm(points[:, -1] - points[:, 0], axis=1) / np.maximum(along, 1e-6)
    return float(np.clip((reach - _FIST_REACH) / (_FLAT_REACH - _FIST_REACH), 0.0, 1.0).mean())


def palm_pose(positions: FloatArray, side: str) -> FloatArray | None:
    """Return the pose of the palm, shape (4, 4), or None when it is not known.

    Args:
        positions: Landmarks with shape (21, 3), metres.
        side: `left` or `right`.

    Returns:
        Origin in the wrist, x to the knuckle of the middle finger, z out of the back of the hand.
    """
    wrist, index, middle, pinky = (positions[_AT[n]] for n in ("wrist", "index_mcp", "middle_mcp", "pinky_mcp"))
    return pose_from_knuckles(wrist, index, middle, pinky, side)
