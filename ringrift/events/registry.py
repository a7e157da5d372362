"""Every event type by name, derived from the facts.

Which processes write and read each: `ringrift.runtime.processes`. `schemas/` is written from
here."""

from __future__ import annotations

from ringrift.events import facts
from ringrift.events.fact import EventType as EventType
from ringrift.events.fact import Fact, FactMeta

REGISTRY: dict[str, EventType] = {
    name: kind.event_type
    for name, kind in vars(facts).items()
    if isinstance(kind, FactMeta) and hasattr(kind, "event_type")
}


def type_of(event: Fact | type[Fact]) -> EventType:
    """Subject, stream, version and retention of an event or its class."""
    return (event if isinstance(event, type) else type(event)).event_type
