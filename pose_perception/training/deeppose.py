"""Trains DeepPose's regressors, one stage after the other, on features of the frozen trunk.

`python -m pose_perception.training.deeppose --stage 1`, then 2, then 3, then `--export`. It may be stopped at any time
and run again. Training people come from `pose_perception.training.pictures`, and from real pictures that
`pose_perception.training.labelling` labelled. Each round makes new views of people, adds their features to a store that
forgets the oldest, and learns from that store. The stages after the first learn from errors like those that the stage
before makes on people of the split `validation`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError, PosePerceptionError
from pose_perception.networks.architectures.deeppose import INPUT_SIZES, STAGES, Refiner, Regressor, make_stage
from pose_perception.networks.weights import cache_directory
from pose_perception.training.crops import random_view
from pose_perception.training.deeppose_cuts import Cut, joint_cut, person_cut
from pose_perception.training.features import Features, compute_features
from pose_perception.training.pictures import read_shard, require_shards

CORRECT = 0.2  # in diameters of the torso, as PCK@0.2 counts
_BATCH = 64
_STEPS = (160, 240, 240)  # a round
_STORE_ROUNDS = 8
_RATE, _DECAY, _DROPOUT = 1e-3, 1e-2, 0.25
# Beyond this error, in diameters of the torso, its size does not change the gradient.
_HUBER = 0.05
# Size of a person in the views from which crops are cut, px; the later stages look closer.
_VIEW_SIZES = (205, 300, 300)
_SAMPLES = (1000, 5000, 5000)  # a round: people, or joints
_REAL_EVERY = 5  # one shard in so many is of real pictures


class Samples(NamedTuple):
    """What a regressor learns from.

    Attributes:
        features: Of N crops.
        targets: See `Cut`, as the others.
        states: Shape (N, 17).
        sizes: Shape (N,).
    """

    features: Features
    targets: npt.NDArray[np.float32]
    states: npt.NDArray[np.int8]
    sizes: npt.NDArray[np.float32]


def draw_samples(stage: int, errors: FloatArray | None, folders: list[list[Path]], rng: np.random.Generator) -> Samples:
    """Make the samples of one round.

    Args:
        stage: 0 to 2.
        errors: See `joint_cut`; None for the first stage.
        folders: Shards of simulated people, and shards of real pictures (may be empty).
        rng: Source of the choice.
    """
    cuts: list[Cut] = []
    while sum(len(cut.crops) for cut in cuts) < _SAMPLES[stage]:
        pool = folders[1] if folders[1] and rng.integers(_REAL_EVERY) == 0 else folders[0]
        for picture in read_shard(pool[rng.integers(len(pool))]):
            for person in range(len(picture.boxes)):
                view = random_view(picture, person, _VIEW_SIZES[stage], rng)
                if view.counts.sum() >= 3:
                    cuts.append(person_cut(view) if errors is None else joint_cut(view, stage, errors, rng))
    return _with_features(cuts, stage)


def _with_features(cuts: list[Cut], stage: int) -> Samples:
    crops, targets, states, sizes = (np.concatenate(values) for values in zip(*cuts, strict=True))
    features = compute_features(crops, INPUT_SIZES[stage])
    return Samples(features, targets.astype(np.float32), states, sizes.astype(np.float32))


def measure_errors(
    stage: int, regressor: Regressor | Refiner, errors: FloatArray | None, seed: int
) -> tuple[FloatArray, float]:
    """Run a stage on people it does not learn from.

    Returns:
        Errors with shape (M, 17, 2) in diameters of the torso, NaN where not known, and PCK@0.2.

    Raises:
        ConfigurationError: there are no pictures of the split `validation`.
    """
    rng = np.random.default_rng((seed, 99, stage))
    cuts, owners = [], []
    for folder in require_shards("validation"):
        for picture in read_shard(folder):
            for person in range(len(picture.boxes)):
                view = random_view(picture, person, _VIEW_SIZES[stage], rng)
                if view.counts.sum() >= 3:
                    cuts.append(person_cut(view) if errors is None else joint_cut(view, stage, errors, rng))
                    owners += [len(cuts) - 1] * len(cuts[-1].crops)
    samples = _with_features(cuts, stage)
    with torch.no_grad():
        results = [regressor.eval()(*_batch(samples, part)[:2]) for part in _parts(len(samples.sizes))]
    found = torch.cat(results)[..., :2].numpy()
    wrong = (found - samples.targets) / samples.sizes[:, None, None]
    rows, joints = np.nonzero(samples.states == 1)
    bank = np.full((len(cuts), 17, 2), np.nan)
    bank[np.array(owners)[rows], joints] = wrong[rows, joints]
    correct = np.linalg.norm(wrong[rows, joints], axis=1) < CORRECT
    return bank, float(correct.mean())


def _parts(count: int) -> list[npt.NDArray[np.int64]]:
    return np.array_split(np.arange(count), max(1, count // 256))


def _batch(samples: Samples, rows: npt.NDArray[np.int64]) -> tuple[Tensor, ...]:
    features, targets, states, sizes = samples
    return tuple(torch.from_numpy(x[rows]) for x in (features.fine, features.coarse, targets, states, sizes))


def loss(results: Tensor, targets: Tensor, states: Tensor, sizes: Tensor) -> Tensor:
    """Error of positions in diameters of the torso, and cross entropy of their reliability.

    Args:
        results: Of a regressor with shape (N, 17, 3).
        targets: See `Samples`.
        states: See `Samples`.
        sizes: See `Samples`.
    """
    offset = (results[..., :2] - targets) / sizes[:, None, None]
    learnt = states == 1
    position = functional.smooth_l1_loss(offset[learnt], torch.zeros_like(offset[learnt]), beta=_HUBER)
    correct = learnt & (offset.detach().norm(dim=2) < CORRECT)
    matters = states >= 0
    reliability = functional.binary_cross_entropy_with_logits(results[..., 2][matters], correct[matters].float())
    return position + 0.1 * reliability


def train(stage: int, rounds: int, seed: int, real: list[Path]) -> None:
    """Train one stage, continuing where it stopped.

    Args:
        stage: 0 to 2.
        rounds: How many, also the length of the cosine by which the rate falls.
        seed: Of everything that is random.
        real: Shards of labelled real pictures.

    Raises:
        ConfigurationError: there are no pictures, or the stage before was not trained; the message names the command.
    """
    for split in ("train", "validation"):  # before the work, not after the first round
        require_shards(split)
    torch.manual_seed(seed + stage)
    regressor = make_stage(STAGES[stage], _DROPOUT)
    optimizer = torch.optim.AdamW(regressor.parameters(), _RATE, weight_decay=_DECAY)
    first, bank = 0, None
    if _checkpoint(stage).exists():
        saved = torch.load(_checkpoint(stage), weights_only=True)
        regressor.load_state_dict(saved["regressor"])
        optimizer.load_state_dict(saved["optimizer"])
        first, bank = saved["rounds"], saved["errors"]
    store: list[Samples] = []
    for number in range(first, rounds):
        start = time.perf_counter()
        rng = np.random.default_rng((seed, stage, number))
        folders = [require_shards("train"), real]
        # Read anew each round: the stage before may still be learning.
        errors = _errors_before(stage)
        store = [*store[-_STORE_ROUNDS + 1 :], draw_samples(stage, errors, folders, rng)]
        drawn = time.perf_counter()
        mean = _learn(regressor, optimizer, store, number, rounds, _STEPS[stage], rng)
        line = f"{STAGES[stage]} round {number + 1}/{rounds} shards {len(folders[0])} loss {mean:.4f}"
        if number % 5 == 1 or number + 1 == rounds:
            wrong, correct = measure_errors(stage, regressor, errors, seed)
            bank = torch.from_numpy(wrong)
            line += f" validation PCK@0.2 {correct:.3f}"
        state = {"regressor": regressor.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"rounds": number + 1, "errors": bank}
        _save(state, _checkpoint(stage))
        print(f"{line} ({drawn - start:.0f} + {time.perf_counter() - drawn:.0f} s)", flush=True)


def _errors_before(stage: int) -> FloatArray | None:
    """Return the errors of the stage before as it is now; None for the first stage."""
    if stage == 0:
        return None
    file = _checkpoint(stage - 1)
    errors = torch.load(file, weights_only=True)["errors"] if file.exists() else None
    if errors is None:  # of a stage they are measured for the first time after its second round
        raise ConfigurationError(
            f"stage {stage + 1} learns from the errors of stage {stage}, and these are not there; run "
            f"`python -m pose_perception.training.deeppose --stage {stage}` first"
        )
    return errors.numpy()


def _learn(
    regressor: Regressor | Refiner,
    optimizer: torch.optim.Optimizer,
    store: list[Samples],
    number: int,
    rounds: int,
    steps: int,
    rng: np.random.Generator,
) -> float:
    regressor.train()
    losses = []
    for step in range(steps):
        progress = (number + step / steps) / rounds
        rate = float(_RATE * min(1.0, 20 * progress + 0.02) * (0.5 + 0.5 * np.cos(np.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        samples = store[rng.integers(len(store))]
        fine, coarse, targets, states, sizes = _batch(samples, rng.choice(len(samples.sizes), _BATCH, replace=False))
        value = loss(regressor(fine, coarse), targets, states, sizes)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(regressor.parameters(), 5.0)
        optimizer.step()
        losses.append(value.item())
    return float(np.mean(losses))


def export(path: Path) -> None:
    """Write the regressors of all stages that were trained into one file, in half precision."""
    from safetensors.torch import save_file

    tensors = {}
    for stage, name in enumerate(STAGES):
        if _checkpoint(stage).exists():
            state = torch.load(_checkpoint(stage), weights_only=True)["regressor"]
            # Statistics of the normalisation stay exact; they are few.
            tensors |= {f"{name}.{key}": value.half() if value.ndim > 1 else value for key, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    path.chmod(0o644)  # safetensors lets only the owner read
    print(f"{path}: {', '.join(STAGES)}, {path.stat().st_size / 1e6:.1f} MB", flush=True)


def _checkpoint(stage: int) -> Path:
    return cache_directory() / "training" / "deeppose" / f"{STAGES[stage]}.pt"


def _save(state: dict[str, object], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Train a stage of DeepPose, or write the weights of all."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.deeppose", description=main.__doc__)
    parser.add_argument("--stage", type=int, choices=(1, 2, 3), help="Which one to train.")
    parser.add_argument("--rounds", type=int, default=30, help="Default: 30.")
    parser.add_argument("--seed", type=int, default=0, help="Default: 0.")
    parser.add_argument("--real", type=Path, help="Folder of labelled real pictures (see labelling). Default: none.")
    parser.add_argument("--threads", type=int, default=1, help="Of PyTorch. Default: 1.")
    parser.add_argument("--export", type=Path, help="Write the weights of all stages to this file.")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.stage is not None:
        real = sorted(path.parent for path in options.real.glob("*/labels.npz")) if options.real else []
        try:
            train(options.stage - 1, options.rounds, options.seed, real)
        except PosePerceptionError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return 2
    if options.export is not None:
        export(options.export)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
