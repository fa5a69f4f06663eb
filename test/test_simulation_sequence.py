"""Tests for simulation/sequence.py: rendering into the cache and reading from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.sequence import SequenceConfig, SimulatedSequence, load_or_render

ARRAYS = (
    *("color", "depth_mm", "instances", "positions", "visible"),
    *("hands", "hands_visible", "heads", "heads_visible"),
)
CONFIG = SequenceConfig(people=1, duration_s=0.8, rate_hz=5.0, width=160, height=120)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without sequences; what the body model computed stays, as it takes a minute."""
    model = cache_directory() / "anny"
    model.mkdir(parents=True, exist_ok=True)
    (tmp_path / "anny").symlink_to(model)
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path))
    return tmp_path


def arrays(sequence: SimulatedSequence) -> list[bytes]:
    return [getattr(sequence, name).tobytes() for name in ARRAYS]


def test_a_sequence_has_the_announced_shapes(empty_cache: Path) -> None:
    steps = []
    sequence = load_or_render(CONFIG, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(sequence) == 4
    assert (sequence.color.shape, sequence.color.dtype) == ((4, 120, 160, 3), np.uint8)
    assert (sequence.depth_mm.shape, sequence.depth_mm.dtype) == ((4, 120, 160), np.uint16)
    keypoints = len(sequence.keypoint_names)
    assert (sequence.positions.shape, sequence.positions.dtype) == ((4, 1, keypoints, 3), np.float32)
    assert (sequence.visible.shape, sequence.visible.dtype) == ((4, 1, keypoints), np.bool_)
    assert (sequence.hands.shape, sequence.hands.dtype) == ((4, 1, 2, 21, 3), np.float32)
    assert (sequence.hands_visible.shape, sequence.hands_visible.dtype) == ((4, 1, 2, 21), np.bool_)
    assert (sequence.heads.shape, sequence.heads.dtype) == ((4, 1, 4, 4), np.float32)
    assert (sequence.heads_visible.shape, sequence.heads_visible.dtype) == ((4, 1), np.bool_)
    assert (sequence.camera, sequence.rate_hz, sequence.person_ids) == (CONFIG.camera, 5.0, ("person_1",))
    for name in ("positions", "hands", "heads"):
        assert np.isfinite(getattr(sequence, name)).all()


def test_the_same_configuration_gives_the_same_bytes_rendered_or_loaded(empty_cache: Path) -> None:
    rendered = arrays(load_or_render(CONFIG))
    steps = []
    assert arrays(load_or_render(CONFIG, lambda done, _: steps.append(done))) == rendered
    assert steps == []  # nothing was rendered
    for file in (empty_cache / "simulation").glob("*/*"):
        file.unlink()
    assert arrays(load_or_render(CONFIG)) == rendered


def test_another_seed_gives_other_people(empty_cache: Path) -> None:
    one, other = (load_or_render(SequenceConfig(**{**vars(CONFIG), "seed": seed})) for seed in (0, 1))
    assert not np.allclose(one.positions, other.positions, atol=0.01)
    assert len(list((empty_cache / "simulation").iterdir())) == 2


def test_without_noise_every_person_has_depth(empty_cache: Path) -> None:
    sequence = load_or_render(SequenceConfig(**{**vars(CONFIG), "noise": False}))
    assert (sequence.depth_mm[sequence.instances > 0] > 0).all()


def test_the_loop_closes_without_a_jump(empty_cache: Path) -> None:
    config = SequenceConfig(people=1, duration_s=6.0, rate_hz=8.0, width=64, height=48, noise=False)
    positions = load_or_render(config).positions
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
    assert np.linalg.norm(positions[0] - positions[-1], axis=-1).max() <= steps.max()


def test_loading_from_the_cache_imports_nothing_heavy(empty_cache: Path) -> None:
    load_or_render(CONFIG)
    program = (
        "import sys; from pose_perception.simulation.sequence import SequenceConfig, load_or_render; "
        "load_or_render(SequenceConfig(people=1, duration_s=0.8, rate_hz=5.0, width=160, height=120)); "
        "print([name for name in ('torch', 'open3d', 'anny', 'trimesh', 'warp') if name in sys.modules])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rendering_that_is_interrupted_leaves_nothing_behind(empty_cache: Path) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_render(CONFIG, interrupt)
    assert list((empty_cache / "simulation").iterdir()) == []
    assert len(load_or_render(CONFIG)) == 4


def test_a_damaged_sequence_is_a_clear_error(empty_cache: Path) -> None:
    load_or_render(CONFIG)
    (color,) = (empty_cache / "simulation").glob("*/color.npy")
    color.write_bytes(color.read_bytes()[:1000])
    with pytest.raises(InvalidInputError, match="delete that folder"):
        load_or_render(CONFIG)


def test_what_older_code_rendered_is_removed(empty_cache: Path) -> None:
    load_or_render(CONFIG)
    (folder,) = (empty_cache / "simulation").iterdir()
    old = folder.rename(folder.with_name(f"{folder.name.partition('-')[0]}-00000000"))
    load_or_render(CONFIG)
    assert folder.exists()
    assert not old.exists()


def test_a_range_of_distances_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="min_distance_m"):
        SequenceConfig(min_distance_m=3.0, max_distance_m=2.0)
