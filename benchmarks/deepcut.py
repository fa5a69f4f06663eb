"""Grouping by DeeperCut against greedy decoding of the same PoseNet results, and its exact mode against its fast one.

`python benchmarks/deepcut.py LABELS.json IMAGES [LABELS.json IMAGES …]` prints the accuracy of each for several sizes
of the input, on all pictures and on the crowded ones, the times of the grouping alone, and how far both modes agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import PoseEstimates
from pose_perception.evaluation.coco import coco_results, compare
from pose_perception.evaluation.labels import Labels, read_labels
from pose_perception.human.estimators.base import DUPLICATE_SIMILARITY, MIN_SCORE
from pose_perception.human.estimators.deepcut import decode_deepcut
from pose_perception.human.estimators.posenet import PosenetMaps, PosenetReader, decode_greedy, estimates_in_image
from pose_perception.human.similarity import suppress_duplicates
from pose_perception.recording.images import read_color

_LONG_SIDES = (513, 641, 897)
_CROWD = 3  # labelled people


class Decoded(NamedTuple):
    """What one picture gave: people by method, and the seconds that each took."""

    people: dict[str, PoseEstimates]
    seconds: dict[str, float]


def decode(maps: PosenetMaps, scale: float) -> Decoded:
    """Decode the results of the network for one picture by every method."""
    methods = {
        "greedy": decode_greedy,
        "fast": lambda results: decode_deepcut(results, is_exact=False)[0],
        "exact": lambda results: decode_deepcut(results, is_exact=True)[0],
    }
    people, seconds = {}, {}
    for name, method in methods.items():
        start = time.perf_counter()
        found = estimates_in_image(method(maps), scale)
        seconds[name] = time.perf_counter() - start
        people[name] = found.select(suppress_duplicates(found, MIN_SCORE, DUPLICATE_SIMILARITY))
    return Decoded(people, seconds)


def agreement(first: PoseEstimates, second: PoseEstimates) -> tuple[int, int]:
    """Return how many keypoints of the first lie within 1 px of somebody's in the second, and how many there are."""
    if not len(first) or not len(second):
        return 0, len(first) * first.scores.shape[1]
    same = np.linalg.norm(first.pixels[:, None] - second.pixels, axis=-1) < 1.0  # (N, M, K)
    return int(same.sum(axis=2).max(axis=1).sum()), same.shape[0] * same.shape[2]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="LABELS IMAGES")
    pairs = parser.parse_args().pairs
    sets = {
        f"{images.name}": read_labels(labels, images) for labels, images in zip(pairs[::2], pairs[1::2], strict=True)
    }
    print("| long side, px | method | " + " | ".join(f"{n}: AP | crowded: AP" for n in sets) + " | grouping, ms |")
    print("|---|---|" + "---|---|" * len(sets) + "---|")
    for long_side in _LONG_SIDES:
        reader = PosenetReader("cpu", long_side)
        decoded = {
            name: [decode(*reader.read(read_color(picture.path))) for picture in labels.pictures]
            for name, labels in sets.items()
        }
        everything = [item for items in decoded.values() for item in items]
        for method in ("greedy", "fast", "exact"):
            cells = [cell for name, labels in sets.items() for cell in _accuracy(method, decoded[name], labels)]
            times_ms = [1e3 * item.seconds[method] for item in everything]
            cells.append(f"mean {np.mean(times_ms):.0f}, most {max(times_ms):.0f}")
            print(f"| {long_side} | {method} | {' | '.join(cells)} |", flush=True)
        counts = np.sum([agreement(item.people["exact"], item.people["fast"]) for item in everything], axis=0)
        print(f"{long_side} px: exact and fast agree on {counts[0]} of {counts[1]} keypoints", flush=True)


def _accuracy(method: str, decoded: list[Decoded], labels: Labels) -> tuple[str, str]:
    crowded = [len(picture.boxes) >= _CROWD for picture in labels.pictures]
    cells = []
    for chosen in (np.ones(len(crowded), bool), np.array(crowded)):
        part = replace(labels, pictures=tuple(p for p, keep in zip(labels.pictures, chosen, strict=True) if keep))
        results = [
            result
            for item, picture, keep in zip(decoded, labels.pictures, chosen, strict=True)
            if keep
            for result in coco_results(item.people[method], picture.id, labels.person)
        ]
        cells.append(f"{compare(results, part)[0]:.3f} ({len(part.pictures)})")
    return cells[0], cells[1]


if __name__ == "__main__":
    main()
