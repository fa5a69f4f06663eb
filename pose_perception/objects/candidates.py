"""Poses of one model that compete with each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.objects.verification import Evidence


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
