"""Diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header


def diagnostic_message(
    header: Header, name: str, hardware_id: str, level: bytes, message: str, values: Mapping[str, object]
) -> DiagnosticArray:
    """Build the diagnostics of one component.

    Args:
        header: Its stamp is the time of the diagnosis.
        name: Component, as monitors show it.
        hardware_id: Device that the component runs on.
        level: `DiagnosticStatus.OK`, `WARN`, `ERROR` or `STALE`.
        message: One line for a human.
        values: Details; floats are written with three decimals.
    """
    pairs = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=pairs)
    return DiagnosticArray(header=header, status=[status])


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
