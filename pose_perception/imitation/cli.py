"""Commands `retarget`, joints from the skeletons of a video, and `demonstration`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_cli import add_demonstration
from pose_perception.imitation.demonstration_csv import write_csv
from pose_perception.imitation.grippers import grippers_of
from pose_perception.imitation.retargeting import Retargeter, RetargetingConfig
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import robot_names
from pose_perception.imitation.skeleton_files import SkeletonFile, read_skeletons
from pose_perception.imitation.target_filter import TorsoFilter, torso_filter_config
from pose_perception.imitation.targets import Mapper, MappingConfig, body_arms
from pose_perception.recording.json_files import check_output


def add_parser(subparsers: Any) -> None:
    """Add the commands to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "retarget", help="joint positions of a robot that does what a person's arms do"
    )
    parser.add_argument(
        "--skeletons", type=Path, required=True, metavar="JSON", help="what `pose-perception human` wrote"
    )
    parser.add_argument("--robot", required=True, metavar="NAME", help=f"one of {', '.join(robot_names())}")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="time, one column per joint (rad), openings of grippers"
    )
    parser.add_argument("--person", metavar="ID", help="whom to follow; the one who is seen longest")
    parser.add_argument("--rate", type=float, default=15.0, metavar="HZ", help="frames a second (%(default)s)")
    parser.add_argument("--mirrored", action="store_true", help="the robot is the person's mirror image")
    parser.add_argument(
        "--person-arm", default="right", choices=("left", "right"), help="that a single arm follows (%(default)s)"
    )
    parser.set_defaults(run=run_retarget)
    add_demonstration(subparsers)


def run_retarget(args: argparse.Namespace) -> int:
    """Execute `retarget`; returns its exit code.

    Raises:
        PosePerceptionError: there is no such robot, or a file cannot be used.
    """
    if not 0.1 <= args.rate <= 1000:
        raise ConfigurationError(f"--rate must lie between 0.1 and 1000 frames a second, got {args.rate}")
    check_output(args.out, "--out")
    robot = load_robot(args.robot)
    video = read_skeletons(args.skeletons, args.person)
    mapping = MappingConfig(mirrored=args.mirrored, person_arm=args.person_arm)
    write_csv(retarget(robot, video, args.rate, mapping), args.out)
    return 0


def retarget(robot: Robot, video: SkeletonFile, rate: float, mapping: MappingConfig) -> Demonstration:
    """Return what a robot does, which begins at rest in its rest posture, at 100 moments per second.

    Its grippers do what the pinches of hands ask for, from where these are first seen.

    Args:
        robot: That imitates, in its limits and without touching itself.
        video: The person.
        rate: Frames of the video per second.
        mapping: Which arm follows which.
    """
    config = RetargetingConfig()
    retargeter = Retargeter(robot, load_capsules(robot.config.name, robot.kinematics), config)
    mapper, torso = Mapper(robot, mapping), TorsoFilter(torso_filter_config())
    count = max(2, round(len(video.frames) / rate / config.step_s))
    times = np.arange(count) * config.step_s
    q, openings, shown = [robot.rest], [dict.fromkeys(grippers_of(robot), np.nan)], 0
    for now in times[:-1]:
        while shown < len(video.frames) and shown / rate <= now + 1e-9:
            skeleton = video.frames[shown]
            if skeleton is not None:
                person = torso.smooth(shown / rate, skeleton)
                retargeter.observe(shown / rate, mapper.targets(body_arms(person, video.keypoints)))
            shown += 1
        command = retargeter.step(float(now))
        q.append(command.q)
        openings.append(dict(command.openings))
    series = {name: np.array([opening[name] for opening in openings]) for name in openings[0]}
    known = {name: values for name, values in series.items() if np.isfinite(values).any()}
    return Demonstration(times, robot.joints, np.stack(q), openings=known, source="retargeted")
