"""Tests for models of objects: what a user would notice."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from pose_perception.errors import InvalidInputError
from pose_perception.objects.model import load_model, make_model
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.renderer import Pictures

RED, GREEN, BLUE = (200, 20, 20), (20, 180, 20), (20, 20, 200)
YELLOW, CYAN, WHITE = (200, 200, 0), (0, 200, 200), (235, 235, 235)
INTRINSICS = np.array([[120.0, 120, 31.5, 31.5]])


def _box(edges: tuple[float, float, float] = (0.12, 0.08, 0.05)) -> trimesh.Trimesh:
    return trimesh.creation.box(edges)


def _look(mesh: trimesh.Trimesh, camera_from_object: np.ndarray) -> Pictures:
    model = make_model(mesh, "thing")
    return RaycastingRenderer(model.surface).render(camera_from_object[None], INTRINSICS, 64)


def _facing_up(distance: float = 0.4) -> np.ndarray:
    """A camera above the object: x to the right, y of the object upwards in the picture."""
    pose = np.diag([1.0, -1, -1, 1])
    pose[2, 3] = distance
    return pose


@pytest.mark.parametrize(
    ("units_per_metre", "advice"),
    [
        (1000, "mesh_scale 0.001 if its unit is millimetres"),
        (100, "mesh_scale 0.01 if its unit is centimetres"),
        (39.37, "mesh_scale 0.0254 if its unit is inches"),
    ],
)
def test_mesh_in_another_unit_is_refused_with_the_scale_that_helps(units_per_metre: float, advice: str) -> None:
    mesh = _box()
    mesh.apply_scale(units_per_metre)
    with pytest.raises(InvalidInputError, match=advice):
        make_model(mesh, "mug")
    scale = float(advice.split()[1])
    assert np.allclose(make_model(mesh, "mug", scale).size, [0.12, 0.08, 0.05], rtol=1e-3)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_senseless_scale_is_refused(scale: float) -> None:
    with pytest.raises(InvalidInputError, match="mesh_scale"):
        make_model(_box(), "mug", scale)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".xyz"])
def test_cloud_of_points_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cloud{suffix}"
    trimesh.PointCloud(np.random.default_rng(0).random((50, 3))).export(path)
    with pytest.raises(InvalidInputError, match=r"no faces|cannot be read"):
        load_model(path)


def test_file_that_is_no_mesh_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mug.ply"
    path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 9")
    with pytest.raises(InvalidInputError, match="mug"):
        load_model(path)
    with pytest.raises(InvalidInputError, match="there is no mesh"):
        load_model(tmp_path / "cup.ply")


def test_vertices_that_are_not_finite_are_refused_only_where_faces_use_them() -> None:
    mesh = _box()
    loose = trimesh.Trimesh(np.vstack([mesh.vertices, [[np.nan] * 3]]), mesh.faces, process=False)
    model = make_model(loose, "box")
    assert np.allclose(model.size, [0.12, 0.08, 0.05], atol=1e-6)
    assert np.all(np.isfinite(model.points))
    assert RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64).mask.any()
    mesh.vertices[0, 1] = np.nan
    with pytest.raises(InvalidInputError, match="not finite"):
        make_model(mesh, "box")


def test_origin_outside_of_the_object_stays_the_origin() -> None:
    mesh = _box()
    mesh.apply_translation([0.3, -0.2, 0.1])
    model = make_model(mesh, "box")
    assert np.allclose(model.center, [0.3, -0.2, 0.1], atol=1e-6)
    # Its symmetries turn it about its own middle.
    assert len(model.symmetries.same) == 4
    for motion in model.symmetries.same:
        assert np.allclose(motion[:3, :3] @ model.center + motion[:3, 3], model.center, atol=2e-3)


def test_sides_of_a_textured_box_have_their_colours_where_they_are(tmp_path: Path) -> None:
    # An .obj written by hand: the upper side's texture is red, green, blue, yellow from the upper left to lower right.
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32], picture[:32, 32:], picture[32:, :32], picture[32:, 32:] = RED, GREEN, BLUE, YELLOW
    Image.fromarray(picture).save(tmp_path / "label.png")
    (tmp_path / "mug.mtl").write_text("newmtl label\nKd 1 1 1\nmap_Kd label.png\n")
    corners = [
        (x, y, z) for z in (-0.02, 0.02) for x, y in ((-0.06, -0.06), (0.06, -0.06), (0.06, 0.06), (-0.06, 0.06))
    ]
    (tmp_path / "mug.obj").write_text(
        "mtllib mug.mtl\nusemtl label\n"
        + "".join(f"v {x} {y} {z}\n" for x, y, z in corners)
        + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        + "f 5/1 6/2 7/3\nf 5/1 7/3 8/4\nf 1/1 3/3 2/2\nf 1/1 4/4 3/3\n"
    )
    model = load_model(tmp_path / "mug.obj")
    assert model.surface.has_color
    above = RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64)
    for (row, column), color in {(24, 24): RED, (24, 39): GREEN, (39, 24): BLUE, (39, 39): YELLOW}.items():
        assert np.allclose(above.color[0, row, column] * 255, color, atol=12)


def test_colours_of_vertices_and_faces_are_seen() -> None:
    by_face = _box()
    by_face.visual.face_colors = [(*WHITE, 255) if n[2] > 0.5 else (*BLUE, 255) for n in by_face.face_normals]
    seen = _look(by_face, _facing_up()).color[0, 32, 32]
    assert np.allclose(seen * 255, WHITE, atol=8)
    by_vertex = _box()
    by_vertex.visual.vertex_colors = [(*RED, 255) if x < 0 else (*GREEN, 255) for x in by_vertex.vertices[:, 0]]
    made = _look(by_vertex, _facing_up()).color[0, 32] * 255
    assert np.allclose(made[16], RED, atol=25)
    assert np.allclose(made[47], GREEN, atol=25)
    assert np.allclose(made[31], (np.array(RED) + GREEN) / 2, atol=25)


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".glb", ".obj"])
def test_mesh_without_colour_has_none_whatever_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plain{suffix}"
    _box().export(path)
    model = load_model(path)
    assert not model.surface.has_color
    assert np.allclose(model.size, [0.12, 0.08, 0.05], atol=1e-6)
    assert len(model.symmetries.same) == 4


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".obj"])
def test_colours_come_through_files(tmp_path: Path, suffix: str) -> None:
    mesh = _box().subdivide().subdivide()
    mesh.visual.vertex_colors = [(*RED, 255) if x < 0 else (*CYAN, 255) for x in mesh.vertices[:, 0]]
    path = tmp_path / f"mug{suffix}"
    mesh.export(path)
    model = load_model(path)
    made = RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64)
    assert np.allclose(made.color[0, 32, 20] * 255, RED, atol=12)
    assert np.allclose(made.color[0, 32, 44] * 255, CYAN, atol=12)


@pytest.mark.parametrize(("unit", "scale"), [("", 1.0), ('<unit name="centimeter" meter="0.01"/>', 0.01)])
def test_collada_has_the_unit_that_it_says_and_colours(tmp_path: Path, unit: str, scale: float) -> None:
    mesh = _box()
    mesh.apply_scale(1 / scale)
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[*RED, 255])
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(mesh.vertices), 2)), material=material)
    text = mesh.export(file_type="dae").decode()
    (tmp_path / "box.dae").write_text(text.replace("<up_axis>", f"{unit}<up_axis>"))
    model = load_model(tmp_path / "box.dae")
    assert np.allclose(model.size, [0.12, 0.08, 0.05], atol=1e-6)
    made = RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64)
    assert np.allclose(made.color[0, 32, 32] * 255, RED, atol=12)


def test_texture_comes_through_glb(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16], picture[16:] = RED, BLUE  # red above: v upwards
    corners = np.array([[-0.05, -0.05, 0], [0.05, -0.05, 0], [0.05, 0.05, 0], [-0.05, 0.05, 0]])
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(picture))
    visual = trimesh.visual.TextureVisuals(uv=corners[:, :2] * 10 + 0.5, material=material)
    trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False).export(tmp_path / "card.glb")
    model = load_model(tmp_path / "card.glb")
    made = RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64)
    assert np.allclose(made.color[0, 24, 32] * 255, RED, atol=12)
    assert np.allclose(made.color[0, 40, 32] * 255, BLUE, atol=12)


def test_surface_with_holes_and_stray_faces_is_usable() -> None:
    box = _box()
    torn = trimesh.Trimesh(
        np.vstack([box.vertices, [[0, 0, 0.06]]]), np.vstack([box.faces[3:], [[0, 1, 8]], [[2, 2, 3]]]), process=False
    )
    assert not torn.is_watertight
    model = make_model(torn, "torn")
    assert np.all(np.isfinite(model.points))
    assert np.allclose(np.linalg.norm(model.normals, axis=1), 1, atol=1e-6)
    assert model.diameter == pytest.approx(np.linalg.norm([0.12, 0.08, 0.055]), rel=0.1)


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
def test_very_fine_mesh_is_simplified_and_keeps_shape_and_colours(tmp_path: Path, suffix: str) -> None:
    fine = trimesh.creation.icosphere(subdivisions=7, radius=0.08)
    assert len(fine.faces) > 300_000
    fine.visual.vertex_colors = np.where(fine.vertices[:, :1] < 0, [*RED, 255], [*CYAN, 255]).astype(np.uint8)
    fine.export(tmp_path / f"scan{suffix}")
    model = load_model(tmp_path / f"scan{suffix}")
    assert len(model.surface.faces) <= 200_000
    assert len(model.mesh.faces) == len(fine.faces)
    made = RaycastingRenderer(model.surface).render(_facing_up()[None], INTRINSICS, 64)
    whole = RaycastingRenderer(make_model(trimesh.creation.icosphere(5, radius=0.08), "ball").surface).render(
        _facing_up()[None], INTRINSICS, 64
    )
    assert (made.mask != whole.mask).mean() < 0.005
    assert np.abs(made.depth - whole.depth)[made.mask & whole.mask].max() < 2e-3
    if suffix == ".ply":
        assert np.allclose(
            made.color[0, 32, 24] * 255 / made.color[0, 32, 24].max(), np.array(RED) / max(RED) * 255, atol=12
        )
        assert np.argmax(made.color[0, 32, 40]) != 0


def test_points_are_spread_evenly_over_the_surface() -> None:
    model = make_model(_box(), "box")
    area = {0: 0.08 * 0.05, 1: 0.12 * 0.05, 2: 0.12 * 0.08}
    side = np.abs(model.normals).argmax(1)
    for axis, share in area.items():
        assert np.mean(side == axis) == pytest.approx(share / sum(area.values()), abs=0.01)
        on = side == axis
        outward = np.sign(model.points[on, axis]) * model.normals[on, axis]
        assert outward.min() > 0.999


def test_silhouettes_are_those_of_convex_shapes_or_less() -> None:
    ball = make_model(trimesh.creation.icosphere(4, radius=0.05), "ball")
    assert ball.silhouette_m2 == pytest.approx(np.pi * 0.05**2, rel=0.02)
    box = make_model(trimesh.creation.box((0.3, 0.1, 0.02)), "box")
    assert box.silhouette_m2 == pytest.approx((0.3 * 0.1 + 0.3 * 0.02 + 0.1 * 0.02) / 2, rel=0.03)
    # A cup is as large as if it were full; a frame is seen through.
    cup = make_model(trimesh.creation.annulus(0.045, 0.05, 0.1), "cup")
    full = make_model(trimesh.creation.cylinder(0.05, 0.1), "full")
    assert cup.silhouette_m2 == pytest.approx(full.silhouette_m2, rel=0.05)
    card = make_model(
        trimesh.Trimesh([[0, 0, 0], [0.2, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0]], [[0, 1, 2], [0, 2, 3]]), "card"
    )
    assert card.silhouette_m2 == pytest.approx(0.2 * 0.1 / 2)
