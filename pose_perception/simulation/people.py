"""Human bodies of different shape and clothing, from the parametric model `anny` (Apache-2.0, MakeHuman assets CC0)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pose_perception.simulation.body_model import load_model
from pose_perception.simulation.clothing import Appearance, draw_appearances, dress
from pose_perception.simulation.kinematics import FloatArray, Limb, Rig

SIDES = {"left": "L", "right": "R"}

# Which bones carry which part of the body; the first match wins.
_PARTS = (
    ("head", r"head|eye|neck03"),
    ("torso", r"root|spine|pelvis|clavicle|shoulder|neck"),
    ("upper_arm", r"upperarm"),
    ("forearm", r"lowerarm"),
    ("hand", r"wrist|finger|metacarpal"),
    ("thigh", r"upperleg"),
    ("shin", r"lowerleg"),
    ("foot", r"foot|toe"),
)
_PAIRED = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("head", "torso", *(f"{side}_{part}" for part in _PAIRED for side in SIDES))

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
# anny's phenotypes, each 0 to 1, kept to adults of ordinary build ("age" 0.67 is young, 1 old).
_SHAPES = {
    "gender": (0.0, 1.0),
    "age": (0.6, 0.85),
    "muscle": (0.4, 0.65),
    "weight": (0.35, 0.6),
    "height": (0.35, 0.6),
    "proportions": (0.45, 0.8),
}
# Half the thickness of a wrist and the air between it and the trunk.
_WRIST_M = 0.055


@dataclass(frozen=True)
class Body:
    """One dressed body at rest: x to its left, y backwards, z up, origin at the pelvis, metres.

    Attributes:
        rig: Bones.
        weights: Influence of the bones on each of V vertices with shape (V, B), float32.
        vertices: Rest positions with shape (V, 3), float32.
        faces: Vertices of each triangle with shape (F, 3), int32.
        colors: Albedo of each vertex with shape (V, 3), 0 to 1.
        reflectance: How well a depth camera sees each vertex with shape (V,), 0 to 1.
        parts: Index into `PARTS` of each vertex with shape (V,), uint8.
        keypoint_names: Names of K keypoints.
        keypoint_bones: For each keypoint the bone whose head it is, or -1 for one on the skin, shape (K,).
        regressor: For the keypoints on the skin the weights of the vertices; sparse with shape (K, V).
        parts_around: For each keypoint the parts whose surface may cover it when it is seen, shape (K, len(PARTS)).
        limbs: Arms and legs: `left_arm`, `right_arm`, `left_leg`, `right_leg`.
        trunk_center, trunk_radii: Elliptic cylinder that no wrist may enter, shape (3,), metres; the heights mean
            nothing.
    """

    rig: Rig
    weights: npt.NDArray[np.float32]
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colors: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]
    parts: npt.NDArray[np.uint8]
    keypoint_names: tuple[str, ...]
    keypoint_bones: npt.NDArray[np.int64]
    regressor: Any
    parts_around: npt.NDArray[np.bool_]
    limbs: dict[str, Limb]
    trunk_center: FloatArray
    trunk_radii: FloatArray

    def keypoints(self, vertices: FloatArray, heads: FloatArray) -> FloatArray:
        """Positions (K, 3) of the keypoints for posed vertices (V, 3) and posed rotation centres (B, 3)."""
        points = self.regressor @ vertices
        joints = self.keypoint_bones >= 0
        points[joints] = heads[self.keypoint_bones[joints]]
        return points


def create_bodies(count: int, rng: np.random.Generator, model_cache: Path) -> list[Body]:
    """Draw people of different shape and clothes.

    Args:
        count: How many.
        rng: Source of the choice.
        model_cache: Directory where anny keeps what it computed from its assets (0.8 GB).
    """
    model, keypoints = load_model(model_cache)
    return [_create_body(model, keypoints, look, rng) for look in draw_appearances(count, rng)]


def _create_body(model: Any, keypoints: Any, look: Appearance, rng: np.random.Generator) -> Body:
    shape = {name: float(rng.uniform(*bounds)) for name, bounds in _SHAPES.items()}
    rest = model(phenotype_kwargs=shape)
    names = tuple(model.bone_labels)
    pelvis = rest["rest_bone_heads"][0, 0].numpy()
    skin_vertices = rest["rest_vertices"][0].numpy() - pelvis
    heads = rest["rest_bone_heads"][0].numpy() - pelvis
    # The rig's own knee sits up to 4 cm too high in short people; the regressed one keeps to the shape of the leg and
    # to 0.285 of the stature (Winter, Biomechanics and Motor Control of Human Movement, figure 4.1).
    for side, suffix in SIDES.items():
        heads[names.index(f"lowerleg01.{suffix}")] = _regress(keypoints, f"{side}_knee") @ skin_vertices
    rig = Rig(names, np.array(model.bone_parents), heads)
    weights = model.dense_vertex_bone_weights.numpy().astype(np.float32)
    faces = model.faces.numpy().astype(np.int32)
    parts = _parts(names, weights)
    regressor = _regressor(keypoints)
    nose, *eyes = (regressor @ skin_vertices)[[KEYPOINTS.index(n) for n in ("nose", "left_eye", "right_eye")]]
    part_names = np.array([re.sub("left_|right_", "", part) for part in PARTS])[parts]
    eyeballs = np.array([name.startswith("eye") for name in names])[weights.argmax(axis=1)]
    clothes = dress(skin_vertices, faces, part_names, nose, np.array(eyes), eyeballs, look)
    trunk_center, trunk_radii = _trunk(clothes.vertices, part_names)
    return Body(
        rig=rig,
        weights=weights,
        vertices=clothes.vertices.astype(np.float32),
        faces=faces,
        colors=clothes.colors,
        reflectance=clothes.reflectance,
        parts=parts,
        keypoint_names=KEYPOINTS,
        keypoint_bones=np.array([names.index(_bone(k)) if _bone(k) else -1 for k in KEYPOINTS]),
        regressor=regressor,
        parts_around=np.array([[_covers(part, keypoint) for part in PARTS] for keypoint in KEYPOINTS]),
        limbs=_limbs(rig),
        trunk_center=trunk_center,
        trunk_radii=trunk_radii,
    )


def _paired(names: tuple[str, ...]) -> list[str]:
    return [f"{side}_{name}" for name in names for side in SIDES]


KEYPOINTS = ("nose", *_paired((*_SURFACE_LABELS, *_JOINT_BONES)))


def _bone(keypoint: str) -> str | None:
    side, _, joint = keypoint.partition("_")
    return f"{_JOINT_BONES[joint]}.{SIDES[side]}" if joint in _JOINT_BONES else None


def _covers(part: str, keypoint: str) -> bool:
    side, _, name = keypoint.partition("_")
    around = _PARTS_AROUND[name or side]
    return part in around or part in {f"{side}_{piece}" for piece in around}


def _parts(names: tuple[str, ...], weights: FloatArray) -> npt.NDArray[np.uint8]:
    of_bone = []
    for name in names:
        part = next(part for part, pattern in _PARTS if re.match(pattern, name))
        side = {"L": "left_", "R": "right_"}.get(name[-1]) if part in _PAIRED else ""
        of_bone.append(PARTS.index(f"{side}{part}"))
    return np.array(of_bone, dtype=np.uint8)[weights.argmax(axis=1)]


def _regress(keypoints: Any, label: str) -> FloatArray:
    """Weights (V,) of the vertices that give one of anny's own keypoints."""
    return keypoints.regression_weights[keypoints.labels.index(label)].numpy()


def _regressor(keypoints: Any) -> Any:
    labels = {f"{s}_{name}": f"{s}_{label}" for name, label in _SURFACE_LABELS.items() for s in SIDES} | {
        "nose": "nose"
    }
    empty = np.zeros_like(_regress(keypoints, "nose"))
    return sparse.csr_matrix(np.stack([_regress(keypoints, labels[k]) if k in labels else empty for k in KEYPOINTS]))


def _limbs(rig: Rig) -> dict[str, Limb]:
    chains = {"arm": ("upperarm01", "lowerarm01", "wrist"), "leg": ("upperleg01", "lowerleg01", "foot")}
    return {
        f"{side}_{limb}": Limb.from_points(*(rig.head(f"{bone}.{suffix}") for bone in bones))
        for limb, bones in chains.items()
        for side, suffix in SIDES.items()
    }


def _trunk(vertices: FloatArray, part_names: npt.NDArray[np.str_]) -> tuple[FloatArray, FloatArray]:
    """Centre and radii (3,) of the cylinder around belly and hips, with the thickness of a wrist on top."""
    height = vertices[:, 2]
    hips = np.isin(part_names, ["torso", "thigh"]) & (height > -0.12) & (height < 0.2)
    low, high = vertices[hips].min(axis=0), vertices[hips].max(axis=0)
    return (low + high) / 2 * (1, 1, 0), (high - low) / 2 * (1, 1, 0) + (_WRIST_M, _WRIST_M, 1)
