"""Time and accuracy of hands on simulated people.

Run from the root of the repository with fetched weights:

    python benchmarks/hands.py [--rounds 40] [--hands 1 2 4 8] [--frames 75]

Times are medians: of whole calls that follow hands, of those that search them anew, of the landmark network alone, and
of the lifting, in turns, so that other work on the machine disturbs all alike. People's keypoints are the true ones, so
that accuracy is that of this part alone.
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

from pose_perception.datatypes import CameraIntrinsics, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.geometry.camera import project
from pose_perception.human.hand_arms import SIDES, arms_of
from pose_perception.human.hand_landmarks import SIZE, HandMarks
from pose_perception.human.hand_lifting import lift_hands
from pose_perception.human.hand_model import HandSize
from pose_perception.human.hands import HandEstimator, HandsConfig
from pose_perception.human.topology import BODY_33
from pose_perception.networks.runtime import load_network
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

_NETWORKS = ("full", "lite")
# What a lifter is expected to know keypoints by, metres.
_KEYPOINT_SIGMA_M = 0.015


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of times and one of errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--hands", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--frames", type=int, default=75, help="frames for the accuracy")
    args = parser.parse_args(arguments)
    sequence = load_or_render(SequenceConfig())
    print("| network | hands | following | searching | network alone | following / network | lifting |")
    print("|---|---|---|---|---|---|---|")
    for name in _NETWORKS:
        estimator = HandEstimator(BODY_33, HandsConfig(enabled=True, rate_hz=0.0, network=name), "cpu")
        estimator.warm_up()
        for count in args.hands:
            print(f"| {name} | {times(estimator, name, sequence, count, args.rounds)} |", flush=True)
    print("\n| network | visible hands | found | wrist, median / 95 % | landmarks from the wrist, median / 95 % |")
    print("|---|---|---|---|---|")
    moments = np.arange(min(args.frames, len(sequence)))
    for name in _NETWORKS:
        print(f"| {name} | {accuracy(name, sequence, moments)} |", flush=True)
    return 0


def times(estimator: HandEstimator, name: str, sequence: SimulatedSequence, count: int, rounds: int) -> str:
    """Return a row of the table for so many hands."""
    frame, people = scene(sequence, 0, -(-count // 2))
    if count % 2:
        people[-1] = replace(people[-1], scores=people[-1].scores * ["left" not in k for k in BODY_33.keypoints])
    estimator.reset()
    found = sum(len(own) for own in estimator.process(frame, people))
    network = load_network(f"hand_landmarks_{name}", "cpu")
    network.warm_up()
    crops = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    lifting = _lifting(estimator, frame, people)

    def search() -> None:
        estimator.reset()
        estimator.process(frame, people)

    runs = (search, lambda: estimator.process(frame, people), lambda: network(crops), lifting)
    searching, following, alone, lifted = 1e3 * np.median(
        [[_seconds(run) for run in runs] for _ in range(rounds)], axis=0
    )
    ratio = following / alone
    return f"{found} | {following:.1f} ms | {searching:.1f} ms | {alone:.1f} ms | {ratio:.2f} | {lifted:.1f} ms"


def _lifting(estimator: HandEstimator, frame: RgbdFrame, people: list[Skeleton]) -> Callable[[], object]:
    """Return a call that lifts the hands of these people."""
    hands = [(row, hand) for row, own in enumerate(estimator.process(frame, people)) for hand in own]
    arms = arms_of(people, BODY_33, frame.camera)
    keys = list(zip(arms.person, arms.is_right, strict=True))
    arms = arms.select([keys.index((row, hand.side == "right")) for row, hand in hands])
    pixels = np.stack([hand.pixels for _, hand in hands])
    world = np.stack([hand.positions - np.nanmean(hand.positions, axis=0) for _, hand in hands])
    regions = np.concatenate([pixels.mean(axis=1), 2 * np.ptp(pixels, axis=1)], axis=1)
    marks = HandMarks(regions, regions, pixels, np.ones(len(hands)), arms.is_right.astype(float), np.nan_to_num(world))
    sizes = [HandSize() for _ in hands]
    return lambda: lift_hands(frame, marks, arms.is_right, arms.positions, sizes)


def scene(sequence: SimulatedSequence, t: int, count: int) -> tuple[RgbdFrame, list[Skeleton]]:
    """Return a frame with so many people: copies of the sequence's, side by side."""
    own = sequence.positions.shape[1]
    copies = -(-count // own)
    camera = sequence.camera
    wide = CameraIntrinsics(camera.width * copies, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
    color, depth = np.asarray(sequence.color[t]), sequence.depth_mm[t].astype(np.float32) / 1000
    stamp_ns = round(t * 1e9 / sequence.rate_hz)
    frame = RgbdFrame(np.tile(color, (1, copies, 1)), np.tile(depth, (1, copies)), wide, stamp_ns)
    return frame, [person_at(sequence, t, i % own, i // own * camera.width) for i in range(count)]


def person_at(sequence: SimulatedSequence, t: int, person: int, shift_px: int = 0) -> Skeleton:
    """Return a person with true keypoints, moved to the right in the image."""
    count = len(BODY_33)
    positions = np.full((count, 3), np.nan)
    rows = [BODY_33.index[name] for name in sequence.keypoint_names]
    positions[rows] = sequence.positions[t, person]
    positions[:, 0] += shift_px / sequence.camera.fx * positions[:, 2]
    return Skeleton(
        id=f"p{person}_{shift_px}",
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.zeros(4),
        pixels=project(positions, sequence.camera),
        scores=np.full(count, 0.9),
        positions=positions,
        covariances=np.tile(np.eye(3) * _KEYPOINT_SIGMA_M**2, (count, 1, 1)),
        states=np.full(count, KeypointState.MEASURED, np.uint8),
        velocity=np.zeros(3),
        camera_from_torso=None,
    )


def accuracy(name: str, sequence: SimulatedSequence, moments: Sequence[int]) -> str:
    """Return a row of the table: how many hands of which most is seen are found, and errors in millimetres."""
    estimator = HandEstimator(BODY_33, HandsConfig(enabled=True, rate_hz=0.0, network=name), "cpu")
    seen = found = 0
    wrists, landmarks = [], []
    for t in moments:
        frame, people = scene(sequence, t, sequence.positions.shape[1])
        visible = sequence.hands_visible[t]
        for person, own in enumerate(estimator.process(frame, people)):
            for side, which in enumerate(SIDES):
                hand = next((hand for hand in own if hand.side == which), None)
                is_seen = visible[person, side].mean() > 0.6
                seen, found = seen + is_seen, found + (is_seen and hand is not None)
                if hand is None or not visible[person, side, 0] or hand.states[0] == KeypointState.MISSING:
                    continue
                error = 1e3 * (hand.positions - sequence.hands[t, person, side].astype(float))
                wrists.append(np.linalg.norm(error[0]))
                landmarks += np.linalg.norm(error - error[0], axis=1)[1:][visible[person, side, 1:]].tolist()
    landmarks = [value for value in landmarks if np.isfinite(value)]
    return f"{seen} | {100 * found / seen:.0f} % | {_percentiles(wrists)} mm | {_percentiles(landmarks)} mm"


def _percentiles(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in np.percentile(values, [50, 95]))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
