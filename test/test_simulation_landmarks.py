"""Tests for simulation/landmarks.py: where hands and heads of simulated people truly are, and whether they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.human.topology import HAND_21
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.landmarks import HAND_LANDMARKS
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import Body, create_bodies
from pose_perception.simulation.posing import Posed, pose_body
from pose_perception.simulation.scene import Moment, Scene
from pose_perception.simulation.sequence import SequenceConfig

CONFIG = SequenceConfig(people=2, duration_s=8.0, width=640, height=480, seed=1)
STANDING = Motion(np.random.default_rng(0), 8.0, "still").at(0.0)


@pytest.fixture(scope="module")
def body() -> Body:
    return create_bodies(1, np.random.default_rng(1), cache_directory() / "anny")[0]


@pytest.fixture(scope="module")
def poses(body: Body) -> list[Posed]:
    motion = Motion(np.random.default_rng(11), 8.0, "mixed")
    return [pose_body(body, motion.at(time)) for time in np.arange(0, 8, 0.8)]


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    scene = Scene(CONFIG, cache_directory() / "anny")
    return [scene.at(time) for time in (0.5, 2.0, 3.5, 5.0)]


def test_hands_have_the_order_of_the_topology() -> None:
    assert HAND_21.keypoints == HAND_LANDMARKS


def test_finger_bones_keep_their_length_and_are_those_of_a_hand(poses: list[Posed]) -> None:
    hands = np.array([posed.hands for posed in poses])  # (T, 2, 21, 3)
    for finger in range(5):
        chain = hands[:, :, [0, *range(4 * finger + 1, 4 * finger + 5)]]
        lengths = np.linalg.norm(np.diff(chain, axis=2), axis=-1)
        assert np.ptp(lengths, axis=0).max() < 2e-3  # the skin at a finger tip is not quite rigid
        assert (lengths[:, :, 1:] > 0.015).all()
        assert (lengths[:, :, 1:] < 0.06).all()
    to_middle_knuckle = np.linalg.norm(hands[:, :, 9] - hands[:, :, 0], axis=-1)
    assert ((to_middle_knuckle > 0.07) & (to_middle_knuckle < 0.13)).all()


def test_the_skin_between_fingers_begins_in_the_middle_of_their_first_phalanges(body: Body, poses: list[Posed]) -> None:
    # So it is in anatomy: the first finger joint is the knuckle and lies inside of the palm.
    bones = [[body.rig.names.index(f"finger{f}-{joint}.L") for joint in (1, 2, 3)] for f in (2, 3, 4, 5)]
    share = body.weights.toarray()[:, bones].sum(axis=2)  # (V, 4)
    straight = max(poses, key=lambda posed: np.linalg.norm(posed.hands[0, 8] - posed.hands[0, 0]))
    for finger in (0, 1, 2):
        between = (share[:, finger] > 0.25) & (share[:, finger + 1] > 0.25)
        knuckle, second = straight.hands[0, [5 + 4 * finger, 6 + 4 * finger]]
        along = (straight.vertices[between] - knuckle) @ (second - knuckle) / np.square(second - knuckle).sum()
        assert 0.3 < np.median(along) < 0.7


def test_hands_belong_to_the_arms_of_the_skeleton(body: Body, poses: list[Posed]) -> None:
    same = {"wrist": 0, "index": 5, "pinky": 17, "thumb": 2}
    for posed in poses:
        for side, hand in zip(("left", "right"), posed.hands, strict=True):
            for name, landmark in same.items():
                keypoint = posed.keypoints[body.keypoint_names.index(f"{side}_{name}")]
                assert np.allclose(hand[landmark], keypoint, atol=1e-6)


def test_the_head_frame_agrees_with_eyes_and_ears(body: Body, poses: list[Posed]) -> None:
    index = body.keypoint_names.index
    for posed in [*poses, pose_body(body, STANDING)]:
        assert np.allclose(posed.head[:3, :3] @ posed.head[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(posed.head[:3, :3]) == pytest.approx(1)
        left_eye, right_eye, left_ear, right_ear, nose = (
            np.linalg.inv(posed.head)[:3] @ np.append(posed.keypoints[index(name)], 1)
            for name in ("left_eye", "right_eye", "left_ear", "right_ear", "nose")
        )
        # The root of the nose lies between the eyes and in front of the lids, the ears far behind it.
        assert np.allclose((left_eye + right_eye)[1:] / 2, 0, atol=0.008)
        assert (left_eye - right_eye) / np.linalg.norm(left_eye - right_eye) == pytest.approx([0, 1, 0], abs=0.01)
        assert -0.03 < left_eye[0] < 0
        assert (left_ear + right_ear) / 2 == pytest.approx([-0.1, 0, -0.015], abs=0.02)
        assert 0.005 < nose[0] < 0.04
        assert nose[2] < -0.02


def test_the_head_looks_straight_ahead_at_rest(body: Body) -> None:
    head = pose_body(body, STANDING).head
    assert np.allclose(head[:3, 0], [0, -1, 0], atol=1e-6)  # a body at rest faces negative y
    assert np.allclose(head[:3, 2], [0, 0, 1], atol=1e-6)


def test_seen_hand_landmarks_lie_right_behind_the_hand(moments: list[Moment]) -> None:
    camera, seen = CONFIG.camera, 0
    for moment in moments:
        for person, side, landmark in zip(*np.nonzero(moment.hands_visible), strict=True):
            x, y, z = moment.hands[person, side, landmark]
            pixel = round(y / z * camera.fy + camera.cy), round(x / z * camera.fx + camera.cx)
            assert moment.picture.instances[pixel] == person + 1
            assert -0.02 < z - moment.picture.depth[pixel] < 0.06
            seen += 1
    assert seen > 0.3 * sum(moment.hands_visible.size for moment in moments)


def test_heads_of_people_who_face_the_camera_are_seen(moments: list[Moment]) -> None:
    for moment in moments:
        towards = -np.einsum("pi,pi->p", moment.heads[:, :3, 0], moment.heads[:, :3, 3])
        assert (towards > 0).all()
        assert moment.heads_visible.all()
