"""The points of a body whose places are known exactly: skeleton, hands and the root of the nose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pose_perception.simulation.kinematics import FloatArray, Rig, unit

SIDES = {"left": "L", "right": "R"}
PAIRED_PARTS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("head", "torso", *(f"{side}_{part}" for part in PAIRED_PARTS for side in SIDES))

# Keypoints that are rotation centres: the head of this bone. "index" and "pinky" are the first knuckles and "thumb" the
# second one, as BlazePose defines them (Bazarevsky et al. 2020, figure 3).
_JOINT_BONES = {
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
    "index": "finger2-1",
    "pinky": "finger5-1",
    "thumb": "finger1-2",
}
# Keypoints on the skin: the label of anny's own regressor.
_SURFACE_LABELS = {"eye": "eye", "ear": "ear", "heel": "heel", "foot_index": "big_toe"}
KEYPOINTS = ("nose", *(f"{side}_{name}" for name in (*_SURFACE_LABELS, *_JOINT_BONES) for side in SIDES))
# The parts of the body whose surface lies right in front of a keypoint that is seen.
_PARTS_AROUND = {
    **dict.fromkeys(("nose", "eye", "ear"), ("head",)),
    **dict.fromkeys(("index", "pinky", "thumb"), ("hand",)),
    **dict.fromkeys(("ankle", "heel", "foot_index"), ("shin", "foot")),
    "shoulder": ("torso", "upper_arm"),
    "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm", "hand"),
    "hip": ("torso", "thigh"),
    "knee": ("thigh", "shin"),
}
# How far in front of a point the surface may lie when it is that of the point; what lies farther in front hides it,
# even if it is the same part of the body (metres).
_ON_SKIN_M, _IN_BODY_M = (-0.025, 0.025), (0.0, 0.2)
# A knuckle of a finger lies 1 cm below the skin, that of the thumb deep in its ball, and other fingers may pass in
# front; a pixel is some mm wide.
_FINGERTIP_M, _IN_FINGER_M = (-0.015, 0.015), (-0.005, 0.025)
_IN_THUMB_M, _IN_WRIST_M = (-0.005, 0.045), (0.0, 0.06)

# The order of `human.topology.HAND_21`.
HAND_LANDMARKS = (
    *("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *(f"{f}_{joint}" for f in ("index", "middle", "ring", "pinky") for joint in ("mcp", "pip", "dip", "tip")),
)
# Heights above the eyes between which the root of the nose lies, in shares of the distance of the pupils.
_SELLION_HEIGHT = (-0.25, 0.2)


@dataclass(frozen=True)
class Landmarks:
    """Points whose places follow from a pose.

    Attributes:
        names: Of the N points.
        bones: For each point the bone whose rotation centre it is, or -1 for one on the skin, shape (N,).
        regressor: For the points on the skin the weights of the vertices; sparse with shape (N, V).
        parts_around: The parts whose surface may cover a point when it is seen, shape (N, len(PARTS)).
        in_front_m: Bounds of how far in front of a point that surface lies when it is seen, shape (N, 2), metres.
    """

    names: tuple[str, ...]
    bones: npt.NDArray[np.int64]
    regressor: Any
    parts_around: npt.NDArray[np.bool_]
    in_front_m: FloatArray

    def positions(self, vertices: FloatArray, heads: FloatArray) -> FloatArray:
        """Positions (N, 3) for posed vertices (V, 3) and posed rotation centres (B, 3)."""
        points = self.regressor @ vertices
        joints = self.bones >= 0
        points[joints] = heads[self.bones[joints]]
        return points


def skeleton_landmarks(rig: Rig, anny_keypoints: Any) -> Landmarks:
    """Return the points `KEYPOINTS`.

    Args:
        rig: Names of the bones.
        anny_keypoints: anny's own regressor of COCO's keypoints.
    """
    labels = {f"{s}_{name}": f"{s}_{label}" for name, label in _SURFACE_LABELS.items() for s in SIDES} | {
        "nose": "nose"
    }
    empty = np.zeros_like(regress(anny_keypoints, "nose"))
    rows = [regress(anny_keypoints, labels[name]) if name in labels else empty for name in KEYPOINTS]
    bones = [rig.names.index(bone) if (bone := _bone(name)) else -1 for name in KEYPOINTS]
    return Landmarks(
        names=KEYPOINTS,
        bones=np.array(bones),
        regressor=sparse.csr_matrix(np.stack(rows)),
        parts_around=np.array([[_covers(part, name) for part in PARTS] for name in KEYPOINTS]),
        in_front_m=np.array([_ON_SKIN_M if bone < 0 else _IN_BODY_M for bone in bones]),
    )


def hand_landmarks(rig: Rig, vertices: FloatArray, weights: FloatArray) -> Landmarks:
    """Return the points `HAND_LANDMARKS` of the left hand and then those of the right hand.

    The rotation centres of the fingers, and the vertex at the very end of each finger.

    Args:
        rig: Bones.
        vertices: Skin at rest with shape (V, 3).
        weights: Influence of the bones on the vertices with shape (V, B).
    """
    bones, tips, parts = [], [], []
    for side, suffix in SIDES.items():
        own = [rig.names.index(f"wrist.{suffix}")]
        ends = [-1]
        for finger in (1, 2, 3, 4, 5):
            chain = [rig.names.index(f"finger{finger}-{joint}.{suffix}") for joint in (1, 2, 3)]
            own += [*chain, -1]
            ends += [-1, -1, -1, _fingertip(rig, chain, vertices, weights)]
        bones += own
        tips += ends
        hand, wrist = ([part in names for part in PARTS] for names in ((f"{side}_hand",), _around_wrist(side)))
        parts += [wrist] + [hand] * (len(own) - 1)
    bounds = np.where(np.array(bones)[:, None] < 0, _FINGERTIP_M, _IN_FINGER_M)
    for name, own in (("wrist", _IN_WRIST_M), ("thumb_cmc", _IN_THUMB_M)):
        bounds[HAND_LANDMARKS.index(name) :: len(HAND_LANDMARKS)] = own
    return Landmarks(
        names=tuple(f"{side}_hand_{name}" for side in SIDES for name in HAND_LANDMARKS),
        bones=np.array(bones),
        regressor=_picking(tips, len(vertices)),
        parts_around=np.array(parts),
        in_front_m=bounds,
    )


def sellion_landmark(vertices: FloatArray, on_head: npt.NDArray[np.bool_], eyes: FloatArray) -> Landmarks:
    """Return the root of the nose: the point of the midline between the eyes that lies farthest back.

    Args:
        vertices: Skin at rest with shape (V, 3): x to the left, y backwards, z up, metres.
        on_head: Which vertices belong to the head, shape (V,).
        eyes: Both eyes with shape (2, 3).
    """
    center, distance = eyes.mean(axis=0), float(np.ptp(eyes[:, 0]))
    height = (vertices[:, 2] - center[2]) / distance
    between_eyes = on_head & (np.abs(vertices[:, 0]) < 0.02 * distance) & (vertices[:, 1] < center[1])
    midline = np.flatnonzero(between_eyes & (height > _SELLION_HEIGHT[0]) & (height < _SELLION_HEIGHT[1]))
    vertex = int(midline[vertices[midline, 1].argmax()])
    return Landmarks(
        names=("sellion",),
        bones=np.array([-1]),
        regressor=_picking([vertex], len(vertices)),
        parts_around=np.array([[part == "head" for part in PARTS]]),
        in_front_m=np.array([_ON_SKIN_M]),
    )


def regress(anny_keypoints: Any, label: str) -> FloatArray:
    """Weights (V,) of the vertices that give one of anny's own keypoints."""
    return anny_keypoints.regression_weights[anny_keypoints.labels.index(label)].numpy()


def _bone(keypoint: str) -> str | None:
    side, _, joint = keypoint.partition("_")
    return f"{_JOINT_BONES[joint]}.{SIDES[side]}" if joint in _JOINT_BONES else None


def _covers(part: str, keypoint: str) -> bool:
    side, _, name = keypoint.partition("_")
    around = _PARTS_AROUND[name or side]
    return part in around or part in {f"{side}_{piece}" for piece in around}


def _around_wrist(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in _PARTS_AROUND["wrist"])


def _fingertip(rig: Rig, chain: list[int], vertices: FloatArray, weights: FloatArray) -> int:
    """Vertex of the last phalanx that lies farthest along it."""
    along = unit(rig.heads[chain[2]] - rig.heads[chain[1]])
    phalanx = np.flatnonzero(weights[:, chain[2]] > 0.5)
    return int(phalanx[((vertices[phalanx] - rig.heads[chain[2]]) @ along).argmax()])


def _picking(vertices: list[int], count: int) -> Any:
    """Sparse matrix (N, V) whose rows pick one vertex, or none where it is -1."""
    rows = [row for row, vertex in enumerate(vertices) if vertex >= 0]
    columns = [vertex for vertex in vertices if vertex >= 0]
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(vertices), count))
