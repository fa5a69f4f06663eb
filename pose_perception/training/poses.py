"""Poses of whole bodies of every kind: standing, walking, sitting, squatting, bending, lunging, lying, arms anywhere.

The motion of the simulated camera (`simulation.motion`) is natural but narrow; a network that is trained needs all that
bodies can do, natural or not.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.simulation.kinematics import FloatArray, about, between, forward, skin, unit
from pose_perception.simulation.people import SIDES, Body

# Share of the trunk's turn that each vertebra has reached, from the pelvis up, and the same for neck and head.
_SPINE = {"spine05": 0.15, "spine04": 0.4, "spine03": 0.6, "spine02": 0.8, "spine01": 1.0}
_NECK = {"neck01": 0.2, "neck02": 0.4, "neck03": 0.6, "head": 1.0}
# The shoulder girdle follows a lifted arm.
_GIRDLE = {"clavicle": 0.12, "shoulder01": 0.18}
# Half a standard deviation of the trunk's and the head's turn: about x (bending), y (leaning), z (twisting), degrees.
_TRUNK_DEG = (12.0, 7.0, 12.0)
_HEAD_DEG = (14.0, 8.0, 24.0)
# Where wrists and ankles go, in lengths of the limb from its first joint: low and high bounds of (outward, forward,
# up), and how often people do that.
_ARMS = {
    "hang": ((0.0, -0.25, -1.0), (0.35, 0.35, -0.8), 0.25),
    "free": ((-0.5, -0.35, -1.0), (1.0, 1.0, 1.0), 0.4),
    "before": ((-0.45, 0.25, -0.7), (0.25, 0.75, 0.2), 0.2),
    "raised": ((-0.2, -0.15, 0.2), (0.6, 0.5, 1.0), 0.15),
}
_LEGS = {
    "stand": ((0.0, -0.08, -1.0), (0.14, 0.08, -0.97), 0.3),
    "stride": ((0.0, -0.5, -1.0), (0.2, 0.5, -0.8), 0.2),
    "wide": ((0.1, -0.3, -0.95), (0.6, 0.3, -0.7), 0.1),
    "sit": ((-0.1, 0.3, -0.6), (0.3, 0.7, -0.4), 0.2),
    "squat": ((0.0, 0.0, -0.65), (0.25, 0.35, -0.35), 0.08),
    "lifted": ((-0.1, -0.6, -0.8), (0.5, 0.7, -0.1), 0.12),
}
# Directions in which elbows and knees point (outward, forward, up) and how much that varies.
_ELBOW, _KNEE = ((0.6, -0.6, -0.8), 0.5), ((0.2, 1.0, 0.1), 0.3)
_BOTH_LEGS_ALIKE = 0.6
_LYING, _BENDING = 0.06, 0.15
# Half the thickness of a wrist: no wrist goes deeper into the trunk than its surface, metres.
_CLEARANCE_M = 0.04


def random_pose(body: Body, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Pose a body at random, its lowest point on the floor (z = 0) and its pelvis above the origin, turned anywhere.

    Args:
        body: The body at rest.
        rng: Source of the choice.

    Returns:
        Vertices (V, 3) and keypoints (K, 3): z up, metres; seen from negative y when the body faces the camera.
    """
    pelvis = _heading(rng)
    rotations = {"root": pelvis.as_matrix()} | _spine(pelvis, rng)
    trunk = rotations["spine01"]
    wrists = {side: _draw(_ARMS, rng) for side in SIDES}
    for side, suffix in SIDES.items():
        wanted, rest = trunk @ _to_body(side, unit(wrists[side])), trunk @ body.limbs[f"{side}_arm"].upper
        for bone, share in _GIRDLE.items():
            rotations[f"{bone}.{suffix}"] = between(rest, wanted, share) @ trunk
    turned, heads = forward(body.rig, rotations, np.zeros(3))
    ankles = _ankles(rng)
    for side in SIDES:
        rotations |= _arm(body, side, wrists[side], trunk, heads, rng)
        rotations |= _leg(body, side, ankles[side], pelvis.as_matrix(), heads, rng)
    turned, heads = forward(body.rig, rotations, np.zeros(3))
    vertices = skin(body.rig, body.weights, body.vertices, turned, heads)
    lift = np.array([0, 0, -vertices[:, 2].min()])
    return vertices + lift, body.keypoints(vertices, heads) + lift


def _heading(rng: np.random.Generator) -> Rotation:
    """Rotation of the pelvis: people are mostly upright, and more often than not they face the camera."""
    yaw = rng.normal(0, 50) if rng.random() < 0.6 else rng.uniform(-180, 180)
    tilt = rng.normal(0, 5, 2) if rng.random() > _LYING else rng.uniform(-100, 100, 2)
    return Rotation.from_euler("z", yaw, degrees=True) * Rotation.from_euler("xy", tilt, degrees=True)


def _spine(pelvis: Rotation, rng: np.random.Generator) -> dict[str, FloatArray]:
    bend = np.array(_TRUNK_DEG) * rng.normal(size=3)
    if rng.random() < _BENDING:
        bend[0] += rng.uniform(20, 80)
    trunk = Rotation.from_rotvec(bend, degrees=True)
    head = Rotation.from_rotvec(np.array(_HEAD_DEG) * rng.normal(size=3), degrees=True)
    spine = {bone: (pelvis * trunk**share).as_matrix() for bone, share in _SPINE.items()}
    return spine | {bone: (pelvis * trunk * head**share).as_matrix() for bone, share in _NECK.items()}


def _draw(kinds: dict[str, tuple[tuple[float, ...], tuple[float, ...], float]], rng: np.random.Generator) -> FloatArray:
    """Draw where the end of a limb goes (3,), in lengths of the limb."""
    names = list(kinds)
    low, high, _ = kinds[names[rng.choice(len(names), p=[kinds[name][2] for name in names])]]
    target = rng.uniform(low, high)
    return target * min(1.0, 0.99 / np.linalg.norm(target))


def _ankles(rng: np.random.Generator) -> dict[str, FloatArray]:
    first = _draw(_LEGS, rng)
    second = first + rng.normal(0, 0.05, 3) if rng.random() < _BOTH_LEGS_ALIKE else _draw(_LEGS, rng)
    return dict(zip(rng.permutation(list(SIDES)), (first, second), strict=True))


def _to_body(side: str, vector: FloatArray) -> FloatArray:
    """From the frame of a limb (outward, forward, up) to that of the body (left, backwards, up)."""
    return vector * (1.0 if side == "left" else -1.0, -1.0, 1.0)


def _pole(side: str, kind: tuple[tuple[float, ...], float], rng: np.random.Generator) -> FloatArray:
    mean, spread = kind
    return _to_body(side, unit(np.array(mean) + spread * rng.normal(size=3)))


def _arm(
    body: Body, side: str, wrist: FloatArray, trunk: FloatArray, heads: FloatArray, rng: np.random.Generator
) -> dict[str, FloatArray]:
    suffix, limb = SIDES[side], body.limbs[f"{side}_arm"]
    shoulder = heads[body.rig.names.index(f"upperarm01.{suffix}")]
    reach = _beside_trunk(body, side, _to_body(side, wrist) * sum(limb.lengths))
    upper, lower = limb.solve(shoulder, shoulder + trunk @ reach, trunk @ _pole(side, _ELBOW, rng))
    twist = rng.uniform(-1.4, 1.4)
    hand = lower @ about(limb.lower, twist) @ Rotation.from_rotvec(rng.normal(0, 0.25, 3)).as_matrix()
    bones = {
        "upperarm01": upper,
        "lowerarm01": lower @ about(limb.lower, 0.15 * twist),
        "lowerarm02": lower @ about(limb.lower, 0.6 * twist),
        "wrist": hand,
    }
    return {f"{bone}.{suffix}": rotation for bone, rotation in bones.items()}


def _beside_trunk(body: Body, side: str, wrist: FloatArray) -> FloatArray:
    """Move a wrist, given from the shoulder (3,) in the trunk's frame, out of the trunk when it is inside."""
    shoulder = body.rig.head(f"upperarm01.{SIDES[side]}")
    point = shoulder + wrist
    if not -0.2 < point[2] < shoulder[2] + 0.05:
        return wrist
    flat = (point - body.trunk_center)[:2] / (body.trunk_radii[:2] - _CLEARANCE_M / 2)
    level = np.hypot(*flat)
    scale = 1.0 if level > 1 else 1 / max(level, 0.05)
    return np.append(flat * scale * (body.trunk_radii[:2] - _CLEARANCE_M / 2) + body.trunk_center[:2], point[2]) - (
        shoulder
    )


def _leg(
    body: Body, side: str, ankle: FloatArray, pelvis: FloatArray, heads: FloatArray, rng: np.random.Generator
) -> dict[str, FloatArray]:
    suffix, limb = SIDES[side], body.limbs[f"{side}_leg"]
    hip = heads[body.rig.names.index(f"upperleg01.{suffix}")]
    target = hip + pelvis @ _to_body(side, ankle) * sum(limb.lengths)
    upper, lower = limb.solve(hip, target, pelvis @ _pole(side, _KNEE, rng))
    foot = lower @ Rotation.from_euler("xz", rng.normal((0, 0), (15, 10)), degrees=True).as_matrix()
    return {f"upperleg01.{suffix}": upper, f"lowerleg01.{suffix}": lower, f"foot.{suffix}": foot}
