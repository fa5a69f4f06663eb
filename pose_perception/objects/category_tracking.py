"""Who is who among the objects of categories from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame, TrackingState
from pose_perception.geometry.camera import project
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.objects.objectron import SYMMETRIC, CategoryBox
from pose_perception.objects.objectron_detector import Detection

# What an object that nobody sees may do: standard deviations after one second, metres and radians.
_DRIFT = np.array([0.1, 0.1, 0.1, 0.3, 0.3, 0.3])
# What is left after a second of the belief in an object that no detection confirms, though its network sees it.
_FADE = 0.87


@dataclass(frozen=True)
class CategoryTrackingConfig(Config):
    """How objects of categories are followed."""

    min_score: float = option(0.2, "Objects below this score are not reported.", minimum=0.0, maximum=1.0)
    keep_s: float = option(
        0.5, "An object that is not seen is predicted for so long [s], by what is known of the camera.", minimum=0.0
    )


class _Region(NamedTuple):
    """How the region that somebody gave lies around the points that the network found in it.

    The points follow the region as well as the object: those of a region that is too small lie nearer to its middle.
    A region made of the last points alone shrinks and walks off in a few frames, until the network sees nothing. So
    it keeps its size in space where depth tells that, else in the image, and its place beside the points.

    Attributes:
        shift: From the middle of the points' outline to that of the region in sides of the region, shape (2,).
        side: px.
        depth: Of the object, metres; None where it was not measured.
    """

    shift: FloatArray
    side: float
    depth: float | None

    @classmethod
    def of(cls, region: FloatArray, box: CategoryBox) -> _Region:
        """Return how a region, (x0, y0, x1, y1) with shape (4,), lies around the box that was found in it."""
        side = float((region[2:] - region[:2]).max())
        depth = float(box.camera_from_object[2, 3]) if box.has_depth else None
        return cls((_middle(region) - _middle(box.outline)) / side, side, depth)

    def around(self, box: CategoryBox, centers: FloatArray, camera: CameraIntrinsics) -> FloatArray:
        """Return the region, (x0, y0, x1, y1) with shape (4,), around a box that was moved.

        Args:
            box: As it was seen last.
            centers: Its centre as it was seen, and where it is now, in front of the camera, shape (2, 3), metres.
            camera: Intrinsics of the image.
        """
        side = self.side
        if box.has_depth and self.depth is not None:
            side *= self.depth / centers[1, 2]
        before, now = project(centers, camera)
        middle = _middle(box.outline) + now - before + self.shift * side
        return np.concatenate([middle - side / 2, middle + side / 2])


@dataclass
class _Track:
    id: str
    box: CategoryBox
    stamp_ns: int
    fixed_from_camera: FloatArray | None
    region: _Region


class CategoryTracker:
    """Gives objects ids and states.

    Args:
        config: How long objects are remembered.
    """

    def __init__(self, config: CategoryTrackingConfig) -> None:
        self._config = config
        self._tracks: list[_Track] = []
        self._made = 0

    def expected(self, frame: RgbdFrame) -> list[Detection]:
        """Return where the objects known should be in a frame, as far as that can be believed after the time."""
        detections = []
        for track in self._tracks:
            age_s = max(0.0, (frame.stamp_ns - track.stamp_ns) * 1e-9)
            centers = np.stack([track.box.camera_from_object[:3, 3], _moved(track, frame)[:3, 3]])
            if centers[1, 2] > 0:  # else the camera has turned away
                region = track.region.around(track.box, centers, frame.camera)
                detections.append(Detection(track.box.category, _FADE**age_s * track.box.claim, region))
        return detections

    def reset(self) -> list[ObjectPose]:
        """Forget all objects; returns them as lost."""
        tracks, self._tracks = self._tracks, []
        return [_pose(track, track.box, TrackingState.LOST) for track in tracks]

    def update(self, frame: RgbdFrame, boxes: Sequence[CategoryBox]) -> list[ObjectPose]:
        """Return the objects of a frame: seen, predicted, and once those that are lost."""
        boxes = [box for box in boxes if box.score >= self._config.min_score]
        known = {id(track): _moved(track, frame) for track in self._tracks}
        free, seen, found = list(self._tracks), [], []
        for box in sorted(boxes, key=lambda box: -box.score):
            track = _nearest(box, free, known)
            region = None if box.region is None else _Region.of(box.region, box)
            if track is not None:
                free.remove(track)
                track.box = _turned_to(box, known[id(track)])
                track.region = region or track.region
            elif region is not None:
                self._made += 1
                name = f"{box.category}_{self._made}"
                track = _Track(name, _turned_to(box, None), frame.stamp_ns, None, region)
            else:
                continue  # where an object was expected, the network sees one too far from it
            track.stamp_ns, track.fixed_from_camera = frame.stamp_ns, frame.fixed_from_camera
            seen.append(track)
            found.append(_pose(track, track.box, TrackingState.TRACKED))
        self._tracks = seen
        for track in free:
            age_s = (frame.stamp_ns - track.stamp_ns) * 1e-9
            if 0 <= age_s <= self._config.keep_s:
                self._tracks.append(track)
                found.append(_pose(track, _aged(track.box, known[id(track)], age_s), TrackingState.PREDICTED))
            else:
                found.append(_pose(track, track.box, TrackingState.LOST))
        return found


def _middle(outline: FloatArray) -> FloatArray:
    """Return the middle of (x0, y0, x1, y1), shape (2,)."""
    return (outline[:2] + outline[2:]) / 2


def _moved(track: _Track, frame: RgbdFrame) -> FloatArray:
    """Return the pose of a track in the present camera, as far as its motion is known."""
    if track.fixed_from_camera is None or frame.fixed_from_camera is None:
        return track.box.camera_from_object
    return np.linalg.inv(frame.fixed_from_camera) @ track.fixed_from_camera @ track.box.camera_from_object


def _nearest(box: CategoryBox, tracks: Sequence[_Track], known: dict[int, FloatArray]) -> _Track | None:
    """Return the track that the box continues: of its category, and nearer than the box is large."""
    best, least = None, float(np.linalg.norm(box.size))
    for track in tracks:
        distance = float(np.linalg.norm(known[id(track)][:3, 3] - box.camera_from_object[:3, 3]))
        if track.box.category == box.category and distance < least:
            best, least = track, distance
    return best


def _turned_to(box: CategoryBox, previous: FloatArray | None) -> CategoryBox:
    """Choose the turn about the upright axis that means nothing: as before, at first with z towards the camera."""
    if box.category not in SYMMETRIC:
        return box
    pose = box.camera_from_object.copy()
    wanted = -pose[:3, 3] if previous is None else previous[:3, 2]
    upright = pose[:3, 1]
    flat = wanted - upright * (upright @ wanted)
    if np.linalg.norm(flat) < 1e-6:
        return box
    forward = flat / np.linalg.norm(flat)
    pose[:3, 0], pose[:3, 2] = np.cross(upright, forward), forward
    side = np.sqrt(box.size[0] * box.size[2])
    return box._replace(camera_from_object=pose, size=np.array([side, box.size[1], side]))


def _aged(box: CategoryBox, pose: FloatArray, age_s: float) -> CategoryBox:
    covariance = box.covariance + np.diag((_DRIFT * age_s) ** 2)
    return box._replace(camera_from_object=pose, covariance=covariance, score=box.score * 0.5**age_s)


def _pose(track: _Track, box: CategoryBox, state: TrackingState) -> ObjectPose:
    pose = ObjectPose(
        id=track.id,
        model=box.category,
        score=box.score,
        tracking_state=state,
        camera_from_object=box.camera_from_object,
        covariance=box.covariance,
        box_center=np.zeros(3),
        box_size=box.size,
    )
    return replace(pose, score=0.0) if state == TrackingState.LOST else pose
