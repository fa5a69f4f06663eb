"""From an RGB-D frame to tracked boxes of cups, chairs, shoes and cameras."""

from __future__ import annotations

from collections.abc import Sequence

from pose_perception.datatypes import RgbdFrame
from pose_perception.objects.category_tracking import CategoryTracker, CategoryTrackingConfig
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.objectron import ObjectronConfig, ObjectronFinder


class CategoryPipeline:
    """Finds objects of categories and follows them.

    Args:
        finding: What to look for.
        tracking: How it is followed.
        device: auto, cuda or cpu.

    Raises:
        WeightsError: a weight file is missing or altered.
        DeviceError: the requested device is not there.
    """

    def __init__(self, finding: ObjectronConfig, tracking: CategoryTrackingConfig, device: str) -> None:
        self._finder = ObjectronFinder(finding, device)
        self._tracker = CategoryTracker(tracking)
        self._last_ns: int | None = None

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""
        self._finder.warm_up()

    def reset(self) -> list[ObjectPose]:
        """Forget all objects, as for the first frame of another video; returns them as lost."""
        self._last_ns = None
        return self._tracker.reset()

    def process(self, frame: RgbdFrame, regions: Sequence[ObjectRegion] | None = None) -> list[ObjectPose]:
        """Return the objects in a frame.

        Args:
            frame: Image, depth and camera. A stamp before that of the last frame starts another recording.
            regions: Where to look; None for the whole image.
        """
        lost = self.reset() if self._last_ns is not None and frame.stamp_ns < self._last_ns else []
        self._last_ns = frame.stamp_ns
        boxes = self._finder.find(frame, regions, self._tracker.expected(frame))
        return lost + self._tracker.update(frame, boxes)
