"""Skeletons drawn into the image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import KeypointState, Skeleton, TrackingState
from pose_perception.human.topology import Topology

_MIN_SCORE = 0.3
# RGB. The same colours as the markers: green is measured, orange inferred; grey is seen in the image only.
_COLORS = {
    KeypointState.MEASURED: (26, 230, 51),
    KeypointState.INFERRED: (255, 153, 0),
    KeypointState.MISSING: (150, 150, 150),
}
_TEXT_COLOR = (255, 255, 255)


def draw_skeletons(
    color: npt.NDArray[np.uint8], skeletons: Sequence[Skeleton], topology: Topology
) -> npt.NDArray[np.uint8]:
    """Return a copy of an RGB image with limbs, joints, ids and distances drawn into it; lost people are left out.

    Args:
        color: Image with shape (height, width, 3).
        skeletons: People with the keypoints of `topology`.
        topology: The keypoint set.
    """
    image = color.copy()
    thickness = max(1, round(color.shape[0] / 240))
    for skeleton in skeletons:
        if skeleton.tracking_state == TrackingState.LOST:
            continue
        drawable = np.isfinite(skeleton.pixels).all(axis=1) & (skeleton.scores >= _MIN_SCORE)
        # Far outside the image the numbers do not fit OpenCV's integers.
        points = np.clip(np.nan_to_num(skeleton.pixels), -10_000, 10_000).round().astype(int)
        for limb in topology.limbs:
            a, b = (topology.index[name] for name in limb)
            if drawable[a] and drawable[b]:
                worse = _worse(skeleton.states[a], skeleton.states[b])
                cv2.line(image, tuple(points[a]), tuple(points[b]), _COLORS[worse], thickness, cv2.LINE_AA)
        for i in np.flatnonzero(drawable):
            state = KeypointState(skeleton.states[i])
            cv2.circle(image, tuple(points[i]), thickness + 1, _COLORS[state], cv2.FILLED, cv2.LINE_AA)
        _write_label(image, skeleton, thickness)
    return image


def _worse(*states: int) -> KeypointState:
    for state in (KeypointState.MISSING, KeypointState.INFERRED):
        if state in states:
            return state
    return KeypointState.MEASURED


def _write_label(image: npt.NDArray[np.uint8], skeleton: Skeleton, thickness: int) -> None:
    measured = skeleton.positions[skeleton.states == KeypointState.MEASURED, 2]
    distance = f" {np.median(measured):.2f} m" if len(measured) else ""
    if np.isfinite(skeleton.box).all():
        x, y = np.clip(skeleton.box[:2], 0, image.shape[1::-1]).astype(int)
        corner = (int(x), max(int(y), 12 * thickness))
        cv2.putText(image, skeleton.id + distance, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thickness, _TEXT_COLOR, 1)
