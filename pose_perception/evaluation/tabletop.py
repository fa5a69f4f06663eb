"""Object poses on simulated tables, whose truth is exact: registration, search, tracking, and finding again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray, TrackingState
from pose_perception.networks.runtime import Network
from pose_perception.objects.alignment import SurfaceField, align
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.hypotheses import place
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.pipeline import ObjectPipeline, ObjectPipelineConfig
from pose_perception.objects.registration import masked_points
from pose_perception.objects.tracking import ObjectTrackingConfig
from pose_perception.simulation.tabletop.frames import Tabletop, TabletopFrame

# What counts: at least so much of it visible, and so large in the image.
_LEAST_VISIBLE, _LEAST_PX = 0.4, 600
_RIGHT = 0.1  # diameters
_BASELINE_STARTS = 72


class Outcome(NamedTuple):
    """One object in one frame.

    Attributes:
        visible: Share of its picture that nothing hides.
        add: Mean distance of its points from where they truly are, in diameters; infinite when it was not found.
        add_s: Mean distance to the nearest of them, in diameters.
        add_s_m: The same in metres.
        score: Of the result; 0 when it was not found.
        seconds: Taken, for all objects of the frame over their number.
    """

    visible: float
    add: float
    add_s: float
    add_s_m: float
    score: float
    seconds: float


def compare_poses(model: ObjectModel, pose: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Return ADD under the symmetries of shape and colour, and ADD-S, both in metres."""
    points = model.points[::4]
    true = points @ truth[:3, :3].T + truth[:3, 3]
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    equal = truth @ model.symmetries.same
    ways = equal[:, :3, :3] @ points.T + equal[:, :3, 3:]
    add = np.linalg.norm(ways - moved.T[None], axis=1).mean(1).min()
    return float(add), float(cKDTree(moved).query(true)[0].mean())


def measure_frames(
    seeds: Sequence[int], network: Network, masks: bool, models: Sequence[ObjectModel] = ()
) -> tuple[list[Outcome], list[float]]:
    """Look for all objects of simulated frames, and for one that is not there.

    Args:
        seeds: One table each.
        network: The pose matcher.
        masks: Whether it is told where each object is visible.
        models: Of objects to put on the tables; empty for objects that are made up.

    Returns:
        An outcome for each object that counts, and the score of each model that is not there: 0 when it was not found.
    """
    outcomes: list[Outcome] = []
    false: list[float] = []
    for seed in seeds:
        table = Tabletop(seed, models=models)
        shot = table.shoot()
        searched = [*table.models, *_absent(seed, table, models)]
        # Doubtful results count too: the score tells how doubtful they are.
        tracking = ObjectTrackingConfig(found=0.0)
        pipeline = ObjectPipeline(searched, ObjectPipelineConfig(searches=0, tracking=tracking), network)
        regions = _regions(table.models, shot) if masks else None
        start = time.perf_counter()
        results = pipeline.process(shot.frame, regions)
        seconds = (time.perf_counter() - start) / len(searched)
        found = {result.model: result for result in results}
        absent = [model.name for model in searched[len(table.models) :]]
        false += [found[name].score if name in found else 0.0 for name in absent]
        outcomes += _outcomes(table.models, shot, found, seconds)
    return outcomes, false


def measure_baseline(seeds: Sequence[int], models: Sequence[ObjectModel] = ()) -> list[Outcome]:
    """Do the same with given masks by 72 random starts of point-to-plane ICP, the best by fitness: the floor."""
    outcomes: list[Outcome] = []
    for seed in seeds:
        table = Tabletop(seed, models=models)
        shot = table.shoot()
        found = {}
        start = time.perf_counter()
        for model, mask in zip(table.models, shot.masks, strict=True):
            pose = _baseline(model, shot, mask)
            if pose is not None:
                found[model.name] = ObjectPose(
                    "x", model.name, 1.0, TrackingState.TRACKED, pose, np.eye(6), model.center, model.size
                )
        outcomes += _outcomes(table.models, shot, found, (time.perf_counter() - start) / len(table.models))
    return outcomes


class TrackingFigures(NamedTuple):
    """One object through a video.

    Attributes:
        followed: Share of frames in which it is right.
        lost: How many frames after the first it was not tracked.
        seconds: Of each frame, shape (F,).
        again_s: After how long it was right again after it was hidden, seconds; infinite when not.
    """

    followed: float
    lost: int
    seconds: npt.NDArray[np.float64]
    again_s: float


def measure_tracking(
    seed: int,
    network: Network,
    frames: int = 300,
    hidden: tuple[int, int] = (0, 0),
    models: Sequence[ObjectModel] = (),
) -> TrackingFigures:
    """Follow the best visible object while the camera is held by hand.

    Args:
        seed: Of the table.
        network: The pose matcher.
        frames: At 30 Hz.
        hidden: First frame in which the whole image is covered by a hand's breadth of something near, and the first in
            which it is not.
        models: Of objects to put on the table; empty for objects that are made up.
    """
    table = Tabletop(seed, models=models)
    first = table.shoot()
    chosen = int(np.argmax(first.visible * (first.masks.sum((1, 2)) > _LEAST_PX)))
    model = table.models[chosen]
    pipeline = ObjectPipeline([model], ObjectPipelineConfig(), network)
    right, states, seconds = [], [], []
    for index, (camera_from_world, stamp) in enumerate(table.video(frames)):
        shot = table.shoot(camera_from_world, stamp_ns=stamp)
        frame = shot.frame
        if hidden[0] <= index < hidden[1]:
            frame.depth[:], frame.color[:] = 0.25, 90
        start = time.perf_counter()
        regions = [ObjectRegion(shot.masks[chosen], model.name)] if index == 0 else None
        results = pipeline.process(frame, regions)
        seconds.append(time.perf_counter() - start)
        tracked = [r for r in results if r.tracking_state is TrackingState.TRACKED]
        states.append(bool(tracked))
        error = compare_poses(model, tracked[0].camera_from_object, shot.poses[chosen])[1] if tracked else np.inf
        right.append(error < _RIGHT * model.diameter)
    shown = [not hidden[0] <= i < hidden[1] for i in range(frames)]
    after = np.nonzero(np.array(right[hidden[1] :]))[0]
    again = float(after[0] / 30) if hidden[1] and len(after) else (np.inf if hidden[1] else 0.0)
    return TrackingFigures(
        float(np.mean(np.array(right)[shown])),
        int(np.sum(~np.array(states)[shown])),
        np.array(seconds),
        again,
    )


def _regions(models: Sequence[ObjectModel], shot: TabletopFrame) -> list[ObjectRegion]:
    return [ObjectRegion(mask, model.name) for model, mask in zip(models, shot.masks, strict=True) if mask.any()]


def _outcomes(
    models: Sequence[ObjectModel], shot: TabletopFrame, found: dict[str, ObjectPose], seconds: float
) -> list[Outcome]:
    outcomes = []
    for model, truth, mask, visible in zip(models, shot.poses, shot.masks, shot.visible, strict=True):
        if visible < _LEAST_VISIBLE or mask.sum() < _LEAST_PX:
            continue
        result = found.get(model.name)
        add, add_s = (np.inf, np.inf) if result is None else compare_poses(model, result.camera_from_object, truth)
        score = 0.0 if result is None else result.score
        outcomes.append(Outcome(float(visible), add / model.diameter, add_s / model.diameter, add_s, score, seconds))
    return outcomes


def _baseline(model: ObjectModel, shot: TabletopFrame, mask: npt.NDArray[np.bool_]) -> FloatArray | None:
    camera = shot.frame.camera
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    points = masked_points(mask, shot.frame.depth, intrinsics, model.radius)
    if len(points) < 30:
        return None
    points = points[np.random.default_rng(0).permutation(len(points))[:500]]
    rotations = Rotation.random(_BASELINE_STARTS, rng=np.random.default_rng(1)).as_matrix()
    field = SurfaceField(model.points, model.normals, model.center, model.radius)
    start = place(rotations, model.points[::8], model.normals[::8], points)
    aligned = align(field, start, points, model.radius * np.geomspace(0.5, 0.06, 30))
    # Without a rendering nothing tells a surface that should not be there: fitness is all that it knows.
    moved = (points - aligned.camera_from_object[:, None, :3, 3]) @ aligned.camera_from_object[:, :3, :3]
    nearest = field.lookup(np.float32(moved - model.center))[0]
    gaps = np.linalg.norm(moved - model.center - nearest, axis=2)
    return aligned.camera_from_object[np.minimum(gaps, 0.02 * model.diameter).mean(1).argmin()]


def _absent(seed: int, table: Tabletop, models: Sequence[ObjectModel]) -> list[ObjectModel]:
    """Return a model of an object that is not on a table, if there is one."""
    if not models:
        return [replace(model, name=f"absent_{model.name}") for model in Tabletop(seed + 1_000_000, count=2).models[:1]]
    there = {model.name for model in table.models}
    others = [model for model in models if model.name not in there]
    return others[seed % len(others) :][:1] if others else []
