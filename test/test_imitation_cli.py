"""Tests for imitation/cli.py, demonstration_cli.py, skeleton_files.py and movement.py: as a user calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose_perception.cli import main
from pose_perception.evaluation.demonstrations import reachable_places, show
from pose_perception.evaluation.imitation_motion import robot_as_person
from pose_perception.geometry.se3 import quaternion_from_matrix
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_csv import read_csv
from pose_perception.imitation.demonstration_files import read_demonstration, write_demonstration
from pose_perception.imitation.robot import Robot, load_robot

RATE = 15


def _raised(robot: Robot) -> np.ndarray:
    """Return a posture of a G1, whose arms are mirror images, away from its body."""
    return robot.rest + 0.4 * np.array([1, 1, 1, 1, 1, 1, 1, 0.5, -1, -1, 1, -1, 1, -1])


def _person(robot: Robot, q: np.ndarray, name: str = "p1") -> dict[str, Any]:
    keypoints = {k: {"position": list(map(float, v))} for k, v in robot_as_person(robot, q).items()}
    keypoints["nose"] = {"position": None}
    return {"id": name, "score": 0.9, "keypoints": keypoints}


@pytest.fixture
def skeletons(tmp_path: Path) -> Path:
    """Return a video of somebody who stands for a posture of a G1 for 4 s, and of somebody else for less."""
    robot = load_robot("g1")
    q = _raised(robot)
    frames = [{"file": str(i), "skeletons": [_person(robot, robot.rest, "p0")] * (i < 20)} for i in range(4 * RATE)]
    for frame in frames:
        frame["skeletons"] = [*frame["skeletons"], _person(robot, q)]
    (tmp_path / "skeletons.json").write_text(json.dumps({"frames": frames}))
    return tmp_path / "skeletons.json"


def _retarget(skeletons: Path, *options: str) -> int:
    return main(["retarget", "--skeletons", str(skeletons), "--out", str(skeletons.with_suffix(".csv")), *options])


def test_retargeting_gives_time_and_joints_that_do_what_the_person_does(skeletons: Path) -> None:
    assert _retarget(skeletons, "--robot", "g1") == 0
    robot = load_robot("g1")
    with skeletons.with_suffix(".csv").open() as file:
        assert next(csv.reader(file)) == ["time_s", *robot.joints]
    made = read_csv(skeletons.with_suffix(".csv"))
    np.testing.assert_allclose(np.diff(made.times_s), 0.01)
    assert made.duration_s == pytest.approx(4.0, abs=0.02)
    np.testing.assert_array_equal(made.q[0], robot.rest)
    wanted = _raised(robot)
    for arm in robot.arms:
        ours, theirs = robot.points(made.q[-1], arm), robot.points(wanted, arm)
        assert ours.upper @ theirs.upper > np.cos(np.radians(2))
        assert ours.forearm @ theirs.forearm > np.cos(np.radians(2))
    speed = np.diff(np.vstack([robot.rest, made.q]), axis=0) / 0.01
    assert (np.abs(speed) <= robot.velocity + 1e-6).all()
    assert load_capsules("g1", robot.kinematics).nearest(robot.kinematics.bodies(made.q)).distances.min() > 0.02


def test_pinches_become_openings_of_grippers(skeletons: Path) -> None:
    content = json.loads(skeletons.read_text())
    for i, frame in enumerate(content["frames"]):
        for skeleton in frame["skeletons"]:
            skeleton["hands"] = {"right": {"landmarks": {}, "pinch": 0.1 if i < 30 else 0.02}} if i > 3 else {}
    skeletons.write_text(json.dumps(content))
    assert _retarget(skeletons, "--robot", "panda") == 0
    opening = read_csv(skeletons.with_suffix(".csv")).openings["single"]
    assert np.isnan(opening[:20]).all()
    known = opening[np.isfinite(opening)]
    assert (known[0], known[-1]) == (1.0, pytest.approx(0.0, abs=1e-3))
    assert np.diff(known).min() >= -0.02 - 1e-9


def test_another_person_or_a_mirror_gives_another_motion(skeletons: Path) -> None:
    robot, ends = load_robot("g1"), []
    for options in ((), ("--person", "p0"), ("--mirrored",)):
        assert _retarget(skeletons, "--robot", "g1", *options) == 0
        ends.append(read_csv(skeletons.with_suffix(".csv")).q[-1])
    assert np.abs(ends[1] - robot.rest).max() < np.abs(ends[0] - robot.rest).max() / 2
    assert np.abs(ends[2] - ends[0]).max() > 0.1


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda c: None, ("--robot", "r2d2"), "there is no robot"),
        (lambda c: None, ("--robot", "g1", "--person", "p9"), "no person 'p9'"),
        (lambda c: None, ("--robot", "g1", "--rate", "0"), "--rate"),
        (lambda c: c.pop("frames"), ("--robot", "g1"), "is no file of skeletons"),
        (lambda c: c.update(frames=[]), ("--robot", "g1"), "shows nobody"),
        (lambda c: [f.update(skeletons=[]) for f in c["frames"]], ("--robot", "g1"), "shows nobody"),
        (
            lambda c: c["frames"][3]["skeletons"][1]["keypoints"]["left_wrist"].update(position=[1, 2]),
            ("--robot", "g1"),
            "three finite numbers",
        ),
        (lambda c: c["frames"][3]["skeletons"][1].update(keypoints=7), ("--robot", "g1"), "a skeleton that is none"),
    ],
)
def test_bad_input_is_refused_in_words(
    skeletons: Path, change: Any, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(skeletons.read_text())
    change(content)
    skeletons.write_text(json.dumps(content))
    assert _retarget(skeletons, *options) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Return a folder with three demonstrations of reaching, and another place."""
    folder, robot, generator = tmp_path_factory.mktemp("taught"), load_robot("panda"), np.random.default_rng(4)
    places = reachable_places(robot, "single", load_capsules("panda", robot.kinematics), 4, generator)
    for i, place in enumerate(places[:3]):
        demo = show(robot, "single", place, generator)
        write_demonstration(demo, folder / f"{i}.npz")
    return folder, places[3]


def _numbers(pose: np.ndarray) -> list[str]:
    return [str(v) for v in (*pose[:3, 3], *quaternion_from_matrix(pose[:3, :3]))]


def test_what_is_taught_is_checked_trimmed_learned_and_done_elsewhere(
    taught: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, place = taught
    robot = load_robot("panda")
    files = [str(folder / f"{i}.npz") for i in range(3)]
    assert main(["demonstration", "check", *files, "--robot", "panda"]) == 0
    assert capsys.readouterr().out.count("moments") == 3
    assert main(["demonstration", "trim", files[0], "--out", str(folder / "trimmed.csv")]) == 0
    assert len(read_demonstration(folder / "trimmed.csv")) < len(read_demonstration(folder / "0.npz"))
    movement, out = str(folder / "movement.npz"), folder / "replayed.csv"
    learn = ["demonstration", "learn", *files, "--robot", "panda", "--object", "object", "--out", movement]
    assert main(learn) == 0
    replay = ["demonstration", "replay", movement, "--robot", "panda", "--out", str(out)]
    assert main([*replay, "--at", *_numbers(place)]) == 0
    made = read_demonstration(out)
    assert np.linalg.norm(robot.points(made.q[-1], "single").tool[:3, 3] - place[:3, 3]) < 0.015
    # Refused in words: no place, or one that no arm reaches.
    capsys.readouterr()
    assert main(replay) == 2
    assert "where is object?" in capsys.readouterr().err
    assert main([*replay, "--at", "3", "0", "0", "0", "0", "0", "1"]) == 2
    assert "out of reach" in capsys.readouterr().err


def test_a_demonstration_is_replayed_as_it_was(taught: tuple[Path, np.ndarray]) -> None:
    folder, _ = taught
    out = folder / "again.csv"
    motion = ["demonstration", "replay", str(folder / "1.npz"), "--robot", "panda", "--out", str(out)]
    motion += ["--speed", "0.5", "--start", *map(str, load_robot("panda").rest + 0.1)]
    assert main([*motion, "--smooth", "0"]) == 0
    made, shown = read_demonstration(out), read_demonstration(folder / "1.npz")
    np.testing.assert_allclose(made.q[-1], shown.q[-1], atol=1e-9)
    assert made.duration_s > 2 * shown.duration_s
    # Without the noise of its joint sensors it ends where it ended but for that noise.
    assert main(motion) == 0
    smooth = read_demonstration(out)
    assert smooth.duration_s <= made.duration_s
    np.testing.assert_allclose(smooth.q[-1], shown.q[-1], atol=2e-3)
    assert main([*motion, "--smooth", "nan"]) == 2


def test_conversions(taught: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = taught
    files = [str(folder / f"{i}.npz") for i in range(3)]
    table = folder / "0.csv"
    assert main(["demonstration", "convert", files[0], "--to", "csv", "--out", str(table), "--fps", "20"]) == 0
    np.testing.assert_allclose(np.diff(read_demonstration(table).times_s), 0.05)
    assert main(["demonstration", "convert", *files, "--to", "csv", "--out", str(table)]) == 2
    assert "3 demonstrations do not go into one" in capsys.readouterr().err
    assert main(["demonstration", "convert", files[0], "--to", "csv", "--out", str(folder / "x.npz")]) == 2
    pytest.importorskip("pyarrow", reason="LeRobot datasets need pyarrow")
    assert main(["demonstration", "convert", *files, "--to", "lerobot", "--out", str(folder / "set")]) == 0
    assert (folder / "set/meta/info.json").is_file()


def test_a_bad_demonstration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    robot = load_robot("panda")
    times = np.linspace(0, 1, 30)
    demo = Demonstration(times, robot.joints, np.tile(robot.upper + 0.3, (30, 1)))
    write_demonstration(demo, tmp_path / "bad.csv")
    assert main(["demonstration", "check", str(tmp_path / "bad.csv"), "--robot", "panda"]) == 2
    assert "bad.csv: panda_joint6 is at" in capsys.readouterr().err
