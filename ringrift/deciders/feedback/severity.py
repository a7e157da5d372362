"""Severities of anomalies, plateaus and regressions."""

from __future__ import annotations

from ringrift.events.facts import Severity

SEVERITIES: tuple[Severity, ...] = ("minor", "major", "critical")


def severity_of(value: float, thresholds: tuple[float, float, float]) -> Severity | None:
    """The highest severity whose threshold `value` reaches, thresholds ascending; None below all
    of them."""
    reached = sum(value >= threshold for threshold in thresholds)
    return SEVERITIES[reached - 1] if reached else None
