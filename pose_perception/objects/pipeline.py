"""Known objects in RGB-D frames: followed from frame to frame, and searched for while they are missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray, RgbdFrame, TrackingState
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.networks.runtime import Network, load_network
from pose_perception.objects.crops import Observation
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.finding import Found, ObjectFinder
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.overlap import overlap
from pose_perception.objects.registration import RegistrationConfig
from pose_perception.objects.scoring import about_origin
from pose_perception.objects.segmentation import SegmentationConfig
from pose_perception.objects.symmetry import turned_equal
from pose_perception.objects.tracking import ObjectTrack, ObjectTrackingConfig, word

# For how long what was lost is searched for in every frame.
_SOUGHT_S = 5.0


@dataclass(frozen=True)
class ObjectPipelineConfig(Config):
    """How objects are found and followed."""

    device: str = option("auto", "Where networks run.", choices=("auto", "cuda", "cpu"))
    precision: str = option("fast", "How networks compute.", choices=("fast", "exact"))
    instances: int = option(1, "How many objects of each model there may be.", minimum=1, maximum=20)
    searches: int = option(
        1, "How many missing models are searched for in each frame, in turns; 0: all.", minimum=0, maximum=1000
    )
    pause_s: float = option(
        2.0,
        "After how long a model that was not found, or of which the turn is open, is searched for again, seconds; one "
        "that was just lost at once.",
        minimum=0.0,
        maximum=3600.0,
    )
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    tracking: ObjectTrackingConfig = field(default_factory=ObjectTrackingConfig)


class ObjectPipeline:
    """Finds and follows known objects.

    Args:
        models: What to look for; their names differ.
        config: How.
        network: The pose matcher; None to load it.

    Raises:
        ConfigurationError: two models have one name, or there are none.
        WeightsError: the weights are missing or altered.
    """

    def __init__(
        self, models: Sequence[ObjectModel], config: ObjectPipelineConfig | None = None, network: Network | None = None
    ) -> None:
        self.config = config or ObjectPipelineConfig()
        names = [model.name for model in models]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"models need different names, got {', '.join(names) or 'none'}")
        network = network or load_network("pose_matcher", self.config.device, self.config.precision)
        self._finder = ObjectFinder(models, self.config.registration, self.config.segmentation, network)
        self._tracks: list[ObjectTrack] = []
        self._numbers = {name: itertools.count(1) for name in names}
        self._tried_ns: dict[str, int] = {}  # when each model was last searched for
        self._lost_ns: dict[str, int] = {}  # when each was last lost
        self._last_ns = -(2**63)

    def warm_up(self) -> None:
        """Prepare everything once, so that the first images take no longer than the others."""
        self._finder.warm_up()

    def reset(self) -> list[ObjectPose]:
        """Forget all objects, as for the first frame of another video; returns them as lost."""
        lost = [self._lost(track) for track in self._tracks]
        self._tracks, self._tried_ns, self._lost_ns = [], {}, {}
        self._last_ns = -(2**63)
        return lost

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Find the objects in the next frame.

        Args:
            frame: With depth.
            regions: Where objects may be, as somebody else says; None to look for them everywhere.

        Returns:
            Those that are seen, and those that are predicted or were just lost.

        Raises:
            InvalidInputError: the frame has no depth, or a region does not fit.
        """
        if frame.depth is None:
            raise InvalidInputError("poses of objects need depth")
        depth = np.nan_to_num(frame.depth, nan=0.0, posinf=0.0, neginf=0.0)
        camera = frame.camera
        seen = Observation(frame.color, depth, np.array([camera.fx, camera.fy, camera.cx, camera.cy]))
        # Time that goes back: a recording starts anew.
        lost = self.reset() if frame.stamp_ns < self._last_ns else []
        self._last_ns = frame.stamp_ns
        self._finder.check(regions or (), depth)
        self._follow(frame, seen)
        if regions is not None:
            found = self._finder.in_regions(regions, self._unsure(), seen)
        else:
            wanted = self._missing(frame.stamp_ns)
            known = {name: [t.pose for t in self._sure() if t.model.name == name] for name in wanted}
            found = self._finder.anywhere(known, self.config.instances, frame, seen) if wanted else []
        if not found:
            self._settle(frame, seen)
        poses = lost + self._take(found, frame, seen)
        poses += [self._result(track) for track in self._tracks]
        self._lost_ns.update({t.model.name: frame.stamp_ns for t in self._tracks if t.state is TrackingState.LOST})
        self._tracks = [track for track in self._tracks if track.state is not TrackingState.LOST]
        return poses

    def _follow(self, frame: RgbdFrame, seen: Observation) -> None:
        """Refine every known object from where it is expected."""
        for track in self._tracks:
            predicted = track.predict(frame.stamp_ns, frame.fixed_from_camera)
            found = self._finder.near(track.model.name, predicted, track.doubt, seen)
            if found is not None and found.score >= self.config.tracking.kept:
                track.update(found.pose, found.score, found.covariance, frame.stamp_ns, frame.fixed_from_camera)
            else:
                track.miss(predicted, frame.stamp_ns, frame.fixed_from_camera, self.config.tracking.predicted_s)
        self._part(seen)

    def _part(self, seen: Observation) -> None:
        """Leave an object to the surer one of two tracks that came to the same."""
        tracked = sorted((t for t in self._tracks if t.state is TrackingState.TRACKED), key=lambda t: -t.score)
        for i, track in enumerate(tracked):
            if any(self._overlap(track.model, track.pose, other, seen) for other in tracked[:i]):
                track.state = TrackingState.LOST

    def _sure(self) -> list[ObjectTrack]:
        below = self.config.tracking.searched_below
        return [track for track in self._tracks if track.state is TrackingState.TRACKED and track.score >= below]

    def _unsure(self) -> list[str]:
        """Return the models of which not all instances are seen beyond doubt."""
        sure = [track.model.name for track in self._sure()]
        return [name for name in self._finder.searched if sure.count(name) < self.config.instances]

    def _missing(self, stamp_ns: int) -> list[str]:
        """Return the models to search for in this frame: those that were just lost first, then others in turns."""
        names = self._unsure()
        hidden = {t.model.name for t in self._tracks if t.state is not TrackingState.TRACKED}
        hidden |= {name for name, lost_ns in self._lost_ns.items() if stamp_ns - lost_ns < _SOUGHT_S * 1e9}
        pause_ns = self.config.pause_s * 1e9
        due = [
            name
            for name in names
            if name in hidden or name not in self._tried_ns or stamp_ns - self._tried_ns[name] >= pause_ns
        ]
        due.sort(key=lambda name: (name not in hidden, self._tried_ns.get(name, -1)))
        chosen = due[: self.config.searches or len(due)]
        self._tried_ns.update(dict.fromkeys(chosen, stamp_ns))
        return chosen

    def _settle(self, frame: RgbdFrame, seen: Observation) -> None:
        """Search again for one object where it is, if a search has left open how it is turned."""
        open_tracks = [track for track in self._tracks if track.is_to_be_settled(self.config.pause_s)]
        if not open_tracks:
            return
        track = min(open_tracks, key=lambda track: track.searched_ns)
        track.note_search()
        again = self._finder.again(track.model.name, track.pose, frame, seen)
        if again is None:
            return
        track.doubt, one = again.doubt, again.better
        if one is not None and one.score >= self.config.tracking.found:
            track.update(one.pose, one.score, one.covariance, frame.stamp_ns, frame.fixed_from_camera, one.doubt)

    def _take(self, found: list[Found], frame: RgbdFrame, seen: Observation) -> list[ObjectPose]:
        """Make tracks of what was found, the surest first, where nothing surer stands; return what had to go for it."""
        gone: list[ObjectPose] = []
        found = [one for one in found if one.score >= self.config.tracking.found]
        for one in sorted(found, key=lambda item: -item.score):
            model = one.searched.model
            rivals = [
                t for t in self._tracks if t.state is TrackingState.TRACKED and self._overlap(model, one.pose, t, seen)
            ]
            own = [t for t in self._tracks if t.model.name == model.name]
            if any(rival.score >= one.score for rival in rivals):
                continue
            others = [rival for rival in rivals if rival.model.name != model.name]
            gone += [self._lost(other) for other in others]
            self._tracks = [track for track in self._tracks if track not in others]
            weaker = [t for t in own if t in rivals or t.state is not TrackingState.TRACKED or t.score < one.score]
            unseen = any(t.state is not TrackingState.TRACKED for t in own)
            if weaker and (unseen or len(own) >= self.config.instances or any(t in rivals for t in own)):
                track = min(weaker, key=lambda t: (t not in rivals, t.state is TrackingState.TRACKED, t.score))
                track.update(one.pose, one.score, one.covariance, frame.stamp_ns, frame.fixed_from_camera, one.doubt)
            elif len(own) < self.config.instances:
                pose = turned_equal(one.pose, model.symmetries.same, np.eye(4))
                self._tracks.append(
                    ObjectTrack(
                        f"{word(model.name)}_{next(self._numbers[model.name])}",
                        model,
                        pose,
                        frame.fixed_from_camera,
                        frame.stamp_ns,
                        frame.stamp_ns,
                        one.score,
                        one.covariance,
                        one.doubt,
                    )
                )
        return gone

    def _overlap(self, model: ObjectModel, pose: FloatArray, track: ObjectTrack, seen: Observation) -> bool:
        one, other = self._finder.searched[model.name], self._finder.searched[track.model.name]
        return overlap(one, pose, other, track.pose, seen.intrinsics)

    def _lost(self, track: ObjectTrack) -> ObjectPose:
        return replace(self._result(track), score=0.0, tracking_state=TrackingState.LOST)

    @staticmethod
    def _result(track: ObjectTrack) -> ObjectPose:
        model = track.model
        covariance = about_origin(track.covariance, track.pose, model.center)
        return ObjectPose(
            track.id, model.name, track.belief(), track.state, track.pose, covariance, model.center, model.size
        )
