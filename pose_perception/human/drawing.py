"""People drawn into the image, for people to look at: limbs, joints, hands and the axes of the head."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import (
    CameraIntrinsics,
    FloatArray,
    HandPose,
    HeadPose,
    KeypointState,
    PoseEstimates,
    Skeleton,
    TrackingState,
)
from pose_perception.geometry.camera import project
from pose_perception.human.topology import HAND_21, Topology

_MIN_SCORE = 0.3
_Color = tuple[int, int, int]
# RGB. The same colours as the markers: green is measured, orange inferred; grey is seen in the image only.
_STATE_COLORS: dict[KeypointState, _Color] = {
    KeypointState.MEASURED: (26, 230, 51),
    KeypointState.INFERRED: (255, 153, 0),
    KeypointState.MISSING: (150, 150, 150),
}
# One for each person, from the beginning again when there are more: Okabe and Ito's, made for the colour-blind.
_PERSON_COLORS: tuple[_Color, ...] = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
_TEXT_COLOR = (255, 255, 255)
# x, y and z in red, green and blue, as RViz shows axes.
_AXIS_COLORS: tuple[_Color, ...] = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_AXIS_LENGTH_M = 0.2


def draw_skeletons(
    color: npt.NDArray[np.uint8],
    skeletons: Sequence[Skeleton],
    topology: Topology,
    camera: CameraIntrinsics | None = None,
) -> npt.NDArray[np.uint8]:
    """Return a copy of an RGB image with limbs, joints, hands, ids and distances drawn into it.

    People who are lost are left out.

    Args:
        color: Image with shape (height, width, 3).
        skeletons: People with the keypoints of `topology`.
        topology: The keypoint set.
        camera: Intrinsics of the image; the axes of heads are drawn with them only.
    """
    image, thickness = color.copy(), _thickness(color)
    for skeleton in skeletons:
        if skeleton.tracking_state != TrackingState.LOST:
            states = [KeypointState(state) for state in skeleton.states]
            _draw_person(image, skeleton.pixels, skeleton.scores, states, topology, thickness)
            for hand in skeleton.hands:
                _draw_hand(image, hand, max(1, thickness // 2))
            if skeleton.head is not None and camera is not None:
                _draw_axes(image, skeleton.head, camera, thickness)
            _write_label(image, skeleton, thickness)
    return image


def draw_poses(color: npt.NDArray[np.uint8], people: PoseEstimates, topology: Topology) -> npt.NDArray[np.uint8]:
    """Return a copy of an RGB image with the people that an estimator found, each in a colour of their own.

    Args:
        color: Image with shape (height, width, 3).
        people: N people with the keypoints of `topology`.
        topology: The keypoint set.
    """
    image, thickness = color.copy(), _thickness(color)
    for i in range(len(people)):
        own = _PERSON_COLORS[i % len(_PERSON_COLORS)]
        _draw_person(image, people.pixels[i], people.scores[i], own, topology, thickness)
    return image


def _draw_person(
    image: npt.NDArray[np.uint8],
    pixels: FloatArray,
    scores: FloatArray,
    look: _Color | list[KeypointState],
    topology: Topology,
    thickness: int,
) -> None:
    """Draw limbs and joints with a good score; `look` is a colour for all of them, or the state of each joint."""
    drawable = np.isfinite(pixels).all(axis=1) & (scores >= _MIN_SCORE)
    points = _integers(pixels)
    for limb in topology.limbs:
        a, b = (topology.index[name] for name in limb)
        if drawable[a] and drawable[b]:
            color = _STATE_COLORS[_worse(look[a], look[b])] if isinstance(look, list) else look
            cv2.line(image, tuple(points[a]), tuple(points[b]), color, thickness, cv2.LINE_AA)
    for i in np.flatnonzero(drawable):
        color = _STATE_COLORS[look[i]] if isinstance(look, list) else look
        cv2.circle(image, tuple(points[i]), thickness + 1, color, cv2.FILLED, cv2.LINE_AA)


def _draw_hand(image: npt.NDArray[np.uint8], hand: HandPose, thickness: int) -> None:
    scores = np.ones(len(HAND_21))  # a hand is scored as a whole, before it gets here
    _draw_person(image, hand.pixels, scores, [KeypointState(state) for state in hand.states], HAND_21, thickness)


def _draw_axes(image: npt.NDArray[np.uint8], head: HeadPose, camera: CameraIntrinsics, thickness: int) -> None:
    turn, origin = head.camera_from_head[:3, :3], head.camera_from_head[:3, 3]
    pixels = project(np.vstack([origin, origin + _AXIS_LENGTH_M * turn.T]), camera)
    start, *ends = _integers(pixels)
    # The farthest first: what is nearer lies over it.
    for i in np.argsort(-turn[2]):
        if np.isfinite(pixels[[0, i + 1]]).all():
            cv2.line(image, tuple(start), tuple(ends[i]), _AXIS_COLORS[i], thickness, cv2.LINE_AA)


def _integers(pixels: FloatArray) -> npt.NDArray[np.int64]:
    # Far outside the image the numbers do not fit OpenCV's integers.
    return np.clip(np.nan_to_num(pixels), -10_000, 10_000).round().astype(int)


def _thickness(image: npt.NDArray[np.uint8]) -> int:
    return max(1, round(image.shape[0] / 240))


def _worse(*states: KeypointState) -> KeypointState:
    for state in (KeypointState.MISSING, KeypointState.INFERRED):
        if state in states:
            return state
    return KeypointState.MEASURED


def _write_label(image: npt.NDArray[np.uint8], skeleton: Skeleton, thickness: int) -> None:
    measured = skeleton.positions[skeleton.states == KeypointState.MEASURED, 2]
    label = skeleton.id + (f" {np.median(measured):.2f} m" if len(measured) else "")
    label += " flat" if skeleton.is_flat else ""
    if np.isfinite(skeleton.box).all():
        x, y = np.clip(skeleton.box[:2], 0, image.shape[1::-1]).astype(int)
        corner = (int(x), max(int(y), 12 * thickness))
        cv2.putText(image, label, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thickness, _TEXT_COLOR, 1)
