"""Summary statistics of the games of a shard: integers, so that the same games have the same
summary on every machine."""

from collections import Counter
from collections.abc import Iterable, Set
from typing import Final

import numpy as np

from ringrift.events.facts import GameCompleted, ShardSummary
from ringrift.learning.targets import TargetsError, decode_all

OPENING_TOKENS: Final = 12
"""Moves of an opening: enough for each of four seats to have moved a few times."""
PARTICIPANTS_MAX: Final = 8


def summarise(
    games: Iterable[GameCompleted], left_out: Set[str] = frozenset()
) -> ShardSummary | None:
    """Return the summary of the self-play games, None if there are none.

    Games with an id in `left_out`, which did not replay, are excluded."""
    played = [game for game in games if game.origin == "selfplay" and game.game not in left_out]
    if not played:
        return None
    agreements = [agreement(game) for game in played]
    seats = range(1, len(played[0].seats) + 1)
    openings = {tuple(game.moves.split()[:OPENING_TOKENS]) for game in played}
    seen = Counter(seat.participant for game in played for seat in game.seats)
    return ShardSummary(
        games=len(played),
        wins=tuple(sum(game.winner == seat for game in played) for seat in seats),
        plies=sum(game.plies for game in played),
        plies_squared=sum(game.plies**2 for game in played),
        openings=len(openings),
        participants=tuple(sorted(seen)[:PARTICIPANTS_MAX]),
        decisions=sum(decisions for decisions, _ in agreements),
        agreed=sum(agreed for _, agreed in agreements),
        opponents=dict(sorted(_met(played, seen).most_common(PARTICIPANTS_MAX))),
    )


def _met(games: Iterable[GameCompleted], seen: Counter[str]) -> Counter[str]:
    """Return the games of each opponent: the participant of a game that is seen least often in all
    games, if it has two."""
    met: Counter[str] = Counter()
    for game in games:
        names = {seat.participant for seat in game.seats}
        if len(names) > 1:
            met[min(names, key=lambda name: (seen[name], name))] += 1
    return met


def agreement(game: GameCompleted) -> tuple[int, int]:
    """Return the number of searched decisions of a game with a winner, and of those whose root
    value was highest for the winner."""
    if not game.winner:
        return 0, 0
    try:
        _, decisions = decode_all(game.targets, game.plies)
    except TargetsError:
        return 0, 0
    best = decisions.values.argmax(axis=1)
    return len(best), int(np.count_nonzero(best == game.winner - 1))
