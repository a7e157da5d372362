"""Rating tables made by hand, for the tests of their readers."""

from __future__ import annotations

from ringrift.events.facts import Rating, RatingsUpdated

HEURISTIC, RANDOM = "baseline:heuristic:s0", "baseline:random:s0"


def trial(letter: str) -> str:
    """The participant as which a network `letter * 64` plays its trials."""
    return f"{letter * 12}:gumbel:s32"


def table(
    elo: dict[str, float],
    *,
    config: str = "hex8_2p",
    error: float = 10.0,
    games: int = 200,
    anchor: str = HEURISTIC,
    current: str | None = None,
) -> RatingsUpdated:
    """A table of these participants and the anchor; every other number is the same in all rows."""
    rows = [
        Rating(participant=name, elo=value, se=error, games=games, se_to_current=error)
        for name, value in elo.items()
    ]
    rows.append(Rating(participant=anchor, elo=0.0, se=0.0, games=games))
    return RatingsUpdated(
        config=config, ratings=tuple(rows), games=400, anchor=anchor, current=current
    )
