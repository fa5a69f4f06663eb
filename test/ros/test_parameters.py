"""Tests for ros/parameters.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from pose_perception.config import Config, option
from pose_perception.errors import ConfigurationError
from pose_perception.ros.parameters import ConfigParameters

if TYPE_CHECKING:
    from conftest import Ros


@dataclass(frozen=True)
class Shutter(Config):
    """The innermost of three."""

    open: bool = option(False, "Whether it is open.")
    rate_hz: float = option(15.0, "How often it opens [Hz].", minimum=0.0, maximum=60.0)


@dataclass(frozen=True)
class Lens(Config):
    """Numbers with and without a range."""

    radius: int = option(3, "Radius [px].", minimum=1, maximum=9)
    gain: float = option(1.0, "Gain.", minimum=0.0)
    shutter: Shutter = Shutter()


@dataclass(frozen=True)
class Camera(Config):
    """Holds another configuration."""

    mode: str = option("fast", "How it works.", choices=("fast", "exact"))
    enabled: bool = option(True, "Whether it works.")
    lens: Lens = Lens()


def node_with(ros: Ros, **overrides: object) -> Node:
    values = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    return ros.add(Node("parameters_test", parameter_overrides=values))


def test_defaults_come_back_with_descriptions_and_ranges(ros: Ros) -> None:
    node = node_with(ros)
    assert ConfigParameters(node, Camera).read() == Camera()
    descriptor = node.describe_parameter("lens.radius")
    assert descriptor.description == "Radius [px]."
    assert (descriptor.integer_range[0].from_value, descriptor.integer_range[0].to_value) == (1, 9)
    assert node.describe_parameter("lens.gain").floating_point_range[0].to_value == float("inf")
    assert "fast" in node.describe_parameter("mode").additional_constraints
    assert node.describe_parameter("lens.shutter.open").description == "Whether it is open."
    assert node.describe_parameter("lens.shutter.rate_hz").floating_point_range[0].to_value == 60.0


def test_overrides_reach_nested_fields(ros: Ros) -> None:
    node = node_with(ros, lens__radius=5, mode="exact")
    assert ConfigParameters(node, Camera).read() == Camera(mode="exact", lens=Lens(radius=5))


def test_overrides_reach_the_innermost_fields(ros: Ros) -> None:
    node = node_with(ros, lens__shutter__open=True, lens__shutter__rate_hz=7.5)
    assert ConfigParameters(node, Camera).read().lens.shutter == Shutter(open=True, rate_hz=7.5)


def test_prefix_is_put_before_the_names(ros: Ros) -> None:
    node = node_with(ros, front__lens__gain=2.5)
    assert ConfigParameters(node, Camera, prefix="front").read().lens.gain == 2.5


def test_all_bad_values_are_reported_by_read_and_not_before(ros: Ros) -> None:
    parameters = ConfigParameters(node_with(ros, lens__radius=50, lens__gain="much"), Camera)
    with pytest.raises(ConfigurationError, match=r"(?s)lens\.radius.*lens\.gain"):
        parameters.read()


def test_value_outside_the_choices_is_reported(ros: Ros) -> None:
    with pytest.raises(ConfigurationError, match="fast, exact"):
        ConfigParameters(node_with(ros, mode="slow"), Camera).read()


def test_bad_value_can_be_corrected(ros: Ros) -> None:
    node = node_with(ros, lens__radius=50)
    parameters = ConfigParameters(node, Camera)
    assert not node.set_parameters([Parameter("lens.radius", value=70)])[0].successful
    with pytest.raises(ConfigurationError):
        parameters.read()
    assert node.set_parameters([Parameter("lens.radius", value=7)])[0].successful
    assert parameters.read().lens.radius == 7


def test_change_without_effect_is_refused_until_released(ros: Ros) -> None:
    node = node_with(ros)
    parameters = ConfigParameters(node, Camera)
    parameters.read()
    refusal = node.set_parameters([Parameter("lens.radius", value=4)])[0]
    assert not refusal.successful
    assert "clean the node up" in refusal.reason
    parameters.release()
    assert node.set_parameters([Parameter("lens.radius", value=4)])[0].successful
    assert parameters.read().lens.radius == 4
