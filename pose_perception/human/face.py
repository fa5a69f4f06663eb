"""Faces and head poses of tracked people: landmarks by a network, placed by depth, or what the skeleton tells.

Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs, CVPR workshops 2019; the
meaning of the tensors follows MediaPipe's graph modules/face_landmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FaceMesh, FloatArray, HeadPose, RgbdFrame, Skeleton, TrackingState
from pose_perception.human.face_placement import FaceSize, measure_faces, place_faces
from pose_perception.human.face_regions import (
    FACE_KEYPOINTS,
    FACE_MARGIN,
    regions_from_keypoints,
    regions_from_landmarks,
)
from pose_perception.human.face_shape import LANDMARKS
from pose_perception.human.face_views import FaceViews, cut_views, look_at, to_image
from pose_perception.human.head_pose import HeadFitter
from pose_perception.human.topology import Topology
from pose_perception.networks.runtime import load_network

HeadAndFace = tuple[HeadPose | None, FaceMesh | None]

_SIZE = 192
# Stamps jitter: an image that comes this part of the period early is not left out.
_EARLY = 0.2
# Keypoints below this confidence say nothing of where a face is.
_MIN_KEYPOINT_SCORE = 0.15
# Two regions are of the same face when their centres are this close, as a part of the side, and the sizes this alike.
_SAME_PLACE, _SAME_SIZE = 0.25, 1.6
# A face that was not seen for longer is looked for anew, and the width of one forgotten, seconds.
_REGION_AGE_S, _MEMORY_S = 0.5, 30.0


@dataclass(frozen=True)
class FaceConfig(Config):
    """What is told of heads and faces."""

    head_pose: bool = option(False, "Estimate the pose of every head.")
    landmarks: bool = option(False, "Also give the 468 landmarks of every face.")
    rate_hz: float = option(
        15.0,
        "Look at heads at most so many times a second, by the stamps of the images; 0 for every image.",
        minimum=0.0,
    )
    smallest_face_px: float = option(
        20.0,
        "Faces less high than this have no landmarks: ears, eyes and nose give the head's pose, in pixels.",
        minimum=4.0,
    )
    min_score: float = option(0.5, "Faces below this confidence are not believed.", minimum=0.0, maximum=1.0)


@dataclass
class _Known:
    """What is remembered of one person.

    Attributes:
        size: Width of the face.
        stamp_ns: When it was seen last.
        region: Where the face was by its landmarks, shape (4,), px and radians.
        keypoint_region: Where it was by the skeleton.
    """

    size: FaceSize = field(default_factory=FaceSize)
    stamp_ns: int = 0
    region: FloatArray | None = None
    keypoint_region: FloatArray | None = None


class _Looks(NamedTuple):
    """What the network saw in M regions.

    Attributes:
        rows: The person of each, shape (M,).
        views: Where it looked.
        landmarks: With shape (M, 468, 3), px of the views.
        pixels: With shape (M, 468, 2), px of the image.
        scores: Confidence that it is a face with shape (M,).
    """

    rows: npt.NDArray[np.int64]
    views: FaceViews
    landmarks: FloatArray
    pixels: FloatArray
    scores: FloatArray


class FaceEstimator:
    """Finds the face and the head pose of each skeleton."""

    def __init__(self, topology: Topology, config: FaceConfig, device: str) -> None:
        """Load the network.

        Args:
            topology: Of the skeletons.
            config: What is wanted.
            device: auto, cuda or cpu.

        Raises:
            WeightsError: the weight file is missing or altered.
            DeviceError: the requested device is not there.
        """
        self._config = config
        self._keypoints = np.array([topology.index[name] for name in FACE_KEYPOINTS])
        self._shoulders = np.array([topology.index[name] for name in ("left_shoulder", "right_shoulder")])
        self._fitter = HeadFitter(topology)
        self._network = load_network("face_landmarks", device, outputs=("landmarks", "presence"))
        self._known: dict[str, _Known] = {}
        self._last_stamp_ns: int | None = None

    def warm_up(self) -> None:
        """Run the network once, so that the first images take no longer than the others."""
        self._network.warm_up()

    def reset(self) -> None:
        """Forget what is known from earlier frames."""
        self._known.clear()
        self._last_stamp_ns = None

    def process(self, frame: RgbdFrame, skeletons: Sequence[Skeleton]) -> list[HeadAndFace]:
        """Return head pose and face of each skeleton, in their order.

        None where it is not known, not wanted, or where this image was left out to keep to the rate. A stamp before
        that of the last image is the start of another recording.

        Args:
            frame: What the skeletons were found in.
            skeletons: People; those that this frame does not show have neither head nor face.
        """
        if not (self._config.head_pose or self._config.landmarks) or not self._is_due(frame.stamp_ns):
            return [(None, None)] * len(skeletons)
        shown = [skeleton for skeleton in skeletons if skeleton.tracking_state == TrackingState.TRACKED]
        looks = self._look(frame, shown)
        sizes = [self._of(shown[row]).size for row in looks.rows]
        faces = measure_faces(frame, looks.landmarks, looks.views, sizes)
        heads = self._heads_by_skeleton(frame, shown, looks.rows[np.isfinite(faces.measured.distance)])
        placed = place_faces(faces, frame.camera.fx, sizes, [heads[row] for row in looks.rows])
        meshes: list[FaceMesh | None] = [None] * len(shown)
        for i, row in enumerate(looks.rows):
            heads[row] = placed.heads[i]
            meshes[row] = FaceMesh(float(looks.scores[i]), looks.pixels[i], placed.positions[i])
        wanted = {
            skeleton.id: (head if self._config.head_pose else None, mesh if self._config.landmarks else None)
            for skeleton, head, mesh in zip(shown, heads, meshes, strict=True)
        }
        return [wanted.get(skeleton.id, (None, None)) for skeleton in skeletons]

    def _heads_by_skeleton(
        self, frame: RgbdFrame, people: Sequence[Skeleton], measured: npt.NDArray[np.int64]
    ) -> list[HeadPose | None]:
        """Return the heads by ears, eyes and nose of the people but those whose faces are measured."""
        rows = np.setdiff1d(np.arange(len(people)), measured)
        heads: list[HeadPose | None] = [None] * len(people)
        for row, head in zip(rows, self._fitter.fit(frame, [people[row] for row in rows]), strict=True):
            heads[row] = head
        return heads

    def _is_due(self, stamp_ns: int) -> bool:
        """Return whether this image is looked at."""
        if self._last_stamp_ns is not None:
            elapsed_s = (stamp_ns - self._last_stamp_ns) * 1e-9
            if elapsed_s < 0:
                self.reset()
            elif self._config.rate_hz > 0 and elapsed_s < (1 - _EARLY) / self._config.rate_hz:
                return False
        self._last_stamp_ns = stamp_ns
        self._known = {
            name: known for name, known in self._known.items() if (stamp_ns - known.stamp_ns) * 1e-9 < _MEMORY_S
        }
        return True

    def _of(self, skeleton: Skeleton) -> _Known:
        return self._known.setdefault(skeleton.id, _Known())

    def _look(self, frame: RgbdFrame, people: Sequence[Skeleton]) -> _Looks:
        """Return the faces that the network believes in, and remember where they are."""
        by_keypoints = self._keypoint_regions(people)
        height, width = frame.color.shape[:2]
        with np.errstate(invalid="ignore"):
            inside = ((by_keypoints[:, :2] >= 0) & (by_keypoints[:, :2] < [width, height])).all(axis=1)
            rows = np.flatnonzero(inside & (by_keypoints[:, 2] >= FACE_MARGIN * self._config.smallest_face_px))
        regions = np.array([self._region(people[row], by_keypoints[row], frame.stamp_ns) for row in rows])
        views = look_at(regions.reshape(-1, 4), frame.camera, _SIZE)
        results = self._network(cut_views(frame.color, views, frame.camera))
        landmarks = results["landmarks"].reshape(-1, LANDMARKS, 3).astype(np.float64)
        scores = 1 / (1 + np.exp(-np.clip(results["presence"].reshape(-1).astype(np.float64), -60, 60)))
        pixels = to_image(landmarks[..., :2], views, frame.camera)
        found = regions_from_landmarks(pixels)
        good = np.flatnonzero((scores >= self._config.min_score) & _are_same(found, by_keypoints[rows]))
        for row in rows:
            self._of(people[row]).region = None
        for i in good:
            known = self._of(people[rows[i]])
            known.region, known.keypoint_region, known.stamp_ns = found[i], by_keypoints[rows[i]], frame.stamp_ns
        kept = FaceViews(views.camera_from_view[good], views.focal[good], _SIZE)
        return _Looks(rows[good], kept, landmarks[good], pixels[good], scores[good])

    def _keypoint_regions(self, people: Sequence[Skeleton]) -> FloatArray:
        """Return where faces should be by the skeletons, shape (N, 4); NaN where nothing says so."""
        wanted = np.concatenate([self._keypoints, self._shoulders])
        pixels = np.array([person.pixels[wanted] for person in people]).reshape(-1, len(wanted), 2)
        scores = np.array([person.scores[wanted] for person in people]).reshape(-1, len(wanted))
        pixels = np.where(scores[..., None] >= _MIN_KEYPOINT_SCORE, pixels, np.nan)
        return regions_from_keypoints(pixels[:, : len(self._keypoints)], pixels[:, len(self._keypoints) :])

    def _region(self, person: Skeleton, by_keypoints: FloatArray, stamp_ns: int) -> FloatArray:
        """Return where to look for a face: where it was, moved as the head has moved since."""
        known = self._of(person)
        if known.region is None or (stamp_ns - known.stamp_ns) * 1e-9 > _REGION_AGE_S:
            return by_keypoints
        moved = known.region.copy()
        moved[:2] += by_keypoints[:2] - known.keypoint_region[:2]
        return moved if _are_same(moved[None], by_keypoints[None])[0] else by_keypoints


def _are_same(regions: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of N regions (N, 4) show the same face as others (N, 4), shape (N,)."""
    distance = np.linalg.norm(regions[:, :2] - others[:, :2], axis=1)
    ratio = np.maximum(regions[:, 2], others[:, 2]) / np.maximum(np.minimum(regions[:, 2], others[:, 2]), 1e-9)
    return (distance < _SAME_PLACE * others[:, 2]) & (ratio < _SAME_SIZE)
