"""How strong is everyone? Maximum likelihood over all matches of a config (Bradley-Terry;
Plackett-Luce for more seats).

Retracted games are taken back: what their tickets had brought is subtracted, and what is still to
come of them does not count.

A weak prior keeps a sweep finite. The table is a pure function of the log: the same matches give
the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.stats import plackett_luce as rating
from ringrift.events import Fact
from ringrift.events.facts import EvaluationScored, GamesRetracted, Ranking, Rating, RatingsUpdated
from ringrift.events.participants import BASELINE

HEURISTIC = "baseline:heuristic:"
PRIOR_ELO = 400.0
"""Standard deviation of the prior on each player: a 10-0 sweep then reads 592 points instead of
infinity."""


class ConfigElo(Struct, frozen=True, kw_only=True):
    """One config's matches: how many games ended in each ranking, in order of first appearance.

    A ranking is named by its participants from best to worst and their ranks, such as `a:gumbel:s32
    baseline:random:s0 1,2`: a year has thousands of them, and a dict is copied a hundred times as
    fast as it is made of structs."""

    rankings: dict[str, int] = {}
    games: int = 0
    left_out: tuple[str, ...] = ()
    """retracted tickets whose scores had not come"""


class EloState(Struct, frozen=True, kw_only=True):
    """Matches of every config."""

    configs: dict[str, ConfigElo] = {}


def evolve(state: EloState, event: Fact, meta: Context) -> EloState:
    """Take in one evaluation, or that some are retracted."""
    if not isinstance(event, EvaluationScored | GamesRetracted):
        return state
    item = state.configs.get(event.config, ConfigElo())
    if isinstance(event, GamesRetracted):
        rankings = _counted(item.rankings, event.rankings, -1)
        left_out = (*item.left_out, *event.unscored_tickets)
        item = ConfigElo(
            rankings=rankings, games=max(0, item.games - event.scored_games), left_out=left_out
        )
    elif event.ticket in item.left_out:
        item = replace(
            item, left_out=tuple(ticket for ticket in item.left_out if ticket != event.ticket)
        )
    else:
        item = replace(
            item,
            rankings=_counted(item.rankings, event.rankings, 1),
            games=item.games + event.games,
        )
    return EloState(configs={**state.configs, event.config: item})


def _counted(counts: dict[str, int], more: tuple[Ranking, ...], sign: int) -> dict[str, int]:
    """The counts with more games, or fewer; what is left of no game is dropped."""
    found = {**counts}
    for new in more:
        name = f"{' '.join(new.order)} {','.join(map(str, new.ranks))}"
        found[name] = found.get(name, 0) + sign * new.count
        if found[name] <= 0:
            del found[name]
    return found


def added(
    rankings: tuple[Ranking, ...], more: tuple[Ranking, ...], sign: int = 1
) -> tuple[Ranking, ...]:
    """Counts of both, or of the first less the second, in order of first appearance; what is left
    of no game is dropped."""
    counts = {(known.order, known.ranks): known.count for known in rankings}
    for new in more:
        key = (new.order, new.ranks)
        counts[key] = counts.get(key, 0) + sign * new.count
    return tuple(
        Ranking(order=order, ranks=ranks, count=count)
        for (order, ranks), count in counts.items()
        if count > 0
    )


def decide(state: EloState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The rating table after one more evaluation, or fewer."""
    if not isinstance(event, EvaluationScored | GamesRetracted) or (
        isinstance(event, GamesRetracted) and not event.rankings
    ):
        return ()
    return (table(state, event.config),)


def as_tried(ratings: Sequence[Rating], simulations: int) -> dict[str, Rating]:
    """Ratings of networks as their trials play them, by Gumbel search with that budget; the key is
    the front of the name.

    Ladders, tiers and gauntlets play a network with other budgets and harnesses, and each of those
    is rated too: deciders compare networks that play alike."""
    way = f":gumbel:s{simulations}"
    rows = (
        row
        for row in ratings
        if row.participant.endswith(way) and not row.participant.startswith(BASELINE)
    )
    return {row.participant.removesuffix(way): row for row in rows}


def heuristic_elo(ratings: Sequence[Rating]) -> float | None:
    """Elo of the heuristic baseline; None if it is not rated."""
    rows = (row.elo for row in ratings if row.participant.startswith(HEURISTIC))
    return next(rows, None)


def table(state: EloState, config: str) -> RatingsUpdated:
    """Ratings of `config`, strongest first."""
    item = state.configs.get(config, ConfigElo())
    fitted = rating.fit(
        [(_groups(name), count) for name, count in item.rankings.items()], prior_elo=PRIOR_ELO
    )
    rows = tuple(
        Rating(participant=row.name, elo=row.elo, se=row.se, games=round(row.games))
        for row in fitted.ranked()
    )
    return RatingsUpdated(config=config, ratings=rows, games=item.games)


def _groups(ranking: str) -> rating.Ranking:
    *order, ranks = ranking.split(" ")
    pairs = zip(ranks.split(","), order, strict=True)
    return tuple(
        tuple(name for _, name in group) for _, group in groupby(pairs, key=lambda pair: pair[0])
    )


DECIDER = Classic(
    name="elo",
    state=EloState,
    reads=(EvaluationScored, GamesRetracted),
    writes=(RatingsUpdated,),
    initial=EloState,
    evolve=evolve,
    decide=decide,
)
