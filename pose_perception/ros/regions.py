"""Where objects are in the image, as another node says it on a topic."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from pose_perception.config import Config, option
from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.ros.conversions import (
    regions_from_detections,
    regions_from_mask,
    stamp_ns,
    vision_messages,
)
from pose_perception.ros.counters import Counters

# Reasons under which messages are counted as dropped.
REGIONS_UNUSABLE = "regions unusable"
REGIONS_LATE = "regions too late"
_KEPT = 5


@dataclass(frozen=True)
class RegionConfig(Config):
    """Where to look for objects.

    Raises:
        ConfigurationError: a value is none of its choices, or `classes` is no list of pairs.
    """

    source: str = option(
        "none",
        "Who says where objects are: nobody, ~/masks (sensor_msgs/Image: mono8 or 16UC1, one value an object, 0 for "
        "background), or ~/detections_2d (vision_msgs/Detection2DArray).",
        choices=("none", "masks", "detections_2d"),
    )
    max_age_s: float = option(
        0.5,
        "Regions are used, once, with the first image that is not older and at most so much newer [s].",
        minimum=0.0,
    )
    search: bool = option(True, "Look everywhere in images without regions; otherwise only follow what was found.")
    classes: str = option(
        "", "Names of models for values of masks or classes of detections, such as '1=mug, 2=drill'; others stay."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.models()

    def models(self) -> dict[str, str]:
        """Return the name of the model for each class."""
        pairs = [word.partition("=") for word in self.classes.split(",") if word.strip()]
        if any(not (key.strip() and sign and name.strip()) for key, sign, name in pairs):
            raise ConfigurationError(f"RegionConfig.classes must be 'class=model, ...', got {self.classes!r}")
        return {key.strip(): name.strip() for key, _, name in pairs}


class RegionInput:
    """Keeps the newest regions until an image comes for them.

    Args:
        node: Owner of the subscription.
        config: What is subscribed to.
        counters: Where messages that cannot be used are counted; those that no image came for are normal.

    Raises:
        ConfigurationError: detections are wanted, and vision_msgs is not installed.
    """

    def __init__(self, node: Node, config: RegionConfig, counters: Counters) -> None:
        self._node = node
        self._config = config
        self._models = config.models()
        self._counters = counters
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Any]] = deque(maxlen=_KEPT)
        self._subscription = None
        kind: Any = Image
        if config.source == "detections_2d":
            vision = vision_messages()
            if vision is None:
                raise ConfigurationError("regions.source detections_2d needs vision_msgs: install it, or use masks")
            kind = vision.Detection2DArray
        if config.source != "none":
            self._subscription = node.create_subscription(
                kind,
                f"~/{config.source}",
                self._receive,
                qos_profile_sensor_data,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

    def take(self, frame: RgbdFrame) -> list[ObjectRegion] | None:
        """Return where to look in a frame; None for everywhere. Called from the worker's thread."""
        message = self._newest(frame.stamp_ns)
        nothing: list[ObjectRegion] | None = None if self._config.search else []
        if message is None:
            return nothing
        size = (frame.camera.height, frame.camera.width)
        try:
            if isinstance(message, Image):
                return regions_from_mask(message, size, self._models)
            return regions_from_detections(message, size, self._models)
        except InvalidInputError as error:
            self._counters.drop(REGIONS_UNUSABLE, str(error))
            return nothing

    def destroy(self) -> None:
        """Remove the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _receive(self, message: Any) -> None:
        with self._lock:
            self._waiting.append((stamp_ns(message.header), message))

    def _newest(self, frame_ns: int) -> Any | None:
        """Return the newest message that is not newer than an image; what is older is never used any more."""
        found = None
        with self._lock:
            while self._waiting and self._waiting[0][0] <= frame_ns:
                found = self._waiting.popleft()
        if found is None:
            return None
        if frame_ns - found[0] > self._config.max_age_s * 1e9:
            self._counters.drop(REGIONS_LATE, f"{(frame_ns - found[0]) * 1e-9:.2f} s older than the image that came")
            return None
        return found[1]
