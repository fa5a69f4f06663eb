"""Keypoint sets: names, order, limbs and mirror pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pose_perception.errors import ConfigurationError


@dataclass(frozen=True)
class Topology:
    """A named, ordered set of keypoints.

    Attributes:
        name: Name as published.
        keypoints: Keypoint names in order.
        limbs: Pairs of names that a picture connects.

    Raises:
        ConfigurationError: a name occurs twice or a limb names an unknown keypoint.
    """

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if len(set(self.keypoints)) != len(self.keypoints):
            raise ConfigurationError(f"topology {self.name} names a keypoint twice")
        unknown = {end for limb in self.limbs for end in limb} - set(self.keypoints)
        if unknown:
            raise ConfigurationError(f"topology {self.name} has limbs with unknown ends {sorted(unknown)}")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each name."""
        return {name: i for i, name in enumerate(self.keypoints)}

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """For each keypoint the position of the one that takes its place in a mirror."""
        swap = {"left": "right", "right": "left"}
        words = [name.split("_") for name in self.keypoints]
        return tuple(self.index["_".join(swap.get(word, word) for word in name)] for name in words)


# The order of COCO's annotations: cocodataset `person_keypoints`, category "keypoints".
_COCO_KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
_COCO_LIMBS = (
    *(("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear")),
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
    *(("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow")),
    *(("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
    *(("left_hip", "left_knee"), ("right_hip", "right_knee")),
    *(("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
)
# The points that BlazePose adds to COCO's 17 (MediaPipe, mediapipe/python/solutions/pose.py, PoseLandmark).
_BLAZEPOSE_EXTRA_KEYPOINTS = (
    *("left_eye_inner", "left_eye_outer", "right_eye_inner", "right_eye_outer", "mouth_left", "mouth_right"),
    *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)
_BLAZEPOSE_EXTRA_LIMBS = (
    *(("left_wrist", "left_index"), ("left_wrist", "left_pinky"), ("left_wrist", "left_thumb")),
    *(("right_wrist", "right_index"), ("right_wrist", "right_pinky"), ("right_wrist", "right_thumb")),
    *(("left_ankle", "left_heel"), ("left_heel", "left_foot_index")),
    *(("right_ankle", "right_heel"), ("right_heel", "right_foot_index")),
)

COCO_17 = Topology("coco_17", _COCO_KEYPOINTS, _COCO_LIMBS)
# COCO's 17 come first, so that index 0 to 16 means the same in both sets.
BODY_33 = Topology("body_33", _COCO_KEYPOINTS + _BLAZEPOSE_EXTRA_KEYPOINTS, _COCO_LIMBS + _BLAZEPOSE_EXTRA_LIMBS)
# The landmarks of MediaPipe's hand network (mediapipe/python/solutions/hands.py, HandLandmark).
_FINGERS = ("index", "middle", "ring", "pinky")
HAND_21 = Topology(
    "hand_21",
    (
        *("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
        *(f"{finger}_{joint}" for finger in _FINGERS for joint in ("mcp", "pip", "dip", "tip")),
    ),
    (
        *(("wrist", "thumb_cmc"), ("thumb_cmc", "thumb_mcp"), ("thumb_mcp", "thumb_ip"), ("thumb_ip", "thumb_tip")),
        *(("wrist", "index_mcp"), ("wrist", "pinky_mcp")),
        *(("index_mcp", "middle_mcp"), ("middle_mcp", "ring_mcp"), ("ring_mcp", "pinky_mcp")),
        *((f"{f}_{a}", f"{f}_{b}") for f in _FINGERS for a, b in (("mcp", "pip"), ("pip", "dip"), ("dip", "tip"))),
    ),
)
