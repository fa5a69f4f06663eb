#!/usr/bin/env python3
"""Node that plays a recorded RGB-D stream: a folder of images, or an MCAP bag."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future

from pose_perception.config import Config, option
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.recording.bag import BagRecording
from pose_perception.recording.folder import FolderRecording
from pose_perception.recording.topics import choose_topics
from pose_perception.ros.conversions import diagnostic_message, header_message
from pose_perception.ros.counters import Counters
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.playback import COLOR, COLOR_COMPRESSED, STATIC_TRANSFORMS, BagSource, FolderSource, Source
from pose_perception.ros.player import Player
from pose_perception.ros.process import run_node

_PUBLISHED, _SKIPPED = "published", "skipped"
# How long the last messages get on their way to reliable subscribers, and to all others, before the node ends.
_ACKNOWLEDGE_S, _LINGER_S = 2.0, 0.5
_REMINDER_S = 5.0


@dataclass(frozen=True)
class PlayerConfig(Config):
    """What to play, and how."""

    folder: str = option("", "Folder with color/, depth/ and camera.json; give this or bag.")
    bag: str = option("", "File *.mcap or folder that rosbag2 wrote; give this or folder.")
    loop: bool = option(True, "Begin again at the end; otherwise the node ends there.")
    rate_hz: float = option(15.0, "Pairs of images per second of a folder.", minimum=0.1, maximum=1000.0)
    speed: float = option(1.0, "Factor on the speed of playing.", minimum=0.01, maximum=100.0)
    stamps: str = option(
        "now",
        "Stamps of a bag: now (moved to the present, never going back) or original; those of a folder are always now.",
        choices=("now", "original"),
    )
    wait_for_subscribers: int = option(
        0, "Do not begin before colour and its camera have so many subscribers, and depth has one.", minimum=0
    )
    start_delay_s: float = option(1.0, "Wait before the first image, while connections are made, s.", minimum=0.0)
    memory_mb: int = option(512, "Most memory for images that are read ahead, MiB.", minimum=1)
    frame_id: str = option("camera_color_optical_frame", "Optical frame of the images of a folder.")
    color_topic: str = option("", "Topic of the bag with colour images; found by type and name when empty.")
    depth_topic: str = option("", "Topic of the bag with depth images; found by type and name when empty.")
    camera_info_topic: str = option("", "Topic of the bag with the colour camera; found by name when empty.")


class RgbdPlayer(Node):
    """Publishes `color/image` (or `color/image/compressed`), `depth/image`, `color/camera_info` and `/diagnostics`.

    Attributes:
        finished: Done when everything has been played, or could not be played on.

    Raises:
        ConfigurationError: the parameters make no sense.
        InvalidInputError: the recording cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("rgbd_player")
        config = ConfigParameters(self, PlayerConfig).read()
        self.finished: Future = Future()
        self._counters = Counters(self.get_logger())
        source = self._open(config)
        self._topics = {topic: self._publisher(topic, kind) for topic, kind in source.types.items()}
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._diagnose)
        keep_stamps = bool(config.bag) and config.stamps == "original"
        self._player = Player(
            source,
            self._publish,
            None if keep_stamps else lambda: self.get_clock().now().nanoseconds,
            memory_bytes=config.memory_mb << 20,
            speed=config.speed,
            loop=config.loop,
        )
        self._needed = config.wait_for_subscribers
        self._reminder = self.create_timer(_REMINDER_S, self._remind)
        self._player.start(self._is_ready, config.start_delay_s, self.finished)

    def play_to_the_end(self) -> NoReturn:
        """Spin until everything has been played and has arrived, then leave the process.

        Raises:
            InvalidInputError: nothing could be played.
            SystemExit: the end.
        """
        rclpy.spin_until_future_complete(self, self.finished)
        self.finished.result()
        self._diagnose()
        for publisher in (*self._topics.values(), self._diagnostics):
            publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_S))
        time.sleep(_LINGER_S)
        if self._counters.counts().get(_PUBLISHED, 0) == 0:
            raise InvalidInputError("nothing could be played; the warnings above say why")
        raise SystemExit(0)

    def destroy_node(self) -> None:
        self._player.stop()
        super().destroy_node()

    def _open(self, config: PlayerConfig) -> Source:
        if bool(config.folder) == bool(config.bag):
            raise ConfigurationError("set one of the parameters folder and bag to what shall be played")
        if config.folder:
            folder = FolderRecording(Path(config.folder))
            for path in folder.unpaired:
                self._skip(f"{path} has no partner")
            source: Source = FolderSource(folder, config.rate_hz, config.frame_id, self._skip)
            what = f"{len(folder)} pairs of images of {folder.path} at {config.rate_hz:g} Hz"
        else:
            bag = BagRecording(Path(config.bag))
            topics = choose_topics(bag, config.color_topic, config.depth_topic, config.camera_info_topic)
            source = BagSource(bag, topics, self._skip)
            what = f"{bag.path}: {topics.color}, {topics.depth}, {topics.camera_info}"
        self.get_logger().info(f"playing {what}{', in a loop' if config.loop else ''}")
        return source

    def _skip(self, reason: str) -> None:
        self._counters.drop(_SKIPPED, reason)

    def _publisher(self, topic: str, kind: type) -> Publisher:
        # Reliable, since that serves every subscriber; an image that nobody fetches in time is overwritten.
        qos = QoSProfile(depth=5)
        if topic == STATIC_TRANSFORMS:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        return self.create_publisher(kind, topic, qos)

    def _publish(self, topic: str, data: bytes) -> None:
        self._topics[topic].publish(data)
        if topic in (COLOR, COLOR_COMPRESSED):
            self._counters.add(_PUBLISHED)

    def _diagnose(self) -> None:
        counts = {_PUBLISHED: 0, _SKIPPED: 0} | self._counters.counts()
        level = DiagnosticStatus.WARN if counts[_SKIPPED] else DiagnosticStatus.OK
        message = f"{counts[_PUBLISHED]} images published, {counts[_SKIPPED]} skipped"
        header = header_message(self.get_clock().now().nanoseconds, "")
        self._diagnostics.publish(diagnostic_message(header, self.get_name(), "player", level, message, counts))

    def _is_ready(self) -> bool:
        ready = not self._needed or not self._lacking()
        if ready:
            self._reminder.cancel()
        return ready

    def _lacking(self) -> list[str]:
        """Return the topics with too few subscribers, and how many they have."""
        needed = {topic: self._needed if topic.startswith("color/") else 1 for topic in self._topics}
        needed.pop(STATIC_TRANSFORMS, None)
        found = {topic: self._topics[topic].get_subscription_count() for topic in needed}
        return [f"{topic} ({found[topic]} of {count})" for topic, count in needed.items() if found[topic] < count]

    def _remind(self) -> None:
        if lacking := self._lacking():
            self.get_logger().warning(f"waiting for subscribers of {', '.join(lacking)}")


def main() -> int:
    """Play until the end, or until the node is told to end."""
    return run_node(RgbdPlayer, RgbdPlayer.play_to_the_end)


if __name__ == "__main__":
    sys.exit(main())
