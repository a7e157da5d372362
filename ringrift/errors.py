"""The root of the errors that are reported to people in one line.

RingRiftError
├── CommandError    a command cannot be carried out
├── EventError      `ringrift.events.errors`
├── CheckpointError, OnnxError    `ringrift.nets`
└── StreamError     `ringrift.log.errors`
"""


class RingRiftError(Exception):
    """An error that is expected to happen; its text says what happened and what to do."""


class CommandError(RingRiftError):
    """A command cannot be carried out; the text is for the person who typed it."""


class Permanent(Exception):
    """Mixed into errors that every other try would raise again, whatever the machine."""
