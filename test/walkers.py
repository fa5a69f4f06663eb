"""People of sticks who walk in front of a camera, as an estimator and a lifter see them: for tests of tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, KeypointState, PoseEstimates, RgbdFrame, Skeleton
from pose_perception.geometry.camera import project, rays
from pose_perception.human.body_model import bones_of
from pose_perception.human.lifting import LiftedBodies
from pose_perception.human.sightings import look_at
from pose_perception.human.topology import COCO_17
from pose_perception.human.tracking import Tracker, TrackingConfig

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
# Joints of someone of 1.7 m who faces the camera, from mid-hip: right, down, away; metres.
_HEAD = {"nose": (0, -0.68, -0.1), "eye": (0.03, -0.71, -0.09), "ear": (0.07, -0.69, 0.0)}
_BODY = {
    **{"shoulder": (0.175, -0.5, 0), "elbow": (0.2, -0.2, 0.03), "wrist": (0.21, 0.05, -0.03)},
    **{"hip": (0.1, 0, 0), "knee": (0.1, 0.42, 0), "ankle": (0.1, 0.84, 0.03)},
}
# How wide the body is that hides others, and how deep the trunk's surface lies before the middle, metres.
_HALF_WIDTH, _HALF_DEPTH = 0.22, 0.10
_BACKGROUND_M = 6.0
# A person of whom a larger share of the joints is hidden is not found, and one of whom more shows is seen well.
_LOST_SHARE = 0.6


@dataclass
class Walker:
    """One person: where the mid-hip is at a time, x, y, z in the world, which is the camera's frame when it rests."""

    path: Callable[[float], tuple[float, float, float]]
    shirt: tuple[int, int, int] = (150, 60, 50)
    trousers: tuple[int, int, int] = (50, 60, 90)
    height_m: float = 1.7
    burden_m: float = 0.0  # how far what they carry in front of the trunk reaches

    def joints(self, time_s: float) -> np.ndarray:
        """Return COCO's joints at a time with shape (17, 3), metres; the legs step."""
        place = np.array(self.path(time_s))
        points = np.zeros((17, 3))
        for name, i in COCO_17.index.items():
            side, _, part = name.partition("_")
            x, y, z = {**_HEAD, **_BODY}[part or side]
            points[i] = (x if side == "left" else -x, y, z)
        step = 0.12 * np.sin(2 * np.pi * 0.9 * time_s)
        for side, sign in (("left", 1), ("right", -1)):
            points[COCO_17.index[f"{side}_ankle"], 2] += sign * step
            points[COCO_17.index[f"{side}_wrist"], 2] -= sign * step
        return place + points * self.height_m / 1.7


@dataclass
class Street:
    """A camera in front of walkers, and a tracker that is fed with what it sees.

    Attributes:
        walkers: The people.
        rate_hz: Frames a second.
        depth: Whether the camera has depth.
        noise_px: Of the keypoints.
        flicker: Chance that a person is not found in a frame.
        merges: Chance that somebody who is half hidden has the joints of the one in front where theirs are hidden.
        weak: Chance that a detection has a low score.
        world_from_camera: Pose of the camera at a time; None for one that rests and does not tell.
        ids: The identifiers given to each walker so far, in order, without repetition.
    """

    walkers: Sequence[Walker]
    rate_hz: float = 15.0
    depth: bool = True
    noise_px: float = 1.0
    flicker: float = 0.0
    merges: float = 0.0
    weak: float = 0.0
    world_from_camera: Callable[[float], np.ndarray] | None = None
    config: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        self.tracker = Tracker(COCO_17, bones_of(COCO_17), self.config, min_score=0.25)
        self.ids: list[list[str]] = [[] for _ in self.walkers]
        self.frames = 0
        self.hidden = np.ones(len(self.walkers))
        self._rng = np.random.default_rng(self.seed)
        self._grain = self._rng.normal(0, 6, (CAMERA.height, CAMERA.width, 3)).astype(np.int64)

    def run(self, duration_s: float) -> list[list[Skeleton]]:
        """Return the skeletons of some seconds."""
        return [self.step() for _ in range(round(duration_s * self.rate_hz))]

    def step(self) -> list[Skeleton]:
        """Return the skeletons of the next frame."""
        time_s = self.frames / self.rate_hz
        self.frames += 1
        pose = np.eye(4) if self.world_from_camera is None else self.world_from_camera(time_s)
        joints = np.stack([walker.joints(time_s) for walker in self.walkers])
        in_camera = (joints - pose[:3, 3]) @ pose[:3, :3]
        shown, covered = self._shown(in_camera)
        frame = self._frame(in_camera, pose, round(time_s * 1e9))
        estimates, owners = self._estimates(in_camera, shown, covered)
        skeletons = self._track(frame, estimates, in_camera, owners)
        self._name(skeletons, in_camera)
        return skeletons

    def _shown(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which joints (N, 17) are seen, and which are in the image but behind somebody's trunk or legs."""
        pixels = project(joints, CAMERA)
        inside = ((pixels >= 0) & (pixels < [CAMERA.width, CAMERA.height])).all(axis=2)
        covered = np.zeros_like(inside)
        for other in joints:
            box = self._box(other)
            behind = (pixels >= box[:2]).all(axis=2) & (pixels <= box[2:]).all(axis=2)
            covered |= behind & (joints[..., 2] > other[:, 2].mean() + 0.2)
        return inside & ~covered, inside & covered

    def _box(self, joints: np.ndarray) -> np.ndarray:
        """Return the silhouette of a person: a box around the joints, not as wide as the arms."""
        center = joints.mean(axis=0)
        pixels = project(joints, CAMERA)
        half = _HALF_WIDTH * CAMERA.fx / center[2]
        middle = project(center, CAMERA)[0]
        return np.array([middle - half, pixels[:, 1].min(), middle + half, pixels[:, 1].max()])

    def _frame(self, joints: np.ndarray, pose: np.ndarray, stamp_ns: int) -> RgbdFrame:
        """Paint the people as boxes in front of a wall, the far ones first."""
        color = np.full((CAMERA.height, CAMERA.width, 3), 128, np.uint8)
        depth = np.full((CAMERA.height, CAMERA.width), _BACKGROUND_M, np.float32)
        for i in np.argsort(-joints[..., 2].mean(axis=1)):
            x0, y0, x1, y1 = np.clip(np.rint(self._box(joints[i])), 0, CAMERA.width).astype(int)
            hips = int(np.clip(project(joints[i, 11:13].mean(axis=0), CAMERA)[1], 0, CAMERA.height))
            color[y0:hips, x0:x1], color[max(hips, y0) : y1, x0:x1] = self.walkers[i].shirt, self.walkers[i].trousers
            depth[y0:y1, x0:x1] = joints[i, :, 2].mean() - _HALF_DEPTH
            depth[y0:hips, x0:x1] -= self.walkers[i].burden_m
        noisy = np.clip(color + self._grain, 0, 255).astype(np.uint8)
        fixed = None if self.world_from_camera is None else pose
        return RgbdFrame(noisy, depth if self.depth else None, CAMERA, stamp_ns, "camera", fixed)

    def _estimates(self, joints: np.ndarray, shown: np.ndarray, covered: np.ndarray) -> tuple[PoseEstimates, list[int]]:
        """Return what an estimator finds, in any order, and whose joints these are."""
        share = shown.mean(axis=1)
        self.hidden = 1 - share
        found = (share > 1 - _LOST_SHARE) & (self._rng.random(len(share)) >= self.flicker)
        joints, shown = joints.copy(), shown.copy()
        for i in np.flatnonzero(covered.any(axis=1) & (self._rng.random(len(share)) < self.merges)):
            front = int((np.abs(joints[..., 0] - joints[i, :, 0]).mean(axis=1) + (np.arange(len(share)) == i)).argmin())
            joints[i, covered[i]] = joints[front, covered[i]]
            shown[i] |= covered[i]
            found[i] = shown[i].mean() > 1 - _LOST_SHARE
        owners = [int(i) for i in self._rng.permutation(np.flatnonzero(found))]
        pixels = project(joints[owners], CAMERA).reshape(-1, 17, 2)
        pixels += self._rng.normal(0, self.noise_px, pixels.shape)
        scores = np.where(shown[owners], 0.8, 0.1).reshape(-1, 17)
        person = 0.7 * share[owners] * np.where(self._rng.random(len(owners)) < self.weak, 0.2, 1.0)
        visible = np.where(scores[..., None] > 0.5, pixels, np.nan)
        boxes = np.concatenate([np.nanmin(visible, axis=1), np.nanmax(visible, axis=1)], axis=1).reshape(-1, 4)
        return PoseEstimates.without_world(pixels, scores, boxes, person), owners

    def _track(
        self, frame: RgbdFrame, estimates: PoseEstimates, joints: np.ndarray, owners: list[int]
    ) -> list[Skeleton]:
        self.tracker.predict(frame)
        sightings = look_at(frame, estimates, COCO_17, 0.25)
        rows, tracks = self.tracker.associate(estimates, sightings, 0.2, 0.5)
        estimates, sightings = estimates.select(rows), sightings.select(rows)
        view = rays(estimates.pixels, CAMERA)
        truth = joints[np.array(owners, int)[rows]]
        positions = view * truth[..., 2:] + self._rng.normal(0, 0.006, (len(rows), 17, 3))
        seen = estimates.scores > 0.5
        positions[~seen | (not self.depth)] = np.nan
        covariances = np.where(np.isfinite(positions)[..., None], np.eye(3) * 0.02**2, np.nan)
        states = np.where(np.isfinite(positions[..., 0]), KeypointState.MEASURED, KeypointState.MISSING)
        impossible, flat = np.zeros(seen.shape, bool), np.zeros(len(rows), bool)
        bodies = LiftedBodies(positions, covariances, states.astype(np.uint8), impossible, flat)
        return self.tracker.update(tracks, estimates, sightings, bodies)

    def _name(self, skeletons: list[Skeleton], joints: np.ndarray) -> None:
        """Note which identifier each person has who is seen."""
        truth = project(joints, CAMERA)
        for skeleton in skeletons:
            if np.isfinite(skeleton.pixels).any():
                seen = skeleton.scores > 0.5
                distance = np.linalg.norm(truth - skeleton.pixels, axis=2)[:, seen].mean(axis=1)
                names = self.ids[int(np.argmin(distance))]
                if names[-1:] != [skeleton.id]:
                    names.append(skeleton.id)
