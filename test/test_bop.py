"""Tests for evaluation/bop.py, evaluation/bop_models.py and evaluation/bop_scores.py, against cases done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame
from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.bop import (
    EvaluatedModel,
    add_error,
    adds_error,
    model_diameter,
    mspd,
    mssd,
    symmetry_transforms,
    vsd,
)
from pose_perception.evaluation.bop_models import DepthRenderer, load_evaluated
from pose_perception.evaluation.bop_scores import BopFigures, figures, image_errors, match
from pose_perception.recording.bop import BopModel, BopTruth
from pose_perception.recording.bop_results import BopResult

CAMERA = CameraIntrinsics(320, 240, 400.0, 400.0, 160.0, 120.0)
HALF_TURN = {"symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]}
ANY_TURN = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]}


def cuboid(info: dict | None = None) -> EvaluatedModel:
    """Return 60 x 30 x 20 mm around the origin, whose diameter is 70 mm."""
    import trimesh

    mesh = trimesh.creation.box((0.06, 0.03, 0.02))
    symmetries = symmetry_transforms(info or {})
    return EvaluatedModel("cuboid", np.asarray(mesh.vertices), np.asarray(mesh.faces), 0.07, symmetries)


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.5, turn_deg: float = 0.0) -> FloatArray:
    """Return a pose turned about the optical axis."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])


def frame(depth: FloatArray | None = None) -> RgbdFrame:
    depth = np.zeros((240, 320)) if depth is None else depth
    return RgbdFrame(np.zeros((240, 320, 3), np.uint8), depth.astype(np.float32), CAMERA)


def truth(camera_from_object: FloatArray, obj_id: int = 1, fraction: float | None = 1.0) -> BopTruth:
    return BopTruth(obj_id, camera_from_object, fraction, None)


def result(camera_from_object: FloatArray, score: float = 1.0, obj_id: int = 1, time_s: float = -1.0) -> BopResult:
    return BopResult(0, 1, obj_id, score, camera_from_object, time_s)


def measure(labels: list[BopTruth], estimates: list[BopResult], depth: FloatArray | None = None) -> BopFigures:
    models = {1: cuboid(), 2: cuboid(HALF_TURN)}
    return figures(image_errors(frame(depth), labels, estimates, models, DepthRenderer(CAMERA)))


def test_a_shift_is_the_error_of_every_vertex() -> None:
    moved, at = pose(0.003, 0.004), pose()
    assert add_error(cuboid(), moved, at) == pytest.approx(0.005)
    assert mssd(cuboid(), moved, at) == pytest.approx(0.005)
    assert adds_error(cuboid(), moved, at) == pytest.approx(0.005)  # no other corner is as near


def test_a_half_turn_moves_corners_across_and_adds_does_not_see_it() -> None:
    turned = pose(turn_deg=180)
    across = np.hypot(0.06, 0.03)  # from a corner through the axis to the other

    assert add_error(cuboid(), turned, pose()) == pytest.approx(across)
    assert adds_error(cuboid(), turned, pose()) == pytest.approx(0.0, abs=1e-12)
    assert mssd(cuboid(), turned, pose()) == pytest.approx(across)
    assert mssd(cuboid(HALF_TURN), turned, pose()) == pytest.approx(0.0, abs=1e-12)
    # The front face is nearest: 400 px * 67.08 mm / 490 mm.
    assert mspd(cuboid(), turned, pose(), CAMERA) == pytest.approx(400 * across / 0.49)
    assert mspd(cuboid(HALF_TURN), turned, pose(), CAMERA) == pytest.approx(0.0, abs=1e-9)


def test_nearest_neighbours_are_looked_for_from_the_truth() -> None:
    # True vertices at 0, 1 and 10; estimated ones 0.5 further: to the nearest 0.5, 0.5 and 0.5 from the truth.
    line = EvaluatedModel("line", np.array([[0, 0, 0], [1.0, 0, 0], [10, 0, 0]]), np.zeros((1, 3), int), 10, np.eye(4))
    assert adds_error(line, pose(5.0), pose(0.0)) == pytest.approx((5 + 4 + 4) / 3)  # estimates at 5, 6, 15


def test_mssd_takes_the_largest_distance_under_the_best_symmetry() -> None:
    # 170 degrees: 10 from the half turn. The farthest corner is 33.54 mm from the axis.
    radius = np.hypot(0.03, 0.015)
    error = mssd(cuboid(HALF_TURN), pose(turn_deg=170), pose())
    assert error == pytest.approx(2 * radius * np.sin(np.radians(5)))


def test_a_continuous_symmetry_is_cut_into_315_turns_and_leaves_a_hundredth() -> None:
    transforms = symmetry_transforms(ANY_TURN)
    assert transforms.shape == (315, 4, 4)  # ceil(pi / 0.01)
    np.testing.assert_allclose(transforms[0], np.eye(4), atol=1e-12)
    for turn in np.linspace(0, 360, 23):
        assert mssd(cuboid(ANY_TURN), pose(turn_deg=turn), pose()) <= np.hypot(0.03, 0.015) * 0.01


def test_a_symmetry_turns_about_its_own_axis() -> None:
    entry = {"axis": [0, 0, 2], "offset": [10, 20, 0]}  # millimetres, length of the axis has no meaning
    transforms = symmetry_transforms({"symmetries_continuous": [entry]})
    np.testing.assert_allclose(transforms @ [0.01, 0.02, 0.3, 1], np.tile([0.01, 0.02, 0.3, 1], (315, 1)), atol=1e-12)


def test_discrete_and_continuous_symmetries_are_combined() -> None:
    flip = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 5, 0, 0, 0, 1]
    transforms = symmetry_transforms({"symmetries_discrete": [flip], **ANY_TURN})
    assert transforms.shape == (630, 4, 4)
    np.testing.assert_allclose(transforms[315, :3, 3], [0, 0, 0.005])


@pytest.mark.parametrize("info", [{"symmetries_discrete": [[1, 2]]}, {"symmetries_continuous": [{"axis": [0, 0, 1]}]}])
def test_a_symmetry_that_is_none_is_refused(info: dict) -> None:
    with pytest.raises(InvalidInputError, match="symmetry"):
        symmetry_transforms(info)


def test_vsd_counts_what_only_one_sees_and_what_is_too_far() -> None:
    camera = CameraIntrinsics(4, 1, 1e-9 + 40.0, 40.0, 1.5, 0.0)
    # Four pixels: truth in 0 to 2, estimate in 1 to 3; pixel 2 is 12 mm off, or 0.12 diameters.
    at, estimate = np.array([[1.0, 1.0, 1.0, 0]]), np.array([[0, 1.0, 1.012, 1.0]])
    lengths = np.hypot((np.arange(4) - 1.5) / 40, 1.0)
    errors = vsd(estimate, at, at, camera, 0.1)
    # Where the scene has no depth the estimate counts as visible: union 4, both 2.
    expected = [(2 + (0.012 * lengths[2] / 0.1 >= tau)) / 4 for tau in np.arange(0.05, 0.51, 0.05)]
    np.testing.assert_allclose(errors, expected)
    assert errors[1] == 0.75
    assert errors[2] == 0.5


def test_vsd_leaves_out_what_something_else_hides() -> None:
    camera = CameraIntrinsics(4, 1, 40.0, 40.0, 1.5, 0.0)
    at = np.ones((1, 4))
    hidden = np.array([[0.5, 0.5, 1.0, 1.0]])  # an occluder in front of two pixels
    estimate = np.array([[1.3, 1.3, 1.0, 1.0]])
    np.testing.assert_allclose(vsd(estimate, at, hidden, camera, 0.1), 0.0)
    # 14 mm behind the measurement is still visible, 16 mm is not.
    assert vsd(at, at, at - 0.014, camera, 0.1).max() == 0
    np.testing.assert_allclose(vsd(at, at, at - 0.016, camera, 0.1), 1.0)  # nothing is left to compare


def test_vsd_of_disjoint_silhouettes_is_one() -> None:
    camera = CameraIntrinsics(4, 1, 40.0, 40.0, 1.5, 0.0)
    np.testing.assert_allclose(
        vsd(np.array([[0, 0, 1.0, 1]]), np.array([[1.0, 1, 0, 0]]), np.zeros((1, 4)), camera, 1), 1
    )


def test_vsd_is_not_confused_by_unknown_depth() -> None:
    camera = CameraIntrinsics(4, 1, 40.0, 40.0, 1.5, 0.0)
    at = np.ones((1, 4))
    np.testing.assert_allclose(vsd(at, at, np.full((1, 4), np.nan), camera, 0.1), 0.0)


def test_depth_is_rendered_where_projection_says() -> None:
    depth = DepthRenderer(CAMERA)(cuboid(), pose(z=0.51))
    # The front face lies at 500 mm: 48 x 24 px around the principal point.
    rows, columns = np.nonzero(depth)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (136, 184, 108, 132)
    np.testing.assert_allclose(depth[rows, columns], 0.5, atol=1e-6)


def test_a_model_beside_or_around_the_camera_renders() -> None:
    render = DepthRenderer(CAMERA)
    assert not render(cuboid(), pose(x=5.0)).any()
    assert render(cuboid(), pose(z=0.0)).any()
    assert not render(cuboid(), pose(z=-0.5)).any()


def test_the_highest_score_chooses_first_and_takes_the_nearest_that_is_free() -> None:
    errors = np.array([[0.3, 0.1], [0.5, 0.05], [0.2, 0.9]])
    everything = np.array([True, True])
    assert match(errors, everything, 1.0).tolist() == [1, 0]
    assert match(errors, everything, 0.3).tolist() == [2, 0]  # the error of the second is not below the threshold
    assert match(errors, everything, 0.1).tolist() == [-1, 1]
    assert match(errors, np.array([True, False]), 1.0).tolist() == [0, -1]
    assert match(np.zeros((0, 2)), everything, 1.0).tolist() == [-1, -1]


def test_recalls_of_one_shifted_object() -> None:
    # 10 mm of 70 are 0.143 d: right from 0.15 on, 8 of 10 thresholds. 10 mm at 490 mm are 8.16 px, doubled for an
    # image 320 wide: right from 20 px on, 7 of 10.
    found = measure([truth(pose())], [result(pose(0.01))])
    assert (found.targets, found.add, found.adds) == (1, 0.0, 0.0)
    assert found.mssd == pytest.approx(0.8)
    assert found.mspd == pytest.approx(0.7)
    assert found.adds_median_mm == pytest.approx(10.0)
    assert found.ar == pytest.approx((found.vsd + 0.8 + 0.7) / 3)


def test_only_as_many_estimates_as_instances_count() -> None:
    wrong, right = result(pose(0.2), 0.9), result(pose(), 0.8)
    assert measure([truth(pose())], [right, wrong]).add == 0.0
    assert measure([truth(pose()), truth(pose(0.1))], [right, wrong]).add == 0.5


def test_hidden_labels_are_not_asked_for_and_take_no_estimate() -> None:
    labels = [truth(pose(), fraction=0.09), truth(pose(0.1), fraction=0.11)]
    found = measure(labels, [result(pose(0.1))])
    assert (found.targets, found.add) == (1, 1.0)
    assert measure(labels, [result(pose())]).add == 0.0
    assert measure(labels[:1], [result(pose())]).targets == 0


def test_visible_pixels_tell_what_is_hidden_where_nothing_else_does() -> None:
    silhouette = int(np.count_nonzero(DepthRenderer(CAMERA)(cuboid(), pose())))
    hidden, seen = (BopTruth(1, pose(), None, int(share * silhouette)) for share in (0.05, 0.2))
    assert measure([hidden], []).targets == 0
    assert measure([seen], []).targets == 1


def test_what_nobody_found_is_infinitely_far() -> None:
    found = measure([truth(pose()), truth(pose(), obj_id=2)], [result(pose(0.001))])
    assert (found.targets, found.add, found.adds) == (2, 0.5, 0.5)
    assert found.adds_median_mm == np.inf
    assert np.isnan(found.time_s)


def test_the_time_of_an_image_is_shared_by_its_estimates() -> None:
    estimates = [result(pose(), time_s=1.0), result(pose(), obj_id=2, time_s=1.0)]
    assert measure([truth(pose()), truth(pose(), obj_id=2)], estimates).time_s == pytest.approx(0.5)


def test_the_diameter_is_the_largest_distance() -> None:
    assert model_diameter(cuboid().vertices) == pytest.approx(0.07)
    assert model_diameter(np.array([[0, 0, 0], [3.0, 0, 0], [0, 4, 0], [3, 4, 0]])) == pytest.approx(5.0)  # flat
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(500, 3))
    assert model_diameter(cloud) == pytest.approx(np.linalg.norm(cloud[:, None] - cloud, axis=-1).max())


def test_models_keep_their_unit_and_their_origin(tmp_path: Path) -> None:
    import trimesh

    mesh = trimesh.creation.box(
        (60.0, 30.0, 20.0), np.array([[1, 0, 0, 100], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    mesh.export(tmp_path / "obj_000007.ply")
    model = load_evaluated(BopModel(7, "obj_000007", tmp_path / "obj_000007.ply", 1e-3, {}))
    np.testing.assert_allclose(model.vertices.mean(axis=0), [0.1, 0, 0], atol=1e-9)
    assert model.diameter == pytest.approx(0.07)
    told = load_evaluated(BopModel(7, "obj_000007", tmp_path / "obj_000007.ply", 1e-3, {"diameter": 80.0, **HALF_TURN}))
    assert told.diameter == pytest.approx(0.08)
    assert len(told.symmetries) == 2


def test_a_file_without_faces_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "obj_000001.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        "end_header\n0 0 0\n"
    )
    with pytest.raises(InvalidInputError, match="obj_000001"):
        load_evaluated(BopModel(1, "x", path, 1e-3, {}))
    path.write_text("no mesh")
    with pytest.raises(InvalidInputError, match="obj_000001"):
        load_evaluated(BopModel(1, "x", path, 1e-3, {}))
