"""Command `demonstration`: what was recorded while a robot was taught, made ready, learned and replayed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.se3 import matrix_from_numbers
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.demonstration import CheckConfig, Demonstration, check
from pose_perception.imitation.demonstration_bag import BagTopics, read_bag
from pose_perception.imitation.demonstration_csv import write_csv
from pose_perception.imitation.demonstration_editing import resample, trim
from pose_perception.imitation.demonstration_files import read_demonstration, write_demonstration
from pose_perception.imitation.demonstration_lerobot import write_lerobot
from pose_perception.imitation.motion_files import SMOOTHING_HZ, is_learned, read_motion
from pose_perception.imitation.movement import learn_movement, save_movement
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.replay_config import ReplayConfig, ReplayState
from pose_perception.imitation.replay_run import as_demonstration, run_replay
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import robot_names
from pose_perception.recording.json_files import check_output

_FILES = "demonstrations: .csv, .npz, or bags (.mcap)"


def add_demonstration(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demonstration", help="trim, check, convert, learn and replay what a robot was taught"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="WHAT")
    cut = _action(actions, "trim", run_trim, "drop the stillness at both ends", nargs=1)
    cut.add_argument("--out", type=Path, required=True, metavar="FILE", help=".csv or .npz")
    cut.add_argument("--speed", type=float, default=0.05, metavar="RAD_S", help="slower is still (%(default)s)")
    cut.add_argument("--margin", type=float, default=0.1, metavar="S", help="stillness that is kept (%(default)s)")
    _action(actions, "check", run_check, "limits, gaps and jumps", needs_robot=True)
    convert = _action(actions, "convert", run_convert, "to a table, or to a dataset that policies are trained on")
    convert.add_argument("--to", required=True, choices=("csv", "npz", "lerobot"), help="lerobot: LeRobotDataset v3")
    convert.add_argument("--out", type=Path, required=True, metavar="PATH", help="file, or folder of the dataset")
    convert.add_argument("--fps", type=int, metavar="HZ", help="moments a second; as recorded, in datasets 30")
    convert.add_argument("--task", default="demonstrated motion", help="what is done, in words, for datasets")
    learn = _action(actions, "learn", run_learn, "a movement from several demonstrations", needs_robot=True)
    learn.add_argument("--out", type=Path, required=True, metavar="NPZ", help="where the movement goes")
    learn.add_argument("--object", default="", metavar="NAME", help="learn the tool's way relative to this object")
    learn.add_argument("--arm", default="", metavar="NAME", help="whose tool goes there; the first")
    _add_replay(actions)


def _add_replay(actions: Any) -> None:
    help_text = "what a robot does when it replays a demonstration or a movement"
    replay = _action(actions, "replay", run_replay_command, help_text, needs_robot=True, nargs=1)
    replay.add_argument("--out", type=Path, required=True, metavar="CSV", help="time, then one column per joint (rad)")
    replay.add_argument("--start", type=float, nargs="+", metavar="RAD", help="joints where it starts; at rest")
    replay.add_argument("--speed", type=float, default=1.0, help="over that of the recording (%(default)s)")
    replay.add_argument(
        "--smooth",
        type=float,
        default=SMOOTHING_HZ,
        metavar="HZ",
        help="faster changes are noise (%(default)s); 0: none",
    )
    replay.add_argument(
        "--at",
        nargs=7,
        type=float,
        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="pose of the movement's object in the robot's base, metres and quaternion",
    )


def _action(
    actions: Any, name: str, run: Any, help_text: str, needs_robot: bool = False, nargs: int | str = "+"
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
    parser.add_argument("files", nargs=nargs, type=Path, metavar="FILE", help=_FILES)
    parser.add_argument("--robot", required=needs_robot, metavar="NAME", help=f"one of {', '.join(robot_names())}")
    parser.add_argument("--joint-states", default="/joint_states", metavar="TOPIC", help="of bags (%(default)s)")
    parser.add_argument("--commands", metavar="TOPIC", help="of bags: what the robot was told")
    parser.add_argument("--skeletons", metavar="TOPIC", help="of bags: the operator")
    parser.add_argument(
        "--object-topic", nargs="+", default=[], metavar="NAME=TOPIC", help="of bags: poses (PoseStamped) in the base"
    )
    parser.set_defaults(run=run)
    return parser


def run_trim(args: argparse.Namespace) -> int:
    """Execute `demonstration trim`; returns its exit code."""
    check_output(args.out, "--out")
    (demo,) = _read(args)
    write_demonstration(trim(demo, args.speed, args.margin), args.out)
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Execute `demonstration check`; returns its exit code: 0 when all are fine, 2 with what is wrong first."""
    robot = load_robot(args.robot)
    for demo in _read(args):
        report = check(demo, robot, CheckConfig())
        print(
            f"{demo.source}: {report.duration_s:.2f} s, {report.frames} moments, "
            f"largest gap {report.largest_gap_s:.3f} s, {report.limit_room_rad:.3f} rad from a limit, "
            f"at {100 * report.speed_share:.0f} % of the speed limits"
        )
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """Execute `demonstration convert`; returns its exit code."""
    check_output(args.out if args.to != "lerobot" else None, "--out")
    demos = _read(args)
    if args.to == "lerobot":
        write_lerobot(demos, args.out, 30 if args.fps is None else args.fps, args.task, args.robot or "unknown")
        return 0
    if len(demos) != 1:
        raise InvalidInputError(f"{len(demos)} demonstrations do not go into one .{args.to} file")
    if args.out.suffix != f".{args.to}":
        raise InvalidInputError(f"--out {args.out} must end in .{args.to}")
    write_demonstration(demos[0] if args.fps is None else resample(demos[0], args.fps), args.out)
    return 0


def run_learn(args: argparse.Namespace) -> int:
    """Execute `demonstration learn`; returns its exit code."""
    check_output(args.out, "--out")
    robot = load_robot(args.robot)
    demos = _read(args)
    for demo in demos:
        check(demo, robot)
    save_movement(learn_movement(robot, [trim(demo) for demo in demos], args.object, args.arm), args.out)
    return 0


def run_replay_command(args: argparse.Namespace) -> int:
    """Execute `demonstration replay`; returns its exit code."""
    check_output(args.out, "--out")
    robot = load_robot(args.robot)
    start = robot.rest if args.start is None else np.array(args.start)
    if start.shape != robot.rest.shape:
        raise InvalidInputError(f"--start needs {len(robot.rest)} joints, got {len(start)}")
    motion, place = _motion(args, robot, start)
    config = ReplayConfig(speed_scale=args.speed, deadman=False)
    replayer = Replayer(robot, load_capsules(robot.config.name, robot.kinematics), config)
    commands = run_replay(replayer, motion, start, place)
    if replayer.state != ReplayState.FINISHED:
        detail = f": {replayer.detail}" if replayer.detail else ""
        raise InvalidInputError(f"{args.files[0]} is not replayed: {replayer.reason.value}{detail}")
    write_csv(as_demonstration(robot, start, commands, config.step_s), args.out)
    assert replayer.plan is not None
    if replayer.plan.slowed > 1:
        print(f"{replayer.plan.slowed:.1f} times slower than shown, to keep the limits")
    return 0


def _motion(args: argparse.Namespace, robot: Robot, start: FloatArray) -> tuple[Demonstration, FloatArray | None]:
    place = None if args.at is None else matrix_from_numbers(args.at)
    if place is not None and not is_learned(args.files[0]):
        raise InvalidInputError("--at is for movements that were learned; a demonstration goes where it went")
    if not 0 <= args.smooth < np.inf:
        raise InvalidInputError(f"--smooth must be 0 or a positive frequency, got {args.smooth}")
    return read_motion(args.files[0], robot, start, place, _bag_topics(args), args.smooth), place


def _bag_topics(args: argparse.Namespace) -> BagTopics:
    topics = dict(item.partition("=")[::2] for item in args.object_topic)
    if any(not name or not topic for name, topic in topics.items()):
        raise InvalidInputError(f"--object-topic must be NAME=TOPIC, got {' '.join(args.object_topic)}")
    return BagTopics(args.joint_states, args.commands, args.skeletons, topics)


def _read(args: argparse.Namespace) -> list[Demonstration]:
    bag_topics, found = _bag_topics(args), []
    for path in args.files:
        if path.suffix == ".mcap" or path.is_dir():
            if args.robot is None:
                raise InvalidInputError(f"{path} is a bag: --robot must say whose joints are meant")
            found.append(read_bag(path, load_robot(args.robot), bag_topics))
        else:
            found.append(read_demonstration(path))
    return found
