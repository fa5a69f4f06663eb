"""Identity of people over time: through occlusion, crossing paths and short absences."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, PoseEstimates, RgbdFrame, Skeleton
from pose_perception.human.body_model import Bone
from pose_perception.human.lifting import LiftedBodies
from pose_perception.human.sightings import Sightings
from pose_perception.human.similarity import box_coverage, same_bodies
from pose_perception.human.smoothing import JointSmoother, SmoothedJoints, SmoothingConfig
from pose_perception.human.topology import Topology
from pose_perception.human.track import Track
from pose_perception.human.track_expectation import trunk_bones, trunk_corners
from pose_perception.human.track_matching import Matcher, Moment
from pose_perception.human.track_motion import View
from pose_perception.human.track_reports import lost, predicted, seen

_NS = 1e-9
# Where the estimator shall look for a person who was not seen for this long is where the whole image is searched.
_LOOK_S = 0.5
# Somebody new who was seen once is waited for this long. While somebody is away whom they may be, whom to take them for
# is put off this long, when their clothes are seen and when not.
_ONCE_SEEN_S, _DECIDED_S, _UNDECIDED_S = 0.25, 0.25, 0.7
# Clothes are well seen when this share of the trunk is.
_CLEAR = 0.8
# Who appears beside or behind somebody, the one box covering this much of the other, must be seen in so many frames.
_CROWDED_OVERLAP, _CROWDED_HITS = 0.3, 6
# One counter for the whole process, so that no pipeline ever gives an identifier again.
_numbers = itertools.count(1)


@dataclass(frozen=True)
class TrackingConfig(Config):
    """How people are followed from frame to frame."""

    min_similarity: float = option(
        0.25, "Least similarity to the predicted pose of a person where there is no depth.", minimum=0.01, maximum=1.0
    )
    confirm_score: float = option(
        0.45, "A new person with at least this confidence is reported at once, others when seen again.", minimum=0.0
    )
    weak_score: float = option(
        0.1,
        "People below min_person_score, but not below this, may go on being followed, but are never new.",
        minimum=0.0,
        maximum=1.0,
    )
    max_gap_s: float = option(
        3.0, "How long a person who is not seen is predicted before they count as lost, in seconds.", minimum=0.0
    )
    memory_s: float = option(
        10.0, "How long a lost person is remembered, to get the old id when they come back, in seconds.", minimum=0.0
    )
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)


class Association(NamedTuple):
    """Who goes on to be lifted.

    Attributes:
        rows: Which of the people seen, shape (M,): without those that are no person, or one twice.
        tracks: The track of each.
    """

    rows: npt.NDArray[np.int64]
    tracks: list[Track]


class Tracker:
    """Gives people stable identities and smooth positions.

    For each frame: `predict` moves everybody to its time, so that `boxes` tells the estimator where to look;
    `associate` decides who is who; `update` takes in the positions and returns everybody.

    Attributes:
        tracks: People who are seen or predicted, and those new who are not reported yet.
    """

    def __init__(self, topology: Topology, bones: tuple[Bone, ...], config: TrackingConfig, min_score: float) -> None:
        """Start with nobody.

        Args:
            topology: Names of the keypoints.
            bones: Bones whose lengths are learned for each person.
            config: Thresholds.
            min_score: Keypoints below this confidence do not count.
        """
        self._topology = topology
        self._bones = bones
        self._config = config
        self._min_score = min_score
        self._smoother = JointSmoother(config.smoothing)
        self._trunk = trunk_corners(topology)
        longest_s = config.max_gap_s + config.memory_s
        self._matcher = Matcher(
            trunk_bones(topology, bones), min_score, config.min_similarity, config.max_gap_s, longest_s
        )
        self.tracks: list[Track] = []
        self._remembered: list[Track] = []
        self._view: View | None = None
        self._has_pose = False
        self._before_ns = self._stamp_ns = 0

    def end_all(self) -> list[Skeleton]:
        """Forget everybody and return those that were reported as lost."""
        ended = [lost(track.skeleton) for track in self.tracks if track.confirmed and track.skeleton is not None]
        self.tracks.clear()
        self._remembered.clear()
        self._view, self._has_pose = None, False
        self._before_ns = self._stamp_ns = 0
        return ended

    def predict(self, frame: RgbdFrame) -> None:
        """Move everybody to the time and the view of a frame."""
        step_s = 0.0 if self._view is None else (frame.stamp_ns - self._stamp_ns) * _NS
        for track in self.tracks + self._remembered:
            track.predict(step_s, fades=track.stamp_ns < self._stamp_ns)
        last_pose = self._view.pose if self._view is not None and self._has_pose else None
        self._view = View.of(frame, last_pose)
        if not self._has_pose and frame.fixed_from_camera is not None:
            # From now on positions are in the fixed frame: the camera stood still until it was known to move.
            self._has_pose = True
            for track in self.tracks + self._remembered:
                track.move(self._view.pose)
        self._before_ns, self._stamp_ns = self._stamp_ns, frame.stamp_ns

    @property
    def boxes(self) -> FloatArray:
        """Where people should be who were seen a moment ago, (x0, y0, x1, y1) with shape (N, 4), px."""
        if self._view is None:
            return np.empty((0, 4))
        recent = [track for track in self.tracks if track.gap_s(self._stamp_ns) <= _LOOK_S]
        return np.array([track.moved(self._view)[1] for track in recent]).reshape(-1, 4)

    @property
    def misses_somebody(self) -> bool:
        """Whether there is nobody yet, or somebody whom the last frame did not show or whose place is not known."""
        return not self.tracks or any(
            track.stamp_ns < self._before_ns or track.gap_s(self._stamp_ns) > _LOOK_S for track in self.tracks
        )

    def associate(
        self, estimates: PoseEstimates, sightings: Sightings, min_person_score: float, same_person: float
    ) -> Association:
        """Decide who is who.

        Args:
            estimates: N people of the frame given to `predict`; the same person may occur more than once.
            sightings: What is seen of them.
            min_person_score: Below this confidence people may only be those who were followed already.
            same_person: Two poses more similar than this are the same person.
        """
        assert self._view is not None
        strong = estimates.person_scores >= min_person_score
        same = same_bodies(estimates, sightings.centers, self._min_score, same_person)
        moment = Moment(self._view, self._stamp_ns, estimates, sightings, strong, same)
        matches = self._matcher.match(moment, self.tracks, self._remembered)
        for track in matches.dropped:
            self.tracks.remove(track)
        for track in matches.tracks.values():
            if track in self._remembered:
                self._remembered.remove(track)
                self.tracks.append(track)
        tracks = dict(matches.tracks)
        for row in matches.new:
            person = estimates.select([row])
            tracks[row] = Track.begin(next(_numbers), self._bones, self._min_score, person, self._stamp_ns)
        rows = sorted(tracks)
        return Association(np.array(rows, dtype=np.int64), [tracks[row] for row in rows])

    def update(
        self, tracks: list[Track], estimates: PoseEstimates, sightings: Sightings, bodies: LiftedBodies
    ) -> list[Skeleton]:
        """Take in a frame and return everyone: seen, predicted, and those just lost.

        Args:
            tracks: Track of each of the N people, from `associate`.
            estimates: The N people.
            sightings: What is seen of them.
            bodies: Their positions.
        """
        assert self._view is not None
        self.tracks += [track for track in tracks if track not in self.tracks]
        positions = self._view.to_reference(bodies.positions)
        covariances = self._view.covariances_to_reference(bodies.covariances)
        sighted = self._view.to_reference(sightings.centers_at(self._expected_depths(tracks))[:, 0])
        believed = [
            row
            for row, track in enumerate(tracks)
            if track.believes((positions[row], covariances[row]), sighted[row], self._trunk)
        ]
        present = [tracks[row] for row in believed]
        elapsed_s = np.array([track.gap_s(self._stamp_ns) for track in present])
        joints = self._smoother.smooth(
            [track.joints for track in present],
            SmoothedJoints(positions[believed], covariances[believed], bodies.states[believed]),
            self._view.origin,
            elapsed_s,
        )
        looks = sightings.select(believed).at(_distances(bodies.positions[believed], self._trunk))
        for i, (row, track) in enumerate(zip(believed, present, strict=True)):
            clear = float(looks.clear[i, 0])
            person = estimates.select([row])
            track.see(person, looks.appearances[i, 0], clear >= _CLEAR, self._view, self._stamp_ns)
            if elapsed_s[i] > 0 or track.motion is None:  # the same moment twice tells nothing new
                body = (positions[row], covariances[row])
                track.locate(body, sighted[row], self._trunk, clear, self._view.origin)
            track.mark(self._view)
            track.positions, track.covariances = joints.positions[i], joints.covariances[i]
            scores = np.where(bodies.impossible[row], 0.0, person.scores[0])
            is_flat = track.vote(bool(bodies.flat[row]), self._stamp_ns)
            track.skeleton = seen(track, joints, i, scores, self._view, is_flat, self._topology)
            track.confirmed = track.confirmed or self._is_sure(track, present)
        return self._report(present)

    def _expected_depths(self, tracks: list[Track]) -> FloatArray:
        """Return the depth at which each track should be sighted with shape (N, 1), metres; NaN when unknown."""
        assert self._view is not None
        return np.array([track.surface(self._view)[2] for track in tracks], dtype=np.float64).reshape(-1, 1)

    def _is_sure(self, track: Track, present: list[Track]) -> bool:
        """Return whether a new person is to be reported."""
        away = self._matcher.away(self.tracks + self._remembered, present, self._stamp_ns)
        track.is_doubtful |= self._is_crowded(track, present + away)
        if track.is_doubtful:
            return track.hits >= _CROWDED_HITS
        if track.hits == 1 and track.last.person_scores[0] < self._config.confirm_score:
            return False
        if not any(track.may_be(other, self._stamp_ns) for other in away):
            return True
        # They may be somebody who was away: the clothes must be seen, and more than once, to say that they are not.
        waited_s = (self._stamp_ns - track.born_ns) * _NS
        return waited_s > (_DECIDED_S if track.look.counts.any() else _UNDECIDED_S)

    def _is_crowded(self, track: Track, others: list[Track]) -> bool:
        """Return whether somebody else is in view beside, before or behind a new person: poses may be mixed up."""
        assert self._view is not None
        boxes = [other.moved(self._view)[1] for other in others if other.confirmed and other is not track]
        return bool((box_coverage(track.last.boxes, np.array(boxes).reshape(-1, 4)) > _CROWDED_OVERLAP).any())

    def _report(self, present: list[Track]) -> list[Skeleton]:
        """Return everybody's skeleton, and forget those who are away for too long."""
        assert self._view is not None
        numbers = {track.number for track in present}
        skeletons: list[Skeleton] = []
        for track in list(self.tracks):
            is_gone = track.is_forgotten(self._stamp_ns, self._config.max_gap_s)
            if track.skeleton is None or not track.confirmed:
                if track.gap_s(self._stamp_ns) > _ONCE_SEEN_S:
                    self.tracks.remove(track)
            elif track.number in numbers:
                skeletons.append(track.skeleton)
            elif not is_gone:
                skeletons.append(predicted(track, self._view, self._topology))
            else:
                skeletons.append(lost(track.skeleton))
                self.tracks.remove(track)
                self._remembered.append(track)
        longest_s = self._config.max_gap_s + self._config.memory_s
        self._remembered = [t for t in self._remembered if not t.is_forgotten(self._stamp_ns, longest_s)]
        return skeletons


def _distances(positions: FloatArray, trunk: list[int]) -> FloatArray:
    """Return the mean depth of the trunks of N people (N, K, 3) with shape (N, 1), metres; NaN where none is known."""
    depth = positions[:, trunk, 2]
    known = np.isfinite(depth)
    mean = np.where(known, depth, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known.any(axis=1), mean, np.nan)[:, None]
