"""What imitation asks of a robot's arms, for RViz."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.targets import ArmTarget, target_points

_WIDTH_M, _AXIS_WIDTH_M, _AXIS_LENGTH_M = 0.02, 0.008, 0.1
_COLOR = ColorRGBA(r=0.2, g=0.5, b=1.0, a=0.9)
_AXIS_COLORS = (ColorRGBA(r=1.0, a=1.0), ColorRGBA(g=1.0, a=1.0), ColorRGBA(b=1.0, a=1.0))


def target_markers_message(
    robot: Robot, q: FloatArray, targets: Mapping[str, ArmTarget], header: Header
) -> MarkerArray:
    """Build lines where the bones of each arm shall be, and the axes of its tool; what has no target is left out.

    Args:
        robot: The robot.
        q: Its joints with shape (n,), radians: shoulders that move with them are where they are now.
        targets: By name of the arm.
        header: In the base of the robot.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for name, target in targets.items():
        arm = robot.arms[name]
        points = robot.points(q, name)
        elbow, wrist = target_points(arm, target, points.shoulder)
        bones = _lines(f"{name}/bones", _WIDTH_M, header)
        # Of a wrist alone, the way to it.
        ways = ((points.shoulder, elbow), (points.wrist if elbow is None else elbow, wrist))
        for start, end in ways:
            if start is not None and end is not None:
                _add(bones, start, end, _COLOR)
        tool = _lines(f"{name}/tool", _AXIS_WIDTH_M, header)
        place = points.wrist if wrist is None else wrist
        if target.tool is not None:
            for axis, color in zip(target.tool.T, _AXIS_COLORS, strict=True):
                _add(tool, place, place + _AXIS_LENGTH_M * axis, color)
        markers += [marker for marker in (bones, tool) if marker.points]
    return MarkerArray(markers=markers)


def _lines(namespace: str, width_m: float, header: Header) -> Marker:
    marker = Marker(header=header, ns=namespace, type=Marker.LINE_LIST, scale=Vector3(x=width_m))
    marker.pose.orientation.w = 1.0
    return marker


def _add(marker: Marker, start: np.ndarray, end: np.ndarray, color: ColorRGBA) -> None:
    for x, y, z in (start.tolist(), end.tolist()):
        marker.points.append(Point(x=x, y=y, z=z))
        marker.colors.append(color)
