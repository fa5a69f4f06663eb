"""What was recorded while a robot was taught: its joints over time, its grippers, and where objects were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.imitation.robot import Robot

# What a rotation matrix may be off one by, as files round it.
_ROTATION_ERROR = 1e-3


@dataclass(frozen=True)
class Demonstration:
    """A recording of T moments of n joints.

    Attributes:
        times_s: When, shape (T,), seconds; each later than the one before.
        joints: Names of the joints.
        q: Where they were, shape (T, n), radians.
        commands: Where they were commanded to be, shape (T, n), radians; None when that was not recorded.
        openings: Of the grippers by name of the arm, shape (T,), 0 closed to 1 open; NaN while unknown.
        objects: Poses of objects in the base of the robot by name, shape (T, 4, 4), metres; NaN while not seen.
        keypoints: Of the operator by name, shape (T, 3), metres in the camera's frame; NaN while missing.
        source: Where this comes from, for messages.

    Raises:
        InvalidInputError: shapes do not fit together, or numbers are none; the message says where.
    """

    times_s: FloatArray
    joints: tuple[str, ...]
    q: FloatArray
    commands: FloatArray | None = None
    openings: Mapping[str, FloatArray] = field(default_factory=dict)
    objects: Mapping[str, FloatArray] = field(default_factory=dict)
    keypoints: Mapping[str, FloatArray] = field(default_factory=dict)
    source: str = "demonstration"

    def __post_init__(self) -> None:
        count, n = len(self.times_s), len(self.joints)
        if count < 2:
            raise InvalidInputError(f"{self.source} has {count} moments; a motion has at least two")
        if not n or len(set(self.joints)) != n:
            raise InvalidInputError(f"{self.source} must name different joints, got {list(self.joints)}")
        self._check_shape("times", self.times_s, (count,))
        self._check_finite("time", self.times_s[:, None], ("",))
        late = np.flatnonzero(np.diff(self.times_s) <= 0)
        if late.size:
            i = int(late[0]) + 1
            raise InvalidInputError(
                f"{self.source}: time {self.times_s[i]:.6f} s at frame {i} is not after {self.times_s[i - 1]:.6f} s"
            )
        for what, values in (("position", self.q), ("command", self.commands)):
            if values is not None:
                self._check_shape(what, values, (count, n))
                self._check_finite(what, values, self.joints)
        for name, opening in self.openings.items():
            self._check_shape(f"opening of {name}", opening, (count,))
            self._refuse_first((opening < -1e-6) | (opening > 1 + 1e-6), f"opening of {name} is not from 0 to 1")
        for name, poses in self.objects.items():
            self._check_shape(f"object {name}", poses, (count, 4, 4))
            self._check_poses(name, poses)
        for name, points in self.keypoints.items():
            self._check_shape(f"keypoint {name}", points, (count, 3))

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last moment, seconds."""
        return float(self.times_s[-1] - self.times_s[0])

    @property
    def largest_gap_s(self) -> float:
        """Longest time between neighbouring moments, seconds."""
        return float(np.diff(self.times_s).max())

    def place(self, frame: int) -> str:
        """Return how messages name a moment."""
        return f"frame {frame} ({self.times_s[frame]:.3f} s)"

    def map_arrays(self, change: Callable[[FloatArray], FloatArray]) -> Demonstration:
        """Return the same with every array over time changed, the times too."""
        return replace(
            self,
            times_s=change(self.times_s),
            q=change(self.q),
            commands=None if self.commands is None else change(self.commands),
            openings={name: change(values) for name, values in self.openings.items()},
            objects={name: change(values) for name, values in self.objects.items()},
            keypoints={name: change(values) for name, values in self.keypoints.items()},
        )

    def _check_shape(self, what: str, values: FloatArray, shape: tuple[int, ...]) -> None:
        if np.shape(values) != shape:
            raise InvalidInputError(f"{self.source}: {what} must have shape {shape}, got {np.shape(values)}")

    def _check_finite(self, what: str, values: FloatArray, names: Sequence[str]) -> None:
        wrong = np.argwhere(~np.isfinite(values))
        if wrong.size:
            i, j = wrong[0]
            name = f" of {names[j]}" if names[j] else ""
            raise InvalidInputError(f"{self.source}: {what}{name} at frame {i} is {values[i, j]}")

    def _check_poses(self, name: str, poses: FloatArray) -> None:
        seen = np.isfinite(poses).all(axis=(1, 2))
        turn = np.where(seen[:, None, None], poses[:, :3, :3], np.eye(3))
        error = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        row = np.where(seen[:, None], poses[:, 3], [0.0, 0.0, 0.0, 1.0])
        is_wrong = (error > _ROTATION_ERROR) | (np.linalg.det(turn) < 0) | (row != [0.0, 0.0, 0.0, 1.0]).any(axis=1)
        # A pose is known as a whole or not at all.
        is_wrong |= ~seen & np.isfinite(poses[:, :3]).any(axis=(1, 2))
        self._refuse_first(is_wrong, f"pose of object {name} is no rigid transform")

    def _refuse_first(self, is_wrong: npt.NDArray[np.bool_], what: str) -> None:
        if is_wrong.any():
            raise InvalidInputError(f"{self.source}: {what} at {self.place(int(np.argmax(is_wrong)))}")


@dataclass(frozen=True)
class CheckConfig(Config):
    """What a demonstration must keep to be learned from or replayed."""

    largest_gap: float = option(
        0.25, "Longest time between neighbouring moments, in seconds.", minimum=0.001, maximum=10.0
    )
    limit_tolerance: float = option(
        0.01, "How far outside of its limits a joint may have been, in radians.", minimum=0.0, maximum=0.5
    )
    speed_tolerance: float = option(
        2.0, "How much faster than its limit a joint may have been, as a factor.", minimum=1.0, maximum=100.0
    )


class CheckReport(NamedTuple):
    """What a demonstration that was accepted is like.

    Attributes:
        duration_s: Seconds.
        frames: How many moments.
        largest_gap_s: Longest time between neighbours, seconds.
        limit_room_rad: Smallest distance to a limit, radians; negative outside.
        speed_share: Largest speed of a joint over its limit.
    """

    duration_s: float
    frames: int
    largest_gap_s: float
    limit_room_rad: float
    speed_share: float


def check(demonstration: Demonstration, robot: Robot, config: CheckConfig | None = None) -> CheckReport:
    """Check a demonstration against a robot.

    Raises:
        InvalidInputError: joints are others than the robot's, a limit of position or speed was exceeded, or there is
            a gap; the message says where.
    """
    config, demo = config or CheckConfig(), demonstration
    if demo.joints != robot.joints:
        raise InvalidInputError(f"{demo.source} has joints {list(demo.joints)}, {robot.config.name} {robot.joints}")
    unknown = set(demo.openings) - set(robot.arms)
    if unknown:
        raise InvalidInputError(f"{demo.source} has grippers of {sorted(unknown)}; arms are {list(robot.arms)}")
    steps = np.diff(demo.times_s)
    gap = int(np.argmax(steps))
    if steps[gap] > config.largest_gap:
        raise InvalidInputError(
            f"{demo.source}: nothing for {steps[gap]:.3f} s after {demo.place(gap)}; at most {config.largest_gap:g} s"
        )
    room = np.minimum(demo.q - robot.lower, robot.upper - demo.q)
    i, j = np.unravel_index(int(np.argmin(room)), room.shape)
    if room[i, j] < -config.limit_tolerance:
        raise InvalidInputError(
            f"{demo.source}: {robot.joints[j]} is at {demo.q[i, j]:.4f} rad at {demo.place(int(i))}, outside of "
            f"{robot.lower[j]:.4f} to {robot.upper[j]:.4f} rad"
        )
    shares = np.abs(np.diff(demo.q, axis=0)) / steps[:, None] / robot.velocity
    k, m = np.unravel_index(int(np.argmax(shares)), shares.shape)
    if shares[k, m] > config.speed_tolerance:
        raise InvalidInputError(
            f"{demo.source}: {robot.joints[m]} jumps at {demo.place(int(k))}: {shares[k, m]:.1f} times its limit of "
            f"{robot.velocity[m]:.2f} rad/s"
        )
    return CheckReport(demo.duration_s, len(demo), float(steps[gap]), float(room[i, j]), float(shares[k, m]))
