"""The collision meshes of a robot, read by Pinocchio: for fitting capsules and for checking what they keep apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.robot_config import description_path

# Triangles are cut until no edge is longer than this, metres.
_LONGEST_EDGE_M = 0.01
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)


class CollisionMeshes:
    """Meshes of a robot of example-robot-data, as convex hulls of each mesh, by part.

    A part is a link of what does not move, or all that one joint carries up to the next one, by the name of its link.
    """

    def __init__(self, robot: Robot) -> None:
        """Read the meshes.

        Raises:
            ConfigurationError: Pinocchio or the meshes are not installed.
        """
        try:
            import coal
            import pinocchio
        except ImportError as error:
            raise ConfigurationError("collision meshes need Pinocchio: pip install pin") from error
        self._coal, self._kinematics = coal, robot.kinematics
        path = description_path(robot.config.urdf)
        model = pinocchio.buildModelFromUrdf(str(path))
        folders = [str(path.parents[i]) for i in range(2, 5)]
        geometry = pinocchio.buildGeomFromUrdf(model, str(path), pinocchio.GeometryType.COLLISION, package_dirs=folders)
        self._parts: dict[str, list[tuple[Any, FloatArray, FloatArray]]] = {}
        for item in geometry.geometryObjects:
            link = model.frames[item.parentFrame].name
            link_from_mesh = np.linalg.inv(model.frames[item.parentFrame].placement.homogeneous)
            link_from_mesh = link_from_mesh @ item.placement.homogeneous
            vertices, triangles = _surface(item.geometry, item.meshScale)
            part, part_from_link = self._part(link)
            pose = part_from_link @ link_from_mesh
            points = _cut(vertices, triangles) @ pose[:3, :3].T + pose[:3, 3]
            hull = self._hull(vertices @ pose[:3, :3].T + pose[:3, 3])
            self._parts.setdefault(part, []).append((hull, points, pose))

    def points_by_part(self) -> dict[str, FloatArray]:
        """Return points on the surfaces, dense enough for cuts of 1 cm, in the frame of the part, (N, 3), metres."""
        return {name: np.concatenate([points for _, points, _ in items]) for name, items in self._parts.items()}

    def distance(self, first: str, second: str, q: FloatArray) -> float:
        """Return how near two parts are for joints with shape (n,), radians; metres, 0 or less where they meet."""
        coal = self._coal
        bodies = self._kinematics.bodies(q)
        placed = []
        for name in (first, second):
            point = self._kinematics.locate(name)
            pose = bodies[point.body] @ point.pose
            placed.append(coal.Transform3s(pose[:3, :3], pose[:3, 3]))
        nearest = np.inf
        for one, _, _ in self._parts[first]:
            for other, _, _ in self._parts[second]:
                result = coal.DistanceResult()
                nearest = min(nearest, coal.distance(one, placed[0], other, placed[1], coal.DistanceRequest(), result))
        return float(nearest)

    def _part(self, link: str) -> tuple[str, FloatArray]:
        """Return the part that a link belongs to, and its pose in the frame of that part."""
        place = self._kinematics.locate(link)
        if place.body == 0:
            return link, np.eye(4)
        joint = self._kinematics.urdf.joints_by_name[self._kinematics.joints[place.body - 1]]
        return joint.child, place.pose

    def _hull(self, vertices: FloatArray) -> Any:
        """Return the convex hull of vertices (N, 3)."""
        model = self._coal.BVHModelOBBRSS()
        model.beginModel(0, len(vertices))
        model.addVertices(np.ascontiguousarray(vertices))
        model.endModel()
        model.buildConvexHull(True, "Qt")
        return model.convex


def _surface(geometry: Any, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return vertices (V, 3) and triangles (T, 3) of a mesh, or of a body around a simple shape."""
    kind = type(geometry).__name__
    if kind.startswith("BVHModel"):
        vertices = np.array(geometry.vertices())
        triangles = np.array([[t[0], t[1], t[2]] for t in map(geometry.tri_indices, range(geometry.num_tris))])
        return vertices, triangles.reshape(-1, 3)
    if kind == "Box":
        return _CORNERS * geometry.halfSide, _hull_triangles(_CORNERS)
    if kind == "Sphere":
        points = np.random.default_rng(0).normal(size=(400, 3))
        points *= geometry.radius / np.linalg.norm(points, axis=1, keepdims=True)
        return points, _hull_triangles(points)
    if kind in ("Cylinder", "Capsule"):
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        length = geometry.halfLength + (geometry.radius if kind == "Capsule" else 0.0)
        rings = [
            np.stack([geometry.radius * np.cos(angle), geometry.radius * np.sin(angle), np.full(32, z)], axis=1)
            for z in (-length, length)
        ]
        return np.concatenate(rings), _hull_triangles(np.concatenate(rings))
    raise ConfigurationError(f"collision shape {kind} is not known")


def _hull_triangles(points: FloatArray) -> FloatArray:
    from scipy.spatial import ConvexHull

    return ConvexHull(points).simplices


def _cut(vertices: FloatArray, triangles: FloatArray) -> FloatArray:
    """Return the corners (N, 3) of triangles that are cut until all edges are short."""
    corners = vertices[triangles] if len(triangles) else np.zeros((0, 3, 3))
    done = [vertices]
    while len(corners):
        edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        corners = corners[edges.max(axis=1) > _LONGEST_EDGE_M]
        middles = (corners + np.roll(corners, -1, axis=1)) / 2
        done.append(middles.reshape(-1, 3))
        a, b, c = corners.transpose(1, 0, 2)
        ab, bc, ca = middles.transpose(1, 0, 2)
        corners = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return np.unique(np.round(np.concatenate(done), 4), axis=0)
