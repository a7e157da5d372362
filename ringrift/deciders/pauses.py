"""Pauses: what the operator has stopped, as a value that deciders keep in their state."""

from __future__ import annotations

from msgspec import Struct

from ringrift.events.facts import PipelinePaused, PipelineResumed


class Pauses(Struct, frozen=True):
    """Pairs (scope, kind) that are paused; scope is a config or `all`."""

    paused: tuple[tuple[str, str], ...] = ()

    def after(self, event: PipelinePaused | PipelineResumed) -> Pauses:
        """Pauses once `event` has happened; resuming what is not paused changes nothing."""
        pair = (event.scope, event.kind)
        others = tuple(item for item in self.paused if item != pair)
        return Pauses((*others, pair) if isinstance(event, PipelinePaused) else others)

    def stops(self, config: str, kind: str) -> bool:
        """Whether new work of `kind` for `config` must not be planned."""
        return any(
            scope in (config, "all") and what in (kind, "all") for scope, what in self.paused
        )
