"""Joint angles and limb frames of REP-155's model of the human body, from the joints' positions.

The model is that of the ROS package `human_description` (urdf/human-tpl.xacro): links with x forward, y to the left and
z up while the person stands with hanging arms, where all angles are 0. An arm is turned about the vertical (`y_`),
lifted sideways (`p_`), turned about itself (`r_`) and bent at the elbow; a leg is turned about the vertical (`y_`),
lifted sideways (`p_`), swung forward (`r_`) and bent at the knee; the head is tilted sideways (`r_`), turned (`y_`) and
raised (`p_`). `waist` tips the trunk against the body frame, about its y axis.

The angles reproduce the direction of every limb exactly, in the frame of the trunk however that is turned. Where more
than one set of angles does, it is the set that exceeds the limits of the model least. What turns a limb about itself
(`r_shoulder`, `y_hip`) shows in the next limb only: while elbow or knee are nearly straight it is mostly noise, as is
`y_shoulder` while the arm hangs.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import Topology

# Lower and upper limit of each joint, radians: human_description, urdf/human-tpl.xacro.
_ARM_LIMITS = {"y_shoulder": (-1.1, 1.9), "p_shoulder": (-0.4, 3.3), "r_shoulder": (-1.7, 1.5), "elbow": (0.0, 2.5)}
_LEG_LIMITS = {"y_hip": (-0.1, 0.6), "p_hip": (-0.4, 3.3), "r_hip": (-0.4, 0.7), "knee": (-2.5, 0.0)}
_LIMITS = {
    "waist": (-0.2, 1.0),
    "r_head": (-1.0, 1.0),
    "y_head": (-1.4, 1.4),
    "p_head": (-1.5, 1.5),
    **{f"{side}_{name}": limits for side in "lr" for name, limits in _ARM_LIMITS.items()},
    **{f"{side}_{name}": limits for side in "lr" for name, limits in _LEG_LIMITS.items()},
}
# Names of the angles, in the order of all arrays of angles here.
JOINTS = tuple(_LIMITS)
LIMITS = np.array(list(_LIMITS.values()))
LIMITS.setflags(write=False)

# Below this sine an angle about the limb is taken as 0: the limb is straight, or hangs, and any angle would do.
_STRAIGHT = 1e-3
_SIDES = {"l": ("left", 1.0), "r": ("right", -1.0)}

Vector = tuple[float, ...]


def joint_angles(
    positions: FloatArray,
    topology: Topology,
    camera_from_torso: FloatArray | None,
    camera_from_head: FloatArray | None = None,
) -> FloatArray:
    """Return the angles of `JOINTS` with shape (20,), radians; NaN for what the positions do not tell.

    They are not cut off at `LIMITS`, because that would bend limbs away from where they are: the model lets a hip bend
    by 0.7 rad only, less than in anybody who sits. `exceeds_limits` tells which ones lie outside.

    Without a torso nothing is known. `waist` is how far the shoulders lean out of the z axis of the given torso: 0 with
    a torso made of these positions by `human.torso`, whose z axis goes through their middle, because hips and shoulders
    do not tell how the pelvis is tipped; then all bending is in the hips. A shoulder needs the elbow; `r_shoulder` and
    the elbow need the wrist; a hip needs the knee; and without an ankle `y_hip` is 0 and the knee NaN.

    Args:
        positions: Joint centres in any frame with shape (K, 3), metres; NaN when missing.
        topology: Names of the joints.
        camera_from_torso: Pose of the body frame with shape (4, 4) in the same frame: origin mid-hip, x forward, z to
            the head.
        camera_from_head: Pose of the head with shape (4, 4), x out of the face, z up; None when it is not known.
    """
    angles = dict.fromkeys(JOINTS, np.nan)
    if camera_from_torso is not None:
        points = _in_body(positions, topology, camera_from_torso)
        middle = (points["left_shoulder"] + points["right_shoulder"]) / 2
        angles["waist"] = math.atan2(middle[0], middle[2])
        # NaN spreads: everything above the waist stays unknown where a shoulder is missing.
        torso_from_body = _turn_y(-angles["waist"])
        if camera_from_head is not None:
            head = torso_from_body @ camera_from_torso[:3, :3].T @ camera_from_head[:3, :3]
            angles.update(zip(("r_head", "y_head", "p_head"), _head(head), strict=True))
        for side, (word, sign) in _SIDES.items():
            shoulder, elbow, wrist = (points[f"{word}_{name}"] for name in ("shoulder", "elbow", "wrist"))
            arm = _arm(*_bones(shoulder, elbow, wrist, torso_from_body), sign)
            angles.update(zip((f"{side}_{name}" for name in _ARM_LIMITS), arm, strict=True))
            hip, knee, ankle = (points[f"{word}_{name}"] for name in ("hip", "knee", "ankle"))
            leg = _leg(*_bones(hip, knee, ankle, np.eye(3)), sign)
            angles.update(zip((f"{side}_{name}" for name in _LEG_LIMITS), leg, strict=True))
    return np.array(list(angles.values()))


def exceeds_limits(angles: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of the angles with shape (20,) lie outside `LIMITS`; an unknown one does not."""
    return (angles < LIMITS[:, 0]) | (angles > LIMITS[:, 1])


def limb_frames(
    positions: FloatArray, topology: Topology, camera_from_torso: FloatArray, angles: FloatArray
) -> dict[str, FloatArray]:
    """Return the pose of each link in the body frame with shape (4, 4), by its name in the model.

    `torso` lies between the shoulders, the limbs' links in the joint that moves them, and `l_wrist` or `l_ankle` at the
    end of the arm or leg: the same rotations as in the model, with the lengths of this person. A link of which the
    position or an angle is not known is left out.

    Args:
        positions: As for `joint_angles`.
        topology: As for `joint_angles`.
        camera_from_torso: As for `joint_angles`.
        angles: What `joint_angles` returned, shape (20,).
    """
    points = _in_body(positions, topology, camera_from_torso)
    known = dict(zip(JOINTS, angles, strict=True))
    torso = _turn_y(known["waist"])
    frames = {"torso": (torso, (points["left_shoulder"] + points["right_shoulder"]) / 2)}
    for side, (word, sign) in _SIDES.items():
        y, p, r, bend = (known[f"{side}_{name}"] for name in _ARM_LIMITS)
        upper = torso @ _turn_z(-sign * y) @ _turn_x(sign * p) @ _turn_z(sign * r)
        lower = upper @ _turn_y(-bend)
        links = zip(("shoulder", "elbow", "wrist"), (upper, lower, lower), strict=True)
        frames.update({f"{side}_{name}": (turn, points[f"{word}_{name}"]) for name, turn in links})
        y, p, r, bend = (known[f"{side}_{name}"] for name in _LEG_LIMITS)
        upper = _turn_z(-y) @ _turn_x(sign * p) @ _turn_y(-r)
        lower = upper @ _turn_y(-bend)
        links = zip(("hip", "knee", "ankle"), (upper, lower, lower), strict=True)
        frames.update({f"{side}_{name}": (turn, points[f"{word}_{name}"]) for name, turn in links})
    poses = {name: _pose(turn, origin) for name, (turn, origin) in frames.items()}
    return {name: pose for name, pose in poses.items() if np.isfinite(pose).all()}


def _in_body(positions: FloatArray, topology: Topology, camera_from_torso: FloatArray) -> dict[str, FloatArray]:
    """Return the position of each joint in the body frame, metres."""
    inside = (positions - camera_from_torso[:3, 3]) @ camera_from_torso[:3, :3]
    return dict(zip(topology.keypoints, inside, strict=True))


def _bones(start: FloatArray, joint: FloatArray, end: FloatArray, turn: FloatArray) -> list[Vector]:
    """Return the two bones of a limb after a rotation; NaN for one without a length."""
    bones = np.stack([joint - start, end - joint]) @ turn.T
    bones[~np.any(bones, axis=1)] = np.nan
    return bones.tolist()


def _head(rotation: FloatArray) -> tuple[float, float, float]:
    """Return roll, yaw and pitch of a head in the trunk: rotation = turn_x(roll) turn_z(yaw) turn_y(-pitch)."""
    yaw = math.asin(min(max(-rotation[0, 1], -1.0), 1.0))
    if math.cos(yaw) < _STRAIGHT:  # turned by 90 degrees: roll and pitch are about one axis
        return 0.0, yaw, math.atan2(rotation[2, 0], rotation[2, 2])
    return math.atan2(rotation[2, 1], rotation[1, 1]), yaw, -math.atan2(rotation[0, 2], rotation[0, 0])


def _arm(upper: Vector, lower: Vector, sign: float) -> Vector:
    """Return y, p and r of the shoulder and the bend of the elbow, NaN where a direction is missing.

    Args:
        upper: From shoulder to elbow in the frame of the trunk.
        lower: From elbow to wrist in the same frame.
        sign: 1 for the left side, -1 for the right.
    """
    # upper = (sin p sin y, sign sin p cos y, -cos p)
    x, y, z = upper
    across = math.hypot(x, y)
    azimuth = math.atan2(x, sign * y) if not across <= _STRAIGHT * abs(z) else 0.0
    lift = math.atan2(across, -z)
    # In the upper arm, before it is turned about itself: lower = (cos r sin bend, sign sin r sin bend, -cos bend).
    x, y, z = _about_x(_about_z(lower, sign * azimuth), -sign * lift)
    across = math.hypot(x, y)
    twist = math.atan2(sign * y, x) if not across <= _STRAIGHT * abs(z) else 0.0
    bend = math.atan2(across, -z)
    half = math.pi
    return _most_natural(
        [
            (azimuth, lift, twist, bend),
            (azimuth, lift, twist + half, -bend),
            (azimuth + half, -lift, twist + half, bend),
            (azimuth + half, -lift, twist, -bend),
        ],
        tuple(_ARM_LIMITS.values()),
    )


def _leg(upper: Vector, lower: Vector, sign: float) -> Vector:
    """Return y, p and r of the hip and the bend of the knee, NaN where a direction is missing.

    Args:
        upper: From hip to knee in the body frame.
        lower: From knee to ankle in the same frame.
        sign: 1 for the left side, -1 for the right.
    """
    x, y, z = upper
    # The y axis of the thigh is the axis of the knee: turn_z(-y) turn_x(sign p) (0, 1, 0).
    axis = (y * lower[2] - z * lower[1], z * lower[0] - x * lower[2], x * lower[1] - y * lower[0])
    across, along = math.hypot(*axis), x * lower[0] + y * lower[1] + z * lower[2]
    bend = -math.atan2(across, along)
    options = []
    if across > _STRAIGHT * abs(along):
        options = [(axis, bend), (tuple(-value for value in axis), -bend)]
    else:
        # Without an ankle, or with a straight knee, the thigh is not turned about the vertical.
        options = [((0.0, -z, y) if y or z else (0.0, 1.0, 0.0), bend)]
    candidates = []
    for (ax, ay, az), knee in options:
        azimuth, lift = math.atan2(ax, ay), math.atan2(sign * az, math.hypot(ax, ay))
        for hip_y, hip_p in ((azimuth, lift), (azimuth + math.pi, math.pi - lift)):
            ahead = _about_x(_about_z(upper, hip_y), -sign * hip_p)
            candidates.append((hip_y, hip_p, math.atan2(ahead[0], -ahead[2]), knee))
    return _most_natural(candidates, tuple(_LEG_LIMITS.values()))


def _most_natural(candidates: list[Vector], limits: tuple[tuple[float, float], ...]) -> Vector:
    """Return the set of angles that exceeds the limits least in sum, and of those the one that turns least."""
    return min((_near(angles, limits) for angles in candidates), key=lambda angles: _effort(angles, limits))


def _near(angles: Vector, limits: tuple[tuple[float, float], ...]) -> Vector:
    """Return the angles within half a turn of the middle of their range."""
    middles = [(low + high) / 2 for low, high in limits]
    return tuple(m + math.remainder(angle - m, 2 * math.pi) for angle, m in zip(angles, middles, strict=True))


def _effort(angles: Vector, limits: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    known = [(angle, *limit) for angle, limit in zip(angles, limits, strict=True) if not math.isnan(angle)]
    excess = sum(max(low - angle, angle - high, 0.0) for angle, low, high in known)
    return round(excess, 6), sum(abs(angle) for angle, _, _ in known)


def _about_x(vector: Vector, angle: float) -> Vector:
    """Return a vector turned about the x axis."""
    (x, y, z), c, s = vector, math.cos(angle), math.sin(angle)
    return x, c * y - s * z, s * y + c * z


def _about_z(vector: Vector, angle: float) -> Vector:
    """Return a vector turned about the z axis."""
    (x, y, z), c, s = vector, math.cos(angle), math.sin(angle)
    return c * x - s * y, s * x + c * y, z


def _pose(turn: FloatArray, origin: FloatArray) -> FloatArray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, origin
    return pose


def _turn_x(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _turn_y(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _turn_z(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
