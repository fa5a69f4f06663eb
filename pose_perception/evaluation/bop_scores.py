"""Recall of object poses over scenes, with BOP's assignment of estimates to labels.

For each image and object as many estimates as there are visible instances count, those of the highest scores. From the
highest score on, each takes the label that is free and has the smallest error below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.evaluation.bop import EvaluatedModel, RenderDepth, add_error, adds_error, mspd, mssd, vsd
from pose_perception.recording.bop import BopTruth
from pose_perception.recording.bop_results import BopResult

MINIMUM_VISIBLE = 0.1
"""Labels of which less is visible are not asked for."""
ADD_THRESHOLD = 0.1
_DIAMETERS = np.arange(0.05, 0.51, 0.05)
_PIXELS = np.arange(5.0, 51.0, 5.0)
_BOP_WIDTH = 640


class ObjectErrors(NamedTuple):
    """Errors of one model in one image: E estimates with the highest scores first, G labels.

    Attributes:
        obj_id: Number of the model.
        counts: Whether a label counts, shape (G,).
        add, adds, mssd: In diameters of the model, shape (E, G).
        adds_mm: Millimetres, shape (E, G).
        mspd: Pixels of an image 640 wide, shape (E, G).
        vsd: For each of BOP's tolerances, shape (T, E, G).
        times_s: What each estimate took, seconds, shape (E,); NaN where nobody measured it.
    """

    obj_id: int
    counts: npt.NDArray[np.bool_]
    add: FloatArray
    adds: FloatArray
    mssd: FloatArray
    adds_mm: FloatArray
    mspd: FloatArray
    vsd: FloatArray
    times_s: FloatArray


class BopFigures(NamedTuple):
    """Figures over objects in images.

    Attributes:
        targets: Labels that count.
        add, adds: Share with an error below a tenth of the diameter.
        adds_median_mm: Median error, an object that nobody found counted as infinitely far, millimetres.
        vsd, mssd, mspd: Average recall over BOP's thresholds.
        time_s: Mean time an estimate, seconds; NaN where nobody measured it.
    """

    targets: int
    add: float
    adds: float
    adds_median_mm: float
    vsd: float
    mssd: float
    mspd: float
    time_s: float

    @property
    def ar(self) -> float:
        """BOP's average recall."""
        return (self.vsd + self.mssd + self.mspd) / 3


def match(errors: FloatArray, counts: npt.NDArray[np.bool_], threshold: float) -> npt.NDArray[np.int64]:
    """Assign estimates to labels.

    Args:
        errors: Shape (E, G), the estimates by falling score.
        counts: Whether a label counts, shape (G,).
        threshold: Errors must be smaller.

    Returns:
        The estimate of each label, shape (G,), or -1.
    """
    found = np.full(len(counts), -1)
    for index, row in enumerate(errors):
        free = np.where(counts & (found < 0), row, np.inf)
        if free.size and free.min() < threshold:
            found[np.argmin(free)] = index
    return found


def image_errors(
    frame: RgbdFrame,
    truth: Sequence[BopTruth],
    results: Iterable[BopResult],
    models: Mapping[int, EvaluatedModel],
    render: RenderDepth,
) -> list[ObjectErrors]:
    """Measure the estimates in one image against its labels.

    Args:
        frame: The image.
        truth: Its labels.
        results: All estimates in this image.
        models: By number.
        render: Depth of a model alone in this camera.
    """
    results = list(results)
    shares = {id(result): result.time_s / len(results) if result.time_s >= 0 else np.nan for result in results}
    found = []
    for obj_id in sorted({label.obj_id for label in truth}):
        model = models[obj_id]
        labels = [label for label in truth if label.obj_id == obj_id]
        depths = [render(model, label.camera_from_object) for label in labels]
        counts = np.array([_is_visible(label, depth) for label, depth in zip(labels, depths, strict=True)])
        estimates = sorted((r for r in results if r.obj_id == obj_id), key=lambda r: -r.score)[: counts.sum()]
        poses = [estimate.camera_from_object for estimate in estimates]
        times = np.array([shares[id(estimate)] for estimate in estimates])
        errors = _errors(frame, model, poses, labels, depths, render)
        found.append(ObjectErrors(obj_id, counts, *errors, times))
    return found


def absent_results(truth: Sequence[BopTruth], results: Iterable[BopResult], score: float) -> list[BopResult]:
    """Return the estimates above a score whose model is not in the image at all."""
    present = {label.obj_id for label in truth}
    return [result for result in results if result.score > score and result.obj_id not in present]


def figures(errors: Sequence[ObjectErrors]) -> BopFigures:
    """Return the figures over objects in images; NaN where no label counts."""
    targets = sum(int(entry.counts.sum()) for entry in errors)
    if not targets:
        return BopFigures(0, *[float("nan")] * 7)

    def recall(name: str, threshold: float, index: int | None = None) -> float:
        tables = [getattr(entry, name) if index is None else getattr(entry, name)[index] for entry in errors]
        hits = [(match(t, e.counts, threshold) >= 0).sum() for t, e in zip(tables, errors, strict=True)]
        return float(sum(hits)) / targets

    distances = []
    for entry in errors:
        found = match(entry.adds_mm, entry.counts, np.inf)
        distances += [entry.adds_mm[found[g], g] if found[g] >= 0 else np.inf for g in np.flatnonzero(entry.counts)]
    times = np.concatenate([entry.times_s for entry in errors])
    return BopFigures(
        targets,
        recall("add", ADD_THRESHOLD),
        recall("adds", ADD_THRESHOLD),
        float(np.median(distances)),
        float(np.mean([recall("vsd", theta, t) for t in range(len(_DIAMETERS)) for theta in _DIAMETERS])),
        float(np.mean([recall("mssd", theta) for theta in _DIAMETERS])),
        float(np.mean([recall("mspd", theta) for theta in _PIXELS])),
        float(np.nanmean(times)) if np.isfinite(times).any() else float("nan"),
    )


def _errors(
    frame: RgbdFrame,
    model: EvaluatedModel,
    poses: Sequence[FloatArray],
    labels: Sequence[BopTruth],
    depths: Sequence[FloatArray],
    render: RenderDepth,
) -> tuple[FloatArray, ...]:
    """Return the fields of `ObjectErrors` from `add` to `vsd`."""
    shape = (len(poses), len(labels))
    add, adds, surface, pixels = (np.zeros(shape) for _ in range(4))
    discrepancy = np.zeros((len(_DIAMETERS), *shape))
    measured = np.zeros((frame.camera.height, frame.camera.width)) if frame.depth is None else frame.depth
    for e, pose in enumerate(poses):
        rendered = render(model, pose)
        for g, label in enumerate(labels):
            truth = label.camera_from_object
            add[e, g], adds[e, g] = add_error(model, pose, truth), adds_error(model, pose, truth)
            surface[e, g], pixels[e, g] = mssd(model, pose, truth), mspd(model, pose, truth, frame.camera)
            discrepancy[:, e, g] = vsd(rendered, depths[g], measured, frame.camera, model.diameter)
    d = model.diameter
    return add / d, adds / d, surface / d, 1000 * adds, pixels * (_BOP_WIDTH / frame.camera.width), discrepancy


def _is_visible(label: BopTruth, rendered: FloatArray) -> bool:
    """Return whether a label counts; where nobody says how much of it is visible, its pixels are counted."""
    fraction = label.visible_fraction
    if fraction is None and label.visible_px is not None:
        fraction = label.visible_px / max(1, np.count_nonzero(rendered))
    return fraction is None or fraction >= MINIMUM_VISIBLE
