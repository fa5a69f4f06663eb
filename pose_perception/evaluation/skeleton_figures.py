"""Figures of runs on simulated sequences: accuracy, calibration, identity, jitter and lag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, KeypointState
from pose_perception.evaluation.skeleton_run import JointErrors, SequenceRun

# A person of whom nothing is visible for at least this long was hidden, seconds; how long before and after that they
# must have been seen to count.
_HIDDEN_S, _SEEN_S = 1.0, 1.0
# Search range and step of the lag, seconds.
_LAGS_S = np.arange(-0.100, 0.2001, 0.001)
# The first part of a sequence, in which filters and bone lengths settle, seconds.
SETTLING_S = 2.0


class Accuracy(NamedTuple):
    """Of the joints of one or several sequences; millimetres and shares.

    Attributes:
        median, p95: Distance between measured joints and truth.
        one_pixel_median, one_pixel_p95: The same of the method of one pixel, on the same joints.
        inferred_median: Distance between inferred joints and truth.
        background: Share of all published joints that lie on the background.
        measured, inferred: Share of the visible joints in this state; the others are missing.
        nees: Mean normalised error squared of measured joints, along and across all axes; 1 is calibrated.
        nees_inferred: The same of inferred joints.
    """

    median: float
    p95: float
    one_pixel_median: float
    one_pixel_p95: float
    inferred_median: float
    background: float
    measured: float
    inferred: float
    nees: float
    nees_inferred: float


def accuracy(joints: JointErrors) -> Accuracy:
    """Return how accurate joints are."""
    distance, one_pixel = (1e3 * np.linalg.norm(errors, axis=1) for errors in (joints.errors, joints.one_pixel))
    measured, inferred = (joints.states == state for state in (KeypointState.MEASURED, KeypointState.INFERRED))
    published = measured | inferred
    return Accuracy(
        median=_quantile(distance[measured], 0.5),
        p95=_quantile(distance[measured], 0.95),
        one_pixel_median=_quantile(one_pixel[measured], 0.5),
        one_pixel_p95=_quantile(one_pixel[measured], 0.95),
        inferred_median=_quantile(distance[inferred], 0.5),
        background=_share(joints.on_background[published]),
        measured=_share(measured[joints.visible]),
        inferred=_share(inferred[joints.visible]),
        nees=_normalised(joints.errors[measured], joints.covariances[measured]),
        nees_inferred=_normalised(joints.errors[inferred], joints.covariances[inferred]),
    )


def _normalised(errors: FloatArray, covariances: FloatArray) -> float:
    """Return the mean of the normalised error squared a dimension, without the 1 % that are wrong altogether."""
    if not len(errors):
        return float("nan")
    squared = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariances), errors) / 3
    return float(squared[squared <= np.quantile(squared, 0.99)].mean())


def id_changes(run: SequenceRun) -> int:
    """Return how often a person went on under another id, or took over that of another."""
    last: dict[int, str] = {}
    changes = 0
    for skeletons, owners in zip(run.skeletons, run.owners, strict=True):
        for person, row in owners.items():
            changes += last.get(person, skeletons[row].id) != skeletons[row].id
            last[person] = skeletons[row].id
    return changes


def ids_kept(run: SequenceRun) -> tuple[int, int]:
    """Return after how many times of being hidden or out of view people had their id again, and all such times."""
    visible = np.asarray(run.sequence.visible).any(axis=2)  # (T, P)
    rate_hz, kept, times = run.sequence.rate_hz, 0, 0
    for person in range(visible.shape[1]):
        for start, end in _gaps(visible[:, person], round(_HIDDEN_S * rate_hz)):
            before = _ids(run, person, start - round(_SEEN_S * rate_hz), start)
            after = _ids(run, person, end, end + round(2 * _SEEN_S * rate_hz))
            if before and after:
                times += 1
                kept += before[-1] == after[-1]
    return kept, times


def _gaps(visible: npt.NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Return the ranges [start, end) of at least so many frames in which nothing is visible, not those at the ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], visible, [True]]).astype(int)))
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [(int(a), int(b)) for a, b in gaps if b - a >= least and a > 0 and b < len(visible)]


def _ids(run: SequenceRun, person: int, start: int, end: int) -> list[str]:
    frames = range(max(0, start), min(end, len(run.skeletons)))
    return [run.skeletons[t][run.owners[t][person]].id for t in frames if person in run.owners[t]]


def jitter_mm(run: SequenceRun) -> float:
    """Return the RMS deviation of measured joints of people who stand still from their mean positions, millimetres."""
    squares = []
    settled = round(SETTLING_S * run.sequence.rate_hz)
    for person in range(run.sequence.positions.shape[1]):
        for name in run.topology.keypoints:
            positions = run.trajectory(person, name)[settled:]
            positions = positions[np.isfinite(positions).all(axis=1)]
            # A joint that is measured now and then only is no joint of which one would say that it stands still.
            if len(positions) > 0.5 * (len(run.skeletons) - settled):
                squares.append(np.square(positions - positions.mean(axis=0)).sum(axis=1))
    return 1e3 * float(np.sqrt(np.concatenate(squares).mean())) if squares else float("nan")


def lag_s(run: SequenceRun, keypoint: str, person: int = 0) -> float:
    """Return by how much the published motion of a joint trails the true one, seconds.

    It is the delay for which the true motion, with its mean, fits the published one best.
    """
    settled = round(SETTLING_S * run.sequence.rate_hz)
    published = run.trajectory(person, keypoint)[settled:]
    times = np.arange(settled, len(run.skeletons)) / run.sequence.rate_hz
    known = np.isfinite(published).all(axis=1)
    inner = known & (times > times[0] + _LAGS_S[-1]) & (times < times[-1] + _LAGS_S[0])
    if inner.sum() < 10:
        return float("nan")
    truth = _interpolator(run, keypoint, person)
    costs = []
    for lag in _LAGS_S:
        difference = published[inner] - truth(times[inner] - lag)
        costs.append(np.square(difference - difference.mean(axis=0)).sum())
    return float(_LAGS_S[int(np.argmin(costs))])


def _interpolator(run: SequenceRun, keypoint: str, person: int):  # noqa: ANN202 - a SciPy class
    from scipy.interpolate import CubicSpline

    positions = run.sequence.positions[:, person, run.sequence.keypoint_names.index(keypoint)].astype(float)
    return CubicSpline(np.arange(len(positions)) / run.sequence.rate_hz, positions)


def head_errors(runs: Sequence[SequenceRun]) -> tuple[FloatArray, FloatArray]:
    """Return angles in degrees and distances in millimetres between published and true heads that are visible."""
    angles, distances = [], []
    for run in runs:
        for t, person, row in _matches(run):
            head = run.skeletons[t][row].head
            if head is None or not run.sequence.heads_visible[t, person]:
                continue
            truth = run.sequence.heads[t, person].astype(float)
            turn = head.camera_from_head[:3, :3].T @ truth[:3, :3]
            angles.append(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
            distances.append(1e3 * np.linalg.norm(head.camera_from_head[:3, 3] - truth[:3, 3]))
    return np.array(angles), np.array(distances)


def hand_errors(runs: Sequence[SequenceRun]) -> tuple[FloatArray, FloatArray]:
    """Return distances of visible hand landmarks to truth relative to the wrist, and of wrists, in millimetres."""
    landmarks, wrists = [], []
    for run in runs:
        for t, person, row in _matches(run):
            for hand in run.skeletons[t][row].hands:
                side = ("left", "right").index(hand.side)
                truth = run.sequence.hands[t, person, side].astype(float)
                seen = run.sequence.hands_visible[t, person, side] & np.isfinite(hand.positions).all(axis=1)
                if not seen[0]:
                    continue
                error = hand.positions - truth
                wrists.append(1e3 * np.linalg.norm(error[0]))
                landmarks.append(1e3 * np.linalg.norm(error - error[0], axis=1)[1:][seen[1:]])
    return np.concatenate(landmarks) if landmarks else np.zeros(0), np.array(wrists)


def _matches(run: SequenceRun) -> list[tuple[int, int, int]]:
    """Return frame, person and row of the skeleton of everybody who was found."""
    return [(t, person, row) for t, owners in enumerate(run.owners) for person, row in owners.items()]


def _quantile(values: FloatArray, share: float) -> float:
    values = values[np.isfinite(values)]
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _share(values: npt.NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
