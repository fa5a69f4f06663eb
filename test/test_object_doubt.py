"""Tests for what a search leaves open: told while an object is followed, and settled once more of it is seen."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import INTRINSICS, SIZE, photograph

from pose_perception.datatypes import CameraIntrinsics, RgbdFrame
from pose_perception.evaluation.tabletop import compare_poses
from pose_perception.networks.runtime import Network, load_network
from pose_perception.objects.crops import Observation
from pose_perception.objects.datatypes import ObjectPose, ObjectRegion
from pose_perception.objects.model import ObjectModel, make_model
from pose_perception.objects.pipeline import ObjectPipeline, ObjectPipelineConfig
from pose_perception.objects.raycasting import RaycastingRenderer

CAMERA = CameraIntrinsics(SIZE[1], SIZE[0], *INTRINSICS)


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("pose_matcher", "cpu", "fast")


@pytest.fixture(scope="module")
def cup() -> ObjectModel:
    handle = trimesh.creation.box((0.03, 0.012, 0.05), np.array([[1, 0, 0, 0.055], *np.eye(4)[1:]]))
    mesh = trimesh.util.concatenate([trimesh.creation.cylinder(0.04, 0.1, sections=64), handle])
    mesh.visual.face_colors = np.tile([60, 90, 160, 255], (len(mesh.faces), 1))
    return make_model(mesh, "cup")


def _standing(angle: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("zx", [angle, 100], degrees=True).as_matrix()
    pose[:3, 3] = [0, 0.02, 0.6]
    return pose


def _followed(pipeline: ObjectPipeline, seen: Observation, index: int, period_s: float) -> ObjectPose:
    """What is found in a frame; the first has a mask."""
    frame = RgbdFrame(seen.image, seen.depth, CAMERA, round(period_s * index * 1e9), "camera")
    regions = [ObjectRegion((seen.depth > 0) & (seen.depth < 0.9), "cup")] if index == 0 else []
    (found,) = pipeline.process(frame, regions)
    return found


def _turn_sigma(found: ObjectPose) -> float:
    """Standard deviation of the turn about z of the object, degrees."""
    axis = found.camera_from_object[:3, 2]
    return float(np.rad2deg(np.sqrt(axis @ found.covariance[3:, 3:] @ axis)))


def test_turn_that_a_hidden_handle_left_open_is_settled_when_it_comes_into_view(
    network: Network, cup: ObjectModel
) -> None:
    pipeline = ObjectPipeline([cup], ObjectPipelineConfig(device="cpu"), network)
    renderer = RaycastingRenderer(cup.surface)
    every = []
    for index, angle in enumerate(range(90, -30, -4)):
        seen = photograph(renderer, _standing(angle))
        every.append(_followed(pipeline, seen, index, 0.1))
    assert [found.id for found in every] == 30 * ["cup_1"]
    assert every[0].score < 0.9
    assert _turn_sigma(every[0]) > 15
    assert every[-1].score > 0.95
    # Upside down it looks the same.
    assert compare_poses(cup, every[-1].camera_from_object, _standing(-26))[0] < 0.02 * cup.diameter
    assert _turn_sigma(every[-1]) < 12


def test_turn_that_a_hidden_handle_leaves_open_is_told_while_it_is_followed(network: Network, cup: ObjectModel) -> None:
    # A cup from a little above: its handle is behind it, where 35 degrees to either side hide it, or to the right.
    sigmas = {}
    for angle in (90, -20):
        pose = _standing(angle)
        seen = photograph(RaycastingRenderer(cup.surface), pose)
        pipeline = ObjectPipeline([cup], ObjectPipelineConfig(device="cpu", searches=1), network)
        sigmas[angle] = []
        for index in range(4):
            found = _followed(pipeline, seen, index, 0.033)
            assert abs(found.camera_from_object[:3, 2] @ pose[:3, 2]) > 0.99
            sigmas[angle].append(_turn_sigma(found))
    assert min(sigmas[90]) > 15
    assert max(sigmas[-20]) < 12
