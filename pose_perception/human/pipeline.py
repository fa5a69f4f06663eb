"""From an RGB-D frame to tracked metric skeletons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pose_perception.config import Config, option
from pose_perception.datatypes import CameraIntrinsics, RgbdFrame, Skeleton, TrackingState
from pose_perception.errors import ConfigurationError
from pose_perception.human.estimators.base import EstimationConfig
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.human.estimators.turned import TurnedEstimator, turn_to_upright
from pose_perception.human.face import FaceConfig, FaceEstimator
from pose_perception.human.hands import HandEstimator, HandsConfig
from pose_perception.human.lifting import Lifter, LiftingConfig
from pose_perception.human.sightings import look_at
from pose_perception.human.topology import Topology
from pose_perception.human.tracking import Tracker, TrackingConfig


@dataclass(frozen=True)
class HumanConfig(Config):
    """The whole of the human pipeline."""

    device: str = option("auto", "Where the networks run.", choices=("auto", "cuda", "cpu"))
    estimator: str = option("default", "Which keypoint estimator to use.", choices=tuple(ESTIMATORS))
    detect_every: int = option(
        5, "Search the whole image for people every so many frames; tracked people are looked at in each.", minimum=1
    )
    min_person_score: float = option(0.2, "People below this confidence are not reported.", minimum=0.0, maximum=1.0)
    duplicate_similarity: float = option(
        0.5, "Two poses more similar than this are the same person.", minimum=0.05, maximum=1.0
    )
    turn_clockwise: int = option(
        0,
        "How far images must be turned clockwise to be upright, for cameras mounted on their side or upside down, "
        "degrees: 0, 90, 180 or 270.",
        minimum=0,
        maximum=270,
    )
    turn_by_gravity: bool = option(
        False,
        "Find out how far images must be turned from the camera's pose in the fixed frame, whose z axis points up.",
    )
    estimation: EstimationConfig = field(default_factory=EstimationConfig)
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    hands: HandsConfig = field(default_factory=HandsConfig)
    face: FaceConfig = field(default_factory=FaceConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.turn_clockwise % 90:
            raise ConfigurationError(
                f"HumanConfig.turn_clockwise must be 0, 90, 180 or 270 degrees, got {self.turn_clockwise}"
            )


class HumanPipeline:
    """Finds people, their keypoints, the metric positions of these and who is who."""

    def __init__(self, config: HumanConfig) -> None:
        """Load the networks.

        Raises:
            WeightsError: a weight file is missing or altered.
            DeviceError: the requested device is not there.
        """
        self._config = config
        estimator = make_estimator(config.estimator, config.device, config.estimation)
        self._estimator = TurnedEstimator(estimator, config.turn_clockwise)
        self._lifter = Lifter(self.topology, config.lifting)
        self._tracker = Tracker(self.topology, self._lifter.bones, config.tracking, config.lifting.min_score)
        self._hands = HandEstimator(self.topology, config.hands, config.device) if config.hands.enabled else None
        looks_at_faces = config.face.head_pose or config.face.landmarks
        self._faces = FaceEstimator(self.topology, config.face, config.device) if looks_at_faces else None
        self._frames_since_search = 0
        self._view: tuple[CameraIntrinsics, str] | None = None
        self._last_stamp_ns = 0

    @property
    def topology(self) -> Topology:
        """Names and order of the keypoints."""
        return self._estimator.topology

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""
        for stage in (self._estimator, *self._details):
            stage.warm_up()

    def reset(self) -> None:
        """Forget all people, as for the first frame of another video."""
        self._forget()
        self._view = None

    def process(self, frame: RgbdFrame) -> list[Skeleton]:
        """Return everyone in the frame.

        A stamp before that of the last frame, or another camera, is the start of another recording: those known
        before are lost, and all people are new.
        """
        lost = self._forget() if self._is_another_recording(frame) else []
        self._view, self._last_stamp_ns = (frame.camera, frame.frame_id), frame.stamp_ns
        self._tracker.predict(frame)
        if self._config.turn_by_gravity and frame.fixed_from_camera is not None:
            up = frame.fixed_from_camera[2, :3]  # the fixed frame's z axis in the camera's
            self._estimator.clockwise_deg = turn_to_upright(up, self._estimator.clockwise_deg)
        estimates = self._estimator.estimate(frame.color, self._tracker.boxes, find=self._search_is_due())
        weakest = min(self._config.tracking.weak_score, self._config.min_person_score)
        estimates = estimates.select(estimates.person_scores >= weakest)
        sightings = look_at(frame, estimates, self.topology, self._config.lifting.min_score)
        rows, tracks = self._tracker.associate(
            estimates, sightings, self._config.min_person_score, self._config.duplicate_similarity
        )
        estimates, sightings = estimates.select(rows), sightings.select(rows)
        bodies = self._lifter.lift(frame, estimates, [track.lengths for track in tracks])
        skeletons = self._tracker.update(tracks, estimates, sightings, bodies)
        return lost + self._with_details(frame, skeletons)

    @property
    def _details(self) -> list[HandEstimator | FaceEstimator]:
        return [stage for stage in (self._hands, self._faces) if stage is not None]

    def _forget(self) -> list[Skeleton]:
        """Forget everybody; returns who was known, as lost."""
        for stage in self._details:
            stage.reset()
        return self._tracker.end_all()

    def _with_details(self, frame: RgbdFrame, skeletons: list[Skeleton]) -> list[Skeleton]:
        """Add hands, heads and faces of those who are seen, where they are asked for."""
        rows = [row for row, skeleton in enumerate(skeletons) if skeleton.tracking_state == TrackingState.TRACKED]
        seen = [skeletons[row] for row in rows]
        if self._hands is not None:
            hands = self._hands.process(frame, seen)
            seen = [replace(person, hands=pair) for person, pair in zip(seen, hands, strict=True)]
        if self._faces is not None:
            faces = self._faces.process(frame, seen)
            seen = [replace(person, head=head, face=face) for person, (head, face) in zip(seen, faces, strict=True)]
        complete = list(skeletons)
        for row, person in zip(rows, seen, strict=True):
            complete[row] = person
        return complete

    def _is_another_recording(self, frame: RgbdFrame) -> bool:
        is_first = self._view is None
        return not is_first and (frame.stamp_ns < self._last_stamp_ns or self._view != (frame.camera, frame.frame_id))

    def _search_is_due(self) -> bool:
        """Search at the start, when somebody is missing, and every few frames."""
        self._frames_since_search += 1
        due = self._tracker.misses_somebody or self._frames_since_search >= self._config.detect_every
        if due:
            self._frames_since_search = 0
        return due
