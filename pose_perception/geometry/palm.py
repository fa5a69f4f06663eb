"""The palm's pose from four landmarks of a hand."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray


def pose_from_knuckles(
    wrist: FloatArray, index: FloatArray, middle: FloatArray, pinky: FloatArray, side: str
) -> FloatArray | None:
    """Return the pose of the palm: origin in the wrist, x to the knuckle of the middle finger, z out of the back.

    Args:
        wrist: In some frame with shape (3,), metres; NaN when missing.
        index: Knuckle of that finger, likewise.
        middle: Likewise.
        pinky: Likewise.
        side: `left` or `right`.

    Returns:
        The pose in that frame with shape (4, 4), or None when it is not known.
    """
    x = middle - wrist
    # Seen from the back, the index finger lies left of the little finger on a right hand and right of it on a left one.
    z = np.cross(pinky - wrist, index - wrist) if side == "right" else np.cross(index - wrist, pinky - wrist)
    length, area = np.linalg.norm(x), np.linalg.norm(z)
    if not (length > 1e-3 and area > 1e-6):  # false for NaN, too
        return None
    x = x / length
    z = z - (z @ x) * x
    z /= np.linalg.norm(z)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = wrist
    return pose
