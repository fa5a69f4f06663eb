"""Markers for RViz."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_perception.datatypes import KeypointState, Skeleton, TrackingState
from pose_perception.human.topology import Topology

_JOINT_DIAMETER_M = 0.04
_LIMB_WIDTH_M = 0.02
_TEXT_HEIGHT_M = 0.15
# A viewer clears what a dead node left behind after this time.
_LIFETIME = Duration(sec=1)
_COLORS = {
    KeypointState.MEASURED: ColorRGBA(r=0.1, g=0.9, b=0.2, a=1.0),
    KeypointState.INFERRED: ColorRGBA(r=1.0, g=0.6, b=0.0, a=0.8),
}
_TEXT_COLOR = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)


def marker_array_message(skeletons: Sequence[Skeleton], topology: Topology, header: Header) -> MarkerArray:
    """Build spheres at the joints, lines along the limbs and the id above the highest joint of each person.

    Green is measured, orange is inferred (a limb as soon as one of its ends is), missing joints and lost people are
    left out. The array begins with an order to delete everything, so that people who left disappear at once.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for skeleton in skeletons:
        if skeleton.tracking_state == TrackingState.LOST:
            continue
        known = np.flatnonzero(np.isfinite(skeleton.positions).all(axis=1) & (skeleton.states != KeypointState.MISSING))
        if len(known):
            markers += [
                _joints(skeleton, known, header),
                _limbs(skeleton, set(known.tolist()), topology, header),
                _name(skeleton, known, header),
            ]
    return MarkerArray(markers=markers)


def _joints(skeleton: Skeleton, known: np.ndarray, header: Header) -> Marker:
    size = Vector3(x=_JOINT_DIAMETER_M, y=_JOINT_DIAMETER_M, z=_JOINT_DIAMETER_M)
    marker = _marker(skeleton.id, "joints", Marker.SPHERE_LIST, size, header)
    marker.points = [_point(skeleton.positions[i]) for i in known]
    marker.colors = [_COLORS[KeypointState(skeleton.states[i])] for i in known]
    return marker


def _limbs(skeleton: Skeleton, known: set[int], topology: Topology, header: Header) -> Marker:
    marker = _marker(skeleton.id, "limbs", Marker.LINE_LIST, Vector3(x=_LIMB_WIDTH_M), header)
    for limb in topology.limbs:
        ends = [topology.index[name] for name in limb]
        if known.issuperset(ends):
            # INFERRED is the larger value: a limb is as good as its worse end.
            color = _COLORS[KeypointState(max(skeleton.states[end] for end in ends))]
            marker.points.extend(_point(skeleton.positions[end]) for end in ends)
            marker.colors.extend([color, color])
    return marker


def _name(skeleton: Skeleton, known: np.ndarray, header: Header) -> Marker:
    marker = _marker(skeleton.id, "name", Marker.TEXT_VIEW_FACING, Vector3(z=_TEXT_HEIGHT_M), header)
    # y points down in the optical frame.
    highest = skeleton.positions[known[np.argmin(skeleton.positions[known, 1])]]
    marker.pose.position = _point(highest - np.array([0.0, _TEXT_HEIGHT_M, 0.0]))
    marker.color = _TEXT_COLOR
    marker.text = skeleton.id
    return marker


def _marker(person_id: str, part: str, kind: int, scale: Vector3, header: Header) -> Marker:
    marker = Marker(header=header, ns=f"{person_id}/{part}", type=kind, scale=scale, lifetime=_LIFETIME)
    marker.pose.orientation.w = 1.0
    return marker


def _point(position: np.ndarray) -> Point:
    x, y, z = (float(value) for value in position)
    return Point(x=x, y=y, z=z)
