"""Tests for the default estimator, its finder and BlazePose on real and simulated pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_perception.datatypes import PoseEstimates, RgbdFrame
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.geometry.camera import project
from pose_perception.human.estimators import blazepose
from pose_perception.human.estimators.base import EstimationConfig
from pose_perception.human.estimators.crops import image_from_crops
from pose_perception.human.estimators.default import DefaultEstimator
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.estimators.registry import make_estimator
from pose_perception.human.estimators.whole_image import fitting_size, input_sizes
from pose_perception.human.similarity import suppress_duplicates
from pose_perception.human.topology import BODY_33
from pose_perception.networks.runtime import load_network
from pose_perception.simulation.sequence import SimulatedSequence

_NOBODY = np.empty((0, 4))


@pytest.fixture(scope="module")
def estimator() -> DefaultEstimator:
    return DefaultEstimator("cpu")


def _once(people: PoseEstimates) -> PoseEstimates:
    return people.select(suppress_duplicates(people, 0.25, 0.5))


def test_accuracy_on_labelled_pictures(estimator: DefaultEstimator, shared_data: Path) -> None:
    coco = shared_data / "coco_keypoints"
    for labels, images, least_ap in (
        ("person_keypoints_train2017.json", "train2017", 0.55),
        ("person_keypoints_val2017_4.json", "val2017", 0.77),
    ):
        figures = evaluate_coco(
            lambda color: _once(estimator.estimate(color, _NOBODY, True)),
            coco / "annotations" / labels,
            coco / "images" / images,
        )
        assert figures.ap >= least_ap
        assert figures.ar >= figures.ap
        assert figures.people == len(figures.results) > 0


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(InvalidInputError, match="labels"):
        evaluate_coco(lambda color: None, tmp_path / "labels.json", tmp_path)


def test_joints_and_metric_landmarks_of_simulated_people(
    estimator: DefaultEstimator, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    names = simulated.keypoint_names
    arms = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")]
    ours, theirs = [BODY_33.index[n] for n in arms], [names.index(n) for n in arms]
    pixel_errors, length_ratios = [], []
    for t in range(0, 45, 9):
        people = _once(estimator.estimate(simulated_frames[t].color, _NOBODY, True))
        truth = simulated.positions[t].astype(float)
        assert len(people) == len(truth)
        pixels = project(truth, simulated.camera)
        for person in range(len(people)):
            error = np.linalg.norm(people.pixels[person, ours] - pixels[:, theirs], axis=2)
            i = np.median(error, axis=1).argmin()
            pixel_errors.append(error[i])
            width = people.world[person, ours[0]] - people.world[person, ours[3]]
            length_ratios.append(np.linalg.norm(width) / np.linalg.norm(truth[i, theirs[0]] - truth[i, theirs[3]]))
    assert np.median(pixel_errors) < 10
    assert 0.75 < np.median(length_ratios) < 1.25  # metric


def test_people_are_followed_without_a_search(estimator: DefaultEstimator, simulated_frames: list[RgbdFrame]) -> None:
    found = _once(estimator.estimate(simulated_frames[0].color, _NOBODY, True))
    followed = estimator.estimate(simulated_frames[1].color, found.boxes, False)
    assert len(followed) == len(found)
    assert np.median(np.linalg.norm(followed.pixels[:, :17] - found.pixels[:, :17], axis=2)) < 5
    assert len(estimator.estimate(simulated_frames[1].color, _NOBODY, False)) == 0


@pytest.mark.parametrize("shape", [(16, 16), (480, 640), (1200, 90)])  # tiny, usual, a strip
def test_pictures_with_nobody_have_nobody(estimator: DefaultEstimator, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    for picture in (noise, np.zeros((*shape, 3), np.uint8)):
        people = estimator.estimate(picture, _NOBODY, True)
        assert (people.person_scores < 0.2).all()


@pytest.mark.parametrize(("long_side", "multiple", "remainder"), [(384, 32, 0), (512, 32, 0), (641, 16, 1)])
def test_every_shape_of_image_fits_into_a_network(long_side: int, multiple: int, remainder: int) -> None:
    sizes = input_sizes(long_side, multiple, remainder)
    assert all(side % multiple == remainder for size in sizes for side in size)
    assert all(0 <= size[0] - long_side * 3 / 4 < multiple for size in sizes[:1])
    for height in range(10, 2000, 37):
        for width in range(10, 2000, 41):
            size = fitting_size(height, width, sizes)
            scale = min(size[0] / height, size[1] / width)
            assert size in sizes
            assert max(height, width) * scale == pytest.approx(long_side, abs=1)


def test_boxes_of_the_finder_stay_inside_of_the_image(simulated_frames: list[RgbdFrame]) -> None:
    color = np.ascontiguousarray(simulated_frames[0].color[:, :500])
    people = MovenetFinder("cpu").find(color)
    assert len(people) >= 2
    assert (people.boxes >= 0).all()
    assert (people.boxes <= [500, 480, 500, 480]).all()


def test_landmarks_do_not_depend_on_the_rotation_of_the_region(
    estimator: DefaultEstimator, simulated_frames: list[RgbdFrame]
) -> None:
    color = simulated_frames[0].color
    people = _once(estimator.estimate(color, _NOBODY, True)).select([0])
    region = blazepose.regions_from_keypoints(people.pixels, people.scores, 0.2)
    network = load_network("blazepose_full", "cpu", outputs=blazepose.RESULTS)
    upright = blazepose.landmarks(network, color, region)
    turned = blazepose.landmarks(network, color, region + np.array([0, 0, 0, 0.2]))
    size = region[0, 2]
    assert np.median(np.linalg.norm(upright.pixels - turned.pixels, axis=2)) < 0.02 * size
    across = np.linalg.norm(upright.world[..., :2] - turned.world[..., :2], axis=2)  # depth is what the network guesses
    assert np.median(across) < 0.05
    assert upright.presence[0] > 0.9


def test_unknown_estimator_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="default"):
        make_estimator("alphapose", "cpu")


def test_a_file_for_an_estimator_that_takes_none_is_not_ignored() -> None:
    with pytest.raises(ConfigurationError, match="takes no network_file"):
        make_estimator("default", "cpu", EstimationConfig(network_file="network.onnx"))


def test_region_of_a_leaning_person_is_turned_with_them() -> None:
    pixels = np.zeros((1, 17, 2))
    hips, head = np.array([300.0, 300.0]), np.array([400.0, 200.0])
    pixels[:] = (hips + head) / 2
    for name, point in (("left_hip", hips), ("right_hip", hips), ("left_shoulder", head), ("right_shoulder", head)):
        pixels[0, BODY_33.index[name]] = point
    region = blazepose.regions_from_keypoints(pixels, np.ones((1, 17)), 0.2)
    affine = image_from_crops(region, 256)[0]
    in_crop = np.linalg.solve(affine[:, :2], head - affine[:, 2])
    assert in_crop[0] == pytest.approx(128)  # straight above the middle
    assert 20 < in_crop[1] < 100
    assert np.allclose(region[0, :2], hips)
