"""How strong is everyone? Maximum likelihood over all matches of a config (Bradley-Terry; Plackett-Luce for more seats).

A weak prior keeps a sweep finite. The table is a pure function of the log: the same matches give the same bits.
"""

from __future__ import annotations

from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from ringrift.domain import rating
from ringrift.domain.decider import Decider
from ringrift.events import EventMeta, Fact
from ringrift.events.facts import EloUpdated, EvaluationScored, Ranking, Rating

PRIOR_ELO = 400.0
"""Standard deviation of the prior on each player: a 10-0 sweep then reads 592 points instead of infinity."""


class ConfigElo(Struct, frozen=True, kw_only=True):
    """One config's matches: how many games ended in each ranking, in order of first appearance."""

    rankings: tuple[Ranking, ...] = ()
    games: int = 0


class EloState(Struct, frozen=True, kw_only=True):
    """Matches of every config."""

    configs: dict[str, ConfigElo] = {}


def evolve(state: EloState, event: Fact, meta: EventMeta) -> EloState:
    """Take in one evaluation."""
    if not isinstance(event, EvaluationScored):
        return state
    item = state.configs.get(event.config, ConfigElo())
    counts = {(known.order, known.ranks): known for known in item.rankings}
    for new in event.rankings:
        key = (new.order, new.ranks)
        known = counts.get(key)
        counts[key] = new if known is None else replace(known, count=known.count + new.count)
    item = ConfigElo(rankings=tuple(counts.values()), games=item.games + event.games)
    return EloState(configs={**state.configs, event.config: item})


def decide(state: EloState, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
    """The rating table after one more evaluation."""
    if not isinstance(event, EvaluationScored):
        return ()
    return (table(state, event.config),)


def table(state: EloState, config: str) -> EloUpdated:
    """Ratings of `config`, strongest first."""
    item = state.configs.get(config, ConfigElo())
    fitted = rating.fit([(_groups(ranking), ranking.count) for ranking in item.rankings], prior_elo=PRIOR_ELO)
    rows = tuple(Rating(participant=row.name, elo=row.elo, se=row.se, games=round(row.games)) for row in fitted.ranked())
    return EloUpdated(config=config, ratings=rows, games=item.games)


def _groups(ranking: Ranking) -> rating.Ranking:
    pairs = zip(ranking.ranks, ranking.order, strict=True)
    return tuple(tuple(name for _, name in group) for _, group in groupby(pairs, key=lambda pair: pair[0]))


DECIDER = Decider(
    name="elo",
    state=EloState,
    reads=(EvaluationScored,),
    writes=(EloUpdated,),
    initial=EloState,
    evolve=evolve,
    decide=decide,
)
