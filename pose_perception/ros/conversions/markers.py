"""Markers for RViz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_perception.datatypes import FloatArray, HeadPose, KeypointState, Skeleton, TrackingState
from pose_perception.human.topology import HAND_21, Topology

_JOINT_DIAMETER_M = 0.04
_LIMB_WIDTH_M = 0.02
_FINGER_WIDTH_M = 0.006
_AXIS_LENGTH_M, _AXIS_WIDTH_M = 0.2, 0.01
_TEXT_HEIGHT_M = 0.15
# A viewer clears what a dead node left behind after this time.
_LIFETIME = Duration(sec=1)
_COLORS = {
    KeypointState.MEASURED: ColorRGBA(r=0.1, g=0.9, b=0.2, a=1.0),
    KeypointState.INFERRED: ColorRGBA(r=1.0, g=0.6, b=0.0, a=0.8),
}
_TEXT_COLOR = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
_AXIS_COLORS = (ColorRGBA(r=1.0, a=1.0), ColorRGBA(g=1.0, a=1.0), ColorRGBA(b=1.0, a=1.0))


def marker_array_message(skeletons: Sequence[Skeleton], topology: Topology, header: Header) -> MarkerArray:
    """Build spheres at the joints, lines along limbs and fingers, axes in the head and the id above each person.

    Green is measured, orange is inferred (a limb as soon as one of its ends is), missing joints and lost people are
    left out. The array begins with an order to delete everything, so that people who left disappear at once.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for skeleton in skeletons:
        if skeleton.tracking_state == TrackingState.LOST:
            continue
        known = _known(skeleton.positions, skeleton.states)
        if len(known):
            markers += [
                _joints(skeleton, known, header),
                _lines(skeleton.id, "limbs", _LIMB_WIDTH_M, [(skeleton.positions, skeleton.states)], topology, header),
                _name(skeleton, known, header),
            ]
        markers += _details(skeleton, header)
    return MarkerArray(markers=markers)


def _details(skeleton: Skeleton, header: Header) -> Iterator[Marker]:
    """Yield the markers of hands and head."""
    hands = [(hand.positions, hand.states) for hand in skeleton.hands]
    fingers = _lines(skeleton.id, "hands", _FINGER_WIDTH_M, hands, HAND_21, header)
    if fingers.points:
        yield fingers
    if skeleton.head is not None:
        yield _axes(skeleton.id, skeleton.head, header)


def _known(positions: FloatArray, states: FloatArray) -> np.ndarray:
    return np.flatnonzero(np.isfinite(positions).all(axis=1) & (states != KeypointState.MISSING))


def _joints(skeleton: Skeleton, known: np.ndarray, header: Header) -> Marker:
    size = Vector3(x=_JOINT_DIAMETER_M, y=_JOINT_DIAMETER_M, z=_JOINT_DIAMETER_M)
    marker = _marker(skeleton.id, "joints", Marker.SPHERE_LIST, size, header)
    marker.points = [_point(skeleton.positions[i]) for i in known]
    marker.colors = [_COLORS[KeypointState(skeleton.states[i])] for i in known]
    return marker


def _lines(
    person_id: str,
    part: str,
    width_m: float,
    bodies: Sequence[tuple[FloatArray, FloatArray]],
    topology: Topology,
    header: Header,
) -> Marker:
    """Connect the known of positions and states, of one or several sets of the same keypoints."""
    marker = _marker(person_id, part, Marker.LINE_LIST, Vector3(x=width_m), header)
    for positions, states in bodies:
        known = set(_known(positions, states).tolist())
        for limb in topology.limbs:
            ends = [topology.index[name] for name in limb]
            if known.issuperset(ends):
                # INFERRED is the larger value: a limb is as good as its worse end.
                color = _COLORS[KeypointState(max(states[end] for end in ends))]
                marker.points.extend(_point(positions[end]) for end in ends)
                marker.colors.extend([color, color])
    return marker


def _axes(person_id: str, head: HeadPose, header: Header) -> Marker:
    marker = _marker(person_id, "head", Marker.LINE_LIST, Vector3(x=_AXIS_WIDTH_M), header)
    origin = head.camera_from_head[:3, 3]
    for direction, color in zip(head.camera_from_head[:3, :3].T, _AXIS_COLORS, strict=True):
        marker.points.extend([_point(origin), _point(origin + _AXIS_LENGTH_M * direction)])
        marker.colors.extend([color, color])
    return marker


def _name(skeleton: Skeleton, known: np.ndarray, header: Header) -> Marker:
    marker = _marker(skeleton.id, "name", Marker.TEXT_VIEW_FACING, Vector3(z=_TEXT_HEIGHT_M), header)
    # y points down in the optical frame.
    highest = skeleton.positions[known[np.argmin(skeleton.positions[known, 1])]]
    marker.pose.position = _point(highest - np.array([0.0, _TEXT_HEIGHT_M, 0.0]))
    marker.color = _TEXT_COLOR
    marker.text = f"{skeleton.id} flat" if skeleton.is_flat else skeleton.id
    return marker


def _marker(person_id: str, part: str, kind: int, scale: Vector3, header: Header) -> Marker:
    marker = Marker(header=header, ns=f"{person_id}/{part}", type=kind, scale=scale, lifetime=_LIFETIME)
    marker.pose.orientation.w = 1.0
    return marker


def _point(position: np.ndarray) -> Point:
    x, y, z = (float(value) for value in position)
    return Point(x=x, y=y, z=z)
