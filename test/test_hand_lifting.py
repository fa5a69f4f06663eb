"""Tests for human/hand_lifting.py: hands of balls in front of walls, bodies and holes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from hand_shapes import CAMERA, depth_of, frame_of, make_hand, marks_of

from pose_perception.datatypes import KeypointState
from pose_perception.geometry.camera import project
from pose_perception.human.hand_depth import Wrists
from pose_perception.human.hand_landmarks import HandMarks
from pose_perception.human.hand_lifting import LiftedHands, lift_hands
from pose_perception.human.hand_model import HandSize, pinch
from pose_perception.human.topology import HAND_21

AT = HAND_21.index
PLACE = np.array([0.15, -0.1, 1.3])
POSES = {
    "palm to the camera": np.zeros(3),
    "back to the camera": np.array([0.0, np.pi, 0.0]),
    "half from the side": np.array([0.0, 0.9, 0.0]),
    "hanging": np.array([0.0, 0.0, 2.9]),
    "pointing at the camera": np.array([1.0, 0.0, 0.3]),
}


def posed(pose: str = "palm to the camera", side: str = "right", curl: float = 0.2, size: float = 1.0) -> np.ndarray:
    return size * make_hand(side, curl) @ Rotation.from_rotvec(POSES[pose]).as_matrix().T + PLACE


def wrists_at(*points: np.ndarray, sigma_m: float = 0.02) -> Wrists:
    return Wrists(np.stack(points), np.tile(np.eye(3) * sigma_m**2, (len(points), 1, 1)))


UNKNOWN = Wrists(np.full((1, 3), np.nan), np.full((1, 3, 3), np.nan))


def lift(
    hand: np.ndarray, depth: np.ndarray | None, wrists: Wrists, side: str = "right", size: HandSize | None = None
) -> LiftedHands:
    return lift_hands(frame_of(depth), marks_of(hand, side), np.array([side == "right"]), wrists, [size or HandSize()])


def errors(lifted: LiftedHands, hand: np.ndarray) -> np.ndarray:
    return np.linalg.norm(lifted.positions[0] - hand, axis=1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pose", POSES)
def test_hand_in_front_of_a_wall_lies_where_it_is(pose: str, side: str) -> None:
    hand = posed(pose, side)
    lifted = lift(hand, depth_of(hand, wall_m=1.6), wrists_at(hand[0] + [0.01, 0.0, 0.02]), side)
    assert np.median(errors(lifted, hand)) < 0.010
    assert errors(lifted, hand).max() < 0.025
    assert (lifted.states == KeypointState.MEASURED).mean() > 0.5
    assert (lifted.states != KeypointState.MISSING).all()


@pytest.mark.parametrize("behind_m", [0.09, 0.12, 0.3, 1.0])
def test_no_landmark_lies_on_what_is_behind(behind_m: float) -> None:
    hand = posed(curl=0.0)
    wall = hand[0, 2] + behind_m
    depth = depth_of(hand, wall_m=wall)
    # A camera loses thin fingers in front of what is behind them.
    for tip in (AT["index_tip"], AT["ring_tip"], AT["ring_dip"]):
        u, v = np.rint(project(hand[tip], CAMERA)).astype(int)
        depth[v - 8 : v + 9, u - 8 : u + 9] = wall
    lifted = lift(hand, depth, wrists_at(hand[0]))
    assert errors(lifted, hand).max() < 0.03
    lost = [AT["index_tip"], AT["ring_tip"]]
    assert (lifted.states[0, lost] == KeypointState.INFERRED).all()


def test_holes_are_filled_by_the_shape_and_say_so() -> None:
    hand = posed(curl=0.1)
    depth = depth_of(hand, wall_m=2.5)
    rows = project(hand, CAMERA)[[AT[f"{f}_pip"] for f in ("index", "middle", "ring", "pinky")], 1]
    depth[: int(rows.max()) + 6] = 0.0
    depth[: int(rows.max()) // 2] = np.nan
    lifted = lift(hand, depth, wrists_at(hand[0]))
    tips = [AT[f"{f}_tip"] for f in ("index", "middle", "ring", "pinky")]
    assert (lifted.states[0, tips] == KeypointState.INFERRED).all()
    assert lifted.states[0, AT["wrist"]] == KeypointState.MEASURED
    assert errors(lifted, hand).max() < 0.035
    variance = np.trace(lifted.covariances[0], axis1=1, axis2=2)
    assert variance[tips].min() > variance[AT["wrist"]]


@pytest.mark.parametrize("missing", [None, 0.0, np.nan])
def test_without_depth_the_hand_hangs_on_the_wrist(missing: float | None) -> None:
    hand = posed()
    depth = None if missing is None else np.full((CAMERA.height, CAMERA.width), missing, np.float32)
    lifted = lift(hand, depth, wrists_at(hand[0]))
    assert (lifted.states == KeypointState.INFERRED).all()
    assert errors(lifted, hand)[0] < 0.02
    assert errors(lifted, hand).max() < 0.04


def test_nothing_is_invented_when_nothing_places_the_hand() -> None:
    hand = posed()
    lifted = lift(hand, None, UNKNOWN)
    assert (lifted.states == KeypointState.MISSING).all()
    assert np.isnan(lifted.positions).all()
    assert np.isnan(lifted.covariances).all()


def test_depth_alone_places_a_hand_whose_wrist_the_skeleton_does_not_know() -> None:
    hand = posed()
    lifted = lift(hand, depth_of(hand, wall_m=3.0), UNKNOWN)
    assert np.median(errors(lifted, hand)) < 0.012
    assert errors(lifted, hand).max() < 0.03


def test_skeleton_on_the_wall_does_not_draw_the_hand_there() -> None:
    hand = posed()
    wall = 3.2
    wrong = hand[0] * wall / hand[0, 2]
    lifted = lift(hand, depth_of(hand, wall_m=wall), wrists_at(wrong))
    known = lifted.states[0] != KeypointState.MISSING
    assert not (np.abs(lifted.positions[0, known, 2] - wall) < 0.5).any()


def test_hand_that_is_read_as_the_other_one_is_not_turned_inside_out() -> None:
    hand = posed("half from the side", curl=0.4)
    marks = marks_of(hand, "right")
    mirrored = marks._replace(right=np.array([0.02]), world=marks.world * [1.0, 1.0, -1.0])
    lifted = lift_hands(frame_of(depth_of(hand, 2.0)), mirrored, np.array([True]), wrists_at(hand[0]), [HandSize()])
    assert np.median(errors(lifted, hand)) < 0.012


@pytest.mark.parametrize("size", [0.8, 1.2])
def test_size_of_the_hands_is_learned(size: float) -> None:
    person = HandSize()
    for pose in ("palm to the camera", "half from the side", "back to the camera") * 8:
        hand = posed(pose, size=size)
        lifted = lift(hand, depth_of(hand, 2.0), wrists_at(hand[0]), size=person)
    assert person.mean == pytest.approx(size, abs=0.05)
    assert np.median(errors(lifted, hand)) < 0.008


def test_errors_are_as_large_as_the_covariances_say() -> None:
    rng = np.random.default_rng(2)
    squared = []
    for pose in POSES:
        hand = posed(pose)
        marks = marks_of(hand, "right")
        noise = rng.normal(0, 0.012 * marks.regions[0, 2], marks.pixels.shape)
        world = marks.world + rng.normal(0, 0.008, marks.world.shape)
        depth = depth_of(hand, 2.0)
        depth = (depth + rng.normal(0, 0.004, depth.shape)).astype(np.float32)
        noisy = marks._replace(pixels=marks.pixels + noise, world=world)
        lifted = lift_hands(frame_of(depth), noisy, np.array([True]), wrists_at(hand[0]), [HandSize()])
        difference = lifted.positions[0] - hand
        squared.append(np.einsum("ki,kij,kj->k", difference, np.linalg.inv(lifted.covariances[0]), difference) / 3)
    assert 0.1 < np.mean(squared) < 1.5  # the network's own systematic errors are on top of this noise
    assert np.quantile(squared, 0.95) < 4.0


def test_hands_do_not_change_each_other() -> None:
    first, second = posed(), posed("hanging", "left") + np.array([-0.5, 0.1, 0.6])
    depth = np.fmin(depth_of(first, 3.0), depth_of(second, 3.0))
    both = HandMarks(
        *(np.concatenate(values) for values in zip(marks_of(first, "right"), marks_of(second, "left"), strict=True))
    )
    together = lift_hands(
        frame_of(depth), both, np.array([True, False]), wrists_at(first[0], second[0]), [HandSize(), HandSize()]
    )
    for i, (hand, side) in enumerate(((first, "right"), (second, "left"))):
        alone = lift(hand, depth, wrists_at(hand[0]), side)
        np.testing.assert_allclose(together.positions[i], alone.positions[0], atol=1e-6)
    empty = both.select(np.zeros(0, np.int64))
    nobody = lift_hands(frame_of(depth), empty, np.zeros(0, bool), Wrists(np.zeros((0, 3)), np.zeros((0, 3, 3))), [])
    assert nobody.positions.shape == (0, 21, 3)


def test_pinching_fingers_touch_although_depth_is_coarse() -> None:
    hand = make_hand("right", curl=0.35)
    middle = (hand[AT["thumb_tip"]] + hand[AT["index_tip"]]) / 2
    for tip, joint in (("thumb_tip", "thumb_ip"), ("index_tip", "index_dip")):
        length = np.linalg.norm(hand[AT[tip]] - hand[AT[joint]])
        hand[AT[tip]] = middle
        along = hand[AT[joint]] - middle
        hand[AT[joint]] = middle + along * length / np.linalg.norm(along)
    hand += PLACE
    noisy = depth_of(hand, 2.0) + np.random.default_rng(0).normal(0, 0.01, (CAMERA.height, CAMERA.width))
    lifted = lift(hand, noisy.astype(np.float32), wrists_at(hand[0]))
    open_hand = posed(curl=0.0)
    stretched = lift(open_hand, depth_of(open_hand, 2.0), wrists_at(open_hand[0]))
    assert pinch(lifted.positions[0]) < 0.02
    assert pinch(stretched.positions[0]) == pytest.approx(pinch(open_hand), abs=0.012)
