"""Tests for imitation/motion_clips.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.motion_clips import JOINTS, read_clip

# One unit is 0.0254 / 0.45 m. The right side hangs on the root as the left one does.
_ARM = """JOINT {side}Arm
{{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
JOINT {side}ForeArm {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
JOINT {side}Hand {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Yrotation Xrotation End Site {{ OFFSET 0 0 0 }} }} }} }}
JOINT {side}UpLeg {{ OFFSET {x} -1 0 CHANNELS 3 Zrotation Yrotation Xrotation }}
"""
_HEAD = "HIERARCHY ROOT Hips { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
_UNIT_M = 0.0254 / 0.45


def _bvh(frame: list[float]) -> str:
    body = _HEAD + _ARM.format(side="Left", x=1) + _ARM.format(side="Right", x=-1) + "}\n"
    rows = "\n".join(" ".join(map(str, row)) for row in ([0.0] * len(frame), frame))
    return f"{body}MOTION\nFrames: 2\nFrame Time: 0.01\n{rows}\n"


def test_rotations_of_a_bvh_go_down_the_tree(tmp_path: Path) -> None:
    frame = [0.0] * 30
    frame[1] = 5.0  # the root, up
    frame[6] = 90.0  # the left upper arm about z: up
    frame[10] = 90.0  # the left forearm about y: its x axis goes to -z of its parent
    path = tmp_path / "motion.bvh"
    path.write_text(_bvh(frame))
    clip = read_clip(path)
    at = dict(zip(JOINTS, clip.positions[0] / _UNIT_M, strict=True))
    assert clip.rate_hz == pytest.approx(100.0)
    assert len(clip.positions) == 1  # without the T-pose
    np.testing.assert_allclose(at["left_shoulder"], [1, 5, 0])
    np.testing.assert_allclose(at["left_elbow"], [1, 6, 0], atol=1e-9)
    np.testing.assert_allclose(at["left_wrist"], [1, 6, -1], atol=1e-9)
    np.testing.assert_allclose(at["right_wrist"], [-3, 5, 0], atol=1e-9)
    np.testing.assert_allclose(at["right_hip"], [-1, 4, 0], atol=1e-9)


def test_a_humanoid_that_bends_its_elbow_reaches_forward(tmp_path: Path) -> None:
    still = [1 / 30, 0.0, 1.0, 0.0] + [1.0, 0, 0, 0] * 4 + [0.0] + [1.0, 0, 0, 0] * 2
    frame = [*still, np.pi / 2, *[1.0, 0, 0, 0], 0.0, *[1.0, 0, 0, 0] * 2, 0.0]
    path = tmp_path / "bend.txt"
    path.write_text(json.dumps({"Loop": "none", "Frames": [frame]}))
    at = dict(zip(JOINTS, read_clip(path).positions[0], strict=True))
    np.testing.assert_allclose(at["right_wrist"] - at["right_elbow"], [0.258947, 0, 0], atol=1e-9)
    np.testing.assert_allclose(at["left_wrist"] - at["left_elbow"], [0, -0.258947, 0], atol=1e-9)
    assert at["left_shoulder"][2] < 0 < at["right_shoulder"][2]


def test_recorded_people_have_bones_of_constant_length(shared_data: Path) -> None:
    for path in sorted((shared_data / "arm_motion").iterdir()):
        clip = read_clip(path)
        at = dict(zip(JOINTS, clip.positions.transpose(1, 0, 2), strict=True))
        for side in ("left", "right"):
            upper = np.linalg.norm(at[f"{side}_elbow"] - at[f"{side}_shoulder"], axis=1)
            assert upper.std() < 1e-9
            assert 0.2 < upper.mean() < 0.4
        speed = np.linalg.norm(np.diff(at["left_wrist"], axis=0), axis=1) * clip.rate_hz
        assert speed.max() < 12.0  # metres per second; a T-pose at the start would make it 70


@pytest.mark.parametrize(("name", "text"), [("a.bvh", "no motion"), ("a.txt", "{}"), ("a.txt", "nothing")])
def test_other_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="no motion in CMU's BVH or DeepMimic's format"):
        read_clip(path)
