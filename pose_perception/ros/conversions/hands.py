"""Hands."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import HandPose
from pose_perception.errors import InvalidInputError
from pose_perception.msg import Hand
from pose_perception.ros.conversions.keypoints import Keypoints, keypoint_messages, keypoints_from_messages
from pose_perception.ros.conversions.transforms import matrix_from_pose, pose_message

_SIDES = {"left": Hand.LEFT, "right": Hand.RIGHT}
_NAMES = {value: name for name, value in _SIDES.items()}


def hand_message(hand: HandPose) -> Hand:
    """Build the message of one hand."""
    # The network scores the hand as a whole.
    scores = np.where(np.isfinite(hand.pixels).all(axis=1), hand.score, 0.0)
    keypoints = Keypoints(hand.pixels, scores, hand.positions, hand.covariances, hand.states)
    return Hand(
        side=_SIDES[hand.side],
        score=float(hand.score),
        landmarks=keypoint_messages(keypoints),
        palm_valid=hand.camera_from_palm is not None,
        palm=pose_message(hand.camera_from_palm),
        pinch=float(hand.pinch),
        openness=float(hand.openness),
    )


def hand_from_message(message: Hand) -> HandPose:
    """Read back what `hand_message` built.

    Raises:
        InvalidInputError: the side is none, or the palm is said to be valid and its orientation is no rotation.
    """
    if message.side not in _NAMES:
        raise InvalidInputError(f"a hand is left ({Hand.LEFT}) or right ({Hand.RIGHT}), got {message.side}")
    keypoints = keypoints_from_messages(message.landmarks)
    return HandPose(
        side=_NAMES[message.side],
        score=message.score,
        pixels=keypoints.pixels,
        positions=keypoints.positions,
        covariances=keypoints.covariances,
        states=keypoints.states,
        camera_from_palm=matrix_from_pose(message.palm) if message.palm_valid else None,
        pinch=message.pinch,
        openness=message.openness,
    )
