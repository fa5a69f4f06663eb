"""Tests for human/topology.py."""

import pytest

from pose_perception.errors import ConfigurationError
from pose_perception.human.topology import BODY_33, COCO_17, Topology


@pytest.mark.parametrize("topology", [COCO_17, BODY_33])
def test_names_and_indices_are_a_bijection(topology: Topology) -> None:
    assert [topology.index[name] for name in topology.keypoints] == list(range(len(topology)))


def test_coco_comes_first() -> None:
    assert BODY_33.keypoints[:17] == COCO_17.keypoints


def test_bad_sets_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Topology("bad", ("nose", "nose"), ())
    with pytest.raises(ConfigurationError, match="tail"):
        Topology("bad", ("nose",), (("nose", "tail"),))


@pytest.mark.parametrize("topology", [COCO_17, BODY_33])
def test_a_mirror_swaps_left_and_right(topology: Topology) -> None:
    mirrored = topology.mirrored
    assert [mirrored[i] for i in mirrored] == list(range(len(topology)))
    for name, other in zip(topology.keypoints, mirrored, strict=True):
        if "left" in name or "right" in name:
            assert topology.keypoints[other] != name
        else:
            assert topology.keypoints[other] == name
