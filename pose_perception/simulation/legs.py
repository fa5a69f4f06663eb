"""Pelvis and legs: standing, stepping and sitting, by inverse kinematics from where the feet are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_perception.simulation.kinematics import FloatArray, about
from pose_perception.simulation.landmarks import PARTS, SIDES
from pose_perception.simulation.people import Body

# Share of its straight length to which a leg is stretched in quiet standing.
_LEG_STRETCH = 0.995
_STANCE_M = 0.015
# Who steps vaults over the leg that stands, from one leg to the other one; blended over this height.
_BLEND_M = 0.025
# Direction in which knees point: outward, backwards, up.
_KNEE = np.array([0.15, -1.0, 0.0])
_UP = np.array([0.0, 0.0, 1.0])
SEAT_M = 0.45
"""Height of the seat of a chair."""
# What is between the joint of the hip and the seat, how far the feet are ahead as a share of the thigh, and how far
# apart the knees are.
_BUTTOCKS_M, _FEET_AHEAD, _KNEES_APART_M = 0.10, 0.95, 0.03
_KNEE_UP = np.array([0.15, -1.0, 1.0])


@dataclass(frozen=True)
class FootPose:
    """One foot, told from where it is when its body stands.

    Attributes:
        shift: Place where the body would stand on this foot, with shape (2,): to the left, backwards, metres.
        yaw_rad: Heading of that body against that of the body as it is; counterclockwise from above.
        narrow_m: How much closer to the middle the foot is than in standing.
        lift_m: Height above the floor.
        pitch_rad: Positive when the foot rests on its heel, negative when it rests on the ball.
        toes_rad: The same for the toes; 0 when they lie flat.
    """

    shift: FloatArray
    yaw_rad: float
    narrow_m: float
    lift_m: float
    pitch_rad: float
    toes_rad: float


def stand(body: Body, sway: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Stand on both feet.

    Args:
        body: The body at rest.
        sway: Shift of the pelvis over the feet with shape (2,): to the left, backwards, metres.

    Returns:
        Position of the pelvis (3,) and absolute rotations (3, 3) of the bones of the legs.
    """
    root = _pelvis(body, sway)
    rotations: dict[str, FloatArray] = {}
    for side, suffix in SIDES.items():
        outward, hip = _outward(side), body.rig.head(f"upperleg01.{suffix}")
        upper, lower = body.limbs[f"{side}_leg"].solve(root + hip, _home(body, side), _KNEE * (outward, 1, 1))
        rotations |= {f"upperleg01.{suffix}": upper, f"lowerleg01.{suffix}": lower, f"foot.{suffix}": np.eye(3)}
    return root, rotations


def step(
    body: Body, sway: FloatArray, feet: dict[str, FootPose], pelvis_rad: float
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Stand or walk on feet that are anywhere.

    Args:
        body: The body at rest.
        sway: As in `stand`.
        feet: Left and right.
        pelvis_rad: Turn of the pelvis about the vertical.

    Returns:
        As `stand`.
    """
    pelvis = about(_UP, pelvis_rad)
    ankles = {side: _ankle(body, side, feet[side]) for side in SIDES}
    hips = {side: pelvis @ body.rig.head(f"upperleg01.{suffix}") for side, suffix in SIDES.items()}
    root = _pelvis(body, sway)
    reach = _LEG_STRETCH * sum(body.limbs["left_leg"].lengths)
    heights = []
    for side in SIDES:
        level = np.linalg.norm((ankles[side] - root - hips[side])[:2])
        heights.append(ankles[side][2] - hips[side][2] + np.sqrt(max(0.0, reach**2 - level**2)))
    # A smooth minimum: a hard one would let the pelvis bounce.
    root[2] = -_BLEND_M * np.log(np.exp(-np.array(heights) / _BLEND_M).sum())
    rotations = {"root": pelvis}
    for side, suffix in SIDES.items():
        foot = feet[side]
        knee = about(_UP, 0.5 * foot.yaw_rad) @ (_KNEE * (_outward(side), 1, 1))
        upper, lower = body.limbs[f"{side}_leg"].solve(root + hips[side], ankles[side], knee)
        heading = about(_UP, foot.yaw_rad)
        rotations |= {
            f"upperleg01.{suffix}": upper,
            f"lowerleg01.{suffix}": lower,
            f"foot.{suffix}": heading @ _pitched(foot.pitch_rad),
        }
        toes = heading @ _pitched(foot.toes_rad)
        rotations |= {f"toe{toe}-1.{suffix}": toes for toe in (1, 2, 3, 4, 5)}
    return root, rotations


def sit(body: Body, sway: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Sit on a seat, the feet flat on the floor in front of it; arguments and results as of `stand`."""
    thigh = body.limbs["left_leg"].lengths[0]
    hip = body.rig.head("upperleg01.L")
    root = np.array([0.25 * sway[0], 0.25 * sway[1], SEAT_M + _BUTTOCKS_M - hip[2]])
    rotations: dict[str, FloatArray] = {}
    for side, suffix in SIDES.items():
        outward, hip = _outward(side), body.rig.head(f"upperleg01.{suffix}")
        ankle = _home(body, side) + np.array([outward * _KNEES_APART_M, -_FEET_AHEAD * thigh, 0.0])
        upper, lower = body.limbs[f"{side}_leg"].solve(root + hip, ankle, _KNEE_UP * (outward, 1, 1))
        rotations |= {f"upperleg01.{suffix}": upper, f"lowerleg01.{suffix}": lower, f"foot.{suffix}": np.eye(3)}
    return root, rotations


def _pelvis(body: Body, sway: FloatArray) -> FloatArray:
    """Position of the pelvis that leaves the knees slightly bent and the soles on the floor."""
    hip, ankle = (body.rig.head(f"{bone}.L") for bone in ("upperleg01", "foot"))
    reach = _LEG_STRETCH * sum(body.limbs["left_leg"].lengths)
    height = np.sqrt(reach**2 - _STANCE_M**2 - (ankle[1] - hip[1]) ** 2)
    return np.array([sway[0], sway[1], height - hip[2] + ankle[2] - _sole(body)])


def _sole(body: Body) -> float:
    return float(body.vertices[:, 2].min())


def _outward(side: str) -> float:
    return 1.0 if side == "left" else -1.0


def _home(body: Body, side: str) -> FloatArray:
    """Where the ankle of someone who stands is, with shape (3,)."""
    hip, ankle = (body.rig.head(f"{bone}.{SIDES[side]}") for bone in ("upperleg01", "foot"))
    return np.array([hip[0] + _outward(side) * _STANCE_M, ankle[1], ankle[2] - _sole(body)])


def _ankle(body: Body, side: str, foot: FootPose) -> FloatArray:
    """Where the ankle (3,) of a foot is that rolled over its heel or its ball."""
    suffix = SIDES[side]
    rest, home = body.rig.head(f"foot.{suffix}"), _home(body, side)
    if foot.pitch_rad < 0:
        pivot = body.rig.head(f"toe1-1.{suffix}") - rest
    else:
        own = body.vertices[body.parts == PARTS.index(f"{side}_foot")]
        pivot = np.array([0.0, own[:, 1].max() - rest[1], own[:, 2].min() - rest[2]])
    pivot = pivot * (0, 1, 1)
    ankle = home + pivot - _pitched(foot.pitch_rad) @ pivot
    ankle += (-_outward(side) * foot.narrow_m, 0, foot.lift_m)
    return about(_UP, foot.yaw_rad) @ ankle + np.append(foot.shift, 0)


def _pitched(angle_rad: float) -> FloatArray:
    """Rotation (3, 3) that lifts the toes."""
    return about(np.array([-1.0, 0.0, 0.0]), angle_rad)
