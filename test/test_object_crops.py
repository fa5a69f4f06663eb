"""Tests for crops around hypotheses: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import INTRINSICS, painted_box, photograph, pictured

from pose_perception.objects.crops import Observation, crop_intrinsics, middles, motion_between, moved
from pose_perception.objects.raycasting import RaycastingRenderer


def _poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.uniform([-0.4, -0.3, 0.5], [0.4, 0.3, 1.5], (count, 3))
    return poses


@pytest.mark.parametrize("intrinsics", [INTRINSICS, np.array([600.0, 450.0, 300.0, 200.0])])
def test_moving_by_the_motion_between_two_poses_leads_from_one_to_the_other(intrinsics: np.ndarray) -> None:
    center, radius = np.array([0.1, -0.2, 0.05]), 0.12
    before = _poses(300, 0)
    rng = np.random.default_rng(1)
    after = before.copy()
    after[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.8, (300, 3))).as_matrix() @ before[:, :3, :3]
    after[:, :3, 3] += rng.normal(0, 0.05, (300, 3))
    shift, turn = motion_between(before, after, center, radius, intrinsics, 1.2)
    there = moved(before, center, radius, intrinsics, 1.2, shift, turn)
    assert np.allclose(there, after, atol=1e-9)
    still = moved(before, center, radius, intrinsics, 1.2, np.zeros((300, 3)), np.zeros((300, 3)))
    assert np.allclose(still, before, atol=1e-9)


def test_shift_is_what_the_crop_shows() -> None:
    # A shift of one half crop to the right moves the middle from that of the crop to its right border.
    center, radius = np.array([0.02, 0.0, 0.01]), 0.08
    before = _poses(20, 2)
    crop = crop_intrinsics(before, center, radius, INTRINSICS, 1.2, 64)
    after = moved(before, center, radius, INTRINSICS, 1.2, np.tile([1.0, 0, 0], (20, 1)), np.zeros((20, 3)))
    middle = middles(after, center)
    assert np.allclose(crop[:, 0] * middle[:, 0] / middle[:, 2] + crop[:, 2], 31.5 + 32)
    assert np.allclose(crop[:, 1] * middle[:, 1] / middle[:, 2] + crop[:, 3], 31.5)


def test_picture_in_the_crop_does_not_depend_on_the_place_in_the_image() -> None:
    # An object turned with its line of sight looks the same at the border as in the middle of the image.
    renderer = RaycastingRenderer(pictured(painted_box()))
    middle = np.eye(4)[None]
    middle[0, :3, :3] = Rotation.from_rotvec([0.4, 0.7, -0.2]).as_matrix()
    middle[0, 2, 3] = 0.6
    aside = moved(middle, np.zeros(3), 0.075, INTRINSICS, 1.2, np.array([[1.5, 1.0, 0]]), np.zeros((1, 3)))
    pictures = []
    for pose in (middle, aside):
        crop = crop_intrinsics(pose, np.zeros(3), 0.075, INTRINSICS, 1.2, 64)
        pictures.append(renderer.render(pose, crop, 64))
    assert (pictures[0].mask != pictures[1].mask).mean() < 0.06
    both = pictures[0].mask & pictures[1].mask
    assert np.median(np.abs(pictures[0].color - pictures[1].color)[both]) < 0.02


@pytest.mark.parametrize("distance", [0.25, 0.6, 1.3])  # image larger than the crop, about equal, smaller
def test_crop_of_an_image_shows_what_a_rendering_into_the_crop_shows(distance: float) -> None:
    surface = pictured(trimesh.creation.icosphere(4, radius=0.05))
    renderer = RaycastingRenderer(surface)
    pose = np.eye(4)
    pose[:3, 3] = [0.02, 0.01, distance]
    seen = photograph(renderer, pose, wall_m=5.0)
    crop = crop_intrinsics(pose[None], np.zeros(3), 0.05, INTRINSICS, 1.2, 64)
    made = renderer.render(pose[None], crop, 64)
    colors, depths = seen.crops(crop, 64)
    there = (depths > 0) & (depths < 4)
    # Half a pixel of the crop or of the image, whichever is larger: their centres of mass, and the colours.
    assert np.all(np.abs(_center(there[0]) - _center(made.mask[0])) < 0.3)
    limit = 1.5 * max(1.0, crop[0, 0] / INTRINSICS[0]) * made.mask.sum() ** 0.5 * 4
    assert (there != made.mask).sum() < limit
    both = there & made.mask
    assert np.median(np.abs(depths - made.depth)[both]) < 1e-3
    one, other = made.color[both].ravel(), colors[both].ravel() / 255
    assert np.corrcoef(one, other)[0, 1] > 0.93
    # A crop that is off by one pixel is worse.
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        off = np.roll(colors[0], shift, axis=(0, 1))[both[0]].ravel() / 255
        assert np.corrcoef(one, off)[0, 1] < np.corrcoef(one, other)[0, 1]


def _center(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(0)


def test_outside_of_the_image_there_is_nothing() -> None:
    seen = Observation(np.full((48, 64, 3), 200, np.uint8), np.ones((48, 64), np.float32), np.array([60.0, 60, 32, 24]))
    crop = np.array([[60.0, 60, 32 + 20, 24]])  # twenty pixels to the left of the image
    colors, depths = seen.crops(crop, 48)
    assert not depths[0, :, :20].any()
    assert not colors[0, :, :18].any()
    assert np.all(depths[0, :, 21:] == 1)
    far = seen.crops(np.array([[60.0, 60, 1e4, 24]]), 48)
    assert not far[0].any()
    assert not far[1].any()


def test_unknown_depth_spreads_to_no_neighbour() -> None:
    depth = np.ones((48, 64), np.float32)
    depth[20, 30] = np.nan
    seen = Observation(np.zeros((48, 64, 3), np.uint8), depth, np.array([60.0, 60, 32, 24]))
    _, same = seen.crops(np.array([[60.0, 60, 32, 24]]), 48)
    assert np.isnan(same).sum() == 1
    _, larger = seen.crops(np.array([[120.0, 120, 32, 24]]), 48)
    assert np.all(np.isnan(larger) | (larger == 1) | (larger == 0))


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7, 2.2, 4.5, 9.0])  # pixels of the image in one of the crop
def test_pixels_of_the_crop_show_the_places_that_they_stand_for(scale: float) -> None:
    # Colour and depth grow by two levels for each pixel to the right: what a pixel shows tells where it was taken.
    column = np.broadcast_to(np.arange(128), (128, 128))
    seen = Observation(np.repeat(2 * column[..., None], 3, axis=2).astype(np.uint8), np.float32(column), INTRINSICS)
    size = int(100 / scale)
    crop = np.array([[*INTRINSICS[:2] / scale, *(INTRINSICS[2:] - 10.3) / scale]])  # begins 10.3 px from both borders
    colors, depths = seen.crops(crop, size)
    wanted = 10.3 + scale * np.arange(size)
    assert abs((colors[0, :, :, 0] / 2 - wanted).mean()) < 0.3
    assert np.abs(depths[0] - wanted).max() < 0.55
