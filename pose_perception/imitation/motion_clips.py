"""Recorded motion of people as joint positions: BVH files and the clips of DeepMimic's humanoid.

CMU's BVH files have a unit of 0.0254 / 0.45 m and begin with a T-pose that is no part of the motion. DeepMimic's
`humanoid3d` clips are rotations of a fixed skeleton, whose offsets are those of its `humanoid3d.txt`
(github.com/xbpeng/DeepMimic, MIT), quaternions w, x, y, z.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.se3 import matrix_from_quaternion
from pose_perception.imitation.urdf import rotation_about, skew

JOINTS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip"))
_CMU_UNIT_M = 0.0254 / 0.45
_BVH_NAMES = {"Arm": "shoulder", "ForeArm": "elbow", "Hand": "wrist", "UpLeg": "hip"}
# Name, parent, offset in metres (x forward, y up, z right) and numbers per frame: 4 of a quaternion, 1 of an angle.
_HUMANOID = (
    ("root", None, (0.0, 0.0, 0.0), 4),
    ("chest", "root", (0.0, 0.236151, 0.0), 4),
    ("neck", "chest", (0.0, 0.223894, 0.0), 4),
    ("right_hip", "root", (0.0, 0.0, 0.084887), 4),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0), 1),
    ("right_ankle", "right_knee", (0.0, -0.40987, 0.0), 4),
    ("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311), 4),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 1),
    ("left_hip", "root", (0.0, 0.0, -0.084887), 4),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0), 1),
    ("left_ankle", "left_knee", (0.0, -0.40987, 0.0), 4),
    ("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311), 4),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 1),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0), 0),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0), 0),
)
_HINGE = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class MotionClip:
    """A recorded motion.

    Attributes:
        name: Of its file.
        rate_hz: Frames per second.
        positions: Of `JOINTS` with shape (T, 8, 3), metres; y up.
    """

    name: str
    rate_hz: float
    positions: FloatArray


def read_clip(path: Path) -> MotionClip:
    """Return the motion in a `.bvh` file of CMU or a `.txt` file of DeepMimic.

    Raises:
        InvalidInputError: the file cannot be read or is neither.
    """
    try:
        text = path.read_text()
        if path.suffix == ".bvh":
            return _read_bvh(path.stem, text)
        return _read_humanoid(path.stem, text)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise InvalidInputError(f"{path} is no motion in CMU's BVH or DeepMimic's format: {error}") from error


def _read_bvh(name: str, text: str) -> MotionClip:
    hierarchy, motion = text.split("MOTION")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []
    words = iter(hierarchy.split())
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            parents.append(open_joints[-1] if open_joints else -1)
            names.append(next(words))
            channels.append([])
        elif word == "{":
            open_joints.append(len(names) - 1)
        elif word == "}":
            open_joints.pop()
        elif word == "OFFSET":
            offsets.append([float(next(words)) for _ in range(3)])
        elif word == "CHANNELS":
            channels[-1] = [next(words) for _ in range(int(next(words)))]
    _, count, _, _, step_s, *numbers = motion.split()
    frames = np.array(numbers, dtype=float).reshape(int(count), -1)[1:]  # without the T-pose
    poses = _forward_bvh(parents, np.array(offsets), channels, frames)
    order = [names.index(f"{'Left' if j.startswith('left') else 'Right'}{_bvh_name(j)}") for j in JOINTS]
    return MotionClip(name, 1 / float(step_s), _CMU_UNIT_M * poses[:, order][..., :3, 3])


def _bvh_name(joint: str) -> str:
    return next(bvh for bvh, ours in _BVH_NAMES.items() if joint.endswith(ours))


def _forward_bvh(parents: list[int], offsets: FloatArray, channels: list[list[str]], frames: FloatArray) -> FloatArray:
    """Return the poses of all joints with shape (T, J, 4, 4)."""
    poses = np.tile(np.eye(4), (len(frames), len(parents), 1, 1))
    column = 0
    for joint, parent in enumerate(parents):
        own = np.tile(np.eye(4), (len(frames), 1, 1))
        own[:, :3, 3] = offsets[joint]
        for channel in channels[joint]:
            axis, values = "XYZ".index(channel[0]), frames[:, column]
            column += 1
            if channel.endswith("position"):
                own[:, axis, 3] += values
            else:
                own[:, :3, :3] = own[:, :3, :3] @ _rotations(np.eye(3)[axis], np.radians(values))
        poses[:, joint] = own if parent < 0 else poses[:, parent] @ own
    return poses


def _rotations(axis: FloatArray, angles: FloatArray) -> FloatArray:
    """Return rotations with shape (T, 3, 3) about one axis."""
    cross = skew(axis)
    sine, versine = np.sin(angles)[:, None, None], (1 - np.cos(angles))[:, None, None]
    return np.eye(3) + sine * cross + versine * (cross @ cross)


def _read_humanoid(name: str, text: str) -> MotionClip:
    frames = np.array(json.loads(text)["Frames"], dtype=float)
    poses: dict[str, list[FloatArray]] = {}
    column = 4  # after the duration and the position of the root
    for joint, parent, offset, size in _HUMANOID:
        poses[joint] = []
        for i, frame in enumerate(frames):
            numbers = frame[column : column + size]
            own = np.eye(4)
            own[:3, 3] = frame[1:4] if parent is None else offset
            if size == 4:
                own[:3, :3] = matrix_from_quaternion(*numbers[1:], numbers[0])
            elif size == 1:
                own[:3, :3] = rotation_about(_HINGE, float(numbers[0]))
            poses[joint].append(own if parent is None else poses[parent][i] @ own)
        column += size
    positions = np.stack([np.array(poses[joint])[:, :3, 3] for joint in JOINTS], axis=1)
    return MotionClip(name, 1 / float(frames[0, 0]), positions)
