"""The part that all perception nodes share: camera in, worker, results counted and diagnosed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from rclpy.node import Node

from pose_perception.datatypes import RgbdFrame
from pose_perception.ros.counters import Counters
from pose_perception.ros.diagnostics import Diagnostics
from pose_perception.ros.frames import FrameBuilder, RgbdMessages
from pose_perception.ros.rgbd import RgbdConfig, RgbdSubscriber
from pose_perception.ros.topics import TopicMonitor
from pose_perception.ros.transforms import TransformInput
from pose_perception.ros.worker import LatestWorker

Found = TypeVar("Found")


class Perception(Generic[Found]):
    """Works on the latest frame of a camera, in a thread of its own, from its creation until `stop`.

    Args:
        node: Owner of subscriptions and publishers.
        config: How the camera is read.
        device: Where the networks run, for the diagnostics.
        process: Finds people or objects in a frame.
        publish: Publishes what was found; this ends the latency.
        illustrate: Publishes what is only looked at, after that.
        found: What is looked for, for the diagnostics: people or objects.
        stages: Called for what else they show, such as the times of the stages.

    Attributes:
        counters: What happened to images; for other inputs, too.
    """

    def __init__(
        self,
        node: Node,
        config: RgbdConfig,
        device: str,
        process: Callable[[RgbdFrame], Sequence[Found]],
        publish: Callable[[RgbdFrame, Sequence[Found]], None],
        illustrate: Callable[[RgbdFrame, Sequence[Found]], None],
        found: str = "people",
        stages: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._node = node
        self._process = process
        self._publish = publish
        self._illustrate = illustrate
        self.counters = counters = Counters(node.get_logger())
        monitor = TopicMonitor()
        self._transforms = TransformInput(node, config.fixed_frame)
        self._builder = FrameBuilder(
            counters,
            node.get_logger(),
            self._transforms.extrinsics,
            config.color_from_depth_matrix(),
            self._transforms.fixed_from_camera if config.fixed_frame else None,
        )
        self._diagnostics = Diagnostics(node, counters, monitor, device, found, stages)
        self._worker: LatestWorker[RgbdMessages] = LatestWorker(self._work, counters)
        try:
            self._subscriber = RgbdSubscriber(node, config, counters, monitor, self._worker.submit)
        except Exception:
            self._worker.stop()
            self._transforms.destroy()
            self._diagnostics.destroy()
            raise

    def stop(self) -> bool:
        """End the work on the frame in hand, unpublished, and remove thread, subscriptions and diagnostics.

        Returns:
            Whether the thread ended; otherwise `process` still runs, and `wait` tells when it does not any more.
        """
        self._subscriber.destroy()
        has_ended = self._worker.stop()
        if not has_ended:
            self._node.get_logger().warning("the frame in work does not end; it is left alone")
        self._transforms.destroy()
        self._diagnostics.destroy()
        return has_ended

    def wait(self, timeout_s: float) -> bool:
        """Return whether the thread of a stopped perception ends within a time."""
        return self._worker.stop(timeout_s)

    def _work(self, messages: RgbdMessages) -> None:
        try:
            self._follow(messages)
        except Exception:
            # A signal ends the context at once, under the feet of whoever publishes: no failure worth a word.
            if self._node.context.ok():
                raise

    def _follow(self, messages: RgbdMessages) -> None:
        frame = self._builder.build(messages)
        if frame is None:
            return
        found = self._process(frame)
        if self._worker.stopping:
            return
        self._publish(frame, found)
        latency_s = (self._node.get_clock().now().nanoseconds - frame.stamp_ns) * 1e-9
        self._diagnostics.record(latency_s, len(found))
        self._illustrate(frame, found)
