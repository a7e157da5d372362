"""What can be wrong with an event or a setting.

EventError
├── UndecodableEvent   bytes that are no event of ours: not JSON, no envelope, wrong types
│   └── UnknownEvent   a well-formed envelope of a type or version this build does not know
└── SettingsError      a setting that does not exist or does not fit
"""

from ringrift.errors import RingRiftError

REASON_CHARS_MAX = 1000
"""what is wrong with an event may quote it: it goes into log lines and facts, whatever the event's
size"""


class EventError(RingRiftError):
    """Base of the errors of `ringrift.events`."""


class UndecodableEvent(EventError):
    """The bytes are no event of ours; `reason` says where they part, in at most `REASON_CHARS_MAX`
    characters."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason if len(reason) <= REASON_CHARS_MAX else f"{reason[:REASON_CHARS_MAX]} ..."
        )


class UnknownEvent(UndecodableEvent):
    """The type or version is not in the registry: a newer build wrote it, or it is not ours."""


class SettingsError(EventError):
    """A setting does not exist or its value does not fit; the text names it."""
