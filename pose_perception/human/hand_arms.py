"""The arms of skeletons whose hands may be seen, in arrays over all arms of all people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import CameraIntrinsics, FloatArray, Skeleton, TrackingState
from pose_perception.human.body_model import bones_of
from pose_perception.human.hand_depth import Wrists
from pose_perception.human.hand_regions import middle_knuckles
from pose_perception.human.topology import Topology

SIDES = ("left", "right")
# Wrists below this confidence are not looked at: the body's network does not see them.
_MIN_SCORE = 0.2
# Share of the bones of a body that may look longer than they are; the longest ones lie across the view.
_LONGEST = 0.9


class Arms(NamedTuple):
    """N arms.

    Attributes:
        person: Index of the skeleton, shape (N,).
        is_right: Which are right arms, shape (N,).
        wrists: In the image with shape (N, 2), px.
        forearms: From the elbow to the wrist in the image with shape (N, 2), px; NaN when the elbow is not seen.
        hands: From the wrist to the middle knuckle with shape (N, 2), px; NaN where the body's network has no hands.
        pixels_per_metre: How large things are at the distance of the wrist, shape (N,).
        positions: Of the wrists in the camera optical frame and their covariances.
    """

    person: npt.NDArray[np.int64]
    is_right: npt.NDArray[np.bool_]
    wrists: FloatArray
    forearms: FloatArray
    hands: FloatArray
    pixels_per_metre: FloatArray
    positions: Wrists

    def select(self, index: npt.ArrayLike) -> Arms:
        """Return the arms chosen by a boolean mask or an index array."""
        index = np.asarray(index)
        return Arms(*(values[index] for values in self[:-1]), Wrists(*(values[index] for values in self.positions)))


def arms_of(skeletons: Sequence[Skeleton], topology: Topology, camera: CameraIntrinsics) -> Arms:
    """Return the arms of the people that are seen in this frame, whose wrists lie in the image.

    Args:
        skeletons: People with the keypoints of `topology`.
        topology: The keypoint set.
        camera: Intrinsics.
    """
    joints = {name: _pair(topology, name) for name in ("wrist", "elbow", "index", "pinky")}
    if joints["wrist"] is None or not skeletons:
        return _no_arms()
    pixels = np.stack([person.pixels for person in skeletons]).astype(np.float64)
    scores = np.stack([person.scores for person in skeletons])
    points = np.stack([person.positions for person in skeletons]).astype(np.float64)
    covariances = np.stack([person.covariances for person in skeletons]).astype(np.float64)
    nowhere = np.full((len(skeletons), 2, 2), np.nan)
    at = {name: nowhere if pair is None else pixels[:, pair] for name, pair in joints.items()}
    knuckles = middle_knuckles(at["index"], at["pinky"])
    is_tracked = np.array([person.tracking_state == TrackingState.TRACKED for person in skeletons])
    scale = _pixels_per_metre(points, pixels, joints["wrist"], topology, camera)  # (people, 2)
    is_inside = np.all((at["wrist"] >= 0) & (at["wrist"] <= [camera.width - 1, camera.height - 1]), axis=2)
    usable = is_tracked[:, None] & is_inside & (scores[:, joints["wrist"]] >= _MIN_SCORE)
    usable &= np.isfinite(scale)
    arms = Arms(
        person=np.repeat(np.arange(len(skeletons)), 2),
        is_right=np.tile([False, True], len(skeletons)),
        wrists=at["wrist"].reshape(-1, 2),
        forearms=(at["wrist"] - at["elbow"]).reshape(-1, 2),
        hands=(knuckles - at["wrist"]).reshape(-1, 2),
        pixels_per_metre=scale.ravel(),
        positions=Wrists(points[:, joints["wrist"]].reshape(-1, 3), covariances[:, joints["wrist"]].reshape(-1, 3, 3)),
    )
    return arms.select(usable.ravel())


def _pair(topology: Topology, name: str) -> list[int] | None:
    names = [f"{side}_{name}" for side in SIDES]
    return [topology.index[n] for n in names] if all(n in topology.index for n in names) else None


def _pixels_per_metre(
    points: FloatArray, pixels: FloatArray, wrists: list[int], topology: Topology, camera: CameraIntrinsics
) -> FloatArray:
    """Return how large things are at the wrists of N people, shape (N, 2); NaN when that is not known.

    By the depth of the wrist, else by that of the body, else by the bones that look the longest.
    """
    depth = points[:, wrists, 2]
    ordered = np.sort(points[..., 2], axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    middle = ordered[np.arange(len(points)), np.maximum(count - 1, 0) // 2]
    depth = np.where(np.isfinite(depth), depth, middle[:, None])
    bones = bones_of(topology)
    starts, ends = ([getattr(bone, end) for bone in bones] for end in ("start", "end"))
    looks = np.linalg.norm(pixels[:, ends] - pixels[:, starts], axis=2) / [bone.length for bone in bones]
    looks = np.sort(looks, axis=1)  # NaN last
    count = np.isfinite(looks).sum(axis=1)
    by_bones = looks[np.arange(len(looks)), np.maximum(np.ceil(_LONGEST * count).astype(np.int64) - 1, 0)]
    return np.where(np.isfinite(depth), camera.fx / depth, by_bones[:, None])


def _no_arms() -> Arms:
    nothing = np.zeros((0, 2))
    positions = Wrists(np.zeros((0, 3)), np.zeros((0, 3, 3)))
    return Arms(np.zeros(0, np.int64), np.zeros(0, bool), nothing, nothing, nothing, np.zeros(0), positions)
