"""Runs the human pipeline on simulated sequences and pairs what it finds with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_perception.datatypes import FloatArray, KeypointState, RgbdFrame, Skeleton, TrackingState
from pose_perception.evaluation.one_pixel import one_pixel_positions
from pose_perception.geometry.camera import project
from pose_perception.geometry.registration import DepthRegistration
from pose_perception.human.pipeline import HumanPipeline
from pose_perception.human.topology import Topology
from pose_perception.simulation.sequence import SimulatedSequence

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# A skeleton whose trunk is farther than this from a person's is not theirs, metres.
_SAME_PERSON_M = 0.5
# A joint this near to a surface of the room, and this far behind where it should be, lies on the background, metres.
_ON_SURFACE_M, _BEHIND_M = 0.10, 0.15


@dataclass(frozen=True)
class JointErrors:
    """M joints of people who were seen, from all frames of a sequence.

    Attributes:
        names: Keypoint with shape (M,).
        errors: Published minus true position with shape (M, 3), metres; NaN where none was published.
        covariances: Published with shape (M, 3, 3), square metres.
        states: `KeypointState` with shape (M,).
        visible: Whether the camera sees the joint, shape (M,).
        one_pixel: The same errors of the method of one pixel with shape (M, 3).
        on_background: Joints that lie on a surface of the room behind the person, shape (M,).
    """

    names: npt.NDArray[np.str_]
    errors: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]
    visible: npt.NDArray[np.bool_]
    one_pixel: FloatArray
    on_background: npt.NDArray[np.bool_]

    @classmethod
    def concatenate(cls, parts: list[JointErrors]) -> JointErrors:
        """Return the joints of several sequences."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class SequenceRun:
    """What the pipeline made of a sequence.

    Attributes:
        sequence: The truth.
        topology: Keypoint set of the skeletons.
        skeletons: Those of each of the T frames, seen or predicted.
        owners: For each frame, the skeleton of each person who was found, as index into `skeletons`.
        joints: Errors of all joints.
        times_s: Time that each frame took.
    """

    sequence: SimulatedSequence
    topology: Topology
    skeletons: list[list[Skeleton]]
    owners: list[dict[int, int]]
    joints: JointErrors
    times_s: FloatArray

    def trajectory(self, person: int, keypoint: str, state: KeypointState = KeypointState.MEASURED) -> FloatArray:
        """Return where a joint of a person was published with shape (T, 3), metres; NaN where it was not."""
        k = self.topology.index[keypoint]
        positions = np.full((len(self.skeletons), 3), np.nan)
        for t, (skeletons, owners) in enumerate(zip(self.skeletons, self.owners, strict=True)):
            if person in owners and skeletons[owners[person]].states[k] == state:
                positions[t] = skeletons[owners[person]].positions[k]
        return positions


def sequence_frames(sequence: SimulatedSequence) -> Iterator[RgbdFrame]:
    """Yield the frames of a simulated sequence, with its depth registered to colour."""
    register = None
    if sequence.depth_camera is not None and sequence.color_from_depth is not None:
        register = DepthRegistration(sequence.depth_camera, sequence.camera, sequence.color_from_depth.astype(float))
    for t in range(len(sequence)):
        depth = sequence.depth_mm[t].astype(np.float32) / 1000
        yield RgbdFrame(
            np.ascontiguousarray(sequence.color[t]),
            depth if register is None else register(depth),
            sequence.camera,
            round(t / sequence.rate_hz * 1e9),
            "camera",
            sequence.fixed_from_camera[t].astype(float),
        )


def run_sequence(pipeline: HumanPipeline, sequence: SimulatedSequence) -> SequenceRun:
    """Work through a sequence as through the images of a camera.

    Args:
        pipeline: Its people are forgotten first.
        sequence: Images and truth.
    """
    pipeline.reset()
    topology, results, owners, parts, times = pipeline.topology, [], [], [], []
    for t, frame in enumerate(sequence_frames(sequence)):
        start = time.perf_counter()
        skeletons = [s for s in pipeline.process(frame) if s.tracking_state != TrackingState.LOST]
        times.append(time.perf_counter() - start)
        pairs = _pair(sequence, t, skeletons, topology)
        parts += [_joints(sequence, t, frame, skeletons[row], person, topology) for person, row in pairs.items()]
        results.append(skeletons)
        owners.append(pairs)
    joints = JointErrors.concatenate(parts) if parts else _no_joints()
    return SequenceRun(sequence, topology, results, owners, joints, np.array(times))


def _pair(sequence: SimulatedSequence, t: int, skeletons: list[Skeleton], topology: Topology) -> dict[int, int]:
    """Return the row of the skeleton of each person who is seen: the pairs whose trunks are nearest."""
    seen = [row for row, skeleton in enumerate(skeletons) if skeleton.tracking_state == TrackingState.TRACKED]
    if not seen:
        return {}
    truth = sequence.positions[t][:, [sequence.keypoint_names.index(name) for name in _TRUNK]]
    found = np.stack([skeletons[row].positions[[topology.index[name] for name in _TRUNK]] for row in seen])
    distances = np.linalg.norm(truth[:, None] - found[None], axis=3)
    known = np.isfinite(distances)
    mean = np.where(known, distances, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    cost = np.where(known.any(axis=2), mean, 1e3)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return {int(person): seen[row] for person, row in pairs if cost[person, row] < _SAME_PERSON_M}


def _joints(
    sequence: SimulatedSequence, t: int, frame: RgbdFrame, skeleton: Skeleton, person: int, topology: Topology
) -> JointErrors:
    names = [name for name in sequence.keypoint_names if name in topology.index]
    rows = [sequence.keypoint_names.index(name) for name in names]
    order = [topology.index[name] for name in names]
    truth, positions = sequence.positions[t, person, rows].astype(float), skeleton.positions[order]
    return JointErrors(
        names=np.array(names),
        errors=positions - truth,
        covariances=skeleton.covariances[order],
        states=skeleton.states[order],
        visible=sequence.visible[t, person, rows],
        one_pixel=one_pixel_positions(frame, skeleton.pixels[order]) - truth,
        on_background=_on_background(frame, np.asarray(sequence.instances[t]), positions, truth),
    )


def _on_background(
    frame: RgbdFrame, instances: npt.NDArray[np.uint8], positions: FloatArray, truth: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return which joints lie on a surface of the room behind where they should be, shape (K,)."""
    pixels = project(np.where(np.isfinite(positions), positions, [0.0, 0.0, -1.0]), frame.camera)
    surface = one_pixel_positions(frame, pixels)[:, 2]
    u, v = np.rint(np.nan_to_num(pixels, nan=0.0)).astype(int).T
    u, v = np.clip(u, 0, instances.shape[1] - 1), np.clip(v, 0, instances.shape[0] - 1)
    near = np.abs(positions[:, 2] - surface) < _ON_SURFACE_M
    return (instances[v, u] == 0) & near & (positions[:, 2] > truth[:, 2] + _BEHIND_M)


def _no_joints() -> JointErrors:
    nothing = np.zeros(0)
    return JointErrors(
        nothing.astype(str),
        np.zeros((0, 3)),
        np.zeros((0, 3, 3)),
        nothing.astype(np.uint8),
        nothing.astype(bool),
        np.zeros((0, 3)),
        nothing.astype(bool),
    )
