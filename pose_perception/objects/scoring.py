"""How likely a pose is right, and how uncertain it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.objects.candidates import Candidates
from pose_perception.objects.crops import middles
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.symmetry import turned_equal
from pose_perception.objects.verification import USUALLY_CONTINUED, Evidence

# Fitted on simulated tables by `training.object_calibration`, in the order of the functions that name them.
_MERIT = (2.385, 0.023, 2.142, 1.249, -0.003, -0.005)
_PROBABILITY = (1.523, 0.82, -0.494, -0.758, 0.432, -0.216, -1.806, 0.983, 1.382, 0.294, -6.299)
# The same without the first feature, the network's logit. On real pictures the network errs in ways that simulated ones
# do not show: this much of the probability is formed without it.
_WITHOUT_NETWORK = (3.726, -2.825, -1.49, 0.588, -0.816, -4.697, 3.062, 2.537, 0.178, -6.321)
DOUBT = 0.3
# Depth of neighbouring pixels errs alike: a point says less than its variance.
_DEPENDENCE = 30.0
_LEAST_SIGMA_M = 0.0015
# Standard deviations where nothing is known: of shifts in radii, of turns in radians.
_PRIOR_SHIFT, _PRIOR_TURN = 1.0, 1.8
# What a search must have agreed upon to be settled, and the largest standard deviation of turns then, radians.
_AGREED, _TURN_OPEN = 0.8, float(np.deg2rad(10.0))
# Candidates whose points are on average within so many diameters of each other say the same.
_ONE = 0.1


def merit_features(rank: FloatArray, accept: FloatArray, evidence: Evidence) -> FloatArray:
    """Return what candidates of one object are compared by, shape (N, 6)."""
    values = (rank, evidence.score, evidence.color, np.clip(accept, -6, 6), evidence.inlier, evidence.continued)
    return np.stack(values, axis=1)


def merit_of(rank: FloatArray, accept: FloatArray, evidence: Evidence) -> FloatArray:
    """Return by what candidates of one object are sorted, shape (N,): the logarithm of a share, up to a constant.

    Args:
        rank: Of the network, shape (N,).
        accept: Logit of the network, shape (N,).
        evidence: Of each.
    """
    return merit_features(rank, accept, evidence) @ np.array(_MERIT)


def probability_features(accept: FloatArray, evidence: Evidence, agreement: FloatArray | float) -> FloatArray:
    """Return what probabilities are made from, shape (N, 10).

    Args:
        accept: Logit of the network, shape (N,).
        evidence: Of each.
        agreement: See `agreeing`.
    """
    values = (
        np.clip(accept, -6, 6),
        evidence.inlier,
        evidence.violated,
        evidence.hidden,
        evidence.unknown,
        evidence.covered * (1 - evidence.uncovered) - 1,  # 0 without a mask
        evidence.continued - USUALLY_CONTINUED,  # 0 when nobody has looked for planes
        evidence.color,
        agreement,
        np.log(np.maximum(evidence.radius_px, 1.0)),
    )
    return np.stack(np.broadcast_arrays(*values), axis=-1)


def probability(candidates: Candidates, model: ObjectModel) -> float:
    """Return how likely the first candidate is right within a tenth of the diameter, 0 to 1; see `doubt_of` as well."""
    first = candidates.evidence.select(slice(1))
    values = probability_features(candidates.accept[:1], first, agreeing(candidates, model))[0]
    full, without = _logistic(values, _PROBABILITY), _logistic(values[1:], _WITHOUT_NETWORK)
    return (1 - DOUBT) * full + DOUBT * without


def _logistic(values: FloatArray, weights: tuple[float, ...]) -> float:
    return float(1 / (1 + np.exp(-(values @ np.array(weights[:-1]) + weights[-1]))))


def agreeing(candidates: Candidates, model: ObjectModel, pose: FloatArray | None = None) -> float:
    """Return the share of candidates, by merit, that are a pose or equal to it by symmetry, 0 to 1.

    Args:
        candidates: Of one search.
        model: The model.
        pose: camera_from_object, shape (4, 4); None for the first candidate.
    """
    points, poses = model.points[::40].T, candidates.camera_from_object
    equal = (poses[0] if pose is None else pose) @ model.symmetries.same
    at, truly = (p[:, :3, :3] @ points + p[:, :3, 3:] for p in (poses, equal))
    errors = np.linalg.norm(at[:, None] - truly[None], axis=2).mean(2).min(1)
    return float(shares(candidates)[errors < _ONE * model.diameter].sum())


def shares(candidates: Candidates) -> FloatArray:
    """Return how likely each candidate is the right one if one of them is, shape (N,); they sum to 1."""
    weights = np.exp(candidates.merit - candidates.merit.max())
    return weights / weights.sum()


class Doubt(NamedTuple):
    """What a search left open between poses that fit about as well, such as turns of a mug whose handle is hidden.

    Attributes:
        agreement: See `agreeing`.
        spread: Second moment of the steps from the pose to all candidates: shift of the middle, turn about it, in the
            axes of the object, shape (6, 6), metres and radians.
    """

    agreement: float
    spread: FloatArray

    @property
    def is_large(self) -> bool:
        """Whether another search, once more is seen, may well end with another pose."""
        turn = float(np.sqrt(np.linalg.eigvalsh(self.spread[3:, 3:])[-1]))
        return self.agreement < _AGREED or turn > _TURN_OPEN

    def in_camera(self, pose: FloatArray) -> FloatArray:
        """Return the spread in the axes of the camera for camera_from_object (4, 4), shape (6, 6)."""
        turn = np.kron(np.eye(2), pose[:3, :3])
        return turn @ self.spread @ turn.T


def doubt_of(candidates: Candidates, model: ObjectModel, pose: FloatArray | None = None) -> Doubt:
    """Return what candidates leave open; arguments as for `agreeing`."""
    poses, spread = candidates.camera_from_object, np.zeros((6, 6))
    pose = poses[0] if pose is None else pose
    for weight, other in zip(shares(candidates), poses, strict=True):
        nearest = turned_equal(other, model.symmetries.same, pose)
        turn = Rotation.from_matrix(pose[:3, :3].T @ nearest[:3, :3]).as_rotvec()
        shift = pose[:3, :3].T @ (middles(nearest[None], model.center) - middles(pose[None], model.center))[0]
        step = np.concatenate([shift, turn])
        spread += weight * np.outer(step, step)
    return Doubt(agreeing(candidates, model, pose), spread)


def covariance(candidates: Candidates, model: ObjectModel, doubt: Doubt) -> npt.NDArray[np.float64]:
    """Return the covariance of the first candidate, shape (6, 6): shift of the object's middle, turn about it.

    Metres and radians, axes of the camera; `about_origin` makes of it what an `ObjectPose` has.

    What the points leave open is as wide as the prior; other poses that may be right instead widen it by how far away
    they are.

    Args:
        candidates: Of which the first is meant.
        model: The model.
        doubt: Of the search that found it.
    """
    sigma = max(float(candidates.residual[0]), _LEAST_SIGMA_M)
    prior = np.diag([1 / (_PRIOR_SHIFT * model.radius) ** 2] * 3 + [1 / _PRIOR_TURN**2] * 3)
    about_middle = np.linalg.inv(candidates.information[0] / (_DEPENDENCE * sigma**2) + prior)
    pose = candidates.camera_from_object[0]
    if model.symmetries.axis is not None:
        axis = pose[:3, :3] @ (model.symmetries.axis[1] / np.linalg.norm(model.symmetries.axis[1]))
        about_middle[3:, 3:] += np.outer(axis, axis) * np.pi**2 / 3
    return about_middle + doubt.in_camera(pose)


def about_origin(about_middle: FloatArray, pose: FloatArray, center: FloatArray) -> FloatArray:
    """Return the covariance (6, 6) of a pose (4, 4) out of that about the object's middle, which is at `center`."""
    arm = pose[:3, :3] @ -center  # from the middle to the origin, axes of the camera
    jacobian = np.eye(6)
    # A turn w moves the origin by w x arm.
    jacobian[:3, 3:] = [[0, arm[2], -arm[1]], [-arm[2], 0, arm[0]], [arm[1], -arm[0], 0]]
    moved = jacobian @ about_middle @ jacobian.T
    return (moved + moved.T) / 2
