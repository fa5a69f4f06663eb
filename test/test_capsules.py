"""Tests for imitation/capsules.py and what is stored of the robots: against brute force and against meshes."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.capsule_fitting import fit_capsules
from pose_perception.imitation.capsules import Capsule, CapsuleModel, Pair, load_capsules, nearest_points
from pose_perception.imitation.collision_meshes import CollisionMeshes
from pose_perception.imitation.qp import approach
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.robot_config import robot_names


def test_nearest_points_are_nearer_than_all_others() -> None:
    generator = np.random.default_rng(0)
    a, u, b, v = generator.normal(size=(4, 200, 3))
    u[:20] = v[:20] * generator.uniform(-2, 2, (20, 1))  # parallel
    u[20:30] = 0.0  # points
    v[25:35] = 0.0
    p, q = nearest_points(a, u, b, v)
    s = np.linspace(0, 1, 60)
    first = a[:, None] + s[:, None] * u[:, None]
    second = b[:, None] + s[:, None] * v[:, None]
    sampled = np.linalg.norm(first[:, :, None] - second[:, None], axis=3).min(axis=(1, 2))
    found = np.linalg.norm(p - q, axis=1)
    assert np.all(found <= sampled + 1e-9)
    assert np.all(found >= sampled - 0.15)


def test_distances_are_what_coal_says() -> None:
    coal = pytest.importorskip("coal")
    generator = np.random.default_rng(1)
    robot = load_robot("g1")
    model = load_capsules("g1", robot.kinematics)
    free = CapsuleModel(robot.kinematics, model.capsules, [Pair(i, j, 0.0) for i, j in model.pairs])
    bodies = robot.kinematics.bodies(generator.uniform(robot.lower, robot.upper))
    distances = free.nearest(bodies).distances
    for (i, j), distance in zip(model.pairs, distances, strict=True):
        placed = []
        for capsule in (model.capsules[i], model.capsules[j]):
            point = robot.kinematics.locate(capsule.link)
            pose = bodies[point.body] @ point.pose
            start, end = (pose[:3, :3] @ np.array(x) + pose[:3, 3] for x in (capsule.start, capsule.end))
            along = end - start
            length = np.linalg.norm(along)
            z = along / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
            x = np.cross(z, np.eye(3)[np.argmin(np.abs(z))])
            x /= np.linalg.norm(x)
            turn = np.stack([x, np.cross(z, x), z], axis=1)
            placed += [coal.Capsule(capsule.radius, length), coal.Transform3s(turn, (start + end) / 2)]
        true = coal.distance(*placed, coal.DistanceRequest(), coal.DistanceResult())
        if true > 0:
            assert distance == pytest.approx(true, abs=1e-5)
        else:
            assert distance < 1e-5


def test_approach_is_the_slope_of_the_distance() -> None:
    robot = load_robot("baxter")
    model = load_capsules("baxter", robot.kinematics)
    q, step = robot.rest + 0.2, 1e-7
    bodies = robot.kinematics.bodies(q)
    nearest = model.nearest(bodies)
    chosen = np.flatnonzero(nearest.distances > 0)
    rows = approach(robot, model, nearest, chosen, robot.kinematics.axes(bodies))
    shifted = model.nearest(robot.kinematics.bodies(q + step * np.eye(len(q)))).distances
    slopes = (nearest.distances - shifted)[:, chosen].T / step
    np.testing.assert_allclose(rows, slopes, atol=1e-4)


def test_capsules_hold_their_points() -> None:
    generator = np.random.default_rng(2)
    box = generator.uniform(-1, 1, (3000, 3)) * [0.1, 0.2, 0.6]
    capsules = fit_capsules(box)
    starts, ends, radii = (np.array(x) for x in zip(*capsules, strict=True))
    zero = np.zeros((1, 1, 3))
    p, q = nearest_points(box[:, None], zero, starts[None], (ends - starts)[None])
    assert np.all((np.linalg.norm(p - q, axis=2) <= radii + 1e-9).any(axis=1))


@pytest.mark.parametrize("name", robot_names())
def test_every_robot_rests_without_touching_itself(name: str) -> None:
    robot = load_robot(name)
    assert load_capsules(name, robot.kinematics).nearest(robot.kinematics.bodies(robot.rest)).distances.min() > 0.02


@pytest.mark.parametrize("name", ["panda", "tiago_dual"])  # hulls of these are like their meshes
def test_meshes_are_farther_apart_than_capsules_say(name: str) -> None:
    pytest.importorskip("coal")
    robot = load_robot(name)
    model, meshes = load_capsules(name, robot.kinematics), CollisionMeshes(robot)
    generator = np.random.default_rng(7)
    for q in generator.uniform(robot.lower, robot.upper, (30, len(robot.joints))):
        distances = model.nearest(robot.kinematics.bodies(q)).distances
        by_links: dict[tuple[str, ...], float] = {}
        for pair, distance in zip(model.pairs, distances, strict=True):
            links = tuple(model.capsules[k].link for k in pair)
            by_links[links] = min(by_links.get(links, np.inf), distance)
        for links, distance in sorted(by_links.items(), key=lambda item: abs(item[1]))[:10]:
            # All capsules of both parts count, also those that are not watched because they never come near.
            if 0 < distance < 0.06:
                assert meshes.distance(*links, q) > distance - 0.006


def test_pairs_of_what_does_not_exist_are_refused() -> None:
    robot = load_robot("panda")
    capsule = Capsule("panda_link2", (0.0, 0.0, 0.0), (0.0, 0.0, 0.1), 0.05)
    with pytest.raises(ConfigurationError, match="number 3"):
        CapsuleModel(robot.kinematics, [capsule], [Pair(0, 3, 0.0)])
    with pytest.raises(ConfigurationError, match="no frame 'tail'"):
        CapsuleModel(robot.kinematics, [Capsule("tail", (0.0,) * 3, (0.0,) * 3, 0.1)], [])
    assert CapsuleModel(robot.kinematics, [capsule], []).nearest(np.zeros((8, 4, 4))).distances.shape == (0,)
