"""Tests for human/estimators/posenet.py, and for deepcut on whole maps: what is drawn of known people is decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import PoseEstimates
from pose_perception.errors import WeightsError
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.evaluation.labels import LabelledPicture
from pose_perception.human.estimators.base import MIN_SCORE
from pose_perception.human.estimators.deepcut import decode_deepcut
from pose_perception.human.estimators.posenet import (
    EDGES,
    KEYPOINTS,
    LONG_SIDE,
    STRIDE,
    PosenetMaps,
    PosenetPeople,
    PosenetReader,
    decode_greedy,
    estimates_in_image,
    sample,
    split_maps,
)
from pose_perception.human.similarity import suppress_duplicates
from pose_perception.human.topology import COCO_17
from pose_perception.recording.images import read_color

MIRRORED = [COCO_17.index[f"{side}_{joint}"] for joint in ("wrist", "ankle") for side in ("left", "right")]
DECODERS: dict[str, Callable[[PosenetMaps], PosenetPeople]] = {
    "greedy": decode_greedy,
    "fast": lambda maps: decode_deepcut(maps, is_exact=False)[0],
    "exact": lambda maps: decode_deepcut(maps, is_exact=True)[0],
}
each_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)


def with_hidden_parts(person: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """Put what is not seen (NaN) where someone who stands has it: a network has an opinion there, too."""
    seen = np.isfinite(person[:, 0])
    model, known = standing[seen], person[seen]
    spread = np.square(model - model.mean(axis=0)).sum()
    scale = np.sqrt(np.square(known - known.mean(axis=0)).sum() / spread) if spread else 5.0
    guess = known.mean(axis=0) + scale * (standing - model.mean(axis=0))
    return np.where(seen[:, None], person, guess)


def draw(people: np.ndarray, standing: np.ndarray, size: tuple[int, int], noise: float = 0.0) -> PosenetMaps:
    """Return maps as the network is trained to make them.

    Args:
        people: (x, y) with shape (P, 17, 2), px; NaN where a part is not seen.
        standing: Where someone has the parts that are not seen, shape (17, 2).
        size: Rows and columns.
        noise: Standard deviation of offsets and displacements, cells; of the heat a fifth of it.
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    cells = STRIDE * np.stack([columns, rows], axis=-1)
    whole = np.stack([with_hidden_parts(person, standing) for person in people])
    way = whole - cells[:, :, None, None]  # (R, C, P, K, 2): each cell speaks for the person next to it
    distance = np.linalg.norm(way, axis=-1)
    seen = np.where(np.isfinite(people[..., 0]), distance, np.inf).min(axis=2)
    heat = 0.99 * np.exp(-(seen**2) / (2 * STRIDE**2))
    owner = distance.argmin(axis=2)  # (R, C, K)

    def vectors(steps: list[tuple[int, int]]) -> np.ndarray:
        return np.stack([way[rows, columns, owner[:, :, start], end] for start, end in steps], axis=2)

    random = np.random.default_rng(0)
    fields = [vectors(steps) for steps in ([(k, k) for k in range(KEYPOINTS)], list(EDGES), [e[::-1] for e in EDGES])]
    fields = [field + random.normal(0, noise * STRIDE, field.shape) for field in fields]
    heat = np.clip(heat + (heat > 0.05) * random.normal(0, noise / 5, heat.shape), 0, 1)
    return PosenetMaps(*(values.astype(np.float32) for values in (heat, *fields)))


def errors(found: PosenetPeople, person: np.ndarray) -> np.ndarray:
    """Return the distances from the parts of a person to those of the one found that fits best, px."""
    seen = np.isfinite(person[:, 0])
    distance = np.linalg.norm(found.pixels[:, seen] - person[seen], axis=2)
    return distance[distance.mean(axis=1).argmin()]


@each_decoder
def test_every_labelled_person_is_decoded_from_maps_made_of_the_labels(
    decode: Callable[[PosenetMaps], PosenetPeople], labelled_pictures: list[LabelledPicture], standing: np.ndarray
) -> None:
    count = 0
    for picture in labelled_pictures:
        truth = picture.keypoints
        if not len(truth):
            continue
        height, width = read_color(picture.path).shape[:2]
        scale = LONG_SIDE / max(height, width)
        people = np.where(truth[..., 2:] > 0, (truth[..., :2] + 0.5) * scale - 0.5, np.nan)
        found = decode(draw(people, standing, (int(height * scale / STRIDE) + 2, int(width * scale / STRIDE) + 2)))
        assert len(found.pixels) == len(people), picture.path.name
        for person in people:
            assert errors(found, person).max() < STRIDE / 2, picture.path.name
            count += 1
    assert count == 65


@each_decoder
@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_people_of_a_crowd_are_kept_apart(
    decode: Callable[[PosenetMaps], PosenetPeople], noise: float, standing: np.ndarray
) -> None:
    people = np.stack([(100 + 75 * i, 250 + 30 * (i % 2)) + 20 * standing for i in range(10)])

    found = decode(draw(people, standing, (32, 60), noise))

    assert len(found.pixels) == len(people)
    for person in people:
        assert np.mean(errors(found, person)) < (10 if noise else 1)


@each_decoder
def test_crossed_limbs_and_hidden_parts(decode: Callable[[PosenetMaps], PosenetPeople], standing: np.ndarray) -> None:
    crossed = (200, 250) + 24 * standing
    crossed[MIRRORED] = crossed[[10, 9, 16, 15]]
    behind = (280, 240) + 24 * standing
    behind[[0, 1, 2, 9, 11, 13, 15]] = np.nan
    people = np.stack([crossed, behind])

    found = decode(draw(people, standing, (32, 32)))

    assert len(found.pixels) == 2
    for person in people:
        assert errors(found, person).max() < STRIDE / 2  # between two people a cell speaks for one of them


@each_decoder
def test_nobody_in_maps_without_heat(decode: Callable[[PosenetMaps], PosenetPeople], standing: np.ndarray) -> None:
    maps = draw(standing[None] * 20 + 300, standing, (20, 20))
    assert len(decode(maps._replace(heat=np.zeros_like(maps.heat))).pixels) == 0


def test_fields_are_read_between_their_cells_and_stay_at_the_border() -> None:
    rows, columns = np.mgrid[:3, :4].astype(np.float64)
    field = np.stack([rows + 10 * columns, rows], axis=-1)[:, :, None].repeat(2, axis=2)
    pixels = STRIDE * np.array([[1.5, 0.25], [3.0, 2.0], [9.0, -5.0]])
    values = sample(field, pixels, np.array([0, 1, 1]))
    np.testing.assert_allclose(values, [[15.25, 0.25], [32, 2], [30, 0]])


def test_results_of_the_network_become_probabilities_and_x_before_y() -> None:
    shapes = {"heatmap": 17, "offset": 34, "displacement_fwd": 32, "displacement_bwd": 32}
    outputs = {name: np.zeros((2, 3, 4, depth), np.float32) for name, depth in shapes.items()}
    outputs["offset"][1, 2, 3, [5, 17 + 5]] = (7, 8)  # y and x of the left shoulder
    maps = split_maps(outputs)
    assert len(maps) == 2
    np.testing.assert_allclose(maps[0].heat, 0.5)
    np.testing.assert_allclose(maps[1].offsets[2, 3, 5], (8, 7))
    assert maps[1].forward.shape == (3, 4, 16, 2)


def test_pixels_of_the_input_become_pixels_of_the_image() -> None:
    corner = np.broadcast_to([-0.5, 639.5], (1, 17, 2))  # the border of the input, left and below
    people = estimates_in_image(PosenetPeople(corner, np.ones((1, 17)), np.ones(1)), 0.5)
    np.testing.assert_allclose(people.pixels[0, 0], [-0.5, 1279.5])


def test_people_of_real_pictures_are_found(shared_data: Path) -> None:
    folder = shared_data / "coco_keypoints"
    reader = PosenetReader("cpu", 641)

    def find(color: np.ndarray) -> PoseEstimates:
        maps, scale = reader.read(color)
        people = estimates_in_image(decode_greedy(maps), scale)
        return people.select(suppress_duplicates(people, MIN_SCORE, 0.5))

    try:
        figures = evaluate_coco(
            find, folder / "annotations" / "person_keypoints_val2017_4.json", folder / "images" / "val2017"
        )
    except WeightsError as error:
        pytest.skip(str(error))
    assert figures.ap > 0.5
