"""Finding the hands of arms: where they were a moment ago, else where the arm points, else where a palm is found.

All hands of all people go through each network together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.hand_arms import Arms
from pose_perception.human.hand_landmarks import HandMarks, landmarks, nothing_marked
from pose_perception.human.hand_palms import find_palms
from pose_perception.human.hand_regions import refine, regions_along, regions_from_palms
from pose_perception.networks.runtime import load_network

# Landmarks from longer ago do not tell where a hand is now.
_MEMORY_NS = 300_000_000
# A hand that moved further than this part of its region since then is searched anew.
_FASTEST = 0.5
# A hand whose wrist is further from the skeleton's hangs on another arm, metres.
_WRIST_REACH_M = 0.15
# A hand that was not found by any way is looked for in one way every so often: it is hidden, in a pocket or blurred.
_PAUSE_NS = 150_000_000
# Ways to look for a hand that is not followed.
_WAYS = 3
# Side of the square around a wrist in which its palm is searched, metres.
_SEARCH_M = 0.6
# Less than this share of the landmarks inside of the image is no hand but a guess.
_INSIDE = 0.5

Key = tuple[str, bool]
"""Id of a person, and whether it is the right hand."""


@dataclass
class _Known:
    """What is known of one hand from earlier frames."""

    region: FloatArray | None = None  # where to look next, shape (4,)
    wrist: FloatArray | None = None  # the skeleton's then, shape (2,), px
    seen_ns: int = 0
    failures: int = 0
    tried_ns: int = 0


class HandFinder:
    """Finds hands in images and follows them."""

    def __init__(self, network: str, device: str) -> None:
        """Load the networks.

        Args:
            network: `lite` or `full`.
            device: auto, cuda or cpu.
        """
        self._landmarks = load_network(f"hand_landmarks_{network}", device)
        self._recrop = load_network("hand_recrop", device)
        self._palms = load_network("palm_detector_lite", device)
        self._known: dict[Key, _Known] = {}

    def warm_up(self) -> None:
        """Run the networks once."""
        for network in (self._landmarks, self._recrop, self._palms):
            network.warm_up()

    def reset(self) -> None:
        """Forget all hands."""
        self._known.clear()

    def find(
        self, color: npt.NDArray[np.uint8], arms: Arms, keys: Sequence[Key], stamp_ns: int, min_presence: float
    ) -> tuple[HandMarks, npt.NDArray[np.bool_]]:
        """Look for the hands of N arms.

        Args:
            color: RGB image with shape (H, W, 3).
            arms: The arms.
            keys: Which hands these are; others are soon forgotten.
            stamp_ns: Time of the image.
            min_presence: A hand is found when the network is that sure.

        Returns:
            What was seen last at each arm, and which of these are hands, shape (N,).
        """
        recent = {key: hand for key, hand in self._known.items() if stamp_ns - hand.seen_ns <= _MEMORY_NS}
        self._known = recent | {key: self._known.get(key) or _Known() for key in keys}
        known = [self._known[key] for key in keys]
        marks = nothing_marked(len(keys))
        found = np.zeros(len(keys), bool)
        is_fresh, tried = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
        for number, way in enumerate((self._follow, self._along_forearms, self._at_knuckles, self._at_palms)):
            todo = np.flatnonzero(~found & _is_due(known, number, stamp_ns))
            tried[todo] |= number > 0
            todo, regions = way(color, arms, known, todo, stamp_ns)
            if len(todo) == 0:
                continue
            seen = landmarks(self._landmarks, color, regions)
            marks = marks.replaced(todo, seen)
            found[todo] = _are_hands(seen, arms.select(todo), color, min_presence)
            is_fresh[todo] = found[todo] & (number > 0)
        fresh = np.flatnonzero(is_fresh)
        if len(fresh):
            # The first region was a guess; around the landmarks the network sees better.
            again = landmarks(self._landmarks, color, marks.around[fresh])
            better = _are_hands(again, arms.select(fresh), color, min_presence)
            marks = marks.replaced(fresh[better], again.select(better))
        for i in np.flatnonzero(tried):
            known[i].failures += 1
            known[i].tried_ns = stamp_ns
        return marks, found

    def remember(
        self, keys: Sequence[Key], arms: Arms, marks: HandMarks, found: npt.NDArray[np.bool_], stamp_ns: int
    ) -> None:
        """Keep what the next frame needs; arguments as of `find`, after hands were rejected."""
        for i, key in enumerate(keys):
            known = self._known[key]
            if found[i]:
                self._known[key] = _Known(marks.around[i], arms.wrists[i], stamp_ns)
            else:
                known.region = None
                if known.failures == 0:  # rejected at once: begin with the first way in the next frame
                    known.failures = _WAYS

    def _follow(
        self, _: object, arms: Arms, known: list[_Known], todo: npt.NDArray[np.int64], stamp_ns: int
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Regions around the landmarks of a moment ago, moved with the skeleton's wrist."""
        kept, regions = [], []
        for i in todo:
            hand = known[i]
            if hand.region is None or not 0 <= stamp_ns - hand.seen_ns <= _MEMORY_NS:
                continue
            motion = arms.wrists[i] - hand.wrist
            if np.linalg.norm(motion) < _FASTEST * hand.region[2]:
                kept.append(i)
                regions.append(hand.region + np.array([*motion, 0.0, 0.0]))
        return np.array(kept, np.int64), np.array(regions).reshape(-1, 4)

    def _along_forearms(
        self, color: npt.NDArray[np.uint8], arms: Arms, _: object, todo: npt.NDArray[np.int64], __: int
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        return self._along(color, arms, arms.forearms, todo)

    def _at_knuckles(
        self, color: npt.NDArray[np.uint8], arms: Arms, _: object, todo: npt.NDArray[np.int64], __: int
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        return self._along(color, arms, arms.hands, todo)

    def _along(
        self, color: npt.NDArray[np.uint8], arms: Arms, directions: FloatArray, todo: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        todo = todo[np.isfinite(directions[todo]).all(axis=1)]
        regions = regions_along(arms.wrists[todo], directions[todo], arms.pixels_per_metre[todo])
        return todo, refine(self._recrop, color, regions) if len(todo) else regions

    def _at_palms(
        self, color: npt.NDArray[np.uint8], arms: Arms, _: object, todo: npt.NDArray[np.int64], __: int
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        if len(todo) == 0:
            return todo, np.zeros((0, 4))
        scale = arms.pixels_per_metre[todo]
        palms = find_palms(self._palms, color, arms.wrists[todo], _SEARCH_M * scale, _WRIST_REACH_M * scale)
        seen = palms.scores > 0
        return todo[seen], regions_from_palms(palms.boxes[seen], palms.wrists[seen], palms.knuckles[seen])


def _is_due(known: list[_Known], number: int, stamp_ns: int) -> npt.NDArray[np.bool_]:
    """Return which hands are looked for in this way: new ones in all ways, those not found before in one at a time."""
    return np.array(
        [
            number == 0
            or hand.failures == 0
            or (hand.failures % _WAYS == number - 1 and not 0 <= stamp_ns - hand.tried_ns < _PAUSE_NS)
            for hand in known
        ],
        bool,
    )


def _are_hands(
    marks: HandMarks, arms: Arms, color: npt.NDArray[np.uint8], min_presence: float
) -> npt.NDArray[np.bool_]:
    """Return which landmarks are those of a hand that hangs on its arm, shape (N,)."""
    height, width = color.shape[:2]
    distance = np.linalg.norm(marks.pixels[:, 0] - arms.wrists, axis=1)
    inside = ((marks.pixels >= 0) & (marks.pixels <= [width - 1, height - 1])).all(axis=2).mean(axis=1)
    is_near = distance < _WRIST_REACH_M * arms.pixels_per_metre
    return (marks.presence >= min_presence) & is_near & (inside >= _INSIDE)
