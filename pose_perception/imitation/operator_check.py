"""Whether what the camera says of the operator can be believed: the right person, whole, in time, and no jump.

Every refusal has a name. Nothing is repaired: a frame that is refused is as if it had not come, and the age of the last
one that was not decides what the robot does (see `supervisor.py`).
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, Skeleton, TrackingState

SIDES = ("left", "right")
_JOINTS = ("shoulder", "elbow", "wrist")
# The latest frames that a joint is compared with (Hampel identifier: Pearson, Outliers in process modeling and
# identification, IEEE Transactions on Control Systems Technology 10(1), 2002), and the factor that makes a median
# absolute deviation a standard deviation.
_WINDOW, _NORMAL = 7, 1.4826
# Bone lengths are known after so many frames, and are medians over the latest ones.
_FEWEST_LENGTHS, _REMEMBERED_LENGTHS = 5, 60
# Joints of both sides have changed places when that explains the step from the last frame so much better, and the step
# is this large, metres.
_SWAPPED, _SWAP_STEP_M = 0.5, 0.15
# Who was not seen for longer may have moved as far as in this time, seconds: somebody else may be farther.
_UNSEEN_S = 0.2
# The same numbers again, bit by bit, with other stamps: no camera does that. So many times are a coincidence.
_FROZEN_FRAMES = 2


class Refusal(enum.Enum):
    """Why a frame does not count."""

    STAMP_FROM_THE_FUTURE = "stamp from the future"
    STAMP_NOT_NEWER = "stamp not newer than the last one"
    TOO_OLD = "frame too old"
    OPERATOR_NOT_SEEN = "operator not seen"
    FLAT = "operator is a picture"
    NO_TORSO = "torso of the operator not seen"
    NO_ARM = "no arm of the operator is seen well enough"
    NOT_FINITE = "position that is no number"
    BONE_LENGTH = "bone of another length"
    SWAPPED_SIDES = "left and right changed places"
    JUMP = "jump"
    FROZEN = "tracker is frozen"


@dataclass(frozen=True)
class OperatorConfig(Config):
    """What is believed of the operator."""

    operator: str = option("", "Identifier of the only person who is followed; empty for the nearest one on enabling.")
    min_score: float = option(0.3, "Keypoints below this confidence do not count.", minimum=0.0, maximum=1.0)
    bone_tolerance: float = option(
        0.25, "How far a bone may differ from its usual length, as a part of it.", minimum=0.01, maximum=1.0
    )
    max_speed: float = option(
        5.0, "Elbows and wrists that move faster against the trunk, in metres per second, have jumped.", minimum=0.1
    )
    max_body_speed: float = option(3.0, "The same of the trunk against the camera, in metres per second.", minimum=0.1)
    jump_floor: float = option(0.08, "No step shorter than this is a jump, in metres.", minimum=0.001, maximum=1.0)
    hampel: float = option(
        4.0, "Steps are jumps only beyond so many standard deviations from the latest median.", minimum=1.0
    )
    future_tolerance: float = option(
        0.05, "How far in the future stamps may lie, in seconds: clocks differ.", minimum=0.0, maximum=1.0
    )


class Believed(NamedTuple):
    """What counts of one frame.

    Attributes:
        person: The operator.
        sides: The arms that can be believed.
    """

    person: Skeleton
    sides: frozenset[str]


class OperatorCheck:
    """Follows one person, and believes nobody else.

    Attributes:
        operator: Identifier of the person; empty while nobody is chosen.
    """

    def __init__(self, config: OperatorConfig, sides: Sequence[str] = SIDES) -> None:
        """Start with nobody.

        Args:
            config: What is believed.
            sides: Arms that are followed.
        """
        self._config = config
        self._sides = tuple(sides)
        self.operator = ""
        self._last_stamp_s = -np.inf
        self._lengths: dict[tuple[str, str], deque[float]] = {}
        self._joints: dict[tuple[str, str], deque[FloatArray]] = {}
        self._accepted: dict[tuple[str, str], tuple[float, FloatArray]] = {}
        self._torso: tuple[float, FloatArray] | None = None  # stamp and pose (4, 4)
        self._frozen = (b"", 0)

    def choose(self, skeletons: Sequence[Skeleton]) -> str:
        """Follow the configured person or, of those seen with a torso, the nearest one; return who it is, or nobody."""
        self.release()
        people = [s for s in skeletons if _is_there(s) and s.camera_from_torso is not None and not s.is_flat]
        if self._config.operator:
            people = [s for s in people if s.id == self._config.operator]
        if people:
            self.operator = min(people, key=lambda s: float(s.camera_from_torso[2, 3])).id  # type: ignore[index]
        return self.operator

    def release(self) -> None:
        """Follow nobody, and forget what was known of the last one; stamps still only go forwards."""
        self.operator = ""
        self._lengths.clear()
        self._joints.clear()
        self._accepted.clear()
        self._torso = None
        self._frozen = (b"", 0)

    def forget_times(self) -> None:
        """Follow nobody, and take stamps of whatever time: the clock was set back."""
        self.release()
        self._last_stamp_s = -np.inf

    def check(
        self, stamp_s: float, now_s: float, skeletons: Sequence[Skeleton], keypoints: Sequence[str], oldest_s: float
    ) -> Believed | Refusal:
        """Return what can be believed of the operator, or why the frame does not count.

        Args:
            stamp_s: When the image was taken, seconds.
            now_s: Now, on the same clock.
            skeletons: Everybody in the image.
            keypoints: Names of their keypoints.
            oldest_s: An image older than this does not count, seconds.
        """
        refusal = self._check_stamp(stamp_s, now_s, oldest_s)
        if refusal is not None:
            return refusal
        person = next((s for s in skeletons if s.id == self.operator and _is_there(s)), None)
        if person is None:
            return Refusal.OPERATOR_NOT_SEEN
        if person.is_flat:
            return Refusal.FLAT
        if person.camera_from_torso is None:
            return Refusal.NO_TORSO
        if not np.isfinite(person.camera_from_torso).all():
            return Refusal.NOT_FINITE
        joints = self._arm_joints(person, keypoints)
        for reason in (self._is_frozen(person), self._is_other_body(stamp_s, person), self._has_swapped(joints)):
            if reason is not None:
                return reason
        sides = self._believed_sides(stamp_s, joints)
        if isinstance(sides, Refusal):
            return sides
        self._torso = (stamp_s, person.camera_from_torso.copy())
        return Believed(person, sides)

    def _check_stamp(self, stamp_s: float, now_s: float, oldest_s: float) -> Refusal | None:
        if not np.isfinite(stamp_s) or stamp_s > now_s + self._config.future_tolerance:
            return Refusal.STAMP_FROM_THE_FUTURE
        if stamp_s <= self._last_stamp_s:
            return Refusal.STAMP_NOT_NEWER
        self._last_stamp_s = stamp_s
        return Refusal.TOO_OLD if now_s - stamp_s > oldest_s else None

    def _arm_joints(self, person: Skeleton, keypoints: Sequence[str]) -> dict[tuple[str, str], FloatArray]:
        """Return the joints (3,) of the followed arms in the torso, metres; NaN when missing or unsure."""
        assert person.camera_from_torso is not None
        at = {name: i for i, name in enumerate(keypoints)}
        rotation, origin = person.camera_from_torso[:3, :3], person.camera_from_torso[:3, 3]
        joints = {}
        for side in self._sides:
            for joint in _JOINTS:
                row = at[f"{side}_{joint}"]
                is_sure = person.scores[row] >= self._config.min_score
                joints[side, joint] = (person.positions[row] - origin) @ rotation if is_sure else np.full(3, np.nan)
        return joints

    def _is_frozen(self, person: Skeleton) -> Refusal | None:
        numbers = person.positions.tobytes()
        self._frozen = (numbers, self._frozen[1] + 1 if numbers == self._frozen[0] else 0)
        return Refusal.FROZEN if self._frozen[1] >= _FROZEN_FRAMES else None

    def _is_other_body(self, stamp_s: float, person: Skeleton) -> Refusal | None:
        """Return a jump when the trunk cannot have come here: the identifier went over to somebody else.

        A trunk that looks backwards all at once is one whose sides changed places. This holds until another operator is
        chosen: after a second without a believable image imitation ends anyway.
        """
        assert person.camera_from_torso is not None
        if self._torso is None:
            return None
        last_s, last = self._torso
        step = float(np.linalg.norm(person.camera_from_torso[:3, 3] - last[:3, 3]))
        limit = self._config.jump_floor + self._config.max_body_speed * min(stamp_s - last_s, _UNSEEN_S)
        if step > limit:
            return Refusal.JUMP
        return Refusal.SWAPPED_SIDES if person.camera_from_torso[:3, 0] @ last[:3, 0] < 0 else None

    def _has_swapped(self, joints: Mapping[tuple[str, str], FloatArray]) -> Refusal | None:
        """Compare with the last frame: the shoulders tell the trunk's axes, so elbows and wrists must tell a swap."""
        if set(self._sides) != set(SIDES):
            return None
        for joint in ("elbow", "wrist"):
            keys = [(side, joint) for side in SIDES]
            if not all(key in self._accepted for key in keys):
                continue
            now, before = np.array([joints[key] for key in keys]), np.array([self._accepted[key][1] for key in keys])
            straight = np.linalg.norm(now - before, axis=1).sum()
            crossed = np.linalg.norm(now[::-1] - before, axis=1).sum()
            if straight > 2 * _SWAP_STEP_M and crossed < _SWAPPED * straight:
                return Refusal.SWAPPED_SIDES
        return None

    def _believed_sides(self, stamp_s: float, joints: Mapping[tuple[str, str], FloatArray]) -> frozenset[str] | Refusal:
        """Return the arms whose bones have their lengths and whose joints did not jump, or what is wrong with all."""
        sides, refusal = set(), Refusal.NO_ARM
        for side in self._sides:
            own = np.array([joints[side, joint] for joint in _JOINTS])
            if not np.isfinite(own).all():
                continue
            lengths = np.linalg.norm(np.diff(own, axis=0), axis=1)
            jumps = [self._jumped(stamp_s, (side, joint), joints[side, joint]) for joint in ("elbow", "wrist")]
            if self._is_stretched(side, lengths):
                refusal = Refusal.BONE_LENGTH
            elif any(jumps):
                refusal = Refusal.JUMP
            else:
                sides.add(side)
                self._accept(stamp_s, side, lengths, joints)
        return frozenset(sides) if sides else refusal

    def _is_stretched(self, side: str, lengths: FloatArray) -> bool:
        known = [self._lengths.get((side, bone), ()) for bone in ("upper", "forearm")]
        if min(map(len, known)) < _FEWEST_LENGTHS:
            return False
        usual = np.array([np.median(values) for values in known])
        return bool((np.abs(lengths - usual) > self._config.bone_tolerance * usual).any())

    def _jumped(self, stamp_s: float, key: tuple[str, str], place: FloatArray) -> bool:
        window = self._joints.setdefault(key, deque(maxlen=_WINDOW))
        window.append(place)
        if key not in self._accepted:
            return False
        last_s, last = self._accepted[key]
        if np.linalg.norm(place - last) <= self._config.jump_floor + self._config.max_speed * (stamp_s - last_s):
            return False
        # Too fast; but after a gap, several frames that agree are where the arm is.
        points = np.array(window)
        middle = np.median(points, axis=0)
        distances = np.linalg.norm(points - middle, axis=1)
        spread = _NORMAL * float(np.median(distances))
        return bool(distances[-1] > max(self._config.hampel * spread, self._config.jump_floor))

    def _accept(
        self, stamp_s: float, side: str, lengths: FloatArray, joints: Mapping[tuple[str, str], FloatArray]
    ) -> None:
        for bone, length in zip(("upper", "forearm"), lengths, strict=True):
            self._lengths.setdefault((side, bone), deque(maxlen=_REMEMBERED_LENGTHS)).append(float(length))
        for joint in ("elbow", "wrist"):
            self._accepted[side, joint] = (stamp_s, joints[side, joint])


def _is_there(skeleton: Skeleton) -> bool:
    return skeleton.tracking_state == TrackingState.TRACKED
