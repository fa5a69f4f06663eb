"""Shapes of things that stand on tables, drawn at random: packages, cans, bottles, cups, tools, and parts of robots.

No shape is a copy of a real product. Lengths are metres, z is up as the thing usually stands, the origin is the middle
of the bounding box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import FloatArray

if TYPE_CHECKING:
    import trimesh

# How the surface is unfolded for its picture.
BOX, ROUND = "box", "round"
_TURNS = 36  # steps by which a surface of revolution is represented among symmetries
_MOST_FACES = 20_000
_FLAT = (0.005, 0.01)


class Shape(NamedTuple):
    """A mesh and how it maps onto itself.

    Attributes:
        mesh: Triangles, metres, no colour.
        symmetries: Rotations about the origin that leave the shape (not its picture) as it is, shape (S, 3, 3), the
            identity first.
        unfolding: `BOX` or `ROUND`.
    """

    mesh: trimesh.Trimesh
    symmetries: FloatArray
    unfolding: str


def random_shape(rng: np.random.Generator, cad: list[Path] | None = None) -> Shape:
    """Draw a shape with a diameter of 5 to 35 cm.

    Args:
        rng: Source of everything.
        cad: Mesh files to draw from as well.
    """
    makers: list[tuple[Callable[..., Shape], float]] = [
        (_package, 0.26),
        (_can, 0.16),
        (_bottle, 0.16),
        (_blob, 0.06),
        (_cup, 0.08),
        (_tool, 0.14),
    ]
    if cad and rng.random() < 0.14:
        shape = _part(rng, cad)
        if shape is not None:
            return shape
    weights = np.array([weight for _, weight in makers])
    return makers[rng.choice(len(makers), p=weights / weights.sum())][0](rng)


def _finish(mesh: trimesh.Trimesh, symmetries: FloatArray, unfolding: str, diameter: float) -> Shape:
    """Centre and scale a mesh, and make its faces small enough to be bent and coloured."""
    import trimesh

    vertices = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    vertices = vertices * (diameter / np.linalg.norm(np.ptp(vertices, axis=0)))
    return Shape(trimesh.Trimesh(vertices, mesh.faces, process=False), symmetries, unfolding)


def _diameter(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.05), np.log(0.35))))


def half_turns() -> FloatArray:
    """The symmetries of a box with three different edges, shape (4, 3, 3)."""
    return np.stack([np.eye(3), np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])])


def turns(count: int = _TURNS, flips: bool = False) -> FloatArray:
    """Rotations about z in equal steps, shape (count, 3, 3), or twice as many with those that also turn it over."""
    around = Rotation.from_rotvec(np.outer(np.arange(count) * (2 * math.pi / count), [0, 0, 1])).as_matrix()
    return np.concatenate([around, around @ np.diag([1.0, -1, -1])]) if flips else around


def _package(rng: np.random.Generator) -> Shape:
    import trimesh

    edges = np.array([1.0, rng.uniform(0.35, 1), rng.uniform(0.12, 0.8)])[rng.permutation(3)]
    mesh = trimesh.creation.box(edges)
    for _ in range(2):
        mesh = mesh.subdivide()
    if rng.random() < 0.3:  # slightly bulging, as full packages are
        outward = mesh.vertices / (edges / 2)
        middle = np.prod(1 - np.minimum(np.abs(outward), 1) ** 2 + 1e-9, axis=1, keepdims=True) ** 0.3
        mesh.vertices += np.sign(outward) * (np.abs(outward) > 0.999) * middle * rng.uniform(0, 0.05)
    return _finish(mesh, half_turns(), BOX, _diameter(rng))


def _revolve(profile: FloatArray) -> trimesh.Trimesh:
    import trimesh

    return trimesh.creation.revolve(profile, sections=40)


def _can(rng: np.random.Generator) -> Shape:
    radius, height = 1.0, float(np.exp(rng.uniform(np.log(0.5), np.log(4))))
    rim = rng.uniform(0, 0.06)
    profile = [[0, 0], [radius * 0.92, 0], [radius, rim], [radius, height / 2], [radius, height - rim]]
    mesh = _revolve(np.array([*profile, [radius * 0.92, height], [0, height]]))
    return _finish(mesh, turns(flips=True), ROUND, _diameter(rng))


def _bottle(rng: np.random.Generator) -> Shape:
    height, count = rng.uniform(1.5, 4.5), 12
    at = np.linspace(0, 1, count)
    body = 0.75 + 0.25 * np.interp(at, np.linspace(0, 1, 5), rng.random(5))
    shoulder, neck = rng.uniform(0.5, 0.95), rng.uniform(0.2, 0.7)
    radius = np.where(at < shoulder, body, np.maximum(neck, body * (1 - 1.5 * (at - shoulder) / (1.001 - shoulder))))
    profile = np.stack([radius, at * height], axis=1)
    mesh = _revolve(np.concatenate([[[0, 0]], profile, [[0, height]]]))
    flat = rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0
    mesh.vertices[:, 1] *= flat
    symmetries = turns() if flat > 0.97 else turns(2)
    return _finish(mesh, symmetries, ROUND, _diameter(rng))


def _blob(rng: np.random.Generator) -> Shape:
    """A superellipsoid, sometimes bent like a banana."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=4)
    powers, size = rng.uniform(0.3, 1.3, 3), np.array([1, rng.uniform(0.3, 1), rng.uniform(0.2, 1)])
    mesh.vertices = np.sign(mesh.vertices) * np.abs(mesh.vertices) ** powers * size
    symmetries = half_turns()
    if rng.random() < 0.5:
        mesh.vertices[:, 2] += rng.uniform(0.2, 0.8) * mesh.vertices[:, 0] ** 2
        symmetries = symmetries[[0, 3]]
    return _finish(mesh, symmetries, BOX, _diameter(rng))


def _cup(rng: np.random.Generator) -> Shape:
    import trimesh

    height, wall, foot = rng.uniform(0.6, 2.5), rng.uniform(0.05, 0.12), rng.uniform(0.5, 1.0)
    inner = [[1 - wall, height], [foot - wall, wall], [0, wall]]
    mesh = _revolve(np.array([[0, 0], [foot, 0], [(1 + foot) / 2, height / 2], [1, height], *inner]))
    symmetries = turns()
    if rng.random() < 0.6:
        radius = height * rng.uniform(0.22, 0.34)
        handle = trimesh.creation.torus(radius, rng.uniform(0.06, 0.14), major_sections=24, minor_sections=10)
        handle.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, [1, 0, 0]))
        handle.apply_translation([(1 + foot) / 2 + radius * 0.3, 0, height / 2])
        mesh, symmetries = trimesh.util.concatenate([mesh, handle]), turns(1)
    return _finish(mesh, symmetries, ROUND, _diameter(rng))


def _tool(rng: np.random.Generator) -> Shape:
    """Two to six simple bodies grown onto each other."""
    import trimesh

    bodies: list[trimesh.Trimesh] = []
    for _ in range(rng.integers(2, 7)):
        size = rng.uniform(0.15, 1.0, 3) * np.array([rng.choice([0.5, 1, 2]), 1, 0.6])
        kind = rng.integers(3)
        if kind == 0:
            body = trimesh.creation.box(size).subdivide()
        elif kind == 1:
            body = trimesh.creation.cylinder(size[1] / 2, size[0], sections=24)
        else:
            body = trimesh.creation.icosphere(subdivisions=2)
            body.apply_scale(size / 2)
        body.apply_transform(trimesh.transformations.rotation_matrix(rng.choice([0, 0.5, 1]) * math.pi / 2, [1, 0, 0]))
        body.apply_transform(trimesh.transformations.rotation_matrix(rng.uniform(0, 2 * math.pi), [0, 0, 1]))
        if bodies:
            other = bodies[rng.integers(len(bodies))]
            body.apply_translation(other.vertices[rng.integers(len(other.vertices))] - 0.3 * body.vertices[0])
        bodies.append(body)
    return _finish(trimesh.util.concatenate(bodies), turns(1), BOX, _diameter(rng))


def _part(rng: np.random.Generator, cad: list[Path]) -> Shape | None:
    """A part of a robot out of a file; None when it cannot serve."""
    import trimesh

    try:
        mesh = trimesh.load(cad[rng.integers(len(cad))], force="mesh", process=False)
    except Exception:  # whatever readers of foreign formats raise: the file is not used
        return None
    if not 50 <= len(mesh.faces) <= _MOST_FACES or not np.all(np.isfinite(mesh.vertices)):
        return None
    extent = np.sort(np.ptp(mesh.vertices, axis=0))
    if extent[0] < _FLAT[0] * extent[2] or extent[1] < _FLAT[1] * extent[2]:
        return None
    return _finish(mesh, turns(1), BOX, _diameter(rng))


def unfold(shape: Shape) -> npt.NDArray[np.float32]:
    """Return texture coordinates for the corners of each face, shape (F, 3, 2), 0 to 1 (beyond 1 across a seam).

    `BOX`: six tiles in two rows of three, each the view along one axis. `ROUND`: the side in the upper half, seen from
    within the axis z, and the views from above and below in the lower half.
    """
    corners = shape.mesh.vertices[shape.mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    low, high = shape.mesh.vertices.min(0), shape.mesh.vertices.max(0)
    inside = (corners - low) / (high - low)
    axis = np.abs(normals).argmax(1)
    rows = np.arange(len(corners))
    positive = normals[rows, axis] > 0
    if shape.unfolding == BOX:
        others = np.array([[1, 2], [0, 2], [0, 1]])[axis]
        local = np.take_along_axis(inside, others[:, None, :].repeat(3, 1), axis=2)
        local[:, :, 0] = np.where(positive[:, None], local[:, :, 0], 1 - local[:, :, 0])
        tile = np.stack([axis / 3, np.where(positive, 0.5, 0.0)], axis=1)
        return np.float32(tile[:, None] + local * [1 / 3, 1 / 2])
    angle = np.arctan2(corners[..., 1], corners[..., 0]) / (2 * math.pi) + 0.5
    middle = corners.mean(1)
    seam = np.arctan2(middle[:, 1], middle[:, 0]) / (2 * math.pi) + 0.5
    angle -= np.round(angle - seam[:, None])
    side = np.stack([angle, 0.5 + inside[..., 2] / 2], axis=2)
    ends = np.stack([np.where(positive, 0.0, 0.5)[:, None] + inside[..., 0] / 2, inside[..., 1] / 2], axis=2)
    return np.float32(np.where((axis == 2)[:, None, None], ends, side))
