"""Tests for objects/category_tracking.py and category_pipeline.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame, TrackingState
from pose_perception.errors import WeightsError
from pose_perception.objects.category_pipeline import CategoryPipeline
from pose_perception.objects.category_tracking import CategoryTracker, CategoryTrackingConfig
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.objects.objectron import CategoryBox, ObjectronConfig
from pose_perception.recording.bop import BopScene

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)


def frame_at(seconds: float, fixed_from_camera: FloatArray | None = None) -> RgbdFrame:
    color = np.zeros((240, 320, 3), np.uint8)
    return RgbdFrame(color, None, CAMERA, round(seconds * 1e9), "camera", fixed_from_camera)


def seen(x: float, category: str = "chair", score: float = 0.9, turn_deg: float = 0.0) -> CategoryBox:
    """A box that the detector found, its points a little within the detection."""
    middle = CAMERA.cx + CAMERA.fx * x / 2.0
    outline = np.array([middle - 30, CAMERA.cy - 60, middle + 30, CAMERA.cy + 60])
    region = outline + np.array([-5.0, -5.0, 5.0, 15.0])
    pose = np.eye(4)
    pose[:3, :3] = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("y", turn_deg, degrees=True).as_matrix()
    pose[:3, 3] = x, 0.0, 2.0
    size = np.array([0.5, 0.9, 0.5])
    return CategoryBox(category, score, outline, pose, 1e-4 * np.eye(6), size, True, region=region)


def test_objects_keep_their_ids() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    first = tracker.update(frame_at(0.0), [seen(-1.0), seen(1.0, score=0.8)])
    second = tracker.update(frame_at(0.1), [seen(0.9), seen(-0.9, score=0.8)])
    ids = {round(pose.camera_from_object[0, 3]): pose.id for pose in first}
    assert {round(pose.camera_from_object[0, 3]): pose.id for pose in second} == ids
    assert len(set(ids.values())) == 2
    assert all(name[0].isalpha() for name in ids.values())
    other = tracker.update(frame_at(0.2), [seen(0.9, category="cup")])
    assert [pose.id for pose in other if pose.tracking_state == TrackingState.TRACKED] == ["cup_3"]


def test_what_is_not_seen_is_predicted_and_then_lost_once() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig(keep_s=0.5))
    (first,) = tracker.update(frame_at(0.0), [seen(0.0)])
    (guess,) = tracker.update(frame_at(0.3), [])
    assert (guess.id, guess.tracking_state) == (first.id, TrackingState.PREDICTED)
    assert guess.score < first.score
    assert np.trace(guess.covariance) > np.trace(first.covariance)
    (lost,) = tracker.update(frame_at(0.6), [])
    assert (lost.id, lost.tracking_state, lost.score) == (first.id, TrackingState.LOST, 0.0)
    assert tracker.update(frame_at(0.7), []) == []


def test_a_camera_that_moves_does_not_move_objects() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    moved = np.eye(4)
    moved[0, 3] = 3.0
    (first,) = tracker.update(frame_at(0.0, np.eye(4)), [seen(1.0)])
    (guess,) = tracker.update(frame_at(0.1, moved), [])
    np.testing.assert_allclose(guess.camera_from_object[:3, 3], [-2.0, 0, 2.0])
    (again,) = tracker.update(frame_at(0.2, moved), [seen(-2.0)])
    assert again.id == first.id


def test_the_turn_of_a_cup_does_not_jump() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    turns = [0, 90, 200, 320]
    poses = [tracker.update(frame_at(0.1 * k), [seen(0.0, "cup", turn_deg=turn)])[0] for k, turn in enumerate(turns)]
    for pose in poses:
        rotation = pose.camera_from_object[:3, :3]
        np.testing.assert_allclose(rotation, poses[0].camera_from_object[:3, :3], atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert poses[0].camera_from_object[2, 2] < -0.9  # z of the cup towards the camera


def test_what_no_detection_confirms_is_believed_less_and_less() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    tracker.update(frame_at(0.0), [seen(0.0)])
    claims = [tracker.expected(frame_at(seconds))[0].score for seconds in (0.0, 1.0, 2.0)]
    assert claims[0] == 1.0
    assert 0.8 < claims[1] < 0.95
    assert claims[2] == pytest.approx(claims[1] ** 2)


def test_an_object_is_expected_where_it_was_and_as_large() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    box = seen(0.1)
    assert box.region is not None
    tracker.update(frame_at(0.0, np.eye(4)), [box])
    middle, side = (box.region[:2] + box.region[2:]) / 2, 140.0  # the longer side
    np.testing.assert_allclose(
        tracker.expected(frame_at(0.1))[0].box, [*(middle - side / 2), *(middle + side / 2)], atol=1e-9
    )
    # Points that the network drew smaller at the same depth do not make the region smaller.
    shrunk = box._replace(outline=(box.outline + np.tile(middle, 2)) / 2, region=None)
    tracker.update(frame_at(0.1, np.eye(4)), [shrunk])
    now = tracker.expected(frame_at(0.2))[0].box
    np.testing.assert_allclose(now[2:] - now[:2], side)
    # Half as far away it is twice as large; a camera that moves to the left sees it further to the right.
    near = np.eye(4)
    near[:3, 3] = -0.2, 0.0, 1.0
    moved = tracker.expected(frame_at(0.2, near))[0].box
    np.testing.assert_allclose(moved[2:] - moved[:2], 2 * side)
    assert (moved[0] + moved[2]) / 2 > (now[0] + now[2]) / 2 + 70
    behind = np.eye(4)
    behind[2, 3] = 3.0
    assert tracker.expected(frame_at(0.2, behind)) == []


def test_a_region_that_is_given_anew_counts_from_then_on() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    box = seen(0.1)
    tracker.update(frame_at(0.0), [box])
    assert box.region is not None
    wide = box.region + np.array([-20.0, -20.0, 20.0, 20.0])
    tracker.update(frame_at(0.1), [box._replace(region=wide)])
    now = tracker.expected(frame_at(0.2))[0].box
    np.testing.assert_allclose(now[2:] - now[:2], 180.0)


def test_what_is_only_expected_begins_no_new_object() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig())
    tracker.update(frame_at(0.0), [seen(0.0)])
    (found,) = tracker.update(frame_at(0.1), [seen(3.0)._replace(region=None)])
    assert (found.id, found.tracking_state) == ("chair_1", TrackingState.PREDICTED)


def test_weak_objects_are_not_reported() -> None:
    tracker = CategoryTracker(CategoryTrackingConfig(min_score=0.3))
    assert tracker.update(frame_at(0.0), [seen(0.0, score=0.29)]) == []


class Cup:
    """Real frames with a mug that the detector does not find."""

    def __init__(self, folder: Path) -> None:
        scene = BopScene(folder)
        self.frames = [scene.read(im_id) for im_id in scene.im_ids]
        truth = [scene.truth(im_id) for im_id in scene.im_ids]
        numbers = [[label.obj_id for label in labels].index(14) for labels in truth]
        self.middles = [labels[n].camera_from_object[:3, 3] for labels, n in zip(truth, numbers, strict=True)]
        self.masks = [scene.visible_mask(im_id, n) for im_id, n in zip(scene.im_ids, numbers, strict=True)]

    def frame(self, index: int, seconds: float) -> RgbdFrame:
        """Return a frame as if it had been taken at another time."""
        return replace(self.frames[index], stamp_ns=round(seconds * 1e9))


@pytest.fixture(scope="module")
def cup(shared_data: Path) -> Cup:
    return Cup(shared_data / "ycbv" / "test" / "000000")


@pytest.fixture
def pipeline() -> CategoryPipeline:
    try:
        return CategoryPipeline(ObjectronConfig(categories="cup"), CategoryTrackingConfig(), "cpu")
    except WeightsError as error:
        pytest.skip(str(error))


def test_the_pipeline_follows_a_real_cup(cup: Cup, pipeline: CategoryPipeline) -> None:
    pipeline.warm_up()
    told = [ObjectRegion(cup.masks[0], "cup")]  # in the first image only
    found = [pipeline.process(cup.frame(k, 0.1 * k), told if k == 0 else None) for k in range(5)]
    assert [[(pose.id, pose.model) for pose in poses] for poses in found] == 5 * [[("cup_1", "cup")]]
    positions = np.array([poses[0].camera_from_object[:3, 3] for poses in found])
    assert np.ptp(positions, axis=0).max() < 0.03
    (lost,) = pipeline.process(frame_at(0.0))  # an earlier stamp: another recording
    assert lost.tracking_state == TrackingState.LOST


@pytest.mark.parametrize("seed", [0, 1])
def test_a_real_cup_is_not_lost_though_the_network_draws_it_too_small(
    seed: int, cup: Cup, pipeline: CategoryPipeline
) -> None:
    for k, index in enumerate(np.random.default_rng(seed).integers(len(cup.frames), size=40)):
        told = [ObjectRegion(cup.masks[index], "cup")] if k == 0 else []
        (found,) = pipeline.process(cup.frame(index, 0.1 * k), told)
        assert (found.id, found.tracking_state) == ("cup_1", TrackingState.TRACKED)
        np.testing.assert_allclose(found.camera_from_object[:3, 3], cup.middles[index], atol=0.03)
