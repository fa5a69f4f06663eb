"""Accuracy of skeletons in 3D on simulated sequences: the cases of `evaluate skeleton3d` and what they measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pose_perception.evaluation.skeleton_figures import (
    accuracy,
    hand_errors,
    head_errors,
    id_changes,
    ids_kept,
    jitter_mm,
    lag_s,
)
from pose_perception.evaluation.skeleton_run import JointErrors, SequenceRun
from pose_perception.simulation.sequence import SequenceConfig

# Seeds of published figures; nothing was fitted to sequences with these.
_SEED = 7000


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        case: Name of the case.
        measure: What was measured.
        value: The figure with its unit.
        goal: What it should be; empty for figures without one.
        met: Whether it is; None without a goal.
    """

    case: str
    measure: str
    value: str
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Case:
    """Sequences that are measured together.

    Attributes:
        title: What they show.
        configs: What is simulated.
        measure: Makes rows of the runs on them.
        details: Whether hands and heads are looked at.
    """

    title: str
    configs: tuple[SequenceConfig, ...]
    measure: Callable[[str, Sequence[SequenceRun]], list[Row]]
    details: bool = False


def _below(case: str, measure: str, value: float, limit: float, unit: str, digits: int = 0) -> Row:
    met = value <= limit
    return Row(case, measure, f"{value:.{digits}f} {unit}".rstrip(), f"at most {limit:g} {unit}".rstrip(), met)


def _accuracy(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    figures = accuracy(JointErrors.concatenate([run.joints for run in runs]))
    share = figures.median / figures.one_pixel_median
    return [
        _below(case, "measured joints, median error", figures.median, 35, "mm"),
        _below(case, "measured joints, 95 % of errors", figures.p95, 100, "mm"),
        Row(case, "one pixel a joint, median error", f"{figures.one_pixel_median:.0f} mm"),
        Row(case, "one pixel a joint, 95 % of errors", f"{figures.one_pixel_p95:.0f} mm"),
        _below(case, "median error over that of one pixel", share, 0.5, "", 2),
        _below(case, "inferred joints, median error", figures.inferred_median, 120, "mm"),
        _below(case, "published joints on the background", 100 * figures.background, 0.1, "%", 2),
        Row(
            case, "visible joints measured, inferred", f"{100 * figures.measured:.0f} %, {100 * figures.inferred:.0f} %"
        ),
        _calibrated(case, "normalised error squared, measured joints", figures.nees),
        _calibrated(case, "normalised error squared, inferred joints", figures.nees_inferred),
    ]


def _calibrated(case: str, measure: str, value: float) -> Row:
    return Row(case, measure, f"{value:.2f}", "0.7 to 1.3", 0.7 <= value <= 1.3)


def _brief_accuracy(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    return [row for row in _accuracy(case, runs) if "normalised" not in row.measure and "visible" not in row.measure]


def _identity(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    return [_below(case, "people who went on under another id", sum(map(id_changes, runs)), 0, "times")]


def _occlusion(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    kept, times = np.sum([ids_kept(run) for run in runs], axis=0)
    share = 100 * kept / max(times, 1)
    return [Row(case, "id again after being hidden", f"{kept} of {times} times ({share:.0f} %)", "95 %", share >= 95)]


def _jitter(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    measure = "RMS of measured joints around their means at {:g} Hz"
    return [_below(case, measure.format(run.sequence.rate_hz), jitter_mm(run), 4, "mm", 1) for run in runs]


def _lag(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    rows = []
    for run in runs:
        names = ("left_wrist", "right_wrist")
        truth = run.sequence.positions[:, 0, [run.sequence.keypoint_names.index(name) for name in names]]
        waving = names[int(np.ptp(truth, axis=0).max(axis=1).argmax())]
        measure = f"lag of the waving wrist at {run.sequence.rate_hz:g} Hz"
        rows.append(_below(case, measure, 1e3 * lag_s(run, waving), 33, "ms"))
    return rows


def _details(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    angles, places = head_errors(runs)
    landmarks, wrists = hand_errors(runs)
    rows = []
    for name, values, limit, unit in (
        ("turn of visible heads", angles, 5, "degrees"),
        ("place of visible heads", places, 30, "mm"),
        ("wrists of visible hands", wrists, 30, "mm"),
        ("visible hand landmarks relative to the wrist", landmarks, 15, "mm"),
    ):
        if not len(values):
            rows.append(Row(case, name, "none found", f"at most {limit} {unit}", False))
            continue
        rows.append(_below(case, f"{name}, median error", float(np.median(values)), limit, unit, 1))
        rows.append(Row(case, f"{name}, 95 % of errors", f"{np.quantile(values, 0.95):.1f} {unit}"))
    return rows


def _people(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    found = sum(len(owners) for run in runs for owners in run.owners)
    there = sum(len(run.owners) * run.sequence.positions.shape[1] for run in runs)
    return [
        Row(case, "people found", f"{100 * found / there:.0f} %"),
        *_brief_accuracy(case, runs),
        *_identity(case, runs),
    ]


def _poster(case: str, runs: Sequence[SequenceRun]) -> list[Row]:
    flat = solid = people_flat = 0
    for run in runs:
        for skeletons, owners in zip(run.skeletons, run.owners, strict=True):
            people = set(owners.values())
            flat += sum(s.is_flat for row, s in enumerate(skeletons) if row not in people)
            solid += sum(not s.is_flat for row, s in enumerate(skeletons) if row not in people)
            people_flat += sum(skeletons[row].is_flat for row in people)
    share = 100 * flat / max(flat + solid, 1)
    return [
        Row(case, "skeletons of the picture that are marked as flat", f"{share:.0f} % of {flat + solid}"),
        _below(case, "skeletons of people that are marked as flat", people_flat, 0, ""),
    ]


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    near_and_far = SequenceConfig(duration_s=6.0, min_distance_m=1.0, max_distance_m=4.0, seed=_SEED)
    groups = tuple(replace(near_and_far, people=people, seed=_SEED + people) for people in (1, 2, 3, 4))
    alone = replace(near_and_far, people=1)
    still = replace(alone, motion="still", min_distance_m=2.5, max_distance_m=2.5)
    wave = replace(alone, motion="waving", min_distance_m=2.0, max_distance_m=2.0)
    hidden = SequenceConfig(duration_s=8.0, rate_hz=10.0, activity="occlude")
    return {
        "accuracy": Case("1 to 4 people at 1 to 4 m, waving, pointing, reaching", groups, _accuracy),
        "unregistered": Case(
            "2 and 4 of these people with depth that is not registered",
            tuple(replace(config, depth_view="separate") for config in groups[1::2]),
            _brief_accuracy,
        ),
        "turning": Case(
            "people who turn through 360 degrees",
            (replace(near_and_far, activity="turn", seed=_SEED + 10, min_distance_m=1.5, max_distance_m=3.0),),
            _people,
        ),
        "approaching": Case(
            "people who walk up to the camera and away", (replace(near_and_far, activity="approach"),), _people
        ),
        "carrying": Case(
            "people with a box in front of the trunk",
            (replace(near_and_far, activity="carry", min_distance_m=1.5, max_distance_m=3.0),),
            _people,
        ),
        "crowd": Case(
            "12 people", (SequenceConfig(people=12, duration_s=4.0, max_distance_m=5.0, seed=_SEED),), _people
        ),
        "crossing": Case(
            "3 people who cross 16 times",
            (
                SequenceConfig(
                    people=3, duration_s=20.0, activity="cross", min_distance_m=2.5, max_distance_m=4.0, seed=_SEED
                ),
            ),
            _identity,
        ),
        "occlusion": Case(
            "people who walk behind a board for 2 s",
            tuple(replace(hidden, seed=_SEED + i) for i in range(12)),
            _occlusion,
        ),
        "exit": Case(
            "people who leave the view for 2 s",
            tuple(replace(hidden, activity="exit", seed=_SEED + i) for i in range(6)),
            _occlusion,
        ),
        "moving camera": Case(
            "2 people and a camera in somebody's hand",
            (replace(near_and_far, camera_motion="hand_held", seed=_SEED + 2),),
            _people,
        ),
        "still": Case("a person who stands still at 2.5 m", (still, replace(still, rate_hz=30.0)), _jitter),
        "wave": Case("a person who waves at 1.5 Hz", (wave, replace(wave, rate_hz=30.0)), _lag),
        "picture": Case(
            "people in front of a picture of a person", (replace(near_and_far, activity="poster"),), _poster
        ),
        "details": Case(
            "heads and hands at 1 to 3 m",
            tuple(replace(near_and_far, max_distance_m=3.0, seed=_SEED + 20 + i) for i in range(2)),
            _details,
            details=True,
        ),
    }


def markdown(rows: Sequence[Row]) -> list[str]:
    """Return the table as lines of Markdown."""
    lines = ["| case | measure | measured | goal | |", "|---|---|---|---|---|"]
    marks = {None: "", True: "met", False: "**missed**"}
    return lines + [f"| {r.case} | {r.measure} | {r.value} | {r.goal} | {marks[r.met]} |" for r in rows]
