"""How far away hands are: by their size in the image, by the skeletons that they hang on, and by the depth image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.depth_evidence import choose_layer, sample_patches
from pose_perception.human.hand_solver import SAMPLES
from pose_perception.human.landmarks import depth_from_landmarks
from pose_perception.human.topology import HAND_21

# Half the side of a depth patch, metres and px: inside of a palm and of a finger.
_PALM_RADIUS_M, _FINGER_RADIUS_M = 0.012, 0.004
_RADIUS_PX = (0.7, 12.0)
# Standard deviation of the distance by the size in the image, as a part of it: the network shortens hands that point
# at the camera and takes others for such.
_SIZE_DISTANCE_SIGMA = 0.35
# How far a hand may be from where it is expected, in standard deviations, and within these limits, metres.
_REACH_SIGMAS, _LEAST_REACH_M, _MOST_REACH_M = 3.0, 0.15, 0.45
_MOST_REACH_BY_SIZE_M = 1.0
# Points of the palm that must show the same surface.
_FEWEST_IN_PALM = 3
# How far the surface at one landmark may be from where the palm says, metres: half a hand.
_FINGER_REACH_M = 0.10
# A skeleton and a hand further apart than this many standard deviations do not belong together.
_MAX_DISAGREEMENT = 3.0
# Error of the skeleton's wrist beyond its own covariance, metres: both networks mean slightly different points.
WRIST_SIGMA_M = 0.015
# Depth noise of a stereo camera at 1 m; it grows with the square of the depth (see lifting.py).
_SENSOR_SIGMA_AT_1M = 0.003
_SKIN_SIGMA_M = 0.004
_KNUCKLES = [HAND_21.index[f"{finger}_mcp"] for finger in ("index", "middle", "ring", "pinky")]
_IN_PALM = np.array([row in (0, *_KNUCKLES) or row >= len(HAND_21) for row in range(len(SAMPLES))])


class Wrists(NamedTuple):
    """Where the skeletons have the wrists of N hands.

    Attributes:
        positions: With shape (N, 3), metres; NaN when missing.
        covariances: With shape (N, 3, 3), square metres; NaN when missing.
    """

    positions: FloatArray
    covariances: FloatArray


class Expectation(NamedTuple):
    """How far away the wrists of N hands are before depth is read, all with shape (N,).

    Attributes:
        depth: Depth of the wrist joint, metres; NaN when nothing is known.
        sigma: Its standard deviation, metres.
        reach: How far off it may be, metres.
        by_skeleton: Whether the skeleton says so, and not only the size of the hand in the image.
    """

    depth: FloatArray
    sigma: FloatArray
    reach: FloatArray
    by_skeleton: npt.NDArray[np.bool_]


class Surfaces(NamedTuple):
    """The skin of N hands by the depth image.

    Attributes:
        depth: In front of the points `SAMPLES`, shape (N, S), metres; NaN where it is not seen.
        sigma: Standard deviation of `depth`, shape (N, S), metres.
        wrist_depth: Depth of the wrist joint that fits the palm's surface, shape (N,), metres; NaN where the palm is
            not seen.
    """

    depth: FloatArray
    sigma: FloatArray
    wrist_depth: FloatArray


def expect(view: FloatArray, shape: FloatArray, wrists: Wrists) -> Expectation:
    """Return how far away hands should be.

    Args:
        view: Viewing rays of the landmarks with unit depth, shape (N, 21, 3).
        shape: Hands in the axes of the camera, shape (N, 21, 3), metres.
        wrists: Where the skeletons have their wrists.
    """
    by_size = depth_from_landmarks(view, np.ones(view.shape[:2]), shape)[:, 0]
    size_sigma = _SIZE_DISTANCE_SIGMA * by_size
    wrist = wrists.positions[:, 2]
    wrist_sigma = np.hypot(np.sqrt(wrists.covariances[:, 2, 2]), WRIST_SIGMA_M)
    with np.errstate(invalid="ignore"):
        contradicts = np.abs(wrist - by_size) > _MAX_DISAGREEMENT * np.hypot(size_sigma, wrist_sigma)
    by_skeleton = np.isfinite(wrist + wrist_sigma) & ~contradicts
    depth, sigma = np.where(by_skeleton, wrist, by_size), np.where(by_skeleton, wrist_sigma, size_sigma)
    most = np.where(by_skeleton, _MOST_REACH_M, _MOST_REACH_BY_SIZE_M)
    return Expectation(depth, sigma, np.clip(_REACH_SIGMAS * sigma, _LEAST_REACH_M, most), by_skeleton)


def read_surfaces(
    depth_image: npt.NDArray[np.float32],
    pixels: FloatArray,
    relative: FloatArray,
    pixels_per_metre: FloatArray,
    expected: Expectation,
) -> Surfaces:
    """Read the skin of N hands from a depth image.

    First the palm as a whole: its points agree on one surface, of several the nearest, as the hand is what the image
    shows. Then each point near it.

    Args:
        depth_image: With shape (H, W), metres; NaN or 0 where unknown.
        pixels: Landmarks with shape (N, 21, 2), px.
        relative: Depth of the skin in front of the points `SAMPLES` minus that of the wrist joint, as far as it is
            known before, shape (N, S), metres.
        pixels_per_metre: How large things are in the image, shape (N,).
        expected: Where the hands should be.
    """
    hands, count = relative.shape
    points = np.einsum("sk,nkc->nsc", SAMPLES, pixels)
    radius = np.where(_IN_PALM, _PALM_RADIUS_M, _FINGER_RADIUS_M) * np.nan_to_num(pixels_per_metre)[:, None]
    samples = sample_patches(depth_image, points.reshape(-1, 2), np.clip(radius, *_RADIUS_PX).ravel())
    in_palm = samples.reshape(hands, count, -1)[:, _IN_PALM]
    wrist = _palm_depth(in_palm, expected.depth, relative[:, _IN_PALM], expected.reach)
    surface = (wrist[:, None] + relative).ravel()
    evidence = choose_layer(samples, surface, np.full(len(surface), _FINGER_REACH_M), np.zeros(len(surface), bool))
    depth, spread = (values.reshape(hands, count).astype(np.float64) for values in evidence)
    sensor = _SENSOR_SIGMA_AT_1M * np.square(depth)
    sigma = np.sqrt(np.square(spread) + np.square(sensor) + _SKIN_SIGMA_M**2)
    return Surfaces(depth, np.nan_to_num(sigma, nan=1.0), wrist)


def nothing_seen(hands: int) -> Surfaces:
    """Return what is read without a depth image."""
    shape = (hands, len(SAMPLES))
    return Surfaces(np.full(shape, np.nan), np.ones(shape), np.full(hands, np.nan))


def wrist_information(wrists: Wrists, expected: Expectation, seen: FloatArray) -> FloatArray:
    """Return how well the skeletons know the wrists, the inverse of their covariances with shape (N, 3, 3).

    Args:
        wrists: Where the skeletons have them.
        expected: As `expect` returns it.
        seen: Depth of the wrists by the depth image, shape (N,), metres; NaN where the palm is not seen. A skeleton
            that does not agree knows nothing of this hand.
    """
    with np.errstate(invalid="ignore"):
        contradicts = np.abs(wrists.positions[:, 2] - seen) > _MAX_DISAGREEMENT * expected.sigma
    known = expected.by_skeleton & ~contradicts & np.isfinite(wrists.positions).all(axis=1)
    known &= np.isfinite(wrists.covariances).all(axis=(1, 2))
    information = np.zeros((len(known), 3, 3))
    information[known] = np.linalg.inv(wrists.covariances[known] + WRIST_SIGMA_M**2 * np.eye(3))
    return information


def _palm_depth(
    samples: npt.NDArray[np.float32], base: FloatArray, relative: FloatArray, reach: FloatArray
) -> FloatArray:
    """Return the depth of N wrists of which P points of the palm agree, shape (N,), metres; NaN where too few are seen.

    Args:
        samples: Patches at the points with shape (N, P, 49), metres.
        base: Expected depth of the wrists with shape (N,), metres.
        relative: Depth of the skin at the points minus that of the wrist, shape (N, P), metres.
        reach: How far the surface may be from there, shape (N,), metres.
    """
    hands, points = relative.shape
    surface = (base[:, None] + relative).ravel()
    layers = choose_layer(
        samples.reshape(hands * points, samples.shape[2]),
        surface,
        np.repeat(reach, points),
        np.ones(hands * points, bool),
    )
    wrist = np.sort(layers.depth.reshape(hands, points) - relative, axis=1)  # NaN last
    seen = np.isfinite(wrist).sum(axis=1)
    middle = wrist[np.arange(hands), np.maximum(seen - 1, 0) // 2]
    return np.where(seen >= _FEWEST_IN_PALM, middle, np.nan)
