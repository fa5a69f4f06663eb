"""One run of the demo: camera and perception as child processes, watched until the end."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import rclpy
from rclpy.executors import SingleThreadedExecutor

from pose_perception.datatypes import Skeleton
from pose_perception.errors import PosePerceptionError
from pose_perception.evaluation.imitation_stream import imitation_table
from pose_perception.evaluation.report import format_table, images_row, stream_table
from pose_perception.msg import SkeletonArray
from pose_perception.ros.children import Children, ros_environment
from pose_perception.ros.imitation_demo import PARAMETERS, REMAPPINGS, ROBOT_PARAMETERS, ROBOT_REMAPPINGS, ImitationDemo
from pose_perception.ros.monitor import Monitor
from pose_perception.ros.recorder import BagWriter

_PERCEPTION = "human_pose"
# How often the live table is renewed, and how often a user who sees none is told what is awaited.
_TABLE_S, _REMINDER_S = 1.0, 10.0
# The last results, and the diagnostics of once per second that count what became of the images.
_LAST_RESULTS_S = 1.5


class Plan(Protocol):
    """What runs: see `nodes.demo.DemoPlan`."""

    title: str
    name: str
    camera: tuple[str, dict[str, object]] | None
    perception: dict[str, object]
    remappings: dict[str, str]
    compressed: bool
    waits: bool
    duration_s: float | None
    robot: str


def run_session(plan: Plan, out: Path, live: bool) -> int:
    """Run, measure, print the table; write `annotated.png`, `<name>.mcap`, `summary.json` and, of robots, a film.

    Args:
        plan: What runs.
        out: Folder for the files and the logs of the nodes.
        live: Refresh the table in the terminal while it runs.

    Returns:
        0, or 1 when nobody was seen or a node failed.
    """
    environment = ros_environment(own_domain=plan.camera is not None)
    os.environ.update(environment)
    with _stop_request() as stop, BagWriter(out / f"{plan.name}.mcap") as recording:
        # ROS's own handlers would end the context with the first Ctrl-C, and the nodes could not be ended in order.
        rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
        try:
            with Children(out / "log", environment) as children:
                session = _Session(plan, out, live and sys.stdout.isatty(), stop, recording, children)
                return session.run()
        finally:
            rclpy.try_shutdown()


class _Session:
    def __init__(
        self, plan: Plan, out: Path, live: bool, stop: list[int], recording: BagWriter, children: Children
    ) -> None:
        self._plan, self._out, self._live, self._stop, self._children = plan, out, live, stop, children
        remap = [word for name, new in plan.remappings.items() for word in ("-r", f"{name}:={new}")]
        arguments = ["--ros-args", *remap] if remap else None
        self._monitor = Monitor(recording, plan.compressed, cli_args=arguments)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._monitor)
        self._imitation: ImitationDemo | None = None
        self._robot_started = False
        if plan.robot:
            self._imitation = ImitationDemo(plan.robot, out / "imitation.mp4", self._monitor.record)
            self._monitor.on_people = self._show
            self._executor.add_node(self._imitation)
        self._started_s = self._shown_s = time.monotonic()
        self._lines_shown = 0

    def run(self) -> int:
        device = self._plan.perception["device"]
        print(f"{self._plan.title}: starting human_pose on device {device}, {_domain()} ...", flush=True)
        error = None
        try:
            self._start()
            self._watch()
            self._end_camera()
        except PosePerceptionError as failure:
            error = str(failure)
        memory_mb = self._children.peak_memory_mb(_PERCEPTION)
        stubborn = self._children.stop()
        self._report(memory_mb)
        if error is None and stubborn:
            error = f"{', '.join(stubborn)} did not end when asked to, and was killed"
        if error is None and self._monitor.first_result_s is None:
            error = f"nobody was seen. {_PERCEPTION} says: {self._monitor.status}\n{self._children.tail(_PERCEPTION)}"
        if error is None and self._imitation is not None and not self._imitation.has_followed:
            error = f"the robot never followed anybody\n{self._robot_says()}"
        if error is not None:
            print(f"error: {error}", file=sys.stderr)
        return 0 if error is None else 1

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._children.start(_PERCEPTION, self._plan.perception, self._plan.remappings)
        if self._plan.camera is not None:
            self._children.start(*self._plan.camera)

    def _start_robot(self) -> None:
        """Start the robot once somebody is seen: networks load sooner when nothing else runs."""
        self._robot_started = True
        robot = {"robot": self._plan.robot}
        self._children.start("simulated_robot", {**ROBOT_PARAMETERS, **robot}, ROBOT_REMAPPINGS)
        self._children.start("imitation", {**PARAMETERS, **robot}, REMAPPINGS)

    def _show(self, image: Any, people: list[Skeleton], message: SkeletonArray) -> None:
        assert self._imitation is not None
        picture = None if image is None else self._monitor.draw(image, people, message.topology)
        self._imitation.show(picture, people, message.keypoint_names)

    def _watch(self) -> None:
        """Receive until time is up, the camera has ended, or the user interrupts."""
        while not self._stop and self._children.is_running(_PERCEPTION):
            self._monitor.connect()
            self._executor.spin_once(timeout_sec=0.1)
            if self._plan.camera is not None and not self._children.is_running(self._plan.camera[0]):
                return
            now_s, first_s = time.monotonic(), self._monitor.first_result_s
            if self._plan.robot and first_s is not None and not self._robot_started:
                self._start_robot()
            if first_s is not None and self._plan.duration_s is not None and now_s - first_s >= self._plan.duration_s:
                return
            self._refresh(now_s)

    def _end_camera(self) -> None:
        """End the camera before the rest, so that the last images are still worked on."""
        if self._plan.camera is not None:
            self._children.stop(self._plan.camera[0])
        end_s = time.monotonic() + _LAST_RESULTS_S
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.1)

    def _refresh(self, now_s: float) -> None:
        has_results = self._monitor.first_result_s is not None
        if now_s - self._shown_s < (_TABLE_S if has_results else _REMINDER_S):
            return
        self._shown_s = now_s
        if not has_results:
            print(f"  waiting for people; {_PERCEPTION} says: {self._monitor.status}{self._camera_says()}", flush=True)
        elif self._live:
            lines = format_table(self._rows(self._children.peak_memory_mb(_PERCEPTION)))
            # Back to the first line of the last table, and clear from there on.
            back = f"\x1b[{self._lines_shown}A\x1b[J" if self._lines_shown else ""
            print(back + "\n".join(lines), flush=True)
            self._lines_shown = len(lines)

    def _image_counts(self) -> dict[str, int]:
        return self._monitor.image_counts(everything=self._plan.waits)

    def _camera_says(self) -> str:
        lines = self._children.tail(self._plan.camera[0]).splitlines() if self._plan.camera else []
        return f"; {self._plan.camera[0]}: {lines[-1]}" if lines else ""

    def _robot_says(self) -> str:
        return self._children.tail("imitation") if self._robot_started else ""

    def _rows(self, memory_mb: float) -> list[tuple[str, str]]:
        rows = [images_row(self._image_counts()), *stream_table(self._monitor.statistics.summary())]
        if self._monitor.first_result_s is not None:
            seconds = self._monitor.first_result_s - self._started_s
            rows.append(("first skeleton", f"{seconds:.1f} s after the start of human_pose"))
        if self._imitation is not None:
            rows += imitation_table(self._imitation.statistics.summary())
        if not math.isnan(memory_mb):
            rows.append(("memory", f"{memory_mb:.0f} MB at most in human_pose"))
        return rows

    def _report(self, memory_mb: float) -> None:
        print("\n".join([f"{self._plan.title}:", *format_table(self._rows(memory_mb))]))
        picture = self._out / "annotated.png"
        has_picture = self._monitor.write_picture(picture)
        first_s = self._monitor.first_result_s
        measures = {
            **asdict(self._monitor.statistics.summary()),
            "images": self._image_counts(),
            "first_skeleton_s": None if first_s is None else first_s - self._started_s,
            "memory_mb": memory_mb,
        }
        written = [self._out / f"{self._plan.name}.mcap", self._out / "summary.json", *[picture][: int(has_picture)]]
        if self._imitation is not None:
            self._imitation.close()
            measures["imitation"] = asdict(self._imitation.statistics.summary())
            written.append(self._out / "imitation.mp4")
        text = json.dumps(_finite(measures), indent=2, allow_nan=False)
        (self._out / "summary.json").write_text(text)
        print(f"  written: {', '.join(str(path) for path in written)}", flush=True)


def _domain() -> str:
    """Name what another process needs to know to see the nodes."""
    is_local = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST"
    return f"ROS_DOMAIN_ID={os.environ.get('ROS_DOMAIN_ID', 0)}" + (" on this machine only" if is_local else "")


def _finite(value: Any) -> Any:
    """Replace the numbers that JSON does not know by null, which says as well that there was nothing to measure."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _stop_request() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of being interrupted by them."""
    requests: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, _: requests.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
