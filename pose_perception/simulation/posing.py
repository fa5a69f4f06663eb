"""From a pose in human terms (where the hands go, how the trunk leans) to a posed body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.simulation.kinematics import (
    FloatArray,
    Rig,
    about,
    between,
    forward,
    minimum_jerk,
    skin,
    twist_rad,
    unit,
)
from pose_perception.simulation.landmarks import SIDES
from pose_perception.simulation.legs import FootPose, sit, stand, step
from pose_perception.simulation.people import Body

# Share of the trunk's turn that each vertebra has reached, from the pelvis up, and the same for neck and head.
_SPINE = {"spine05": 0.15, "spine04": 0.4, "spine03": 0.6, "spine02": 0.8, "spine01": 1.0}
_NECK = {"neck01": 0.2, "neck02": 0.4, "neck03": 0.6, "head": 1.0}
# The shoulder girdle follows the arm: about a third of its elevation (scapulohumeral rhythm, Inman et al. 1944), of
# which the joint's centre shows roughly half.
_GIRDLE = {"clavicle": 0.12, "shoulder01": 0.18}
# Vertical part of the arm's direction below which the girdle rests, and above which it follows fully.
_HANGING_Z, _LIFTED_Z = -0.9, -0.2
# Turning the palm winds the two bones of the forearm around each other: the twist grows from the elbow to the wrist.
_FOREARM_TWIST = {"lowerarm01": 0.15, "lowerarm02": 0.6, "wrist": 1.0}
_MAX_TWIST_RAD = np.deg2rad(85.0)
_RELAXED_CURL_RAD = np.deg2rad(14.0)
_FIST_CURL_RAD = np.deg2rad(78.0)
_OPEN_CURL, _FLAT_CURL = -0.2, -0.35
_PUSH_SHARPNESS = 8
# Columns: out of the face, to the left, up; in the frame of a body at rest (x to its left, y backwards, z up).
_HEAD_AXES = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class ArmPose:
    """One arm in its own frame: outward, forward, up; origin in the shoulder; lengths in lengths of the arm.

    Attributes:
        wrist: Position of the wrist with shape (3,).
        pole: Direction in which the elbow points with shape (3,).
        palm: Direction in which the palm faces with shape (3,).
        curl: 0 for a relaxed hand, 1 for one that points with the index finger, -0.2 for one with straight fingers,
            -0.35 for one that lies flat on something.
    """

    wrist: FloatArray
    pole: FloatArray
    palm: FloatArray
    curl: float


@dataclass(frozen=True)
class Pose:
    """A body on its feet, or on a seat.

    Attributes:
        sway: Shift of the pelvis over the feet with shape (2,): to the left, backwards, metres.
        trunk: Rotation vector of the trunk against the pelvis with shape (3,), radians.
        head: Rotation vector of the head against the trunk with shape (3,), radians.
        arms: `left` and `right`.
        feet: `left` and `right`; None for someone who stands.
        pelvis_rad: Turn of the pelvis about the vertical; the trunk does not follow. Only for those who step.
        sits: Whether the body sits on a chair.
    """

    sway: FloatArray
    trunk: FloatArray
    head: FloatArray
    arms: dict[str, ArmPose]
    feet: dict[str, FootPose] | None = None
    pelvis_rad: float = 0.0
    sits: bool = False


class Posed(NamedTuple):
    """A posed body on the floor (z = 0), the pelvis over the origin: x to its left, y backwards, z up, metres.

    Attributes:
        vertices: Skin with shape (V, 3).
        keypoints: With shape (K, 3).
        hands: Left and right, in the order of `landmarks.HAND_LANDMARKS`, with shape (2, 21, 3).
        head: Pose of the head with shape (4, 4): origin at the sellion, x out of the face, y to the left, z up.
    """

    vertices: FloatArray
    keypoints: FloatArray
    hands: FloatArray
    head: FloatArray

    def moved(self, pose: FloatArray) -> Posed:
        """Return the same body in another frame, by a rigid transform (4, 4)."""
        points = (values @ pose[:3, :3].T + pose[:3, 3] for values in self[:3])
        return Posed(*points, pose @ self.head)


def pose_body(body: Body, pose: Pose) -> Posed:
    """Pose a body.

    Args:
        body: The body at rest.
        pose: What it does.
    """
    rig = body.rig
    if pose.sits:
        root, rotations = sit(body, pose.sway)
    elif pose.feet is None:
        root, rotations = stand(body, pose.sway)
    else:
        root, rotations = step(body, pose.sway, pose.feet, pose.pelvis_rad)
    rotations |= _trunk(pose)
    # The trunk first: the arms start from the shoulders that it carries, and these from the girdle that follows them.
    for side in SIDES:
        rotations |= _girdle(body, side, pose.arms[side], rotations["spine01"])
    turned, heads = forward(rig, rotations, root)
    for side in SIDES:
        rotations |= _arm(body, side, pose.arms[side], turned, heads)
    turned, heads = forward(rig, rotations, root)
    vertices = skin(rig, body.weights, body.vertices, turned, heads)
    head = np.eye(4)
    head[:3, :3] = turned[rig.names.index("head")] @ _HEAD_AXES
    head[:3, 3] = body.sellion.positions(vertices, heads)[0]
    hands = body.hands.positions(vertices, heads).reshape(2, -1, 3)
    return Posed(vertices, body.keypoints(vertices, heads), hands, head)


def _trunk(pose: Pose) -> dict[str, FloatArray]:
    trunk, head = (Rotation.from_rotvec(vector) for vector in (pose.trunk, pose.head))
    spine = {bone: (trunk**share).as_matrix() for bone, share in _SPINE.items()}
    return spine | {bone: (trunk * head**share).as_matrix() for bone, share in _NECK.items()}


def _to_body(side: str, vector: FloatArray) -> FloatArray:
    """From the frame of an arm (outward, forward, up) to that of the body."""
    outward = 1.0 if side == "left" else -1.0
    return vector * (outward, -1.0, 1.0)


def _girdle(body: Body, side: str, arm: ArmPose, trunk: FloatArray) -> dict[str, FloatArray]:
    suffix = SIDES[side]
    rest, wanted = body.limbs[f"{side}_arm"].upper, unit(_to_body(side, arm.wrist))
    # The girdle only follows an arm that is lifted: it does not sink when the arm hangs.
    lifted = minimum_jerk((wanted[2] - _HANGING_Z) / (_LIFTED_Z - _HANGING_Z))
    return {f"{bone}.{suffix}": trunk @ between(rest, wanted, share * lifted) for bone, share in _GIRDLE.items()}


def _arm(body: Body, side: str, arm: ArmPose, turned: FloatArray, heads: FloatArray) -> dict[str, FloatArray]:
    suffix, limb = SIDES[side], body.limbs[f"{side}_arm"]
    names = body.rig.names
    trunk, girdle = (turned[names.index(bone)] for bone in ("spine01", f"shoulder01.{suffix}"))
    shoulder = heads[names.index(f"upperarm01.{suffix}")]
    wrist = shoulder + trunk @ _beside_trunk(body, side, _to_body(side, arm.wrist) * sum(limb.lengths))
    upper, lower = limb.solve(shoulder, wrist, trunk @ _to_body(side, arm.pole))
    # Half of the turn about the upper arm's own axis belongs to its upper half, or the shoulder's skin wrings.
    swing = between(girdle @ limb.upper, upper @ limb.upper) @ girdle
    half = about(limb.upper, 0.5 * twist_rad(swing.T @ upper, limb.upper))
    twist = _palm_twist(body.rig, side, lower, limb.lower, trunk @ _to_body(side, arm.palm))
    forearm = {bone: lower @ about(limb.lower, share * twist) for bone, share in _FOREARM_TWIST.items()}
    rotations = {"upperarm01": swing @ half, "upperarm02": upper, **forearm}
    fingers = _fingers(body.rig, side, forearm["wrist"], arm.curl)
    return {f"{bone}.{suffix}": rotation for bone, rotation in rotations.items()} | fingers


def _beside_trunk(body: Body, side: str, wrist: FloatArray) -> FloatArray:
    """Move a wrist, given from the shoulder (3,), out of the elliptic cylinder around trunk and hips, smoothly."""
    shoulder = body.rig.head(f"upperarm01.{SIDES[side]}")
    flat = (shoulder + wrist - body.trunk_center) / body.trunk_radii
    level = np.hypot(flat[0], flat[1])
    scale = (1 + level**-_PUSH_SHARPNESS) ** (1 / _PUSH_SHARPNESS)
    return (flat * (scale, scale, 1.0)) * body.trunk_radii + body.trunk_center - shoulder


def _palm(rig: Rig, side: str) -> FloatArray:
    """Direction of the palm at rest with shape (3,)."""
    wrist, index, pinky = (rig.head(f"{bone}.{SIDES[side]}") for bone in ("wrist", "finger2-1", "finger5-1"))
    normal = unit(np.cross(index - wrist, pinky - wrist))
    return -normal if side == "left" else normal


def _palm_twist(rig: Rig, side: str, lower: FloatArray, axis: FloatArray, wanted: FloatArray) -> float:
    """Angle about the forearm's axis at rest that turns the palm as far as the forearm allows, radians."""
    palm, wanted = _palm(rig, side), lower.T @ wanted
    palm, wanted = (vector - (vector @ axis) * axis for vector in (palm, wanted))
    angle = np.arctan2(np.cross(palm, wanted) @ axis, palm @ wanted)
    # A soft limit: a hard one would stop the hand with a jerk.
    return float(_MAX_TWIST_RAD * np.tanh(angle / _MAX_TWIST_RAD))


def _fingers(rig: Rig, side: str, wrist: FloatArray, curl: float) -> dict[str, FloatArray]:
    suffix, palm, rotations = SIDES[side], _palm(rig, side), {}
    flat = float(np.clip((_OPEN_CURL - curl) / (_OPEN_CURL - _FLAT_CURL), 0, 1))
    for finger in (2, 3, 4, 5):
        closed = curl * (_FIST_CURL_RAD - _RELAXED_CURL_RAD)
        if finger == 2:
            # A pointing hand stretches the index finger as an open hand stretches them all.
            closed = (1 - flat) * -_RELAXED_CURL_RAD * abs(curl) + flat * closed
        angle = _RELAXED_CURL_RAD + closed
        start, end = (rig.head(f"finger{finger}-{joint}.{suffix}") for joint in (1, 3))
        axis = unit(np.cross(unit(end - start), palm))
        for joint in (1, 2, 3):
            rotations[f"finger{finger}-{joint}.{suffix}"] = wrist @ about(axis, joint * angle)
    if flat > 0:
        # The thumb goes to the side of the palm, or it would stick into what the palm lies on.
        thumb = unit(rig.head(f"finger1-3.{suffix}") - rig.head(f"finger1-1.{suffix}"))
        beside = unit(thumb - (thumb @ palm) * palm)
        rotations[f"finger1-1.{suffix}"] = wrist @ between(thumb, beside, flat)
    return rotations
