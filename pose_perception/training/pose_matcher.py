"""Trains the network that refines and judges poses of objects.

`python -m pose_perception.training.pose_matcher --rounds N --folder DIR`, then `--export`. It may be stopped at any
time and run again. Each round draws new scenes of new objects, adds their samples to a store that forgets the oldest,
and learns from that store. No object that the project is measured on is among them: shapes and pictures are drawn at
random, some shapes are parts of the robots of the package `example-robot-data`.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pose_perception.errors import ConfigurationError, PosePerceptionError
from pose_perception.networks.architectures.pose_matcher import OUTPUTS, PoseMatcher
from pose_perception.training.object_batches import Store, to_batch
from pose_perception.training.object_samples import GROUP, Pool, Samples, draw_scene

_POOL, _RENEWED = 160, 12
_GROUPS = 160  # drawn a round
_STORE_GROUPS = 4000
_BATCH_GROUPS = 8
_REUSE = 2.0  # how often a sample is learnt from on average
_RATE, _DECAY, _WARM_ROUNDS = 1e-3, 1e-2, 5
_AVERAGE = 0.998  # of the weights that are kept, a step
_RIGHT, _RIGHT_BAND = 0.1, 0.02  # in diameters: right, and over what it becomes wrong
_RANK_SCALE = 0.02  # in diameters: what makes one hypothesis clearly better than another
_SHIFT_SCALE, _TURN_SCALE = 0.1, 0.15
_HUBER = 0.3
_EVERY = 10  # rounds between measurements
_VALIDATION_GROUPS = 250


def losses(results: tuple[Tensor, ...], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what is minimised, by name.

    Args:
        results: Of the network for G groups, each with G * 8 rows.
        batch: Fields of `Samples` as tensors with G * 8 rows.
    """
    shift, turn, rank, accept = results
    learnt = batch["learnt"]
    moves = functional.smooth_l1_loss(shift[learnt] / _SHIFT_SCALE, batch["shift"][learnt] / _SHIFT_SCALE, beta=_HUBER)
    turns = functional.smooth_l1_loss(turn[learnt] / _TURN_SCALE, batch["turn"][learnt] / _TURN_SCALE, beta=_HUBER)
    error = batch["error"].reshape(-1, GROUP)
    real = torch.isfinite(error).all(1)
    wanted = torch.softmax(-error[real] / _RANK_SCALE, dim=1)
    ranks = functional.cross_entropy(rank.reshape(-1, GROUP)[real], wanted)
    right = ((_RIGHT + _RIGHT_BAND - batch["error"]) / (2 * _RIGHT_BAND)).clamp(0, 1)
    accepted = functional.binary_cross_entropy_with_logits(accept, right)
    return {"shift": moves, "turn": turns, "rank": ranks, "accept": accepted}


def compare(network: PoseMatcher, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Run the network in bfloat16 on a batch."""
    with torch.autocast("cpu", torch.bfloat16):
        return network(batch["colors"], batch["depths"], batch["nearness"])


def draw_samples(pool: Pool, groups: int, rng: np.random.Generator) -> Samples:
    """Draw at least so many groups."""
    parts: list[Samples] = []
    while sum(len(part.error) for part in parts) < groups:
        part = draw_scene(pool, rng)
        if part is not None:
            parts.append(part)
    return Samples(*map(np.concatenate, zip(*parts, strict=True)))


@torch.no_grad()
def measure(network: PoseMatcher, samples: Samples) -> dict[str, float]:
    """Return how well a network does on samples that it did not learn from.

    Returns:
        turn_before, turn_after: Median turns to the truth, degrees; shift_before, shift_after: Median shifts, in
        radii. best: Share of groups whose first in rank is right within a tenth of the diameter; accept: Share of
        hypotheses judged rightly.
    """
    network.eval()
    parts = [to_batch(samples, rows) for rows in np.array_split(np.arange(len(samples.error)), 20)]
    results = [torch.cat(values) for values in zip(*(compare(network, part) for part in parts), strict=True)]
    batch = {name: torch.cat([part[name] for part in parts]) for name in ("shift", "turn", "learnt", "error")}
    shift, turn, rank, accept = results
    learnt = batch["learnt"]
    error = batch["error"].reshape(-1, GROUP)
    real = torch.isfinite(error).all(1)
    chosen = error[real].gather(1, rank.reshape(-1, GROUP)[real].argmax(1, keepdim=True))
    clear = (batch["error"] < 0.08) | (batch["error"] > 0.12)
    agree = (accept > 0) == (batch["error"] < _RIGHT)
    return {
        "turn_before": math.degrees(batch["turn"][learnt].norm(dim=1).median()),
        "turn_after": math.degrees((turn - batch["turn"])[learnt].norm(dim=1).median()),
        "shift_before": float(batch["shift"][learnt].norm(dim=1).median()),
        "shift_after": float((shift - batch["shift"])[learnt].norm(dim=1).median()),
        "best": float((chosen < _RIGHT).float().mean()),
        "accept": float(agree[clear].float().mean()),
    }


def train(folder: Path, rounds: int, seed: int, minutes: float) -> None:
    """Train, continuing where it stopped.

    Args:
        folder: Of checkpoint and log.
        rounds: At which the rate has come down to zero.
        seed: Of everything that is drawn.
        minutes: Stop after so many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network, average = PoseMatcher(), PoseMatcher()
    average.load_state_dict(network.state_dict())
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    first = _resume(folder, network, average, optimizer)
    rng = np.random.default_rng((seed, first, 1))
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * minutes
    # Another process draws the scenes: two that compute with one thread each never wait for each other.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as producer:
        validation = producer.submit(_produce, seed, -1, _VALIDATION_GROUPS)
        coming = producer.submit(_produce, seed, first, 3 * _GROUPS)
        others, store = validation.result(), Store(coming.result(), _STORE_GROUPS)
        coming = producer.submit(_produce, seed, first + 1, _GROUPS)
        for index in range(first, rounds):
            new = coming.result()
            coming = producer.submit(_produce, seed, index + 2, _GROUPS)
            store.add(new)
            for group in optimizer.param_groups:
                slope = 0.5 + 0.5 * math.cos(math.pi * index / rounds)
                group["lr"] = _RATE * min(1, (index + 1) / _WARM_ROUNDS) * slope
            means = _learn(network, average, optimizer, store, index, rng)
            text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
            _log(folder, f"round {index + 1} samples {(index + 1) * _GROUPS * GROUP} {text}")
            stop = time.monotonic() > end
            if (index + 1) % _EVERY == 0 or stop or index + 1 == rounds:
                _save(folder, index + 1, network, average, optimizer)
                figures = measure(average, others)
                _log(folder, "validation " + " ".join(f"{name} {value:.4f}" for name, value in figures.items()))
            if stop:
                break


_pool: Pool | None = None  # of the process that draws scenes


def _produce(seed: int, index: int, groups: int) -> Samples:
    """Draw the samples of one round; runs in a process of its own, whose objects are renewed little by little."""
    global _pool
    rng = np.random.default_rng((seed, index + 1))
    if _pool is None or index < 0:
        _pool = Pool(_POOL, robot_parts(), rng)
    samples = draw_samples(_pool, groups, rng)
    if index < 0:
        _pool = None  # what the network is measured on is never learnt from
    else:
        _pool.renew(_RENEWED, rng)
    return samples


def _learn(
    network: PoseMatcher,
    average: PoseMatcher,
    optimizer: torch.optim.Optimizer,
    store: Store,
    index: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    network.train()
    steps = round(_GROUPS * _REUSE / _BATCH_GROUPS)
    sums: dict[str, float] = {}
    for step in range(steps):
        batch = store.draw(_BATCH_GROUPS, rng)
        parts = losses(compare(network, batch), batch)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            for kept, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(value, 1 - min(_AVERAGE, 1 - 10 / (10 + index * steps + step)))
                else:
                    kept.copy_(value)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / steps
    return sums


def robot_parts() -> list[Path]:
    """Return the mesh files of `example-robot-data`.

    Raises:
        ConfigurationError: the package is not installed.
    """
    try:
        package = metadata.distribution("example-robot-data")
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError("no meshes of robots: install the package example-robot-data") from error
    folder = Path(str(package.locate_file("cmeel.prefix/share/example-robot-data/robots")))
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".stl", ".obj", ".dae")]


def _resume(folder: Path, network: PoseMatcher, average: PoseMatcher, optimizer: torch.optim.Optimizer) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    network.load_state_dict(saved["network"])
    average.load_state_dict(saved["average"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["round"])


def _save(folder: Path, index: int, network: PoseMatcher, average: PoseMatcher, optimizer: Any) -> None:
    state = {
        "round": index,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, folder / "checkpoint.tmp")
    (folder / "checkpoint.tmp").rename(folder / "checkpoint.pt")


def _log(folder: Path, line: str) -> None:
    with (folder / "log.txt").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def export(folder: Path, path: Path) -> None:
    """Write the averaged weights of a checkpoint as safetensors."""
    from safetensors.torch import save_file

    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in saved["average"].items()}
    save_file(tensors, path, metadata={"outputs": ",".join(OUTPUTS), "round": str(saved["round"])})


def main() -> int:
    """Parse the command line and train or export."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.pose_matcher", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of checkpoint and log")
    parser.add_argument("--rounds", type=int, default=1500, help="of 1280 samples in all")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so many; run again to continue")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", type=Path, help="write the weights there instead of training")
    options = parser.parse_args()
    # Leaves by the regular way, so that the process that draws scenes ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.export:
            export(options.folder, options.export)
        else:
            train(options.folder, options.rounds, options.seed, options.minutes)
    except PosePerceptionError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
