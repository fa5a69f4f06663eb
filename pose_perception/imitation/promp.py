"""Probabilistic movement primitives: a distribution over motions from several demonstrations, and what it implies.

Paraschos, Daniel, Peters and Neumann, Probabilistic movement primitives, NeurIPS 2013, and Using probabilistic
movement primitives in robotics, Autonomous Robots 42, 2018: a motion is basis functions of the phase from 0 to 1 times
weights, which are Gaussian. Passing through a point is linear Gaussian algebra (section 3.2 of the latter).

A handful of demonstrations says nothing about most directions of w. There, motions that bend little are expected
instead: the covariance of the weights is that of the demonstrations plus a part of the covariance whose inverse
penalises second differences of the weights, so that what starts elsewhere comes back over the whole motion and not in a
jerk. This takes the place of the inverse Wishart prior of Gomez-Gonzalez et al., Adaptation and robust learning of
probabilistic movement primitives, IEEE Transactions on Robotics 36(2), 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError

# Cost of the size of weights beside that of their second differences: a motion elsewhere is not impossible.
_SIZE_COST = 1e-3
# Rounding that keeps matrices of weights invertible.
_RIDGE = 1e-9


@dataclass(frozen=True)
class PrompConfig(Config):
    """How motions are described."""

    basis: int = option(20, "Number of basis functions.", minimum=4, maximum=200)
    prior: float = option(
        0.05, "How far motions may be from all that was shown, in the units of the motion.", minimum=0.0, maximum=10.0
    )


@dataclass(frozen=True)
class Promp:
    """A Gaussian over motions of D numbers, with weights of K basis functions each.

    Attributes:
        mean: Of the weights, shape (K * D,): those of the first basis function, then those of the second.
        covariance: Of the weights, shape (K * D, K * D).
        dimensions: D.
    """

    mean: FloatArray
    covariance: FloatArray
    dimensions: int

    def motion(self, phases: FloatArray) -> FloatArray:
        """Return the mean motion with shape (S, D) at phases (S,)."""
        return basis(phases, self._count) @ self.mean.reshape(self._count, self.dimensions)

    def spread(self, phases: FloatArray) -> FloatArray:
        """Return the covariance of the motion with shape (S, D, D) at phases (S,)."""
        rows = self._rows(phases)
        return np.einsum("sik,kl,sjl->sij", rows, self.covariance, rows)

    def condition(self, phase: float, point: FloatArray, covariance: FloatArray) -> Promp:
        """Return the motions that pass through a point.

        Args:
            phase: When, 0 to 1.
            point: Shape (D,).
            covariance: How uncertain it is, shape (D, D); near 0 for exactly there.

        Raises:
            InvalidInputError: the point is not D finite numbers, or the phase is outside.
        """
        if np.shape(point) != (self.dimensions,) or not np.isfinite(point).all() or not 0 <= phase <= 1:
            raise InvalidInputError(f"a via point needs a phase from 0 to 1 and {self.dimensions} numbers, got {point}")
        rows = self._rows(np.array([phase]))[0]
        across = self.covariance @ rows.T
        innovation = rows @ across + covariance
        gain = cho_solve(cho_factor(innovation + _RIDGE * np.eye(self.dimensions)), across.T).T
        after = self.covariance - gain @ across.T
        return Promp(self.mean + gain @ (point - rows @ self.mean), (after + after.T) / 2, self.dimensions)

    @property
    def _count(self) -> int:
        return len(self.mean) // self.dimensions

    def _rows(self, phases: FloatArray) -> FloatArray:
        """Return what maps weights to the motion at phases, shape (S, D, K * D)."""
        return np.kron(basis(phases, self._count)[:, None, :], np.eye(self.dimensions))


def basis(phases: FloatArray, count: int) -> FloatArray:
    """Return normalised Gaussian basis functions with shape (S, K) at phases (S,), 0 to 1.

    Centres are even from a little before the start to a little after the end, widths are their distance.
    """
    step = 1 / (count - 3)
    centres = -step + step * np.arange(count)
    values = np.exp(-0.5 * ((phases[:, None] - centres) / step) ** 2)
    return values / values.sum(axis=1, keepdims=True)


def learn_promp(motions: Sequence[FloatArray], config: PrompConfig, scale: FloatArray | None = None) -> Promp:
    """Return the distribution of motions.

    Args:
        motions: Each with shape (T, D) at even phases; T may differ.
        config: Settings.
        scale: What one unit of `PrompConfig.prior` is in each dimension, shape (D,); None for ones.

    Raises:
        InvalidInputError: there is no motion, or they have not the same dimensions.
    """
    shapes = {np.shape(motion)[1:] for motion in motions}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or any(len(motion) < 2 for motion in motions):
        raise InvalidInputError(f"motions must have shapes (T, D) of one D and T from 2, got {sorted(shapes)}")
    dimensions = next(iter(shapes))[0]
    bending = np.diff(np.eye(config.basis), 2, axis=0)
    weights = []
    for motion in motions:
        phi = basis(np.linspace(0.0, 1.0, len(motion)), config.basis)
        # Ridge regression on bending: short recordings leave weights undetermined.
        normal = phi.T @ phi + _RIDGE * len(motion) * (np.eye(config.basis) + 1e3 * bending.T @ bending)
        weights.append(cho_solve(cho_factor(normal), phi.T @ motion).ravel())
    shown = np.stack(weights)
    deviations = shown - shown.mean(axis=0)
    covariance = deviations.T @ deviations / max(len(shown) - 1, 1)
    expected = np.linalg.inv(bending.T @ bending + _SIZE_COST * np.eye(config.basis) / config.basis)
    # The prior's standard deviation is one unit at the ends of a motion, where nothing else is known.
    ends = basis(np.array([0.0]), config.basis)
    expected /= float((ends @ expected @ ends.T)[0, 0])
    squares = np.square(np.ones(dimensions) if scale is None else scale)
    covariance += config.prior**2 * np.kron(expected, np.diag(squares))
    covariance += _RIDGE**2 * np.eye(len(covariance))
    return Promp(shown.mean(axis=0), covariance, dimensions)
