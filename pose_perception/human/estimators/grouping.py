"""Labelling and grouping of part candidates as one optimisation problem: minimum cost node-labelled multicut.

The problem of DeepCut (Pishchulin et al., 2016) in the form of DeeperCut (Insafutdinov et al., 2016): every candidate
is kept or suppressed, and those kept fall into groups, one for each person. A candidate that could be one of several
parts is several candidates here that exclude each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError

SUPPRESSED = -1
"""Label of a candidate that is no part of anybody."""

TOLERANCE = 1e-6
"""Numerical: costs and violations below are none."""

Labels = npt.NDArray[np.intp]


@dataclass(frozen=True)
class GroupingProblem:
    """N candidates and what it costs to keep and to join them; costs are log((1 - p) / p) of probabilities.

    Attributes:
        keep: Cost of keeping each candidate with shape (N,).
        join: Cost of two kept candidates in one group with shape (N, N), symmetric, zero on the diagonal.
        excludes: Which two cannot both be kept with shape (N, N), symmetric.

    Raises:
        InvalidInputError: shapes do not fit, a cost is not finite, or a matrix is not symmetric.
    """

    keep: FloatArray
    join: FloatArray
    excludes: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = len(self.keep)
        if self.keep.shape != (n,) or self.join.shape != (n, n) or self.excludes.shape != (n, n):
            raise InvalidInputError(
                f"costs of {n} candidates need matrices with shape {(n, n)}, got {self.join.shape} for joining "
                f"and {self.excludes.shape} for exclusion"
            )
        if not (np.isfinite(self.keep).all() and np.isfinite(self.join).all()):
            raise InvalidInputError("costs must be finite; clip probabilities away from 0 and 1")
        if np.diagonal(self.join).any() or (self.join != self.join.T).any():
            raise InvalidInputError("the costs of joining must be symmetric with a zero diagonal")
        if np.diagonal(self.excludes).any() or (self.excludes != self.excludes.T).any():
            raise InvalidInputError("exclusion must be symmetric, and no candidate excludes itself")

    def __len__(self) -> int:
        return len(self.keep)

    def part(self, index: npt.NDArray[np.intp]) -> GroupingProblem:
        """Return the problem of some candidates alone, shape (M,)."""
        square = np.ix_(index, index)
        return GroupingProblem(self.keep[index], self.join[square], self.excludes[square])


class Grouping(NamedTuple):
    """A solution.

    Attributes:
        labels: Group of each candidate with shape (N,), or `SUPPRESSED`.
        cost: Its cost.
        bound: No solution costs less; minus infinity when nothing is known.
    """

    labels: Labels
    cost: float
    bound: float

    @property
    def gap(self) -> float:
        """How far from the optimum the cost may be, over the cost (at least 1); 0 when it is the optimum."""
        difference, scale = self.cost - self.bound, max(abs(self.cost), 1.0)
        return difference / scale if difference > TOLERANCE * scale else 0.0


def grouping_cost(problem: GroupingProblem, labels: Labels) -> float:
    """Return the cost of a solution; infinity when it keeps two candidates that exclude each other."""
    kept = labels != SUPPRESSED
    if problem.excludes[np.ix_(kept, kept)].any():
        return float("inf")
    together = (labels[:, None] == labels) & kept[:, None] & kept
    return float(problem.keep[kept].sum() + problem.join[together].sum() / 2)


def independent_parts(problem: GroupingProblem) -> list[npt.NDArray[np.intp]]:
    """Split candidates so that each part can be solved by itself without losing the optimum.

    A group that is not connected by pairs that gain from being together costs no more in two pieces.
    """
    count, part = connected_components(csr_array((problem.join < 0) | problem.excludes), directed=False)
    order = np.argsort(part, kind="stable")
    return np.split(order, np.cumsum(np.bincount(part, minlength=count))[:-1]) if count else []


def join_solutions(size: int, parts: list[npt.NDArray[np.intp]], solutions: list[Grouping]) -> Grouping:
    """Put the solutions of independent parts of a problem with `size` candidates together."""
    labels = np.full(size, SUPPRESSED, np.intp)
    next_label = 0
    for index, solution in zip(parts, solutions, strict=True):
        kept = solution.labels != SUPPRESSED
        labels[index[kept]] = solution.labels[kept] + next_label
        next_label += int(solution.labels.max(initial=-1)) + 1
    return Grouping(labels, sum(s.cost for s in solutions), sum(s.bound for s in solutions))
