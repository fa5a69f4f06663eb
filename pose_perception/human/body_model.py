"""What is known of human bodies before one is seen: bone lengths, and how deep joints lie under the surface."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.topology import Topology

# Lengths in metres between joint centres of an adult of 1.72 m: segment lengths of Winter, Biomechanics and Motor
# Control of Human Movement, 4th ed., table 4.1 and figure 4.1 (fractions of the body height: upper arm 0.186,
# forearm 0.146, thigh 0.245, shank 0.246, shoulder joints 0.21 and hip joints 0.11 apart, trunk 0.29 with the hips
# that annotators mark a little higher); hand, foot and face from ISO 7250-1 percentiles (P50).
_ADULT_LENGTHS_M = {
    ("shoulder", "elbow"): 0.300,
    ("elbow", "wrist"): 0.255,
    ("hip", "knee"): 0.420,
    ("knee", "ankle"): 0.420,
    ("left_shoulder", "right_shoulder"): 0.350,
    ("left_hip", "right_hip"): 0.200,
    ("shoulder", "hip"): 0.500,
    ("nose", "eye"): 0.050,
    ("eye", "ear"): 0.110,
    ("ear", "shoulder"): 0.230,
    ("wrist", "index"): 0.085,
    ("wrist", "pinky"): 0.080,
    ("wrist", "thumb"): 0.070,
    ("ankle", "heel"): 0.070,
    ("heel", "foot_index"): 0.190,
    ("ankle", "foot_index"): 0.150,
    ("nose", "mouth"): 0.060,
    ("eye", "eye_inner"): 0.016,
    ("eye", "eye_outer"): 0.016,
}
# Standard deviation of these lengths in the population (children included), as a fraction of the length.
POPULATION_SPREAD = 0.15
# What remains once a person's own bone was measured often: clothes and the estimator's own wobble. What is no single
# bone moves: shoulders are raised and drawn forward, the trunk bends, the head turns.
LEARNED_SPREAD = 0.10
_LEARNED_SPREADS = {
    ("left_shoulder", "right_shoulder"): 0.15,
    ("shoulder", "hip"): 0.12,
    ("ear", "shoulder"): 0.30,
    ("left_hip", "right_hip"): 0.12,
}

# How far a joint centre lies behind the seen surface, along the viewing ray, metres: half the thickness of the limb.
_SURFACE_TO_JOINT_M = {
    "ear": 0.030,
    "shoulder": 0.055,
    "elbow": 0.040,
    "wrist": 0.025,
    "hip": 0.095,
    "knee": 0.050,
    "ankle": 0.040,
    "index": 0.010,
    "pinky": 0.010,
    "thumb": 0.010,
    "heel": 0.080,
    "foot_index": 0.020,
}


@dataclass(frozen=True)
class Bone:
    """A rigid distance between two keypoints.

    Attributes:
        start, end: Keypoint indices.
        length: Prior length in metres.
        kind: Index that a bone shares with its mirror image: both sides of a body have the same length.
        learned_spread: Standard deviation of the length of one person, as a part of it.
    """

    start: int
    end: int
    length: float
    kind: int
    learned_spread: float


def bones_of(topology: Topology) -> tuple[Bone, ...]:
    """Return the bones of all keypoint pairs whose length is known."""
    bones = []
    for kind, ((first, second), length) in enumerate(_ADULT_LENGTHS_M.items()):
        spread = _LEARNED_SPREADS.get((first, second), LEARNED_SPREAD)
        pairs = (
            [(first, second)]
            if first.startswith("left_")
            else [(_sided(first, side), _sided(second, side)) for side in ("left", "right")]
        )
        bones += [
            Bone(topology.index[a], topology.index[b], length, kind, spread)
            for a, b in pairs
            if a in topology.index and b in topology.index
        ]
    return tuple(bones)


def surface_offsets(topology: Topology) -> npt.NDArray[np.float64]:
    """Return how far each joint centre lies behind the seen surface with shape (K,), metres."""
    return np.array([_SURFACE_TO_JOINT_M.get(name.split("_", 1)[-1], 0.0) for name in topology.keypoints])


def _sided(name: str, side: str) -> str:
    if name == "nose":
        return name
    return f"{name}_{side}" if name == "mouth" else f"{side}_{name}"


class BoneLengths:
    """Bone lengths of one person: the population's at first, then the median of what was measured.

    Left and right share their samples: a body is symmetric.
    """

    def __init__(self, bones: tuple[Bone, ...], memory: int = 60) -> None:
        """Start with the population's lengths.

        Args:
            bones: The bones of the topology.
            memory: How many of the latest samples of a bone count.
        """
        self._kinds = np.array([bone.kind for bone in bones])
        self._prior = np.array([bone.length for bone in bones])
        self._samples: dict[int, deque[float]] = {kind: deque(maxlen=memory) for kind in self._kinds.tolist()}
        self._learned_spread = np.array([bone.learned_spread for bone in bones])
        self._spread = np.maximum(POPULATION_SPREAD, self._learned_spread)
        self.lengths = self._prior.copy()

    @property
    def sigmas(self) -> FloatArray:
        """Standard deviation of each length with shape (B,), metres."""
        return self._spread * self.lengths

    def learn(self, lengths: FloatArray, reliable: npt.NDArray[np.bool_]) -> None:
        """Take in the lengths of one frame.

        Args:
            lengths: Measured lengths with shape (B,), metres.
            reliable: Which of them may be trusted, shape (B,).
        """
        for b in np.flatnonzero(reliable):
            self._samples[int(self._kinds[b])].append(float(lengths[b]))
        for b, kind in enumerate(self._kinds.tolist()):
            samples = self._samples[kind]
            if not samples:
                continue
            # The prior counts as much as a few frames: one bad frame does not make a new body.
            trust = len(samples) / (len(samples) + 5.0)
            self.lengths[b] = (1 - trust) * self._prior[b] + trust * float(np.median(samples))
            own = self._learned_spread[b]
            self._spread[b] = (1 - trust) * max(POPULATION_SPREAD, own) + trust * own
