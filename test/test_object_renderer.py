"""Tests for object renderers: what a user would notice."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import pictured

from pose_perception.objects.crops import crop_intrinsics
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.rays import AMBIENT, RayRenderer
from pose_perception.objects.renderer import Pictures, Renderer, make_renderer
from pose_perception.objects.surface import Surface, halvings, surface_of
from pose_perception.objects.warp_renderer import WarpRenderer

FOCAL, SIZE = 200.0, 96
INTRINSICS = np.array([[FOCAL, FOCAL, (SIZE - 1) / 2, (SIZE - 1) / 2]])


def _warp(surface: Surface) -> RayRenderer:
    return WarpRenderer(surface, "cpu")


RENDERERS = [RaycastingRenderer, _warp]
Make = Callable[[Surface], RayRenderer]


def _pose(translation: list[float], turn: list[float] | None = None) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(turn or [0, 0, 0]).as_matrix()
    pose[:3, 3] = translation
    return pose[None]


def _poses(count: int, seed: int = 0, distance: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.uniform(-0.02, 0.02, (count, 3))
    poses[:, 2, 3] += distance
    return poses


def _mug() -> Surface:
    body = trimesh.creation.annulus(0.035, 0.04, 0.09)
    handle = trimesh.creation.torus(0.025, 0.006)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    handle.apply_translation([0.05, 0, 0])
    return pictured(trimesh.util.concatenate([body, handle]))


@pytest.mark.parametrize("make", RENDERERS)
def test_sphere_has_the_depth_and_the_normals_of_a_sphere(make: Make) -> None:
    radius, middle = 0.1, np.array([0.03, -0.02, 0.6])
    surface = surface_of(trimesh.creation.icosphere(subdivisions=6, radius=radius))
    made = make(surface).render(_pose(list(middle)), INTRINSICS, SIZE, normals=True)
    v, u = np.mgrid[:SIZE, :SIZE]
    sight = np.stack([(u - INTRINSICS[0, 2]) / FOCAL, (v - INTRINSICS[0, 3]) / FOCAL, np.ones((SIZE, SIZE))], axis=2)
    a, b, c = (sight**2).sum(2), sight @ middle, middle @ middle - radius**2
    # Where the ray grazes the sphere, the facets show: left out.
    inside = b**2 - a * c > 0.02 * b**2 * radius**2 / (middle @ middle)
    depth = (b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    assert inside.sum() > 2000
    assert np.abs(made.depth[0] - depth)[inside].max() < 1e-4
    normals = (sight * depth[..., None] - middle) / radius
    assert (made.normals[0] * normals).sum(2)[inside].min() > np.cos(np.deg2rad(2))
    assert np.all(made.depth[0][b**2 - a * c < 0] == 0)


@pytest.mark.parametrize("make", RENDERERS)
def test_slanted_plane_has_the_depth_of_a_plane(make: Make) -> None:
    # The camera looks at the back of the sheet: it is seen, and its normal still points to the camera.
    sheet = Surface(np.float32([[-1, -1, 0], [1, -1, 0], [0, 2, 0]]), np.int32([[0, 2, 1]]))
    pose = _pose([0, 0, 0.7], [0, 0.6, 0])
    made = make(sheet).render(pose, INTRINSICS, SIZE, normals=True)
    normal = pose[0, :3, 2]
    sight = np.stack(np.meshgrid(*[(np.arange(SIZE) - INTRINSICS[0, 2]) / FOCAL] * 2), axis=2)
    depth = 0.7 * normal[2] / (sight @ normal[:2] + normal[2])
    assert np.abs(made.depth[0] - depth).max() < 1e-4
    assert np.allclose(made.normals[0], -normal * np.sign(normal[2]), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_both_renderers_make_the_same_pictures(seed: int) -> None:
    surface = [_mug(), pictured(trimesh.creation.box((0.1, 0.06, 0.02))), pictured(trimesh.creation.icosphere())][seed]
    poses = _poses(40, seed)
    crops = crop_intrinsics(poses, np.zeros(3), 0.07, np.array([600.0, 600, 320, 240]), 1.2, 64)
    one = RaycastingRenderer(surface).render(poses, crops, 64, normals=True)
    other = WarpRenderer(surface, "cpu").render(poses, crops, 64, normals=True)
    _assert_equal(one, other)


def _assert_equal(one: Pictures, other: Pictures) -> None:
    """Half a pixel and 0.1 mm: no pixel but those on an edge differs."""
    assert one.mask.sum() > 1000
    differs = (one.mask != other.mask) | (np.abs(one.depth - other.depth) > 1e-4)
    assert differs.mean() < 1e-4
    same = ~differs & one.mask
    assert np.quantile(np.abs(one.color - other.color)[same], 0.99) < 0.01
    assert np.quantile(np.abs(one.normals - other.normals)[same], 0.999) < 1e-3


@pytest.mark.parametrize("make", RENDERERS)
def test_crop_equals_the_crop_of_a_whole_rendering(make: Make) -> None:
    renderer = make(_mug())
    pose = _poses(1, seed=4)
    whole = renderer.render(pose, np.array([[600.0, 600, 320, 240]]), (480, 640))
    crop = renderer.render(pose, np.array([[600.0, 600, 320 - 260, 240 - 170]]), (130, 120))
    assert np.allclose(crop.depth[0], whole.depth[0, 170:300, 260:380], atol=1e-6)
    assert np.allclose(crop.color[0], whole.color[0, 170:300, 260:380], atol=0.02)
    assert crop.mask.sum() > 1000


def test_pictures_do_not_depend_on_how_many_are_made_at_once() -> None:
    renderer = RaycastingRenderer(_mug())
    poses = _poses(45, seed=2)
    crops = crop_intrinsics(poses, np.zeros(3), 0.07, np.array([600.0, 600, 320, 240]), 1.2, 80)
    together = renderer.render(poses, crops, 80, color=False)
    alone = [renderer.render(poses[i : i + 1], crops[i : i + 1], 80, color=False).depth for i in range(45)]
    assert np.array_equal(together.depth, np.concatenate(alone))


def test_thin_and_near_objects_lose_no_pixel() -> None:
    # A needle that is not along any axis, a sheet without thickness, an object that the camera is inside of.
    needle = trimesh.creation.cylinder(0.0008, 0.3, sections=8)
    needle.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3]))
    sheet = Surface(np.float32([[-0.05, -0.05, 0], [0.05, -0.05, 0], [0, 0.08, 0]]), np.int32([[0, 1, 2]]))
    room = surface_of(trimesh.creation.box((2, 2, 2)))
    for surface, distance in ((surface_of(needle), 0.5), (sheet, 0.4), (room, 0.2), (_mug(), 0.08)):
        renderer = RaycastingRenderer(surface)
        poses, intrinsics = _poses(20, 5, distance), np.repeat(INTRINSICS, 20, axis=0)
        made = renderer.render(poses, intrinsics, SIZE)
        renderer._outline.pixels = lambda poses, _, size: np.arange(len(poses) * size[0] * size[1])  # every ray
        assert np.array_equal(made.mask, renderer.render(poses, intrinsics, SIZE).mask)
        assert made.mask.any()


def test_object_behind_the_camera_is_not_seen() -> None:
    made = RaycastingRenderer(_mug()).render(_pose([0, 0, -0.5]), INTRINSICS, SIZE)
    assert not made.mask.any()
    assert not made.color.any()


def test_no_poses_give_no_pictures() -> None:
    made = RaycastingRenderer(_mug()).render(np.zeros((0, 4, 4)), np.zeros((0, 4)), 32)
    assert made.color.shape == (0, 32, 32, 3)


@pytest.mark.parametrize("make", RENDERERS)
def test_fine_texture_is_averaged_over_a_pixel(make: Make) -> None:
    # Single black and white texels, far smaller than a pixel, are grey from afar, not noise.
    texture = np.uint8(np.indices((512, 512)).sum(0)[..., None] % 2 * np.full(3, 255))
    corners = np.float32([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    surface = Surface(corners, faces, uvs=(corners[faces][..., :2] + 0.1) / 0.2, texture=halvings(texture))
    made = make(surface).render(_pose([0, 0, 1.0]), INTRINSICS, SIZE)
    seen = made.color[made.mask]
    assert np.abs(seen / (AMBIENT + (1 - AMBIENT)) - 0.5).max() < 0.03


def test_surface_is_darker_where_it_turns_away() -> None:
    sphere = surface_of(trimesh.creation.icosphere(subdivisions=5, radius=0.1))
    made = RaycastingRenderer(sphere).render(_pose([0, 0, 1.0]), INTRINSICS, SIZE)
    row = made.color[0, SIZE // 2, SIZE // 2 :][made.mask[0, SIZE // 2, SIZE // 2 :], 0]
    assert np.all(np.diff(row) < 0.01)
    assert row[-1] < 0.75 * row[0]


def test_warp_prints_nothing() -> None:
    code = (
        "import numpy as np, trimesh\n"
        "from pose_perception.objects.surface import surface_of\n"
        "from pose_perception.objects.warp_renderer import WarpRenderer\n"
        "pose = np.eye(4)[None]; pose[:, 2, 3] = 0.5\n"
        "made = WarpRenderer(surface_of(trimesh.creation.box((0.1, 0.1, 0.1))), 'cpu').render(\n"
        "    pose, np.array([[50., 50, 16, 16]]), 32)\n"
        "assert made.mask.any()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    # On a machine without a GPU the library itself says so once.
    assert all("NVIDIA CUDA driver" in line for line in done.stderr.splitlines())


def test_the_cpu_gets_the_renderer_for_the_cpu() -> None:
    made: Renderer = make_renderer(_mug(), "cpu")
    assert isinstance(made, RaycastingRenderer)


def test_device_that_warp_cannot_use_is_replaced_by_the_cpu() -> None:
    with pytest.warns(RuntimeWarning, match="rendered on the CPU"):
        made = make_renderer(_mug(), "cuda:99")
    assert isinstance(made, RaycastingRenderer)


def test_many_pictures_are_those_that_are_rendered_one_by_one() -> None:
    renderer = RaycastingRenderer(pictured(trimesh.creation.box((0.12, 0.08, 0.05))))
    poses, intrinsics = _poses(60), np.repeat(INTRINSICS, 60, axis=0)
    together = renderer.render(poses, intrinsics, SIZE, normals=True)
    assert together.depth.size > 500_000  # enough for several threads
    for i in range(len(poses)):
        alone = renderer.render(poses[i : i + 1], INTRINSICS, SIZE, color=False, normals=True)
        np.testing.assert_array_equal(alone.depth[0], together.depth[i])
        np.testing.assert_array_equal(alone.normals[0], together.normals[i])
    again = renderer.render(poses, intrinsics, SIZE, normals=True)
    np.testing.assert_array_equal(again.color, together.color)
