"""Trains the light Keypoint R-CNN on the maps of frozen networks.

`python -m pose_perception.training.mask_rcnn --steps 3000 --export weights/mask_rcnn_light.safetensors`. It may be
stopped at any time and run again: it goes on from its last checkpoint in the cache. Its pictures are simulated people
(`pose_perception.training.pictures`), real pictures with COCO's labels (`--coco`), and real pictures that an estimator
labelled (`pose_perception.training.labelling`, `--labelled`).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_perception.errors import PosePerceptionError
from pose_perception.networks.architectures.keypoint_rcnn import TRUNKS, LightKeypointRcnn
from pose_perception.networks.runtime import Network, load_network
from pose_perception.networks.weights import cache_directory
from pose_perception.training.mask_rcnn_targets import Example, random_example, read_coco
from pose_perception.training.pictures import TrainingPicture, read_shard, require_shards

_SIDE = 416  # of the canvas, px
_BATCH = 4
_RATE, _DECAY, _WARM_UP = 1e-3, 1e-3, 100
_GRADIENT = 5.0
# Shares of the batches that hold only pictures labelled by an estimator, and, in the others, of COCO's pictures.
_LABELLED, _COCO = 0.15, 0.5
_MOST_WEIGHT = 4
# The exported weights are a moving average over about so many steps.
_AVERAGED = 200
_EVERY = 50  # steps between two lines of the log


class Training:
    """Network, average and optimiser, kept in a checkpoint.

    Args:
        folder: Where the checkpoint lies.
        seed: Of the first weights and of the choice of pictures.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed, self.step = seed, 0
        self.network = LightKeypointRcnn().train()
        self.average = deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), _RATE, weight_decay=_DECAY)
        self._file = folder / "checkpoint.pt"
        if self._file.exists():
            self._load(torch.load(self._file, weights_only=True))

    def save(self) -> None:
        """Write the checkpoint; a stop in between leaves the old one."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        torch.save({**parts, "step": self.step}, self._file.with_suffix(".new"))
        self._file.with_suffix(".new").replace(self._file)

    def learn(self, maps: dict[str, Tensor], targets: list[dict[str, Tensor]], steps: int) -> dict[str, float]:
        """Do one step on a batch; `steps` is the number of all, to which the rate falls. Return the losses."""
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, self.step / steps))
        rate = _RATE * min(1.0, (self.step + 1) / _WARM_UP) * falling
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.roi_heads.learns_masks = all("masks" in target for target in targets)
        # A quarter less time where the CPU multiplies bfloat16.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = self.network.losses(maps, (_SIDE, _SIDE), targets)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT)
        self.optimizer.step()
        self.step += 1
        share = 1 / min(self.step, _AVERAGED)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _load(self, state: dict) -> None:
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]


def batches(coco: list[TrainingPicture], labelled: list[Path], rng: np.random.Generator) -> Iterator[list[Example]]:
    """Yield batches without end.

    Args:
        coco: Pictures with COCO's labels; may be empty.
        labelled: Shards of pictures that an estimator labelled; may be empty.
        rng: Source of the choice.

    Raises:
        ConfigurationError: there are no simulated people.
    """
    simulated, real = _stream(require_shards("train"), rng), _stream(labelled, rng) if labelled else None
    # Pictures of nobody teach less than those of many.
    weights = np.array([min(1 + len(picture.boxes), _MOST_WEIGHT) for picture in coco], float)
    while True:
        if real is not None and rng.random() < _LABELLED:
            yield [random_example(next(real), _SIDE, rng) for _ in range(_BATCH)]
            continue
        from_coco = rng.random(_BATCH) < (_COCO if coco else 0)
        pictures = [
            coco[rng.choice(len(coco), p=weights / weights.sum())] if take else next(simulated) for take in from_coco
        ]
        yield [random_example(picture, _SIDE, rng) for picture in pictures]


def _stream(folders: list[Path], rng: np.random.Generator) -> Iterator[TrainingPicture]:
    while True:
        # Two shards at a time, so that neighbouring pictures show different bodies.
        pair = rng.choice(len(folders), size=min(2, len(folders)), replace=False)
        pictures = [picture for i in pair for picture in read_shard(folders[i])]
        for i in rng.permutation(len(pictures)):
            yield pictures[i]


def trunk_maps(trunks: list[Network], examples: list[Example]) -> dict[str, Tensor]:
    """Return the maps of the frozen trunks for a batch, (N, C, H, W)."""
    images = np.stack([example.color for example in examples])
    results = {name: values for trunk in trunks for name, values in trunk(images).items()}
    return {name: torch.from_numpy(values).permute(0, 3, 1, 2).contiguous() for name, values in results.items()}


def train(training: Training, steps: int, coco: list[TrainingPicture], labelled: list[Path]) -> None:
    """Learn until a number of steps, with a line of progress now and then."""
    trunks = [load_network(name, "auto", input_size=(_SIDE, _SIDE)) for name in TRUNKS]
    source = batches(coco, labelled, np.random.default_rng((training.seed, training.step)))
    sums: dict[str, list[float]] = {}
    start = time.monotonic()
    while training.step < steps:
        examples = next(source)
        losses = training.learn(trunk_maps(trunks, examples), [example.target for example in examples], steps)
        for name, value in losses.items():
            sums.setdefault(name, []).append(value)
        if training.step % _EVERY == 0 or training.step == steps:
            means = ", ".join(f"{name.removeprefix('loss_')} {np.mean(values):.3f}" for name, values in sums.items())
            print(f"step {training.step}/{steps}, {time.monotonic() - start:.0f} s: {means}", flush=True)
            training.save()
            sums.clear()


def export(training: Training, file: Path) -> None:
    """Write the averaged weights in half precision."""
    from safetensors.torch import save_file

    state = {name: value.half().contiguous() for name, value in training.average.state_dict().items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, str(file), metadata={"steps": str(training.step), "seed": str(training.seed)})
    file.chmod(0o644)  # safetensors lets only the owner read


def main(arguments: list[str] | None = None) -> int:
    """Train the light Keypoint R-CNN."""
    parser = argparse.ArgumentParser(prog="python -m pose_perception.training.mask_rcnn", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=3000, help=f"Batches of {_BATCH} pictures. Default: 3000.")
    parser.add_argument("--seed", type=int, default=0, help="Default: 0.")
    parser.add_argument("--coco", type=Path, nargs=2, metavar=("LABELS", "IMAGES"), help="Pictures with COCO's labels.")
    parser.add_argument("--labelled", type=Path, help="Folder of shards that an estimator labelled.")
    parser.add_argument("--name", default="mask_rcnn", help="Of the checkpoint. Default: mask_rcnn.")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the learning. Default: 1.")
    parser.add_argument("--export", type=Path, help="Write the averaged weights here afterwards.")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    coco = read_coco(*options.coco) if options.coco else []
    labelled = sorted(path.parent for path in options.labelled.glob("*/labels.npz")) if options.labelled else []
    training = Training(cache_directory() / "training" / options.name, options.seed)
    try:
        train(training, options.steps, coco, labelled)
    except PosePerceptionError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if options.export:
        export(training, options.export)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
