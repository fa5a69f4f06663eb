"""Command `evaluate imitation`: how well robots imitate, and what they never do."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.imitation import (
    ClipFigures,
    has_closed_form,
    measure_clip,
    measure_closed_form,
    measure_human,
    measure_noise,
    measure_settled,
)
from pose_perception.evaluation.report import format_table
from pose_perception.evaluation.skeleton3d import Row, markdown
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.collision_meshes import CollisionMeshes
from pose_perception.imitation.motion_clips import MotionClip, read_clip
from pose_perception.imitation.retargeting import RetargetingConfig
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import load_config, robot_names
from pose_perception.imitation.targets import MappingConfig
from pose_perception.recording.json_files import check_output

# What the figures should be: degrees, radians, metres, one.
_DIRECTION_DEG, _JOINT_RAD, _WRIST_M, _SWIVEL_DEG, _JERK, _NEAREST_M = 1.0, 1e-3, 0.030, 5.0, 10.0, 0.020
# How much slower recorded motion is shown once more, so that robots can keep up.
_SLOWER = 4.0
# As a right shoulder, an arm with a base of its own can do nearly all that a person's does; standing upright it cannot.
_SHOULDER_DEG = (-90.0, 0.0, 0.0)


def add_imitation(actions: Any) -> None:
    """Add the command to the subparsers of `evaluate`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "imitation", help="robots that do what a person's arms do: exact truth, noise, and recorded motion"
    )
    parser.add_argument("--robots", nargs="+", metavar="NAME", help="only these; a wrong name lists them")
    parser.add_argument("--clips", type=Path, metavar="DIR", help="recorded motion: .bvh of CMU, .txt of DeepMimic")
    parser.add_argument(
        "--meshes", action="store_true", help="look at the distances of collision meshes, too (needs pin)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown, too")
    parser.set_defaults(run=run_imitation)


def run_imitation(args: argparse.Namespace) -> int:
    """Execute `evaluate imitation`; returns its exit code.

    Raises:
        PosePerceptionError: there is no such robot, or a file cannot be used.
    """
    check_output(args.markdown, "--markdown")
    names = args.robots or robot_names()
    for name in names:
        load_config(name)  # tells of a wrong name before anything is measured
    clips = _clips(args.clips)
    rows: list[Row] = []
    for name in names:
        print(f"{name}:", flush=True)
        for row in _robot_rows(name, clips, args.meshes):
            rows.append(row)
            verdict = {None: "", True: f" (goal: {row.goal}; met)", False: f" (goal: {row.goal}; MISSED)"}[row.met]
            print("\n".join(format_table([(row.measure, row.value + verdict)])), flush=True)
    if args.markdown is not None:
        args.markdown.write_text("\n".join(markdown(rows)) + "\n")
    return 0


def _clips(folder: Path | None) -> list[MotionClip]:
    if folder is None:
        return []
    clips = [read_clip(path) for path in sorted(folder.glob("*")) if path.suffix in (".bvh", ".txt")]
    if not clips:
        raise InvalidInputError(f"{folder} has no .bvh or .txt files")
    return clips


def _robot_rows(name: str, clips: Sequence[MotionClip], with_meshes: bool) -> Iterator[Row]:
    robot = load_robot(name)
    yield from _exact_rows(name, robot)
    held = measure_settled(robot, RetargetingConfig())
    worst = float(held.max())
    yield Row(
        name,
        "directions after 4 s of a pose held, median (largest error)",
        f"{float(np.median(held)):.2f}° ({worst:.2f})",
        f"below {_DIRECTION_DEG:.0f}°",
        worst < _DIRECTION_DEG,
    )
    noise = measure_noise(robot, RetargetingConfig())
    wrist, swivel = noise.wrist_m, noise.swivel_deg
    yield Row(
        name,
        "10 mm of noise, wrist against its target, RMS (95 %)",
        f"{1e3 * wrist[0]:.1f} mm ({1e3 * wrist[1]:.1f})",
        f"at most {1e3 * _WRIST_M:.0f} mm",
        wrist[0] <= _WRIST_M,
    )
    yield Row(
        name,
        "10 mm of noise, swivel of the elbow, RMS (95 %)",
        f"{swivel[0]:.1f}° ({swivel[1]:.1f})",
        f"at most {_SWIVEL_DEG:.0f}°",
        swivel[0] <= _SWIVEL_DEG,
    )
    ratio = noise.jerk_ratio
    yield Row(
        name, "jerk without the filter over that with it", f"{ratio:.0f}", f"at least {_JERK:.0f}", ratio >= _JERK
    )
    yield Row(name, "lag of the wrist", f"{1e3 * noise.delay_s:.0f} ms")
    if clips:
        capsules = load_capsules(name, robot.kinematics)
        meshes = CollisionMeshes(robot) if with_meshes else None
        config = RetargetingConfig()
        yield from _clip_rows(name, [measure_clip(robot, capsules, meshes, clip, config) for clip in clips])
        slow = [replace(clip, rate_hz=clip.rate_hz / _SLOWER) for clip in clips]
        yield _direction_row(name, "at a quarter of it", [measure_clip(robot, capsules, None, c, config) for c in slow])


def _exact_rows(name: str, robot: Robot) -> Iterator[Row]:
    for arm in robot.arms:
        if not has_closed_form(robot, arm):
            continue
        exact = measure_closed_form(robot, arm)
        goal, met = f"below {_DIRECTION_DEG:.0f}°", exact.direction_deg < _DIRECTION_DEG and exact.reached == 1
        yield Row(name, f"{arm}: directions, own poses, largest error", f"{exact.direction_deg:.1g}°", goal, met)
        error = exact.joint_rmse_rad
        yield Row(
            name, f"{arm}: joints, own poses, RMS", f"{error:.1g} rad", f"below {_JOINT_RAD:g} rad", error < _JOINT_RAD
        )
        human = measure_human(robot, arm, MappingConfig())
        met = human.direction_deg < _DIRECTION_DEG
        yield Row(name, f"{arm}: directions, a person's poses, largest error", f"{human.direction_deg:.1g}°", goal, met)
        yield Row(name, f"{arm}: a person's poses inside of the limits", f"{100 * human.reached:.0f} %")
        if arm == "single":
            sideways = measure_human(load_robot(name, base_from_torso_deg=_SHOULDER_DEG), arm, MappingConfig())
            yield Row(name, f"{arm}: the same, mounted as a right shoulder", f"{100 * sideways.reached:.0f} %")


def _clip_rows(name: str, figures: Sequence[ClipFigures]) -> Iterator[Row]:
    commands = sum(figure.commands for figure in figures)
    exceeded = [sum(getattr(f, limit) for f in figures) for limit in ("position", "velocity", "acceleration")]
    yield Row(
        name,
        "recorded motion, limits of position, velocity and acceleration exceeded",
        f"{exceeded[0]}, {exceeded[1]} and {exceeded[2]} times in {commands} commands",
        "0",
        sum(exceeded) == 0,
    )
    nearest = min(figure.nearest_m for figure in figures)
    goal = f"at least {1e3 * _NEAREST_M:.0f} mm"
    yield Row(name, "recorded motion, nearest capsules", f"{1e3 * nearest:.1f} mm", goal, nearest >= _NEAREST_M)
    mesh = min(figure.nearest_mesh_m for figure in figures)
    if not math.isnan(mesh):
        yield Row(name, "recorded motion, nearest meshes", f"{1e3 * mesh:.1f} mm", goal, mesh >= _NEAREST_M)
    first = max(figure.first_steps for figure in figures)
    yield Row(name, "first command, in steps at full speed", f"{first:.2f}", "at most 1", first <= 1 + 1e-9)
    yield _direction_row(name, "at its speed", figures)
    braked = sum(figure.braked * figure.commands for figure in figures) / commands
    yield Row(name, "commands that braked before a collision", f"{100 * braked:.1f} %")


def _direction_row(name: str, speed: str, figures: Sequence[ClipFigures]) -> Row:
    weights = [figure.commands for figure in figures]
    error = float(np.average([figure.direction_deg for figure in figures], weights=weights))
    return Row(name, f"recorded motion {speed}, directions, mean of the clips' medians", f"{error:.0f}°")
