"""Tests for imitation/promp.py and imitation/dmp.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.dmp import learn_dmp
from pose_perception.imitation.promp import Promp, PrompConfig, basis, learn_promp


def _reach(count: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a motion of least jerk (Flash and Hogan, 1985)."""
    t = np.linspace(0, 1, count)[:, None]
    return start + (end - start) * (10 * t**3 - 15 * t**4 + 6 * t**5)


@pytest.fixture
def motions() -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [
        _reach(count, generator.normal(size=3), np.array([1.0, 2.0, 3.0]) + 0.01 * generator.normal(size=3))
        for count in (60, 75, 90, 80, 66)
    ]


def test_basis_functions_sum_to_one() -> None:
    np.testing.assert_allclose(basis(np.linspace(0, 1, 50), 12).sum(axis=1), 1.0)


def test_the_mean_is_that_of_the_demonstrations(motions: list[np.ndarray]) -> None:
    phases = np.linspace(0, 1, 200)
    own = [np.stack([np.interp(phases, np.linspace(0, 1, len(m)), c) for c in m.T], axis=1) for m in motions]
    promp = learn_promp(motions, PrompConfig(prior=0.0))
    np.testing.assert_allclose(promp.motion(phases), np.mean(own, axis=0), atol=5e-3)
    variance = np.einsum("sii->si", promp.spread(phases))
    np.testing.assert_allclose(variance, np.var(own, axis=0, ddof=1), atol=0.02)


def test_conditioning_is_that_of_a_joint_gaussian() -> None:
    # All of the motion at once, by the textbook formula of conditional Gaussians (Bishop, 2006, section 2.3.1).
    generator = np.random.default_rng(2)
    count, dimensions, phase = 6, 2, 0.35
    root = generator.normal(size=(count * dimensions, count * dimensions))
    promp = Promp(generator.normal(size=count * dimensions), root @ root.T, dimensions)
    phases = np.array([0.0, 0.2, 0.35, 0.6, 1.0])
    phi = np.kron(basis(phases, count), np.eye(dimensions))
    noise, point = np.diag([0.3, 0.7]), np.array([0.5, -1.0])
    seen = slice(4, 6)
    mean, covariance = phi @ promp.mean, phi @ promp.covariance @ phi.T
    inverse = np.linalg.inv(covariance[seen, seen] + noise)
    wanted_mean = mean + covariance[:, seen] @ inverse @ (point - mean[seen])
    wanted_covariance = covariance - covariance[:, seen] @ inverse @ covariance[seen]
    after = promp.condition(phase, point, noise)
    np.testing.assert_allclose(after.motion(phases).ravel(), wanted_mean, rtol=1e-6, atol=1e-6)
    for i, block in enumerate(after.spread(phases)):
        own = slice(2 * i, 2 * i + 2)
        np.testing.assert_allclose(block, wanted_covariance[own, own], rtol=1e-5, atol=1e-5)


def test_conditioning_obeys_the_rule_of_bayes() -> None:
    # p(w | y) p(y) = p(y | w) p(w) at any w, with the densities of SciPy.
    generator = np.random.default_rng(3)
    count, dimensions, phase = 5, 2, 0.6
    root = generator.normal(size=(10, 10))
    promp = Promp(generator.normal(size=10), root @ root.T + np.eye(10), dimensions)
    noise, point = np.diag([0.2, 0.4]), np.array([1.0, 0.3])
    rows = np.kron(basis(np.array([phase]), count), np.eye(dimensions))
    after = promp.condition(phase, point, noise)
    evidence = multivariate_normal(rows @ promp.mean, rows @ promp.covariance @ rows.T + noise).logpdf(point)
    for _ in range(5):
        w = generator.normal(size=10)
        prior = multivariate_normal(promp.mean, promp.covariance).logpdf(w)
        likelihood = multivariate_normal(rows @ w, noise).logpdf(point)
        posterior = multivariate_normal(after.mean, after.covariance).logpdf(w)
        assert posterior + evidence == pytest.approx(prior + likelihood, rel=1e-6)


def test_motions_pass_where_they_shall_and_still_end_where_all_did(motions: list[np.ndarray]) -> None:
    promp = learn_promp(motions, PrompConfig())
    start, via = np.array([3.0, -2.0, 1.0]), np.array([1.0, 1.0, 1.0])
    exactly = 1e-8 * np.eye(3)
    end = promp.motion(np.array([1.0]))[0]
    after = promp.condition(1.0, end, exactly).condition(0.0, start, exactly).condition(0.5, via, exactly)
    found = after.motion(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(found, [start, via, end], atol=1e-3)
    assert np.einsum("sii->si", after.spread(np.array([0.0, 0.5, 1.0]))).max() < 1e-5


def test_another_start_is_left_smoothly(motions: list[np.ndarray]) -> None:
    promp = learn_promp(motions[:2], PrompConfig())
    phases = np.linspace(0, 1, 101)
    start = np.array([0.0, 5.0, -4.0])
    path = promp.condition(1.0, promp.motion(np.array([1.0]))[0], 1e-8 * np.eye(3)).condition(
        0.0, start, 1e-8 * np.eye(3)
    )
    speed = np.linalg.norm(np.diff(path.motion(phases), axis=0), axis=1) / 0.01
    way = np.linalg.norm(path.motion(np.array([1.0]))[0] - start)
    # A motion of least jerk has a largest speed of 1.875 ways; one that jumps back at once many more.
    assert speed.max() < 3 * way


def test_motions_that_do_not_fit_are_refused(motions: list[np.ndarray]) -> None:
    for wrong in ([], [motions[0], motions[1][:, :2]], [motions[0][:1]], [motions[0][:, 0]]):
        with pytest.raises(InvalidInputError):
            learn_promp(wrong, PrompConfig())
    promp = learn_promp(motions, PrompConfig())
    for phase, point in ((1.5, np.zeros(3)), (0.5, np.zeros(2)), (0.5, np.full(3, np.nan))):
        with pytest.raises(InvalidInputError):
            promp.condition(phase, point, np.eye(3))


def test_a_primitive_of_one_motion_repeats_it() -> None:
    motion = _reach(200, np.array([0.2, -1.0]), np.array([1.0, 0.5]))
    motion[:, 0] += 0.2 * np.sin(np.pi * np.linspace(0, 1, 200)) ** 3
    dmp = learn_dmp(np.linspace(3.0, 5.0, 200), motion)
    times, again = dmp.motion(200)
    np.testing.assert_allclose(again, motion, atol=5e-3)
    assert times[-1] == pytest.approx(2.0)
    np.testing.assert_allclose(again[-1], motion[-1], atol=2e-3)


def test_a_primitive_reaches_other_goals_in_another_time() -> None:
    motion = _reach(200, np.zeros(2), np.array([1.0, 0.5]))
    dmp = learn_dmp(np.linspace(0.0, 2.0, 200), motion)
    # The goal may be the start: the forcing term is not scaled by the way.
    for start, goal in (([0.0, 0.0], [2.0, -1.0]), ([0.3, 0.1], [0.3, 0.1])):
        times, path = dmp.motion(50, np.array(start), np.array(goal), 4.0)
        assert times[-1] == 4.0
        np.testing.assert_allclose(path[[0, -1]], [start, goal], atol=0.03)
    with pytest.raises(InvalidInputError):
        dmp.motion(50, np.zeros(3))
    with pytest.raises(InvalidInputError):
        learn_dmp(np.arange(3.0), motion[:3])
