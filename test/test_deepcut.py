"""Tests for human/estimators/deepcut.py, its costs and both solvers. Whole maps: test_posenet.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError, WeightsError
from pose_perception.evaluation.labels import LabelledPicture, read_labels
from pose_perception.human.estimators.base import EstimationConfig, find_each_once
from pose_perception.human.estimators.deepcut import assemble
from pose_perception.human.estimators.deepcut_costs import Candidates, grouping_problem
from pose_perception.human.estimators.grouping import (
    SUPPRESSED,
    Grouping,
    GroupingProblem,
    grouping_cost,
    independent_parts,
)
from pose_perception.human.estimators.grouping_exact import group_exact
from pose_perception.human.estimators.grouping_fast import group_fast
from pose_perception.human.estimators.registry import make_estimator
from pose_perception.human.similarity import box_overlap
from pose_perception.human.topology import COCO_17
from pose_perception.recording.images import read_color

LIMIT_S = 60.0
KINDS = ("exact", "fast")


def solve(problem: GroupingProblem, kind: str) -> Grouping:
    return group_exact(problem, LIMIT_S) if kind == "exact" else group_fast(problem)


def random_problem(random: np.random.Generator, size: int) -> GroupingProblem:
    """Return a problem without any structure: the hardest for its size."""
    join, excludes = np.triu(random.normal(0, 1, (size, size)), 1), np.triu(random.random((size, size)) < 0.15, 1)
    return GroupingProblem(random.normal(0, 1, size), join + join.T, excludes | excludes.T)


def all_labels(size: int, used: int = 0) -> Iterator[list[int]]:
    """Yield every way to suppress some of the candidates and to group the others."""
    if size == 0:
        yield []
        return
    for label in range(SUPPRESSED, used + 1):
        for rest in all_labels(size - 1, max(used, label + 1)):
            yield [label, *rest]


def lowest_cost(problem: GroupingProblem) -> float:
    """Try all solutions, adding up pairs one by one."""
    best = 0.0
    for labels in all_labels(len(problem)):
        kept = [i for i, label in enumerate(labels) if label != SUPPRESSED]
        pairs = [(i, j) for i in kept for j in kept if i < j]
        if not any(problem.excludes[i, j] for i, j in pairs):
            joined = sum(problem.join[i, j] for i, j in pairs if labels[i] == labels[j])
            best = min(best, joined + sum(problem.keep[i] for i in kept))
    return best


def candidates_of(
    people: np.ndarray, seen: np.ndarray, noise: float, clutter: int = 0
) -> tuple[Candidates, np.ndarray]:
    """Return what a network with errors would say of known people.

    Args:
        people: (x, y) with shape (P, 17, 2), px.
        seen: Which parts have candidates with shape (P, 17).
        noise: Of places and guesses, over the height of a person.
        clutter: Number of candidates that are nothing.

    Returns:
        Candidates, and the person whom each belongs to, -1 for clutter.
    """
    random = np.random.default_rng(1)
    owner, parts = np.nonzero(seen)
    heights = np.ptp(people[..., 1], axis=1)[owner]
    pixels = people[owner, parts] + random.normal(0, 0.2 * noise, (len(owner), 2)) * heights[:, None]
    poses = people[owner] + random.normal(0, noise, (len(owner), 17, 2)) * heights[:, None, None]
    scores = random.uniform(0.3, 0.99, len(owner))
    low, high = people.min(axis=(0, 1)), people.max(axis=(0, 1))
    false = low + (high - low) * random.random((clutter, 2))
    parts = np.concatenate([parts, random.integers(0, 17, clutter)])
    poses = np.concatenate([poses, false[:, None] + heights.mean() * random.normal(0, 0.3, (clutter, 17, 2))])
    scores = np.concatenate([scores, random.uniform(0.1, 0.4, clutter)])
    pixels = np.concatenate([pixels, false])
    poses[np.arange(len(parts)), parts] = pixels
    owner = np.concatenate([owner, np.full(clutter, -1)])
    return Candidates(parts, pixels, scores, poses, np.full((len(parts), 17), 0.05)), owner


def scene(name: str, standing: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Return people, which of their parts are seen, noise and clutter."""
    random = np.random.default_rng(2)
    count = {"twenty": 20, "one": 1}.get(name, 6)
    places = np.stack([90.0 * np.arange(count), 300 + 40.0 * (np.arange(count) % 2)], axis=1)
    people = places[:, None] + 20 * standing + random.normal(0, 6, (count, 17, 2))
    seen = np.ones((count, 17), bool)
    if name == "crossed":  # wrists and ankles on the other side, people arm in arm
        people[:, [9, 10, 15, 16]] = people[:, [10, 9, 16, 15]]
        people[:-1, 9] = people[1:, 10] + 12
    if name == "hidden":
        seen = random.random(seen.shape) < 0.6
    return people, seen, {"noisy": 0.035}.get(name, 0.02), {"clutter": 60}.get(name, 0)


def same_groups(labels: np.ndarray, owner: np.ndarray) -> float:
    """Return the share of candidates of people whose group is the one of their person."""
    right = 0
    for person in range(owner.max() + 1):
        own = labels[owner == person]
        names, counts = np.unique(own[own != SUPPRESSED], return_counts=True)
        if len(names) and (owner[labels == names[counts.argmax()]] == person).mean() > 0.5:
            right += counts.max()
    return right / (owner >= 0).sum()


@pytest.mark.parametrize("seed", range(25))
def test_exact_equals_the_best_of_all_solutions_and_fast_is_never_better(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed), 1 + seed % 7)
    best = lowest_cost(problem)

    exact, fast = (solve(problem, kind) for kind in KINDS)

    assert exact.cost == pytest.approx(best, abs=1e-6)
    assert exact.gap == 0
    assert fast.cost >= best - 1e-9
    for solution in (exact, fast):
        assert grouping_cost(problem, solution.labels) == pytest.approx(solution.cost, abs=1e-9)


def test_local_search_is_mostly_the_optimum_of_problems_without_structure() -> None:
    problems = [random_problem(np.random.default_rng(seed), 9) for seed in range(20)]
    gaps = [group_fast(p).cost - group_exact(p, LIMIT_S).cost for p in problems]
    assert min(gaps) > -1e-6
    assert sum(gap < 1e-6 for gap in gaps) >= 14


def test_when_the_time_is_over_the_gap_says_so() -> None:
    problem = random_problem(np.random.default_rng(0), 40)
    solution = group_exact(problem, 0.0)
    assert solution.cost == pytest.approx(group_fast(problem).cost)
    assert solution.gap > 0
    assert solution.bound <= solution.cost


def test_parts_that_gain_nothing_together_are_solved_apart() -> None:
    join = np.array([[0, -1, 2, 0], [-1, 0, 0, 0], [2, 0, 0, 1], [0, 0, 1, 0]], float)
    excludes = np.zeros((4, 4), bool)
    parts = independent_parts(GroupingProblem(np.zeros(4), join, excludes))
    assert [part.tolist() for part in parts] == [[0, 1], [2], [3]]
    excludes[2, 3] = excludes[3, 2] = True
    parts = independent_parts(GroupingProblem(np.zeros(4), join, excludes))
    assert [part.tolist() for part in parts] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_made_of_nothing(kind: str) -> None:
    problem = GroupingProblem(np.empty(0), np.empty((0, 0)), np.empty((0, 0), bool))
    assert solve(problem, kind) == Grouping(pytest.approx(np.empty(0)), 0, 0)


@pytest.mark.parametrize(
    ("keep", "join", "excludes", "message"),
    [
        (np.zeros(2), np.zeros((3, 3)), np.zeros((2, 2), bool), r"\(2, 2\)"),
        (np.array([0, np.inf]), np.zeros((2, 2)), np.zeros((2, 2), bool), "finite"),
        (np.zeros(2), np.array([[0.0, 1], [2, 0]]), np.zeros((2, 2), bool), "symmetric"),
        (np.zeros(2), np.zeros((2, 2)), np.eye(2, dtype=bool), "excludes itself"),
    ],
)
def test_problems_that_make_no_sense_are_refused(
    keep: np.ndarray, join: np.ndarray, excludes: np.ndarray, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        GroupingProblem(keep, join, excludes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "least"),
    [("one", 1), ("plain", 1), ("crossed", 1), ("hidden", 0.97), ("noisy", 0.95), ("clutter", 0.97), ("twenty", 1)],
)
def test_known_people_come_back(name: str, least: float, kind: str, standing: np.ndarray) -> None:
    people, *rest = scene(name, standing)
    candidates, owner = candidates_of(people, *rest)

    labels = solve(grouping_problem(candidates), kind).labels

    assert same_groups(labels, owner) >= least
    found = assemble(candidates, labels)
    assert len(people) <= len(found.pixels) <= len(people) + 1
    assert (np.diff(found.person_scores) <= 0).all()
    distance = np.linalg.norm(found.pixels[:, None] - people, axis=-1).mean(axis=2)  # (found, P)
    assert (distance.min(axis=0) < 25).all()  # of people 330 high, parts without candidates included


@pytest.mark.parametrize("name", ["plain", "crossed", "hidden", "noisy", "clutter"])
def test_both_solvers_agree(name: str, standing: np.ndarray) -> None:
    candidates, _ = candidates_of(*scene(name, standing))
    problem = grouping_problem(candidates)
    exact, fast = (solve(problem, kind) for kind in KINDS)
    assert exact.gap == 0
    assert exact.cost <= fast.cost + 1e-6
    first, second = assemble(candidates, exact.labels), assemble(candidates, fast.labels)
    distance = np.linalg.norm(first.pixels[:, None] - second.pixels, axis=-1)  # (exact, fast, 17)
    agreeing = (distance < 1).sum(axis=2).max(axis=1)
    assert agreeing.sum() >= 0.95 * 17 * len(first.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_every_labelled_person_comes_back_from_candidates_made_of_the_labels(
    kind: str, labelled_pictures: list[LabelledPicture], standing: np.ndarray
) -> None:
    count = 0
    for picture in labelled_pictures:
        truth = picture.keypoints
        if not len(truth):
            continue
        seen = truth[..., 2] > 0
        low, high = picture.boxes[:, None, :2], picture.boxes[:, None, 2:]
        # Parts that are not seen are guessed to be where someone has them who stands in the box.
        guess = low + (high - low) * (standing - standing.min(axis=0)) / np.ptp(standing, axis=0)
        people = np.where(seen[..., None], truth[..., :2], guess)
        candidates, _ = candidates_of(people, seen, 0.0)
        found = assemble(candidates, solve(grouping_problem(candidates), kind).labels)
        assert len(found.pixels) == len(people), picture.path.name
        distance = np.linalg.norm(found.pixels[:, None] - people, axis=-1)  # (found, P, 17)
        assert np.where(seen, distance, 0).max(axis=2).min(axis=0).max() < 1e-6, picture.path.name
        count += len(people)
    assert count == 65


def test_joint_is_the_mean_of_its_candidates_weighted_with_their_probabilities(standing: np.ndarray) -> None:
    candidates, _ = candidates_of(*scene("one", standing))
    again = Candidates(*(np.concatenate([values, values[5:6]]) for values in candidates))
    again.pixels[-1] += 4
    again.scores[[5, -1]] = 0.9, 0.3
    people = assemble(again, np.zeros(len(again.parts), np.intp))
    np.testing.assert_allclose(people.pixels[0, 5], candidates.pixels[5] + 1)
    assert people.scores[0, 5] == 0.9


def test_part_without_candidate_is_where_the_nearest_part_sees_it_and_hardly_trusted(standing: np.ndarray) -> None:
    candidates, _ = candidates_of(*scene("one", standing))
    elbow, wrist = COCO_17.index["left_elbow"], COCO_17.index["left_wrist"]
    rest = Candidates(*(values[candidates.parts != wrist] for values in candidates))
    people = assemble(rest, np.zeros(len(rest.parts), np.intp))
    np.testing.assert_allclose(people.pixels[0, wrist], candidates.poses[elbow, wrist])
    assert people.scores[0, wrist] == 0.05


def test_one_place_is_not_both_the_left_and_the_right_part(standing: np.ndarray) -> None:
    people, seen, noise, _ = scene("one", standing)
    left, right = COCO_17.index["left_knee"], COCO_17.index["right_knee"]
    people[:, right] = people[:, left] + 2
    candidates, _ = candidates_of(people, seen, noise)
    candidates.scores[[left, right]] = 0.9, 0.6
    for kind in KINDS:
        labels = solve(grouping_problem(candidates), kind).labels
        assert labels[right] == SUPPRESSED
        assert (np.delete(labels, right) == labels[left]).all()


@pytest.mark.parametrize("grouping", KINDS)
def test_people_of_a_real_picture_are_found_once(grouping: str, shared_data: Path) -> None:
    folder = shared_data / "coco_keypoints"
    labels = read_labels(folder / "annotations" / "person_keypoints_val2017_4.json", folder / "images" / "val2017")
    estimator = make_estimator("deepcut", "cpu", EstimationConfig(grouping=grouping))
    for picture in labels.pictures[:2]:
        try:
            people = find_each_once(estimator, read_color(picture.path))
        except WeightsError as error:
            pytest.skip(str(error))
        sure = people.boxes[people.person_scores > 0.2]
        assert len(sure) == len(picture.boxes)
        assert (box_overlap(sure, picture.boxes).max(axis=0) > 0.5).all()
        assert (estimator.last_grouping.gap == 0) == (grouping == "exact")
