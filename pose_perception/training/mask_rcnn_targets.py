"""What the light Keypoint R-CNN learns from: pictures on a canvas of fixed size, and torchvision's targets for them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_perception.recording.images import read_color
from pose_perception.training.backgrounds import ColorImage
from pose_perception.training.crops import MIRRORED, recolored
from pose_perception.training.pictures import TrainingPicture

# The longer side of a picture over that of the canvas: logarithm of the median, and its spread.
_ZOOM, _ZOOM_SPREAD = 0.05, 0.35
# Of a person at the border of the canvas so much must be left, px and share of the box.
_LEAST_SIDE, _LEAST_SHARE = 8.0, 0.25


class Example(NamedTuple):
    """A picture on its canvas.

    Attributes:
        color: RGB with shape (S, S, 3).
        target: `boxes`, `labels`, `keypoints` and, where they are known, `masks`; see `LightKeypointRcnn.losses`.
    """

    color: ColorImage
    target: dict[str, Tensor]


def read_coco(annotations: Path, images: Path) -> list[TrainingPicture]:
    """Return pictures with COCO's labels; people without labelled keypoints have NaN there, crowds are left out.

    Args:
        annotations: Labels in COCO's format for person keypoints, with outlines.
        images: Folder of the pictures.
    """
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO(str(annotations))
    return [_coco_picture(labels, image, images) for image in labels.loadImgs(labels.getImgIds())]


def _coco_picture(labels: object, image: dict, folder: Path) -> TrainingPicture:
    people = [a for a in labels.loadAnns(labels.getAnnIds(imgIds=image["id"])) if not a["iscrowd"]]
    instances = np.zeros((image["height"], image["width"]), np.uint8)
    for i, person in enumerate(people):
        instances[labels.annToMask(person) > 0] = i + 1
    points = np.array([person["keypoints"] for person in people], np.float32).reshape(-1, 17, 3)
    boxes = np.array([person["bbox"] for person in people], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    keypoints = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    return TrainingPicture(read_color(folder / image["file_name"]), instances, keypoints, points[..., 2] == 2, boxes)


def random_example(picture: TrainingPicture, side: int, rng: np.random.Generator) -> Example:
    """Put a picture on a square canvas: zoomed, moved, mirrored and recoloured at random.

    Args:
        picture: The picture.
        side: Of the canvas, px; black where there is no picture.
        rng: Source of the choice.
    """
    height, width = picture.color.shape[:2]
    scale = side / max(height, width) * np.exp(rng.normal(_ZOOM, _ZOOM_SPREAD))
    size = scale * np.array([width, height])
    # Somebody stays in view when the picture is larger than the canvas.
    low, high = np.minimum(side - size, 0), np.maximum(side - size, 0)
    shift = rng.uniform(low, high)
    if len(picture.boxes):
        box = picture.boxes[rng.integers(len(picture.boxes))]
        wanted = side * rng.uniform(0.3, 0.7, 2) - scale * (box[:2] + box[2:]) / 2
        shift = np.clip(wanted, low, high)
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        warp[0] = [-scale, 0, side - shift[0]]
    # Keypoints are counted from the middle of the first pixel; boxes, and all coordinates below, from its corner.
    centers = warp.copy()
    centers[:, 2] += warp[:, :2].sum(axis=1) / 2 - 0.5
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    color = cv2.warpAffine(picture.color, centers, (side, side), flags=method)
    return Example(recolored(color, rng), _target(picture, warp, centers, side, mirrored))


def _target(
    picture: TrainingPicture, warp: np.ndarray, centers: np.ndarray, side: int, mirrored: bool
) -> dict[str, Tensor]:
    corners = picture.boxes.reshape(-1, 2, 2) @ warp[:, :2].T + warp[:, 2]
    whole = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    boxes = np.clip(whole, 0, side)
    left = boxes[:, 2:] - boxes[:, :2]
    share = left.prod(axis=1) / np.maximum((whole[:, 2:] - whole[:, :2]).prod(axis=1), 1e-6)
    kept = (left.min(axis=1, initial=np.inf) >= _LEAST_SIDE) & (share >= _LEAST_SHARE)
    points = (picture.keypoints + 0.5) @ warp[:, :2].T + warp[:, 2]
    if mirrored:
        points = points[:, MIRRORED]
    inside = ((points >= boxes[:, None, :2]) & (points < boxes[:, None, 2:])).all(axis=2)
    keypoints = np.concatenate([np.where(inside[..., None], points, 0), inside[..., None]], axis=2)
    target = {
        "boxes": torch.from_numpy(boxes[kept].astype(np.float32)),
        "labels": torch.ones(int(kept.sum()), dtype=torch.int64),
        "keypoints": torch.from_numpy(keypoints[kept].astype(np.float32)),
    }
    if picture.instances is not None:
        instances = cv2.warpAffine(picture.instances, centers, (side, side), flags=cv2.INTER_NEAREST)
        masks = instances == (np.flatnonzero(kept) + 1)[:, None, None]
        target["masks"] = torch.from_numpy(masks.astype(np.uint8))
    return target
