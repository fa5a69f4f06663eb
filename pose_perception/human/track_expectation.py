"""People who are followed, as the present frame should show them."""

from __future__ import annotations

import numpy as np

from pose_perception.human.appearance import APPEARANCE_SIZE
from pose_perception.human.association import Expected
from pose_perception.human.body_model import Bone
from pose_perception.human.topology import Topology
from pose_perception.human.track import Track
from pose_perception.human.track_motion import View

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


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
    places = np.array([track.surface(view) for track in tracks])
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
        appearances=np.array([track.look.mean for track in tracks]).reshape(-1, APPEARANCE_SIZE),
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
