"""The two real people with their skeletons, and estimators of hands: what several tests share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import RgbdFrame, Skeleton
from pose_perception.errors import WeightsError
from pose_perception.geometry.camera import load_camera
from pose_perception.human.hands import HandEstimator, HandsConfig
from pose_perception.human.pipeline import HumanConfig, HumanPipeline
from pose_perception.human.topology import BODY_33, Topology
from pose_perception.recording.images import read_color, read_depth_mm

FRAMES = 24
# The wall behind the two people is further away than this, and their hands are nearer, metres.
WALL_M = 2.75
Scene = Sequence[tuple[RgbdFrame, list[Skeleton]]]


@cache
def _loaded(topology: Topology, config: HandsConfig) -> HandEstimator:
    return HandEstimator(topology, config, "cpu")


def estimator(topology: Topology = BODY_33, network: str = "lite", rate_hz: float = 0.0) -> HandEstimator:
    """Return an estimator that has seen nothing yet."""
    try:
        hands = _loaded(topology, HandsConfig(enabled=True, network=network, rate_hz=rate_hz))
    except WeightsError as error:
        pytest.skip(str(error))
    hands.reset()
    return hands


def people_in(frames: Sequence[RgbdFrame]) -> list[list[Skeleton]]:
    """Return the skeletons in each frame of a recording."""
    try:
        pipeline = HumanPipeline(HumanConfig(device="cpu"))
    except WeightsError as error:
        pytest.skip(str(error))
    return [pipeline.process(frame) for frame in frames]


@cache
def two_people_in(folder: Path) -> Scene:
    """Return images of the two real people and their skeletons."""
    camera = load_camera(folder / "camera.json")
    files = zip(sorted((folder / "color").glob("*.png")), sorted((folder / "depth").glob("*.png")), strict=True)
    frames = [
        RgbdFrame(read_color(color), read_depth_mm(depth).astype(np.float32) / 1000, camera, round(i * 1e9 / 15))
        for i, (color, depth) in zip(range(FRAMES), files, strict=False)
    ]
    return list(zip(frames, people_in(frames), strict=True))


def sitting_person(people: Sequence[Skeleton]) -> Skeleton:
    """Return the one on the left in the picture, whose hands are both seen."""
    return min(people, key=lambda person: person.pixels[0, 0])
