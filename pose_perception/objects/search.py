"""Everything that finds objects, as one: known meshes, and categories without a mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from pose_perception.config import option
from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError
from pose_perception.objects.category_pipeline import CategoryPipeline
from pose_perception.objects.category_tracking import CategoryTrackingConfig
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.library import read_models
from pose_perception.objects.objectron import ObjectronConfig
from pose_perception.objects.outlines import Outline, mesh_outline
from pose_perception.objects.pipeline import ObjectPipeline, ObjectPipelineConfig

Stage = Callable[[str], AbstractContextManager[object]]
"""Takes the name of a stage; what it returns is entered before the stage and left after it, to measure its time."""


class Pipeline(Protocol):
    """What finds and follows objects of one kind."""

    def warm_up(self) -> None:
        """Prepare everything once, so that the first images take no longer than the others."""

    def reset(self) -> list[ObjectPose]:
        """Forget all objects, as for the first frame of another video; returns them as lost."""
        ...

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Return the objects in a frame; regions say where to look instead of everywhere."""
        ...


@dataclass(frozen=True)
class SearchConfig(ObjectPipelineConfig):
    """What to look for, and how."""

    models: str = option(
        "",
        "Meshes of the objects, separated by commas: files, descriptions that `pose-perception objects add` wrote, and "
        "folders of these or in BOP's layout. Empty: none.",
    )
    mesh_scale: float = option(
        1.0, "Metres per unit of mesh files without a description: 0.001 for millimetres.", minimum=1e-6
    )
    objectron: ObjectronConfig = field(default_factory=ObjectronConfig)
    objectron_tracking: CategoryTrackingConfig = field(default_factory=CategoryTrackingConfig)


class _Part(NamedTuple):
    pipeline: Pipeline
    names: frozenset[str]


class ObjectSearch:
    """Finds objects of all kinds that are asked for.

    Args:
        config: What to look for.
        stage: Told about the stages.

    Attributes:
        outlines: Coarse meshes of the models by name.

    Raises:
        ConfigurationError: nothing is asked for, or a model has the name of a category that is looked for.
        InvalidInputError: a mesh cannot be used.
        WeightsError: a weight file is missing or altered.
        DeviceError: the requested device is not there.
    """

    def __init__(self, config: SearchConfig, stage: Stage = nullcontext) -> None:
        self._stage = stage
        self.outlines: dict[str, Outline] = {}
        self._parts: dict[str, _Part] = {}
        categories = frozenset(config.objectron.names)
        paths = [Path(word.strip()).expanduser() for word in config.models.split(",") if word.strip()]
        models = read_models(paths, config.mesh_scale)
        if models:
            self.outlines = {model.name: mesh_outline(model.mesh) for model in models}
            if shared := sorted(categories & self.outlines.keys()):
                raise ConfigurationError(f"{shared[0]!r} is a category; give the model another name in its description")
            self._parts["meshes"] = _Part(ObjectPipeline(models, config), frozenset(self.outlines))
        if categories:
            pipeline = CategoryPipeline(config.objectron, config.objectron_tracking, config.device)
            self._parts["categories"] = _Part(pipeline, categories)
        if not self._parts:
            raise ConfigurationError("nothing to look for: give meshes with models, or objectron.categories")

    @property
    def needs_depth(self) -> bool:
        """Whether images without depth are of no use."""
        return "meshes" in self._parts

    def warm_up(self) -> None:
        """Prepare everything once, so that the first images take no longer than the others."""
        for part in self._parts.values():
            part.pipeline.warm_up()

    def reset(self) -> list[ObjectPose]:
        """Forget all objects, as for the first frame of another video; returns them as lost."""
        return [found for part in self._parts.values() for found in part.pipeline.reset()]

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Return the objects in a frame.

        Args:
            frame: Image, depth and camera.
            regions: Where to look; None for everywhere. Those of models that are not looked for are left out.
        """
        objects = []
        for name, part in self._parts.items():
            own = None if regions is None else [r for r in regions if r.model is None or r.model in part.names]
            with self._stage(name):
                objects += part.pipeline.process(frame, own)
        return objects
