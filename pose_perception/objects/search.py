"""Everything that finds objects, as one: known meshes, and categories without a mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from pose_perception.config import Config, option
from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError
from pose_perception.objects.category_pipeline import CategoryPipeline
from pose_perception.objects.category_tracking import CategoryTrackingConfig
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.objectron import ObjectronConfig
from pose_perception.objects.outlines import Outline

Stage = Callable[[str], AbstractContextManager[object]]
"""Takes the name of a stage; what it returns is entered before the stage and left after it, to measure its time."""


class Pipeline(Protocol):
    """What finds and follows objects of one kind."""

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""

    def reset(self) -> list[ObjectPose]:
        """Forget all objects; returns them as lost."""
        ...

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Return the objects in a frame; regions say where to look instead of everywhere."""
        ...


@dataclass(frozen=True)
class SearchConfig(Config):
    """What to look for, and how."""

    device: str = option("auto", "Where the networks run.", choices=("auto", "cuda", "cpu"))
    objectron: ObjectronConfig = field(default_factory=ObjectronConfig)
    objectron_tracking: CategoryTrackingConfig = field(default_factory=CategoryTrackingConfig)


class ObjectSearch:
    """Finds objects of all kinds that are asked for.

    Args:
        config: What to look for.
        stage: Told about the stages.

    Attributes:
        outlines: Coarse meshes of the models by name.

    Raises:
        ConfigurationError: nothing is asked for.
        WeightsError: a weight file is missing or altered.
        DeviceError: the requested device is not there.
    """

    def __init__(self, config: SearchConfig, stage: Stage = nullcontext) -> None:
        self._stage = stage
        self.outlines: dict[str, Outline] = {}
        self._pipelines: dict[str, Pipeline] = {}
        if config.objectron.names:
            self._pipelines["categories"] = CategoryPipeline(config.objectron, config.objectron_tracking, config.device)
        if not self._pipelines:
            raise ConfigurationError("nothing to look for: name categories with objectron.categories")

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""
        for pipeline in self._pipelines.values():
            pipeline.warm_up()

    def reset(self) -> list[ObjectPose]:
        """Forget all objects, as for the first frame of another video; returns them as lost."""
        return [found for pipeline in self._pipelines.values() for found in pipeline.reset()]

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Return the objects in a frame.

        Args:
            frame: Image, depth and camera.
            regions: Where to look; None for everywhere.
        """
        objects = []
        for name, pipeline in self._pipelines.items():
            with self._stage(name):
                objects += pipeline.process(frame, regions)
        return objects
