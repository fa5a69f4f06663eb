"""Dynamic movement primitives: one motion that can be given another start, goal and duration.

Ijspeert, Nakanishi, Hoffmann, Pastor and Schaal, Dynamical movement primitives: learning attractor models for motor
behaviors, Neural Computation 25(2), 2013, section 2.1, with the goal term of Hoffmann, Pastor, Park and Schaal,
Biologically-inspired dynamical systems for movement generation, ICRA 2009, section III: the forcing term is not scaled
by the way to the goal, so that a goal near the start neither explodes nor mirrors the motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError

# Spring and damper, critically damped, and how fast the phase falls, by a third of the damper (as usual): what is left
# of it at the end, where the goal is to be reached, is 0.0003.
_SPRING = 150.0
_DAMPER = 2 * math.sqrt(_SPRING)
_PHASE_RATE = _DAMPER / 3
_SMALLEST = 1e-10
# Steps of integration in one motion.
_STEPS = 1000


@dataclass(frozen=True)
class Dmp:
    """One motion of D numbers.

    Attributes:
        weights: Of the forcing term, shape (K, D).
        start, goal: Shape (D,).
        duration_s: Seconds.
    """

    weights: FloatArray
    start: FloatArray
    goal: FloatArray
    duration_s: float

    def motion(
        self,
        samples: int,
        start: FloatArray | None = None,
        goal: FloatArray | None = None,
        duration_s: float | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the motion, from another start to another goal, in another time, where they are given.

        Args:
            samples: How many moments, at least 2.
            start: Shape (D,).
            goal: Shape (D,).
            duration_s: Seconds.

        Returns:
            Times with shape (samples,), seconds, and the motion with shape (samples, D).
        """
        start = self.start if start is None else np.asarray(start, dtype=float)
        goal = self.goal if goal is None else np.asarray(goal, dtype=float)
        total = self.duration_s if duration_s is None else duration_s
        if samples < 2 or start.shape != self.start.shape or goal.shape != self.goal.shape or not total > 0:
            raise InvalidInputError(f"a motion needs 2 samples, ends of shape {self.start.shape} and a positive time")
        # In units of the duration, by the semi-implicit Euler method.
        step = 1 / _STEPS
        place, speed = start.copy(), np.zeros_like(start)
        found = [place]
        forces = self._forces(np.exp(-_PHASE_RATE * np.arange(_STEPS) * step))
        for i in range(_STEPS):
            phase = np.exp(-_PHASE_RATE * i * step)
            pull = _SPRING * (goal - place) - _DAMPER * speed - _SPRING * (goal - start) * phase
            speed = speed + step * (pull + _SPRING * forces[i])
            place = place + step * speed
            found.append(place)
        at = np.linspace(0, _STEPS, samples)
        path = np.stack([np.interp(at, np.arange(_STEPS + 1), column) for column in np.stack(found, axis=1)], axis=1)
        return at / _STEPS * total, path

    def _forces(self, phases: FloatArray) -> FloatArray:
        return _activations(phases, len(self.weights)) @ self.weights


def learn_dmp(times_s: FloatArray, motion: FloatArray, basis: int = 50) -> Dmp:
    """Return the primitive of one motion.

    Args:
        times_s: Even, shape (T,), seconds.
        motion: Shape (T, D).
        basis: Number of basis functions.

    Raises:
        InvalidInputError: the shapes do not fit, or the motion is too short.
    """
    if motion.ndim != 2 or len(motion) != len(times_s) or len(motion) < 5 or basis < 2:
        raise InvalidInputError(f"a motion needs 5 moments with shape (T, D), got {np.shape(motion)}")
    shares = (times_s - times_s[0]) / (times_s[-1] - times_s[0])
    speed = np.gradient(motion, shares, axis=0)
    # A primitive starts at rest.
    acceleration = np.gradient(speed, shares, axis=0)
    phases = np.exp(-_PHASE_RATE * shares)
    start, goal = motion[0], motion[-1]
    wanted = (acceleration + _DAMPER * speed) / _SPRING - (goal - motion) + (goal - start) * phases[:, None]
    features = _activations(phases, basis)
    normal = features.T @ features + _SMALLEST * np.eye(basis)
    weights = np.linalg.solve(normal, features.T @ wanted)
    return Dmp(weights, start.copy(), goal.copy(), float(times_s[-1] - times_s[0]))


def _activations(phases: FloatArray, count: int) -> FloatArray:
    """Return normalised basis functions times the phase, shape (S, K), centres even in time."""
    centres = np.exp(-_PHASE_RATE * np.linspace(0.0, 1.0, count))
    gaps = np.diff(centres)
    widths = 1 / np.square(np.append(gaps, gaps[-1]))
    values = np.exp(-widths * np.square(phases[:, None] - centres))
    return values / (values.sum(axis=1, keepdims=True) + _SMALLEST) * phases[:, None]
