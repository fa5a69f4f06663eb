"""One person over time: what is known of them, and how that follows from what is seen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates, Skeleton
from pose_perception.geometry.camera import project
from pose_perception.human.appearance import Look
from pose_perception.human.association import reachable_m
from pose_perception.human.body_model import Bone, BoneLengths
from pose_perception.human.joint_filters import JointStates
from pose_perception.human.track_motion import Motion, View

_NS = 1e-9
# Noise of the trunk's measured middle, metres, on top of what its corners say.
_TRUNK_SIGMA_M = 0.01
# Noise of a sighted trunk's middle, metres: it serves until shoulders and hips have positions.
_SIGHTED_SIGMA_M = 0.10
# What hides a trunk shifts its measured middle, metres.
_HIDDEN_SIGMA_M = 0.30
# A person is about so tall, metres: gives motion in the image its scale. And its noise, metres.
_HEIGHT_M, _IMAGE_SIGMA_M = 1.7, 0.02
# A hidden keypoint's confidence fades with this time constant, seconds.
_POSE_MEMORY_S = 1.0
# Nobody is predicted closer to the camera than this, metres.
_NEAREST_M = 0.2
# Whether a person is flat is decided by the majority over this time, seconds.
_FLAT_S = 1.0
_FEWEST_JOINTS = 3
# A body this many standard deviations from where it must be is not believed; where somebody must be is known when they
# were seen in a few frames.
_IMPOSSIBLE, _FEWEST_HITS = 4.0, 3
# Nor is one this far from the trunk that is seen there, metres: its joints are of somebody else.
_SAME_TRUNK_M = 0.5
# What people carry in front of their trunk reaches this far at most, metres; how fast that is learned.
_LARGEST_BURDEN_M, _BURDEN_RATE = 0.5, 0.2
# The time since the last sight counts as seen up to this, seconds; and a doubtful person who was not seen for the
# second altogether is predicted no longer than the third.
_SEEN_STEP_S, _FIRM_S, _MOMENT_S = 0.2, 0.4, 0.5


@dataclass(eq=False)
class Track:
    """One person over time. Positions are in the frame of reference, see `View`.

    Attributes:
        number: Makes the identifier.
        lengths: Learned bone lengths.
        min_score: Keypoints below this confidence do not count.
        last: The person as seen last.
        stamp_ns: When that was.
        born_ns: When they were seen first.
        pose: Keypoints in the image when the person was seen last, shape (K, 2), px; those hidden then moved along.
        pose_scores: Their confidence with shape (K,), which fades while they are hidden.
        joints: Filters of the joints.
        hits: Number of frames that showed the person.
        seen_s: For how long the person was seen altogether, seconds.
        is_doubtful: Whether somebody else was in view beside, before or behind the person when they were new.
        confirmed: Whether the person is reported.
        skeleton: Last report of the person as seen; None before the first.
        positions: Smoothed joints as seen last with shape (K, 3), metres; NaN when missing.
        covariances: Of these with shape (K, 3, 3), square metres.
        motion: Of the trunk's middle in metres; None while that was never measured.
        seen_motion: Position and covariance in `motion` when the person was seen last.
        image_motion: Of the keypoints in the image in pixels: serves where there is no depth.
        seen_in_image: Position in `image_motion` when the person was seen last.
        burden_m: How much nearer the surface is seen than the trunk is: of what the person carries, metres.
        anchor: Trunk's middle in the camera's frame when the person was seen last, shape (3,), metres.
        offsets: Joints from the trunk's middle with shape (K, 3), metres; NaN for those not seen yet.
        look: The clothes.
        flat_votes: Whether the body looked flat, with the stamps, over the last second.
    """

    number: int
    lengths: BoneLengths
    min_score: float
    last: PoseEstimates
    stamp_ns: int
    born_ns: int
    pose: FloatArray
    pose_scores: FloatArray
    joints: JointStates
    positions: FloatArray
    covariances: FloatArray
    image_motion: Motion
    seen_in_image: FloatArray
    hits: int = 0
    seen_s: float = 0.0
    is_doubtful: bool = False
    confirmed: bool = False
    skeleton: Skeleton | None = None
    motion: Motion | None = None
    seen_motion: tuple[FloatArray, FloatArray] | None = None
    burden_m: float = 0.0
    anchor: FloatArray | None = None
    offsets: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    look: Look = field(default_factory=Look)
    flat_votes: deque[tuple[int, bool]] = field(default_factory=deque)

    @classmethod
    def begin(cls, number: int, bones: tuple[Bone, ...], min_score: float, seen: PoseEstimates, stamp_ns: int) -> Track:
        """Return the track of one person seen for the first time."""
        k = seen.scores.shape[1]
        scale = max(1.0, float((seen.boxes[0, 2:] - seen.boxes[0, :2]).max())) / _HEIGHT_M
        center = (seen.boxes[0, :2] + seen.boxes[0, 2:]) / 2
        return cls(
            number=number,
            lengths=BoneLengths(bones),
            min_score=min_score,
            last=seen,
            stamp_ns=stamp_ns,
            born_ns=stamp_ns,
            pose=seen.pixels[0],
            pose_scores=seen.scores[0],
            joints=JointStates.unknown(k),
            positions=np.full((k, 3), np.nan),
            covariances=np.full((k, 3, 3), np.nan),
            image_motion=Motion(center, np.eye(2) * (scale * _IMAGE_SIGMA_M) ** 2, scale),
            seen_in_image=center,
            offsets=np.full((k, 3), np.nan),
        )

    @property
    def id(self) -> str:
        """Identifier as published."""
        return f"p{self.number}"

    def gap_s(self, stamp_ns: int) -> float:
        """Return the time since the person was seen, seconds."""
        return (stamp_ns - self.stamp_ns) * _NS

    def is_forgotten(self, stamp_ns: int, longest_s: float) -> bool:
        """Return whether the person is away for too long; a doubtful one seen for a moment may have been a mistake."""
        was_there = self.seen_s >= _FIRM_S or not self.is_doubtful
        return self.gap_s(stamp_ns) > (longest_s if was_there else min(longest_s, _MOMENT_S))

    def predict(self, step_s: float, fades: bool) -> None:
        """Advance in time; `fades` says that the last frame did not show the person."""
        self.image_motion.predict(step_s, fades)
        if self.motion is not None:
            self.motion.predict(step_s, fades)

    def move(self, pose: FloatArray) -> None:
        """Express everything in another frame of reference, by the pose (4, 4) of the old one in it."""
        self.positions = self.positions @ pose[:3, :3].T + pose[:3, 3]
        self.covariances = pose[:3, :3] @ self.covariances @ pose[:3, :3].T
        self.offsets = self.offsets @ pose[:3, :3].T
        self.joints = JointStates.unknown(len(self.positions))
        if self.motion is not None and self.seen_motion is not None:
            self.motion.move(pose)
            place, covariance = self.seen_motion
            self.seen_motion = (
                pose[:3, :3] @ place + pose[:3, 3],
                pose[:3, :3] @ covariance @ pose[:3, :3].T,
            )

    def see(self, seen: PoseEstimates, look: FloatArray, is_clear: bool, view: View, stamp_ns: int) -> None:
        """Take in one person of a frame, in the image.

        Args:
            seen: The person.
            look: Description of the clothes with shape (D,).
            is_clear: Whether nothing hides the trunk.
            view: Of the frame.
            stamp_ns: Time of the frame.
        """
        is_seen = seen.scores[0] >= self.min_score
        self._move_in_image(seen, is_seen)
        faded = self.pose_scores * np.exp(-self.gap_s(stamp_ns) / _POSE_MEMORY_S)
        self.pose = np.where(is_seen[:, None], seen.pixels[0], self.moved(view)[0])
        self.pose_scores = np.where(is_seen, seen.scores[0], faded)
        self.seen_s += min(self.gap_s(stamp_ns), _SEEN_STEP_S)
        self.last, self.stamp_ns = seen, stamp_ns
        self.hits += 1
        self.look.remember(look, is_clear)

    def _move_in_image(self, seen: PoseEstimates, is_seen: npt.NDArray[np.bool_]) -> None:
        """Follow the keypoints that both sights share; the median one, so that waving arms do not move the body."""
        shared = is_seen & (self.last.scores[0] >= self.min_score)
        steps = (seen.pixels[0] - self.last.pixels[0])[shared]
        steps = steps[np.isfinite(steps).all(axis=1)]
        size = max(1.0, float((seen.boxes[0, 2:] - seen.boxes[0, :2]).max()))
        noise = np.eye(2) * (size / _HEIGHT_M * _IMAGE_SIGMA_M) ** 2
        if self.hits and len(steps) >= _FEWEST_JOINTS:
            self.image_motion.correct(self.seen_in_image + np.median(steps, axis=0), noise)
        self.seen_in_image = self.image_motion.position.copy()

    def believes(self, body: tuple[FloatArray, FloatArray], sighted: FloatArray, trunk: list[int]) -> bool:
        """Return whether a measured body can be this person: it may be mixed up with somebody in front or behind.

        Args:
            body: Measured joints (K, 3), metres, and their covariances (K, 3, 3); NaN when missing.
            sighted: Trunk's middle from `Sightings`, shape (3,), metres; NaN when unknown.
            trunk: Indices of shoulders and hips.
        """
        center, covariance = self._center(*body, sighted, trunk)
        if not np.isfinite(center).all():
            return True
        if np.linalg.norm(center - sighted) > _SAME_TRUNK_M + self.burden_m:  # false when it was not sighted
            return False
        if self.motion is None or self.hits < _FEWEST_HITS:
            return True
        return self.motion.surprise(center, covariance) < _IMPOSSIBLE

    def locate(
        self,
        body: tuple[FloatArray, FloatArray],
        sighted: FloatArray,
        trunk: list[int],
        clear: float,
        origin: FloatArray,
    ) -> None:
        """Take in where the body is.

        Args:
            body: As in `believes`.
            sighted: As in `believes`.
            trunk: As in `believes`.
            clear: Share of the trunk that nothing hides.
            origin: Of the camera, shape (3,), metres.
        """
        positions = body[0]
        center, covariance = self._center(*body, sighted, trunk)
        covariance = covariance + np.eye(3) * (_HIDDEN_SIGMA_M * (1 - clear)) ** 2
        if not np.isfinite(center).all():
            return
        if self.motion is None:
            self.motion = Motion(center, covariance)
        else:
            self.motion.correct(center, covariance)
        known = np.isfinite(positions).all(axis=1)
        self.offsets = np.where(known[:, None], positions - center, self.offsets)
        if np.isfinite(sighted).all():
            nearer = np.linalg.norm(center - origin) - np.linalg.norm(sighted - origin)
            self.burden_m += _BURDEN_RATE * (float(np.clip(nearer, 0.0, _LARGEST_BURDEN_M)) - self.burden_m)

    def surface(self, view: View) -> FloatArray:
        """Return where the trunk, or what is carried before it, should be sighted in the camera's frame, shape (3,)."""
        if self.motion is None:
            return np.full(3, np.nan)
        place = view.to_camera(self.motion.position)
        return place * (1 - self.burden_m / max(float(np.linalg.norm(place)), _NEAREST_M + self.burden_m))

    def _center(
        self, positions: FloatArray, covariances: FloatArray, sighted: FloatArray, trunk: list[int]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the trunk's middle and its covariance: of all corners, else by where it was from the joints seen."""
        corners = positions[trunk]
        known = np.isfinite(corners).all(axis=1)
        least = np.eye(3) * _TRUNK_SIGMA_M**2
        if known.all():
            return corners.mean(axis=0), covariances[trunk].mean(axis=0) / 2 + least
        by_joint = positions - self.offsets
        usable = np.isfinite(by_joint).all(axis=1)
        if usable[trunk].any():
            usable = usable & np.isin(np.arange(len(positions)), trunk)
        elif usable.sum() < _FEWEST_JOINTS:
            return sighted, np.eye(3) * _SIGHTED_SIGMA_M**2
        return np.median(by_joint[usable], axis=0), np.median(covariances[usable], axis=0) + least

    def may_be(self, other: Track, stamp_ns: int) -> bool:
        """Return whether this can be another person by its place; true when the place is not known."""
        if self.motion is None or other.seen_motion is None:
            return True
        return bool(np.linalg.norm(self.motion.position - other.seen_motion[0]) < reachable_m(other.gap_s(stamp_ns)))

    def mark(self, view: View) -> None:
        """Note where the person was when seen last: predictions are made from there."""
        if self.motion is not None:
            self.seen_motion = (self.motion.position.copy(), self.motion.covariance.copy())
            self.anchor = view.to_camera(self.motion.position)

    def vote(self, is_flat: bool, stamp_ns: int) -> bool:
        """Return whether the person is a flat picture, by the majority of the last second."""
        self.flat_votes.append((stamp_ns, is_flat))
        while (stamp_ns - self.flat_votes[0][0]) * _NS > _FLAT_S:
            self.flat_votes.popleft()
        return 2 * sum(vote for _, vote in self.flat_votes) > len(self.flat_votes)

    def moved(self, view: View) -> tuple[FloatArray, FloatArray, float]:
        """Return keypoints (K, 2) and box (4,) as the present frame should show them, and their spread, px."""
        pixels, box = self.pose, self.last.boxes[0].reshape(2, 2)
        if self.motion is None or self.anchor is None or self.anchor[2] < _NEAREST_M:
            shift = self.image_motion.position - self.seen_in_image
            spread = np.sqrt(np.trace(self.image_motion.covariance) / 2)
            return pixels + shift, (box + shift).ravel(), float(spread)
        place = view.to_camera(self.motion.position)
        if place[2] < _NEAREST_M:
            return np.full_like(pixels, np.nan), np.zeros(4), 0.0
        before, now = project(self.anchor, view.camera), project(place, view.camera)
        scale = self.anchor[2] / place[2]
        spread = view.camera.fx / place[2] * np.sqrt(np.trace(self.motion.covariance) / 3)
        return now + (pixels - before) * scale, (now + (box - before) * scale).ravel(), float(spread)
