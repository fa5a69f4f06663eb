"""Tests for training/mask_rcnn.py and training/mask_rcnn_targets.py: targets fit the picture, and training resumes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_perception.human.topology import COCO_17
from pose_perception.networks.architectures.keypoint_rcnn import read_light
from pose_perception.training.mask_rcnn import Training, export
from pose_perception.training.mask_rcnn_targets import random_example, read_coco
from pose_perception.training.pictures import TrainingPicture

_LEFT, _RIGHT = COCO_17.index["left_wrist"], COCO_17.index["right_wrist"]
_CHANNELS = {"stride_4": 128, "stride_8": 192, "stride_16": 256, "stride_32": 480, "parts": 96}


def _picture(side: int = 300) -> TrainingPicture:
    """Somebody who is a disc with the left wrist in its middle, of whom the other joints are not known."""
    instances = np.zeros((side, side), np.uint8)
    cv2.circle(instances, (170, 120), 40, 1, -1)
    keypoints = np.full((1, 17, 2), np.nan, np.float32)
    keypoints[0, _LEFT] = (170, 120)
    boxes = np.array([[130, 80, 211, 161]], np.float32)
    return TrainingPicture(
        np.dstack([instances * 200] * 3), instances, keypoints, np.isfinite(keypoints[..., 0]), boxes
    )


def test_boxes_masks_and_keypoints_move_together() -> None:
    rng = np.random.default_rng(0)
    mirrored = 0
    for _ in range(20):
        target = random_example(_picture(), 128, rng).target
        rows, columns = np.nonzero(target["masks"][0].numpy())
        whole = columns.min() > 0 and columns.max() < 127 and rows.min() > 0 and rows.max() < 127
        wrist = target["keypoints"][0, [_LEFT, _RIGHT]].numpy()
        assert target["keypoints"][0, :, 2].sum() == 1
        if whole:
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert target["boxes"][0].numpy() == pytest.approx(expected, abs=1.5)
            assert wrist[wrist[:, 2] > 0, :2].ravel() == pytest.approx([columns.mean() + 0.5, rows.mean() + 0.5], abs=1)
        mirrored += int(wrist[1, 2])
    assert 0 < mirrored < 20


def test_coco_labels_become_pictures(shared_data: Path) -> None:
    coco = shared_data / "coco_keypoints"

    pictures = read_coco(coco / "annotations" / "person_keypoints_val2017_4.json", coco / "images" / "val2017")

    assert len(pictures) == 4
    assert sum(np.isfinite(picture.keypoints).any(axis=(1, 2)).sum() for picture in pictures) == 12
    for picture in pictures:
        known = np.isfinite(picture.keypoints).all(axis=2)
        assert (picture.visible <= known).all()
        assert set(np.unique(picture.instances)) == set(range(len(picture.boxes) + 1))


def test_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    torch.manual_seed(0)
    maps = {
        name: torch.rand(1, channels, *[416 // int(name.removeprefix("stride_") if "_" in name else 4)] * 2)
        for name, channels in _CHANNELS.items()
    }
    target = random_example(_picture(), 416, np.random.default_rng(1)).target
    training = Training(tmp_path, seed=3)
    losses = training.learn(maps, [target], steps=10)
    training.save()

    again = Training(tmp_path, seed=4)
    export(again, tmp_path / "weights.safetensors")

    assert all(np.isfinite(value) for value in losses.values())
    assert again.step == 1
    for name, value in training.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o044 == 0o044  # an installed file is for everyone
    light = read_light((tmp_path / "weights.safetensors").read_bytes())
    for name, value in training.average.state_dict().items():
        assert torch.allclose(light.state_dict()[name], value, atol=1e-3)
