"""The probability that two part candidates belong to one person: fits the constants of deepcut's pairwise terms.

Prints them and how well they do on pictures that they were not fitted on:
`python benchmarks/deepcut_pairs.py LABELS.json IMAGES [LABELS.json IMAGES …]`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import FloatArray
from pose_perception.evaluation.labels import LabelledPicture, read_labels
from pose_perception.human.estimators.deepcut_costs import (
    PAIR_OFFSET,
    Candidates,
    find_candidates,
    pair_errors,
    person_sizes,
)
from pose_perception.human.estimators.posenet import PosenetReader
from pose_perception.human.similarity import COCO_SIGMAS
from pose_perception.recording.images import read_color

# People of different sizes in the input of the network, so that the constants do not depend on it.
_LONG_SIDES = (513, 641, 897)
_FOLDS = 5
# Object keypoint similarity above which a candidate is a labelled keypoint, and below which it surely is not.
_IS_PART, _IS_NOT = 0.5, 0.1


class Pairs(NamedTuple):
    """M pairs of candidates for different parts, of which one surely belongs to somebody.

    Attributes:
        errors: By how much they miss each other, over the size of the person, shape (M,).
        are_one: Whether the other one is the part of the same person, shape (M,).
        weights: Every pair counts once, shape (M,).
        pictures: Number of the picture, shape (M,).
    """

    errors: FloatArray
    are_one: FloatArray
    weights: FloatArray
    pictures: FloatArray


def label_pairs(candidates: Candidates, picture: LabelledPicture, scale: float, number: int) -> Pairs:
    """Compare the candidates of a picture with its labels; `scale` is px of the input per px of the picture."""
    notes = [note for note in picture.annotations if note["num_keypoints"] and not note["iscrowd"]]
    truth = np.array([note["keypoints"] for note in notes], float).reshape(-1, 17, 3)
    area = np.array([note["area"] for note in notes])
    parts = candidates.parts
    distance = np.linalg.norm(truth[:, parts, :2] - ((candidates.pixels + 0.5) / scale - 0.5), axis=2)  # (P, N)
    similarity = np.exp(-np.square(distance) / (2 * area[:, None] * np.square(2 * COCO_SIGMAS[parts])))
    similarity[truth[:, parts, 2] == 0] = np.nan
    owned = np.nan_to_num(similarity)
    owner = np.where(owned.max(axis=0) > _IS_PART, owned.argmax(axis=0), -1)
    i, j = np.nonzero((owner >= 0)[:, None] & (parts[:, None] != parts))
    of_owner = similarity[owner[i], j]
    sure = (of_owner > _IS_PART) | (of_owner < _IS_NOT)
    i, j, are_one = i[sure], j[sure], of_owner[sure] > _IS_PART
    sizes = person_sizes(candidates.poses)
    errors = pair_errors(candidates)[i, j] / ((sizes[i] + sizes[j]) / 2)
    # A pair whose both candidates have owners occurs twice.
    weights = np.where(owner[j] >= 0, 0.5, 1.0)
    return Pairs(errors, are_one.astype(float), weights, np.full(len(i), float(number)))


def fit(pairs: Pairs) -> FloatArray:
    """Return bias and weight of the logistic model with the greatest likelihood."""

    def loss(constants: FloatArray) -> tuple[float, FloatArray]:
        features = _features(pairs.errors)
        margin = (features @ constants) * (2 * pairs.are_one - 1)
        slope = -(2 * pairs.are_one - 1) / (1 + np.exp(margin)) * pairs.weights
        return float(pairs.weights @ np.logaddexp(0, -margin)), slope @ features

    return minimize(loss, np.zeros(2), jac=True).x


def held_out_errors(pairs: Pairs) -> tuple[float, float]:
    """Return log loss and rate of wrong decisions on pictures that the model was not fitted on."""
    loss = wrong = 0.0
    for fold in range(_FOLDS):
        held_out = pairs.pictures % _FOLDS == fold
        constants = fit(Pairs(*(values[~held_out] for values in pairs)))
        test = Pairs(*(values[held_out] for values in pairs))
        margin = (_features(test.errors) @ constants) * (2 * test.are_one - 1)
        loss += float(test.weights @ np.logaddexp(0, -margin))
        wrong += float(test.weights @ (margin < 0))
    return loss / pairs.weights.sum(), wrong / pairs.weights.sum()


def _features(errors: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(errors), -np.log(errors + PAIR_OFFSET)], axis=1)


def _read(sets: list[tuple[Path, Path]]) -> Iterator[Pairs]:
    pictures = [picture for labels, images in sets for picture in read_labels(labels, images).pictures]
    for side in _LONG_SIDES:
        reader = PosenetReader("cpu", side)
        for number, picture in enumerate(pictures):
            if len(picture.boxes):
                maps, scale = reader.read(read_color(picture.path))
                yield label_pairs(find_candidates(maps), picture, scale, number)


def main() -> None:
    """Print the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="LABELS IMAGES")
    files = parser.parse_args().pairs
    pairs = Pairs(*map(np.concatenate, zip(*_read(list(zip(files[::2], files[1::2], strict=True))), strict=True)))
    bias, weight = fit(pairs)
    loss, wrong = held_out_errors(pairs)
    print(f"{pairs.weights.sum():.0f} pairs, {pairs.weights @ pairs.are_one:.0f} of one person")
    print(f"logit = {bias:.2f} - {weight:.2f} ln(error / size + {PAIR_OFFSET})")
    print(f"held out: log loss {loss:.4f}, wrong {100 * wrong:.1f} %")


if __name__ == "__main__":
    main()
