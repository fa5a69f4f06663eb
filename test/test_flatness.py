"""Tests for human/flatness.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.datatypes import RgbdFrame
from pose_perception.geometry.camera import project
from pose_perception.human.flatness import FlatnessTest
from pose_perception.human.topology import COCO_17
from pose_perception.simulation.sequence import SimulatedSequence

_IS_FLAT = FlatnessTest(COCO_17)


def _pixels(simulated: SimulatedSequence, t: int) -> np.ndarray:
    order = [simulated.keypoint_names.index(name) for name in COCO_17.keypoints]
    return project(simulated.positions[t][:, order].astype(float), simulated.camera)


def _plane(frame: RgbdFrame, distance_m: float, tilt: float) -> np.ndarray:
    """Return the depth of a plane that turns away to the right, with the noise of a stereo camera."""
    u = np.arange(frame.camera.width)[None].repeat(frame.camera.height, axis=0)
    inverse = 1 / distance_m - tilt * (u - frame.camera.cx) / frame.camera.fx / distance_m
    noise = np.random.default_rng(0).normal(scale=0.002, size=inverse.shape)
    return (1 / (inverse + noise)).astype(np.float32)


def test_people_are_not_flat(simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]) -> None:
    for t in range(0, 45, 4):
        assert not _IS_FLAT(simulated_frames[t].depth, _pixels(simulated, t)).any()


@pytest.mark.parametrize("distance_m", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("tilt", [0.0, 0.5, -0.3])  # the wall need not face the camera
def test_pictures_of_people_are_flat(
    simulated: SimulatedSequence, simulated_frames: list[RgbdFrame], distance_m: float, tilt: float
) -> None:
    frame = simulated_frames[0]
    assert _IS_FLAT(_plane(frame, distance_m, tilt), _pixels(simulated, 0)).all()


def test_a_flat_person_in_front_of_a_wall_is_no_picture(simulated: SimulatedSequence) -> None:
    # Noise may hide the relief of a body, not the step to the wall behind it.
    depth = np.where(simulated.instances[0] > 0, 2.5, 3.5).astype(np.float32)
    assert not _IS_FLAT(depth, _pixels(simulated, 0)).any()


def test_without_depth_nobody_is_called_flat(simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]) -> None:
    frame = simulated_frames[0]
    assert not _IS_FLAT(np.full_like(frame.depth, np.nan), _pixels(simulated, 0)).any()
    assert not _IS_FLAT(_plane(frame, 2.0, 0.0), np.full((2, len(COCO_17), 2), np.nan)).any()
