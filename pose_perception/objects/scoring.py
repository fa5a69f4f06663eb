"""How likely a pose is right, and how uncertain it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import middles
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.registration import Candidates

# Logistic regression of "right within a tenth of the diameter" on simulated scenes; see
# `training.object_calibration`. In the order of `features`, the constant last.
_COEFFICIENTS = (0.5, 6.0, -4.0, -2.0, 2.0, -4.0)
# Depth of neighbouring pixels errs alike: a point says less than its variance.
_DEPENDENCE = 30.0
_LEAST_SIGMA_M = 0.0015
# Standard deviations where nothing is known: of shifts in radii, of turns in radians.
_PRIOR_SHIFT, _PRIOR_TURN = 1.0, 1.8
# Merit by which one candidate is e times likelier than another.
_MERIT_SCALE = 1.0


def features(candidates: Candidates) -> FloatArray:
    """Return what the probability is made from, shape (N, 5)."""
    evidence = candidates.evidence
    return np.stack(
        [
            np.clip(candidates.accept, -6, 6),
            evidence.inlier,
            evidence.violated,
            evidence.unknown,
            evidence.color,
        ],
        axis=1,
    )


def probability(candidates: Candidates) -> FloatArray:
    """Return how likely each candidate is right within a tenth of the diameter, shape (N,), 0 to 1."""
    logit = features(candidates) @ np.array(_COEFFICIENTS[:-1]) + _COEFFICIENTS[-1]
    return 1 / (1 + np.exp(-logit))


def shares(candidates: Candidates) -> FloatArray:
    """Return how likely each candidate is the right one if one of them is, shape (N,); they sum to 1."""
    weights = np.exp((candidates.merit - candidates.merit.max()) / _MERIT_SCALE)
    return weights / weights.sum()


def covariance(candidates: Candidates, chosen: int, model: ObjectModel) -> npt.NDArray[np.float64]:
    """Return the covariance of one candidate's pose, shape (6, 6), as `ObjectPose.covariance`.

    What the points leave open is as wide as the prior; other candidates that may be right instead widen it by how far
    away they are.
    """
    sigma = max(float(candidates.residual[chosen]), _LEAST_SIGMA_M)
    prior = np.diag([1 / (_PRIOR_SHIFT * model.radius) ** 2] * 3 + [1 / _PRIOR_TURN**2] * 3)
    about_middle = np.linalg.inv(candidates.information[chosen] / (_DEPENDENCE * sigma**2) + prior)
    poses = candidates.camera_from_object
    pose = poses[chosen]
    if model.symmetries.axis is not None:
        axis = pose[:3, :3] @ (model.symmetries.axis[1] / np.linalg.norm(model.symmetries.axis[1]))
        about_middle[3:, 3:] += np.outer(axis, axis) * np.pi**2 / 3
    weights = shares(candidates)
    for weight, other in zip(weights, poses, strict=True):
        equal = other @ model.symmetries.same
        nearest = equal[np.einsum("sij,ij->s", equal[:, :3, :3], pose[:3, :3]).argmax()]
        turn = Rotation.from_matrix(nearest[:3, :3] @ pose[:3, :3].T).as_rotvec()
        shift = (middles(nearest[None], model.center) - middles(pose[None], model.center))[0]
        step = np.concatenate([shift, turn])
        about_middle += weight * np.outer(step, step)
    return _about_origin(about_middle, pose, model.center)


def _about_origin(about_middle: FloatArray, pose: FloatArray, center: FloatArray) -> FloatArray:
    """Move a covariance from the object's middle to the origin of its frame."""
    arm = pose[:3, :3] @ -center  # from the middle to the origin, axes of the camera
    jacobian = np.eye(6)
    # A turn w moves the origin by w x arm.
    jacobian[:3, 3:] = [[0, arm[2], -arm[1]], [-arm[2], 0, arm[0]], [arm[1], -arm[0], 0]]
    moved = jacobian @ about_middle @ jacobian.T
    return (moved + moved.T) / 2
