"""Grouping by an integer linear program, solved with HiGHS.

Variables are x_i (candidate i is kept) and y_ij (i and j are in one group), all 0 or 1. The constraints are those of
DeepCut: y_ij <= x_i, x_i + x_j <= 1 where two exclude each other, and y_ij + y_jk - y_ik <= 1 (who is together with the
same is together). A candidate has one label here, so that DeepCut's third set of variables is y itself. Only those
constraints are passed to the solver that a solution has violated: first on the linear relaxation, then with integers.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.grouping import (
    SUPPRESSED,
    TOLERANCE,
    Grouping,
    GroupingProblem,
    Labels,
    grouping_cost,
    independent_parts,
    join_solutions,
)
from pose_perception.human.estimators.grouping_fast import group_fast

# Violated constraints added at a time; more make each program slower, fewer need more programs.
_MOST_CUTS = 2000


def group_exact(problem: GroupingProblem, time_limit_s: float) -> Grouping:
    """Return the best solution, or when the time is over the best one known and how good one could be at most.

    Args:
        problem: What to solve.
        time_limit_s: For everything together, in seconds.
    """
    deadline = time.monotonic() + time_limit_s
    parts = independent_parts(problem)
    # Small parts first: they surely get done.
    order = sorted(range(len(parts)), key=lambda k: len(parts[k]))
    solutions = {k: _solve(problem.part(parts[k]), deadline) for k in order}
    return join_solutions(len(problem), parts, [solutions[k] for k in range(len(parts))])


class _Relaxed(NamedTuple):
    """What the solver says: values with shape (N + pairs,) or None, and a cost that no solution is below."""

    values: FloatArray | None
    bound: float


def _solve(problem: GroupingProblem, deadline: float) -> Grouping:
    """Solve relaxations with more and more constraints, until one has a solution that keeps to all."""
    program = _Program(problem)
    best = group_fast(problem)._replace(bound=program.trivial_bound)
    is_integer = False
    while best.gap > 0 and (left := deadline - time.monotonic()) > 0:
        solved = program.solve(left, is_integer)
        best = best._replace(bound=max(best.bound, min(solved.bound, best.cost)))
        if solved.values is None:
            break
        if program.add_violated(solved.values):
            continue
        if is_integer or np.abs(solved.values - np.rint(solved.values)).max() <= TOLERANCE:
            labels = program.labels(solved.values)
            cost = grouping_cost(problem, labels)
            return best if best.cost <= cost else Grouping(labels, cost, min(solved.bound, cost))
        is_integer = True
    return best


class _Program:
    """The integer program of one problem with the constraints collected so far."""

    def __init__(self, problem: GroupingProblem) -> None:
        self._problem = problem
        self._n = len(problem)
        self._i, self._j = np.triu_indices(self._n, 1)
        self._pair = np.zeros((self._n, self._n), np.intp)  # variable of each pair
        self._pair[self._i, self._j] = self._pair[self._j, self._i] = self._n + np.arange(len(self._i))
        self._cost = np.concatenate([problem.keep, problem.join[self._i, self._j]])
        self._rows: list[npt.NDArray[np.intp]] = []  # (M, 3) variables
        self._signs: list[FloatArray] = []  # (M, 3) factors
        self._limits: list[FloatArray] = []
        excluded = problem.excludes[self._i, self._j]
        pairs = np.stack([self._i[excluded], self._j[excluded], self._j[excluded]], axis=1)
        self._add(pairs, (1, 1, 0), 1)
        self.trivial_bound = float(np.minimum(self._cost, 0).sum())

    def solve(self, time_limit_s: float, is_integer: bool) -> _Relaxed:
        """Solve with the constraints known so far, with whole numbers or as a linear relaxation."""
        count = len(self._cost)
        rows, signs = np.concatenate(self._rows), np.concatenate(self._signs)
        index = np.repeat(np.arange(len(rows)), 3)
        matrix = csr_array(coo_array((signs.ravel(), (index, rows.ravel())), shape=(len(rows), count)))
        constraints = [LinearConstraint(matrix, -np.inf, np.concatenate(self._limits))] if len(rows) else []
        result = milp(
            self._cost,
            integrality=np.full(count, int(is_integer)),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
        )
        if result.status == 0:
            return _Relaxed(result.x, float(result.fun))
        bound = getattr(result, "mip_dual_bound", None)
        return _Relaxed(None, -np.inf if bound is None or not is_integer else float(bound))

    def add_violated(self, values: FloatArray) -> int:
        """Add the constraints that a solution violates most, and return how many those are."""
        together = self._together(values)
        over = together - values[: self._n, None]
        i, j = np.nonzero(over > TOLERANCE)
        rows = [np.stack([self._pair[i, j], i, i], axis=1)]
        excess = [over[i, j]]
        for j in range(self._n):
            over = np.triu(together[j][:, None] + together[j] - together - 1, 1)
            i, k = np.nonzero(over > TOLERANCE)
            # No more than can be chosen in the end: of hundreds of candidates there are millions of triangles.
            most = np.argsort(-over[i, k], kind="stable")[:_MOST_CUTS]
            i, k = i[most], k[most]
            rows.append(np.stack([self._pair[i, j], self._pair[j, k], self._pair[i, k]], axis=1))
            excess.append(over[i, k])
        is_triangle = np.repeat([False, True], [len(rows[0]), sum(map(len, rows[1:]))])
        worst = np.argsort(-np.concatenate(excess), kind="stable")[:_MOST_CUTS]
        chosen, is_triangle = np.concatenate(rows)[worst], is_triangle[worst]
        self._add(chosen[~is_triangle], (1, -1, 0), 0)
        self._add(chosen[is_triangle], (1, 1, -1), 1)
        return len(chosen)

    def labels(self, values: FloatArray) -> Labels:
        """Return the groups that whole numbers describe."""
        kept = values[: self._n] > 0.5
        _, group = connected_components(csr_array(self._together(values) > 0.5), directed=False)
        return np.where(kept, group, SUPPRESSED)

    def _together(self, values: FloatArray) -> FloatArray:
        together = np.zeros((self._n, self._n))
        together[self._i, self._j] = together[self._j, self._i] = values[self._n :]
        return together

    def _add(self, rows: npt.NDArray[np.intp], signs: tuple[int, int, int], limit: int) -> None:
        self._rows.append(rows)
        self._signs.append(np.broadcast_to(np.array(signs, np.float64), rows.shape))
        self._limits.append(np.full(len(rows), float(limit)))
