"""Command `demo`: starts a camera and the node human_pose, measures what comes out, and records it.

There is no launch system among the ROS wheels, so the nodes are child processes here; `demo.launch.py` is the same
for `ros2 launch`.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pose_perception.errors import ConfigurationError
from pose_perception.human.estimators.options import add_estimator_options, estimation_config
from pose_perception.imitation.robot_config import load_config, robot_names

_SIMULATED_S = 30.0
_DEFAULT_RATE_HZ = 15.0
# Its arms can do nearly all that a person's do.
_DEFAULT_ROBOT = "g1"


@dataclass(frozen=True)
class DemoPlan:
    """What runs.

    Attributes:
        title: What is shown, for people.
        name: Of the recording.
        camera: Program that publishes images and its parameters; None when the user's driver does.
        perception: Parameters of human_pose.
        remappings: Names of the camera's topics.
        compressed: Whether colour comes as JPEG.
        waits: Whether the camera begins when everybody listens.
        duration_s: How long to measure; None until the camera or the user ends it.
        robot: Name of a simulated robot that imitates the nearest person; empty for none.
    """

    title: str
    name: str
    camera: tuple[str, dict[str, object]] | None
    perception: dict[str, object]
    remappings: dict[str, str] = field(default_factory=dict)
    compressed: bool = False
    waits: bool = False
    duration_s: float | None = None
    robot: str = ""


def add_parser(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo", help="skeletons of simulated, recorded or live people over ROS 2, measured and recorded"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--sequence", type=Path, metavar="DIR", help="play color/, depth/ and camera.json of a folder")
    source.add_argument("--bag", type=Path, metavar="FILE", help="play an MCAP bag")
    source.add_argument("--camera", action="store_true", help="start no camera: use a driver that already runs")
    parser.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help=f"seconds to measure; 0 is until Ctrl-C (default: a recording once, {_SIMULATED_S:g} s of simulation)",
    )
    parser.add_argument("--headless", action="store_true", help="print the table at the end only")
    parser.add_argument(
        "--imitation",
        nargs="?",
        const=_DEFAULT_ROBOT,
        default="",
        metavar="ROBOT",
        help=f"a simulated robot imitates the nearest person: {', '.join(robot_names())} ({_DEFAULT_ROBOT})",
    )
    add_estimator_options(parser)
    parser.add_argument("--rate", type=float, metavar="HZ", help=f"images a second (default {_DEFAULT_RATE_HZ:g})")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="for picture, recording and logs")
    for name in ("color", "depth", "camera-info"):
        parser.add_argument(f"--{name}-topic", default="", metavar="TOPIC", help="of the driver, or of the bag")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0, or 1 when nobody was seen, a node failed, or a robot followed nobody.

    Raises:
        PosePerceptionError: the arguments make no sense, or a recording cannot be used.
    """
    plan = replace(make_plan(args), robot=args.imitation)
    if plan.robot:
        load_config(plan.robot)
    try:
        from pose_perception.ros.session import run_session
    except ImportError as error:
        raise ConfigurationError(f"the demo needs ROS 2 and the built package ({error}): use scripts/demo") from error
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {args.out} cannot be written to: {error}") from error
    return run_session(plan, args.out, live=not args.headless)


def make_plan(args: argparse.Namespace) -> DemoPlan:
    """Turn the arguments into what runs.

    Raises:
        PosePerceptionError: they make no sense, or the bag cannot be used.
    """
    perception = _perception(args)
    rate_hz = _DEFAULT_RATE_HZ if args.rate is None else args.rate
    if args.duration is not None and not 0 <= args.duration < math.inf:
        raise ConfigurationError(f"--duration must be 0 (until Ctrl-C) or a positive number, got {args.duration}")
    limit_s = args.duration or None
    if args.rate is not None and (args.bag or args.camera):
        raise ConfigurationError("--rate is for --sequence and the simulation: a bag and a driver have their own rate")
    if (args.color_topic or args.depth_topic or args.camera_info_topic) and not (args.bag or args.camera):
        raise ConfigurationError("topics can be chosen for --camera and --bag only")
    if args.camera:
        return _plan_driver(args, perception, limit_s)
    # Nothing is lost at the start when the player waits for the perception and for who measures it.
    player = {"wait_for_subscribers": 2, "loop": args.duration is not None}
    if args.sequence:
        folder = args.sequence.resolve()
        camera = ("rgbd_player", {**player, "folder": str(folder), "rate_hz": rate_hz})
        return DemoPlan(f"recording {folder.name}", folder.name, camera, perception, waits=True, duration_s=limit_s)
    if args.bag:
        return _plan_bag(args, perception, player, limit_s)
    limit_s = _SIMULATED_S if args.duration is None else limit_s
    camera = ("simulated_camera", {"rate_hz": rate_hz})
    return DemoPlan("simulated people", "simulation", camera, perception, duration_s=limit_s)


def _perception(args: argparse.Namespace) -> dict[str, object]:
    estimation = asdict(estimation_config(args))
    if args.network_file:
        # The node runs in a folder of its own choice.
        estimation["network_file"] = str(Path(args.network_file).resolve())
    options = {f"estimation.{name}": value for name, value in estimation.items()}
    return {"device": args.device, "estimator": args.estimator, **options}


def _plan_bag(
    args: argparse.Namespace, perception: dict[str, object], player: dict[str, object], limit_s: float | None
) -> DemoPlan:
    from pose_perception.recording.bag import BagRecording
    from pose_perception.recording.topics import COMPRESSED_IMAGE, choose_topics

    bag = BagRecording(args.bag.resolve())
    topics = choose_topics(bag, args.color_topic, args.depth_topic, args.camera_info_topic)
    compressed = bag.types[topics.color] == COMPRESSED_IMAGE
    chosen = {"color_topic": topics.color, "depth_topic": topics.depth, "camera_info_topic": topics.camera_info}
    camera = ("rgbd_player", {**player, **chosen, "bag": str(bag.path)})
    perception = {**perception, "input.compressed": compressed}
    name = f"{bag.path.stem}_skeletons"
    return DemoPlan(
        f"bag {bag.path.name}", name, camera, perception, compressed=compressed, waits=True, duration_s=limit_s
    )


def _plan_driver(args: argparse.Namespace, perception: dict[str, object], limit_s: float | None) -> DemoPlan:
    compressed = args.color_topic.endswith("/compressed")
    color = "color/image/compressed" if compressed else "color/image"
    chosen = {color: args.color_topic, "depth/image": args.depth_topic, "color/camera_info": args.camera_info_topic}
    remappings = {topic: new for topic, new in chosen.items() if new}
    perception = {**perception, "input.compressed": compressed}
    return DemoPlan("your camera", "camera", None, perception, remappings, compressed, duration_s=limit_s)
