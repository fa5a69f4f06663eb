"""Motions whose truth is known, as skeletons that a camera would give: of a person model, of robots, and of people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_perception.datatypes import FloatArray, KeypointState, Skeleton, TrackingState
from pose_perception.human.topology import COCO_17
from pose_perception.human.torso import torso_pose
from pose_perception.imitation.kinematics import Kinematics
from pose_perception.imitation.motion_clips import JOINTS, MotionClip
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.robot_config import description_path
from pose_perception.imitation.urdf import parse_urdf

# A person of the size of human.urdf: bones, half the width of shoulders and hips, and how high the shoulders are above
# the hips, metres.
_UPPER_M, _FOREARM_M, _SHOULDER_M, _HIP_M, _TRUNK_M = 0.276, 0.287, 0.21, 0.082, 0.406
# From x forward, y left, z up to an optical frame that the person faces from 2.5 m away.
CAMERA_FROM_FRONT = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 2.5], [0.0, 0.0, 0.0, 1.0]])
# From human.urdf and the clips (x forward, y up, z right; CMU: z forward, x left) to x forward, y left, z up.
_FRONT_FROM_HUMAN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
# Joints of human.urdf that move in the test, by side, and how far, radians.
_HUMAN_JOINTS = {
    "shoulder_Z": (-0.6, 1.6),
    "shoulder_X": (0.0, 1.3),
    "shoulder_Y": (-0.8, 0.8),
    "elbow_Z": (0.2, 2.2),
    "elbow_Y": (0.0, 1.5),
}
_HUMAN_LINKS = {"shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand", "hip": "upperleg"}


def skeleton_of(points: Mapping[str, FloatArray]) -> Skeleton:
    """Return a skeleton of `COCO_17`.

    Args:
        points: Positions in the camera optical frame by name, shape (3,), metres; those that it lacks are missing.
    """
    count = len(COCO_17)
    positions = np.full((count, 3), np.nan)
    for name, point in points.items():
        positions[COCO_17.index[name]] = point
    states = np.where(np.isfinite(positions[:, 0]), KeypointState.MEASURED, KeypointState.MISSING).astype(np.uint8)
    return Skeleton(
        "a1",
        1.0,
        TrackingState.TRACKED,
        np.array([0.0, 0.0, 1.0, 1.0]),
        np.full((count, 2), np.nan),
        np.ones(count),
        positions,
        np.full((count, 3, 3), np.nan),
        states,
        np.full(3, np.nan),
        torso_pose(positions, COCO_17),
    )


def robot_as_person(robot: Robot, q: FloatArray, person_arm: str = "right") -> dict[str, FloatArray]:
    """Return the joints of a person whose arms point where those of a robot do, in the camera optical frame, metres.

    Args:
        robot: The robot.
        q: Its joints with shape (n,), radians.
        person_arm: The arm that a robot with a single one stands for; the other hangs.
    """
    points = _trunk()
    bodies = {side: np.array([0.0, 0.0, -1.0]) for side in ("left", "right")}
    for side in ("left", "right"):
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] + _UPPER_M * bodies[side]
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + _FOREARM_M * bodies[side]
    for name in robot.arms:
        side = person_arm if name == "single" else name
        arm = robot.points(q, name)
        upper, forearm = (robot.base_from_torso.T @ bone for bone in (arm.upper, arm.forearm))
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] + _UPPER_M * upper
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + _FOREARM_M * forearm
    return {name: _seen(point) for name, point in points.items()}


class HumanModel:
    """The arms of `human.urdf`, independent of the code that is measured but for the chain of its joints."""

    def __init__(self) -> None:
        """Read the description.

        Raises:
            ConfigurationError: example-robot-data is not installed.
        """
        urdf = parse_urdf(description_path("human_description/robots/human.urdf").read_text())
        names = [f"{side}_{joint}" for side in ("left", "right") for joint in _HUMAN_JOINTS]
        self._kinematics = Kinematics(urdf, "middle_pelvis", names, {})
        self._limits = np.array([limits for _ in range(2) for limits in _HUMAN_JOINTS.values()])

    def random(self, generator: np.random.Generator) -> FloatArray:
        """Return joints with shape (10,), radians."""
        return generator.uniform(self._limits[:, 0], self._limits[:, 1])

    def points(self, q: FloatArray) -> dict[str, FloatArray]:
        """Return shoulders, elbows, wrists and hips in the camera optical frame, metres."""
        bodies = self._kinematics.bodies(q)
        points = {}
        for side in ("left", "right"):
            for joint, link in _HUMAN_LINKS.items():
                place = self._kinematics.locate(f"{side}_{link}")
                pose = bodies[place.body] @ place.pose
                points[f"{side}_{joint}"] = _seen(_FRONT_FROM_HUMAN @ pose[:3, 3])
        return points


def clip_points(clip: MotionClip, rate_hz: float) -> list[dict[str, FloatArray]]:
    """Return a recorded motion at another rate, in a frame like the camera's, metres."""
    count = int((len(clip.positions) - 1) / clip.rate_hz * rate_hz) + 1
    times = np.arange(count) / rate_hz * clip.rate_hz
    low = np.minimum(times.astype(int), len(clip.positions) - 2)
    share = (times - low)[:, None, None]
    positions = (1 - share) * clip.positions[low] + share * clip.positions[low + 1]
    return [dict(zip(JOINTS, frame, strict=True)) for frame in positions]


def wandering(robot: Robot, times_s: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return a smooth motion of a robot around its rest posture, shape (T, n), radians, inside of its limits."""
    n = len(robot.joints)
    room = np.minimum(np.minimum(robot.upper - robot.rest, robot.rest - robot.lower), 0.5)
    q = np.tile(robot.rest, (len(times_s), 1))
    for frequency in (0.07, 0.13, 0.23):
        phase = generator.uniform(0, 2 * np.pi, n)
        wave = np.sin(2 * np.pi * frequency * times_s[:, None] + phase) - np.sin(phase)
        q = q + 0.3 * room * wave * (0.1 / frequency) ** 0.5
    return np.clip(q, robot.lower, robot.upper)


def _trunk() -> dict[str, FloatArray]:
    return {
        f"{side}_{joint}": np.array([0.0, sign * width, height])
        for side, sign in (("left", 1.0), ("right", -1.0))
        for joint, width, height in (("shoulder", _SHOULDER_M, _TRUNK_M), ("hip", _HIP_M, 0.0))
    }


def _seen(point: FloatArray) -> FloatArray:
    return CAMERA_FROM_FRONT[:3, :3] @ point + CAMERA_FROM_FRONT[:3, 3]
