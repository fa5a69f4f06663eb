"""Grouping by local search: greedy additive joining, then moves as in Kernighan and Lin.

In the style of NL-LMP (Levinkov et al., Joint Graph Decomposition and Node Labeling, 2017).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

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


def group_fast(problem: GroupingProblem) -> Grouping:
    """Return a good solution; usually, but not surely, the best one."""
    parts = independent_parts(problem)
    return join_solutions(len(problem), parts, [_solve(problem.part(index)) for index in parts])


def _solve(problem: GroupingProblem) -> Grouping:
    labels = _improve(problem, _exclude(problem, _join_greedily(problem)))
    _, labels[labels != SUPPRESSED] = np.unique(labels[labels != SUPPRESSED], return_inverse=True)
    return Grouping(labels, grouping_cost(problem, labels), -np.inf)


def _join_greedily(problem: GroupingProblem) -> Labels:
    """Begin with groups of one; join the two that gain most until none gain."""
    labels = np.arange(len(problem))
    between = problem.join.copy()
    np.fill_diagonal(between, np.inf)
    while len(problem) > 1:
        a, b = divmod(int(between.argmin()), len(problem))
        if between[a, b] >= -TOLERANCE:
            break
        between[a] += between[b]
        between[:, a] = between[a]
        between[b] = between[:, b] = np.inf
        between[a, a] = np.inf
        labels[labels == b] = a
    return labels


def _exclude(problem: GroupingProblem, labels: Labels) -> Labels:
    """Suppress of every two that exclude each other the one that is worth less in its group."""
    worth = problem.keep + np.where(labels[:, None] == labels, problem.join, 0).sum(axis=1)
    for i in np.argsort(-worth, kind="stable"):
        rivals = problem.excludes[i] & (labels != SUPPRESSED)
        if rivals.any():
            labels[i] = SUPPRESSED
    return labels


def _improve(problem: GroupingProblem, labels: Labels) -> Labels:
    """Make the best move of a candidate or a group, or else the best of many at once, as long as one gains anything."""
    while True:
        groups = np.unique(labels[labels != SUPPRESSED])
        member = (labels[:, None] == groups).astype(np.float64)  # (N, K)
        moves = (*_candidate_moves(problem, labels, groups, member), _move_group(problem, labels, groups, member))
        change, moved = min(moves, key=lambda move: move[0])
        if change >= -TOLERANCE:
            change, moved = _exchange(problem, labels, groups)
        if change >= -TOLERANCE:
            return labels
        labels = moved


def _candidate_moves(
    problem: GroupingProblem, labels: Labels, groups: Labels, member: FloatArray
) -> tuple[tuple[float, Labels], tuple[float, Labels]]:
    """Return the best move of one candidate: to another group, a new one or none, and to the place of another.

    The candidates that it excludes are suppressed with the move, and so is the one whose place it takes.
    """
    kept = labels != SUPPRESSED
    rivals = (problem.excludes & kept).astype(np.float64)  # (N, N)
    in_group = member @ member.T * problem.join
    now = np.where(kept, problem.keep, 0) + in_group.sum(axis=1)
    lost = rivals @ in_group  # pairs of a candidate with the rivals of another
    # Columns: the K groups, a new one, suppressed.
    change = np.zeros((len(problem), len(groups) + 2))
    change[:, :-1] = (problem.keep - rivals @ now + (lost * rivals).sum(axis=1) / 2)[:, None]
    change[:, :-2] += (problem.join - rivals * problem.join) @ member
    change -= now[:, None]
    column = np.where(kept, np.searchsorted(groups, labels), len(groups) + 1)
    change[np.arange(len(problem)), column] = np.inf
    i, place = divmod(int(change.argmin()), change.shape[1])
    moved = labels.copy()
    if place <= len(groups):
        moved[problem.excludes[i]] = SUPPRESSED
    moved[i] = (*groups, groups.max(initial=-1) + 1, SUPPRESSED)[place]
    replace = change[:, column] - problem.join - now + lost  # (N, N): into the group of another, who goes
    replace[:, ~kept] = np.inf
    replace[rivals > 0] = np.inf
    new, old = divmod(int(replace.argmin()), len(problem))
    replaced = labels.copy()
    replaced[problem.excludes[new]] = SUPPRESSED
    replaced[new], replaced[old] = labels[old], SUPPRESSED
    return (float(change[i, place]), moved), (float(replace[new, old]), replaced)


def _move_group(problem: GroupingProblem, labels: Labels, groups: Labels, member: FloatArray) -> tuple[float, Labels]:
    """Return the best way to suppress a whole group or to join two."""
    if not len(groups):
        return np.inf, labels
    change = member.T @ problem.join @ member  # off the diagonal: what joining two groups costs
    inside = np.diagonal(change) / 2 + problem.keep @ member
    np.fill_diagonal(change, -inside)
    a, b = divmod(int(change.argmin()), len(groups))
    moved = np.where(labels == groups[a], SUPPRESSED if a == b else groups[b], labels)
    return float(change[a, b]), moved


def _exchange(problem: GroupingProblem, labels: Labels, groups: Labels) -> tuple[float, Labels]:
    """Return the best exchange of members between two groups, or split of one, that Kernighan and Lin's sequences find.

    Each member changes sides once, always the one that costs least, even if it costs something; the best moment counts.
    """
    best, moved = np.inf, labels
    for a, b in combinations((*groups, groups.max(initial=-1) + 1), 2):
        index = np.flatnonzero((labels == a) | (labels == b))
        join = problem.join[np.ix_(index, index)]
        side = np.where(labels[index] == a, 1.0, -1.0)
        left = np.zeros(len(index))
        cost = 0.0
        for _ in index:
            change = left - side * (join @ side)
            i = int(change.argmin())
            cost += change[i]
            side[i], left[i] = -side[i], np.inf
            if cost < best:
                best, moved = cost, labels.copy()
                moved[index] = np.where(side > 0, a, b)
    return best, moved
