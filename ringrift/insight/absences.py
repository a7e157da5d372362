"""Processes without a heartbeat and roles without a holder, once they have been missing for a
while: one that has just been started, restarted or asked to stop is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ringrift.runtime.cluster_view import START_SECONDS

GAP_SECONDS_MAX = 12.0
"""a longer time between two observations counts as this: there are none during an outage"""


class Absences:
    """How long each of some names has been missing; time without observations does not count."""

    def __init__(self, names: Iterable[str], now: float) -> None:
        self._missing = dict.fromkeys(names, 0.0)
        self._looked = now

    def look(self, seen: Collection[str], now: float) -> None:
        """Take the names that are there now, at a time in seconds."""
        passed = min(now - self._looked, GAP_SECONDS_MAX)
        self._looked = now
        for name, seconds in self._missing.items():
            self._missing[name] = 0.0 if name in seen else seconds + passed

    @property
    def names(self) -> list[str]:
        """Those that are missing for longer than `START_SECONDS`."""
        return [name for name, seconds in self._missing.items() if seconds > START_SECONDS]
