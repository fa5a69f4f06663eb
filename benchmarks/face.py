"""Time and accuracy of heads and faces on simulated people.

Run from the root of the repository with fetched weights:

    python benchmarks/face.py [--rounds 60] [--faces 1 2 4 8] [--frames 60]

Times are medians of whole calls and of the landmark network alone, in turns, so that other work on the machine disturbs
both alike. People's keypoints are the true ones, so that accuracy is that of this part alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.geometry.camera import project
from pose_perception.human.face import FaceConfig, FaceEstimator
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import load_network
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

_CONFIG = FaceConfig(head_pose=True, landmarks=True, rate_hz=0.0)
# What a lifter is expected to know keypoints by, metres.
_KEYPOINT_SIGMA_M = 0.015


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of times and one of errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--frames", type=int, default=60, help="frames for the accuracy")
    args = parser.parse_args(arguments)
    sequence = load_or_render(SequenceConfig())
    moment = int(sequence.heads_visible.sum(axis=1).argmax())
    network = load_network("face_landmarks", "cpu")
    print("| faces | heads and faces | network alone | ratio | by ears, eyes and nose |")
    print("|---|---|---|---|---|")
    estimator = FaceEstimator(COCO_17, _CONFIG, "cpu")
    by_features = FaceEstimator(COCO_17, replace(_CONFIG, smallest_face_px=1e4), "cpu")
    estimator.warm_up()
    network.warm_up()
    for count in args.faces:
        frame, people = frame_at(sequence, moment), crowd(sequence, moment, count)
        crops = np.random.default_rng(0).integers(0, 256, (count, 192, 192, 3), np.uint8)
        runs = (
            lambda frame=frame, people=people: estimator.process(frame, people),
            lambda crops=crops: network(crops),
            lambda frame=frame, people=people: by_features.process(frame, people),
        )
        whole, alone, features = 1e3 * np.median([[_seconds(run) for run in runs] for _ in range(args.rounds)], axis=0)
        print(f"| {count} | {whole:.1f} ms | {alone:.1f} ms | {whole / alone:.2f} | {features:.1f} ms |", flush=True)
    print("\n| method | heads | turn, median / 95 % | place, median / 95 % |")
    print("|---|---|---|---|")
    times = np.linspace(0, len(sequence) - 1, args.frames).astype(int)
    for name, used in (("landmarks", estimator), ("ears, eyes and nose", by_features)):
        used.reset()
        turns, places = accuracy(used, sequence, times)
        print(f"| {name} | {len(turns)} | {_percentiles(turns)} degrees | {_percentiles(places)} mm |")
    return 0


def frame_at(sequence: SimulatedSequence, t: int) -> RgbdFrame:
    """Return one frame of the sequence."""
    depth = sequence.depth_mm[t].astype(np.float32) / 1000
    stamp_ns = round(t * 1e9 / sequence.rate_hz)
    return RgbdFrame(np.ascontiguousarray(sequence.color[t]), depth, sequence.camera, stamp_ns)


def person_at(sequence: SimulatedSequence, t: int, person: int) -> Skeleton:
    """Return a person with true keypoints."""
    columns = [sequence.keypoint_names.index(name) for name in COCO_17.keypoints]
    positions = sequence.positions[t, person, columns].astype(float)
    return Skeleton(
        id=f"p{person}",
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.zeros(4),
        pixels=project(positions, sequence.camera),
        scores=np.full(len(columns), 0.9),
        positions=positions,
        covariances=np.tile(np.eye(3) * _KEYPOINT_SIGMA_M**2, (len(columns), 1, 1)),
        states=np.full(len(columns), KeypointState.MEASURED, np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def crowd(sequence: SimulatedSequence, t: int, count: int) -> list[Skeleton]:
    """Return so many people, some of them in the same place."""
    visible = np.flatnonzero(sequence.heads_visible[t])
    return [replace(person_at(sequence, t, visible[i % len(visible)]), id=f"p{i}") for i in range(count)]


def accuracy(
    estimator: FaceEstimator, sequence: SimulatedSequence, times: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return errors of visible heads: degrees and millimetres."""
    turns, places = [], []
    for t in times:
        visible = np.flatnonzero(sequence.heads_visible[t])
        people = [person_at(sequence, t, person) for person in visible]
        results = estimator.process(frame_at(sequence, t), people)
        for person, (head, _) in zip(visible, results, strict=True):
            if head is not None:
                truth = sequence.heads[t, person].astype(float)
                cosine = (np.trace(head.camera_from_head[:3, :3].T @ truth[:3, :3]) - 1) / 2
                turns.append(float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))))
                places.append(float(1e3 * np.linalg.norm(head.camera_from_head[:3, 3] - truth[:3, 3])))
    return turns, places


def _percentiles(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in np.percentile(values, [50, 95]))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
