"""Objects through time: refined from their last pose, judged in every frame, found again when lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, TrackingState
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.scoring import Doubt
from pose_perception.objects.symmetry import turned_equal

# Share of the last velocity that goes on in the next frame: hands stop and turn.
_VELOCITY_KEPT = 0.7
_NS = 1e-9
# Velocities of objects beyond this are errors: metres and radians a second.
_FASTEST_M_S, _FASTEST_RAD_S = 3.0, 8.0
# What a search left open may be decided once the object is seen from so far elsewhere.
_SEEN_ANEW = float(np.cos(np.deg2rad(20.0)))


@dataclass(frozen=True)
class ObjectTrackingConfig(Config):
    """When an object counts as seen, and for how long it is remembered.

    Its least scores do not count what a search left open between poses (`scoring.Doubt`), as the published score does.
    """

    found: float = option(0.5, "Least score of an object that is found.", minimum=0.0, maximum=1.0)
    kept: float = option(0.25, "Least score at which a known object counts as seen.", minimum=0.0, maximum=1.0)
    searched_below: float = option(
        0.5, "A known object with a lower score is also searched for anew.", minimum=0.0, maximum=1.0
    )
    predicted_s: float = option(
        1.0, "How long an object that is not seen is predicted, seconds.", minimum=0.0, maximum=60.0
    )


@dataclass(eq=False)
class ObjectTrack:
    """One object that was found.

    Attributes:
        id: Unique while the process runs.
        model: What it is.
        pose: camera_from_object in the frame of its time, shape (4, 4).
        fixed_from_camera: Pose of the camera then; None when not known.
        stamp_ns: When it was last updated.
        seen_ns: When it was last seen.
        score: Last score.
        covariance: Of shifts of its middle and turns about it, shape (6, 6), axes of the camera of its time.
        doubt: What the search that found it left open.
        searched_ns: When it was last searched for.
        searched_from: From where it was seen then: to its middle, axes of the object, shape (3,), unit length.
        state: Tracking state.
        velocity: Of its middle, in the camera frame or the fixed one if there is one, shape (3,), m/s.
        turning: Rotation vector per second in that frame, shape (3,).
        moves_in_fixed: Whether both are in the fixed frame.
    """

    id: str
    model: ObjectModel
    pose: FloatArray
    fixed_from_camera: FloatArray | None
    stamp_ns: int
    seen_ns: int
    score: float
    covariance: FloatArray
    doubt: Doubt
    searched_ns: int = field(init=False)
    searched_from: FloatArray = field(init=False)
    state: TrackingState = TrackingState.TRACKED
    velocity: FloatArray = field(default_factory=lambda: np.zeros(3))
    turning: FloatArray = field(default_factory=lambda: np.zeros(3))
    moves_in_fixed: bool = False

    def __post_init__(self) -> None:
        self.note_search()

    def predict(self, stamp_ns: int, fixed_from_camera: FloatArray | None) -> FloatArray:
        """Return where the object is expected, camera_from_object with shape (4, 4).

        Args:
            stamp_ns: When.
            fixed_from_camera: Pose of the camera then; None when not known.
        """
        seconds = max(0.0, min((stamp_ns - self.stamp_ns) * _NS, 0.2))
        base, back, fixed = self._frames(fixed_from_camera)
        if fixed != self.moves_in_fixed:
            seconds = 0.0  # velocities of the one frame say nothing in the other
        there = base @ self.pose
        middle = there[:3, :3] @ self.model.center + there[:3, 3] + seconds * self.velocity
        there[:3, :3] = Rotation.from_rotvec(seconds * self.turning).as_matrix() @ there[:3, :3]
        there[:3, 3] = middle - there[:3, :3] @ self.model.center
        return back @ there

    def update(
        self,
        pose: FloatArray,
        score: float,
        covariance: FloatArray,
        stamp_ns: int,
        fixed_from_camera: FloatArray | None,
        searched: Doubt | None = None,
    ) -> None:
        """Take a new pose.

        Args:
            pose: camera_from_object, shape (4, 4).
            score: Of it.
            covariance: As the attribute.
            stamp_ns: When.
            fixed_from_camera: Pose of the camera then; None when not known.
            searched: What a search that found it there left open; None when it was followed there. How it came to where
                a search found it says nothing of its motion.
        """
        pose = turned_equal(pose, self.model.symmetries.same, self.pose)
        seconds = (stamp_ns - self.stamp_ns) * _NS
        if searched is not None:
            self.velocity, self.turning, self.doubt = np.zeros(3), np.zeros(3), searched
        elif 0 < seconds < 1:
            base, back, self.moves_in_fixed = self._frames(fixed_from_camera)
            old, new = base @ self.pose, np.linalg.inv(back) @ pose
            center = self.model.center
            shift = (new[:3, :3] - old[:3, :3]) @ center + new[:3, 3] - old[:3, 3]
            turn = Rotation.from_matrix(new[:3, :3] @ old[:3, :3].T).as_rotvec()
            self.velocity = _VELOCITY_KEPT * _limited(shift / seconds, _FASTEST_M_S)
            self.turning = _VELOCITY_KEPT * _limited(turn / seconds, _FASTEST_RAD_S)
        self.pose, self.score, self.covariance = pose, score, covariance
        self.fixed_from_camera, self.stamp_ns, self.seen_ns = fixed_from_camera, stamp_ns, stamp_ns
        self.state = TrackingState.TRACKED
        if searched is not None:
            self.note_search()

    def miss(self, predicted: FloatArray, stamp_ns: int, fixed_from_camera: FloatArray | None, limit_s: float) -> None:
        """Go on without having been seen.

        Args:
            predicted: Where it is expected, shape (4, 4).
            stamp_ns: When.
            fixed_from_camera: Pose of the camera then; None when not known.
            limit_s: How long it may go on so, seconds.
        """
        seconds = max(0.0, (stamp_ns - self.stamp_ns) * _NS)
        # A hidden object may be carried away: a random walk of 0.1 m and 0.5 rad in the first second.
        grown = np.diag([0.1**2 * seconds] * 3 + [0.5**2 * seconds] * 3)
        base, back, _ = self._frames(fixed_from_camera)
        turn = np.kron(np.eye(2), back[:3, :3] @ base[:3, :3])  # of the camera's axes
        self.pose, self.covariance = predicted, turn @ self.covariance @ turn.T + grown
        self.fixed_from_camera, self.stamp_ns = fixed_from_camera, stamp_ns
        self.velocity, self.turning = np.zeros(3), np.zeros(3)
        unseen = (stamp_ns - self.seen_ns) * _NS
        self.state = TrackingState.PREDICTED if unseen <= limit_s else TrackingState.LOST

    def belief(self) -> float:
        """Return the score to publish: 0 when lost, halved with every second in which it was not seen.

        No surer than the search was which of several poses it has: following one of them says nothing about the others.
        """
        if self.state is TrackingState.LOST:
            return 0.0
        return float(min(self.score, self.doubt.agreement) * 0.5 ** max(0.0, (self.stamp_ns - self.seen_ns) * _NS))

    def is_to_be_settled(self, pause_s: float) -> bool:
        """Return whether a search that left something open should be repeated.

        That is so when the object is seen from elsewhere, and from time to time: it may have turned without looking so.

        Args:
            pause_s: Between searches, seconds.
        """
        if self.state is not TrackingState.TRACKED or not self.doubt.is_large:
            return False
        is_seen_anew = float(self.searched_from @ self._sight()) < _SEEN_ANEW
        return is_seen_anew or (self.stamp_ns - self.searched_ns) * _NS >= pause_s

    def note_search(self) -> None:
        """Remember that it was searched for as it is seen now."""
        self.searched_ns, self.searched_from = self.stamp_ns, self._sight()

    def _sight(self) -> FloatArray:
        middle = self.pose[:3, :3] @ self.model.center + self.pose[:3, 3]
        return self.pose[:3, :3].T @ middle / max(float(np.linalg.norm(middle)), 1e-9)

    def _frames(self, fixed_from_camera: FloatArray | None) -> tuple[FloatArray, FloatArray, bool]:
        """Return fixed_from_then, now_from_fixed and True; identities and False when the camera's motion is unknown."""
        if self.fixed_from_camera is None or fixed_from_camera is None:
            return np.eye(4), np.eye(4), False
        return self.fixed_from_camera, np.linalg.inv(fixed_from_camera), True


def _limited(vector: FloatArray, most: float) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return vector * (most / length) if length > most else vector


def word(name: str) -> str:
    """Return a name that may begin an id: it starts with a letter."""
    return name if name[:1].isalpha() else f"object_{name}"
