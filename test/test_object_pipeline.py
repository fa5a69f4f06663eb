"""Tests for objects in frames, with the trained network: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import INTRINSICS, SIZE, painted_box, photograph

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame, TrackingState
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.networks.runtime import Network, load_network
from pose_perception.objects.crops import Observation
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.model import ObjectModel, make_model
from pose_perception.objects.pipeline import ObjectPipeline, ObjectPipelineConfig
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.tracking import ObjectTrackingConfig

CAMERA = CameraIntrinsics(SIZE[1], SIZE[0], *INTRINSICS)
WALL = Observation(np.full((*SIZE, 3), 90, np.uint8), np.ones(SIZE, np.float32), INTRINSICS)


def _pose(x: float, turn: tuple[float, float, float] = (0.6, 0.9, 0.2)) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] = [x, 0.02, 0.6]
    return pose


LEFT, RIGHT = _pose(-0.12), _pose(0.12, (-0.5, 0.7, 0.9))


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("pose_matcher", "cpu", "fast")


@pytest.fixture(scope="module")
def box() -> ObjectModel:
    return make_model(painted_box(), "box")


@pytest.fixture(scope="module")
def ball() -> ObjectModel:
    return make_model(trimesh.creation.icosphere(3, radius=0.045), "ball")


@pytest.fixture(scope="module")
def left(box: ObjectModel) -> Observation:
    return photograph(RaycastingRenderer(box.surface), LEFT)


def _frame(seen: Observation, seconds: float = 0.0) -> RgbdFrame:
    return RgbdFrame(seen.image, seen.depth, CAMERA, round(seconds * 1e9), "camera")


def _region(seen: Observation, model: str | None = "box") -> ObjectRegion:
    return ObjectRegion((seen.depth > 0) & (seen.depth < 0.9), model)


def _assert_right(found: ObjectPose, truth: np.ndarray, model: ObjectModel) -> None:
    at, truly = (model.points @ pose[:3, :3].T + pose[:3, 3] for pose in (found.camera_from_object, truth))
    assert np.linalg.norm(at - truly, axis=1).mean() < 0.05 * model.diameter
    assert found.score > 0.5
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_object_in_a_mask_is_found_followed_predicted_lost_and_found_again(
    network: Network, box: ObjectModel, left: Observation
) -> None:
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    (found,) = pipeline.process(_frame(left), [_region(left)])
    assert (found.id, found.model, found.tracking_state) == ("box_1", "box", TrackingState.TRACKED)
    _assert_right(found, LEFT, box)
    # It moves by a centimetre: the same object, without a mask.
    later = LEFT.copy()
    later[0, 3] += 0.01
    (followed,) = pipeline.process(_frame(photograph(RaycastingRenderer(box.surface), later), 0.033), [])
    assert (followed.id, followed.tracking_state) == ("box_1", TrackingState.TRACKED)
    _assert_right(followed, later, box)
    # It is gone: predicted, less and less certain, then lost once, then not there.
    (first,) = pipeline.process(_frame(WALL, 0.1), [])
    (second,) = pipeline.process(_frame(WALL, 0.6), [])
    assert first.id == second.id == "box_1"
    assert first.tracking_state is second.tracking_state is TrackingState.PREDICTED
    assert 0 < second.score < first.score < followed.score
    assert np.trace(second.covariance) > np.trace(first.covariance) > np.trace(followed.covariance)
    (gone,) = pipeline.process(_frame(WALL, 2.0), [])
    assert gone.tracking_state is TrackingState.LOST
    assert pipeline.process(_frame(WALL, 2.1), []) == []
    # What comes back later is another object for all that is known.
    (again,) = pipeline.process(_frame(left, 2.2), [_region(left)])
    assert again.id == "box_2"
    # Time that goes back is another recording.
    lost, anew = pipeline.process(_frame(left, 0.0), [_region(left)])
    assert (lost.id, lost.tracking_state) == ("box_2", TrackingState.LOST)
    assert (anew.id, anew.tracking_state) == ("box_3", TrackingState.TRACKED)


def test_useless_masks_find_nothing_and_raise_nothing(network: Network, box: ObjectModel, left: Observation) -> None:
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    nothing = ObjectRegion(np.zeros(SIZE, np.bool_), "box")
    assert pipeline.process(_frame(left), [nothing]) == []
    few = np.zeros(SIZE, np.bool_)
    few[200:203, 200:203] = True
    assert pipeline.process(_frame(left), [ObjectRegion(few, "box")]) == []
    # A mask of everything tells nothing: what is claimed in spite of it is right.
    found = pipeline.process(_frame(left), [ObjectRegion(np.ones(SIZE, np.bool_), "box")])
    error = [np.linalg.norm((one.camera_from_object - LEFT)[:3, 3]) for one in found if one.score > 0.5]
    assert len(found) <= 1
    assert all(value < 0.1 * box.diameter for value in error)


def test_what_was_just_lost_is_found_in_the_first_frame_that_shows_it(
    network: Network, box: ObjectModel, left: Observation
) -> None:
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    (found,) = pipeline.process(_frame(left))
    assert found.tracking_state is TrackingState.TRACKED
    states = [[one.tracking_state for one in pipeline.process(_frame(WALL, 0.1 * i))] for i in range(1, 15)]
    assert states[0] == [TrackingState.PREDICTED]
    assert [TrackingState.LOST] in states
    assert states[-1] == []
    (again,) = pipeline.process(_frame(left, 1.5))
    _assert_right(again, LEFT, box)


def test_recording_that_starts_anew_is_searched_at_once(network: Network, box: ObjectModel, left: Observation) -> None:
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    assert pipeline.process(_frame(WALL, 100.0)) == []
    (found,) = pipeline.process(_frame(left, 0.0))
    _assert_right(found, LEFT, box)


def test_input_that_does_not_fit_is_refused(network: Network, box: ObjectModel, left: Observation) -> None:
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    with pytest.raises(InvalidInputError, match="mask has shape"):
        pipeline.process(_frame(left), [ObjectRegion(np.ones((20, 30), np.bool_), "box")])
    with pytest.raises(InvalidInputError, match="known are box"):
        pipeline.process(_frame(left), [_region(left, "cup")])
    with pytest.raises(InvalidInputError, match="need depth"):
        pipeline.process(RgbdFrame(left.image, None, CAMERA))
    with pytest.raises(InvalidInputError, match="bool"):
        ObjectRegion(np.ones(SIZE, np.uint8))
    with pytest.raises(ConfigurationError, match="different names"):
        ObjectPipeline([box, box], None, network)
    with pytest.raises(ConfigurationError, match="none"):
        ObjectPipeline([], None, network)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_object_without_depth_is_not_claimed(
    network: Network, box: ObjectModel, left: Observation, nothing: float
) -> None:
    depth = np.where(left.depth < 0.9, np.float32(nothing), left.depth)
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu"), network)
    region = _region(left)
    found = pipeline.process(_frame(Observation(left.image, depth, INTRINSICS)), [region])
    assert all(one.score < 0.5 for one in found)


def test_object_that_is_not_there_is_not_claimed(network: Network, ball: ObjectModel, left: Observation) -> None:
    # A box stands there, and a ball is looked for: in its mask, and everywhere.
    pipeline = ObjectPipeline([ball], ObjectPipelineConfig(device="cpu"), network)
    assert pipeline.process(_frame(left), [_region(left, "ball")]) == []
    assert pipeline.process(_frame(left, 0.1)) == []


def test_noise_of_a_wall_is_no_object(network: Network, ball: ObjectModel) -> None:
    # A third of the wall is farther from it than a plane may be wrong, in one corner.
    slab = make_model(trimesh.creation.box((0.2, 0.09, 0.09)), "slab")
    depth = np.full(SIZE, 0.75, np.float32)
    noise = np.random.default_rng(0).normal(0, 0.006, (160, 260)).astype(np.float32)
    depth[:160, 380:] += noise
    wall = Observation(np.full((*SIZE, 3), (20, 60, 70), np.uint8), depth, INTRINSICS)
    config = ObjectPipelineConfig(device="cpu", searches=0, tracking=ObjectTrackingConfig(found=0.0))
    assert ObjectPipeline([slab, ball], config, network).process(_frame(wall)) == []


def test_small_thing_far_away_is_found_without_a_mask(network: Network) -> None:
    die = make_model(painted_box((0.034, 0.026, 0.02)), "die")
    far = _pose(0.1)
    far[2, 3] = 1.4
    seen = photograph(RaycastingRenderer(die.surface), far, wall_m=1.9)
    assert np.count_nonzero(seen.depth < 1.7) < 270  # 9 pixels make one sample
    (found,) = ObjectPipeline([die], ObjectPipelineConfig(device="cpu"), network).process(_frame(seen))
    assert np.linalg.norm(found.camera_from_object[:3, 3] - far[:3, 3]) < 0.1 * die.diameter


def test_two_objects_of_one_model_keep_their_names(network: Network, box: ObjectModel) -> None:
    renderer = RaycastingRenderer(box.surface)
    one, other = photograph(renderer, LEFT), photograph(renderer, RIGHT)
    behind = other.depth < 0.9
    both = Observation(
        np.where(behind[..., None], other.image, one.image), np.where(behind, other.depth, one.depth), INTRINSICS
    )
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu", instances=2), network)
    regions = [_region(one), _region(other)]
    first = {pose.id: pose for pose in pipeline.process(_frame(both), regions)}
    second = {pose.id: pose for pose in pipeline.process(_frame(both, 0.033), regions)}
    assert set(first) == set(second) == {"box_1", "box_2"}
    at_left = min(first, key=lambda name: first[name].camera_from_object[0, 3])
    for found in (first, second):
        for name, pose in found.items():
            _assert_right(pose, LEFT if name == at_left else RIGHT, box)


def test_all_objects_of_one_model_are_found_in_one_image(network: Network, box: ObjectModel) -> None:
    renderer = RaycastingRenderer(box.surface)
    poses = [_pose(x, (0.6 - 0.1 * k, 0.9, 0.2 + 0.2 * k)) for k, x in enumerate((-0.24, -0.08, 0.08, 0.24))]
    seen = photograph(renderer, poses[0])
    for pose in poses[1:]:
        other = photograph(renderer, pose)
        there = other.depth < 0.9
        image = np.where(there[..., None], other.image, seen.image)
        seen = Observation(image, np.where(there, other.depth, seen.depth), INTRINSICS)
    config = ObjectPipelineConfig(device="cpu", instances=4, searches=0)
    found = ObjectPipeline([box], config, network).process(_frame(seen))
    assert len(found) == 4
    for one, pose in zip(sorted(found, key=lambda one: one.camera_from_object[0, 3]), poses, strict=True):
        _assert_right(one, pose, box)


def test_box_behind_another_stays_until_both_are_one(network: Network, box: ObjectModel) -> None:
    # One box passes before the other, hides it, and moves back to where that was: only one track may keep it.
    renderer = RaycastingRenderer(box.surface)
    pipeline = ObjectPipeline([box], ObjectPipelineConfig(device="cpu", instances=2, pause_s=60.0), network)
    stays, states = photograph(renderer, LEFT), []
    across = [(x, 0.48) for x in np.linspace(0.1, -0.12, 16)]
    for index, (x, z) in enumerate([*across, *((-0.12, z) for z in np.linspace(0.49, 0.6, 8))]):
        pose = _pose(x)
        pose[2, 3] = z
        moves = photograph(renderer, pose)
        nearer = moves.depth < stays.depth
        image = np.where(nearer[..., None], moves.image, stays.image)
        both = Observation(image, np.minimum(moves.depth, stays.depth), INTRINSICS)
        found = pipeline.process(_frame(both, 0.033 * index), [_region(stays), _region(moves)] if index == 0 else None)
        states.append({result.id: result.tracking_state for result in found})
    # Half of the one behind is hidden in the eleventh image.
    assert all(set(now.values()) == {TrackingState.TRACKED} and len(now) == 2 for now in states[:12])
    assert any(now.get("box_1") is TrackingState.LOST for now in states)
    assert states[-1] == {"box_2": TrackingState.TRACKED}


def test_region_without_a_name_gets_the_model_that_fits(
    network: Network, box: ObjectModel, ball: ObjectModel, left: Observation
) -> None:
    pipeline = ObjectPipeline([ball, box], ObjectPipelineConfig(device="cpu", searches=0), network)
    (found,) = pipeline.process(_frame(left), [_region(left, None)])
    assert found.model == "box"
    _assert_right(found, LEFT, box)
