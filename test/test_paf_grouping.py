"""Tests for human/estimators/paf_grouping.py: what a perfect network would say of known people leads back to them."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.evaluation.labels import LabelledPicture
from pose_perception.human.estimators.openpose_parts import BODY_25, COCO_18, PartSet
from pose_perception.human.estimators.paf_grouping import PartGraph, group_people, match_greedily
from pose_perception.recording.images import read_color

GRAPH = COCO_18.graph
NECK = 1
# A person who stands with the arms away from the body, cells, in the order of COCO_18: nose, neck, right arm, left arm,
# right leg, left leg, eyes, ears.
STANDING = np.array(
    [
        *([0, -8], [0, -5], [-2.5, -5], [-5, -2.5], [-6, 0.5], [2.5, -5], [5, -2.5], [6, 0.5]),
        *(
            [-1.7, 1],
            [-1.9, 6],
            [-2, 11],
            [1.7, 1],
            [1.9, 6],
            [2, 11],
            [-0.9, -9],
            [0.9, -9],
            [-1.8, -8.2],
            [1.8, -8.2],
        ),
    ]
)
# Of a peak and of half a limb, cells of 8 px, as in OpenPose's training.
SIGMA, HALF_WIDTH = 0.9, 1.0


def draw(people: np.ndarray, size: tuple[int, int], graph: PartGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence maps and part affinity fields as the networks are trained to make them.

    Args:
        people: (x, y) of the parts with shape (P, K, 2), cells; NaN where a part is not seen.
        size: Rows and columns.
        graph: Parts and limbs.

    Returns:
        Maps (R, C, K), the maximum over people, and fields (R, C, 2 L), the mean over people whose limbs overlap.
    """
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    squared = (x[..., None, None] - people[..., 0]) ** 2 + (y[..., None, None] - people[..., 1]) ** 2  # (R, C, P, K)
    maps = np.nan_to_num(np.exp(-squared / SIGMA**2)).max(axis=2, initial=0)
    fields = np.zeros((*size, 2 * len(graph.limbs)), np.float32)
    for (first, second), channels in zip(graph.limbs, graph.channels, strict=True):
        start, way = people[:, first], people[:, second] - people[:, first]
        length = np.linalg.norm(way, axis=1)
        unit = way / np.maximum(length, 1e-9)[:, None]
        dx, dy = x[..., None] - start[:, 0], y[..., None] - start[:, 1]  # (R, C, P)
        along = dx * unit[:, 0] + dy * unit[:, 1]
        across = np.abs(dx * unit[:, 1] - dy * unit[:, 0])
        with np.errstate(invalid="ignore"):
            on = (along >= -HALF_WIDTH / 2) & (along <= length + HALF_WIDTH / 2) & (across <= HALF_WIDTH)
        total = np.where(on[..., None], unit, 0.0).sum(axis=2)
        fields[..., channels] = total / np.maximum(on.sum(axis=2), 1)[..., None]
    return maps.astype(np.float32), fields


def linked_parts(people: np.ndarray, graph: PartGraph) -> list[tuple[int, list[int]]]:
    """Return (person, parts) for all sets of at least three seen parts that limbs join: what can be found at all."""
    found = []
    for i, seen in enumerate(np.isfinite(people[..., 0])):
        group = np.arange(graph.parts)
        for first, second in graph.limbs:
            if seen[first] and seen[second]:
                group[group == group[first]] = group[second]
        sets = [np.flatnonzero(seen & (group == each)).tolist() for each in np.unique(group)]
        found += [(i, parts) for parts in sets if len(parts) >= 3]
    return found


def recovered(people: np.ndarray, decoded: np.ndarray, graph: PartGraph = GRAPH) -> list[float]:
    """Return for every set of linked parts the share of them that is together in one decoded person."""
    shares = []
    for i, parts in linked_parts(people, graph):
        right = np.linalg.norm(decoded[:, parts] - people[i, parts], axis=2) < 0.5
        shares.append(float(right.mean(axis=1).max(initial=0)))
    return shares


@pytest.fixture(scope="module")
def labelled(labelled_pictures: list[LabelledPicture]) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Return people (P, 18, 2) and (height, width) of all labelled pictures, px."""
    pictures = []
    for picture in labelled_pictures:
        keypoints = picture.keypoints
        pixels = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
        people = np.full((len(keypoints), GRAPH.parts, 2), np.nan)
        people[:, COCO_18.coco] = pixels
        people[:, NECK] = pixels[:, [5, 6]].mean(axis=1)
        pictures.append((people, read_color(picture.path).shape[:2]))
    return pictures


def decode_labelled(
    people: np.ndarray, size: tuple[int, int], cell_px: float, noise: float = 0.0, strength: float = 1.0
) -> tuple[list[float], int, int]:
    """Return the shares of `recovered`, how many people there were to find, and how many were."""
    places = (people + 0.5) / cell_px - 0.5
    maps, fields = draw(places, (round(size[0] / cell_px), round(size[1] / cell_px)), GRAPH)
    random = np.random.default_rng(0)
    maps = strength * maps + random.normal(0, noise, maps.shape).astype(np.float32)
    fields = strength * fields + random.normal(0, noise, fields.shape).astype(np.float32)
    decoded = group_people(maps, fields, GRAPH)
    return recovered(places, decoded.points), len(linked_parts(places, GRAPH)), len(decoded.points)


def test_every_labelled_person_is_decoded(labelled: list[tuple[np.ndarray, tuple[int, int]]]) -> None:
    results = [decode_labelled(people, size, 4) for people, size in labelled]
    shares = np.array([share for result in results for share in result[0]])
    assert len(labelled) == 34
    assert len(shares) > 60
    # Where people stand behind each other in one line, a hip with its leg may go to the wrong one: their fields are the
    # same. Where the same part of two lies within a cell, there is one peak for both.
    assert shares.min() >= 0.6
    assert shares.mean() >= 0.98
    assert (shares == 1).mean() >= 0.9
    assert all(found == there for _, there, found in results)


def test_labelled_people_are_decoded_on_the_grid_of_the_network(
    labelled: list[tuple[np.ndarray, tuple[int, int]]],
) -> None:
    shares = np.concatenate([decode_labelled(people, size, 8)[0] for people, size in labelled])
    assert shares.mean() >= 0.96
    assert (shares >= 0.5).all()


def test_labelled_people_are_decoded_from_weak_and_noisy_maps(
    labelled: list[tuple[np.ndarray, tuple[int, int]]],
) -> None:
    results = [decode_labelled(people, size, 4, noise=0.01, strength=0.3) for people, size in labelled]
    shares = np.concatenate([result[0] for result in results])
    assert shares.mean() >= 0.97
    assert (shares >= 0.5).mean() >= 0.98
    assert sum(result[2] for result in results) <= sum(result[1] for result in results) + 2


def test_people_with_missing_parts_are_decoded(labelled: list[tuple[np.ndarray, tuple[int, int]]]) -> None:
    random = np.random.default_rng(1)
    results = []
    for people, size in labelled:
        partial = np.where(random.random(people.shape[:2])[..., None] < 0.2, np.nan, people)
        results.append(decode_labelled(partial, size, 4))
    shares = np.concatenate([result[0] for result in results])
    assert len(shares) > 40
    assert shares.mean() >= 0.97
    assert all(found == there for _, there, found in results)


def test_crossed_forearms_keep_their_wrists() -> None:
    people = np.array([[20, 20], [30, 20]])[:, None] + STANDING
    # The left forearm of the first and the right one of the second cross.
    people[0, 7], people[1, 4] = [29, 16], [21.5, 16]
    maps, fields = draw(people, (40, 50), GRAPH)
    decoded = group_people(maps, fields, GRAPH)
    assert recovered(people, decoded.points) == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_twenty_people(seed: int) -> None:
    random = np.random.default_rng(seed)
    middles = np.stack(np.meshgrid(np.arange(5) * 13 + 8, np.arange(4) * 15 + 12), axis=-1).reshape(20, 1, 2)
    people = STANDING * random.uniform(0.6, 1.2, (20, 1, 1)) + middles + random.uniform(-2.5, 2.5, (20, 1, 2))
    people += random.normal(0, 0.25, people.shape)
    maps, fields = draw(people, (72, 70), GRAPH)
    decoded = group_people(maps, fields, GRAPH)
    assert len(decoded.points) == 20
    shares = recovered(people, decoded.points)
    assert min(shares) >= 0.75
    assert np.mean(shares) >= 0.98


def test_positions_between_the_cells_are_exact() -> None:
    people = (STANDING * 1.5 + [20.3, 22.6])[None]
    maps, fields = draw(people, (45, 45), GRAPH)
    decoded = group_people(maps, fields, GRAPH)
    np.testing.assert_allclose(decoded.points, people, atol=0.01)


def test_peak_in_the_middle_between_two_cells_is_one_candidate() -> None:
    people = np.round(STANDING * 2 + 24)[None] + 0.5  # every part lies where four cells meet
    maps, fields = draw(people, (50, 50), GRAPH)
    assert len(group_people(maps, fields, GRAPH).points) == 1


def test_body_25_leads_back_to_its_people() -> None:
    graph = BODY_25.graph
    parts = np.full((25, 2), np.nan)
    parts[list(BODY_25.coco)] = STANDING[list(COCO_18.coco)]
    parts[1], parts[8] = STANDING[1], (STANDING[8] + STANDING[11]) / 2
    parts[19:] = STANDING[[13, 13, 13, 10, 10, 10]] + [
        [1.5, 2],
        [3, 1.5],
        [-0.5, 1.5],
        [-1.5, 2],
        [-3, 1.5],
        [0.5, 1.5],
    ]
    people = np.stack([parts * 2 + [20, 22], parts * 1.5 + [50, 20]])
    maps, fields = draw(people, (55, 70), graph)
    decoded = group_people(maps, fields, graph)
    assert recovered(people, decoded.points, graph) == [1.0, 1.0]


@pytest.mark.parametrize("parts", [COCO_18, BODY_25])
def test_part_sets_are_consistent(parts: PartSet) -> None:
    graph = parts.graph
    assert len(set(graph.limbs)) == len(graph.limbs) == len(graph.channels)
    assert sorted(channel for pair in graph.channels for channel in pair) == list(range(2 * len(graph.limbs)))
    assert {part for limb in graph.limbs for part in limb} == set(range(graph.parts))
    assert len(set(parts.coco)) == 17


def test_nothing_comes_of_nothing() -> None:
    people = group_people(np.zeros((46, 62, 18), np.float32), np.zeros((46, 62, 38), np.float32), GRAPH)
    assert people.points.shape == (0, 18, 2)
    assert people.person_scores.shape == (0,)


def test_noise_alone_ends_in_time_and_in_finite_numbers() -> None:
    random = np.random.default_rng(0)
    maps, fields = (random.normal(0, 0.5, (60, 60, channels)).astype(np.float32) for channels in (18, 38))
    people = group_people(maps, fields, GRAPH)
    assert np.isfinite(people.person_scores).all()
    assert (np.isfinite(people.points[..., 0]) == (people.scores > 0)).all()


def test_greedy_matching_takes_the_best_pair_that_is_free() -> None:
    random = np.random.default_rng(0)
    scores = np.where(random.random((30, 40)) < 0.3, -np.inf, random.random((30, 40)))
    rows, columns = match_greedily(scores)
    expected = set()
    left = scores.copy()
    while left.max() > -np.inf:
        row, column = np.unravel_index(left.argmax(), left.shape)
        expected.add((row, column))
        left[row], left[:, column] = -np.inf, -np.inf
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
