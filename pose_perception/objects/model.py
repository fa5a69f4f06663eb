"""Models of known objects: a mesh in metres with what the search for it needs to know.

The pose of an object is always that of the mesh's own frame, wherever its origin is.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.objects.surface import Surface, surface_of
from pose_perception.objects.symmetry import Symmetries, find_symmetries

if TYPE_CHECKING:
    import trimesh

# What fits between a fingernail and a door; outside of it the unit is wrong.
_SMALLEST_M, _LARGEST_M = 0.01, 3.0
_UNITS = ((0.001, "millimetres"), (0.01, "centimetres"), (0.0254, "inches"), (1000.0, "kilometres"))
_MOST_FACES, _MANY_FACES = 200_000, 600_000
_CELLS = 600  # along the diagonal, to which vertices of larger meshes are joined
_SAMPLES = 4000
_SHEET = 1e-3  # volume over area and radius, below which nothing is enclosed; 0.33 for a ball
SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf", ".dae", ".off")


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """One known object.

    Attributes:
        name: Name that poses carry.
        mesh: Triangles in the mesh's own frame, metres, with texture or colours where the file has them.
        surface: The same as the renderers take it, with at most 200 000 faces.
        points: Samples of the surface with shape (P, 3), metres.
        normals: Outward normals there, shape (P, 3), unit length.
        symmetries: Of shape and colour together, and of the shape alone.
    """

    name: str
    mesh: trimesh.Trimesh
    surface: Surface
    points: FloatArray
    normals: FloatArray
    symmetries: Symmetries

    @cached_property
    def bounds(self) -> FloatArray:
        """Lowest and highest corner of the bounding box in the mesh's frame, shape (2, 3), metres."""
        vertices = self.surface.vertices[np.unique(self.surface.faces)]
        return np.float64([vertices.min(0), vertices.max(0)])

    @cached_property
    def center(self) -> FloatArray:
        """Middle of the bounding box in the mesh's frame, shape (3,), metres."""
        return self.bounds.mean(0)

    @cached_property
    def size(self) -> FloatArray:
        """Edges of the bounding box, shape (3,), metres."""
        return np.ptp(self.bounds, axis=0)

    @cached_property
    def radius(self) -> float:
        """Half the diagonal of the bounding box, metres."""
        return float(np.linalg.norm(self.size) / 2)

    @cached_property
    def is_sheet(self) -> bool:
        """Whether the surface encloses next to nothing: a card, a label, a sign."""
        return _volume(self.surface) < _SHEET * _area(self.surface) * self.radius

    @cached_property
    def silhouette_m2(self) -> float:
        """Mean area of its outline from all around, square metres: a quarter of its surface, if that is convex.

        (Cauchy's formula.) A surface with hollows is larger than its convex hull, one with gaps is smaller.
        """
        from scipy.spatial import ConvexHull, QhullError

        area = _area(self.surface) * (2 if self.is_sheet else 1)  # the other side of a sheet is no part of the mesh
        with suppress(QhullError):  # a flat object has no hull
            area = min(area, float(ConvexHull(self.points).area))
        return area / 4

    @cached_property
    def diameter(self) -> float:
        """Largest distance between two points of the surface, metres."""
        from scipy.spatial import ConvexHull, QhullError
        from scipy.spatial.distance import pdist

        points = self.points
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # a flat object has no hull
            points = points[:: max(1, len(points) // 1000)]
        return float(pdist(points).max())


def load_model(
    path: Path, name: str | None = None, scale: float = 1.0, symmetries: Symmetries | None = None
) -> ObjectModel:
    """Read a mesh.

    Args:
        path: A file that trimesh reads.
        name: Name of the object; None for that of the file, or of its folder when all files are called alike.
        scale: Factor that makes metres of its unit (`mesh_scale`); what the file itself says of its unit (COLLADA, 3MF)
            counts as well.
        symmetries: What is known of those that change nothing; None to find them.

    Raises:
        InvalidInputError: the file cannot be read, has no faces, or has another unit.
    """
    import trimesh

    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(f"there is no mesh {path}")
    try:
        mesh = trimesh.load(path, force="mesh", process=False)
        unit = 1.0 if mesh.units is None else float(trimesh.units.unit_conversion(mesh.units, "meters"))
    except Exception as error:  # readers of foreign formats raise anything
        raise InvalidInputError(f"{path} cannot be read as a mesh: {error}") from error
    return make_model(mesh, name or _name_of(path), scale * unit, symmetries)


def make_model(
    mesh: trimesh.Trimesh, name: str, scale: float = 1.0, symmetries: Symmetries | None = None
) -> ObjectModel:
    """Prepare a mesh; arguments and errors as for `load_model`."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if len(faces) == 0:
        raise InvalidInputError(f"{name}: the mesh has no faces (is it a cloud of points?)")
    if not np.all(np.isfinite(vertices[np.unique(faces)])):
        raise InvalidInputError(f"{name}: the mesh has vertices that are not finite")
    if not (np.isfinite(scale) and scale > 0):
        raise InvalidInputError(f"{name}: mesh_scale must be positive, got {scale}")
    size = np.linalg.norm(np.ptp(vertices[np.unique(faces)], axis=0)) * scale
    if not _SMALLEST_M <= size <= _LARGEST_M:
        raise InvalidInputError(f"{name}: {_advice(size, scale)}")
    mesh = mesh.copy()
    mesh.apply_scale(scale)
    surface = _outward(surface_of(_simplified(mesh)))
    points, normals, colors = sample_surface(surface, _SAMPLES)
    found = find_symmetries(points, normals, colors)
    symmetries = found if symmetries is None else symmetries.with_alike(found.alike)
    return ObjectModel(name, mesh, surface, points, normals, symmetries)


def sample_surface(surface: Surface, count: int, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Draw points evenly from a surface.

    Args:
        surface: The surface.
        count: How many.
        seed: Of the choice.

    Returns:
        Points (P, 3) in metres, unit normals (P, 3), and albedo (P, 3) of 0 to 1 or None without colour.
    """
    rng = np.random.default_rng(seed)
    corners = surface.vertices[surface.faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    # Systematic sampling: even shares without the clumps of independent draws.
    at = (np.arange(count) + rng.random(count)) * (area.sum() / count)
    chosen = np.minimum(np.searchsorted(np.cumsum(area), at), len(area) - 1)
    u, v = rng.random((2, count))
    outside = u + v > 1
    u[outside], v[outside] = 1 - u[outside], 1 - v[outside]
    weights = np.stack([1 - u - v, u, v], axis=1)
    points = np.einsum("pk,pkd->pd", weights, corners[chosen])
    normals = cross[chosen] / np.maximum(area[chosen], 1e-15)[:, None]
    spacing = float(np.sqrt(area.sum() / count))
    colors = surface.albedo(chosen, weights[:, 1:], spacing) if surface.has_color else None
    return points, normals, colors


def _simplified(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a mesh with few enough faces; texture and colours of a simplified one come from the nearest vertex."""
    if len(mesh.faces) <= _MOST_FACES:
        return mesh
    import open3d
    import trimesh
    from scipy.spatial import cKDTree

    legacy = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices), open3d.utility.Vector3iVector(mesh.faces)
    )
    # Faces that share no vertices, as in STL files, would shrink each for itself and leave holes.
    legacy = legacy.remove_duplicated_vertices()
    if len(legacy.triangles) > _MANY_FACES:
        # Collapsing edges one by one takes a minute for two million faces; these are finer than any image.
        cell = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0))) / _CELLS
        legacy = legacy.simplify_vertex_clustering(cell)
    legacy = legacy.simplify_quadric_decimation(_MOST_FACES)
    vertices, faces = np.asarray(legacy.vertices), np.asarray(legacy.triangles)
    visual = mesh.visual.to_color() if mesh.visual.kind == "texture" else mesh.visual
    if not mesh.visual.defined or visual.kind not in ("vertex", "face"):
        return trimesh.Trimesh(vertices, faces, process=False)
    nearest = cKDTree(mesh.vertices).query(vertices)[1]
    return trimesh.Trimesh(vertices, faces, vertex_colors=np.asarray(visual.vertex_colors)[nearest], process=False)


def _outward(surface: Surface) -> Surface:
    """Return a surface whose normals point out of what it encloses: mirrored files have faces of the other winding."""
    if _volume(surface) >= 0:
        return surface

    def flipped(corners: npt.NDArray[np.generic] | None) -> npt.NDArray[np.generic] | None:
        return None if corners is None else np.ascontiguousarray(corners[:, [0, 2, 1]])

    return replace(surface, faces=flipped(surface.faces), colors=flipped(surface.colors), uvs=flipped(surface.uvs))


def _area(surface: Surface) -> float:
    """Return the area of a surface, square metres."""
    corners = surface.vertices[surface.faces].astype(np.float64)
    return float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    )


def _volume(surface: Surface) -> float:
    """Return the signed volume that a surface encloses, cubic metres; of an open one that of its cone to the middle."""
    corners = surface.vertices[surface.faces].astype(np.float64)
    corners -= corners.reshape(-1, 3).mean(0)
    return float(np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def _name_of(path: Path) -> str:
    return path.parent.name if path.stem in ("textured", "mesh", "model", "textured_simple") else path.stem


def _advice(size: float, scale: float) -> str:
    """Say what is wrong with a size in metres, and which scale would be right."""
    found = [
        f"mesh_scale {factor * scale:g} if its unit is {unit}"
        for factor, unit in _UNITS
        if _SMALLEST_M * 3 <= size * factor <= _LARGEST_M / 2
    ]
    advice = f"; try {' or '.join(found)}" if found else ""
    shown = f"{size / 1000:g} km" if size > 1000 else f"{size:g} m" if size > 0.001 else f"{size * 1e6:g} micrometres"
    return f"an object with a diagonal of {shown} cannot be meant{advice}"
