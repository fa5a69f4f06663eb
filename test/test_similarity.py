"""Tests for human/similarity.py."""

import numpy as np
import pytest

from pose_perception.datatypes import PoseEstimates
from pose_perception.human.similarity import COCO_SIGMAS, box_overlap, keypoint_similarity, suppress_duplicates


def _people(pixels: np.ndarray, scores: list[float] | None = None) -> PoseEstimates:
    n = len(pixels)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    person = np.array(scores if scores is not None else [0.5] * n)
    return PoseEstimates(pixels, np.full((n, 17), 0.9), boxes, person, np.full((n, 17, 3), np.nan))


_BODY = np.random.default_rng(3).uniform(0, 200, (17, 2))


def test_similarity_equals_coco_evaluation() -> None:
    from pycocotools.cocoeval import COCOeval

    assert np.allclose(COCO_SIGMAS, COCOeval(iouType="keypoints").params.kpt_oks_sigmas)
    moved = _BODY + 7.0
    area = np.prod(np.ptp(_BODY, axis=0))
    expected = np.exp(-(2 * 7.0**2) / (2 * area * (2 * COCO_SIGMAS) ** 2)).mean()
    assert keypoint_similarity(_people(_BODY[None]), _people(moved[None]), 0.3)[0, 0] == pytest.approx(expected)


def test_few_shared_keypoints_say_nothing() -> None:
    person = _people(_BODY[None])
    person.scores[0, 2:] = 0.0
    assert keypoint_similarity(person, person, 0.3)[0, 0] == 0


def test_duplicates_go_and_neighbours_stay() -> None:
    people = _people(np.stack([_BODY + 2.0, _BODY, _BODY + 300.0]), scores=[0.4, 0.8, 0.3])
    assert suppress_duplicates(people, 0.3, 0.5).tolist() == [1, 2]
    assert suppress_duplicates(people.select([]), 0.3, 0.5).tolist() == []


def test_box_overlap_of_half_shifted_boxes_is_a_third() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [5.0, 5, 6, 6]])
    assert np.allclose(box_overlap(boxes[:1], boxes), [[1, 1 / 3, 0]])
