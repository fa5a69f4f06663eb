"""The estimators by name."""

from __future__ import annotations

from collections.abc import Callable

from pose_perception.errors import ConfigurationError
from pose_perception.human.estimators.base import Estimator
from pose_perception.human.estimators.default import DefaultEstimator

ESTIMATORS: dict[str, Callable[[str], Estimator]] = {"default": DefaultEstimator}
"""Name to a function that takes the device and loads the estimator."""


def make_estimator(name: str, device: str) -> Estimator:
    """Load an estimator.

    Args:
        name: One of `ESTIMATORS`.
        device: auto, cuda or cpu.

    Raises:
        ConfigurationError: there is no estimator of that name.
    """
    if name not in ESTIMATORS:
        raise ConfigurationError(f"unknown estimator {name!r}; there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name](device)
