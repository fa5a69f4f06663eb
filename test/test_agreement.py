"""Tests for human/estimators/agreement.py."""

from __future__ import annotations

import numpy as np
import pytest

from pose_perception.human.estimators.agreement import joint_sigmas, keypoint_sigmas, pixels_per_metre


def test_surer_keypoints_are_less_uncertain() -> None:
    sigmas = keypoint_sigmas(np.linspace(0.2, 1.0, 50))
    assert (np.diff(sigmas) <= 0).all()
    assert sigmas[0] > 4 * sigmas[-1] > 0


def test_networks_that_contradict_each_other_make_a_sure_joint_uncertain() -> None:
    score, visible = np.array([0.9]), np.array([1.0])
    agreeing, apart, far = (joint_sigmas(score, np.array([d]), visible)[0] for d in (0.01, 0.15, 0.5))
    assert agreeing == pytest.approx(keypoint_sigmas(score)[0])
    assert apart > 3 * agreeing
    assert far > 2 * apart


def test_a_joint_that_the_other_network_takes_for_hidden_is_uncertain() -> None:
    seen, hidden = (joint_sigmas(np.array([0.9]), np.array([0.01]), np.array([v]))[0] for v in (0.99, 0.2))
    assert hidden > 0.1 > seen


def test_without_a_second_network_the_score_decides() -> None:
    scores = np.array([0.3, 0.9])
    assert np.array_equal(joint_sigmas(scores, np.full(2, np.nan), np.zeros(2)), keypoint_sigmas(scores))


def test_scale_is_that_of_the_projection() -> None:
    rng = np.random.default_rng(1)
    world = rng.normal(size=(2, 33, 3))
    pixels = 240.0 * world[..., :2] + [300, 200]
    scores = np.full((2, 33), 0.9)
    pixels[0, 3], scores[0, 3] = 1e4, 0.1  # a joint that nobody is sure of
    scores[1, 2:] = 0.0  # a person of whom two joints are seen
    scale = pixels_per_metre(pixels, world, scores, 0.2)
    assert scale[0] == pytest.approx(240.0)
    assert np.isnan(scale[1])
