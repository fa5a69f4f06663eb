"""The torso's pose from the joints around it."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.geometry.torso import pose_from_corners
from pose_perception.human.topology import Topology


def torso_pose(positions: FloatArray, topology: Topology) -> FloatArray | None:
    """Return the pose of the torso: origin mid-hip, x forward out of the chest, y to the person's left, z to the head.

    This is the frame `body_<id>` of REP-155.

    Args:
        positions: Joint centres in the camera optical frame with shape (K, 3), metres; NaN when missing.
        topology: Names of the joints.

    Returns:
        `camera_from_torso` with shape (4, 4), or None when a shoulder or hip is missing or they do not span a plane.
    """
    return pose_from_corners(
        *(positions[topology.index[f"{side}_{joint}"]] for joint in ("shoulder", "hip") for side in ("left", "right"))
    )


def trunk_rotations(corners: FloatArray, relative: FloatArray, widths: FloatArray) -> FloatArray:
    """Return how trunks are turned by how wide they appear: shoulders seen from the side are close together.

    The metric landmarks of networks say which side is nearer, but not by how much: of people who stand sideways they
    show trunks that are turned by half as much (simulated people: 40 degrees off; by this, 15).

    Args:
        corners: Left shoulder, right shoulder, left hip, right hip at the depth of the body, shape (N, 4, 3), metres;
            NaN where one is not seen.
        relative: The same of the network's landmarks; only the order of their depths counts.
        widths: True distances of the shoulders and of the hips with shape (N, 2), metres.

    Returns:
        `camera_from_trunk` with shape (N, 3, 3), columns forward, left, up; NaN where a corner or a landmark is not
        known.
    """
    across = (corners[:, ::2] - corners[:, 1::2])[..., :2]  # left minus right of shoulders and hips, (N, 2, 2)
    deep = np.sqrt(np.maximum(widths**2 - np.square(across).sum(axis=2), 0.0))
    nearer = np.sign(relative[:, ::2, 2] - relative[:, 1::2, 2])
    left = np.concatenate([across, (nearer * deep)[..., None]], axis=2).sum(axis=1)
    up = (corners[:, :2] - corners[:, 2:]).mean(axis=1) * [1.0, 1.0, 0.0]
    forward = np.cross(left, up)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = up / np.linalg.norm(up, axis=1, keepdims=True)
        x = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=2)
