"""Tests for human/hands.py: how accurate the hands of the two real people and of simulated ones are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hand_scenes import FRAMES, WALL_M, Scene, estimator, people_in, sitting_person, two_people_in

from pose_perception.datatypes import CameraIntrinsics, HandPose, KeypointState, RgbdFrame, Skeleton
from pose_perception.geometry.camera import project
from pose_perception.human.hand_model import BONES
from pose_perception.human.topology import BODY_33
from pose_perception.simulation.sequence import SimulatedSequence

Hands = list[list[tuple[HandPose, ...]]]


@pytest.fixture(scope="module")
def two_people(shared_data: Path) -> Scene:
    return two_people_in(shared_data / "rgbd_two_people")


@pytest.fixture(scope="module")
def real_hands(two_people: Scene) -> Hands:
    hands = estimator()
    return [hands.process(frame, people) for frame, people in two_people]


def by_owner(two_people: Scene, hands: Hands) -> dict[tuple[str, str], list[HandPose]]:
    found: dict[tuple[str, str], list[HandPose]] = {}
    for (_, people), rows in zip(two_people, hands, strict=True):
        for person, own in zip(people, rows, strict=True):
            for hand in own:
                found.setdefault((person.id, hand.side), []).append(hand)
    return found


class _TurnedCamera:
    """A camera that is turned by quarters clockwise."""

    def __init__(self, frame: RgbdFrame, quarters: int) -> None:
        self.quarters, self.size = quarters, (frame.camera.width, frame.camera.height)
        color, depth = (np.ascontiguousarray(np.rot90(image, quarters)) for image in (frame.color, frame.depth))
        width, height = color.shape[1::-1]
        ((cx, cy),) = self.pixels(np.array([[frame.camera.cx, frame.camera.cy]]))
        camera = CameraIntrinsics(width, height, frame.camera.fx, frame.camera.fx, cx, cy)
        self.frame = RgbdFrame(color, depth, camera, frame.stamp_ns)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        width, height = self.size
        for _ in range(self.quarters):
            points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
            width, height = height, width
        return points

    def positions(self, points: np.ndarray) -> np.ndarray:
        for _ in range(self.quarters):
            points = np.stack([points[:, 1], -points[:, 0], points[:, 2]], axis=1)
        return points

    def skeleton(self, person: Skeleton) -> Skeleton:
        covariances = np.tile(np.eye(3) * 4e-4, (len(person.pixels), 1, 1))
        pixels, positions = self.pixels(person.pixels), self.positions(person.positions)
        return replace(person, pixels=pixels, positions=positions, covariances=covariances)


def test_hands_of_real_people_are_found_where_they_are(two_people: Scene, real_hands: Hands) -> None:
    found = by_owner(two_people, real_hands)
    sitting, standing = (person.id for person in sorted(two_people[0][1], key=lambda p: p.pixels[0, 0]))
    assert len(found[sitting, "left"]) == FRAMES
    assert len(found[sitting, "right"]) > 0.85 * FRAMES
    assert len(found[standing, "right"]) > 0.4 * FRAMES  # it waves, and is blurred
    for (frame, people), rows in zip(two_people, real_hands, strict=True):
        for person, own in zip(people, rows, strict=True):
            assert len({hand.side for hand in own}) == len(own)
            for hand in own:
                wrist = person.pixels[BODY_33.index[f"{hand.side}_wrist"]]
                assert np.linalg.norm(hand.pixels[0] - wrist) < 0.15 * frame.camera.fx / 1.9


def test_landmarks_of_real_hands_lie_on_the_hand_and_never_on_the_wall(two_people: Scene, real_hands: Hands) -> None:
    on_hand = []
    for (frame, _), rows in zip(two_people, real_hands, strict=True):
        for hand in (hand for own in rows for hand in own):
            known = hand.states != KeypointState.MISSING
            assert (hand.positions[known, 2] < WALL_M).all()
            shown = project(hand.positions[known], frame.camera)
            assert np.linalg.norm(shown - hand.pixels[known], axis=1).max() < 8
            # Skin is red; clothes and walls of these pictures are not.
            u, v = np.rint(hand.pixels).astype(int).T
            u, v = np.clip(u, 0, frame.camera.width - 1), np.clip(v, 0, frame.camera.height - 1)
            red, _, blue = np.moveaxis(cv2.GaussianBlur(frame.color, (5, 5), 0)[v, u].astype(float), -1, 0)
            on_hand.append((red > 1.12 * blue).mean())
    assert np.mean(on_hand) > 0.9


def test_bones_of_real_hands_keep_their_length(two_people: Scene, real_hands: Hands) -> None:
    found = by_owner(two_people, real_hands)
    for hands in (hands for hands in found.values() if len(hands) > 0.8 * FRAMES):
        points = np.stack([hand.positions for hand in hands])
        lengths = np.linalg.norm(points[:, BONES[:, 1]] - points[:, BONES[:, 0]], axis=2)
        spread = np.nanstd(lengths, axis=0) / np.nanmean(lengths, axis=0)
        assert np.median(spread) < 0.08
        assert spread.max() < 0.25
        palm = np.nanmedian(lengths[:, 8])  # wrist to middle knuckle
        assert 0.07 < palm < 0.12


def test_stretched_and_pointing_hands_differ(two_people: Scene, real_hands: Hands) -> None:
    found = by_owner(two_people, real_hands)
    sitting = sitting_person(two_people[0][1]).id
    flat, pointing = (np.nanmedian([hand.openness for hand in found[sitting, side]]) for side in ("left", "right"))
    assert flat > 0.75
    assert pointing < 0.45
    palms = [hand.camera_from_palm[:3, :3] for hand in found[sitting, "right"] if hand.camera_from_palm is not None]
    assert len(palms) > 0.8 * FRAMES
    assert all(np.linalg.det(palm) == pytest.approx(1.0) for palm in palms)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_cameras_see_the_same_hands(two_people: Scene, quarters: int) -> None:
    frame, people = two_people[4]
    upright, turned = _TurnedCamera(frame, 0), _TurnedCamera(frame, quarters)
    person = sitting_person(people)
    expected = estimator().process(upright.frame, [upright.skeleton(person)])[0]
    actual = estimator().process(turned.frame, [turned.skeleton(person)])[0]
    assert [hand.side for hand in actual] == [hand.side for hand in expected] == ["left", "right"]
    for hand, other in zip(expected, actual, strict=True):
        assert np.median(np.linalg.norm(other.pixels - turned.pixels(hand.pixels), axis=1)) < 2.0
        assert np.median(np.linalg.norm(other.positions - turned.positions(hand.positions), axis=1)) < 0.015


def test_hands_of_simulated_people_are_accurate(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    frames = simulated_frames[:20]
    hands, errors, wrists, squared = estimator(network="full"), [], [], []
    noses = simulated.positions[:, :, simulated.keypoint_names.index("nose")]
    for t, (frame, people) in enumerate(zip(frames, people_in(frames), strict=True)):
        for person, own in zip(people, hands.process(frame, people), strict=True):
            distance = np.linalg.norm(project(noses[t], frame.camera) - person.pixels[0], axis=1)
            for hand in own:
                side = ("left", "right").index(hand.side)
                truth = simulated.hands[t, distance.argmin(), side].astype(float)
                seen = simulated.hands_visible[t, distance.argmin(), side] & (hand.states != KeypointState.MISSING)
                if not seen[0]:
                    continue
                error = hand.positions - truth
                wrists.append(np.linalg.norm(error[0]))
                errors += np.linalg.norm(error - error[0], axis=1)[seen].tolist()
                squared += (
                    np.einsum("ki,kij,kj->k", error[seen], np.linalg.inv(hand.covariances[seen]), error[seen]) / 3
                ).tolist()
    assert len(wrists) > 1.5 * len(frames)
    assert np.median(wrists) < 0.025
    assert np.median(errors) < 0.022
    assert 0.3 < np.mean(np.minimum(squared, 30)) < 2.0
