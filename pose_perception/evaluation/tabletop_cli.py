"""Command `evaluate objects`: poses of objects on simulated tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_perception.evaluation.report import format_table

if TYPE_CHECKING:
    from pose_perception.evaluation.tabletop import Outcome, TrackingFigures

# 1 s at 30 Hz, after the first second.
_HIDDEN = (30, 60)


def add_objects(actions: Any) -> None:
    """Add the command to the subparsers of `evaluate`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "objects", help="object poses on simulated tables: with masks, without, tracked by a camera in a hand"
    )
    parser.add_argument("--tables", type=int, default=20, help="with about seven objects each (%(default)s)")
    parser.add_argument("--videos", type=int, default=3, help="tables that are filmed (%(default)s)")
    parser.add_argument("--frames", type=int, default=300, help="of each video, at 30 Hz (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first table (%(default)s)")
    parser.add_argument(
        "--models",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="meshes, *.object.yaml or folders of them, of the objects on the tables (objects that are made up)",
    )
    parser.add_argument(
        "--mesh-scale", type=float, default=1.0, help="makes metres of the unit of meshes (%(default)s)"
    )
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where networks run")
    parser.set_defaults(run=run_objects)


def run_objects(args: argparse.Namespace) -> int:
    """Execute `evaluate objects`; returns its exit code.

    Raises:
        PosePerceptionError: the network cannot be loaded.
        InvalidInputError: a mesh cannot be used.
    """
    from pose_perception.evaluation.tabletop import measure_baseline, measure_frames, measure_tracking
    from pose_perception.networks.runtime import load_network
    from pose_perception.objects.library import read_models

    network = load_network("pose_matcher", args.device)
    network.warm_up()
    models = read_models(args.models, args.mesh_scale) if args.models else []
    seeds = range(args.seed, args.seed + args.tables)
    rows = [("baseline, with masks", _figures(measure_baseline(seeds, models)))]
    for masks in (True, False):
        outcomes, false = measure_frames(seeds, network, masks, models)
        what = "with masks" if masks else "without masks"
        rows.append((what, _figures(outcomes)))
        rows += [(f"  says {a:.1f} to {b:.1f}", text) for a, b, text in _reliability(outcomes)]
        if not masks:
            rows.append(("  absent, score above 0.5", f"{sum(score > 0.5 for score in false)} of {len(false)}"))
    for seed in range(args.seed + 10_000, args.seed + 10_000 + args.videos):
        rows.append((f"video {seed}", _tracking(measure_tracking(seed, network, args.frames, models=models))))
        hidden = measure_tracking(seed, network, min(args.frames, 120), _HIDDEN, models)
        rows.append(("  hidden for 1 s", f"right again after {hidden.again_s:.2f} s"))
    print("\n".join(format_table(rows)))
    return 0


def _figures(outcomes: Sequence[Outcome]) -> str:
    add_s = np.array([outcome.add_s for outcome in outcomes])
    add = np.array([outcome.add for outcome in outcomes])
    median = 1000 * np.median([outcome.add_s_m for outcome in outcomes])
    seconds = np.median([outcome.seconds for outcome in outcomes])
    return (
        f"{len(outcomes)} objects: ADD-S {100 * np.mean(add_s < 0.1):.1f} %, ADD {100 * np.mean(add < 0.1):.1f} %, "
        f"median {median:.1f} mm, {seconds:.2f} s each"
    )


def _reliability(outcomes: Sequence[Outcome]) -> list[tuple[float, float, str]]:
    """Return, for ranges of the score, which share is right in ADD."""
    lines = []
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = [o.add < 0.1 for o in outcomes if low < o.score <= low + 0.2]
        if inside:
            lines.append((low, low + 0.2, f"{100 * np.mean(inside):.0f} % of {len(inside)} right"))
    return lines


def _tracking(figures: TrackingFigures) -> str:
    p50, p95 = np.percentile(1000 * figures.seconds[1:], (50, 95))
    return (
        f"right in {100 * figures.followed:.1f} % of frames, not tracked in {figures.lost}, "
        f"{p50:.0f} ms a frame (p95 {p95:.0f})"
    )
