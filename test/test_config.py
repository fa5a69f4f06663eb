"""Tests for config.py."""

from dataclasses import dataclass

import pytest

from pose_perception.config import Config, option
from pose_perception.errors import ConfigurationError


@dataclass(frozen=True)
class _Example(Config):
    rate_hz: float = option(30.0, "How often, in hertz.", minimum=1.0, maximum=100.0)
    count: int = option(3, "How many.", minimum=1)
    mode: str = option("fast", "Which way.", choices=("fast", "exact"))
    enabled: bool = option(True, "Whether at all.")


def test_defaults_and_values_in_range_are_accepted() -> None:
    assert _Example().rate_hz == 30.0
    assert _Example(rate_hz=5, count=1, mode="exact", enabled=False).mode == "exact"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"rate_hz": 0.5}, "rate_hz"),  # below the range
        ({"rate_hz": 101.0}, "rate_hz"),  # above the range
        ({"rate_hz": float("nan")}, "rate_hz"),  # compares false with every bound
        ({"rate_hz": "fast"}, "rate_hz"),  # wrong type
        ({"count": 2.5}, "count"),  # no silent rounding
        ({"count": True}, "count"),  # bool is an int in Python, but not a count
        ({"mode": "slow"}, "fast, exact"),  # the message lists what is accepted
        ({"enabled": 1}, "enabled"),  # an int is not a bool
    ],
)
def test_bad_values_are_refused_with_the_name(values: dict, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        _Example(**values)
