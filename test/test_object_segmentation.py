"""Tests for where objects are looked for: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import tabletop

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
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


def test_most_objects_are_among_the_places_to_look_at() -> None:
    there, found = 0, 0
    for seed in SEEDS:
        table, shot = tabletop(seed)
        scene = _scene(seed)
        for model, pose, visible in zip(table.models, shot.poses, shot.visible, strict=True):
            if visible < 0.5:
                continue
            there += 1
            middle = pose[:3, :3] @ model.center + pose[:3, 3]
            places = scene.places(palette_of(model), model.radius)
            assert all(0 <= place.worth <= 1 + 1e-6 for place in places)
            found += any(np.linalg.norm(place.middle - middle) < model.radius for place in places)
    assert there >= 5
    assert found >= 0.8 * there


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_picture_without_depth_has_no_places(value: float) -> None:
    table, _ = tabletop(SEEDS[0])
    camera = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)
    frame = RgbdFrame(np.zeros((120, 160, 3), np.uint8), np.full((120, 160), value, np.float32), camera)
    scene = Scene(frame, SegmentationConfig(), 0.2)
    assert scene.places(palette_of(table.models[0]), 0.1) == []
    assert len(scene.points_near(np.array([0, 0, 1.0]), 0.5)) == 0


def test_colours_choose_between_things_of_one_size() -> None:
    # Two plates of depth before nothing, one red, one blue: the red model is looked for at the red one first.
    import trimesh

    from pose_perception.objects.model import make_model

    box = trimesh.creation.box((0.1, 0.1, 0.02))
    box.visual.face_colors = np.tile([[200, 20, 20, 255]], (12, 1))
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)
    depth, color = np.zeros((240, 320), np.float32), np.full((240, 320, 3), 120, np.uint8)
    depth[80:130, 60:110] = depth[80:130, 210:260] = 0.6
    color[80:130, 60:110], color[80:130, 210:260] = (30, 30, 190), (190, 30, 30)
    scene = Scene(RgbdFrame(color, depth, camera), SegmentationConfig(), 0.3)
    model = make_model(box, "plate")
    first = scene.places(palette_of(model), model.radius)[0]
    assert first.middle[0] == pytest.approx((235 - 160) / 300 * 0.6, abs=0.03)
