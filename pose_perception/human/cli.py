"""Commands `human`, skeletons from image files without ROS, and `prepare`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray, HandPose, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.geometry.camera import load_camera
from pose_perception.geometry.registration import DepthRegistration
from pose_perception.geometry.se3 import matrix_from_numbers
from pose_perception.human.estimators.options import (
    add_estimation_options,
    add_estimator_options,
    estimation_config,
)
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.human.face import FaceConfig
from pose_perception.human.hands import HandsConfig
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import HAND_21, Topology
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
        help="depth images of the same number, 16 bit in millimetres, registered to colour without --depth-camera",
    )
    parser.add_argument("--camera", type=Path, required=True, metavar="JSON", help="intrinsics of the colour images")
    parser.add_argument(
        "--depth-camera", type=Path, metavar="JSON", help="intrinsics of depth images that are not registered to colour"
    )
    parser.add_argument(
        "--color-from-depth",
        nargs=7,
        type=float,
        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="pose of that depth camera in the colour camera's optical frame, metres and quaternion",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="where the skeletons go")
    add_estimator_options(parser)
    parser.add_argument(
        "--turn-clockwise",
        type=int,
        default=0,
        choices=(0, 90, 180, 270),
        help="how far the images must be turned to be upright, degrees (%(default)s); results are in the given images",
    )
    parser.add_argument("--hands", action="store_true", help="also the 21 landmarks of each hand")
    parser.add_argument("--heads", action="store_true", help="also the pose of each head")
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
    if (args.depth_camera is None) != (args.color_from_depth is None):
        raise InvalidInputError("depth that is not registered needs both --depth-camera and --color-from-depth")
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
            hands=HandsConfig(enabled=args.hands, rate_hz=0.0),
            face=FaceConfig(head_pose=args.heads, rate_hz=0.0),
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
    camera, register = load_camera(args.camera), None
    if args.depth_camera is not None:
        color_from_depth = matrix_from_numbers(args.color_from_depth)
        register = DepthRegistration(load_camera(args.depth_camera), camera, color_from_depth)
    for i, path in enumerate(args.color):
        color, depth = read_color(path), None
        try:
            if args.depth is not None:
                depth = read_depth_mm(args.depth[i]).astype(np.float32) / 1000
                depth = depth if register is None else register(depth)
            yield path, RgbdFrame(color, depth, camera, round(i / args.rate * 1e9))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error


def skeleton_to_json(skeleton: Skeleton, topology: Topology) -> dict[str, Any]:
    """Return a skeleton as plain values; what is not known is null, and what was not looked for is left out."""
    result: dict[str, Any] = {
        "id": skeleton.id,
        "score": round(skeleton.score, 4),
        "keypoints": _keypoints_to_json(skeleton, topology, skeleton.scores),
    }
    if skeleton.is_flat:
        result["flat"] = True
    if skeleton.hands:
        result["hands"] = {hand.side: _hand_to_json(hand) for hand in skeleton.hands}
    if skeleton.head is not None:
        pose = skeleton.head.camera_from_head
        result["head"] = {"pose": [_known(row, 4) for row in pose[:3]], "source": skeleton.head.source.name.lower()}
    return result


def _hand_to_json(hand: HandPose) -> dict[str, Any]:
    return {
        "score": round(hand.score, 4),
        "pinch": None if np.isnan(hand.pinch) else round(hand.pinch, 4),
        "openness": None if np.isnan(hand.openness) else round(hand.openness, 3),
        "landmarks": _keypoints_to_json(hand, HAND_21, np.full(len(HAND_21), hand.score)),
    }


def _keypoints_to_json(points: Skeleton | HandPose, topology: Topology, scores: FloatArray) -> dict[str, Any]:
    return {
        name: {
            "pixel": _known(points.pixels[i], 2),
            "score": round(float(scores[i]), 4),
            "position": _known(points.positions[i], 4),
            "state": KeypointState(points.states[i]).name.lower(),
        }
        for i, name in enumerate(topology.keypoints)
    }


def _known(values: np.ndarray, digits: int) -> list[float] | None:
    return [round(float(v), digits) for v in values] if np.isfinite(values).all() else None
