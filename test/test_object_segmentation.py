"""Tests for where objects are looked for: what a user would notice."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import tabletop

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.objects.model import make_model
from pose_perception.objects.palette import palette_of
from pose_perception.objects.segmentation import Scene, SegmentationConfig

SEEDS = (1, 2, 3)


def _scene(seed: int) -> Scene:
    table, shot = tabletop(seed)
    return Scene(shot.frame, SegmentationConfig(), max(model.diameter for model in table.models))


@pytest.mark.parametrize("seed", SEEDS)
def test_table_is_found(seed: int) -> None:
    table, _ = tabletop(seed)
    normal = table.camera_from_world[:3, 2]
    offset = table.camera_from_world[:3, 3] @ normal
    planes = _scene(seed).planes
    gaps = [(abs(plane[:3] @ normal), abs(abs(plane[3]) - abs(offset))) for plane in planes]
    assert any(cosine > np.cos(np.deg2rad(2)) and gap < 0.01 for cosine, gap in gaps)


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_stand_out_and_the_table_does_not(seed: int) -> None:
    table, shot = tabletop(seed)
    scene = _scene(seed)
    step = SegmentationConfig().stride
    things = shot.masks.any(0)[step // 2 :: step, step // 2 :: step][: scene.free.shape[0], : scene.free.shape[1]]
    assert scene.free[things].mean() > 0.7
    assert scene.free[~things].mean() < 0.1
    assert len(table.models) >= 2


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.25, 0.8, 0.5), (0.45, 0.5, 0.6)])
def test_most_objects_are_among_the_first_places_in_any_light(light: tuple[float, float, float]) -> None:
    ranks = []
    for seed in SEEDS:
        table, shot = tabletop(seed)
        color = np.uint8(np.clip(shot.frame.color * np.array(light), 0, 255))
        largest = max(model.diameter for model in table.models)
        scene = Scene(replace(shot.frame, color=color), SegmentationConfig(), largest)
        for model, pose, visible in zip(table.models, shot.poses, shot.visible, strict=True):
            if visible < 0.5:
                continue
            middle = pose[:3, :3] @ model.center + pose[:3, 3]
            places = scene.places(palette_of(model), model)
            assert all(0 <= place.worth <= 1 + 1e-6 for place in places)
            near = [np.linalg.norm(place.middle - middle) < model.radius for place in places]
            ranks.append(near.index(True) if any(near) else np.inf)
    assert len(ranks) >= 5
    assert np.mean(np.array(ranks) < 8) >= 0.9
    assert np.mean(np.array(ranks) < 3) >= 0.75


def _depth_of(planes: list[tuple[np.ndarray, float]], camera: CameraIntrinsics) -> np.ndarray:
    """Depth of planes with a normal at an offset, the first where it is met at |x| < 0.25 m, then the next."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    sight = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=2)
    near, far = (offset / (sight @ normal) for normal, offset in planes)
    return np.float32(np.where(np.abs(sight[..., 0] * near) < 0.25, near, far))


def test_table_above_a_floor_is_taken_away() -> None:
    camera = CameraIntrinsics(640, 480, 605.0, 605.0, 318.0, 242.0)
    normal = np.array([0, 0.5, np.sqrt(0.75)])
    depth = _depth_of([(normal, 0.6), (normal, 1.3)], camera)
    assert 0.1 < (depth > 1.0).mean() < 0.6
    scene = Scene(RgbdFrame(np.full((480, 640, 3), 90, np.uint8), depth, camera), SegmentationConfig(), 0.12)
    assert scene.free.mean() < 0.05


@pytest.mark.parametrize("far", [(0.55, 0.65), (0.7, 1.4)])
def test_table_is_taken_away_whatever_clutter_is_far_below_it(far: tuple[float, float]) -> None:
    camera = CameraIntrinsics(640, 480, 605.0, 605.0, 318.0, 242.0)
    normal = np.array([0, 0.5, np.sqrt(0.75)])
    below = np.random.default_rng(0).uniform(*far, (480, 640))
    depth = _depth_of([(normal, 0.6), (normal, 0.6 + below)], camera)
    scene = Scene(RgbdFrame(np.full((480, 640, 3), 90, np.uint8), depth, camera), SegmentationConfig(), 0.12)
    table = _depth_of([(normal, 0.6), (normal, 9.0)], camera)[1::3, 1::3] < 5
    assert 0.1 < (~table).mean() < 0.6
    assert scene.free[table[: scene.free.shape[0], : scene.free.shape[1]]].mean() < 0.05


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_picture_without_depth_has_no_places(value: float) -> None:
    table, _ = tabletop(SEEDS[0])
    camera = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)
    frame = RgbdFrame(np.zeros((120, 160, 3), np.uint8), np.full((120, 160), value, np.float32), camera)
    scene = Scene(frame, SegmentationConfig(), 0.2)
    assert scene.places(palette_of(table.models[0]), table.models[0]) == []
    assert not scene.standing(frame.depth).any()


def test_colours_choose_between_things_of_one_size() -> None:
    # Two plates of depth before nothing, one red, one blue: the red model is looked for at the red one first.
    box = trimesh.creation.box((0.1, 0.1, 0.02))
    box.visual.face_colors = np.tile([[200, 20, 20, 255]], (12, 1))
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)
    depth, color = np.zeros((240, 320), np.float32), np.full((240, 320, 3), 120, np.uint8)
    depth[80:130, 60:110] = depth[80:130, 210:260] = 0.6
    color[80:130, 60:110], color[80:130, 210:260] = (30, 30, 190), (190, 30, 30)
    scene = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(), 0.3)
    model = make_model(box, "plate")
    first = scene.places(palette_of(model), model)[0]
    assert first.middle[0] == pytest.approx((235 - 160) / 300 * 0.6, abs=0.03)


def test_where_an_object_is_known_another_is_not_looked_for() -> None:
    plate = make_model(trimesh.creation.box((0.1, 0.1, 0.02)), "plate")
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)
    depth, color = np.zeros((240, 320), np.float32), np.full((240, 320, 3), 150, np.uint8)
    depth[80:130, 60:110] = depth[80:130, 210:260] = 0.6
    scene = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(plane_size=20.0), 0.3)
    known = np.eye(4)
    known[:3, 3] = (85 - 160) / 300 * 0.6, (105 - 120) / 300 * 0.6, 0.61
    both = [place.middle[0] for place in scene.places(palette_of(plate), plate)]
    assert min(both) < -0.05 < 0.05 < max(both)
    other = [place.middle[0] for place in scene.places(palette_of(plate), plate, [known])]
    assert other
    assert min(other) > 0.05


def test_a_thin_thing_is_looked_for_where_it_lies_and_not_on_others_of_its_colour() -> None:
    # A rod lies beside a plate that is as long as it, both grey like the rod's model.
    rod = make_model(trimesh.creation.box((0.12, 0.012, 0.012)), "rod")
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)
    depth, color = np.zeros((240, 320), np.float32), np.full((240, 320, 3), 150, np.uint8)
    depth[90:140, 50:100] = 0.6
    depth[100:106, 230:290] = 0.6
    scene = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(plane_size=20.0), 0.3)
    first, *others = scene.places(palette_of(rod), rod)
    assert first.middle[0] == pytest.approx((260 - 160) / 300 * 0.6, abs=0.03)
    assert first.worth > 0.9
    on_plate = [place.worth for place in others if place.middle[0] < 0]
    assert on_plate
    assert max(on_plate) < 0.5


def test_what_stands_is_told_for_every_pixel() -> None:
    # Sizes that the stride does not divide: a ledge that is no plane reaches the last row and column.
    camera = CameraIntrinsics(100, 82, 90.0, 90.0, 50.0, 41.0)
    depth = np.full((82, 100), 1.0, np.float32)
    depth[60:, 70:] = 0.7
    color = np.full((82, 100, 3), 90, np.uint8)
    scene = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(), 0.2)
    standing = scene.standing(depth)
    assert len(scene.planes) == 1
    assert standing.shape == depth.shape
    assert (standing[62:, 72:] == np.float32(0.7)).all()
    assert (standing[:58, :68] == 0).all()
    whole = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(planes=0), 0.2)
    np.testing.assert_array_equal(whole.standing(depth), depth)


def test_table_is_taken_away_before_parts_of_a_larger_plane_far_away() -> None:
    # Two strips of a wall, of which nothing else was measured, stand for more area than the table.
    camera = CameraIntrinsics(640, 480, 605.0, 605.0, 318.0, 242.0)
    normal = np.array([0, 0.5, np.sqrt(0.75)])
    depth = _depth_of([(normal, 0.6), (normal, 9.0)], camera)
    depth[depth > 5] = 0
    table = (depth > 0)[1::3, 1::3]
    depth[:, :40] = depth[:, -40:] = 1.99
    scene = Scene(RgbdFrame(np.full((480, 640, 3), 90, np.uint8), depth, camera), SegmentationConfig(), 0.12)
    assert scene.free[table[: scene.free.shape[0], : scene.free.shape[1]]].mean() < 0.05
