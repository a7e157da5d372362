"""How strong is each participant? Maximum likelihood over all matches of a config (Bradley-Terry;
Plackett-Luce for more seats).

Elo is relative to a baseline, the anchor, and so is its error: a rating moves only when games say
something about that difference. Participants that no chain of games connects with the anchor have
no rating. Retracted games are subtracted, and those of their tickets that are still to be scored do
not count. The table is a pure function of the log: the same matches give the same bits."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted, replace
from ringrift.deciders.loop.verdict import counts
from ringrift.deciders.stats import plackett_luce
from ringrift.events import facts as f
from ringrift.events.participants import BASELINE, MODEL_DIGITS
from ringrift.events.settings import EvaluationSettings

HEURISTIC, _ = f.ANCHORS
VIRTUAL_DRAWS = 1.0
"""games that end in a draw, added between any two players that met: the rating of a 10-0 sweep is
then 529 points instead of infinite. For two players this is the Jeffreys prior, which removes the
first-order bias of the maximum (Firth 1993); BayesElo (Coulom 2005) adds such draws as well. A
prior on the strengths would move a network when others are measured; this one does so only by
their games with it"""


TOURNAMENT_SHARE = 0.02
"""of all games, played in tournaments since the newest table, for another one: fewer change little,
and a fit after each match took three quarters of the processor time of 1,000 simulated nodes"""
RANKINGS_KEPT = 16_384
"""names of rankings that are kept apart: those of one config are taken apart after each match"""


class Elo(Struct, frozen=True, kw_only=True):
    """The matches of a config: number of games that ended in each ranking, in order of first
    appearance.

    A ranking is named by its participants from best to worst and their ranks, such as `a:gumbel:s32
    baseline:random:s0 1,2`: a year has thousands, and strings copy a hundred times as fast as
    structs."""

    rankings: dict[str, int] = {}
    games: int = 0
    left_out: tuple[str, ...] = ()
    """tickets that were retracted before they were scored"""
    tickets: tuple[str, ...] = ()
    """counted"""
    current: str | None = None
    """the incumbent"""
    awaited: dict[str, int] = {}
    """matches of its trial that have no outcome yet, by candidate"""
    ended: tuple[str, ...] = ()
    """their tickets with an outcome"""
    unrated: bool = False
    """there were matches since the newest table"""
    rated: int = 0
    """games in the newest table"""


class Matches(Configs[Elo], frozen=True, kw_only=True):
    """The matches by config, the anchor, and the simulations of a trial."""

    anchor: str = HEURISTIC
    simulations: int = EvaluationSettings().simulations


DECIDER = Decider("elo", Matches)
DECIDER.keeps(f.RatingsUpdated, unrated=lambda fact: False, rated=lambda fact: fact.games)
DECIDER.keeps(f.ModelPromoted, current=lambda fact: fact.current)
DECIDER.keeps(f.ModelRolledBack, current=lambda fact: fact.current)
DECIDER.keeps(
    f.SettingsChanged,
    anchor=lambda fact: f"{BASELINE}:{fact.settings.evaluation.anchor}:",
    simulations=lambda fact: fact.settings.evaluation.simulations,
)


@DECIDER.evolves
def scored(item: Elo, fact: f.Score, context: Context) -> Elo:
    if fact.ticket in item.tickets or not counts(fact, context):
        return item
    item = replace(item, tickets=noted(item.tickets, fact.ticket))
    if fact.ticket in item.left_out:
        return replace(item, left_out=tuple(name for name in item.left_out if name != fact.ticket))
    rankings = counted(item.rankings, fact.rankings, 1)
    return replace(item, rankings=rankings, games=item.games + fact.games, unrated=True)


@DECIDER.evolves
def awaited(item: Elo, fact: f.EvaluationRequested) -> Elo:
    model = fact.candidate.model
    if not model or fact.purpose in f.MEASURING:
        return item
    return replace(item, awaited={**item.awaited, model: item.awaited.get(model, 0) + 1})


@DECIDER.evolves
def ended(item: Elo, fact: f.EvaluationEnded) -> Elo:
    left = item.awaited.get(model := fact.candidate_model or "", 0)
    if not left or fact.purpose in f.MEASURING or fact.ticket in item.ended:
        return item
    others = {name: count for name, count in item.awaited.items() if name != model}
    awaited = {**others, model: left - 1} if left > 1 else others
    return replace(item, awaited=awaited, ended=noted(item.ended, fact.ticket))


@DECIDER.evolves
def imported(item: Elo, fact: f.MatchesImported) -> Elo:
    rankings = counted(item.rankings, fact.rankings, 1)
    return replace(item, rankings=rankings, games=item.games + fact.games)


@DECIDER.evolves
def retracted(item: Elo, fact: f.GamesRetracted) -> Elo:
    return replace(
        item,
        rankings=counted(item.rankings, fact.rankings, -1),
        games=max(0, item.games - fact.scored_games),
        left_out=(*item.left_out, *fact.unscored_tickets),
    )


@DECIDER.evolves
def imports_retracted(item: Elo, fact: f.MatchesRetracted) -> Elo:
    rankings = counted(item.rankings, fact.rankings, -1)
    return replace(item, rankings=rankings, games=max(0, item.games - fact.games))


@DECIDER.decides
def rate(
    state: Matches, fact: f.EvaluationEnded | f.EvaluationRecounted
) -> Iterator[f.RatingsUpdated]:
    """The rating table, once all matches of a round were played: several nodes play a dozen at
    once, and a fit of 40 networks takes 10 ms."""
    item = state.configs.get(fact.config, Elo())
    few = item.games - item.rated < TOURNAMENT_SHARE * item.games
    waits = (fact.purpose == "tournament" and few) or fact.candidate_model in item.awaited
    if item.unrated and not waits:
        yield table(state, fact.config)


@DECIDER.decides
def rate_again(
    state: Matches, fact: f.GamesRetracted | f.MatchesImported | f.MatchesRetracted
) -> Iterator[f.RatingsUpdated]:
    """The rating table after matches were imported or retracted."""
    if fact.rankings:
        yield table(state, fact.config)


def table(state: Matches, config: str) -> f.RatingsUpdated:
    """Ratings of a config, strongest first."""
    item = state.configs.get(config, Elo())
    names = {name for ranking in item.rankings for name in ranking.split(" ")[:-1]}
    anchor = f.anchor_among(names, state.anchor)
    if anchor is None:
        return f.RatingsUpdated(
            config=config, ratings=(), games=item.games, anchor=None, unrated=tuple(sorted(names))
        )
    fitted = plackett_luce.fit(games_of(item), virtual_draws=VIRTUAL_DRAWS, anchor=anchor)
    current = f"{(item.current or '')[:MODEL_DIGITS]}:gumbel:s{state.simulations}"
    known = any(row.name == current for row in fitted.players)
    to_current = fitted.errors_to(current) if known else {}
    rows = tuple(
        f.Rating(
            participant=row.name,
            elo=row.elo,
            se=row.se,
            games=round(row.games),
            se_to_current=to_current.get(row.name),
        )
        for row in fitted.ranked()
    )
    return f.RatingsUpdated(
        config=config,
        ratings=rows,
        games=item.games,
        anchor=anchor,
        unrated=fitted.unrated,
        current=current if known else None,
    )


def games_of(item: Elo) -> list[tuple[plackett_luce.Ranking, float]]:
    """The rankings of the matches, as a fit takes them, with their numbers of games."""
    return [(_groups(name), count) for name, count in item.rankings.items()]


def as_tried(ratings: Sequence[f.Rating], simulations: int) -> dict[str, f.Rating]:
    """Ratings of networks as their trials play, by Gumbel search with that budget; keys are the
    first 12 digits.

    Ladders, tiers and gauntlets play a network with other budgets and harnesses, and each of those
    is rated too; deciders compare networks that play alike."""
    suffix = f":gumbel:s{simulations}"
    rows = (row for row in ratings if row.participant.endswith(suffix))
    named = {row.participant.removesuffix(suffix): row for row in rows}
    return {name: row for name, row in named.items() if name != BASELINE}


def heuristic_elo(ratings: Sequence[f.Rating]) -> float | None:
    """Elo of the heuristic baseline, 0 where it is the anchor; None if it is not rated."""
    return next((row.elo for row in ratings if row.participant.startswith(HEURISTIC)), None)


def gathered(rankings: Iterable[f.Ranking]) -> tuple[f.Ranking, ...]:
    """Each ranking once with all its games, in order of first appearance."""
    found: dict[tuple[tuple[str, ...], tuple[int, ...]], f.Ranking] = {}
    for new in rankings:
        key = (new.order, new.ranks)
        count = found[key].count + new.count if key in found else new.count
        found[key] = replace(new, count=count)
    return tuple(found.values())


def counted(counts: dict[str, int], more: tuple[f.Ranking, ...], sign: int) -> dict[str, int]:
    """Numbers of games by ranking with more games, or fewer, without those of none."""
    found = {**counts}
    for new in more:
        name = f"{' '.join(new.order)} {','.join(map(str, new.ranks))}"
        found[name] = found.get(name, 0) + sign * new.count
        if found[name] <= 0:
            del found[name]
    return found


@lru_cache(maxsize=RANKINGS_KEPT)
def _groups(ranking: str) -> plackett_luce.Ranking:
    *order, ranks = ranking.split(" ")
    pairs = zip(ranks.split(","), order, strict=True)
    groups = groupby(pairs, key=lambda pair: pair[0])
    return tuple(tuple(name for _, name in group) for _, group in groups)
