"""Human bodies of different shape and clothing, from the parametric model `anny` (Apache-2.0, MakeHuman assets CC0)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pose_perception.simulation.body_model import load_model
from pose_perception.simulation.clothing import Appearance, draw_appearances, dress
from pose_perception.simulation.kinematics import FloatArray, Limb, Rig
from pose_perception.simulation.landmarks import (
    KEYPOINTS,
    PAIRED_PARTS,
    PARTS,
    SIDES,
    Landmarks,
    hand_landmarks,
    regress,
    sellion_landmark,
    skeleton_landmarks,
)

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
# anny's phenotypes, each 0 to 1, kept to adults of ordinary build ("age" 0.67 is young, 1 old).
_SHAPES = {
    "gender": (0.0, 1.0),
    "age": (0.6, 0.85),
    "muscle": (0.4, 0.65),
    "weight": (0.35, 0.6),
    "height": (0.35, 0.6),
    "proportions": (0.45, 0.8),
}
# Length from the wrist to the first joint of a finger over that to the second one, by anatomy: carpus 28 mm (thumb:
# 36 mm to its saddle joint); metacarpals and first phalanges are means of Buryanov and Kotiuk, Proportions of Hand
# Segments, International Journal of Morphology 28(3), 2010. The rig's first joints lie 10 to 15 mm farther out: the
# skin between fingers begins 6 mm beyond them, and 20 mm, half a phalanx, in anatomy.
_CARPUS_SHARE = {
    "finger1": 36 / (36 + 46),
    "finger2": 96 / (96 + 40),
    "finger3": 93 / (93 + 45),
    "finger4": 86 / (86 + 41),
    "finger5": 82 / (82 + 33),
}
WRIST_M = 0.055
"""Half the thickness of a wrist and the air between it and the trunk."""


@dataclass(frozen=True)
class Body:
    """One dressed body at rest: x to its left, y backwards, z up, origin at the pelvis, metres.

    Attributes:
        rig: Bones.
        weights: Influence of the bones on each of V vertices; sparse with shape (V, B), float32.
        vertices: Rest positions with shape (V, 3), float32.
        faces: Vertices of each triangle with shape (F, 3), int32.
        colors: Albedo of each vertex with shape (V, 3), 0 to 1.
        reflectance: How well a depth camera sees each vertex with shape (V,), 0 to 1.
        parts: Index into `PARTS` of each vertex with shape (V,), uint8.
        skeleton: The K keypoints `KEYPOINTS`.
        hands: 21 points of the left hand, then those of the right one.
        sellion: The root of the nose.
        limbs: Arms and legs: `left_arm`, `right_arm`, `left_leg`, `right_leg`.
        trunk_center, trunk_radii: Elliptic cylinder that no wrist may enter, shape (3,), metres; the heights mean
            nothing.
    """

    rig: Rig
    weights: Any
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colors: npt.NDArray[np.float32]
    reflectance: npt.NDArray[np.float32]
    parts: npt.NDArray[np.uint8]
    skeleton: Landmarks
    hands: Landmarks
    sellion: Landmarks
    limbs: dict[str, Limb]
    trunk_center: FloatArray
    trunk_radii: FloatArray

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """Names of the K keypoints."""
        return self.skeleton.names

    def keypoints(self, vertices: FloatArray, heads: FloatArray) -> FloatArray:
        """Positions (K, 3) of the keypoints for posed vertices (V, 3) and posed rotation centres (B, 3)."""
        return self.skeleton.positions(vertices, heads)


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
        heads[names.index(f"lowerleg01.{suffix}")] = regress(keypoints, f"{side}_knee") @ skin_vertices
    for (finger, share), suffix in product(_CARPUS_SHARE.items(), SIDES.values()):
        bones = (f"wrist.{suffix}", f"{finger}-1.{suffix}", f"{finger}-2.{suffix}")
        wrist, first, second = (heads[names.index(bone)] for bone in bones)
        to_first, beyond = np.linalg.norm(first - wrist), np.linalg.norm(second - first)
        heads[names.index(bones[1])] += (share * (to_first + beyond) / to_first - 1) * (first - wrist)
    rig = Rig(names, np.array(model.bone_parents), heads)
    weights = model.dense_vertex_bone_weights.numpy().astype(np.float32)
    faces = model.faces.numpy().astype(np.int32)
    parts = _parts(names, weights)
    skeleton = skeleton_landmarks(rig, keypoints)
    nose, *eyes = (skeleton.regressor @ skin_vertices)[[KEYPOINTS.index(n) for n in ("nose", "left_eye", "right_eye")]]
    part_names = np.array([re.sub("left_|right_", "", part) for part in PARTS])[parts]
    eyeballs = np.array([name.startswith("eye") for name in names])[weights.argmax(axis=1)]
    clothes = dress(skin_vertices, faces, part_names, nose, np.array(eyes), eyeballs, look)
    trunk_center, trunk_radii = _trunk(clothes.vertices, part_names)
    return Body(
        rig=rig,
        weights=sparse.csr_matrix(weights),
        vertices=clothes.vertices.astype(np.float32),
        faces=faces,
        colors=clothes.colors,
        reflectance=clothes.reflectance,
        parts=parts,
        skeleton=skeleton,
        hands=hand_landmarks(rig, skin_vertices, weights),
        sellion=sellion_landmark(skin_vertices, part_names == "head", np.array(eyes)),
        limbs=_limbs(rig),
        trunk_center=trunk_center,
        trunk_radii=trunk_radii,
    )


def _parts(names: tuple[str, ...], weights: FloatArray) -> npt.NDArray[np.uint8]:
    of_bone = []
    for name in names:
        part = next(part for part, pattern in _PARTS if re.match(pattern, name))
        side = {"L": "left_", "R": "right_"}.get(name[-1]) if part in PAIRED_PARTS else ""
        of_bone.append(PARTS.index(f"{side}{part}"))
    return np.array(of_bone, dtype=np.uint8)[weights.argmax(axis=1)]


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
    return (low + high) / 2 * (1, 1, 0), (high - low) / 2 * (1, 1, 0) + (WRIST_M, WRIST_M, 1)
