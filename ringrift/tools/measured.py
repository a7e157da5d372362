"""One measured speed: several runs and their median."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Measured(Struct, frozen=True, kw_only=True):
    """`name` is `<part>/<what>`, `value` the median of `runs`, all in `unit`."""

    name: str
    value: float
    unit: str
    runs: list[float]


def measured(name: str, unit: str, runs: Sequence[float]) -> Measured:
    """The result of some runs."""
    return Measured(name=name, value=statistics.median(runs), unit=unit, runs=list(runs))
