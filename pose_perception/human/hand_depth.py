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
# Points of the palm that must show one surface, and how far apart these may be in depth, metres: half a hand that
# points at the camera.
_FEWEST_IN_PALM, _PALM_DEPTH_M = 4, 0.08
# The skin of the palm may be this much nearer or farther than the wrist, metres: as it turns.
_TURN_M = 0.10
# How far the surface at one landmark may be from where the palm says, metres.
_FINGER_REACH_M = 0.10
# Standard deviations of what turns a hand to its palm's surface: of the surface there, metres, and of the slope.
_TURN_SIGMA_M, _SLOPE_SIGMA = 0.02, 0.3
# A skeleton and a hand further apart than this many standard deviations do not belong together.
_MAX_DISAGREEMENT = 3.0
# Error of the skeleton's wrist beyond its own covariance, metres: both networks mean slightly different points.
WRIST_SIGMA_M = 0.010
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
        correction: What must be added to the depth of each landmark that was expected, for the hand to lie and turn as
            the surface of its palm does, shape (N, 21), metres; 0 where the palm is not seen.
        is_seen: Whether the palm is seen, shape (N,).
    """

    depth: FloatArray
    sigma: FloatArray
    correction: FloatArray
    is_seen: npt.NDArray[np.bool_]


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

    First the palm as a whole: its points lie on one surface, of several on the nearest, as the hand is what the image
    shows; it tells how far away the hand is and how it is turned. Then each point near where it should be.

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
    lateral = (points - points[:, :1]) / np.nan_to_num(pixels_per_metre, nan=1.0)[:, None, None]
    in_palm = samples.reshape(hands, count, -1)[:, _IN_PALM]
    skin = _palm_skin(in_palm, expected)
    plane, is_seen = _turn(lateral[:, _IN_PALM], skin - expected.depth[:, None] - relative[:, _IN_PALM])
    correction = plane[:, :1] + np.einsum("nsc,nc->ns", lateral, plane[:, 1:])
    surface = np.where(is_seen[:, None], expected.depth[:, None] + relative + correction, np.nan).ravel()
    evidence = choose_layer(samples, surface, np.full(len(surface), _FINGER_REACH_M), np.zeros(len(surface), bool))
    depth, spread = (values.reshape(hands, count).astype(np.float64) for values in evidence)
    sensor = _SENSOR_SIGMA_AT_1M * np.square(depth)
    sigma = np.sqrt(np.square(spread) + np.square(sensor) + _SKIN_SIGMA_M**2)
    return Surfaces(depth, np.nan_to_num(sigma, nan=1.0), correction[:, : len(HAND_21)], is_seen)


def nothing_seen(hands: int) -> Surfaces:
    """Return what is read without a depth image."""
    shape = (hands, len(SAMPLES))
    return Surfaces(np.full(shape, np.nan), np.ones(shape), np.zeros((hands, len(HAND_21))), np.zeros(hands, bool))


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


def _palm_skin(samples: npt.NDArray[np.float32], expected: Expectation) -> FloatArray:
    """Return the surface at P points of the palms of N hands, shape (N, P), metres; NaN where it is not the palm.

    Args:
        samples: Patches at the points with shape (N, P, 49), metres.
        expected: Where the hands should be.
    """
    hands, points, size = samples.shape
    base, reach = (np.repeat(values, points) for values in (expected.depth, expected.reach + _TURN_M))
    layers = choose_layer(samples.reshape(-1, size), base, reach, np.ones(hands * points, bool))
    skin = layers.depth.reshape(hands, points).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(skin - _middle(skin)[:, None]) < _PALM_DEPTH_M, skin, np.nan)


def _turn(lateral: FloatArray, difference: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Fit how hands must be moved and turned to lie on the surfaces of their palms.

    Args:
        lateral: Points of the palm across the view from the wrist, shape (N, P, 2), metres.
        difference: Seen minus expected depth there, shape (N, P), metres; NaN where it is not seen.

    Returns:
        Shift in metres and slopes along both axes with shape (N, 3), 0 for hands that are not seen; whether they are,
        shape (N,).
    """
    seen = np.isfinite(difference)
    enough = seen.sum(axis=1) >= _FEWEST_IN_PALM
    rows = np.concatenate([np.ones((*seen.shape, 1)), lateral], axis=2) * seen[..., None] / _TURN_SIGMA_M
    hessian = np.swapaxes(rows, 1, 2) @ rows + np.diag([0.0, 1.0, 1.0]) / _SLOPE_SIGMA**2
    hessian[~enough] = np.eye(3)
    target = np.einsum("npi,np->ni", rows, np.nan_to_num(difference) / _TURN_SIGMA_M)
    plane = np.linalg.solve(hessian, target[..., None])[..., 0]
    return np.where(enough[:, None], plane, 0.0), enough


def _middle(values: FloatArray) -> FloatArray:
    """Return the lower median of the finite values of each row of (N, P), shape (N,)."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    return ordered[np.arange(len(values)), np.maximum(count - 1, 0) // 2]
