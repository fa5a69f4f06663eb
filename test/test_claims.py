"""Tests for human/estimators/claims.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import RgbdFrame
from pose_perception.human.estimators.claims import foreign_joints
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

# Somebody who stands with hanging arms, trunk 100 px long.
_STANDING = {
    **{"nose": (0, -40), "eye": (6, -45), "ear": (12, -40), "shoulder": (35, 0), "elbow": (40, 60), "wrist": (42, 110)},
    **{"hip": (20, 100), "knee": (20, 185), "ankle": (20, 265)},
}
_INDEX = COCO_17.index


def _people(*middles: float) -> np.ndarray:
    """Return people beside each other with shape (N, 17, 2), px."""
    person = np.zeros((17, 2))
    for name, i in _INDEX.items():
        side, _, part = name.partition("_")
        x, y = _STANDING[part or side]
        person[i] = (x if side == "left" else -x, y)
    return person + np.stack([middles, np.zeros(len(middles))], axis=1)[:, None]


def _foreign(pixels: np.ndarray, scores: np.ndarray | None = None) -> set[tuple[int, str]]:
    scores = np.full(pixels.shape[:2], 0.8) if scores is None else scores
    people, joints = np.nonzero(foreign_joints(pixels, scores, 0.2))
    return {(int(i), COCO_17.keypoints[k]) for i, k in zip(people, joints, strict=True)}


def test_people_beside_each_other_keep_their_joints() -> None:
    assert _foreign(_people(0, 120, 260)) == set()
    assert _foreign(_people(0)) == set()
    assert _foreign(_people()) == set()


@pytest.mark.parametrize("other_side", ["left", "right"])
def test_a_joint_of_the_person_beside_is_given_back(other_side: str) -> None:
    people = _people(0, 260)
    people[0, _INDEX["left_wrist"]] = people[1, _INDEX[f"{other_side}_wrist"]] + (6, -5)
    assert _foreign(people) == {(0, "left_wrist")}


def test_what_hangs_on_a_foreign_joint_goes_with_it() -> None:
    people = _people(0, 260)
    for joint in ("left_knee", "left_ankle"):
        people[0, _INDEX[joint]] = people[1, _INDEX[joint]]
    assert _foreign(people) == {(0, "left_knee"), (0, "left_ankle")}


def test_hands_that_touch_are_not_foreign() -> None:
    people = _people(0, 190)
    people[0, _INDEX["left_wrist"]] = (90, 70)
    people[1, _INDEX["right_wrist"]] = (96, 72)
    assert _foreign(people) == set()


def test_a_long_limb_to_where_nobody_is_stays() -> None:
    people = _people(0, 400)
    people[0, _INDEX["left_wrist"]] = (200, 60)
    assert _foreign(people) == set()
    # Nor does somebody count whose joint there is a guess.
    people[0, _INDEX["left_wrist"]] = people[1, _INDEX["right_wrist"]]
    scores = np.full((2, 17), 0.8)
    scores[1] = 0.1
    assert _foreign(people, scores) == set()


def test_nobody_is_lost_to_a_joint_of_the_person_beside(
    simulated: SimulatedSequence,
) -> None:
    # A wrist that jumps to the neighbour makes a box hold both people, in which the neighbour is seen once more.
    pipeline = HumanPipeline(HumanConfig(device="cpu"))
    for t in range(97, 130):
        frame = RgbdFrame(
            np.ascontiguousarray(simulated.color[t]),
            simulated.depth_mm[t].astype(np.float32) / 1000,
            simulated.camera,
            round(t * 1e9 / simulated.rate_hz),
        )
        skeletons = pipeline.process(frame)
        assert len(skeletons) == 2
        assert all(np.isfinite(skeleton.pixels).any() for skeleton in skeletons)  # seen, not predicted
