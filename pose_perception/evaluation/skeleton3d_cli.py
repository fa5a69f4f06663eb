"""Command `evaluate skeleton3d`: accuracy of skeletons in 3D, on simulated people and on recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.errors import ConfigurationError
from pose_perception.evaluation.recordings import RecordingFigures, measure_recording
from pose_perception.evaluation.report import format_table
from pose_perception.evaluation.skeleton3d import Case, Row, cases, markdown
from pose_perception.evaluation.skeleton_run import SequenceRun, run_sequence
from pose_perception.human.estimators.options import add_estimator_options, estimation_config
from pose_perception.human.face import FaceConfig
from pose_perception.human.hands import HandsConfig
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.recording.folder import FolderRecording
from pose_perception.recording.json_files import check_output
from pose_perception.simulation.sequence import SequenceConfig, load_or_render


def add_skeleton3d(actions: Any) -> None:
    """Add the command to the subparsers of `evaluate`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "skeleton3d", help="skeletons in 3D, against simulated people whose joints are known, or on a recording"
    )
    parser.add_argument("--cases", nargs="+", metavar="NAME", help=f"only these of: {', '.join(cases())}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown, too")
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="DIR",
        help="color/, depth/ and camera.json of real people instead: lengths of arms, identities, joints on the wall",
    )
    parser.add_argument("--rate", type=float, default=15.0, metavar="HZ", help="images a second of the recording")
    add_estimator_options(parser)
    parser.set_defaults(run=run_skeleton3d)


def run_skeleton3d(args: argparse.Namespace) -> int:
    """Execute `evaluate skeleton3d`; returns its exit code.

    Raises:
        PosePerceptionError: there is no such case, a file cannot be used, or the estimator cannot be loaded.
    """
    check_output(args.markdown, "--markdown")
    if args.recording is not None:
        recording = FolderRecording(args.recording)
        figures = measure_recording(_pipeline(args, details=False), recording, args.rate)
        print("\n".join(format_table(_recording_table(figures))))
        return 0
    known = cases()
    unknown = [name for name in args.cases or () if name not in known]
    if unknown:
        raise ConfigurationError(f"there is no case {', '.join(unknown)}; choose of {', '.join(known)}")
    pipelines: dict[bool, HumanPipeline] = {}
    rows: list[Row] = []
    for name in args.cases or known:
        case = known[name]
        if case.details not in pipelines:
            pipelines[case.details] = _pipeline(args, case.details)
        found = case.measure(name, _runs(pipelines[case.details], case))
        rows += found
        print("\n".join(format_table([(row.measure, _text(row)) for row in found])), flush=True)
    if args.markdown is not None:
        args.markdown.write_text("\n".join(markdown(rows)) + "\n")
    return 0


def _pipeline(args: argparse.Namespace, details: bool) -> HumanPipeline:
    pipeline = HumanPipeline(
        HumanConfig(
            device=args.device,
            estimator=args.estimator,
            estimation=estimation_config(args),
            hands=HandsConfig(enabled=details),
            face=FaceConfig(head_pose=details),
        )
    )
    pipeline.warm_up()
    return pipeline


def _runs(pipeline: HumanPipeline, case: Case) -> list[SequenceRun]:
    print(f"{case.title}:", flush=True)
    return [run_sequence(pipeline, load_or_render(config, _progress(config))) for config in case.configs]


def _progress(config: SequenceConfig) -> Any:
    """Return what tells on stderr, while a sequence is rendered, how far that is."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(
                f"\r  simulating {config.activity}: {done}/{total}", end="" if done < total else "\n", file=sys.stderr
            )

    return show


def _text(row: Row) -> str:
    verdict = {None: "", True: f" (goal: {row.goal}; met)", False: f" (goal: {row.goal}; MISSED)"}[row.met]
    return row.value + verdict


def _recording_table(figures: RecordingFigures) -> list[tuple[str, str]]:
    people = ", ".join(f"{count} in {frames} frames" for count, frames in figures.people.items())
    rows = [
        ("people", people),
        ("identities", ", ".join(figures.ids)),
        ("joints on the background", str(figures.far_joints)),
    ]
    for bone in figures.bones:
        length = f"{1e3 * bone.mean_m:.0f} mm in {bone.frames} frames"
        variation = f"varies by {100 * bone.variation:.1f} % (one pixel: {100 * bone.one_pixel_variation:.0f} %)"
        rows.append((f"{bone.person} {bone.side} {bone.bone}", f"{length}, {variation}"))
    return rows + _symmetry_rows(figures)


def _symmetry_rows(figures: RecordingFigures) -> Sequence[tuple[str, str]]:
    if not figures.asymmetry:
        return []
    worst = max(figures.asymmetry.values())
    mean = float(np.mean(list(figures.asymmetry.values())))
    return [("left against right", f"differ by at most {100 * worst:.1f} %, {100 * mean:.1f} % on average")]
