"""A table of what was measured on a stream, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from pose_perception.evaluation.stream import StreamSummary


def stream_table(summary: StreamSummary) -> list[tuple[str, str]]:
    """Return rows of a title and a text; rows without a measure are left out."""
    if not summary.frames:
        return []
    rows = [
        ("rate", f"{summary.rate_hz:.1f} frames per second"),
        ("latency", f"p50 {summary.latency_ms[0]:.0f} ms, p95 {summary.latency_ms[1]:.0f} ms"),
        ("people", ", ".join(f"{people} in {frames} frames" for people, frames in summary.people.items())),
        ("identities", f"{summary.identities}, changed {summary.id_changes} times"),
        ("joints", ", ".join(f"{state} {100 * share:.0f} %" for state, share in summary.joints.items())),
    ]
    if not isnan(summary.error_mm[0]):
        median, high = summary.error_mm
        rows.append(("error against truth", f"median {median:.0f} mm, p95 {high:.0f} mm (measured joints)"))
    if summary.arm_variation:
        worst = max(summary.arm_variation, key=summary.arm_variation.__getitem__)
        rows.append(("upper arm length", f"varies by at most {100 * summary.arm_variation[worst]:.0f} % ({worst})"))
    return rows


def images_row(counts: Mapping[str, int]) -> tuple[str, str]:
    """Return the row about what became of the images, from counts by fate."""
    return "images", ", ".join(f"{count} {fate}" for fate, count in counts.items())


def format_table(rows: list[tuple[str, str]]) -> list[str]:
    """Return one line per row, with aligned columns."""
    width = max(len(title) for title, _ in rows)
    return [f"  {title:<{width}}  {text}" for title, text in rows]
