"""The hands of tracked people: 21 landmarks of each, in the image and in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import HandPose, RgbdFrame, Skeleton
from pose_perception.human.hand_arms import SIDES, Arms, arms_of
from pose_perception.human.hand_finder import HandFinder
from pose_perception.human.hand_landmarks import HandMarks
from pose_perception.human.hand_lifting import LiftedHands, lift_hands
from pose_perception.human.hand_model import HandSize, openness, palm_pose, pinch
from pose_perception.human.topology import Topology

# Two hands whose landmarks lie this close, as a part of their size, are one hand.
_SAME_HAND = 0.12
# A hand that looks like one of the other side belongs to an arm of that side, if its wrist is this near, metres; and to
# somebody who is not known when it clearly does: of the hands of simulated people 1 in 100 looks so.
_OTHER_SIDE, _CLEARLY_OTHER_SIDE = 0.2, 0.1
_OTHER_WRIST_M = 0.12
# Distance from the skeleton's wrist that counts as much against a claim as an unlikely side, metres.
_CLAIM_M = 0.05
# People who were not seen for so long are forgotten.
_MEMORY_NS = 10_000_000_000
# Images that come this part of the period too early are still in time: stamps jitter.
_EARLY = 0.2


@dataclass(frozen=True)
class HandsConfig(Config):
    """How hands are found."""

    enabled: bool = option(False, "Find the 21 landmarks of the hands of every person.")
    rate_hz: float = option(
        15.0,
        "Look at hands at most so many times a second, by the stamps of the images; 0 for every image.",
        minimum=0.0,
    )
    min_score: float = option(0.5, "Hands below this confidence are not reported.", minimum=0.05, maximum=1.0)
    network: str = option("full", "Network for the landmarks: the accurate or the fast one.", choices=("full", "lite"))


class HandEstimator:
    """Finds the hands that hang on skeletons."""

    def __init__(self, topology: Topology, config: HandsConfig, device: str) -> None:
        """Load the networks.

        Args:
            topology: Keypoints of the skeletons.
            config: What is wanted.
            device: auto, cuda or cpu.

        Raises:
            WeightsError: a weight file is missing or altered.
            DeviceError: the requested device is not there.
        """
        self._topology = topology
        self._config = config
        self._finder = HandFinder(config.network, device)
        self._sizes: dict[str, HandSize] = {}
        self._seen_ns: dict[str, int] = {}
        self._last_ns: int | None = None
        self._due_ns = 0

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""
        self._finder.warm_up()

    def reset(self) -> None:
        """Forget everything known from earlier frames."""
        self._finder.reset()
        self._sizes.clear()
        self._seen_ns.clear()
        self._last_ns = None

    def process(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> list[tuple[HandPose, ...]]:
        """Return the hands of each skeleton; none when it is not time to look, or none is seen.

        A stamp before that of the last frame is the start of another recording.
        """
        if self._last_ns is not None and frame.stamp_ns < self._last_ns:
            self.reset()
        if not self._is_due(frame.stamp_ns):
            return [() for _ in skeletons]
        self._know(skeletons, frame.stamp_ns)
        arms = arms_of(skeletons, self._topology, frame.camera)
        keys = [(skeletons[person].id, bool(side)) for person, side in zip(arms.person, arms.is_right, strict=True)]
        marks, found = self._finder.find(frame.color, arms, keys, frame.stamp_ns, self._config.min_score)
        found &= ~_belong_to_others(marks, arms, found)
        self._finder.remember(keys, arms, marks, found, frame.stamp_ns)
        marks, arms = marks.select(found), arms.select(found)
        sizes = [self._sizes[skeletons[person].id] for person in arms.person]
        lifted = lift_hands(frame, marks, arms.is_right, arms.positions, sizes)
        hands: list[list[HandPose]] = [[] for _ in skeletons]
        for i, person in enumerate(arms.person):
            hands[person].append(_hand(marks, lifted, arms, i))
        return [tuple(own) for own in hands]

    def _know(self, skeletons: Sequence[Skeleton], stamp_ns: int) -> None:
        """Make room for new people; those who are hidden for a while keep the size of their hands."""
        self._seen_ns |= {person.id: stamp_ns for person in skeletons}
        self._seen_ns = {name: seen for name, seen in self._seen_ns.items() if stamp_ns - seen <= _MEMORY_NS}
        self._sizes = {name: self._sizes.get(name) or HandSize() for name in self._seen_ns}

    def _is_due(self, stamp_ns: int) -> bool:
        """Keep to the rate on average, whatever the rate of the camera."""
        is_first = self._last_ns is None
        self._last_ns = stamp_ns
        if self._config.rate_hz == 0:
            return True
        period_ns = round(1e9 / self._config.rate_hz)
        if is_first:
            self._due_ns = stamp_ns
        if stamp_ns < self._due_ns - _EARLY * period_ns:
            return False
        self._due_ns = max(self._due_ns, stamp_ns - period_ns) + period_ns
        return True


def _belong_to_others(marks: HandMarks, arms: Arms, found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which found hands are those of another arm, shape (N,).

    Either two arms claim the same hand: it goes to the one whose wrist and side fit better. Or a hand looks like one of
    the other side: the side is that of the body, so the body's wrist must be wrong.
    """
    side = np.where(arms.is_right, marks.right, 1 - marks.right)
    claim = np.linalg.norm(marks.pixels[:, None, 0] - arms.wrists, axis=2) / arms.pixels_per_metre  # (hand, arm), m
    own = np.diagonal(claim)
    cost = np.square(own / _CLAIM_M) - 2 * np.log(np.clip(side, 0.02, 1.0))
    size = np.maximum(marks.around[:, None, 2], marks.around[:, 2])
    distance = np.linalg.norm(marks.pixels[:, None] - marks.pixels, axis=3).mean(axis=2)
    with np.errstate(invalid="ignore"):
        is_same = (distance < _SAME_HAND * size) & found[:, None] & found & ~np.eye(len(found), dtype=bool)
    order = np.arange(len(found))
    is_worse = (cost[:, None] > cost) | ((cost[:, None] == cost) & (order[:, None] > order))
    is_claimed = (is_same & is_worse).any(axis=1)
    is_other = arms.is_right[:, None] != arms.is_right
    with np.errstate(invalid="ignore"):
        is_theirs = is_other & (claim < _OTHER_WRIST_M) & (claim < 2 * own[:, None])
    is_misplaced = (side < _CLEARLY_OTHER_SIDE) | ((side < _OTHER_SIDE) & is_theirs.any(axis=1))
    return is_claimed | is_misplaced


def _hand(marks: HandMarks, lifted: LiftedHands, arms: Arms, i: int) -> HandPose:
    positions = lifted.positions[i]
    side = SIDES[int(arms.is_right[i])]
    return HandPose(
        side=side,
        score=float(marks.presence[i]),
        pixels=marks.pixels[i],
        positions=positions,
        covariances=lifted.covariances[i],
        states=lifted.states[i],
        camera_from_palm=palm_pose(positions, side),
        pinch=pinch(positions),
        openness=openness(positions),
    )
