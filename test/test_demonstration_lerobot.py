"""Tests for imitation/demonstration_lerobot.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_editing import resample
from pose_perception.imitation.demonstration_lerobot import read_lerobot, write_lerobot

parquet = pytest.importorskip("pyarrow.parquet", reason="LeRobot datasets need pyarrow")

FPS = 30


@pytest.fixture
def demos() -> list[Demonstration]:
    generator, found = np.random.default_rng(0), []
    for count in (40, 61, 25):
        q = generator.normal(size=(count, 3))
        opening = generator.uniform(size=count)
        times = np.arange(count) * 0.05
        found.append(Demonstration(times, ("a", "b", "c"), q, q + 0.1, {"single": opening}, source=f"demo {count}"))
    return found


@pytest.fixture
def folder(demos: list[Demonstration], tmp_path: Path) -> Path:
    write_lerobot(demos, tmp_path / "set", FPS, "reach the cup", "panda")
    return tmp_path / "set"


def test_datasets_read_back_equal_bit_for_bit(demos: list[Demonstration], folder: Path) -> None:
    again = read_lerobot(folder)
    assert len(again) == 3
    for demo, other in zip((resample(demo, FPS) for demo in demos), again, strict=True):
        assert other.joints == demo.joints
        np.testing.assert_array_equal(other.q, demo.q.astype(np.float32))
        np.testing.assert_array_equal(other.commands, demo.commands.astype(np.float32))
        np.testing.assert_array_equal(other.openings["single"], demo.openings["single"].astype(np.float32))
        np.testing.assert_array_equal(other.times_s, (np.arange(len(demo)) / FPS).astype(np.float32))


def test_the_files_are_those_of_the_format(demos: list[Demonstration], folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    chunk = "chunk-000/file-000.parquet"
    assert files == {
        *("meta/info.json", "meta/stats.json", "meta/tasks.parquet"),
        *(f"meta/episodes/{chunk}", f"data/{chunk}"),
    }
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["fps"] == FPS
    assert (folder / info["data_path"].format(chunk_index=0, file_index=0)).is_file()
    table = parquet.read_table(folder / f"data/{chunk}")
    assert table.num_rows == info["total_frames"]
    assert set(table.column_names) == set(info["features"])
    assert table["index"].to_pylist() == list(range(table.num_rows))
    state = np.array(table["observation.state"].to_pylist())
    stats = json.loads((folder / "meta/stats.json").read_text())["observation.state"]
    np.testing.assert_allclose(stats["mean"], state.mean(axis=0))
    np.testing.assert_allclose(stats["std"], state.std(axis=0))
    assert stats["count"] == [table.num_rows]
    episodes = parquet.read_table(folder / f"meta/episodes/{chunk}").to_pydict()
    own = np.array(table["episode_index"].to_pylist())
    for number in range(len(demos)):
        first, last = (episodes[f"dataset_{end}_index"][number] for end in ("from", "to"))
        assert np.flatnonzero(own == number).tolist() == list(range(first, last))
        assert episodes["length"][number] == last - first
        np.testing.assert_allclose(episodes["stats/observation.state/max"][number], state[first:last].max(axis=0))


def test_without_commands_the_action_is_the_next_state(demos: list[Demonstration], tmp_path: Path) -> None:
    write_lerobot([replace(demo, commands=None) for demo in demos], tmp_path / "set", 20, "reach", "panda")
    for demo in read_lerobot(tmp_path / "set"):
        np.testing.assert_array_equal(demo.commands[:-1], demo.q[1:])


def test_what_does_not_fit_is_refused(demos: list[Demonstration], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="exists already"):
        write_lerobot(demos, folder, FPS, "reach", "panda")
    with pytest.raises(InvalidInputError, match="at least one"):
        write_lerobot([], tmp_path / "a", FPS, "reach", "panda")
    other = [demos[0], replace(demos[1], joints=("a", "b", "d"))]
    with pytest.raises(InvalidInputError, match="demo 61 has other joints"):
        write_lerobot(other, tmp_path / "a", FPS, "reach", "panda")
    opening = demos[0].openings["single"].copy()
    opening[4] = np.nan
    with pytest.raises(InvalidInputError, match=r"gripper single is not known at frame 4"):
        write_lerobot([replace(demos[0], openings={"single": opening})], tmp_path / "a", FPS, "reach", "panda")
    assert not (tmp_path / "a").exists()
    (folder / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1 no table")
    for place in (folder, tmp_path):
        with pytest.raises(InvalidInputError, match=r"is no LeRobotDataset v3\.0"):
            read_lerobot(place)


def test_lerobot_itself_reads_it(demos: list[Demonstration], folder: Path) -> None:
    module = pytest.importorskip(
        "lerobot.datasets.lerobot_dataset", reason="lerobot is not installed", exc_type=ImportError
    )
    dataset = module.LeRobotDataset("local/set", root=folder)
    assert (dataset.num_episodes, dataset.fps) == (3, FPS)
    expected = [resample(demo, FPS) for demo in demos]
    assert len(dataset) == sum(map(len, expected))
    item = dataset[len(expected[0])]
    assert item["task"] == "reach the cup"
    assert int(item["episode_index"]) == 1
    wanted = np.append(expected[1].q[0], expected[1].openings["single"][0]).astype(np.float32)
    np.testing.assert_array_equal(item["observation.state"].numpy(), wanted)
