"""Skeletons as the command `pose-perception human` writes them, read for imitation."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray, HandPose, KeypointState, Skeleton, TrackingState
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.palm import pose_from_knuckles
from pose_perception.geometry.torso import pose_from_corners

_CORNERS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist"))
_KNUCKLES = ("wrist", "index_mcp", "middle_mcp", "pinky_mcp")
_LANDMARKS = 21


@dataclass(frozen=True)
class SkeletonFile:
    """One person in a video.

    Attributes:
        person: Identifier.
        keypoints: Names, in the order of the skeletons' arrays.
        frames: The person in each frame; None where they are not seen.
    """

    person: str
    keypoints: tuple[str, ...]
    frames: tuple[Skeleton | None, ...]


def read_skeletons(path: Path, person: str | None = None) -> SkeletonFile:
    """Read one person of a file.

    Args:
        path: `{"frames": [{"skeletons": [{"id", "score", "keypoints": {NAME: {"position": [x, y, z] | null}}}]}]}`.
        person: Identifier; None for the one who is seen in most frames, of equals the first.

    Raises:
        InvalidInputError: the file cannot be read or has another form, or that person is not in it.
    """
    try:
        frames = [list(frame["skeletons"]) for frame in json.loads(path.read_text(encoding="utf-8"))["frames"]]
        seen = Counter(str(skeleton["id"]) for frame in frames for skeleton in frame)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is no file of skeletons: {error!r}") from error
    if not seen:
        raise InvalidInputError(f"{path} shows nobody in {len(frames)} frames")
    if person is not None and person not in seen:
        raise InvalidInputError(f"{path} has no person {person!r}; it has {', '.join(seen)}")
    chosen = seen.most_common(1)[0][0] if person is None else person
    own = [next((s for s in frame if str(s["id"]) == chosen), None) for frame in frames]
    try:
        names = next(tuple(skeleton["keypoints"]) for skeleton in own if skeleton is not None)
        missing = [name for name in (*_CORNERS, *_ARMS) if name not in names]
        if missing:
            raise InvalidInputError(f"{path} lacks the keypoints {', '.join(missing)}")
        skeletons = tuple(None if item is None else _skeleton(item, names) for item in own)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"{path} has a skeleton that is none: {error!r}") from error
    return SkeletonFile(chosen, names, skeletons)


def _skeleton(content: dict[str, Any], names: tuple[str, ...]) -> Skeleton:
    positions = np.stack([_position(content["keypoints"].get(name)) for name in names])
    at = {name: positions[i] for i, name in enumerate(names)}
    count = len(names)
    known = np.isfinite(positions).all(axis=1)
    return Skeleton(
        str(content["id"]),
        float(content.get("score", 1.0)),
        TrackingState.TRACKED,
        np.full(4, np.nan),
        np.full((count, 2), np.nan),
        np.ones(count),
        positions,
        np.full((count, 3, 3), np.nan),
        np.where(known, KeypointState.MEASURED, KeypointState.MISSING).astype(np.uint8),
        np.full(3, np.nan),
        pose_from_corners(*(at[name] for name in _CORNERS)),
        hands=tuple(_hand(side, hand) for side, hand in (content.get("hands") or {}).items()),
    )


def _hand(side: str, content: dict[str, Any]) -> HandPose:
    wrist, index, middle, pinky = (_position(content["landmarks"].get(name)) for name in _KNUCKLES)
    pinch, openness = (np.nan if content.get(key) is None else float(content[key]) for key in ("pinch", "openness"))
    return HandPose(
        side,
        float(content.get("score", 1.0)),
        np.full((_LANDMARKS, 2), np.nan),
        np.full((_LANDMARKS, 3), np.nan),
        np.full((_LANDMARKS, 3, 3), np.nan),
        np.zeros(_LANDMARKS, dtype=np.uint8),
        pose_from_knuckles(wrist, index, middle, pinky, side),
        pinch,
        openness,
    )


def _position(keypoint: dict[str, Any] | None) -> FloatArray:
    """Return a position with shape (3,), metres; NaN when it is missing."""
    place = None if keypoint is None else keypoint.get("position")
    if place is None:
        return np.full(3, np.nan)
    found = np.array(place, dtype=float)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise ValueError(f"a position must be three finite numbers or null, got {place}")
    return found
