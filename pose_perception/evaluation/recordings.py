"""What can be measured of skeletons on recordings without truth: bones have a length, and nobody is the wall behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pose_perception.datatypes import FloatArray, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.evaluation.one_pixel import one_pixel_positions
from pose_perception.human.pipeline import HumanPipeline
from pose_perception.human.topology import Topology
from pose_perception.recording.folder import FolderRecording

_BONES = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist")}
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# Nobody's joint lies so far behind the middle of the trunk, metres.
_LONGEST_LEG_M = 1.0
_FEWEST = 10


class BoneFigures(NamedTuple):
    """Length of a bone over a recording.

    Attributes:
        person: Identifier.
        side: `left` or `right`.
        bone: Name.
        frames: In which both ends were measured.
        mean_m: Mean length.
        variation: Standard deviation over mean.
        one_pixel_variation: The same with the depth of the one pixel of each joint, over all frames.
    """

    person: str
    side: str
    bone: str
    frames: int
    mean_m: float
    variation: float
    one_pixel_variation: float


class RecordingFigures(NamedTuple):
    """What was found in a recording.

    Attributes:
        frames: Number of images.
        people: Number of images by the number of people seen in them.
        ids: All identifiers.
        bones: Arms of everybody.
        asymmetry: Largest difference of the mean lengths of a bone of both sides, over their mean, by person and bone.
        far_joints: Published joints more than a metre behind the trunk: on the background.
    """

    frames: int
    people: dict[int, int]
    ids: tuple[str, ...]
    bones: list[BoneFigures]
    asymmetry: dict[tuple[str, str], float]
    far_joints: int


def recording_frames(recording: FolderRecording, rate_hz: float) -> Iterator[RgbdFrame]:
    """Yield the frames of a recording at a rate."""
    for i in range(len(recording)):
        images = recording.read(i)
        depth = images.depth_mm.astype(np.float32) / 1000
        yield RgbdFrame(images.color, depth, recording.camera, round(i / rate_hz * 1e9), "camera")


def measure_recording(pipeline: HumanPipeline, recording: FolderRecording, rate_hz: float = 15.0) -> RecordingFigures:
    """Run the pipeline on a recording.

    Args:
        pipeline: Its people are forgotten first.
        recording: Colour and registered depth.
        rate_hz: Images a second.

    Raises:
        InvalidInputError: an image cannot be used.
    """
    pipeline.reset()
    lengths: defaultdict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    people: defaultdict[int, int] = defaultdict(int)
    ids: dict[str, None] = {}
    far = frames = 0
    for frame in recording_frames(recording, rate_hz):
        seen = [s for s in pipeline.process(frame) if s.tracking_state == TrackingState.TRACKED]
        frames += 1
        people[len(seen)] += 1
        for skeleton in seen:
            ids[skeleton.id] = None
            far += _far_joints(skeleton, pipeline.topology)
            for key, value in _arm_lengths(frame, skeleton, pipeline.topology).items():
                lengths[(skeleton.id, *key)].append(value)
    bones = [_bone_figures(key, np.array(values)) for key, values in sorted(lengths.items())]
    bones = [bone for bone in bones if bone.frames >= _FEWEST]
    return RecordingFigures(frames, dict(sorted(people.items())), tuple(ids), bones, _asymmetry(bones), far)


def _far_joints(skeleton: Skeleton, topology: Topology) -> int:
    trunk = skeleton.positions[[topology.index[name] for name in _TRUNK], 2]
    if not np.isfinite(trunk).any():
        return 0
    return int((skeleton.positions[:, 2] > np.nanmedian(trunk) + _LONGEST_LEG_M).sum())


def _arm_lengths(
    frame: RgbdFrame, skeleton: Skeleton, topology: Topology
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return measured length and that of the one pixel method by side and bone, metres; NaN where there is none."""
    one_pixel = one_pixel_positions(frame, skeleton.pixels)
    result = {}
    for side in ("left", "right"):
        for bone, joints in _BONES.items():
            a, b = (topology.index[f"{side}_{joint}"] for joint in joints)
            measured = (skeleton.states[[a, b]] == KeypointState.MEASURED).all()
            length = np.linalg.norm(skeleton.positions[a] - skeleton.positions[b]) if measured else np.nan
            result[side, bone] = (float(length), float(np.linalg.norm(one_pixel[a] - one_pixel[b])))
    return result


def _bone_figures(key: tuple[str, str, str], lengths: FloatArray) -> BoneFigures:
    ours, theirs = (values[np.isfinite(values)] for values in lengths.T)
    mean = float(ours.mean()) if len(ours) else float("nan")
    return BoneFigures(*key, len(ours), mean, _variation(ours), _variation(theirs))


def _variation(values: FloatArray) -> float:
    return float(values.std() / values.mean()) if len(values) else float("nan")


def _asymmetry(bones: list[BoneFigures]) -> dict[tuple[str, str], float]:
    means = {(bone.person, bone.bone, bone.side): bone.mean_m for bone in bones}
    result = {}
    for person, bone, side in means:
        if side == "left" and (person, bone, "right") in means:
            left, right = means[person, bone, "left"], means[person, bone, "right"]
            result[person, bone] = abs(left - right) / ((left + right) / 2)
    return result
