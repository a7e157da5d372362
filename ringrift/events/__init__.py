"""Event types, codec and settings: the vocabulary of the log. Imports nothing else of ours."""

from ringrift.events.codec import Draft, EventMeta, Recorded, decode, draft, encode, event_id
from ringrift.events.errors import EventError, SettingsError, UndecodableEvent, UnknownEvent
from ringrift.events.fact import EventType, Fact
from ringrift.events.registry import REGISTRY, type_of
from ringrift.events.settings import Settings

__all__ = [
    "REGISTRY",
    "Draft",
    "EventError",
    "EventMeta",
    "EventType",
    "Fact",
    "Recorded",
    "Settings",
    "SettingsError",
    "UndecodableEvent",
    "UnknownEvent",
    "decode",
    "draft",
    "encode",
    "event_id",
    "type_of",
]
