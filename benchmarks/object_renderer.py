"""Time of the CPU renderer of object models, and of verification, which is mostly rendering.

    python benchmarks/object_renderer.py [--rounds 30] [MESH ...]

prints a table for three simulated objects, or for mesh files in metres: minimum and median in milliseconds, and the
minimum over that of casting the same rays without anything else. The runs alternate, so that other work on the machine
disturbs all lines alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open3d
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import Observation, crop_intrinsics
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.rays import Outline, cast
from pose_perception.objects.surface import Surface, surface_of
from pose_perception.objects.verification import verify
from pose_perception.simulation.tabletop.arrangement import make_thing
from pose_perception.simulation.tabletop.shapes import random_shape

_POSES, _SIZE_PX, _RADII, _FEWEST_FACES = 250, 96, 1.1, 10_000
_INTRINSICS = np.array([605.0, 605.0, 318.0, 242.0])
_PLACE_M = np.array([0.05, 0.02, 0.8])
_SIMULATED, _WARM_UP_ROUNDS = 3, 3


class Subject(NamedTuple):
    """What is rendered.

    Attributes:
        name: In the table.
        surface: The object.
        center: Middle of its bounding box, shape (3,), metres.
        radius: Half the diagonal of that box, metres.
        poses: camera_from_object, shape (N, 4, 4).
    """

    name: str
    surface: Surface
    center: FloatArray
    radius: float
    poses: FloatArray


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="*", type=Path, metavar="MESH")
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args(arguments)
    print("| object | faces | work | minimum | median | over casting |\n|---|---|---|---|---|---|")
    for subject in subjects(args.meshes):
        runs = works(subject)
        times = [[_milliseconds(run) for run in runs.values()] for _ in range(_WARM_UP_ROUNDS + args.rounds)]
        least, middle = (f(times[_WARM_UP_ROUNDS:], axis=0) for f in (np.min, np.median))
        head = f"| {subject.name} | {len(subject.surface.faces)} "
        for work, one, other in zip(runs, least, middle, strict=True):
            print(f"{head}| {work} | {one:.1f} ms | {other:.1f} ms | {one / least[0]:.2f} |", flush=True)
    return 0


def subjects(meshes: Sequence[Path]) -> Iterator[Subject]:
    """Yield the objects of mesh files, or simulated ones without any."""
    for path in meshes:
        mesh = trimesh.load(path, force="mesh", process=False)
        yield _subject(path.stem if path.stem != "textured" else path.parent.name, surface_of(mesh))
    for seed in () if meshes else range(_SIMULATED):
        rng = np.random.default_rng(seed)
        shape = random_shape(rng)
        while len(shape.mesh.faces) < _FEWEST_FACES:
            shape = shape._replace(mesh=shape.mesh.subdivide())
        yield _subject(f"simulated {seed}", make_thing(shape, rng).surface)


def works(subject: Subject) -> dict[str, Callable[[], object]]:
    """Return what is timed by its name; what the others are compared with comes first."""
    renderer, poses = RaycastingRenderer(subject.surface), subject.poses
    crop = crop_intrinsics(poses, subject.center, subject.radius, _INTRINSICS, _RADII, _SIZE_PX)
    seen, mask = _observations(subject, renderer)

    def render(count: int, color: bool = True, normals: bool = False) -> Callable[[], object]:
        return lambda: renderer.render(poses[:count], crop[:count], _SIZE_PX, color, normals)

    def check(size: int, color: bool) -> Callable[[], object]:
        return lambda: verify(renderer, poses, subject.center, subject.radius, seen, mask, size, color)

    return {
        "casting alone": _casting(subject.surface, poses, crop),
        f"{_POSES} poses, depth": render(_POSES, color=False),
        f"{_POSES} poses, colour": render(_POSES),
        f"{_POSES} poses, colour and normals": render(_POSES, normals=True),
        "10 poses, colour": render(10),
        "1 pose, colour": render(1),
        f"verify {_POSES} poses at 40 px": check(40, color=False),
        f"verify {_POSES} poses at 80 px, colour": check(80, color=True),
    }


def _subject(name: str, surface: Surface) -> Subject:
    used = surface.vertices[np.unique(surface.faces)].astype(np.float64)
    center, radius = (used.min(0) + used.max(0)) / 2, float(np.linalg.norm(np.ptp(used, axis=0)) / 2)
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (_POSES, 1, 1))
    poses[:, :3, :3] = Rotation.random(_POSES, rng=rng).as_matrix()
    poses[:, :3, 3] = _PLACE_M - poses[:, :3, :3] @ center + rng.normal(0, 0.01, (_POSES, 3))
    return Subject(name, surface, center, radius, poses)


def _observations(subject: Subject, renderer: RaycastingRenderer) -> tuple[Observation, Observation]:
    """Return an image of the first pose before a wall, and the mask of the object in it."""
    made = renderer.render(subject.poses[:1], _INTRINSICS[None], (480, 640))
    depth = np.where(made.mask[0], made.depth[0], np.float32(1.2))
    color = np.round(made.color[0] * 255).astype(np.uint8)
    return Observation(color, depth, _INTRINSICS), Observation(color, made.mask[0].astype(np.float32), _INTRINSICS)


def _casting(surface: Surface, poses: FloatArray, crop: FloatArray) -> Callable[[], object]:
    scene, tensor = open3d.t.geometry.RaycastingScene(), open3d.core.Tensor
    scene.add_triangles(tensor(surface.vertices), tensor(surface.faces.astype(np.uint32)))
    size = (_SIZE_PX, _SIZE_PX)
    wanted = Outline(surface.vertices[np.unique(surface.faces)]).pixels(poses, crop, size)
    rays = cast(poses, crop, size, wanted)
    lines = tensor(np.concatenate([rays.origins[rays.picture], rays.directions], axis=1))
    return lambda: scene.cast_rays(lines)


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
