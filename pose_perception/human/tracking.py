"""Identity of people over time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, KeypointState, PoseEstimates, Skeleton, TrackingState
from pose_perception.human.body_model import Bone, BoneLengths
from pose_perception.human.lifting import LiftedBodies
from pose_perception.human.similarity import box_overlap, keypoint_similarity
from pose_perception.human.topology import Topology
from pose_perception.human.torso import torso_pose

_NS = 1e-9
# People change their speed within some tenths of a second: time constant of the velocity.
_VELOCITY_TIME_S = 0.2
# Over less time than this, the noise of positions looks like speed.
_SHORTEST_STEP_S = 0.005
# Standard deviation of a person's unforeseen acceleration, metres per square second, and of a speed nobody measured.
_ACCELERATION_SIGMA = 2.0
_SPEED_SIGMA = 1.0
# One counter for the whole process, so that no pipeline ever gives an identifier again.
_numbers = itertools.count(1)


@dataclass(frozen=True)
class TrackingConfig(Config):
    """How people are followed from frame to frame."""

    min_similarity: float = option(
        0.25, "Least similarity to the last frame of the same person.", minimum=0.01, maximum=1.0
    )
    confirm_score: float = option(
        0.45, "A new person with at least this confidence is reported at once, others when seen again.", minimum=0.0
    )
    max_gap_s: float = option(0.5, "How long a person who is not seen is predicted, in seconds.", minimum=0.0)


@dataclass
class Track:
    """One person over time."""

    number: int
    lengths: BoneLengths
    last: PoseEstimates
    stamp_ns: int
    hits: int = 0
    confirmed: bool = False
    skeleton: Skeleton | None = None
    velocity: FloatArray = field(default_factory=lambda: np.full(3, np.nan))

    @property
    def id(self) -> str:
        """Identifier as published."""
        return f"p{self.number}"


class Tracker:
    """Gives people stable identities: the best one-to-one match of this frame's people to the last frame's."""

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
        self.tracks: list[Track] = []

    def end_all(self) -> list[Skeleton]:
        """Drop all tracks and return those that were reported as lost."""
        lost = [_lost(track.skeleton) for track in self.tracks if track.confirmed and track.skeleton is not None]
        self.tracks.clear()
        return lost

    @property
    def boxes(self) -> FloatArray:
        """Where the people were seen last, shape (N, 4), px."""
        return np.concatenate([track.last.boxes for track in self.tracks]) if self.tracks else np.empty((0, 4))

    def associate(self, estimates: PoseEstimates, stamp_ns: int) -> list[Track]:
        """Return the track of each person of this frame; people without one get a new track, which `update` keeps.

        Who was not seen for longer than `max_gap_s` cannot be known again by place and shape.
        """
        matches: dict[int, Track] = {}
        recent = [t for t in self.tracks if (stamp_ns - t.stamp_ns) * _NS <= self._config.max_gap_s]
        if recent and len(estimates):
            last = _concatenate([track.last for track in recent])
            similarity = 0.7 * keypoint_similarity(estimates, last, self._min_score)
            similarity += 0.3 * box_overlap(estimates.boxes, last.boxes)
            for row, column in zip(*linear_sum_assignment(-similarity), strict=True):
                if similarity[row, column] >= self._config.min_similarity:
                    matches[int(row)] = recent[column]
        return [
            matches.get(row) or Track(next(_numbers), BoneLengths(self._bones), estimates.select([row]), stamp_ns)
            for row in range(len(estimates))
        ]

    def update(
        self, tracks: list[Track], estimates: PoseEstimates, bodies: LiftedBodies, stamp_ns: int
    ) -> list[Skeleton]:
        """Take in a frame and return everyone: seen, predicted, and those just lost.

        Args:
            tracks: Track of each of the N people, from `associate`.
            estimates: The N people.
            bodies: Their positions.
            stamp_ns: Time of the frame.
        """
        self.tracks += [track for track in tracks if track.skeleton is None]
        for row, track in enumerate(tracks):
            track.hits += 1
            track.confirmed |= bool(track.hits > 1 or estimates.person_scores[row] >= self._config.confirm_score)
            _observe(track, estimates.select([row]), bodies, row, stamp_ns, self._topology)
        seen = {track.number for track in tracks}
        skeletons = []
        for track in list(self.tracks):
            skeleton = track.skeleton
            if track.number not in seen:
                skeleton = _predict(track, stamp_ns, self._config.max_gap_s, self._topology)
                if skeleton.tracking_state == TrackingState.LOST or not track.confirmed:
                    self.tracks.remove(track)
            if track.confirmed and skeleton is not None:
                skeletons.append(skeleton)
        return skeletons


def _observe(
    track: Track, estimate: PoseEstimates, bodies: LiftedBodies, row: int, stamp_ns: int, topology: Topology
) -> None:
    """Move a track to what was seen of it."""
    positions, impossible = bodies.positions[row], bodies.impossible[row]
    torso = torso_pose(positions, topology)
    if track.skeleton is not None:
        track.velocity = _updated_velocity(track, positions, (stamp_ns - track.stamp_ns) * _NS)
    track.last, track.stamp_ns = estimate, stamp_ns
    track.skeleton = Skeleton(
        id=track.id,
        score=float(estimate.person_scores[0]),
        tracking_state=TrackingState.TRACKED,
        box=estimate.boxes[0],
        pixels=estimate.pixels[0],
        scores=np.where(impossible, 0.0, estimate.scores[0]),
        positions=positions,
        covariances=bodies.covariances[row],
        states=bodies.states[row],
        velocity=track.velocity,
        camera_from_torso=torso,
    )


def _updated_velocity(track: Track, positions: FloatArray, elapsed_s: float) -> FloatArray:
    """Return the body's velocity from the joints that both frames have, shape (3,), m/s; NaN when they are too few."""
    assert track.skeleton is not None
    if elapsed_s < _SHORTEST_STEP_S:
        return track.velocity
    moved = positions - track.skeleton.positions
    common = np.isfinite(moved).all(axis=1)
    if common.sum() < 3:
        return np.full(3, np.nan)
    # The median joint: waving arms do not move the body.
    newest = np.median(moved[common], axis=0) / elapsed_s
    if np.isnan(track.velocity).any():
        return newest
    return track.velocity + (1 - np.exp(-elapsed_s / _VELOCITY_TIME_S)) * (newest - track.velocity)


def _predict(track: Track, stamp_ns: int, max_gap_s: float, topology: Topology) -> Skeleton:
    """Return a track that this frame does not show: carried on with its velocity, less certain the longer it lasts."""
    last = track.skeleton
    assert last is not None
    gap_s = (stamp_ns - track.stamp_ns) * _NS
    if gap_s > max_gap_s:
        return _lost(last)
    speed_sigma = _SPEED_SIGMA if np.isnan(track.velocity).any() else 0.0
    variance = np.square(speed_sigma * gap_s) + np.square(0.5 * _ACCELERATION_SIGMA * gap_s**2)
    positions = last.positions + np.nan_to_num(track.velocity) * gap_s
    known = last.states != KeypointState.MISSING
    return Skeleton(
        id=last.id,
        score=last.score,
        tracking_state=TrackingState.PREDICTED,
        box=last.box,
        pixels=np.full_like(last.pixels, np.nan),
        scores=np.zeros_like(last.scores),
        positions=positions,
        covariances=last.covariances + np.eye(3) * variance,
        states=np.where(known, KeypointState.INFERRED, KeypointState.MISSING).astype(np.uint8),
        velocity=track.velocity,
        camera_from_torso=torso_pose(positions, topology),
    )


def _lost(last: Skeleton) -> Skeleton:
    """Return the last word on a person: nothing is known of them any more."""
    return replace(
        last,
        tracking_state=TrackingState.LOST,
        pixels=np.full_like(last.pixels, np.nan),
        scores=np.zeros_like(last.scores),
        positions=np.full_like(last.positions, np.nan),
        covariances=np.full_like(last.covariances, np.nan),
        states=np.full_like(last.states, KeypointState.MISSING),
        velocity=np.full(3, np.nan),
        camera_from_torso=None,
    )


def _concatenate(estimates: list[PoseEstimates]) -> PoseEstimates:
    return PoseEstimates(
        *(
            np.concatenate([getattr(e, name) for e in estimates])
            for name in ("pixels", "scores", "boxes", "person_scores", "world")
        )
    )
