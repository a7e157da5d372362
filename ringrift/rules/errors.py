"""Errors about text or moves given to the rules.

RulesError
├── ConfigError      unknown config, board or option
├── NotationError    text that is no move, cell, position or record; has the place
└── IllegalMove      a well-formed move that is not legal in the position
"""


class RulesError(ValueError):
    """Base of all errors of this package."""


class ConfigError(RulesError):
    """A config, board or game option that does not exist."""


class NotationError(RulesError):
    """Text that does not follow section 21. `place` is the 0-based offset in `text`."""

    def __init__(self, text: str, place: int, reason: str) -> None:
        self.text, self.place, self.reason = text, place, reason
        line = text.count("\n", 0, place) + 1
        column = place - (text.rfind("\n", 0, place) + 1) + 1
        where = f"line {line}, column {column}" if "\n" in text else f"column {column}"
        shown = text[place : place + 24]
        super().__init__(f"{where}: {reason} (at {repr(shown) if shown else 'the end'})")


class IllegalMove(RulesError):
    """A move that the position does not allow."""

    def __init__(self, token: str, reason: str, ply: int) -> None:
        self.token, self.reason, self.ply = token, reason, ply
        super().__init__(f"ply {ply}: {token!r} is not legal: {reason}")
