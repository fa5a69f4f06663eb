"""Tests for human/association.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pose_perception.human.appearance import APPEARANCE_SIZE
from pose_perception.human.association import Expected, assign, continuation_costs, return_costs
from pose_perception.human.sightings import Sightings


def _sightings(*places: tuple[float, float, float], clothes: float = 0.0, trunk_m: float = 0.5) -> Sightings:
    """People at places whose trunks' pixels all have the same colour and depth."""
    points = np.array(places, float).reshape(-1, 3)
    n = len(points)
    look = np.full((n, 40, 3), clothes)
    depth = np.repeat(points[:, 2:] - 0.1, 40, axis=1)
    return Sightings(points / points[:, 2:], trunk_m / points[:, 2], look, depth, look, depth, True)


def _expected(
    *places: tuple[float, float, float], gap_s: float = 0.07, sigma_m: float = 0.05, clothes: float = 0.0
) -> Expected:
    n = len(places)
    centers = np.array(places, float).reshape(-1, 3)
    look = np.zeros((n, APPEARANCE_SIZE))
    look[:, [0, 1, 2, 6, 7, 8]] = clothes
    return Expected(
        pixels=np.zeros((n, 17, 2)),
        scores=np.ones((n, 17)),
        boxes=np.zeros((n, 4)),
        spread_px=np.zeros(n),
        centers=centers,
        covariances=np.tile(np.eye(3) * sigma_m**2, (n, 1, 1)),
        last_centers=centers,
        trunks=np.full(n, 0.5),
        appearances=look,
        gaps_s=np.full(n, gap_s),
    )


def _costs(sightings: Sightings, expected: Expected, similarity: float = 0.8) -> np.ndarray:
    shape = (len(sightings), len(expected.gaps_s))
    return continuation_costs(np.full(shape, similarity), sightings, expected, 0.25)


def test_all_pairs_are_the_best_of_all_ways_to_pair() -> None:
    costs = np.random.default_rng(2).uniform(0, 8, (4, 4))
    best = min(itertools.permutations(range(4)), key=lambda order: sum(costs[i, j] for i, j in enumerate(order)))
    assert sorted(assign(costs)) == list(enumerate(best))


def test_what_cannot_be_is_never_matched() -> None:
    assert assign(np.array([[np.inf, 1.0], [np.inf, 2.0]])) == [(0, 1)]
    assert assign(np.full((2, 3), np.inf)) == []
    assert assign(np.empty((0, 3))) == []


def test_two_bad_matches_do_not_replace_a_very_good_one() -> None:
    assert assign(np.array([[0.5, 7.0], [7.0, np.inf]])) == [(0, 0)]


def test_who_is_nearer_costs_less() -> None:
    costs = _costs(_sightings((0, 0, 2), (0.2, 0, 2), (0, 0, 2.3)), _expected((0, 0, 2)))[:, 0]
    assert costs[0] < costs[1]
    assert costs[0] < costs[2] < np.inf


def test_the_person_in_front_is_not_the_one_behind() -> None:
    # The same pose in the image, 0.8 m nearer.
    assert np.isinf(_costs(_sightings((0, 0, 1.7)), _expected((0, 0, 2.5)), similarity=0.95)).all()


def test_whose_place_is_certain_goes_first() -> None:
    sure, unsure = _expected((0, 0, 2)), _expected((0, 0, 2), gap_s=1.0, sigma_m=0.8)
    assert _costs(_sightings((0, 0, 2)), sure) < _costs(_sightings((0, 0, 2)), unsure)


def test_clothes_decide_when_somebody_was_hidden() -> None:
    hidden = _expected((0, 0, 2), gap_s=1.5, sigma_m=0.8)
    assert np.isfinite(_costs(_sightings((0.5, 0, 2)), hidden)).all()
    assert np.isinf(_costs(_sightings((0.5, 0, 2), clothes=0.3), hidden)).all()


def test_joints_without_a_trunk_are_nobody_who_was_hidden() -> None:
    bare = _sightings((np.nan, np.nan, np.nan))
    assert np.isfinite(_costs(bare, _expected((0, 0, 2)))).all()
    assert np.isinf(_costs(bare, _expected((0, 0, 2), gap_s=0.6))).all()


@pytest.mark.parametrize(
    ("seen", "is_known"),
    [
        (_sightings((0.5, 0, 2)), True),
        (_sightings((0.5, 0, 2), clothes=0.3), False),  # other clothes
        (_sightings((0.5, 0, 2), trunk_m=0.8), False),  # much taller
        (_sightings((0.5, 0, 2), trunk_m=0.28), False),  # a child
        (_sightings((9, 0, 2)), False),  # nobody walks so far in 4 s
        (_sightings((np.nan, np.nan, np.nan)), False),  # neither clothes nor place are seen
    ],
)
def test_who_comes_back_is_known_by_clothes_size_and_place(seen: Sightings, is_known: bool) -> None:
    costs = return_costs(seen, _expected((0, 0, 2), gap_s=4.0))
    assert np.isfinite(costs[0, 0]) == is_known
