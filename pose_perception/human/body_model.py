"""What is known of human bodies before one is seen: how long their bones are."""

from __future__ import annotations

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
    ("ankle", "heel"): 0.080,
    ("heel", "foot_index"): 0.230,
    ("ankle", "foot_index"): 0.190,
    ("nose", "mouth"): 0.060,
    ("eye", "eye_inner"): 0.016,
    ("eye", "eye_outer"): 0.016,
}
# Standard deviation of these lengths in the population (children included), as a fraction of the length.
POPULATION_SPREAD = 0.15
# What remains once a person's own bone was measured often: clothes and the estimator's own wobble. What is no single
# bone moves: shoulders are raised and drawn forward, the trunk bends, the head turns; points of hands and feet are
# close together and lie on the skin.
_LIMB_SPREAD, _OTHER_SPREAD = 0.06, 0.12
# Keypoints wobble by this much whatever they are ends of, metres: short bones between points of the face know little.
_WOBBLE_M = 0.008
_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_LEARNED_SPREADS = dict.fromkeys(_LIMBS, _LIMB_SPREAD) | {
    ("left_shoulder", "right_shoulder"): 0.15,
    ("ear", "shoulder"): 0.30,
    ("heel", "foot_index"): 0.20,
    ("ankle", "foot_index"): 0.20,
    ("ankle", "heel"): 0.20,
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
        spread = _LEARNED_SPREADS.get((first, second), _OTHER_SPREAD)
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


def _sided(name: str, side: str) -> str:
    if name == "nose":
        return name
    return f"{name}_{side}" if name == "mouth" else f"{side}_{name}"


class BoneLengths:
    """Bone lengths of one person: the population's at first, then the median of what was measured.

    Left and right share their samples: a body is symmetric.
    """

    def __init__(self, bones: tuple[Bone, ...], memory: int = 150) -> None:
        """Start with the population's lengths.

        Args:
            bones: The bones of the topology.
            memory: How many of the latest samples of a bone count.
        """
        self._kinds = np.array([bone.kind for bone in bones])
        self._prior = np.array([bone.length for bone in bones])
        kinds = int(self._kinds.max()) + 1
        self._samples = np.full((kinds, memory), np.nan)
        self._counts = np.zeros(kinds, np.int64)
        self._learned_spread = np.array([bone.learned_spread for bone in bones])
        self._first_spread = np.maximum(POPULATION_SPREAD, self._learned_spread)
        self._spread = self._first_spread
        self.lengths = self._prior

    @property
    def sigmas(self) -> FloatArray:
        """Standard deviation of each length with shape (B,), metres."""
        return np.hypot(self._spread * self.lengths, _WOBBLE_M)

    def learn(self, lengths: FloatArray, reliable: npt.NDArray[np.bool_]) -> None:
        """Take in the lengths of one frame.

        Args:
            lengths: Measured lengths with shape (B,), metres.
            reliable: Which of them may be trusted, shape (B,).
        """
        for b in np.flatnonzero(reliable):
            kind = self._kinds[b]
            self._samples[kind, self._counts[kind] % self._samples.shape[1]] = lengths[b]
            self._counts[kind] += 1
        changed = np.isin(self._kinds, self._kinds[reliable])
        if not changed.any():
            return
        ordered = np.sort(self._samples, axis=1)  # NaN last
        count = np.minimum(self._counts, self._samples.shape[1])
        middle = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2][self._kinds]
        # The prior counts as much as a few frames: one bad frame does not make a new body.
        trust = (count / (count + 5.0))[self._kinds]
        known = count[self._kinds] > 0
        self.lengths = np.where(known, (1 - trust) * self._prior + trust * np.where(known, middle, 0.0), self._prior)
        self._spread = (1 - trust) * self._first_spread + trust * self._learned_spread
