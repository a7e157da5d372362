"""Every event type by name, derived from the facts.

`ringrift.runtime.processes` declares which processes write and read each."""

from ringrift.events import facts
from ringrift.events.fact import EventType, Fact, FactMeta

REGISTRY: dict[str, EventType] = {
    name: kind.event_type
    for name, kind in vars(facts).items()
    if isinstance(kind, FactMeta) and hasattr(kind, "event_type")
}


def type_of(event: Fact | type[Fact]) -> EventType:
    """Event type of an event or its class."""
    return (event if isinstance(event, type) else type(event)).event_type
