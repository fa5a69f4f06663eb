"""One person over time: what is known of them, and how that follows from what is seen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates, Skeleton
from pose_perception.geometry.camera import project
from pose_perception.human.appearance import APPEARANCE_SIZE
from pose_perception.human.association import Expected, reachable_m
from pose_perception.human.body_model import Bone, BoneLengths
from pose_perception.human.joint_filters import JointStates
from pose_perception.human.topology import Topology
from pose_perception.human.track_motion import Motion, View

_NS = 1e-9
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# Noise of the trunk's measured middle, metres, on top of what its corners say.
_TRUNK_SIGMA_M = 0.01
# Noise of a sighted trunk's middle, metres: it serves until shoulders and hips have positions.
_SIGHTED_SIGMA_M = 0.10
# A person is about so tall, metres: gives motion in the image its scale. And its noise, metres.
_HEIGHT_M, _IMAGE_SIGMA_M = 1.7, 0.02
# A hidden keypoint's confidence fades with this time constant, seconds.
_POSE_MEMORY_S = 1.0
# Clothes are averaged over this many frames, of those in which little hides them.
_REMEMBERED_LOOKS = 30
# Nobody is predicted closer to the camera than this, metres.
_NEAREST_M = 0.2
# Whether a person is flat is decided by the majority over this time, seconds.
_FLAT_S = 1.0
_FEWEST_JOINTS = 3


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
        confirmed: Whether the person is reported.
        skeleton: Last report of the person as seen; None before the first.
        positions: Smoothed joints as seen last with shape (K, 3), metres; NaN when missing.
        covariances: Of these with shape (K, 3, 3), square metres.
        motion: Of the trunk's middle in metres; None while that was never measured.
        seen_motion: Position and covariance in `motion` when the person was seen last.
        image_motion: Of the keypoints in the image in pixels: serves where there is no depth.
        seen_in_image: Position in `image_motion` when the person was seen last.
        anchor: Trunk's middle in the camera's frame when the person was seen last, shape (3,), metres.
        offsets: Joints from the trunk's middle with shape (K, 3), metres; NaN for those not seen yet.
        look: Mean description of the clothes, shape (D,); NaN for what was never seen.
        looks: Number of descriptions in it, shape (D,).
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
    confirmed: bool = False
    skeleton: Skeleton | None = None
    motion: Motion | None = None
    seen_motion: tuple[FloatArray, FloatArray] | None = None
    anchor: FloatArray | None = None
    offsets: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    look: FloatArray = field(default_factory=lambda: np.full(APPEARANCE_SIZE, np.nan))
    looks: FloatArray = field(default_factory=lambda: np.zeros(APPEARANCE_SIZE))
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
        self.last, self.stamp_ns = seen, stamp_ns
        self.hits += 1
        self._remember_look(look, is_clear)

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

    def _remember_look(self, look: FloatArray, is_clear: bool) -> None:
        """Average the clothes; half hidden ones are better than none."""
        known = np.isfinite(look) & (is_clear | (self.looks == 0))
        self.looks = np.minimum(self.looks + known, _REMEMBERED_LOOKS)
        before = np.where(np.isfinite(self.look), self.look, look)
        self.look = np.where(known, before + (look - before) / np.maximum(self.looks, 1), self.look)

    def locate(self, positions: FloatArray, covariances: FloatArray, sighted: FloatArray, trunk: list[int]) -> None:
        """Take in where the body is.

        Args:
            positions: Measured joints with shape (K, 3), metres; NaN when missing.
            covariances: Of these with shape (K, 3, 3).
            sighted: Trunk's middle from `Sightings`, shape (3,), metres; NaN when unknown.
            trunk: Indices of shoulders and hips.
        """
        center, covariance = self._center(positions, covariances, sighted, trunk)
        if not np.isfinite(center).all():
            return
        if self.motion is None:
            self.motion = Motion(center, covariance)
        else:
            self.motion.correct(center, covariance)
        known = np.isfinite(positions).all(axis=1)
        self.offsets = np.where(known[:, None], positions - center, self.offsets)

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


def expect(tracks: list[Track], view: View, stamp_ns: int, trunk_bones: list[int]) -> Expected:
    """Return known people as the present frame should show them.

    Args:
        tracks: M people, advanced to the time of the frame.
        view: Of the frame.
        stamp_ns: Its time.
        trunk_bones: Which bones lead from a shoulder to a hip.
    """
    moved = [track.moved(view) for track in tracks]
    k = tracks[0].last.scores.shape[1] if tracks else 0
    unknown = np.full(3, np.nan)
    motions = [track.motion for track in tracks]
    seen = [track.seen_motion for track in tracks]
    places = np.array([unknown if m is None else view.to_camera(m.position) for m in motions])
    lasts = np.array([unknown if s is None else view.to_camera(s[0]) for s in seen])
    covariances = [np.eye(3) if m is None else view.covariances_to_camera(m.covariance) for m in motions]
    trunks = [t.lengths.lengths[trunk_bones].mean() if trunk_bones else np.nan for t in tracks]
    return Expected(
        pixels=np.array([m[0] for m in moved]).reshape(-1, k, 2),
        scores=np.array([track.pose_scores for track in tracks]).reshape(-1, k),
        boxes=np.array([m[1] for m in moved]).reshape(-1, 4),
        spread_px=np.array([m[2] for m in moved]),
        centers=places.reshape(-1, 3),
        covariances=np.array(covariances).reshape(-1, 3, 3),
        last_centers=lasts.reshape(-1, 3),
        trunks=np.array(trunks),
        appearances=np.array([track.look for track in tracks]).reshape(-1, APPEARANCE_SIZE),
        gaps_s=np.array([track.gap_s(stamp_ns) for track in tracks]),
    )


def trunk_corners(topology: Topology) -> list[int]:
    """Return the indices of shoulders and hips."""
    return [topology.index[name] for name in _TRUNK]


def trunk_bones(topology: Topology, bones: tuple[Bone, ...]) -> list[int]:
    """Return which bones lead from a shoulder to a hip."""
    left_shoulder, right_shoulder, left_hip, right_hip = trunk_corners(topology)
    sides = {(left_shoulder, left_hip), (right_shoulder, right_hip)}
    return [i for i, bone in enumerate(bones) if (bone.start, bone.end) in sides]
