"""Markers of objects for RViz."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_perception.datatypes import TrackingState
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.objects.outlines import Outline, box_outline
from pose_perception.ros.conversions.transforms import pose_message

# A viewer clears what a dead node left behind after this time.
_LIFETIME = Duration(sec=1)
_TEXT_COLOR = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
_TEXT_HEIGHT_M = 0.03
_OPAQUE, _FAINT = 0.9, 0.4


class ObjectMarkers:
    """Builds markers; the triangles of a model are made once.

    Args:
        outlines: By name of the model; the others are shown as boxes.
    """

    def __init__(self, outlines: dict[str, Outline]) -> None:
        self._triangles = {name: _triangles(outline) for name, outline in outlines.items()}

    def message(self, objects: Sequence[ObjectPose], header: Header) -> MarkerArray:
        """Build the mesh and the name with the score of each object that is not lost; predicted ones are faint.

        The array begins with an order to delete everything, so that objects that are gone disappear at once.
        """
        markers = [Marker(header=header, action=Marker.DELETEALL)]
        for found in objects:
            if found.tracking_state != TrackingState.LOST:
                markers += [self._mesh(found, header), _name(found, header)]
        return MarkerArray(markers=markers)

    def _mesh(self, found: ObjectPose, header: Header) -> Marker:
        points, colors = self._triangles.get(found.model) or _triangles(box_outline(found.box_center, found.box_size))
        marker = Marker(header=header, ns=f"{found.id}/mesh", type=Marker.TRIANGLE_LIST, lifetime=_LIFETIME)
        marker.pose = pose_message(found.camera_from_object)
        marker.scale = Vector3(x=1.0, y=1.0, z=1.0)
        marker.color = ColorRGBA(
            r=1.0, g=1.0, b=1.0, a=_OPAQUE if found.tracking_state == TrackingState.TRACKED else _FAINT
        )
        marker.points, marker.colors = points, colors
        return marker


def _triangles(outline: Outline) -> tuple[list[Point], list[ColorRGBA]]:
    """Return three points for each face, and one colour."""
    corners = outline.vertices[outline.faces].reshape(-1, 3).tolist()
    points = [Point(x=x, y=y, z=z) for x, y, z in corners]
    return points, [ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in outline.colors.tolist()]


def _name(found: ObjectPose, header: Header) -> Marker:
    marker = Marker(header=header, ns=f"{found.id}/name", type=Marker.TEXT_VIEW_FACING, lifetime=_LIFETIME)
    marker.pose.orientation.w = 1.0
    x, y, z = (float(value) for value in found.camera_from_object[:3, 3])
    # y points down in the optical frame.
    marker.pose.position = Point(x=x, y=y - float(found.box_size.max()) / 2 - _TEXT_HEIGHT_M, z=z)
    marker.scale, marker.color = Vector3(z=_TEXT_HEIGHT_M), _TEXT_COLOR
    marker.text = f"{found.id} {found.score:.2f}"
    return marker
