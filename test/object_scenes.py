"""Painted objects before a wall, for tests of what looks for objects."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import trimesh

from pose_perception.objects.crops import Observation
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.surface import Surface, halvings
from pose_perception.simulation.tabletop.frames import Tabletop, TabletopFrame

INTRINSICS = np.array([605.0, 605.0, 318.0, 242.0])
SIZE = (480, 640)
_SIDES = {(0, 1): (200, 20, 20), (0, -1): (20, 180, 20), (1, 1): (20, 20, 200), (1, -1): (230, 230, 230)}


def painted_box(edges: tuple[float, float, float] = (0.12, 0.08, 0.05)) -> trimesh.Trimesh:
    """A box with a colour of its own on five sides, and the same on the last two."""
    box = trimesh.creation.box(edges)
    sides = [(int(np.abs(n).argmax()), int(np.sign(n[np.abs(n).argmax()]))) for n in box.face_normals]
    box.visual.face_colors = [(*_SIDES.get(side, (200, 200, 0)), 255) for side in sides]
    return box


def pictured(mesh: trimesh.Trimesh, seed: int = 0) -> Surface:
    """The surface of a mesh with a picture of random fields laid over it from above."""
    rng = np.random.default_rng(seed)
    corners = mesh.vertices[mesh.faces]
    # No side lies on the border between two fields, where rounding would choose.
    uvs = 0.013 + 0.97 * (corners - mesh.vertices.min(0)) / np.ptp(mesh.vertices, axis=0)
    texture = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    return Surface(
        np.float32(mesh.vertices), np.int32(mesh.faces), uvs=np.float32(uvs[..., :2]), texture=halvings(texture)
    )


def photograph(
    renderer: RaycastingRenderer,
    pose: np.ndarray,
    wall_m: float = 1.0,
    occluder: tuple[slice, slice, float] | None = None,
) -> Observation:
    """What an ideal camera sees of an object before a grey wall.

    Args:
        renderer: Of the object.
        pose: camera_from_object, shape (4, 4).
        wall_m: Depth of the wall.
        occluder: Rows and columns that something covers, and its depth.
    """
    made = renderer.render(pose[None], INTRINSICS[None], SIZE)
    there = made.mask[0]
    color = np.where(there[..., None], np.round(made.color[0] * 255), 90).astype(np.uint8)
    depth = np.where(there, made.depth[0], np.float32(wall_m))
    if occluder is not None:
        rows, columns, at = occluder
        color[rows, columns], depth[rows, columns] = (60, 60, 60), at
    return Observation(color, depth.astype(np.float32), INTRINSICS)


def visible_points(
    renderer: RaycastingRenderer, pose: np.ndarray, noise_m: float = 0.0, seed: int = 0, step: int = 2
) -> np.ndarray:
    """Points that a depth camera measures on an object, camera frame, shape (M, 3), metres.

    Args:
        renderer: Of the object.
        pose: camera_from_object, shape (4, 4).
        noise_m: Standard deviation along the line of sight.
        seed: Of the noise.
        step: Only every so many pixels and rows.
    """
    depth = renderer.render(pose[None], INTRINSICS[None], SIZE, color=False).depth[0]
    rows, columns = np.nonzero(depth[::step, ::step])
    rows, columns = rows * step, columns * step
    sight = np.stack(
        [(columns - INTRINSICS[2]) / INTRINSICS[0], (rows - INTRINSICS[3]) / INTRINSICS[1], np.ones(len(rows))], axis=1
    )
    z = depth[rows, columns] + np.random.default_rng(seed).normal(0, noise_m, len(rows))
    return sight * z[:, None]


@lru_cache(maxsize=4)
def tabletop(seed: int, count: int = 4) -> tuple[Tabletop, TabletopFrame]:
    """A simulated table, the same for all tests, and its first frame."""
    table = Tabletop(seed, count)
    return table, table.shoot()
