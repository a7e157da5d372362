"""The little of a game that says what it was and who played it: moves and targets are skipped, not
decoded."""

from __future__ import annotations

from msgspec import Struct


class HeadSeat(Struct, frozen=True):
    """One seat; `model` is None without a network."""

    model: str | None = None


class GameHead(Struct, frozen=True):
    """The fields of `GameCompleted` by which games are counted and chosen."""

    game: str
    config: str
    origin: str
    ticket: str
    node: str
    seats: tuple[HeadSeat, ...]


class GameEnvelope(Struct, frozen=True):
    """A game's event, as far as `cause` and `data` say."""

    data: GameHead
    cause: str | None = None
