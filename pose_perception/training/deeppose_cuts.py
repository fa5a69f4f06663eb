"""Crops of people and of joints from which DeepPose's regressors learn, with what is to be learnt of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray
from pose_perception.human.estimators.crops import square_crops
from pose_perception.human.estimators.deeppose import CROP_SCALE, joint_boxes, torso_sizes
from pose_perception.networks.architectures.deeppose import INPUT_SIZES
from pose_perception.training.crops import View

# Errors on pictures that are not simulated are larger than those measured on simulated ones, and vary more.
_ERROR_SCALE, _ERROR_SPREAD = 1.2, 0.4


class Cut(NamedTuple):
    """Crops before their features are known.

    Attributes:
        crops: RGB with shape (N, S, S, 3).
        targets: Positions from the middle of the crop in sides of the crop, shape (N, 17, 2).
        states: 1 where the target is to be learnt, 0 for a keypoint outside of the picture, -1 for one that does not
            matter, shape (N, 17).
        sizes: Diameter of the torso in sides of the crop, shape (N,).
    """

    crops: npt.NDArray[np.uint8]
    targets: FloatArray
    states: npt.NDArray[np.int8]
    sizes: FloatArray


def person_cut(view: View) -> Cut:
    """Cut the crop of the first stage from a view."""
    crops, squares = square_crops(view.color, view.box[None], CROP_SCALE, INPUT_SIZES[0])
    side = squares[0, 2]
    targets = (view.keypoints - squares[0, :2] - side / 2 + 0.5) / side
    states = np.where(view.counts, 1, np.where(np.isfinite(view.keypoints[:, 0]), 0, -1))
    size = _known_torso(view) / side
    return Cut(crops, np.nan_to_num(targets)[None], states[None].astype(np.int8), np.array([size]))


def joint_cut(view: View, stage: int, errors: FloatArray, rng: np.random.Generator) -> Cut:
    """Cut the crops of a later stage around places that are wrong as those of the stage before.

    Args:
        view: The person.
        stage: 1 for the second stage, 2 for the third.
        errors: Of the stage before, (M, 17, 2) in diameters of the torso; NaN where not known.
        rng: Source of the choice.
    """
    joints = np.flatnonzero(np.isfinite(view.keypoints[:, 0]) & view.counts)
    drawn = errors[rng.integers(len(errors), size=17), np.arange(17)] * _ERROR_SCALE
    drawn *= np.exp(rng.normal(0, _ERROR_SPREAD, (17, 1)))
    true_size = _known_torso(view)
    wrong = view.keypoints + true_size * np.nan_to_num(drawn)
    box_side = (view.box[2:] - view.box[:2]).max()
    known = np.isfinite(wrong).all()
    size = torso_sizes(wrong[None], np.array([box_side]))[0] if known else true_size * np.exp(rng.normal(0, 0.15))
    boxes = joint_boxes(wrong[joints], size, stage)
    crops, squares = square_crops(view.color, boxes, 1.0, INPUT_SIZES[stage])
    middle, side = squares[:, :2] + squares[:, 2:] / 2 - 0.5, squares[:, 2]
    row = np.arange(len(joints))
    targets = np.zeros((len(joints), 17, 2))
    targets[row, joints] = (view.keypoints[joints] - middle) / side[:, None]
    states = np.full((len(joints), 17), -1, np.int8)
    # What is outside of the crop cannot be found, only be told to be unreliable.
    states[row, joints] = np.abs(targets[row, joints]).max(axis=1, initial=0) < 0.5
    return Cut(crops, targets, states, true_size / side)


def _known_torso(view: View) -> float:
    """Diameter of the torso, bounded as the estimator bounds it; from the box where the torso is not known."""
    side = (view.box[2:] - view.box[:2]).max()
    if not np.isfinite(view.keypoints).all():
        known = np.where(np.isfinite(view.keypoints), view.keypoints, np.nanmean(view.keypoints, axis=0))
        return float(torso_sizes(known[None], np.array([side]))[0])
    return float(torso_sizes(view.keypoints[None], np.array([side]))[0])
