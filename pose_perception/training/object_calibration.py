"""Fits how the evidence for poses is weighed, and what probability it makes, on simulated tables.

`python -m pose_perception.training.object_calibration --tables N --out FILE`. Two fits, each by the maximum
likelihood: the merit by which candidates of one object are sorted (a softmax over candidates whose right ones should
have all of it), and the probability that the first one is right within a tenth of the diameter (logistic). Half of the
objects are given with masks, half are searched for, and so are some that are not there. The coefficients go into
`objects.scoring`; figures and the reliability curve into `docs/objects.md`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pose_perception.datatypes import FloatArray
from pose_perception.networks.catalogue import find_spec
from pose_perception.networks.runtime import Network, load_network, run_network
from pose_perception.objects.candidates import Candidates
from pose_perception.objects.crops import Observation
from pose_perception.objects.exploration import explore
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.palette import palette_of
from pose_perception.objects.registration import Registration, RegistrationConfig, SearchedModel, masked_points
from pose_perception.objects.scoring import DOUBT, agreeing, merit_features, probability_features
from pose_perception.objects.segmentation import Scene, SegmentationConfig
from pose_perception.simulation.tabletop.frames import Tabletop

_FIRST_SEED = 500_000  # far from those of evaluations
_LEAST_VISIBLE, _LEAST_PX = 0.25, 400
_RIGHT = 0.1
_ABSENT = 3  # objects that are not on the table but are looked for
_STEPS = 400
_PENALTY = 1e-3


class Example(NamedTuple):
    """Candidates of one search.

    Attributes:
        merit: `merit_features` of each candidate, shape (N, F).
        probability: `probability_features` of the first, shape (G,).
        error: Of each candidate in diameters, shape (N,); infinite where another object is there.
    """

    merit: FloatArray
    probability: FloatArray
    error: FloatArray


def examples_of(seed: int, registration: Registration) -> list[Example]:
    """Search for the objects of one simulated table, and for some that are not there.

    Args:
        seed: Of the table.
        registration: With the network that is calibrated.
    """
    rng = np.random.default_rng((seed, 5))
    table = Tabletop(seed)
    shot = table.shoot()
    seen = shot.observation
    absent = Tabletop(seed + 1_000_000, count=_ABSENT).models
    largest = max(model.diameter for model in [*table.models, *absent])
    scene = Scene(shot.frame, SegmentationConfig(), largest)
    standing = seen.with_standing(scene.standing(seen.depth))
    found = []
    for index, model in enumerate(table.models):
        if shot.visible[index] < _LEAST_VISIBLE or shot.masks[index].sum() < _LEAST_PX:
            continue
        searched = SearchedModel(model)
        if rng.random() < 0.5:
            points = masked_points(shot.masks[index], seen.depth, seen.intrinsics, model.radius)
            mask = Observation(seen.image, shot.masks[index].astype(np.float32), seen.intrinsics)
            one = registration.register(searched, seen, points, mask)
            every = [] if one is None else [one]
        else:
            every = explore(registration, searched, palette_of(model), scene, standing)
        found += [_example(candidates, model, shot.poses[index]) for candidates in every]
    for model in absent:
        every = explore(registration, SearchedModel(model), palette_of(model), scene, standing)
        found += [_example(candidates, model, None) for candidates in every]
    return found


def _example(candidates: Candidates, model: ObjectModel, truth: FloatArray | None) -> Example:
    error = np.full(len(candidates.rank), np.inf) if truth is None else _errors(candidates, model, truth)
    features = merit_features(candidates.rank, candidates.accept, candidates.evidence)
    agreement = agreeing(candidates, model)
    first = probability_features(candidates.accept[:1], candidates.evidence.select(slice(1)), agreement)[0]
    return Example(features, first, error)


def _errors(candidates: Candidates, model: ObjectModel, truth: FloatArray) -> FloatArray:
    points = model.points[::20]
    true = truth @ model.symmetries.same
    at = candidates.camera_from_object[:, :3, :3] @ points.T + candidates.camera_from_object[:, :3, 3:]
    truly = true[:, :3, :3] @ points.T + true[:, :3, 3:]
    return np.linalg.norm(at[:, None] - truly[None], axis=2).mean(2).min(1) / model.diameter


def fit_merit(examples: list[Example]) -> FloatArray:
    """Return weights of `merit_features`, shape (F,)."""
    useful = [e for e in examples if (e.error < _RIGHT).any() and (e.error >= _RIGHT).any()]
    weights = torch.ones(useful[0].merit.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights], 0.05)
    lists = [(torch.tensor(e.merit, dtype=torch.float32), torch.tensor(e.error < _RIGHT)) for e in useful]
    for _ in range(_STEPS):
        loss = _PENALTY * weights.square().sum()
        for values, right in lists:
            logits = torch.log_softmax(values @ weights, dim=0)
            loss = loss - torch.logsumexp(logits[right], dim=0) / len(lists)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights.detach().numpy()


def fit_probability(values: FloatArray, right: FloatArray) -> FloatArray:
    """Return weights of `probability_features` and the constant, shape (G + 1,).

    Args:
        values: Shape (E, G).
        right: Whether each is, shape (E,).
    """
    inputs = torch.tensor(np.hstack([values, np.ones((len(values), 1))]), dtype=torch.float32)
    wanted = torch.tensor(right, dtype=torch.float32)
    weights = torch.zeros(inputs.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights], 0.05)
    for _ in range(4 * _STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weights, wanted)
        loss = loss + _PENALTY * weights[:-1].square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights.detach().numpy()


def reliability(probabilities: FloatArray, right: FloatArray, bins: int = 5) -> list[tuple[float, float, int]]:
    """Return mean probability, share of right ones and number of equal ranges of probability."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (float(probabilities[which == b].mean()), float(right[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]


def main() -> int:
    """Parse the command line, collect, and print the fits; resumable by its file of examples."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.object_calibration", description=__doc__)
    parser.add_argument("--weights", type=Path, help="of the pose matcher; those of the package otherwise")
    parser.add_argument("--tables", type=int, default=80)
    parser.add_argument("--first", type=int, default=_FIRST_SEED, help="seed of the first table")
    parser.add_argument("--out", type=Path, required=True, help="examples collected so far (npz)")
    options = parser.parse_args()
    registration = Registration(_network(options.weights), RegistrationConfig())
    examples, done = _read(options.out)
    for seed in range(options.first + done, options.first + options.tables):
        examples += examples_of(seed, registration)
        _write(options.out, examples, seed + 1 - options.first)
    _report(examples)
    return 0


def _network(path: Path | None) -> Network:
    if path is None:
        return load_network("pose_matcher", "cpu")
    return run_network(find_spec("pose_matcher"), [path.read_bytes()], "cpu")


def _report(examples: list[Example]) -> None:
    half = len(examples) // 2
    merit = fit_merit(examples)
    held = fit_merit(examples[:half])
    print("merit", np.round(merit, 3).tolist())
    solvable = [e for e in examples[half:] if (e.error < _RIGHT).any()]
    print(
        "first is right, of those with a right candidate, on the other half:",
        round(float(np.mean([e.error[np.argmax(e.merit @ held)] < _RIGHT for e in solvable])), 3),
        len(solvable),
    )
    values = np.array([e.probability for e in examples])
    right = np.array([e.error[0] < _RIGHT for e in examples])
    made = np.zeros(len(right) - half)
    # All features, and all but the network's logit, mixed as `objects.scoring` mixes them.
    for first, share in ((0, 1 - DOUBT), (1, DOUBT)):
        print("probability", np.round(fit_probability(values[:, first:], right), 3).tolist())
        weights = fit_probability(values[:half, first:], right[:half])
        made += share / (1 + np.exp(-(values[half:, first:] @ weights[:-1] + weights[-1])))
    for mean, share, count in reliability(made, right[half:]):
        print(f"says {mean:.2f}, is right in {share:.2f} of {count}")


def _read(path: Path) -> tuple[list[Example], int]:
    if not path.exists():
        return [], 0
    saved = np.load(path)
    ends = np.cumsum(saved["counts"])[:-1]
    merits, errors = np.split(saved["merit"], ends), np.split(saved["error"], ends)
    return [Example(*item) for item in zip(merits, saved["probability"], errors, strict=True)], int(saved["done"])


def _write(path: Path, examples: list[Example], done: int) -> None:
    if examples:
        np.savez_compressed(
            path,
            merit=np.concatenate([e.merit for e in examples]),
            probability=np.array([e.probability for e in examples]),
            error=np.concatenate([e.error for e in examples]),
            counts=[len(e.error) for e in examples],
            done=done,
        )


if __name__ == "__main__":
    sys.exit(main())
