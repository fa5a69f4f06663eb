"""Demonstrations as a LeRobotDataset v3, which policies are trained on, written and read without the package lerobot.

The layout is that of its documentation ("LeRobotDataset v3.0"): `meta/info.json`, `meta/stats.json`,
`meta/tasks.parquet`, `meta/episodes/chunk-000/file-000.parquet` and `data/chunk-000/file-000.parquet` with all episodes
one after the other. The state is joints (radians) and openings of grippers; the action is what was commanded, or where
that was not recorded the state of the next frame.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.imitation.demonstration import Demonstration
from pose_perception.imitation.demonstration_editing import resample

STATE, ACTION = "observation.state", "action"
_VERSION = "v3.0"
_PATH = "{folder}/chunk-{{chunk_index:03d}}/file-{{file_index:03d}}.parquet"
DATA_PATH, _EPISODES_PATH = _PATH.format(folder="data"), _PATH.format(folder="meta/episodes")
_GRIPPER = "gripper."
_KEYS = ("timestamp", "episode_index")
_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def write_lerobot(demonstrations: Sequence[Demonstration], folder: Path, fps: int, task: str, robot: str) -> None:
    """Write demonstrations as the episodes of one dataset.

    Args:
        demonstrations: With the same joints and grippers; they are resampled.
        folder: Where to; it must not exist, or be empty.
        fps: Frames per second.
        task: What is done in all of them, in words.
        robot: Its name.

    Raises:
        ConfigurationError: pyarrow is not installed.
        InvalidInputError: the folder is taken or cannot be written, or a demonstration does not fit to the first or
            has a gripper whose opening is not always known.
    """
    pa, parquet = _pyarrow()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} exists already; a dataset needs a folder of its own")
    names = _state_names(demonstrations)
    episodes = [_episode(resample(demo, fps), i, names, fps) for i, demo in enumerate(demonstrations)]
    ends = np.cumsum([len(episode["index"]) for episode in episodes])
    for episode, end in zip(episodes, ends.tolist(), strict=True):
        episode["index"] += end - len(episode["index"])
    table = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    try:
        for path, content in (
            (DATA_PATH, pa.table({key: _column(pa, values) for key, values in table.items()})),
            (_EPISODES_PATH, pa.table(_episode_rows(episodes, ends.tolist(), task))),
            ("meta/tasks.parquet", _tasks_table(pa, task)),
        ):
            file = folder / path.format(chunk_index=0, file_index=0)
            file.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(content, file)
        stats = {key: _stats(values) for key, values in table.items()}
        (folder / "meta" / "stats.json").write_text(json.dumps(stats, indent=4))
        info = _info(table, len(episodes), fps, names, robot)
        (folder / "meta" / "info.json").write_text(json.dumps(info, indent=4))
    except OSError as error:
        raise InvalidInputError(f"cannot write {folder}: {error}") from error


def read_lerobot(folder: Path) -> list[Demonstration]:
    """Read the episodes of a dataset that has a state of joints and grippers, as `write_lerobot` writes it.

    Numbers are 32 bit in the files, so that they are those written, rounded. What follows from the state alone is no
    command, but cannot be told from one: actions are read as commands.

    Raises:
        ConfigurationError: pyarrow is not installed.
        InvalidInputError: the folder is no such dataset.
    """
    _, parquet = _pyarrow()
    try:
        info = json.loads((folder / "meta" / "info.json").read_text())
        if info["codebase_version"] != _VERSION:
            raise InvalidInputError(f"{folder} is a dataset {info['codebase_version']}, not {_VERSION}")
        names = [str(name) for name in info["features"][STATE]["names"]]
        files = sorted(folder.glob(info["data_path"].partition("/")[0] + "/*/*.parquet"))
        if not files:
            raise InvalidInputError(f"{folder} has no data")
        tables = [parquet.read_table(file).to_pydict() for file in files]
        table = {key: np.concatenate([np.array(part[key]) for part in tables]) for key in (STATE, ACTION, *_KEYS)}
        if table[STATE].shape != table[ACTION].shape or table[STATE].shape[1:] != (len(names),):
            raise InvalidInputError(f"{folder} has states {table[STATE].shape} and actions {table[ACTION].shape}")
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are OSError, KeyError or ValueError
        raise InvalidInputError(f"{folder} is no LeRobotDataset {_VERSION}: {error}") from error
    return [
        _read_episode(table, names, int(number), f"{folder}, episode {number}")
        for number in np.unique(table["episode_index"])
    ]


def _read_episode(table: dict[str, FloatArray], names: list[str], number: int, source: str) -> Demonstration:
    own = table["episode_index"] == number
    joints = [i for i, name in enumerate(names) if not name.startswith(_GRIPPER)]
    openings = {name.removeprefix(_GRIPPER): table[STATE][own, i] for i, name in enumerate(names) if i not in joints}
    return Demonstration(
        table["timestamp"][own],
        tuple(names[i] for i in joints),
        table[STATE][own][:, joints],
        table[ACTION][own][:, joints],
        openings,
        source=source,
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            "LeRobot datasets need pyarrow, which is not installed: pip install pyarrow"
        ) from error
    return pyarrow, pyarrow.parquet


def _state_names(demonstrations: Sequence[Demonstration]) -> list[str]:
    if not demonstrations:
        raise InvalidInputError("a dataset needs at least one demonstration")
    first = demonstrations[0]
    for demo in demonstrations:
        if demo.joints != first.joints or list(demo.openings) != list(first.openings):
            raise InvalidInputError(f"{demo.source} has other joints or grippers than {first.source}")
        if (demo.commands is None) != (first.commands is None):
            raise InvalidInputError(f"of {demo.source} and {first.source} only one has commands")
        for name, opening in demo.openings.items():
            if np.isnan(opening).any():
                place = demo.place(int(np.argmax(np.isnan(opening))))
                raise InvalidInputError(f"{demo.source}: the opening of gripper {name} is not known at {place}")
    return [*first.joints, *(_GRIPPER + arm for arm in first.openings)]


def _episode(demo: Demonstration, number: int, names: list[str], fps: int) -> dict[str, Any]:
    count = len(demo)
    openings = np.stack(list(demo.openings.values()), axis=1) if demo.openings else np.zeros((count, 0))
    state = np.hstack([demo.q, openings])
    following = np.vstack([state[1:], state[-1:]])
    if demo.commands is not None:
        following[:, : len(demo.joints)] = demo.commands
    assert state.shape == (count, len(names))
    frames = np.arange(count, dtype=np.int64)
    return {
        STATE: state.astype(np.float32),
        ACTION: following.astype(np.float32),
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(count, number, dtype=np.int64),
        "index": frames.copy(),
        "task_index": np.zeros(count, dtype=np.int64),
    }


def _column(pa: Any, values: FloatArray) -> Any:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _episode_rows(episodes: Sequence[dict[str, Any]], ends: list[int], task: str) -> dict[str, list[Any]]:
    lengths = [len(episode["index"]) for episode in episodes]
    zeros = [0] * len(episodes)
    rows: dict[str, list[Any]] = {
        "episode_index": list(range(len(episodes))),
        "tasks": [[task]] * len(episodes),
        "length": lengths,
        "data/chunk_index": zeros,
        "data/file_index": zeros,
        "dataset_from_index": [end - length for end, length in zip(ends, lengths, strict=True)],
        "dataset_to_index": ends,
    }
    stats = [{key: _stats(values) for key, values in episode.items()} for episode in episodes]
    for key, measures in stats[0].items():
        rows |= {f"stats/{key}/{name}": [episode[key][name] for episode in stats] for name in measures}
    return rows | {"meta/episodes/chunk_index": zeros, "meta/episodes/file_index": zeros}


def _tasks_table(pa: Any, task: str) -> Any:
    """Return the table of tasks, whose index (in the sense of pandas, as lerobot reads it) is their text."""
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": [task]})
    described = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
        {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"},
    ]
    columns = [{**column, "metadata": None} for column in described]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _stats(values: FloatArray) -> dict[str, list[float]]:
    columns = values.reshape(len(values), -1).astype(float)
    stats = {"min": columns.min(0), "max": columns.max(0), "mean": columns.mean(0), "std": columns.std(0)}
    stats |= {name: np.quantile(columns, share, axis=0) for name, share in _QUANTILES.items()}
    return {name: value.tolist() for name, value in stats.items()} | {"count": [len(values)]}


def _info(table: dict[str, Any], episodes: int, fps: int, names: list[str], robot: str) -> dict[str, Any]:
    features = {
        key: {
            "dtype": str(values.dtype),
            "shape": [values.shape[1] if values.ndim > 1 else 1],
            "names": names if key in (STATE, ACTION) else None,
        }
        for key, values in table.items()
    }
    return {
        "codebase_version": _VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": len(table["index"]),
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": None,
        "features": features,
    }
