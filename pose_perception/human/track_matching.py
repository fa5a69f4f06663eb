"""Which of the people seen in a frame is which of the people known: in rounds, the surest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.association import assign, continuation_costs, pose_similarity, return_costs
from pose_perception.human.sightings import Sightings
from pose_perception.human.similarity import mixed_bodies
from pose_perception.human.track import Track
from pose_perception.human.track_expectation import expect
from pose_perception.human.track_motion import View

# A weak detection continues a track only when that was seen not longer ago, seconds, and looks like it.
_WEAK_GAP_S, _WEAK_SIMILARITY = 0.5, 0.35
# Of several sights of one person, the surest one counts if it costs so much more at most than the best one.
_ABOUT_AS_WELL = 1.5
# Nobody new begins so close to somebody who was seen not longer ago, metres and seconds.
_SAME_BODY_M, _MIXED_UP_S = 0.4, 1.0


class Moment(NamedTuple):
    """One frame: N people seen in it.

    Attributes:
        view: Of the frame.
        stamp_ns: Its time.
        estimates: The people in the image.
        sightings: What is seen of them.
        strong: Whose confidence is enough for somebody new, shape (N,).
        same: Which pairs of them are the same body twice, shape (N, N).
    """

    view: View
    stamp_ns: int
    estimates: PoseEstimates
    sightings: Sightings
    strong: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]


class Matches(NamedTuple):
    """Who is who.

    Attributes:
        tracks: Track of each person known, by row.
        new: Rows of the people nobody knows.
        dropped: Tracks that are somebody else's, who came back.
    """

    tracks: dict[int, Track]
    new: list[int]
    dropped: list[Track]


class Matcher:
    """Matches people with tracks.

    Args:
        trunk_bones: Which bones lead from a shoulder to a hip.
        min_score: Keypoints below this confidence do not count.
        min_similarity: Least similarity of poses where there is no depth.
        max_gap_s: Who was not seen for longer is known again by clothes, size and place only, seconds.
        longest_s: Who was not seen for longer is not known again at all, seconds.
    """

    def __init__(
        self, trunk_bones: list[int], min_score: float, min_similarity: float, max_gap_s: float, longest_s: float
    ) -> None:
        self._trunk_bones = trunk_bones
        self._min_score = min_score
        self._min_similarity = min_similarity
        self._max_gap_s = max_gap_s
        self._longest_s = longest_s

    def match(self, moment: Moment, tracks: list[Track], remembered: list[Track]) -> Matches:
        """Return who is who.

        Args:
            moment: The people seen.
            tracks: People who are seen or predicted, and new ones that are not reported yet.
            remembered: People who were lost.
        """
        matches = self._continuing(moment, tracks)
        away = self.away(tracks + remembered, matches.values(), moment.stamp_ns)
        unknown = self._unknown(moment, matches, away)
        undecided = [row for row, track in matches.items() if moment.strong[row] and not track.confirmed]
        returned = self._returning(moment, sorted(unknown + undecided), away)
        dropped = [matches[row] for row in returned if row in matches]
        return Matches(matches | returned, [row for row in unknown if row not in returned], dropped)

    def _unknown(self, moment: Moment, matches: dict[int, Track], away: list[Track]) -> list[int]:
        """Return the rows of people who are none of those matched, once each: the more confident one of two sights."""
        mixed = mixed_bodies(moment.estimates, moment.sightings.centers, self._min_score)
        rows = [row for row in np.flatnonzero(moment.strong).tolist() if not mixed[row, list(matches)].any()]
        rows = [row for row in rows if row not in matches]
        unknown: list[int] = []
        for row in sorted(rows, key=lambda row: -moment.estimates.person_scores[row]):
            if not moment.same[row, unknown].any():
                unknown.append(row)
        is_hidden = self._are_mixed_up(moment, unknown, away)
        return [row for row, hidden in zip(unknown, is_hidden, strict=True) if not hidden]

    def away(self, tracks: list[Track], present: Iterable[Track], stamp_ns: int) -> list[Track]:
        """Return reported people who are not among those present, and not away for too long."""
        numbers = {track.number for track in present}
        recent = [track for track in tracks if not track.is_forgotten(stamp_ns, self._longest_s)]
        return [track for track in recent if track.confirmed and track.number not in numbers]

    def _continuing(self, moment: Moment, tracks: list[Track]) -> dict[int, Track]:
        """Return the tracks that go on, by row: the strong detections choose first, as in ByteTrack.

        Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box, ECCV 2022, algorithm 1.
        """
        tracks = [track for track in tracks if not track.is_forgotten(moment.stamp_ns, self._max_gap_s)]
        if not tracks or not len(moment.estimates):
            return {}
        known = expect(tracks, moment.view, moment.stamp_ns, self._trunk_bones)
        similarity = pose_similarity(moment.estimates, known, self._min_score)
        costs = continuation_costs(similarity, moment.sightings, known, self._min_similarity)
        strong, confirmed = moment.strong[:, None], np.array([track.confirmed for track in tracks])
        is_recent = (known.gaps_s <= _WEAK_GAP_S) & (similarity >= _WEAK_SIMILARITY)
        if moment.sightings.has_depth:  # a weak pose without a trunk at the right place may be of anybody
            is_recent &= np.isfinite(moment.sightings.centers).all(axis=1)[:, None]
        found: dict[int, int] = {}
        # Those who were reported choose before those who may be a mistake; weak detections are for the former only.
        for may in (strong & confirmed, strong & ~confirmed, ~strong & confirmed & is_recent):
            free = np.ones(costs.shape, bool)
            free[list(found)] = False
            free[:, list(found.values())] = False
            free[moment.same[:, list(found)].any(axis=1)] = False
            allowed = np.where(may & free, costs, np.inf)
            pairs = _assign_once(allowed, moment.same)
            found |= _surest(pairs, allowed, moment.same, moment.estimates.person_scores)
        return {row: tracks[column] for row, column in found.items()}

    def _are_mixed_up(self, moment: Moment, rows: list[int], away: list[Track]) -> npt.NDArray[np.bool_]:
        """Return which of the rows are where somebody must be who was seen a moment ago.

        The pose of a person who is half hidden may be so mixed up with that of the one in front that it fits nobody.
        """
        hidden = [track for track in away if track.gap_s(moment.stamp_ns) <= _MIXED_UP_S]
        if not hidden or not rows:
            return np.zeros(len(rows), bool)
        known = expect(hidden, moment.view, moment.stamp_ns, self._trunk_bones)
        centers = moment.sightings.centers[rows]
        in_place = np.linalg.norm(centers[:, None] - known.centers[None], axis=2) < _SAME_BODY_M
        similarity = pose_similarity(moment.estimates.select(rows), known, self._min_score)
        in_view = (similarity > self._min_similarity) & (known.gaps_s <= _WEAK_GAP_S)
        return (in_place | in_view).any(axis=1)

    def _returning(self, moment: Moment, rows: list[int], away: list[Track]) -> dict[int, Track]:
        """Return the tracks of people who come back, by row; only the rows given can be theirs."""
        if not away or not rows:
            return {}
        known = expect(away, moment.view, moment.stamp_ns, self._trunk_bones)
        return {rows[i]: away[j] for i, j in assign(return_costs(moment.sightings.select(rows), known))}


def _assign_once(costs: FloatArray, same: npt.NDArray[np.bool_]) -> dict[int, int]:
    """Return the best columns of rows (N, M), no two of which are the same body (N, N): the one that fits worse goes.

    An estimator may see the person in front once more where the one behind is.
    """
    costs = costs.copy()
    while True:
        pairs = dict(assign(costs))
        doubles = [(i, j) for i in pairs for j in pairs if i < j and same[i, j]]
        if not doubles:
            return pairs
        worst = max({row for pair in doubles for row in pair}, key=lambda row: costs[row, pairs[row]])
        costs[worst] = np.inf


def _surest(
    pairs: dict[int, int], costs: FloatArray, same: npt.NDArray[np.bool_], scores: FloatArray
) -> dict[int, int]:
    """Return the pairs with the surest sight of each person, if it fits about as well as the one that fits best.

    Two people close together may make a sure pose that is a mixture of both.
    """
    result = {}
    for row, column in pairs.items():
        fits = costs[:, column] < costs[row, column] + _ABOUT_AS_WELL
        rows = np.flatnonzero(fits & (same[row] | (np.arange(len(scores)) == row)))
        result[int(rows[np.argmax(scores[rows])])] = column
    return result
