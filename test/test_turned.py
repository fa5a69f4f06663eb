"""Tests for human/estimators/turned.py: the turn that gravity asks for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pose_perception.human.estimators.turned import turn_to_upright

_OPENCV = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_turned_image_has_its_sky_at_the_top(clockwise_deg: int) -> None:
    # A sky on the side of the image to which the up direction of the camera points.
    up = {0: (0.0, -1.0), 90: (-1.0, 0.0), 180: (0.0, 1.0), 270: (1.0, 0.0)}[clockwise_deg]
    v, u = np.indices((31, 31)) - 15
    image = (u * up[0] + v * up[1] > 8).astype(np.uint8)
    assert turn_to_upright(np.array([*up, 0.0]), 0) == clockwise_deg
    upright = cv2.rotate(image, _OPENCV[clockwise_deg]) if clockwise_deg else image
    assert upright[:6].all()
    assert not upright[8:].any()


@pytest.mark.parametrize("roll_deg", [-40, -10, 0, 25, 44])
def test_small_rolls_do_not_turn(roll_deg: float) -> None:
    roll = np.deg2rad(roll_deg)
    assert turn_to_upright(np.array([np.sin(roll), -np.cos(roll), 0.0]), 0) == 0


def test_a_camera_near_the_diagonal_keeps_its_turn() -> None:
    for roll_deg, before, expected in ((50, 0, 0), (50, 270, 270), (70, 0, 270), (70, 270, 270)):
        roll = np.deg2rad(roll_deg)
        assert turn_to_upright(np.array([np.sin(roll), -np.cos(roll), 0.0]), before) == expected


def test_a_camera_that_looks_at_the_floor_keeps_its_turn() -> None:
    assert turn_to_upright(np.array([0.1, 0.1, -0.99]), 90) == 90
