"""Poses of one model that compete with each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import middles
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.verification import Evidence

# Two hypotheses are one when they are nearer than this: turn in radians, shift in radii.
_SAME_TURN, _SAME_SHIFT = 0.17, 0.1
# Of hypotheses that go on, this share may show an object that is hidden for the most part.
_OPEN_SHARE = 0.4


class Rough(NamedTuple):
    """Hypotheses that fit the depth, best first.

    Attributes:
        camera_from_object: Shape (N, 4, 4).
        score: How well the geometry fits, shape (N,); see `verification.Evidence`.
    """

    camera_from_object: FloatArray
    score: FloatArray


class Candidates(NamedTuple):
    """Poses of one model, best first.

    Attributes:
        camera_from_object: Shape (N, 4, 4).
        merit: What they were sorted by, shape (N,).
        rank: Of the network, shape (N,).
        accept: Logit of the network, shape (N,).
        evidence: Of each.
        information: See `alignment.Alignment`, shape (N, 6, 6).
        residual: Root mean square distance of points to the surface, shape (N,), metres.
    """

    camera_from_object: FloatArray
    merit: FloatArray
    rank: FloatArray
    accept: FloatArray
    evidence: Evidence
    information: FloatArray
    residual: FloatArray

    def select(self, index: npt.ArrayLike) -> Candidates:
        """Return some of them."""
        return Candidates(*(v.select(index) if isinstance(v, Evidence) else v[index] for v in self))


def fitting(poses: FloatArray, evidence: Evidence, model: ObjectModel, most: int) -> npt.NDArray[np.intp]:
    """Return the places of different hypotheses that fit the depth, best first.

    Some of them fit where the object is hidden for the most part: what hides it is no reason to drop them so early.

    Args:
        poses: camera_from_object, shape (N, 4, 4).
        evidence: Of each.
        model: The model.
        most: How many are returned, at most.
    """
    by_score = np.argsort(-evidence.score)
    by_open_score = np.lexsort((-evidence.score, -evidence.open_score))
    first = by_score[different(poses[by_score], model, max(1, round((1 - _OPEN_SHARE) * most)))]
    order = np.concatenate([first, by_open_score])
    kept = order[different(poses[order], model, most)]
    return kept[np.argsort(-evidence.score[kept])]


def different(poses: FloatArray, model: ObjectModel, most: int) -> npt.NDArray[np.intp]:
    """Return the places of the first hypotheses that differ from all before them, at most so many."""
    middle = middles(poses, model.center)
    kept: list[int] = []
    for i in range(len(poses)):
        if kept:
            cosine = (np.einsum("kij,ij->k", poses[kept, :3, :3], poses[i, :3, :3]) - 1) / 2
            near = np.linalg.norm(middle[kept] - middle[i], axis=1) < _SAME_SHIFT * model.radius
            if np.any(near & (cosine > np.cos(_SAME_TURN))):
                continue
        kept.append(i)
        if len(kept) == most:
            break
    return np.array(kept, np.intp)
