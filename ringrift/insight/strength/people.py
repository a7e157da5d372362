"""Ratings of people: a fit of its own over their games (origin `human`) and the matches of the
config, so that people are compared with networks while no rating of a network depends on them.

Elo is relative to the baseline of the rating tables for all who are connected with it by games, and
relative to the network with the most games with people in each group that is not. The names of
people are what they typed; hints and moves that were taken back are not recorded."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating
from ringrift.deciders.loop.retraction import GameHead, HeadSeat, retracted
from ringrift.deciders.stats import plackett_luce
from ringrift.events.facts import GamesRetracted, anchor_among
from ringrift.log import read
from ringrift.log.protocol import Log

PERSON = "person:"
"""how the participant of a person begins"""


class Player(HeadSeat, frozen=True, kw_only=True):
    """One seat of a game."""

    participant: str


class HumanGame(GameHead, frozen=True, kw_only=True):
    """The fields of `GameCompleted` that a rating needs."""

    seats: tuple[Player, ...]
    ranks: tuple[int, ...]

    @property
    def ranking(self) -> tuple[tuple[str, ...], ...]:
        """The participants from best to worst, those of one rank together."""
        pairs = [
            (rank, seat.participant) for rank, seat in zip(self.ranks, self.seats, strict=True)
        ]
        places = sorted(set(self.ranks))
        return tuple(tuple(name for rank, name in pairs if rank == place) for place in places)


class PersonRating(NamedTuple):
    """Elo above `anchor` of a person, or of a participant that people played against; `games` are
    those with people."""

    config: str
    participant: str
    person: bool
    elo: float
    elo_95_half_width: float
    games: int
    anchor: str


def rate(
    config: str, games: Iterable[HumanGame], matches: rating.Elo, first: str = rating.HEURISTIC
) -> list[PersonRating]:
    """Return the ratings of all who played these games, each group strongest first, the group of a
    baseline (one whose name begins with `first`, else another) before those without.

    Games of one participant against itself say nothing and are left out."""
    rankings = [game.ranking for game in games]
    rankings = [ranking for ranking in rankings if len(set(chain(*ranking))) > 1]
    played = Counter(name for ranking in rankings for name in set(chain(*ranking)))
    left = [(ranking, 1.0) for ranking in rankings] + rating.games_of(matches)
    unrated, rows = set(played), list[PersonRating]()
    while unrated:
        known = {name for ranking, _ in left for name in chain(*ranking)}
        usual = min(unrated, key=lambda name: (name.startswith(PERSON), -played[name], name))
        anchor = anchor_among(known, first) or usual
        found = plackett_luce.fit(left, virtual_draws=rating.VIRTUAL_DRAWS, anchor=anchor)
        rows += (
            PersonRating(
                config,
                row.name,
                row.name.startswith(PERSON),
                row.elo,
                row.elo_95_half_width,
                played[row.name],
                anchor,
            )
            for row in found.ranked()
            if row.name in played
        )
        done = {row.name for row in found.players}
        unrated -= done
        left = [(ranking, count) for ranking, count in left if ranking[0][0] not in done]
    return rows


async def ratings(log: Log, games: Sequence[tuple[int, HumanGame]]) -> list[PersonRating]:
    """Return the ratings of each config with games of people; `games` are those in the log with
    their sequences of `GAMES`. Retracted ones do not count."""
    if not games:
        return []
    state, retractions = rating.DECIDER.initial(), list[GamesRetracted]()
    in_force = InForce()
    async for event, meta in read.facts(log, *rating.DECIDER.reads):
        in_force = in_force.after(event)
        state = rating.DECIDER.evolve(state, event, Context.of(meta, in_force))
        if isinstance(event, GamesRetracted):
            retractions.append(event)
    left = [game for seq, game in games if not retracted(retractions, game, seq)]
    rows: list[PersonRating] = []
    for config in sorted({game.config for game in left}):
        matches = state.configs.get(config, rating.Elo())
        rows += rate(config, (g for g in left if g.config == config), matches, state.anchor)
    return rows
