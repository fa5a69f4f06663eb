"""What one person does during a loop: where they are, and how they hold themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from pose_perception.simulation.gait import Stride, Walk
from pose_perception.simulation.kinematics import FloatArray, about
from pose_perception.simulation.landmarks import SIDES
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import WRIST_M, Body
from pose_perception.simulation.posing import ArmPose, Pose
from pose_perception.simulation.props import CARRIED_AHEAD_M, CARRIED_M
from pose_perception.simulation.routes import Route

# Swing of arms, turn of the pelvis and counterturn of the trunk for each metre that one foot is ahead of the other.
_ARM_SWING_RAD_PER_M, _PELVIS_RAD_PER_M, _TRUNK_RAD_PER_M = 0.75, 0.12, 0.10
# The elbow bends while the arm swings forward, by this share of the arm's length.
_ELBOW_SHORTENING = 0.05
# The body leans forward the more the faster it goes, and its weight goes over the foot that stands.
_LEAN_RAD_S_PER_M, _WEIGHT_SHIFT = np.deg2rad(3.0), 0.5
_FULL_STEP_M = 0.6
# How a box is held: air before the belly, half the thickness of a palm, the way from the wrist to the middle of the
# palm, the height of the wrists against the shoulders, and where the elbows point.
_BOX_AIR_M, _PALM_M, _WRIST_TO_PALM_M, _WRIST_HEIGHT_M = 0.02, 0.026, 0.08, -0.28
_CARRYING_POLE, _FLAT_HAND = np.array([0.1, -0.6, -1.0]), -0.35


class Actor(Protocol):
    """Somebody who moves."""

    def at(self, time_s: float) -> tuple[Pose, FloatArray]:
        """Return the pose and the place in the room (4, 4) at a time of the loop."""


class Standing:
    """Somebody who stays where they are.

    Args:
        motion: What arms, trunk and head do.
        world_from_person: Place in the room, shape (4, 4).
    """

    def __init__(self, motion: Motion, world_from_person: FloatArray) -> None:
        self._motion = motion
        self._place = world_from_person

    def at(self, time_s: float) -> tuple[Pose, FloatArray]:
        """Return the pose and the place in the room (4, 4) at a time of the loop."""
        return self._motion.at(time_s), self._place


class Sitting(Standing):
    """Somebody who sits on a chair."""

    def at(self, time_s: float) -> tuple[Pose, FloatArray]:
        """Return the pose and the place in the room (4, 4) at a time of the loop."""
        pose, place = super().at(time_s)
        return replace(pose, sits=True), place


class Walking:
    """Somebody who goes along a route on their feet.

    Args:
        motion: What head and trunk do, and the arms where they do not swing.
        route: The way.
        swings: Whether the arms swing with the steps, instead of what `motion` does with them.
    """

    def __init__(self, motion: Motion, route: Route, swings: bool = True) -> None:
        self._motion = motion
        self._walk = Walk(route)
        self._swings = swings

    def at(self, time_s: float) -> tuple[Pose, FloatArray]:
        """Return the pose and the place in the room (4, 4) at a time of the loop."""
        pose, stride = self._motion.at(time_s), self._walk.at(time_s)
        aside = _WEIGHT_SHIFT * (stride.feet["right"].lift_m - stride.feet["left"].lift_m)
        trunk = pose.trunk + np.array([_LEAN_RAD_S_PER_M * stride.speed_m_s, 0, _TRUNK_RAD_PER_M * stride.ahead_m])
        arms = pose.arms
        if self._swings:
            arms = {side: _swung(arm, side, stride) for side, arm in pose.arms.items()}
        pose = replace(
            pose,
            sway=pose.sway + np.array([aside, 0]),
            trunk=trunk,
            arms=arms,
            feet=stride.feet,
            pelvis_rad=-_PELVIS_RAD_PER_M * stride.ahead_m,
        )
        return pose, place(*stride.place)


class Carrying:
    """Somebody who stands with a box in both hands.

    Args:
        motion: What trunk and head do.
        body: Who.
        world_from_person: Place in the room, shape (4, 4).
    """

    def __init__(self, motion: Motion, body: Body, world_from_person: FloatArray) -> None:
        self._motion = motion
        self._place = world_from_person
        length = sum(body.limbs["left_arm"].lengths)
        shoulder = body.rig.head("upperarm01.L")
        # The back of the box is in front of the belly, the wrists behind the middle of its sides.
        belly = body.trunk_center[1] - body.trunk_radii[1] + WRIST_M
        middle = belly - _BOX_AIR_M - CARRIED_M[1] / 2
        wrist = np.array([CARRIED_M[0] / 2 + _PALM_M, middle + CARRIED_AHEAD_M + _WRIST_TO_PALM_M, _WRIST_HEIGHT_M])
        outward, backwards, up = (wrist - shoulder * (1, 1, 0)) / length
        arm = ArmPose(np.array([outward, -backwards, up]), _CARRYING_POLE, np.array([-1.0, 0.0, 0.0]), _FLAT_HAND)
        self._arms = dict.fromkeys(SIDES, arm)

    def at(self, time_s: float) -> tuple[Pose, FloatArray]:
        """Return the pose and the place in the room (4, 4) at a time of the loop."""
        return replace(self._motion.at(time_s), arms=self._arms), self._place


def place(x: float, y: float, heading_rad: float) -> FloatArray:
    """Pose (4, 4) in the room of somebody who stands at (x, y)."""
    world_from_person = np.eye(4)
    world_from_person[:3, :3] = about(np.array([0.0, 0.0, 1.0]), heading_rad)
    world_from_person[:2, 3] = x, y
    return world_from_person


def _swung(arm: ArmPose, side: str, stride: Stride) -> ArmPose:
    """Swing an arm forward while the other foot is ahead."""
    ahead_m = -stride.ahead_m if side == "left" else stride.ahead_m
    angle = _ARM_SWING_RAD_PER_M * ahead_m
    # About the axis that points outward: forward goes up.
    outward, forward, up = arm.wrist
    sine, cosine = np.sin(angle), np.cos(angle)
    length = 1 - _ELBOW_SHORTENING * max(0.0, ahead_m / _FULL_STEP_M)
    wrist = np.array([outward, length * (cosine * forward - sine * up), length * (sine * forward + cosine * up)])
    return replace(arm, wrist=wrist)
