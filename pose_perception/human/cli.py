"""Commands `human`, skeletons from image files without ROS, and `prepare`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.geometry.camera import load_camera
from pose_perception.human.estimators.options import (
    add_estimation_options,
    add_estimator_options,
    estimation_config,
)
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import Topology
from pose_perception.human.tracking import TrackingConfig
from pose_perception.recording.images import read_color, read_depth_mm
from pose_perception.recording.json_files import check_output, write_json


def add_parser(subparsers: Any) -> None:
    """Add the commands to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("human", help="skeletons from colour and depth images")
    parser.add_argument("--color", nargs="+", type=Path, required=True, metavar="FILE", help="colour images in order")
    parser.add_argument(
        "--depth",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="depth images of the same number, 16 bit in millimetres, registered to colour",
    )
    parser.add_argument("--camera", type=Path, required=True, metavar="JSON", help="intrinsics of the colour images")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="where the skeletons go")
    add_estimator_options(parser)
    parser.add_argument(
        "--turn-clockwise",
        type=int,
        default=0,
        choices=(0, 90, 180, 270),
        help="how far the images must be turned to be upright, degrees (%(default)s); results are in the given images",
    )
    parser.add_argument("--rate", type=float, default=15.0, metavar="HZ", help="frames a second of the video")
    parser.add_argument(
        "--independent",
        action="store_true",
        help="the images are no video: treat each one alone (in a video, doubtful people must be seen twice)",
    )
    parser.set_defaults(run=run)
    prepare = subparsers.add_parser(
        "prepare", help="convert the networks for the CPU, so that the first start is as quick as any"
    )
    prepare.add_argument(
        "estimators",
        nargs="*",
        metavar="ESTIMATOR",
        help=f"those that will be used, of {', '.join(ESTIMATORS)}; none: default",
    )
    add_estimation_options(prepare)
    prepare.set_defaults(run=run_prepare)


def run(args: argparse.Namespace) -> int:
    """Execute the command; returns its exit code.

    Raises:
        PosePerceptionError: a file cannot be used, or a network is missing.
    """
    if not 0.001 <= args.rate <= 1e6:
        raise ConfigurationError(f"--rate must lie between 0.001 and 1000000 frames a second, got {args.rate}")
    if args.depth is not None and len(args.depth) != len(args.color):
        raise InvalidInputError(f"{len(args.color)} colour images, but {len(args.depth)} depth images")
    check_output(args.out, "--out")
    # Somebody in a single picture cannot be seen again to be confirmed.
    tracking = TrackingConfig(confirm_score=0.0) if args.independent else TrackingConfig()
    estimation = estimation_config(args)
    pipeline = HumanPipeline(
        HumanConfig(
            device=args.device,
            estimator=args.estimator,
            turn_clockwise=args.turn_clockwise,
            estimation=estimation,
            tracking=tracking,
        )
    )
    frames = []
    for path, frame in _frames(args):
        if args.independent:
            pipeline.reset()
        skeletons = [s for s in pipeline.process(frame) if s.tracking_state == TrackingState.TRACKED]
        frames.append({"file": str(path), "skeletons": [skeleton_to_json(s, pipeline.topology) for s in skeletons]})
    write_json(args.out, {"frames": frames})
    return 0


def run_prepare(args: argparse.Namespace) -> int:
    """Execute the command `prepare`; returns its exit code.

    Raises:
        PosePerceptionError: there is no such estimator, or a network is missing or damaged.
    """
    for name in args.estimators or ("default",):
        make_estimator(name, "cpu", estimation_config(args)).load_all()
        print(f"{name}: ready", flush=True)
    return 0


def _frames(args: argparse.Namespace) -> Iterator[tuple[Path, RgbdFrame]]:
    camera = load_camera(args.camera)
    for i, path in enumerate(args.color):
        color, depth = read_color(path), None
        if args.depth is not None:
            depth = read_depth_mm(args.depth[i]).astype(np.float32) / 1000
        try:
            yield path, RgbdFrame(color, depth, camera, round(i / args.rate * 1e9))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error


def skeleton_to_json(skeleton: Skeleton, topology: Topology) -> dict[str, Any]:
    """Return a skeleton as plain values; what is not known is null."""
    keypoints = {}
    for i, name in enumerate(topology.keypoints):
        keypoints[name] = {
            "pixel": _known(skeleton.pixels[i], 2),
            "score": round(float(skeleton.scores[i]), 4),
            "position": _known(skeleton.positions[i], 4),
            "state": KeypointState(skeleton.states[i]).name.lower(),
        }
    return {
        "id": skeleton.id,
        "score": round(skeleton.score, 4),
        "keypoints": keypoints,
    }


def _known(values: np.ndarray, digits: int) -> list[float] | None:
    return [round(float(v), digits) for v in values] if np.isfinite(values).all() else None
