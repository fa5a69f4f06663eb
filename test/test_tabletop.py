"""Tests for simulated tables: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import tabletop

from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.surface import Surface
from pose_perception.simulation.tabletop.frames import CAMERA, Tabletop
from pose_perception.simulation.tabletop.scene import Placed

INTRINSICS = np.array([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]])
SEEDS = (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_is_where_the_objects_are_seen(seed: int) -> None:
    table, shot = tabletop(seed)
    size = (CAMERA.height, CAMERA.width)
    for thing, pose, mask in zip(table.things, shot.poses, shot.masks, strict=True):
        if mask.sum() < 200:
            continue
        made = RaycastingRenderer(thing.surface).render(pose[None], INTRINSICS, size)
        # What is seen of an object lies within the picture of it alone, at its depth and with its colours.
        assert (mask & ~made.mask[0]).sum() <= 2
        measured = mask & (shot.frame.depth > 0)
        assert measured.sum() > 0.5 * mask.sum()
        assert np.median(np.abs(shot.frame.depth - made.depth[0])[measured]) < 0.006


@pytest.mark.parametrize("seed", SEEDS)
def test_models_differ_from_things_as_scans_do(seed: int) -> None:
    table, _ = tabletop(seed)
    for thing, model in zip(table.things, table.models, strict=True):
        ratio = model.size / np.ptp(thing.surface.vertices, axis=0)
        assert np.all(np.abs(ratio - 1) < 0.05)
        assert np.any(ratio != 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_and_visible_shares_fit_each_other(seed: int) -> None:
    _, shot = tabletop(seed)
    assert shot.masks.sum(0).max() <= 1  # a pixel shows one object
    assert np.all((shot.visible >= 0) & (shot.visible <= 1))
    assert np.array_equal(shot.visible > 0, shot.masks.any((1, 2)))
    assert shot.visible.max() > 0.9
    assert np.isfinite(shot.frame.depth).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_stand_on_the_table_and_beside_each_other(seed: int) -> None:
    table, _ = tabletop(seed)
    for thing, pose in zip(table.things, table.world_from_objects, strict=True):
        lowest = (thing.surface.vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].min()
        assert 0 <= lowest < 0.002
    at = table.world_from_objects[:, :2, 3]
    gaps = np.linalg.norm(at[:, None] - at[None], axis=2) + 9 * np.eye(len(at))
    assert gaps.min() > 0.02


def test_what_stands_before_an_object_hides_it() -> None:
    table, shot = tabletop(SEEDS[0])
    first = int(shot.visible.argmax())
    world_from_camera = np.linalg.inv(table.camera_from_world)
    pose = np.eye(4)
    pose[:3, 3] = 0.5 * shot.poses[first][:3, 3]
    board = Surface(np.float32([[-0.3, -0.3, 0], [0.3, -0.3, 0], [0, 0.5, 0]]), np.int32([[0, 1, 2]]))
    hidden = table.shoot(extra=[Placed(board, world_from_camera @ pose)])
    assert hidden.visible[first] == 0
    assert not hidden.masks[first].any()


def test_same_seed_gives_the_same_frame_and_another_seed_another() -> None:
    one, same, other = (Tabletop(seed, count=1).shoot().frame for seed in (8, 8, 9))
    assert np.array_equal(one.color, same.color)
    assert np.array_equal(one.depth, same.depth)
    assert (one.color != other.color).mean() > 0.2


def test_hand_held_camera_keeps_looking_at_the_table() -> None:
    table, shot = tabletop(SEEDS[1])
    views = list(table.video(60))
    stamps = [stamp for _, stamp in views]
    assert stamps[0] == 0
    assert stamps[-1] == pytest.approx(59 / 30 * 1e9, abs=1e6)
    poses = np.stack([camera for camera, _ in views])
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert 1e-5 < steps.max() < 0.03  # it moves, and never jumps
    later = table.shoot(poses[-1], stamp_ns=stamps[-1], knows_camera=True)
    assert np.allclose(later.frame.fixed_from_camera @ later.poses, table.world_from_objects, atol=1e-9)
    assert not np.allclose(later.poses, shot.poses)
