"""What several tests share: real data, and the simulated default sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import RgbdFrame
from pose_perception.evaluation.labels import LabelledPicture, read_labels
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data beside the repository."""
    if not _DATA.is_dir():
        pytest.skip(f"no real data in {_DATA}")
    return _DATA


@pytest.fixture(scope="session")
def labelled_pictures(shared_data: Path) -> list[LabelledPicture]:
    """Return all pictures with COCO's labels."""
    folder = shared_data / "coco_keypoints"
    found: list[LabelledPicture] = []
    for labels, images in (("train2017", "train2017"), ("val2017_4", "val2017")):
        annotations = folder / "annotations" / f"person_keypoints_{labels}.json"
        found += read_labels(annotations, folder / "images" / images).pictures
    return found


@pytest.fixture(scope="session")
def standing() -> np.ndarray:
    """Return someone upright, 16.4 high, in COCO's order, shape (17, 2)."""
    head = [[0, -8], [0.3, -8.4], [-0.3, -8.4], [0.7, -8.2], [-0.7, -8.2]]
    arms = [[1.6, -6], [-1.6, -6], [2.4, -3], [-2.4, -3], [2.6, -0.2], [-2.6, -0.2]]
    legs = [[1, 0], [-1, 0], [1.1, 4], [-1.1, 4], [1.2, 8], [-1.2, 8]]
    person = np.array([*head, *arms, *legs])
    person.setflags(write=False)  # all tests share it
    return person


@pytest.fixture(scope="session")
def simulated() -> SimulatedSequence:
    """Return the sequence that the simulated camera plays: two people, with sensor noise."""
    return load_or_render(SequenceConfig())


@pytest.fixture(scope="session")
def simulated_frames(simulated: SimulatedSequence) -> list[RgbdFrame]:
    """Return the first 45 frames of it."""
    return [
        RgbdFrame(
            np.ascontiguousarray(simulated.color[t]),
            simulated.depth_mm[t].astype(np.float32) / 1000,
            simulated.camera,
            round(t * 1e9 / simulated.rate_hz),
        )
        for t in range(45)
    ]
