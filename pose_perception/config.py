"""Self-checking configuration: frozen dataclasses whose fields say what they mean and what they accept.

`option` describes a field, `Config` checks it at birth, and the nodes declare the same fields as ROS parameters, so
that name, default, range and description are written once.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any

from pose_perception.errors import ConfigurationError


def option(
    default: bool | int | float | str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Describe one field of a `Config`.

    Args:
        default: Value when none is given; its type is the type of the field.
        description: One sentence with the unit.
        minimum: Smallest value accepted.
        maximum: Largest value accepted.
        choices: The accepted strings.
    """
    metadata = {"description": description, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Base of all configurations. Fields are made by `option`, or are themselves `Config`s.

    Raises:
        ConfigurationError: a value has the wrong type or lies outside what its field accepts.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            if "description" in item.metadata:
                _check(type(self).__name__, item, getattr(self, item.name))


def _check(owner: str, item: Field[Any], value: Any) -> None:
    expected = type(item.default)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (isinstance(value, expected) or (expected is float and is_number)) or (expected is int and not is_number):
        raise ConfigurationError(f"{owner}.{item.name} must be {expected.__name__}, got {value!r}")
    minimum, maximum, choices = (item.metadata[key] for key in ("minimum", "maximum", "choices"))
    if choices is not None and value not in choices:
        raise ConfigurationError(f"{owner}.{item.name} must be one of {', '.join(choices)}; got {value!r}")
    # Written as `not (a <= b)` so that NaN is refused too.
    if minimum is not None and not (minimum <= value):
        raise ConfigurationError(f"{owner}.{item.name} must be at least {minimum}, got {value}")
    if maximum is not None and not (value <= maximum):
        raise ConfigurationError(f"{owner}.{item.name} must be at most {maximum}, got {value}")
