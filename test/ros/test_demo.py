"""Tests for nodes/demo.py: the whole demo, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix

from pose_perception.recording.bag import BagRecording
from pose_perception.ros import conversions
from pose_perception.ros.recorder import BagWriter
from pose_perception.simulation.sequence import SequenceConfig, load_or_render

_REAL = Path(__file__).parents[2].parent / "shared" / "data" / "rgbd_two_people"
_START_S = 90.0


class Demo:
    """The command in its own process."""

    def __init__(self, folder: Path, words: tuple[object, ...], domain: str | None) -> None:
        self.out = folder / "out"
        self._printed = folder / "printed"
        program = Path(get_package_prefix("pose_perception")) / "bin" / "pose-perception"
        arguments = [*map(str, words), "--headless", "--device", "cpu", "--out", str(self.out)]
        environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
        if domain is not None:
            environment["ROS_DOMAIN_ID"] = domain
        with self._printed.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, str(program), "demo", *arguments],
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        """Everything on stdout and stderr."""
        return self._printed.read_text()

    def finish(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout=_START_S)

    def wait_for_files(self, pattern: str) -> None:
        """Wait until the demo has made some file that is not empty."""
        end = time.monotonic() + _START_S
        while not any(path.stat().st_size for path in self.out.glob(pattern)):
            assert time.monotonic() < end, self.printed
            time.sleep(0.1)

    def summary(self) -> dict[str, Any]:
        """Return the measures that it wrote."""
        return json.loads((self.out / "summary.json").read_text())

    def children(self, count: int) -> list[int]:
        """Wait until it has started so many processes, and return the ids of all."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + _START_S
        while len(found := task.read_text().split()) < count:
            assert time.monotonic() < end, self.printed
            time.sleep(0.1)
        return [int(word) for word in found]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start the demo with some arguments; it is ended after the test."""
    started = []

    def start(*words: object, domain: str | None = None) -> Demo:
        started.append(Demo(tmp_path, words, domain))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(timeout=30)


def write_folder(path: Path, color: np.ndarray, depth_mm: np.ndarray) -> Path:
    for kind in ("color", "depth"):
        (path / kind).mkdir(parents=True)
    for index in range(len(color)):
        cv2.imwrite(str(path / "color" / f"{index:05d}.png"), color[index][:, :, ::-1])
        cv2.imwrite(str(path / "depth" / f"{index:05d}.png"), depth_mm[index])
    camera = SequenceConfig().camera
    content = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (path / "camera.json").write_text(json.dumps(content))
    return path


def test_a_robot_imitates_the_nearest_person_and_a_film_shows_it(demo: Callable) -> None:
    load_or_render(SequenceConfig())
    run = demo("--imitation", "--duration", 25)
    assert run.finish() == 0, run.printed
    measured = run.summary()["imitation"]
    assert measured["states_s"]["active"] > 0
    assert measured["commands"] > 100
    assert measured["beyond_limits"] == 0
    assert measured["nearest_m"] > 0.02
    for title in ("bones of the robot", "image to command", "nearest parts"):
        assert title in run.printed
    film = cv2.VideoCapture(str(run.out / "imitation.mp4"))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    assert count > 50
    film.set(cv2.CAP_PROP_POS_FRAMES, count - 5)
    assert film.read()[1].shape == (480, 640 + 480, 3)
    bag = BagRecording(run.out / "simulation.mcap")
    assert {"/imitation/status", "/imitation/joint_trajectory", "/simulated_robot/joint_states"} <= bag.types.keys()


def test_an_unknown_robot_is_refused_at_once(demo: Callable) -> None:
    run = demo("--imitation", "pandda")
    assert run.finish() == 2
    assert "choose one of baxter" in run.printed


def test_a_folder_is_played_measured_drawn_and_recorded(demo: Callable, tmp_path: Path) -> None:
    sequence = load_or_render(SequenceConfig())
    run = demo(
        "--sequence", write_folder(tmp_path / "people", sequence.color[:20], sequence.depth_mm[:20]), "--rate", 4
    )
    assert run.finish() == 0, run.printed
    summary = run.summary()
    assert summary["people"] == {"2": summary["frames"]}
    assert summary["images"]["sent"] == 20
    assert summary["images"]["lost on the way"] == 0
    assert summary["id_changes"] == 0
    assert summary["error_mm"] == [None, None]
    assert summary["first_skeleton_s"] > 0
    assert cv2.imread(str(run.out / "annotated.png")).shape == (480, 640, 3)
    bag = BagRecording(run.out / "people.mcap")
    assert bag.types["/color/image/compressed"] == "sensor_msgs/msg/CompressedImage"
    topics = ("/human_pose/skeletons", "/color/camera_info", "/diagnostics")
    assert bag.first_messages(topics).keys() == set(topics)
    assert "2 in " in run.printed
    assert re.match(r".*ROS_DOMAIN_ID=\d+ on this machine only", run.printed.splitlines()[0])


def test_simulated_people_are_compared_with_the_truth(demo: Callable) -> None:
    run = demo("--duration", 4)
    assert run.finish() == 0, run.printed
    summary = run.summary()
    assert 0 < summary["error_mm"][0] < 60
    assert summary["images"]["lost on the way"] == 0
    assert "error against truth" in run.printed


@pytest.mark.skipif(not _REAL.is_dir(), reason=f"needs the recording {_REAL.name}, which is not part of the project")
def test_two_real_people_are_seen_in_every_frame_under_one_id_each(demo: Callable) -> None:
    run = demo("--sequence", _REAL, "--rate", 4)
    assert run.finish() == 0, run.printed
    summary = run.summary()
    images = summary["images"]
    # A machine that is busy with other things may replace images, but none gets lost.
    assert images["processed"] + images["replaced by a newer one"] == images["sent"] == 40
    assert summary["people"] == {"2": images["processed"]}
    assert (summary["identities"], summary["id_changes"]) == (2, 0)
    assert max(summary["arm_variation"].values()) < 0.25


@pytest.mark.parametrize("compressed", [True, False])
def test_a_bag_is_played_whatever_its_topics_are_called(demo: Callable, tmp_path: Path, compressed: bool) -> None:
    sequence = load_or_render(SequenceConfig())
    with BagWriter(tmp_path / "kitchen.mcap") as bag:
        for index in range(10):
            time_ns = 10**12 + index * 250_000_000
            header = conversions.header_message(time_ns, "optical")
            build = conversions.compressed_color_message if compressed else conversions.color_message
            bag.write("/cam/rgb/image", build(sequence.color[index], header), time_ns)
            bag.write("/cam/rgb/camera_info", conversions.camera_info_message(sequence.camera, header), time_ns)
            bag.write("/cam/aligned", conversions.depth_message(sequence.depth_mm[index], header), time_ns)
    run = demo("--bag", tmp_path / "kitchen.mcap")
    assert run.finish() == 0, run.printed
    assert run.summary()["images"]["sent"] == 10
    assert run.summary()["people"].keys() == {"2"}
    assert (run.out / "kitchen_skeletons.mcap").exists()


def test_a_camera_that_runs_already_is_used(demo: Callable) -> None:
    program = Path(get_package_prefix("pose_perception")) / "lib" / "pose_perception" / "simulated_camera"
    names = {"color/image": "rgb", "color/camera_info": "info", "depth/image": "depth"}
    remappings = [word for name, new in names.items() for word in ("-r", f"{name}:=/driver/{new}")]
    camera = subprocess.Popen([sys.executable, str(program), "--ros-args", *remappings])
    try:
        topics = (
            "--color-topic",
            "/driver/rgb",
            "--camera-info-topic",
            "/driver/info",
            "--depth-topic",
            "/driver/depth",
        )
        run = demo("--camera", "--duration", 3, *topics, domain=os.environ["ROS_DOMAIN_ID"])
        assert run.finish() == 0, run.printed
        assert run.summary()["people"].keys() == {"2"}
    finally:
        camera.terminate()
        camera.wait()


def test_an_interrupt_ends_everything_and_still_gives_the_table(demo: Callable) -> None:
    run = demo()
    run.wait_for_files("log/human_pose.log")
    children = run.children(2)
    assert len(children) == 2
    run.process.send_signal(signal.SIGINT)
    run.finish()
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert "Traceback" not in run.printed
    assert "written:" in run.printed


def test_nobody_is_an_error(demo: Callable, tmp_path: Path) -> None:
    wall = np.full((6, 480, 640, 3), 90, np.uint8)
    run = demo("--sequence", write_folder(tmp_path / "wall", wall, np.full((6, 480, 640), 2000, np.uint16)))
    assert run.finish() == 1
    assert "nobody was seen" in run.printed
    assert "Traceback" not in run.printed


def test_a_node_that_ends_is_an_error_that_shows_its_log(demo: Callable, tmp_path: Path) -> None:
    run = demo("--sequence", write_folder(tmp_path / "empty", np.empty((0,)), np.empty((0,))))
    assert run.finish() == 1
    assert "rgbd_player ended with exit code 1" in run.printed
    assert "no pair of images" in run.printed
    assert "Traceback" not in run.printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bag", "absent.mcap"), "there is no bag"),
        (("--camera", "--rate", "5"), "--rate is for"),
        (("--color-topic", "/rgb"), "topics can be chosen"),
        (("--device", "gpu"), "invalid choice"),
        (("--duration", "nan"), "--duration must be"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(demo: Callable, words: tuple[str, ...], message: str) -> None:
    run = demo(*words)
    assert run.finish() == 2
    assert message in run.printed
