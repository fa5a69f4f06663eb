"""Tests for imitation/calibration.py, and for what imitation makes of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import Skeleton
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.calibration import CalibrationConfig
from pose_perception.imitation.robot import load_robot
from pose_perception.imitation.urdf import rotation_about

_SPEC = importlib.util.spec_from_file_location("operators", Path(__file__).with_name("operators.py"))
operators = sys.modules["operators"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operators)
FORWARD, LEFT, UP = operators.FORWARD, operators.LEFT, operators.UP
Arms = Mapping[str, tuple[np.ndarray, np.ndarray]]


def turned(arms: Arms, angle_deg: float) -> Arms:
    """Arms whose bones all point somewhere else, as those of a person whose joints are seen wrongly do."""
    turn = rotation_about(UP, np.radians(angle_deg))
    return {side: (turn @ upper, turn @ forearm) for side, (upper, forearm) in arms.items()}


def watch(
    pose: str, arms: Callable[[float], Arms], change: Callable[[Skeleton], Skeleton] = lambda person: person
) -> operators.Session:
    """Return a session of a G1 whose operator was calibrated, or raise what speaks against it."""
    session = operators.Session(load_robot("g1"), operators.swaying(load_robot("g1")))
    begin_s = session.time_s
    session.see = lambda stamp, people: (stamp, [change(operators.posed(people[0], arms(stamp - begin_s)))])
    session.run(0.2)
    session.imitator.begin_calibration(session.time_s, CalibrationConfig(pose=pose))
    session.run(0.5)
    assert not session.imitator.end_calibration(session.time_s)
    session.run(0.6)
    assert session.imitator.end_calibration(session.time_s)
    return session


@pytest.mark.parametrize(("pose", "arms"), [("t", operators.T_POSE), ("n", operators.N_POSE)])
def test_directions_of_the_person_are_corrected(pose: str, arms: Arms) -> None:
    shown = turned(arms, 12.0 if pose == "t" else 0.0)
    session = watch(pose, lambda time_s: shown)
    assert session.imitator.status(session.time_s).calibrated == "a1"
    session.start()
    for side, (upper, _) in arms.items():
        assert session.imitator.targets[side].upper @ upper > np.cos(np.radians(2.0))


def test_what_was_measured_of_one_person_is_not_used_for_another() -> None:
    session = watch("t", lambda time_s: turned(operators.T_POSE, 12.0))
    see = session.see
    session.see = lambda stamp, people: (stamp, [replace(see(stamp, people)[1][0], id="b2")])
    session.start()
    assert session.imitator.targets["left"].upper @ LEFT < np.cos(np.radians(9.0))
    status = session.imitator.status(session.time_s)
    assert (status.operator, status.calibrated) == ("b2", "a1")
    assert status.counts["operator is not the one who was calibrated"] == 1


def test_person_in_another_pose_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidInputError, match=r"not in the T pose: the left upper arm is 9\d degrees away"):
        watch("t", lambda time_s: operators.N_POSE)
    bent = {**operators.T_POSE, "right": (-LEFT, UP)}
    with pytest.raises(InvalidInputError, match=r"not in the T pose: the right forearm is [89]\d degrees away"):
        watch("t", lambda time_s: bent)


def test_person_who_moves_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="the person moves: the left upper arm"):
        watch("t", lambda time_s: turned(operators.T_POSE, 20.0 * np.sin(2 * np.pi * time_s)))


def test_arms_that_are_not_seen_are_named() -> None:
    def hide(person: Skeleton) -> Skeleton:
        scores = person.scores.copy()
        scores[operators.COCO_17.index["right_wrist"]] = 0.1
        return replace(person, scores=scores)

    with pytest.raises(InvalidInputError, match="the right forearm is seen in 0 images"):
        watch("t", lambda time_s: operators.T_POSE, hide)
    with pytest.raises(InvalidInputError, match="no person"):
        watch("t", lambda time_s: operators.T_POSE, lambda person: replace(person, is_flat=True))
