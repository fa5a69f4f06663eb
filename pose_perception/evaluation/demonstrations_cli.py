"""Command `evaluate demonstrations`: robots that reach at new places for what they were shown at a few."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.evaluation.demonstrations import DEMONSTRATIONS, PLACES, measure_demonstrations
from pose_perception.evaluation.report import format_table
from pose_perception.evaluation.skeleton3d import Row, markdown
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import load_config, robot_names
from pose_perception.recording.json_files import check_output

# What the figures should be.
_ERROR_M = 0.015
# An object's pose has six numbers, which arms with fewer joints cannot meet.
_JOINTS = 6


def add_demonstrations(actions: Any) -> None:
    """Add the command to the subparsers of `evaluate`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "demonstrations",
        help=f"robots are shown to reach for an object at {DEMONSTRATIONS} places, and do it at {PLACES} others",
    )
    parser.add_argument("--robots", nargs="+", metavar="NAME", help="only these; a wrong name lists them")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown, too")
    parser.set_defaults(run=run_demonstrations)


def run_demonstrations(args: argparse.Namespace) -> int:
    """Execute `evaluate demonstrations`; returns its exit code.

    Raises:
        PosePerceptionError: there is no such robot, or a file cannot be written.
    """
    check_output(args.markdown, "--markdown")
    names = args.robots or [name for name in robot_names() if _has_enough_joints(name)]
    for name in names:
        load_config(name)  # tells of a wrong name before anything is measured
    rows: list[Row] = []
    for name in names:
        print(f"{name}:", flush=True)
        for row in _rows(name, load_robot(name)):
            rows.append(row)
            verdict = {None: "", True: f" (goal: {row.goal}; met)", False: f" (goal: {row.goal}; MISSED)"}[row.met]
            print("\n".join(format_table([(row.measure, row.value + verdict)])), flush=True)
    if args.markdown is not None:
        args.markdown.write_text("\n".join(markdown(rows)) + "\n")
    return 0


def _has_enough_joints(name: str) -> bool:
    return all(len(arm.joints) >= _JOINTS for arm in load_config(name).arms.values())


def _rows(name: str, robot: Robot) -> Iterator[Row]:
    figures = measure_demonstrations(robot, load_capsules(name, robot.kinematics))
    ended = len(figures.errors_m)
    yield Row(name, "replays that ended", f"{ended} of {PLACES}", f"{PLACES}", ended == PLACES)
    for refusal in figures.refused:
        yield Row(name, "refused", refusal)
    if ended:
        worst = max(figures.errors_m)
        yield Row(
            name,
            "tool from the object, median (largest)",
            f"{1e3 * float(np.median(figures.errors_m)):.1f} mm ({1e3 * worst:.1f})",
            f"at most {1e3 * _ERROR_M:.0f} mm",
            worst <= _ERROR_M,
        )
        turns = np.degrees(figures.errors_rad)
        yield Row(name, "turn of the tool, median (largest)", f"{float(np.median(turns)):.1f}° ({turns.max():.1f})")
    exceeded = (figures.position, figures.velocity, figures.acceleration)
    yield Row(
        name,
        "limits of position, velocity and acceleration exceeded",
        f"{exceeded[0]}, {exceeded[1]} and {exceeded[2]} times in {figures.commands} commands",
        "0",
        sum(exceeded) == 0,
    )
    first = figures.first_steps
    yield Row(name, "first command, in steps at full speed", f"{first:.2f}", "at most 1", first <= 1)
    yield Row(name, "nearest capsules", f"{1e3 * figures.nearest_m:.1f} mm")
    yield Row(name, "slowest replay, times slower than shown", f"{figures.slowed:.1f}")
