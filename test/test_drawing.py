"""Tests for human/drawing.py; the drawing of limbs is tested with the messages."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import (
    CameraIntrinsics,
    HandPose,
    HeadPose,
    HeadSource,
    KeypointState,
    PoseEstimates,
    Skeleton,
    TrackingState,
)
from pose_perception.human.drawing import draw_poses, draw_skeletons
from pose_perception.human.topology import COCO_17

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
BLACK = np.zeros((240, 320, 3), np.uint8)


def _two_people() -> PoseEstimates:
    pixels = np.random.default_rng(0).uniform([20, 20], [140, 220], (2, 17, 2))
    pixels[1, :, 0] += 160
    return PoseEstimates(pixels, np.full((2, 17), 0.9), np.zeros((2, 4)), np.ones(2), np.full((2, 17, 3), np.nan))


def test_each_person_has_a_colour_of_their_own() -> None:
    image = draw_poses(np.zeros((240, 320, 3), np.uint8), _two_people(), COCO_17)
    left, right = image[:, :150], image[:, 170:]
    brightest = [tuple(half.reshape(-1, 3)[half.sum(axis=2).argmax()]) for half in (left, right)]
    assert max(brightest[0]) > 0
    assert max(brightest[1]) > 0
    assert brightest[0] != brightest[1]


def test_what_is_not_known_or_far_outside_is_not_drawn() -> None:
    people = _two_people().select([0])
    people.pixels[0, 5:] = np.nan
    people.scores[0, 2:5] = 0.1
    people.pixels[0, 0] = [1e30, -1e30]
    image = draw_poses(np.zeros((240, 320, 3), np.uint8), people, COCO_17)
    x, y = people.pixels[0, 1].round().astype(int)
    assert image[y, x].any()
    assert not image[:, 200:].any()
    assert not draw_poses(np.zeros((240, 320, 3), np.uint8), people.select([]), COCO_17).any()


def _somebody(**details: object) -> Skeleton:
    """A person without a visible joint."""
    return Skeleton(
        id="p1",
        score=0.9,
        tracking_state=TrackingState.TRACKED,
        box=np.full(4, np.nan),
        pixels=np.full((17, 2), np.nan),
        scores=np.zeros(17),
        positions=np.full((17, 3), np.nan),
        covariances=np.full((17, 3, 3), np.nan),
        states=np.full(17, KeypointState.MISSING, np.uint8),
        velocity=np.full(3, np.nan),
        camera_from_torso=None,
        **details,
    )


def _head_facing_the_camera() -> HeadPose:
    pose = np.eye(4)
    # Out of the face is towards the camera, a little to its left: straight at it the x axis would be a point.
    pose[:3, :3] = np.array([[-0.6, 0.8, 0.0], [0.0, 0.0, -1.0], [-0.8, -0.6, 0.0]])
    pose[2, 3] = 1.5
    return HeadPose(pose, np.eye(6), HeadSource.FACE)


def test_axes_of_the_head_are_red_out_of_the_face_green_to_its_left_and_blue_upwards() -> None:
    image = draw_skeletons(BLACK, [_somebody(head=_head_facing_the_camera())], COCO_17, CAMERA)
    places = [
        np.argwhere((image[:, :, channel] > 200) & (image.sum(axis=2) < 300)).mean(axis=0) for channel in range(3)
    ]
    (_, red_u), (_, green_u), (blue_v, _) = places
    assert red_u < 150 < 165 < green_u
    assert blue_v < 110
    assert not draw_skeletons(BLACK, [_somebody(head=_head_facing_the_camera())], COCO_17).any()


def test_head_behind_the_camera_is_not_drawn() -> None:
    head = _head_facing_the_camera()
    head.camera_from_head[2, 3] = -1.5
    assert not draw_skeletons(BLACK, [_somebody(head=head)], COCO_17, CAMERA).any()


def test_fingers_have_the_colour_of_their_state_and_unknown_ones_are_left_out() -> None:
    pixels = np.stack([np.linspace(40, 280, 21), np.full(21, 120.0)], axis=1)
    pixels[17:] = np.nan
    states = np.full(21, KeypointState.MEASURED, np.uint8)
    states[9:] = KeypointState.INFERRED
    unknown = np.full((21, 3), np.nan)
    hand = HandPose("left", 0.9, pixels, unknown, np.full((21, 3, 3), np.nan), states, None, np.nan, np.nan)
    image = draw_skeletons(BLACK, [_somebody(hands=(hand,))], COCO_17, CAMERA)
    thumb, ring = (image[120, int(pixels[i, 0])].astype(int) for i in (4, 16))
    assert thumb[1] > thumb[0]
    assert ring[0] > ring[1]
    assert not image[:, 250:].any()
