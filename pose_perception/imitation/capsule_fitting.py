"""Writes `config/robots/capsules/<name>.yaml`: capsules around the collision meshes, and which pairs can meet.

    python -m pose_perception.imitation.capsule_fitting panda g1

Needs Pinocchio and the meshes of example-robot-data. Every point of a mesh lies in a capsule of its link; where
capsules are so much larger that they are too near at rest, how much farther apart their meshes are, in all postures
that were looked at, is added to the distance of the pair. A pair is left out when it never comes near, when its parts
hang on one joint or on two joints in a row, when they are always near or at rest too near (a barrier would block the
robot; it says so), and when the meshes never meet although the capsules do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import ConvexHull, QhullError

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.capsules import Capsule, CapsuleModel, Pair
from pose_perception.imitation.collision_meshes import CollisionMeshes
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import robots_folder

# A part is cut into up to this many capsules, as long as each cut saves this much of the volume.
_MOST_CAPSULES, _SAVED = 3, 0.75
# Slices overlap by this, which is the longest edge of the triangles that are cut, metres.
_OVERLAP_M = 0.01
# Smaller parts of what does not move are taken as inside of others: buttons, sensors, metres.
_SMALLEST_M = 0.03
# Random postures in which pairs are looked at; nearer than this is near, metres; meshes are looked at in so many of the
# postures that bring the capsules nearest.
_POSTURES, _NEAR_M, _LOOKS = 4000, 0.08, 60
# Parts nearer than this meet, and pairs must be farther apart than this at rest, metres.
_MEET_M, _REST_M = 0.02, 0.025
# What a gap makes of the distance at rest, metres.
_CLEAR_M = 0.035
# Parts that are this near in nearly all postures, or at rest, are neighbours: the barrier would block the robot.
_NEIGHBOURS = 0.9


def main(names: Sequence[str]) -> None:
    """Write the files of the robots with these names."""
    for name in names:
        robot = load_robot(name)
        meshes = CollisionMeshes(robot)
        capsules = fit_robot(robot, meshes)
        pairs, neighbours = choose_pairs(robot, meshes, capsules)
        used = sorted({i for pair in pairs for i in (pair.first, pair.second)})
        lines = [f"# Written by python -m pose_perception.imitation.capsule_fitting {name}", "capsules:"]
        for i in used:
            numbers = [[round(x, 4) for x in end] for end in (capsules[i].start, capsules[i].end)]
            # Rounded up, so that the mesh stays inside.
            lines.append(
                f"- [{capsules[i].link}, {numbers[0]}, {numbers[1]}, {np.ceil(1e4 * capsules[i].radius) / 1e4}]"
            )
        lines.append("pairs:")
        lines += [f"- [{used.index(pair.first)}, {used.index(pair.second)}, {pair.gap:g}]" for pair in pairs]
        lines += (
            ["neighbours:", *sorted({f"- [{', '.join(sorted(links))}]" for links in neighbours})] if neighbours else []
        )
        lines += [] if neighbours else ["neighbours: []"]
        path = robots_folder() / "capsules" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        print(f"{path.name}: {len(used)} capsules, {len(pairs)} pairs, neighbours {neighbours}")


def fit_robot(robot: Robot, meshes: CollisionMeshes) -> list[Capsule]:
    """Return capsules around everything that can collide: by link where it does not move, else by joint."""
    capsules: list[Capsule] = []
    for link, points in meshes.points_by_part().items():
        found = fit_capsules(points)
        size = max(np.ptp(points, axis=0))
        if robot.kinematics.locate(link).body > 0 or size > _SMALLEST_M:
            capsules += [Capsule(link, *capsule) for capsule in found]
    return capsules


def fit_capsules(points: FloatArray) -> list[tuple[tuple[float, ...], tuple[float, ...], float]]:
    """Return capsules (start, end, radius) that hold all points with shape (N, 3), metres."""
    best = [_fit(points)]
    along = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    for count in range(2, _MOST_CAPSULES + 1):
        t = points @ along
        edges = np.linspace(t.min(), t.max(), count + 1)
        slices = [points[(t >= low - _OVERLAP_M) & (t <= high + _OVERLAP_M)] for low, high in pairwise(edges)]
        if min(map(len, slices)) < 4:
            break
        cut = [_fit(part) for part in slices]
        if sum(map(_volume, cut)) < _SAVED * sum(map(_volume, best)):
            best = cut
    return [(tuple(start.tolist()), tuple(end.tolist()), radius) for start, end, radius in best]


def _fit(points: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the smallest capsule (start, end, radius) around points (N, 3)."""
    with suppress(QhullError):  # flat parts have no hull
        points = points[ConvexHull(points).vertices]
    axes = [*np.eye(3), *np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]]
    fits = [_along(points, axis) for axis in axes]
    axis = axes[int(np.argmin([_volume(fit) for fit in fits]))]
    result = minimize(lambda x: _volume(_along(points, x)), axis, method="Nelder-Mead", options={"maxiter": 120})
    return min([*fits, _along(points, result.x)], key=_volume)


def _along(points: FloatArray, axis: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    axis = axis / np.linalg.norm(axis)
    flat = points - (points @ axis)[:, None] * axis
    centre = flat.mean(axis=0)
    # Towards the farthest point by ever smaller steps: Badoiu and Clarkson, Smaller core-sets for balls, SODA 2003.
    for i in range(1, 100):
        centre = centre + (flat[np.argmax(np.square(flat - centre).sum(axis=1))] - centre) / (i + 1)
    squared = np.square(flat - centre).sum(axis=1)
    radius = float(np.sqrt(squared.max()))
    cap = np.sqrt(np.maximum(radius**2 - squared, 0.0))
    t = points @ axis
    low, high = (t + cap).min(), (t - cap).max()
    if low > high:
        low = high = (low + high) / 2
        radius = float(np.linalg.norm(points - centre - low * axis, axis=1).max())
    return centre + low * axis, centre + high * axis, radius


def _volume(capsule: tuple[FloatArray, FloatArray, float]) -> float:
    start, end, radius = capsule
    return float(np.pi * radius**2 * (np.linalg.norm(end - start) + 4 / 3 * radius))


def choose_pairs(
    robot: Robot, meshes: CollisionMeshes, capsules: Sequence[Capsule]
) -> tuple[list[Pair], list[list[str]]]:
    """Return the pairs of capsules to watch, and links that are left out because they are near by design."""
    kinematics = robot.kinematics
    bodies = [kinematics.locate(capsule.link).body for capsule in capsules]
    hops = _hops(kinematics.moved_by)
    candidates = [(i, j) for i, j in combinations(range(len(capsules)), 2) if hops[bodies[i], bodies[j]] > 1]
    generator = np.random.default_rng(0)
    lower, upper = np.maximum(robot.lower, robot.rest - np.pi), np.minimum(robot.upper, robot.rest + np.pi)
    postures = np.vstack([robot.rest, generator.uniform(lower, upper, (_POSTURES, len(robot.joints)))])
    model = CapsuleModel(kinematics, capsules, [Pair(i, j, 0.0) for i, j in candidates])
    distances = np.concatenate(
        [model.nearest(kinematics.bodies(some)).distances for some in np.array_split(postures, 40)]
    )
    pairs, neighbours = [], []
    for pair, distance in zip(candidates, distances.T, strict=True):
        if distance.min() > _NEAR_M:
            continue
        links = [capsules[i].link for i in pair]
        order = np.argsort(distance)
        # The nearest ones, some that are near, and rest.
        near_ones = order[: (distance < _NEAR_M).sum()]
        looked = np.unique([0, *order[:_LOOKS], *near_ones[:: max(len(near_ones) // _LOOKS, 1)]])
        true = np.array([meshes.distance(links[0], links[1], postures[i]) for i in looked])
        if true.min() > _MEET_M:
            continue
        # As little as a robot at rest needs: a gap is sampled, not certain.
        gap = float(np.clip((true - distance[looked]).min(), 0.0, max(_CLEAR_M - distance[0], 0.0)))
        near, at_rest = (distance + gap < _MEET_M).mean(), distance[0] + gap
        if near > _NEIGHBOURS or at_rest < _REST_M:
            neighbours.append(links)
        else:
            pairs.append(Pair(*pair, np.floor(1e3 * gap) / 1e3))
    return pairs, neighbours


def _hops(moved_by: Any) -> FloatArray:
    """Return how many joints are between bodies, shape (n + 1, n + 1)."""
    apart = moved_by[:, None] ^ moved_by[None]
    return apart.sum(axis=2)


if __name__ == "__main__":
    main(sys.argv[1:])
