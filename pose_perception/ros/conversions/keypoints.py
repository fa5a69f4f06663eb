"""Keypoints of bodies and hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, KeypointState
from pose_perception.errors import InvalidInputError
from pose_perception.msg import Keypoint


class Keypoints(NamedTuple):
    """K keypoints as arrays.

    Attributes:
        pixels: In the colour image with shape (K, 2), px; NaN when unknown.
        scores: Confidence of each pixel with shape (K,).
        positions: In the frame of the message with shape (K, 3), metres; NaN when missing.
        covariances: Of each position with shape (K, 3, 3), square metres; NaN when missing.
        states: `KeypointState` of each position with shape (K,), uint8.
    """

    pixels: FloatArray
    scores: FloatArray
    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]


def keypoint_messages(keypoints: Keypoints) -> list[Keypoint]:
    """Build one message for each keypoint."""
    # The state decides: without evidence nobody may read a position, whatever the arrays hold.
    missing = keypoints.states == KeypointState.MISSING
    positions = np.where(missing[:, None], np.nan, keypoints.positions).tolist()
    covariances = np.where(missing[:, None, None], np.nan, keypoints.covariances).reshape(-1, 9).astype(np.float64)
    pixels = np.asarray(keypoints.pixels, np.float32)
    values = zip(pixels, keypoints.scores.tolist(), keypoints.states.tolist(), positions, covariances, strict=True)
    messages = []
    for pixel, score, state, (x, y, z), covariance in values:
        message = Keypoint(pixel=pixel, score=score, state=state, covariance=covariance)
        # It holds a point already; a new one would cost a third of the whole.
        point = message.position
        point.x, point.y, point.z = x, y, z
        messages.append(message)
    return messages


def keypoints_from_messages(messages: Sequence[Keypoint]) -> Keypoints:
    """Read back what `keypoint_messages` built.

    Raises:
        InvalidInputError: a state is none.
    """
    k = len(messages)
    states = np.array([message.state for message in messages], np.uint8)
    if k and states.max() > KeypointState.INFERRED:
        raise InvalidInputError(f"{states.max()} is no state of a keypoint")
    positions = np.array([(m.position.x, m.position.y, m.position.z) for m in messages], float).reshape(k, 3)
    # Others may write (0, 0, 0) where nothing is known.
    positions[states == KeypointState.MISSING] = np.nan
    return Keypoints(
        pixels=np.array([message.pixel for message in messages], float).reshape(k, 2),
        scores=np.array([message.score for message in messages], float),
        positions=positions,
        covariances=np.array([message.covariance for message in messages], float).reshape(k, 3, 3),
        states=states,
    )
