"""The torso's pose from the joints around it."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import Topology

# Shoulders and hips closer to each other than this are no torso, metres.
_SHORTEST_M = 0.10


def torso_pose(positions: FloatArray, topology: Topology) -> FloatArray | None:
    """Return the pose of the torso: origin mid-hip, x forward out of the chest, y to the person's left, z to the head.

    This is the frame `body_<id>` of REP-155.

    Args:
        positions: Joint centres in the camera optical frame with shape (K, 3), metres; NaN when missing.
        topology: Names of the joints.

    Returns:
        `camera_from_torso` with shape (4, 4), or None when a shoulder or hip is missing or they do not span a plane.
    """
    left_shoulder, right_shoulder, left_hip, right_hip = (
        positions[topology.index[name]] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    )
    origin = (left_hip + right_hip) / 2
    up = (left_shoulder + right_shoulder) / 2 - origin
    left = left_shoulder - right_shoulder + left_hip - right_hip
    forward = np.cross(left, up)
    if not np.all(np.isfinite(forward)) or np.linalg.norm(up) < _SHORTEST_M:
        return None
    if np.linalg.norm(forward) < _SHORTEST_M * np.linalg.norm(up):
        return None
    z = up / np.linalg.norm(up)
    x = forward / np.linalg.norm(forward)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = origin
    return pose
