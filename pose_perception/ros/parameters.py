"""A `Config` as ROS parameters: name, type, default, range and description come from its fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pose_perception.config import Config
from pose_perception.errors import ConfigurationError

ConfigType = TypeVar("ConfigType", bound=Config)

_INT64_MAX = 2**63 - 1


class ConfigParameters(Generic[ConfigType]):
    """Declares a configuration as parameters of a node and reads it back.

    The fields of a nested configuration get dotted names (`lifting.patch_radius`). A value given at start that does
    not fit is reported by `read`, together with all others, so that a node can fail in its configure transition and
    not while it is built. From `read` until `release` a change would have no effect, so it is refused.

    Args:
        node: Gets the parameters at once.
        config_type: A configuration whose fields all have defaults.
        prefix: Put before all names, with a dot.
    """

    def __init__(self, node: Node, config_type: type[ConfigType], prefix: str = "") -> None:
        self._node = node
        self._default = config_type()
        self._prefix = f"{prefix}." if prefix else ""
        self._refused: dict[str, str] = {}
        self._in_use = False
        for name, item, default in _options(self._default, self._prefix):
            self._declare(name, item, default)
        node.add_on_set_parameters_callback(self._check)

    def read(self) -> ConfigType:
        """Return the configuration that the parameters hold now, and keep them from being changed.

        Raises:
            ConfigurationError: values that do not fit, each with its parameter and the reason.
        """
        if self._refused:
            raise ConfigurationError("; ".join(self._refused.values()))
        config = self._build(self._default, self._prefix)
        self._in_use = True
        return config

    def release(self) -> None:
        """Let the parameters be changed again, until the next `read`."""
        self._in_use = False

    def _declare(self, name: str, item: Field[Any], default: Any) -> None:
        descriptor = _descriptor(item, default)
        try:
            self._node.declare_parameter(name, default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            self._refused[name] = str(error)
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)

    def _build(self, default: Config, prefix: str) -> Any:
        values = {}
        for item in fields(default):
            name = prefix + item.name
            value = getattr(default, item.name)
            is_nested = isinstance(value, Config)
            values[item.name] = self._build(value, f"{name}.") if is_nested else self._node.get_parameter(name).value
        return type(default)(**values)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        own = {name for name, _, _ in _options(self._default, self._prefix)} & {item.name for item in parameters}
        if own and self._in_use:
            reason = f"{', '.join(sorted(own))} takes effect when the node is configured: clean the node up first"
            return SetParametersResult(successful=False, reason=reason)
        for name in own:
            self._refused.pop(name, None)
        return SetParametersResult(successful=True)


def _options(config: Config, prefix: str) -> Iterator[tuple[str, Field[Any], Any]]:
    """Yield full name, field and default of each option, those of nested configurations too."""
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, Config):
            yield from _options(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item, value


def _descriptor(item: Field[Any], default: Any) -> ParameterDescriptor:
    metadata = item.metadata
    minimum, maximum = metadata["minimum"], metadata["maximum"]
    descriptor = ParameterDescriptor(description=metadata["description"])
    if metadata["choices"]:
        descriptor.additional_constraints = f"one of {', '.join(metadata['choices'])}"
    if minimum is None and maximum is None:
        return descriptor
    if isinstance(default, float):
        low, high = (float("-inf") if minimum is None else minimum), (float("inf") if maximum is None else maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    else:
        low, high = (-_INT64_MAX if minimum is None else minimum), (_INT64_MAX if maximum is None else maximum)
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return descriptor
