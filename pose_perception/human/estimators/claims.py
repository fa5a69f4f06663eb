"""Joints that a network for single people took from the person beside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import COCO_17

# Ends of limbs with the joint before, and the longest way between the two in lengths of the trunk: about 1.5 to 1.8
# times what it is on an adult (Winter, Biomechanics and Motor Control of Human Movement, figure 4.1), as a trunk may be
# shortened.
_LIMBS = {
    "elbow": ("shoulder", 1.0),
    "wrist": ("elbow", 0.9),
    "knee": ("hip", 1.3),
    "ankle": ("knee", 1.3),
}
# Two people claim the same joint when their claims are closer than this, in lengths of the shorter trunk.
_SAME_JOINT = 0.25
_SIDES = ("left", "right")
_ENDS = np.array([COCO_17.index[f"{side}_{end}"] for end in _LIMBS for side in _SIDES])
_STARTS = np.array([COCO_17.index[f"{side}_{start}"] for start, _ in _LIMBS.values() for side in _SIDES])
_LONGEST = np.array([longest for _, longest in _LIMBS.values() for _ in _SIDES])
_KINDS = np.array([kind for kind in range(len(_LIMBS)) for _ in _SIDES])
_SHOULDERS, _HIPS = ([COCO_17.index[f"{side}_{name}"] for side in _SIDES] for name in ("shoulder", "hip"))


def foreign_joints(pixels: FloatArray, scores: FloatArray, min_score: float) -> npt.NDArray[np.bool_]:
    """Return which joints belong to somebody else, shape (N, 17).

    They are where another person has a joint of the same kind, too far from the rest of the limb, and the limb of that
    other person is the shorter one. What hangs on such a joint goes with it.

    Args:
        pixels: COCO's 17 keypoints of N people with shape (N, 17, 2), px.
        scores: Their confidences with shape (N, 17).
        min_score: Keypoints below it claim nothing.
    """
    people = len(pixels)
    trunk = np.linalg.norm(pixels[:, _SHOULDERS].mean(axis=1) - pixels[:, _HIPS].mean(axis=1), axis=1)
    width = np.linalg.norm(pixels[:, _SHOULDERS[0]] - pixels[:, _SHOULDERS[1]], axis=1)
    trunk = np.maximum(np.maximum(trunk, width), 1.0)
    ends = pixels[:, _ENDS]  # (N, 8, 2)
    length = np.linalg.norm(ends - pixels[:, _STARTS], axis=2) / trunk[:, None]
    apart = np.linalg.norm(ends[:, :, None, None] - ends[None, None], axis=4)  # (N, 8, N, 8)
    same = apart < _SAME_JOINT * np.minimum(trunk[:, None], trunk)[:, None, :, None]
    same &= (_KINDS[:, None] == _KINDS)[None, :, None]
    same &= ~np.eye(people, dtype=bool)[:, None, :, None]
    same &= (scores[:, _ENDS] >= min_score)[None, None]
    is_longer = length[:, :, None, None] > length[None, None]
    taken = (length > _LONGEST) & (same & is_longer).any(axis=(2, 3))
    foreign = np.zeros(scores.shape, bool)
    for limb, (start, end) in enumerate(zip(_STARTS, _ENDS, strict=True)):  # from the trunk outwards
        foreign[:, end] |= taken[:, limb] | foreign[:, start]
    return foreign
