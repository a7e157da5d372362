"""Severities of anomalies, plateaus and regressions."""

from __future__ import annotations

from ringrift.events.facts import Severity

SEVERITIES: tuple[Severity, ...] = ("minor", "major", "critical")
