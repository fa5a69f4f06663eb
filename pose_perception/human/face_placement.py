"""From landmarks in a crop to a head and a mesh in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray, HeadPose, HeadSource, RgbdFrame
from pose_perception.human.face_distance import FaceDistances, measure_distances
from pose_perception.human.face_shape import (
    FACE_WIDTH_M,
    SELLION,
    face_heights,
    face_widths,
    facing,
    head_rotations,
    shapes_in_view,
)
from pose_perception.human.face_views import FaceViews

# Widths of adults' faces differ by this part (ISO 7250-1, bizygomatic breadth), children's are smaller.
_WIDTH_SPREAD = 0.08
# One measured width errs by this part; however many there were, the network's shape is not better known than that.
_MEASURED_WIDTH_SPREAD = 0.04
_LEARNED_WIDTH_SPREAD = 0.02
# Standard deviations of the turn of a face that looks at the camera, about the axes of its view (right, down, away),
# radians; of one that looks elsewhere by this angle they are twice as large, and of one of this height by half as much
# again. From simulated people; the nod is a little less certain with real ones.
_TURN_SIGMAS = np.deg2rad([4.0, 2.5, 1.2])
_TURNED_AWAY_RAD = np.deg2rad(45.0)
_SMALL_PX = 25.0
# The sellion across the view: the network's place of it on the face, metres, and in the image, px.
_ACROSS_SIGMA_M, _ACROSS_SIGMA_PX = 0.004, 0.5


class FaceSize:
    """The width of one person's face: what people have, until it was measured.

    Attributes:
        width: Metres.
        spread: Standard deviation as a part of the width.
    """

    def __init__(self) -> None:
        self.width, self.spread = FACE_WIDTH_M, _WIDTH_SPREAD

    def learn(self, width: float) -> None:
        """Take in one measured width, metres."""
        gain = self.spread**2 / (self.spread**2 + _MEASURED_WIDTH_SPREAD**2)
        self.width += gain * (width - self.width)
        self.spread = max(_LEARNED_WIDTH_SPREAD, self.spread * float(np.sqrt(1 - gain)))


class Faces(NamedTuple):
    """Shape and distance of N faces.

    Attributes:
        views: Where they were looked at.
        shapes: Landmarks with shape (N, 468, 3) in the axes of the views, as parts of the distance, from the sellion.
        rays: To the landmarks with shape (N, 468, 3) in the camera's axes: times the distance they are positions.
        rotations: view_from_head with shape (N, 3, 3).
        away: Angle between where each face looks and the direction to the camera with shape (N,), radians.
        by_size: Distance that the size of each face suggests with shape (N,), metres.
        measured: Distance by the depth image.
    """

    views: FaceViews
    shapes: FloatArray
    rays: FloatArray
    rotations: FloatArray
    away: FloatArray
    by_size: FloatArray
    measured: FaceDistances


class PlacedFaces(NamedTuple):
    """N faces in the camera optical frame.

    Attributes:
        heads: Pose of each head.
        positions: Landmarks with shape (N, 468, 3), metres; NaN where no depth is measured: a mesh has no covariance
            that could say how uncertain it is.
    """

    heads: list[HeadPose]
    positions: FloatArray


def measure_faces(frame: RgbdFrame, landmarks: FloatArray, views: FaceViews, sizes: Sequence[FaceSize]) -> Faces:
    """Measure how far away faces are.

    Args:
        frame: What they were seen in.
        landmarks: The network's result with shape (N, 468, 3), px of the views.
        views: Where the network looked.
        sizes: Of each of the N faces; those that are measured are learned.
    """
    shapes = shapes_in_view(landmarks, views)
    rays = views.rays(landmarks[..., :2]) * (1 + shapes[..., 2:])
    seen_widths = face_widths(shapes)
    by_size = np.array([size.width for size in sizes]) / np.maximum(seen_widths, 1e-9)
    measured = FaceDistances(np.full(len(sizes), np.nan), np.full(len(sizes), np.nan))
    if frame.depth is not None:
        measured = measure_distances(frame.depth, frame.camera, rays, facing(shapes), by_size)
    for size, width in zip(sizes, seen_widths * measured.distance, strict=True):
        if np.isfinite(width):
            size.learn(float(width))
    rotations = head_rotations(shapes)
    away = np.arccos(np.clip(-rotations[:, 2, 0], -1.0, 1.0))
    return Faces(views, shapes, rays, rotations, away, by_size, measured)


def place_faces(
    faces: Faces, focal: float, sizes: Sequence[FaceSize], skeleton_heads: Sequence[HeadPose | None]
) -> PlacedFaces:
    """Place faces in space.

    Args:
        faces: From `measure_faces`.
        focal: Focal length of the camera, px.
        sizes: Of each of the N faces.
        skeleton_heads: Heads of the same people by their skeletons: they tell, too, how far away faces are that the
            depth image does not show. None where that is not known.
    """
    inferred = _infer_distances(faces, sizes, skeleton_heads)
    is_measured = np.isfinite(faces.measured.distance)
    distance = np.where(is_measured, faces.measured.distance, inferred.distance)
    sigma = np.where(is_measured, faces.measured.sigma, inferred.sigma)
    positions = faces.rays * distance[:, None, None]
    poses = np.tile(np.eye(4), (len(sizes), 1, 1))
    poses[:, :3, :3] = faces.views.camera_from_view @ faces.rotations
    poses[:, :3, 3] = positions[:, SELLION]
    covariances = _covariances(faces, distance, sigma, focal)
    heads = [HeadPose(pose, covariance, HeadSource.FACE) for pose, covariance in zip(poses, covariances, strict=True)]
    return PlacedFaces(heads, np.where(is_measured[:, None, None], positions, np.nan))


def _infer_distances(faces: Faces, sizes: Sequence[FaceSize], heads: Sequence[HeadPose | None]) -> FaceDistances:
    """Return distances where no depth is measured: what the face's size says and where the skeleton has the head."""
    information = 1 / np.square(faces.by_size * [size.spread for size in sizes])
    weighted = information * faces.by_size
    for i, head in enumerate(heads):
        if head is not None:
            axis = faces.views.camera_from_view[i, :, 2]
            known = 1 / (axis @ head.covariance[:3, :3] @ axis)
            information[i] += known
            weighted[i] += known * (axis @ head.camera_from_head[:3, 3])
    return FaceDistances(weighted / information, 1 / np.sqrt(information))


def _covariances(faces: Faces, distance: FloatArray, sigma: FloatArray, focal: float) -> FloatArray:
    """Return covariances of the poses with shape (N, 6, 6)."""
    heights, rays = focal * face_heights(faces.shapes), faces.rays[:, SELLION]
    across = np.hypot(_ACROSS_SIGMA_M, _ACROSS_SIGMA_PX * distance / focal)
    factor = (1 + (faces.away / _TURNED_AWAY_RAD) ** 4) * np.hypot(1, _SMALL_PX / np.maximum(heights, 1e-9))
    axes = faces.views.camera_from_view
    covariances = np.zeros((len(distance), 6, 6))
    covariances[:, :3, :3] = np.square(sigma)[:, None, None] * rays[:, :, None] * rays[:, None]
    covariances[:, :3, :3] += np.square(across)[:, None, None] * np.eye(3)
    turn = np.square(factor[:, None] * _TURN_SIGMAS)
    covariances[:, 3:, 3:] = (axes * turn[:, None]) @ np.swapaxes(axes, 1, 2)
    return covariances
