"""Poses of known objects in one frame: in regions, anywhere, near where one is expected, or once more where one is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, RgbdFrame
from pose_perception.errors import InvalidInputError
from pose_perception.networks.runtime import Network
from pose_perception.objects.candidates import Candidates
from pose_perception.objects.crops import Observation, middles
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.objects.exploration import explore, search_at
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.palette import Palette, palette_of
from pose_perception.objects.registration import (
    LEAST_POINTS,
    REACH,
    Registration,
    RegistrationConfig,
    SearchedModel,
    masked_points,
    points_around,
)
from pose_perception.objects.scoring import Doubt, covariance, doubt_of, probability
from pose_perception.objects.segmentation import Scene, SegmentationConfig

# An object that is known goes to another pose where it is when that is so much likelier: a logarithm.
_LIKELIER = math.log(3.0)


@dataclass(frozen=True)
class Found:
    """A pose of a model.

    Attributes:
        searched: What was found.
        pose: camera_from_object, shape (4, 4).
        score: How likely it is right, 0 to 1.
        covariance: Of shifts of its middle and turns about it, shape (6, 6), axes of the camera.
        doubt: What the search left open.
    """

    searched: SearchedModel
    pose: FloatArray
    score: float
    covariance: FloatArray
    doubt: Doubt


class Reconsidered(NamedTuple):
    """What another search where an object is says of its pose.

    Attributes:
        better: A pose that is likelier; None when there is none.
        doubt: What it leaves open about the pose that it had.
    """

    better: Found | None
    doubt: Doubt


class ObjectFinder:
    """Finds known objects in single frames.

    Args:
        models: What to look for.
        registration: How thoroughly.
        segmentation: How places to look at are found.
        network: The pose matcher.
    """

    def __init__(
        self,
        models: Sequence[ObjectModel],
        registration: RegistrationConfig,
        segmentation: SegmentationConfig,
        network: Network,
    ) -> None:
        self._registration, self._segmentation = Registration(network, registration), segmentation
        self.searched = {model.name: SearchedModel(model, network.device, registration.turns) for model in models}
        self._palettes: dict[str, Palette] = {model.name: palette_of(model) for model in models}
        self._largest = max(model.diameter for model in models)

    def warm_up(self) -> None:
        """Prepare everything once, so that the first images take no longer than the others."""
        self._registration.warm_up()
        for searched in self.searched.values():
            _ = searched.orientations, searched.pairs, searched.model.silhouette_m2

    def check(self, regions: Sequence[ObjectRegion], depth: npt.NDArray[np.float32]) -> None:
        """Check regions.

        Raises:
            InvalidInputError: one is not of the image's size, or shows a model that is not known.
        """
        for region in regions:
            if region.mask.shape != depth.shape:
                raise InvalidInputError(f"a mask has shape {region.mask.shape}, the image {depth.shape}")
            if region.model is not None and region.model not in self.searched:
                raise InvalidInputError(f"a region shows {region.model!r}; known are {', '.join(self.searched)}")

    def in_regions(self, regions: Sequence[ObjectRegion], wanted: Collection[str], seen: Observation) -> list[Found]:
        """Return the best of the wanted models in each region, where there is one."""
        found = []
        for region in regions:
            names = [region.model] if region.model is not None else wanted
            mask = Observation(seen.image, region.mask.astype(np.float32), seen.intrinsics)
            best: Found | None = None
            for name in names:
                if name not in wanted:
                    continue
                searched = self.searched[name]
                points = masked_points(region.mask, seen.depth, seen.intrinsics, searched.model.radius)
                candidates = self._registration.register(searched, seen, points, mask)
                one = None if candidates is None else _judge(searched, candidates)
                if one is not None and (best is None or one.score > best.score):
                    best = one
            if best is not None:
                found.append(best)
        return found

    def anywhere(
        self, wanted: Mapping[str, Sequence[FloatArray]], instances: int, frame: RgbdFrame, seen: Observation
    ) -> list[Found]:
        """Return models at the likeliest places of the whole image.

        Args:
            wanted: What to look for by name, with the poses of the objects of each model that are known already.
            instances: How many objects there may be of each.
            frame: The frame.
            seen: The same as it is searched.
        """
        scene, seen = self._scene(frame, seen)
        found: list[Found] = []
        for name, known in wanted.items():
            more = max(0, instances - len(known) - 1)
            searched, palette = self.searched[name], self._palettes[name]
            every = explore(self._registration, searched, palette, scene, seen, known, more)
            found += [_judge(searched, candidates) for candidates in every]
        return found

    def near(self, name: str, pose: FloatArray, doubt: Doubt, seen: Observation) -> Found | None:
        """Refine a pose that is nearly right, of which a search left a doubt; None when nothing is measured there."""
        searched = self.searched[name]
        middle = middles(pose[None], searched.model.center)[0]
        if middle[2] < searched.model.radius:
            return None
        points = points_around(seen.depth, seen.intrinsics, middle, REACH * searched.model.radius)
        if len(points) < LEAST_POINTS:
            return None
        return _judge(searched, self._registration.follow(searched, seen, pose, points), doubt)

    def again(self, name: str, pose: FloatArray, frame: RgbdFrame, seen: Observation) -> Reconsidered | None:
        """Search once more where an object is known to be; None when too little is measured there."""
        searched = self.searched[name]
        _, seen = self._scene(frame, seen)
        candidates = search_at(self._registration, searched, seen, middles(pose[None], searched.model.center)[0])
        if candidates is None:
            return None
        one = _judge(searched, candidates)
        now, other = self._registration.merits(searched, seen, np.stack([pose, one.pose]))
        return Reconsidered(one if other - now > _LIKELIER else None, doubt_of(candidates, searched.model, pose))

    def _scene(self, frame: RgbdFrame, seen: Observation) -> tuple[Scene, Observation]:
        scene = Scene(frame, self._segmentation, self._largest)
        return scene, seen.with_standing(scene.standing(seen.depth))


def _judge(searched: SearchedModel, candidates: Candidates, doubt: Doubt | None = None) -> Found:
    """Judge the first of candidates; with the doubt that is known, or that of these."""
    model, pose = searched.model, candidates.camera_from_object[0]
    doubt = doubt or doubt_of(candidates, model)
    return Found(searched, pose, probability(candidates, model), covariance(candidates, model, doubt), doubt)
