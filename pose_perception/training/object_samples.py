"""What the pose matcher learns from: hypotheses of objects in simulated scenes, right and wrong ones.

Of each object that a camera sees there is a group of hypotheses: some a little off, some far off, and some that look
right to who does not see colours: turned by a symmetry of the shape, or upside down. All of a group of another object
are wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.objects.crops import Observation, crop_intrinsics, motion_between
from pose_perception.objects.matcher import CROP_RADII, comparison_input
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.surface import Surface
from pose_perception.simulation.sensor import Sensor, SensorConfig
from pose_perception.simulation.tabletop.arrangement import Thing, arrange, look_at_table, make_thing
from pose_perception.simulation.tabletop.scene import Placed, TabletopScene, random_light
from pose_perception.simulation.tabletop.shapes import random_shape

GROUP = 8
# Standard deviation of turns (radians) and of shifts (radii) of each hypothesis of a group, and whether it is turned by
# a symmetry first.
_SPREAD = (
    (0.04, 0.02, False),
    (0.12, 0.06, False),
    (0.25, 0.10, False),
    (0.45, 0.15, False),
    (0.04, 0.02, True),
    (0.08, 0.04, True),
    (0.12, 0.06, True),
    (0.15, 0.08, True),
)
_WINDOW_PX, _WINDOW_RADII = 120, 1.9
_LEAST_VISIBLE = 0.3
_IMPOSTORS = 0.12  # share of groups whose hypotheses are of another object
_COLORLESS = 0.15  # share of groups whose model has no colour
# A motion beyond this is not learnt: nothing in the crop tells where to go.
_FARTHEST_TURN, _FARTHEST_SHIFT = 0.9, 0.6
_POINTS = 96


class Samples(NamedTuple):
    """G groups of hypotheses.

    Attributes:
        colors, depths, nearness: Input of `PoseMatcher` with shapes (G, 8, 64, 64, 6) uint8, (G, 8, 64, 64, 2) float16
            and (G, 8) float32.
        shift, turn: Its output with shape (G, 8, 3), float32.
        learnt: Whether the motion is to be learnt, shape (G, 8).
        error: Mean distance of the model's points to where they truly are, in diameters, shape (G, 8); infinite where
            another object is there.
    """

    colors: npt.NDArray[np.uint8]
    depths: npt.NDArray[np.float16]
    nearness: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    turn: npt.NDArray[np.float32]
    learnt: npt.NDArray[np.bool_]
    error: npt.NDArray[np.float32]


class _Candidate(NamedTuple):
    thing: Thing
    painted: RaycastingRenderer
    bare: RaycastingRenderer


class Pool:
    """Objects that scenes are made of; the oldest are replaced.

    Args:
        size: How many.
        cad: Mesh files that some are made of.
        rng: Source of everything.
    """

    def __init__(self, size: int, cad: list[Path], rng: np.random.Generator) -> None:
        self._cad = cad
        self._things = [self._make(rng) for _ in range(size)]

    def _make(self, rng: np.random.Generator) -> _Candidate:
        thing = make_thing(random_shape(rng, self._cad), rng)
        bare = Surface(thing.surface.vertices, thing.surface.faces)
        return _Candidate(thing, RaycastingRenderer(thing.surface), RaycastingRenderer(bare))

    def renew(self, count: int, rng: np.random.Generator) -> None:
        """Replace the oldest."""
        self._things = self._things[count:] + [self._make(rng) for _ in range(count)]

    def draw(self, count: int, rng: np.random.Generator) -> list[_Candidate]:
        """Draw different objects."""
        return [self._things[i] for i in rng.choice(len(self._things), count, replace=False)]


def draw_scene(pool: Pool, rng: np.random.Generator, cameras: int = 2, targets: int = 4) -> Samples | None:
    """Make one scene and the groups of what is seen in it; None when nothing is.

    Args:
        pool: What stands there.
        rng: Source of everything.
        cameras: From how many places it is looked at.
        targets: Of how many objects there are groups, at most, in each view.
    """
    chosen = pool.draw(int(rng.integers(3, 12)), rng)
    spread = rng.uniform(0.05, 0.3)
    poses = arrange([candidate.thing for candidate in chosen], rng, spread)
    there = [(candidate, pose) for candidate, pose in zip(chosen, poses, strict=True) if pose is not None]
    placed = [Placed(candidate.thing.surface, pose) for candidate, pose in there]
    groups: list[Samples] = []
    for _ in range(cameras):
        scene = TabletopScene(placed, random_light(rng), rng)
        camera_from_world = look_at_table(rng, spread)
        for index in rng.permutation(len(there))[:targets]:
            candidate, pose = there[index]
            seen = _photograph(scene, candidate, camera_from_world @ pose, int(index), camera_from_world, rng)
            if seen is not None:
                impostor = pool.draw(1, rng)[0] if rng.random() < _IMPOSTORS else None
                groups.append(_group(candidate, impostor, camera_from_world @ pose, seen, rng))
    return Samples(*map(np.stack, zip(*groups, strict=True))) if groups else None


def _photograph(
    scene: TabletopScene,
    candidate: _Candidate,
    truth: FloatArray,
    index: int,
    camera_from_world: FloatArray,
    rng: np.random.Generator,
) -> Observation | None:
    """Return what the camera sees around an object; None when it is hidden or not in front of the camera."""
    if truth[2, 3] < candidate.thing.radius + 0.1:
        return None
    wide = crop_intrinsics(
        truth[None], np.zeros(3), candidate.thing.radius, np.array([1.0, 1.0, 0.0, 0.0]), _WINDOW_RADII, _WINDOW_PX
    )
    view = scene.view(camera_from_world, wide[0], (_WINDOW_PX, _WINDOW_PX))
    whole = candidate.bare.render(truth[None], wide, _WINDOW_PX, color=False).mask.sum()
    if (view.instances == index).sum() < _LEAST_VISIBLE * max(whole, 1):
        return None
    config = SensorConfig(
        subpixel=rng.uniform(0.02, 0.15),
        correlation_px=rng.uniform(0.5, 2.5),
        holes=rng.uniform(0.0, 0.06),
        hole_radius_px=rng.uniform(1.0, 5.0),
        edge_step_m=0.02,
        edge_dropout=rng.uniform(0.0, 0.6),
        flying=rng.uniform(0.0, 0.4),
        blur_px=rng.uniform(0.0, 1.4),
        color_sigma=rng.uniform(1.0, 8.0),
        min_depth_m=0.1,
    )
    # The sensor only asks for the focal length.
    camera = CameraIntrinsics(_WINDOW_PX, _WINDOW_PX, wide[0, 0], wide[0, 1], _WINDOW_PX / 2, _WINDOW_PX / 2)
    color, millimetres = Sensor(config, camera).observe(view, rng)
    return Observation(color, millimetres.astype(np.float32) / 1000, wide[0])


def _group(
    candidate: _Candidate,
    impostor: _Candidate | None,
    truth: FloatArray,
    seen: Observation,
    rng: np.random.Generator,
) -> Samples:
    thing = (impostor or candidate).thing
    colorless = rng.random() < _COLORLESS
    renderer = (impostor or candidate).bare if colorless else (impostor or candidate).painted
    poses = _hypotheses(thing, truth, rng)
    colors, depths, nearness = comparison_input(renderer, poses, np.zeros(3), thing.radius, seen)
    equal = thing.symmetries[:1] if thing.tells_sides and not colorless else thing.symmetries
    true = np.tile(truth, (len(equal), 1, 1))
    true[:, :3, :3] = truth[:3, :3] @ equal
    points = thing.surface.vertices[rng.integers(len(thing.surface.vertices), size=_POINTS)]
    error = _errors(poses, true, points).min(1) / (2 * thing.radius)
    nearest = true[_nearest(poses, true)]
    shift, turn = motion_between(poses, nearest, np.zeros(3), thing.radius, seen.intrinsics, CROP_RADII)
    learnt = (np.linalg.norm(turn, axis=1) < _FARTHEST_TURN) & (np.abs(shift).max(1) < _FARTHEST_SHIFT)
    if impostor is not None:
        learnt[:] = False
        error[:] = np.inf
    return Samples(
        colors, depths.astype(np.float16), nearness, np.float32(shift), np.float32(turn), learnt, np.float32(error)
    )


def _hypotheses(thing: Thing, truth: FloatArray, rng: np.random.Generator) -> FloatArray:
    poses = np.tile(truth, (GROUP, 1, 1))
    for i, (turn, shift, other) in enumerate(_SPREAD):
        start = _other_side(thing, rng) if other else np.eye(3)
        by = Rotation.from_rotvec(rng.normal(0, turn, 3)).as_matrix()
        poses[i, :3, :3] = by @ truth[:3, :3] @ start
        poses[i, :3, 3] += rng.normal(0, shift, 3) * thing.radius
    return poses[rng.permutation(GROUP)]


def _other_side(thing: Thing, rng: np.random.Generator) -> FloatArray:
    """Return a turn after which the shape looks the same, or similar when it has no symmetry."""
    if len(thing.symmetries) > 1 and rng.random() < 0.9:
        return thing.symmetries[rng.integers(1, len(thing.symmetries))]
    if rng.random() < 0.6:
        return Rotation.from_euler(rng.choice(list("xyz")), np.pi).as_matrix()
    return Rotation.random(rng=rng).as_matrix()


def _errors(poses: FloatArray, true: FloatArray, points: FloatArray) -> FloatArray:
    """Return mean distances between points at each pose and at each true pose, shape (N, T)."""
    at, truly = (p[:, :3, :3] @ points.T + p[:, :3, 3:] for p in (poses, true))
    return np.linalg.norm(at[:, None] - truly[None], axis=2).mean(2)


def _nearest(poses: FloatArray, true: FloatArray) -> npt.NDArray[np.intp]:
    """Return which of the true poses each is turned the least from, shape (N,)."""
    return np.einsum("nij,tij->nt", poses[:, :3, :3], true[:, :3, :3]).argmax(1)
