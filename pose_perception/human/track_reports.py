"""What is published of a track: a person as seen, as predicted, and as lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_perception.datatypes import FloatArray, KeypointState, Skeleton, TrackingState
from pose_perception.human.smoothing import SmoothedJoints
from pose_perception.human.topology import Topology
from pose_perception.human.torso import torso_pose
from pose_perception.human.track import Track
from pose_perception.human.track_motion import View


def seen(
    track: Track, joints: SmoothedJoints, row: int, scores: FloatArray, view: View, is_flat: bool, topology: Topology
) -> Skeleton:
    """Return the person that the frame shows.

    Args:
        track: Has already taken in the frame.
        joints: Smoothed joints of all people in the frame of reference.
        row: Which of these is the person.
        scores: Of the keypoints with shape (K,).
        view: Of the frame.
        is_flat: Whether the person is a picture.
        topology: Names of the joints.
    """
    estimate, positions = track.last, view.to_camera(joints.positions[row])
    return Skeleton(
        id=track.id,
        score=float(estimate.person_scores[0]),
        tracking_state=TrackingState.TRACKED,
        box=estimate.boxes[0],
        pixels=estimate.pixels[0],
        scores=scores,
        positions=positions,
        covariances=view.covariances_to_camera(joints.covariances[row]),
        states=joints.states[row],
        velocity=_velocity(track, view),
        camera_from_torso=torso_pose(positions, topology),
        is_flat=is_flat,
    )


def predicted(track: Track, view: View, topology: Topology) -> Skeleton:
    """Return a person whom this frame does not show: moved on with the trunk, less certain the longer it lasts."""
    last = track.skeleton
    assert last is not None
    positions, covariances = np.full_like(track.positions, np.nan), np.full_like(track.covariances, np.nan)
    if track.motion is not None and track.seen_motion is not None:
        place, covariance = track.seen_motion
        positions = view.to_camera(track.positions + track.motion.position - place)
        grown = view.covariances_to_camera(track.covariances + _positive(track.motion.covariance - covariance))
        covariances = np.where(np.isfinite(positions).all(axis=1)[:, None, None], grown, np.nan)
    known = np.isfinite(positions).all(axis=1)
    return Skeleton(
        id=track.id,
        score=last.score,
        tracking_state=TrackingState.PREDICTED,
        box=track.moved(view)[1],
        pixels=np.full_like(last.pixels, np.nan),
        scores=np.zeros_like(last.scores),
        positions=positions,
        covariances=covariances,
        states=np.where(known, KeypointState.INFERRED, KeypointState.MISSING).astype(np.uint8),
        velocity=_velocity(track, view),
        camera_from_torso=torso_pose(positions, topology),
        is_flat=last.is_flat,
    )


def lost(last: Skeleton) -> Skeleton:
    """Return the last word on a person for now: nothing is known of them any more."""
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
        hands=(),
        head=None,
        face=None,
    )


def _velocity(track: Track, view: View) -> FloatArray:
    """Return the body's velocity in the axes of the camera, shape (3,), m/s; NaN when unknown."""
    if track.motion is None or not track.motion.knows_velocity:
        return np.full(3, np.nan)
    return track.motion.velocity @ view.rotation


def _positive(covariance: FloatArray) -> FloatArray:
    """Return the nearest covariance without negative directions, shape (3, 3)."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
