"""Distances between the parts of a robot, as capsules: a segment and all that is nearer to it than a radius.

`config/robots/capsules/<name>.yaml` holds, as `capsule_fitting.py` writes it, the capsules (link, both ends in the
frame of the link and radius, metres) and the pairs of them that can come near each other (both numbers, and how much
farther apart their meshes are, which are smaller); and `neighbours`, links that are too near by design to be watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.kinematics import Kinematics
from pose_perception.imitation.robot_config import robots_folder

# Segments count as parallel, or as points, below these.
_PARALLEL, _POINT_M2 = 1e-9, 1e-12


@dataclass(frozen=True)
class Capsule:
    """One capsule: a link, both ends of the segment in its frame and the radius, metres."""

    link: str
    start: tuple[float, ...]
    end: tuple[float, ...]
    radius: float


class Pair(NamedTuple):
    """Two capsules that are watched.

    Attributes:
        first, second: Their indices.
        gap: How much farther apart the meshes in them are at least, metres.
    """

    first: int
    second: int
    gap: float


class Nearest(NamedTuple):
    """Where P pairs of capsules are nearest to each other.

    Attributes:
        distances: Between the surfaces with shape (..., P), metres, gaps added; negative where they overlap.
        first, second: The nearest points of the segments with shape (..., P, 3), metres.
    """

    distances: FloatArray
    first: FloatArray
    second: FloatArray


class CapsuleModel:
    """The capsules of a robot on its moving joints.

    Attributes:
        capsules: All of them.
        pairs: Indices of those that are watched, shape (P, 2).
        carriers: Bodies (see `Kinematics`) that carry the capsules, shape (C,).
        bodies: Those of each pair, shape (P, 2).
        neighbours: Pairs of links, sorted, that are so near by design that not all of their capsules are watched.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        capsules: Sequence[Capsule],
        pairs: Sequence[Pair],
        neighbours: Iterable[tuple[str, ...]] = (),
    ) -> None:
        """Place capsules on a robot.

        Raises:
            ConfigurationError: the robot lacks a link, or a pair names a capsule that does not exist.
        """
        self.capsules, self.neighbours = tuple(capsules), frozenset(neighbours)
        self.pairs = np.array([(pair.first, pair.second) for pair in pairs], dtype=int).reshape(-1, 2)
        if self.pairs.size and not (self.pairs.min() >= 0 and self.pairs.max() < len(capsules)):
            raise ConfigurationError(f"a pair of capsules names number {self.pairs.max()}, of {len(capsules)}")
        placed = [kinematics.locate(capsule.link, what="capsules") for capsule in capsules]
        ends = np.array([(capsule.start, capsule.end) for capsule in capsules]).reshape(-1, 2, 3)
        self.carriers: npt.NDArray[np.int64] = np.array([point.body for point in placed], dtype=int)
        # In the frames of the bodies, homogeneous: (C, 4, 2), start and along.
        local = np.zeros((len(capsules), 4, 2))
        for i, point in enumerate(placed):
            local[i, :3] = point.pose[:3, :3] @ np.stack([ends[i, 0], ends[i, 1] - ends[i, 0]], axis=1)
            local[i, :3, 0] += point.pose[:3, 3]
            local[i, 3, 0] = 1.0
        self._local = local
        radii = np.array([capsule.radius for capsule in capsules])
        self._thickness = radii[self.pairs].sum(axis=1) - [pair.gap for pair in pairs]
        self.bodies: npt.NDArray[np.int64] = self.carriers[self.pairs]

    def segments(self, bodies: FloatArray) -> FloatArray:
        """Return both ends of the segments with shape (..., C, 2, 3), metres, for poses (..., n + 1, 4, 4)."""
        placed = np.swapaxes((bodies[..., self.carriers, :, :] @ self._local)[..., :3, :], -1, -2)
        return np.stack([placed[..., 0, :], placed.sum(axis=-2)], axis=-2)

    def nearest(self, bodies: FloatArray) -> Nearest:
        """Return how near the pairs are for poses of the bodies with shape (..., n + 1, 4, 4)."""
        if not self.pairs.size:
            empty = np.zeros((*bodies.shape[:-3], 0))
            return Nearest(empty, empty[..., None].repeat(3, -1), empty[..., None].repeat(3, -1))
        segments = (bodies[..., self.carriers, :, :] @ self._local)[..., :3, :]
        first, second = segments[..., self.pairs[:, 0], :, :], segments[..., self.pairs[:, 1], :, :]
        p, q = nearest_points(first[..., 0], first[..., 1], second[..., 0], second[..., 1])
        apart = p - q
        return Nearest(np.sqrt(np.einsum("...i,...i->...", apart, apart)) - self._thickness, p, q)


def nearest_points(a: FloatArray, u: FloatArray, b: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the nearest points of segments a + s u and b + t v, s and t from 0 to 1, all with shape (..., 3).

    Clamps s, then t for that s, then s for that t: Ericson, Real-Time Collision Detection, 2005, section 5.1.9.
    """
    r = a - b
    uu, vv, uv = (np.einsum("...i,...i->...", x, y) for x, y in ((u, u), (v, v), (u, v)))
    ur, vr = np.einsum("...i,...i->...", u, r), np.einsum("...i,...i->...", v, r)
    uu, vv = np.maximum(uu, _POINT_M2), np.maximum(vv, _POINT_M2)
    determinant = uu * vv - uv * uv
    is_parallel = determinant < _PARALLEL * uu * vv
    s = np.where(is_parallel, 0.5, (uv * vr - ur * vv) / np.where(is_parallel, 1.0, determinant))
    s = np.minimum(np.maximum(s, 0.0), 1.0)
    t = np.minimum(np.maximum((uv * s + vr) / vv, 0.0), 1.0)
    s = np.minimum(np.maximum((uv * t - ur) / uu, 0.0), 1.0)
    return a + s[..., None] * u, b + t[..., None] * v


def load_capsules(name: str, kinematics: Kinematics) -> CapsuleModel:
    """Return the capsules of a robot of `config/robots`.

    Raises:
        ConfigurationError: its file is missing or wrong, or the robot has not its links.
    """
    path = robots_folder() / "capsules" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigurationError(
            f"{path} is missing: write it with python -m pose_perception.imitation.capsule_fitting"
        )
    content: Any = yaml.safe_load(path.read_text())
    try:
        capsules = [
            Capsule(str(link), tuple(start), tuple(end), float(r)) for link, start, end, r in content["capsules"]
        ]
        pairs = [Pair(int(i), int(j), float(gap)) for i, j, gap in content["pairs"]]
        neighbours = [tuple(sorted(map(str, links))) for links in content["neighbours"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} must hold capsules [link, start, end, radius], pairs [i, j, gap] and neighbours"
        ) from error
    return CapsuleModel(kinematics, capsules, pairs, neighbours)
