"""Demonstrations as the node `imitation` records them: what it hears and says, and topics beside these."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from pose_perception.config import Config, option
from pose_perception.errors import InvalidInputError
from pose_perception.ros.bag_thread import FAILED, BagThread
from pose_perception.ros.counters import Counters
from pose_perception.ros.playback import message_class

# How often topics are looked for that nobody has published yet, seconds.
_LOOK_S = 1.0
# How long the end of the node waits for the file, seconds.
_END_S = 5.0


@dataclass(frozen=True)
class RecordingConfig(Config):
    """What ~/record writes, and where."""

    directory: str = option("~/demonstrations", "Folder for the bags that ~/record writes; it is made when missing.")
    topics: str = option(
        "object_pose/objects /tf /tf_static",
        "Topics that are recorded beside the node's own, separated by spaces, such as images.",
    )


class DemonstrationRecorder:
    """Writes what the node hears and says into a bag, one for each recording.

    Args:
        node: Owner of subscriptions, clock and timer.
        config: What is written, and where.
        counters: Where messages that cannot be recorded are counted.
    """

    def __init__(self, node: Node, config: RecordingConfig, counters: Counters) -> None:
        self._node, self._config, self._counters = node, config, counters
        self._bag: BagThread | None = None
        self._subscriptions: dict[str, Any] = {}
        self._timer: Any = None
        self._is_over = False

    @property
    def path(self) -> str:
        """The file that is being written; empty when nothing is recorded."""
        return "" if self._bag is None or self._bag.error else str(self._bag.path)

    def start(self) -> Path:
        """Begin a new file and return it.

        Raises:
            InvalidInputError: something is recorded already, or the file cannot be written.
        """
        if self._is_over:
            raise InvalidInputError("the node is not active")
        if self._bag is not None and not self._bag.error:
            raise InvalidInputError(f"already recording to {self._bag.path}")
        self.end()
        folder = Path(self._config.directory).expanduser()
        try:
            path = _new_file(folder)
            self._bag = BagThread(path, self._counters)
        except OSError as error:
            self._counters.drop(FAILED, f"{folder}: {error.strerror or error}")
            raise InvalidInputError(f"recording.directory {folder}: {error.strerror or error}") from error
        self._look()
        self._timer = self._node.create_timer(_LOOK_S, self._look)
        return path

    def end(self) -> BagThread | None:
        """Have the file closed, which takes a moment; return its thread, None when nothing was recorded."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        bag, self._bag = self._bag, None
        if bag is not None:
            bag.end()
        return bag

    def write(self, topic: str, message: Any) -> None:
        """Record a message that the node has heard or said, when something is recorded."""
        if self._bag is not None:
            self._bag.put(topic, message, self._node.get_clock().now().nanoseconds)

    def destroy(self) -> None:
        """End, wait for the file, and begin no other."""
        self._is_over = True
        bag = self.end()
        if bag is not None and not bag.join(_END_S):
            self._node.get_logger().error(f"{bag.path} was not closed in time: it has no index")

    def _look(self) -> None:
        """Listen to the topics that are published by now."""
        wanted = [self._node.resolve_topic_name(topic) for topic in self._config.topics.split()]
        missing = [topic for topic in wanted if topic not in self._subscriptions]
        kinds = dict(self._node.get_topic_names_and_types()) if missing else {}
        for topic in missing:
            if topic in kinds and self._node.count_publishers(topic):
                self._listen(topic, kinds[topic][0])

    def _listen(self, topic: str, kind: str) -> None:
        try:
            message_type = message_class(kind)
        except InvalidInputError as error:
            self._counters.note("topic not recorded", f"{topic}: {error}")
            return
        receive = partial(self._write_serialized, topic, kind)
        # Serialized as it is: nothing is unpacked in the thread that controls the robot.
        self._subscriptions[topic] = self._node.create_subscription(
            message_type, topic, receive, self._quality(topic), raw=True
        )

    def _quality(self, topic: str) -> QoSProfile:
        """Return what suits all publishers of a topic."""
        offers = [publisher.qos_profile for publisher in self._node.get_publishers_info_by_topic(topic)]
        reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
        latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        return QoSProfile(
            depth=20,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )

    def _write_serialized(self, topic: str, kind: str, data: bytes) -> None:
        if self._bag is not None:
            self._bag.put(topic, data, self._node.get_clock().now().nanoseconds, kind)


def _new_file(folder: Path) -> Path:
    """Return the name of a file that there is not, by the time of day."""
    folder.mkdir(parents=True, exist_ok=True)
    name = time.strftime("demonstration_%Y%m%d_%H%M%S")
    path, number = folder / f"{name}.mcap", 1
    while path.exists():
        number += 1
        path = folder / f"{name}_{number}.mcap"
    return path
