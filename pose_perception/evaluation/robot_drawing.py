"""Robots drawn as their capsules, seen from in front and a little from their left and above, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.robot import Robot, arm_points
from pose_perception.imitation.targets import ArmTarget, target_points

_Color = tuple[int, int, int]
# RGB; Okabe and Ito's, made for the colour-blind.
_BACKGROUND, _BODY, _TARGET = (250, 250, 250), (150, 150, 150), (0, 158, 115)
_ARMS: dict[str, _Color] = {"left": (230, 159, 0), "right": (86, 180, 233), "single": (230, 159, 0)}
# How much darker the farthest part is, and how much room is left around arms that are stretched out.
_DARKER, _ROOM = 0.4, 1.05
# From where the robot is seen: how far to its left and above, degrees.
_AZIMUTH_DEG, _ELEVATION_DEG = 30.0, 20.0
_EDGE = (70, 70, 70)


class RobotDrawing:
    """Draws one robot into a square, as somebody sees it who stands before it: its left is on the right."""

    def __init__(self, robot: Robot, capsules: CapsuleModel, size_px: int) -> None:
        """Choose the scale.

        Args:
            robot: That is drawn.
            capsules: Its shape.
            size_px: Width and height of the picture.
        """
        self._robot, self._capsules, self._size = robot, capsules, size_px
        points = [robot.points(robot.rest, name) for name in robot.arms]
        self._view_from_base = _view_from_torso() @ robot.base_from_torso.T
        self._middle = self._view_from_base @ np.mean([point.shoulder for point in points], axis=0)
        reach = max(arm.upper_m + arm.forearm_m for arm in robot.arms.values())
        spread = max(float(np.linalg.norm(a.shoulder - b.shoulder)) for a in points for b in points)
        hand = max(float(np.linalg.norm(point.tool[:3, 3] - point.wrist)) for point in points)
        self._scale = size_px / (2 * _ROOM * (reach + hand + spread / 2))

    def draw(self, q: FloatArray, targets: Mapping[str, ArmTarget]) -> npt.NDArray[np.uint8]:
        """Return an RGB image of the robot, and of where its bones shall be.

        Args:
            q: Joints with shape (n,), radians.
            targets: By name of the arm.
        """
        image = np.full((self._size, self._size, 3), _BACKGROUND, np.uint8)
        bodies = self._robot.kinematics.bodies(q)
        ends = self._capsules.segments(bodies) @ self._view_from_base.T
        depth = ends[..., 2].mean(axis=1)
        nearness = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
        for i in np.argsort(depth):
            shade = 1 - _DARKER * (1 - nearness[i])
            start, end = self._pixels(ends[i])
            width = max(2, round(2 * self._scale * self._capsules.capsules[i].radius))
            color = tuple(round(shade * channel) for channel in self._color(int(self._capsules.carriers[i])))
            cv2.line(image, start, end, _EDGE, width + 2, cv2.LINE_AA)
            cv2.line(image, start, end, color, width, cv2.LINE_AA)
        for name, target in targets.items():
            arm = self._robot.arms[name]
            shoulder = arm_points(arm, bodies).shoulder
            elbow, wrist = target_points(arm, target, shoulder)
            way = [point for point in (shoulder, elbow, wrist) if point is not None]
            pixels = self._pixels(np.array(way) @ self._view_from_base.T)
            for a, b in pairwise(pixels):
                cv2.line(image, a, b, _TARGET, 3, cv2.LINE_AA)
        return image

    def _color(self, body: int) -> _Color:
        # Body 0 is the base; body i + 1 moves with joint i.
        for name, arm in self._robot.arms.items():
            if arm.joints.start <= body - 1 < arm.joints.stop:
                return _ARMS[name]
        return _BODY

    def _pixels(self, points: FloatArray) -> list[tuple[int, int]]:
        """Return where points with shape (P, 3), metres in the axes of the view, are in the picture."""
        shifted = self._scale * (points - self._middle)
        right, down = self._size / 2 + shifted[:, 0], self._size * 0.45 - shifted[:, 1]
        return [(round(float(u)), round(float(v))) for u, v in zip(right, down, strict=True)]


def _view_from_torso() -> FloatArray:
    """Return the rotation with shape (3, 3) into the axes of the view: to the right, up and towards who looks."""
    azimuth, elevation = np.radians((_AZIMUTH_DEG, _ELEVATION_DEG))
    flat = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    towards = np.cos(elevation) * flat + np.array([0.0, 0.0, np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return np.stack([right, np.cross(towards, right), towards])
