"""The torso's pose from the four joints around it."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray

# Shoulders and hips closer to each other than this are no torso, metres.
_SHORTEST_M = 0.10


def pose_from_corners(
    left_shoulder: FloatArray, right_shoulder: FloatArray, left_hip: FloatArray, right_hip: FloatArray
) -> FloatArray | None:
    """Return the pose of the torso: origin mid-hip, x forward out of the chest, y to the person's left, z to the head.

    This is the frame `body_<id>` of REP-155.

    Args:
        left_shoulder: In some frame with shape (3,), metres; NaN when missing.
        right_shoulder: Likewise.
        left_hip: Likewise.
        right_hip: Likewise.

    Returns:
        The pose in that frame with shape (4, 4), or None when one is missing or they do not span a plane.
    """
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
