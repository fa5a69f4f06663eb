"""Subscriptions to an RGB-D camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.geometry.registration import check_rigid
from pose_perception.geometry.se3 import matrix_from_numbers
from pose_perception.ros.conversions import stamp_ns
from pose_perception.ros.counters import Counters
from pose_perception.ros.frames import RgbdMessages
from pose_perception.ros.synchronizer import StampSynchronizer, unpaired
from pose_perception.ros.topics import TopicMonitor

_COLOR, _DEPTH = "colour image", "depth image"
# Reasons under which images are counted as dropped.
NO_COLOR_INFO = "no camera_info"
NO_DEPTH_INFO = "no depth camera_info"
COLOR_WITHOUT_DEPTH = unpaired(_COLOR, _DEPTH)
DEPTH_WITHOUT_COLOR = unpaired(_DEPTH, _COLOR)
INCOMPATIBLE_QOS = "incompatible QoS"


@dataclass(frozen=True)
class RgbdConfig(Config):
    """How a camera is read.

    Raises:
        ConfigurationError: a value lies outside its range, or `color_from_depth` is no transform.
    """

    compressed: bool = option(False, "Subscribe to color/image/compressed (JPEG, PNG) instead of color/image.")
    use_depth: bool = option(
        True,
        "Wait for depth with every colour image; without it positions come from the size of people and are uncertain "
        "by a tenth of the distance.",
    )
    slop_s: float = option(0.02, "Largest difference of colour and depth stamps [s].", minimum=0.0, maximum=1.0)
    queue_size: int = option(10, "Images of a stream that wait for their partner.", minimum=1, maximum=100)
    color_from_depth: str = option(
        "",
        "Pose of the depth camera in the colour camera's optical frame as 'x y z qx qy qz qw' [m], for depth that is "
        "not registered; empty: from TF.",
    )
    fixed_frame: str = option(
        "",
        "TF frame that does not move and whose z axis points up, such as odom or map: people are tracked in it, for a "
        "camera that moves, and it tells which way is up; empty: none.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.color_from_depth_matrix()

    def color_from_depth_matrix(self) -> FloatArray | None:
        """Return `color_from_depth` with shape (4, 4), or None when it comes from TF."""
        if not self.color_from_depth.strip():
            return None
        try:
            matrix = matrix_from_numbers([float(word) for word in self.color_from_depth.split()])
            check_rigid(matrix)
        except (ValueError, InvalidInputError) as error:
            raise ConfigurationError(
                f"RgbdConfig.color_from_depth must be 'x y z qx qy qz qw', got {self.color_from_depth!r}: {error}"
            ) from error
        return matrix


class RgbdSubscriber:
    """Subscribes to a camera and hands on the messages of one moment.

    Topics, relative to the node's namespace: `color/image` or `color/image/compressed`, `color/camera_info`, and with
    depth `depth/image` and `depth/camera_info`. The latter is waited for if somebody publishes it, and always with
    `color_from_depth`. Their QoS is that of sensor data and can be overridden by ROS's own `qos_overrides` parameters.

    Args:
        node: Owner of the subscriptions.
        config: How the camera is read.
        counters: Where dropped images are counted.
        monitor: Told about every message.
        on_images: Called in the executor's thread; must return at once.
    """

    def __init__(
        self,
        node: Node,
        config: RgbdConfig,
        counters: Counters,
        monitor: TopicMonitor,
        on_images: Callable[[RgbdMessages], None],
    ) -> None:
        self._node = node
        self._counters = counters
        self._monitor = monitor
        self._on_images = on_images
        self._infos: dict[str, CameraInfo] = {}
        slop_ns = round(config.slop_s * 1e9)
        self._synchronizer = StampSynchronizer(
            (_COLOR, _DEPTH), slop_ns, config.queue_size, counters.drop, counters.note
        )
        self._depth_info_topic = node.resolve_topic_name("depth/camera_info")
        self._needs_depth_info = config.color_from_depth_matrix() is not None
        self._subscriptions: list[Any] = []
        try:
            self._subscribe_all(config)
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Remove the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _subscribe_all(self, config: RgbdConfig) -> None:
        on_color = partial(self._pair, _COLOR) if config.use_depth else self._color_only
        color_type, color_topic = (
            (CompressedImage, "color/image/compressed") if config.compressed else (Image, "color/image")
        )
        self._subscribe(CameraInfo, "color/camera_info", partial(self._infos.__setitem__, _COLOR))
        self._subscribe(color_type, color_topic, on_color)
        if config.use_depth:
            on_depth_info = partial(self._infos.__setitem__, _DEPTH)
            self._subscribe(CameraInfo, "depth/camera_info", on_depth_info, self._needs_depth_info)
            self._subscribe(Image, "depth/image", partial(self._pair, _DEPTH))

    def _subscribe(self, kind: type, topic: str, on_message: Callable[[Any], None], required: bool = True) -> None:
        name = self._node.resolve_topic_name(topic)
        self._monitor.expect(name, required, repeats=kind is not CameraInfo)  # one calibration is enough

        def receive(message: Any) -> None:
            self._monitor.received(name)
            on_message(message)

        def warn(event: QoSRequestedIncompatibleQoSInfo) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self._counters.drop(INCOMPATIBLE_QOS, f"a publisher on {name} cannot serve this node: {policy} differs")

        subscription = self._node.create_subscription(
            kind,
            topic,
            receive,
            qos_profile_sensor_data,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=warn),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._subscriptions.append(subscription)

    def _pair(self, stream: str, image: Image | CompressedImage) -> None:
        pair = self._synchronizer.add(stream, stamp_ns(image.header), image)
        if pair is not None:
            self._hand_on(*pair)

    def _color_only(self, image: Image | CompressedImage) -> None:
        if self._synchronizer.is_new(_COLOR, stamp_ns(image.header)):
            self._hand_on(image, None)

    def _hand_on(self, color: Image | CompressedImage, depth: Image | None) -> None:
        if _COLOR not in self._infos:
            self._counters.drop(NO_COLOR_INFO, "images come, but no camera_info of the colour camera")
            return
        if depth is not None and _DEPTH not in self._infos and self._expects_depth_info():
            # Without it, depth that is not registered could pass for registered.
            self._counters.drop(NO_DEPTH_INFO, f"images come, but nothing yet on {self._depth_info_topic}")
            return
        self._on_images(RgbdMessages(color, depth, self._infos[_COLOR], self._infos.get(_DEPTH)))

    def _expects_depth_info(self) -> bool:
        return self._needs_depth_info or self._node.count_publishers(self._depth_info_topic) > 0
