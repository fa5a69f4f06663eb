"""Tests for training/pictures.py and what it is made of: labels must be true before anything learns from them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_perception.human.topology import COCO_17
from pose_perception.networks.weights import cache_directory
from pose_perception.simulation.people import KEYPOINTS, create_bodies
from pose_perception.training import pictures
from pose_perception.training.backgrounds import Backgrounds
from pose_perception.training.crops import random_view
from pose_perception.training.pictures import TrainingPicture, draw_pictures, read_shard, render_shard, shards
from pose_perception.training.poses import random_pose

LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]


@pytest.fixture(scope="module")
def drawn() -> list[TrainingPicture]:
    return list(draw_pictures(np.random.default_rng(1), Backgrounds(), 6))


def test_poses_differ_but_limbs_keep_their_length_and_the_body_stands_on_the_floor() -> None:
    (body,) = create_bodies(1, np.random.default_rng(0), cache_directory() / "anny")
    rng = np.random.default_rng(3)
    posed = [random_pose(body, rng) for _ in range(8)]
    points = np.stack([keypoints for _, keypoints in posed])
    for a, b in LIMBS:
        lengths = np.linalg.norm(points[:, KEYPOINTS.index(a)] - points[:, KEYPOINTS.index(b)], axis=1)
        np.testing.assert_allclose(lengths, lengths[0], atol=1e-3)
    np.testing.assert_allclose([vertices[:, 2].min() for vertices, _ in posed], 0, atol=1e-5)
    assert np.ptp(points[:, KEYPOINTS.index("left_wrist")], axis=0).min() > 0.3


def test_labels_fit_the_picture(drawn: list[TrainingPicture]) -> None:
    assert sum(len(picture.boxes) for picture in drawn) >= 6
    for picture in drawn:
        height, width = picture.color.shape[:2]
        assert picture.instances.shape == (height, width)
        for i, (keypoints, visible, box) in enumerate(
            zip(picture.keypoints, picture.visible, picture.boxes, strict=True)
        ):
            rows, columns = np.nonzero(picture.instances == i + 1)
            np.testing.assert_array_equal(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            column, row = np.rint(keypoints[visible]).astype(int).T
            assert (picture.instances[row, column] == i + 1).all()


def test_same_seed_same_pictures(drawn: list[TrainingPicture]) -> None:
    again = next(draw_pictures(np.random.default_rng(1), Backgrounds(), 1))
    np.testing.assert_array_equal(again.color, drawn[0].color)
    np.testing.assert_array_equal(again.keypoints, drawn[0].keypoints)


def test_a_shard_is_rendered_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "split_folder", lambda split: tmp_path / split)
    monkeypatch.setattr(pictures, "PICTURES", 2)
    monkeypatch.setattr(draw_pictures, "__defaults__", (2,))
    render_shard(0, "train", Backgrounds())
    (folder,) = shards("train")
    before = (folder / "labels.npz").stat().st_mtime_ns
    render_shard(0, "train", Backgrounds())
    assert (folder / "labels.npz").stat().st_mtime_ns == before
    read = list(read_shard(folder))
    assert len(read) == 2
    for picture in read:
        assert len(picture.keypoints) == len(picture.boxes) == picture.instances.max()


def test_labels_move_with_the_view() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.stack([rng.uniform(60, 240, 17), rng.uniform(60, 240, 17)], axis=1)
    left, right = (COCO_17.index[f"{side}_wrist"] for side in ("left", "right"))
    keypoints[left], keypoints[right] = (80, 150), (220, 150)
    color = np.full((300, 300, 3), 60, np.uint8)
    cv2.circle(color, (80, 150), 6, (255, 60, 60), -1)  # red: the left wrist
    cv2.circle(color, (220, 150), 6, (60, 60, 255), -1)  # blue: the right one
    picture = TrainingPicture(
        color, None, keypoints[None], np.ones((1, 17), bool), np.array([[50.0, 50.0, 250.0, 250.0]])
    )
    mirrored = 0
    for _ in range(30):
        view = random_view(picture, 0, 200, rng)
        (x, y), (u, v) = (np.rint(view.keypoints[k]).astype(int) for k in (left, right))
        a, b = view.color[y, x].astype(int), view.color[v, u].astype(int)
        hidden_or_grey = max(np.ptp(a), np.ptp(b)) < 30
        mirrored += not hidden_or_grey and (a[2] > a[0]) and (b[0] > b[2])
        assert hidden_or_grey or ((a[0] > a[2]) != (b[0] > b[2])), "each wrist is where its label is"
    # A mirrored person's left hand is the one that was the right hand, of the other colour.
    assert 5 <= mirrored <= 25
