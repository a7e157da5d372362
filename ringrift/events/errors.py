"""Errors of events and settings.

EventError
├── UnlawfulFact       a fact that breaks its own rules, refused to its author
├── UndecodableEvent   the bytes are not an event of ours: not JSON, no envelope, wrong types
│   └── UnknownEvent   a valid envelope of a type or version that this build does not know
└── SettingsError      a setting that does not exist, or an invalid value
    └── Contradiction  values that exclude each other
"""

from ringrift.errors import RingRiftError

REASON_CHARS_MAX = 1000
"""an error may quote the event, whatever its size, and is put into log lines and facts"""


class EventError(RingRiftError):
    """Base of the errors of `ringrift.events`."""


class UnlawfulFact(EventError):
    """The values of a fact contradict its type or each other; the text says which."""


class UndecodableEvent(EventError):
    """The bytes are not an event of ours; `reason` is cut to `REASON_CHARS_MAX` characters."""

    def __init__(self, reason: str) -> None:
        if len(reason) > REASON_CHARS_MAX:
            reason = f"{reason[:REASON_CHARS_MAX]} ..."
        super().__init__(reason)


class UnknownEvent(UndecodableEvent):
    """The type or version is not in the registry; a newer build may know it."""


class SettingsError(EventError):
    """A setting does not exist, or its value is invalid; the text names it."""


class Contradiction(SettingsError):
    """Values exclude each other; one may be valid beside the settings in force."""
