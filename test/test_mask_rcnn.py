"""Tests for the estimator mask-rcnn: decoding, strict loading, which network is used, and the light one on people."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models.detection import keypointrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

from pose_perception.datatypes import RgbdFrame
from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.evaluation.coco import evaluate_coco
from pose_perception.geometry.camera import project
from pose_perception.human.estimators import mask_rcnn
from pose_perception.human.estimators.base import EstimationConfig, find_each_once
from pose_perception.human.estimators.mask_rcnn import MaskRcnnEstimator
from pose_perception.human.estimators.mask_rcnn_networks import PUBLISHED, LightRunner, choose_network
from pose_perception.human.similarity import box_overlap
from pose_perception.networks.architectures.keypoint_heatmaps import decode_heatmaps
from pose_perception.networks.architectures.keypoint_rcnn import read_light, read_published
from pose_perception.networks.weights import find_weights
from pose_perception.simulation.sequence import SimulatedSequence

_NOBODY = np.empty((0, 4))
_SIDE = 56
# Two who overlap, a tiny one, a huge one, one across the border of the image.
_BOXES = torch.tensor(
    [[100.0, 50, 220, 400], [150, 60, 300, 390], [10, 10, 21, 30], [0, 0, 900, 1400], [-20.5, 3, 60.25, 99]]
)


def _maps(points: Tensor, sharpness: float) -> Tensor:
    """Logits that are highest at points (P, K, 2) given in cells from the corner of the map."""
    centers = torch.arange(_SIDE) + 0.5
    dx, dy = centers - points[..., :1], centers - points[..., 1:]
    return -sharpness * (dx[:, :, None, :] ** 2 + dy[:, :, :, None] ** 2)


@pytest.fixture(scope="module")
def layout() -> dict[str, Tensor]:
    """Tensors of the right names and shapes that take no space in a file."""
    network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    return {name: torch.ones(()).expand(value.shape) for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def light() -> MaskRcnnEstimator:
    """The estimator of somebody who has not fetched the published network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_rcnn, "choose_network", lambda device, _: LightRunner(device))
        return MaskRcnnEstimator("cpu")


@pytest.mark.parametrize("sharpness", [0.05, 0.5, 5.0])
def test_maps_made_from_true_keypoints_decode_to_them(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((len(_BOXES), 17, 2), generator=generator) * (_SIDE - 2) + 1
    cell = (_BOXES[:, 2:] - _BOXES[:, :2]) / _SIDE

    pixels, scores = decode_heatmaps(_maps(points, sharpness), _BOXES)

    error = (pixels - (_BOXES[:, None, :2] + points * cell[:, None])) / cell[:, None]
    assert error.abs().max() <= 0.5
    assert ((scores > 0) & (scores <= 1.0001)).all()


def test_decoding_agrees_with_torchvision() -> None:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn((len(_BOXES), 17, 14, 14), generator=generator)
    points = torch.rand((len(_BOXES), 17, 2), generator=generator) * 50 + 3
    maps = torch.nn.functional.interpolate(noise, size=_SIDE, mode="bilinear") + _maps(points, 0.3)

    pixels, _ = decode_heatmaps(maps, _BOXES)
    expected, _ = heatmaps_to_keypoints(maps, _BOXES)

    # torchvision looks at whole pixels only, here the steps are parts of a cell.
    limit = 1 + (_BOXES[:, 2:] - _BOXES[:, :2]) / _SIDE / 8
    assert ((pixels - expected[..., :2]).abs() <= limit[:, None]).all()


def test_score_tells_a_sharp_map_from_a_flat_one() -> None:
    points = torch.full((1, 17, 2), 28.0)

    sharp, broad, flat = (float(decode_heatmaps(_maps(points, s), _BOXES[:1])[1].mean()) for s in (1.0, 0.01, 0.0))

    assert sharp > 0.99 > broad > flat
    assert flat < 0.03  # the share of the window in the map


def test_checkpoint_of_the_right_layout_is_loaded(layout: dict[str, Tensor], tmp_path: Path) -> None:
    marked = {**layout, "rpn.head.cls_logits.bias": torch.tensor([1.0, 2.0, 3.0])}
    torch.save(marked, tmp_path / "network.pth")

    network = read_published(str(tmp_path / "network.pth"))

    assert network.state_dict()["rpn.head.cls_logits.bias"].tolist() == [1.0, 2.0, 3.0]
    assert not network.training


def test_names_of_older_torchvision_are_understood(layout: dict[str, Tensor], tmp_path: Path) -> None:
    older = {
        re.sub(r"(fpn\.\w+_blocks\.\d)\.0|(rpn\.head\.conv)\.0\.0", lambda match: match[1] or match[2], name): value
        for name, value in layout.items()
        if not name.endswith("num_batches_tracked")
    }
    assert "rpn.head.conv.weight" in older
    assert "backbone.fpn.inner_blocks.0.weight" in older
    torch.save(older, tmp_path / "network.pth")

    network = read_published(str(tmp_path / "network.pth"))

    assert all((value == 1).all() for value in network.state_dict().values())


def _without(layout: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in layout.items() if name != "rpn.head.cls_logits.bias"}


def _renamed(layout: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in layout.items()}


def _misshaped(layout: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**layout, "rpn.head.cls_logits.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, r'Missing key.*"rpn.head.cls_logits.bias"'),
        (_renamed, r'Unexpected key.*"module.backbone'),
        (_misshaped, r"size mismatch for rpn.head.cls_logits.bias.*\[4\].*\[3\]"),
        (lambda layout: {"epoch": 3, "model": dict(layout)}, "one tensor for each name"),  # a training checkpoint
    ],
)
def test_checkpoint_of_another_network_is_refused(
    layout: dict[str, Tensor], change: Callable[[dict[str, Tensor]], dict], message: str, tmp_path: Path
) -> None:
    torch.save(change(layout), tmp_path / "network.pth")

    with pytest.raises(WeightsError, match=message):
        MaskRcnnEstimator("cpu", EstimationConfig(network_file=str(tmp_path / "network.pth")))


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_checkpoint_executes_nothing(tmp_path: Path) -> None:
    (tmp_path / "network.pth").write_bytes(pickle.dumps(_Malicious(tmp_path / "executed")))

    with pytest.raises(WeightsError, match=r"network\.pth"):
        read_published(str(tmp_path / "network.pth"))
    assert not (tmp_path / "executed").exists()


def test_missing_checkpoint_is_named() -> None:
    with pytest.raises(WeightsError, match=r"there_is_none\.pth"):
        read_published("there_is_none.pth")


def test_checkpoint_runs_at_given_boxes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).half()
    torch.save(network.state_dict(), tmp_path / "network.pth")
    estimator = MaskRcnnEstimator("cpu", EstimationConfig(network_file=str(tmp_path / "network.pth")))
    color = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    boxes = np.array([[5.0, 5, 40, 55], [20, 2, 55, 28]])

    people = estimator.estimate(color, boxes, find=False)

    assert np.allclose(people.boxes, boxes)
    inside = (people.pixels > boxes[:, None, :2] - 1) & (people.pixels < boxes[:, None, 2:] + 1)
    assert inside.all()
    with pytest.raises(ConfigurationError, match="mask"):
        estimator.detect(color, boxes, masks=True)


def test_without_the_published_weights_a_warning_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path))

    with pytest.warns(UserWarning, match=f"light one is used.*weights fetch {PUBLISHED}"):
        assert isinstance(choose_network("cpu"), LightRunner)
    with pytest.raises(WeightsError, match=f"weights fetch {PUBLISHED}"):
        find_weights(PUBLISHED).read()


def test_altered_published_weights_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path))
    published = find_weights(PUBLISHED)
    path = published.cached_path(published.files[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of the file")

    with pytest.raises(WeightsError, match="altered"):
        choose_network("cpu")


def test_light_network_finds_simulated_people(
    light: MaskRcnnEstimator, simulated: SimulatedSequence, simulated_frames: list[RgbdFrame]
) -> None:
    names = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "hip", "knee")]
    ours = [light.topology.index[name] for name in names]
    theirs = [simulated.keypoint_names.index(name) for name in names]
    overlaps, errors = [], []
    for t in (0, 20, 40):
        detections = light.detect(simulated_frames[t].color, _NOBODY, masks=True)
        truth = project(simulated.positions[t].astype(float)[:, theirs], simulated.camera)
        for i, pixels in enumerate(truth):
            mask = simulated.instances[t] == i + 1
            shared = (detections.masks & mask).sum(axis=(1, 2)) / (detections.masks | mask).sum(axis=(1, 2))
            overlaps.append(shared.max(initial=0))
            height = np.ptp(np.flatnonzero(mask.any(axis=1)))
            distance = np.linalg.norm(detections.people.pixels[shared.argmax(), ours] - pixels, axis=1)
            errors.append(np.median(distance) / height)

    assert min(overlaps) > 0.5
    assert np.median(errors) < 0.05


def test_light_network_finds_real_people(light: MaskRcnnEstimator, shared_data: Path) -> None:
    coco = shared_data / "coco_keypoints"

    figures = evaluate_coco(
        lambda color: find_each_once(light, color),
        coco / "annotations" / "person_keypoints_val2017_4.json",
        coco / "images" / "val2017",
    )

    assert figures.ap50 > 0.6


def test_known_people_keep_their_boxes(light: MaskRcnnEstimator, simulated_frames: list[RgbdFrame]) -> None:
    color = simulated_frames[0].color
    found = light.estimate(color, _NOBODY, find=True)
    known = found.boxes[found.person_scores.argsort()[::-1][:2]]

    tracked = light.estimate(color, known, find=False)
    both = light.estimate(color, known, find=True)

    assert np.allclose(tracked.boxes, known, atol=1)
    assert np.allclose(both.boxes[:2], known, atol=1)
    assert (box_overlap(both.boxes[2:], known) < 0.6).all()


@pytest.mark.parametrize("shape", [(16, 16), (3000, 4000), (1, 1)])
def test_images_of_any_size_with_nobody(light: MaskRcnnEstimator, shape: tuple[int, int]) -> None:
    color = np.full((*shape, 3), 90, np.uint8)

    detections = light.detect(color, _NOBODY, masks=True)

    assert (detections.people.person_scores < 0.3).all()
    assert detections.masks.shape[1:] == shape
    assert len(light.estimate(color, _NOBODY, find=False)) == 0


def test_light_weights_of_another_layout_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"Missing key.*fpn"):
        read_light(save({"weight": torch.zeros(3)}))
