"""How strong is each network under each way to play it? The current and the last networks of a
config meet each other and the heuristic under every harness that suits them, one small match at a
time, in turn.

A match is requested when `evaluation.tournament_share` of the seconds that the config has worked
since the last one pay for it, and is played on idle evaluators. Nothing waits for the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ringrift.deciders.kit import Context, Fold, Struct, replace, seed_from
from ringrift.events import facts as f
from ringrift.events.participants import POSITIONS_A_SIMULATION, harnesses_of, kind_of, seat
from ringrift.events.tickets import tickets_of

STARTS = 4
"""of a match: each is played once from every seat"""
RECENT = 2
"""networks before the current one that play"""
MATCH_SECONDS_MIN = 20.0
"""that a match costs at least: networks are loaded, and once a search is compiled. A share of 2 %
pays for it after a quarter of an hour of a worker, so short runs have none"""
CREDIT_SECONDS_MAX = 3600.0
"""that a config may save up, so that a tournament does not catch up for a day"""
SIMULATED = ("gumbel", "puct")
"""harnesses whose budget is simulations, not positions"""
HEURISTIC = seat("heuristic")


class Tournament(Struct, frozen=True, kw_only=True):
    """Seconds that may be spent on matches, how many were requested, and the one that is due."""

    credit: float = 0.0
    asked: int = 0
    ticket: str | None = None
    judged: int = 0
    """newest generation with a verdict"""


TOURNAMENT = Fold(Tournament)


@TOURNAMENT.evolves
def worked(
    item: Tournament, fact: f.SelfplayFinished | f.TrainingFinished, context: Context
) -> Tournament:
    seconds = fact.train_seconds if isinstance(fact, f.TrainingFinished) else fact.play_seconds
    return _earned(item, seconds, context)


@TOURNAMENT.evolves
def requested(item: Tournament, fact: f.EvaluationRequested, context: Context) -> Tournament:
    if not fact.spare:
        return item
    (ticket,) = tickets_of(fact, context.position)
    return replace(item, asked=item.asked + 1, ticket=ticket.ticket)


@TOURNAMENT.evolves
def ended(item: Tournament, fact: f.EvaluationEnded, context: Context) -> Tournament:
    seconds = fact.play_seconds if isinstance(fact, f.EvaluationScored) else 0.0
    if fact.ticket == item.ticket:
        return replace(item, credit=item.credit - max(seconds, MATCH_SECONDS_MIN), ticket=None)
    return item if fact.purpose in f.MEASURING else _earned(item, seconds, context)


@TOURNAMENT.evolves
def judged(item: Tournament, fact: f.Verdict) -> Tournament:
    return replace(item, judged=max(item.judged, fact.generation))


def match(
    item: Tournament,
    config: str,
    models: Mapping[str, str],
    generations: Mapping[str, int],
    game_seconds: float,
    context: Context,
) -> f.EvaluationRequested | None:
    """The match that is due: between two of the `models`, given with their architectures, or one
    and the heuristic. `game_seconds` is the mean of a match of the loop."""
    settings = context.settings
    over = settings.generations and item.judged >= settings.generations
    if item.ticket or over or config not in settings.configs or not models:
        return None
    seats, budget = f.seats_of(config), settings.evaluation.simulations
    players = [HEURISTIC, *_players(models, seats, budget)]
    one, other = _pair(players, item.asked)
    if one.model is None:
        one, other = other, one
    games = STARTS * seats
    seconds = games * game_seconds * max(map(_cost, (one, other)))
    if item.credit < max(seconds, MATCH_SECONDS_MIN):
        return None
    return f.EvaluationRequested(
        **context.basis(config),
        generation=generations.get(one.model or "", 0),
        candidate=one,
        opponent=other,
        purpose="tournament",
        round=item.asked,
        starts=STARTS,
        seed=seed_from(settings.seed, config, "tournament", item.asked),
        spare=True,
    )


def _players(models: Mapping[str, str], seats: int, budget: int) -> list[f.Seat]:
    found = []
    for model, architecture in models.items():
        kind = kind_of(architecture)
        evaluator = "network" if kind == "network" else "nnue"
        for harness in harnesses_of(kind, seats):
            positions = 0 if harness == "policy" else budget * POSITIONS_A_SIMULATION
            simulations = budget if harness in SIMULATED else positions
            found.append(seat(harness, model=model, simulations=simulations, evaluator=evaluator))
    return found


def _pair(players: Sequence[f.Seat], number: int) -> tuple[f.Seat, f.Seat]:
    """The pair with this number: all meet, neighbours first, then those two apart, and so on."""
    count = len(players)
    first, apart = number % count, 1 + number // count % (count - 1)
    return players[first], players[(first + apart) % count]


def _cost(player: f.Seat) -> float:
    """The time of its decisions, relative to those of the loop: a search that looks at every move
    has a network value as many positions as its budget says."""
    several = (
        player.harness not in SIMULATED and player.evaluator == "network" and player.simulations
    )
    return float(POSITIONS_A_SIMULATION) if several else 1.0


def _earned(item: Tournament, seconds: float, context: Context) -> Tournament:
    credit = item.credit + context.settings.evaluation.tournament_share * seconds
    return replace(item, credit=min(credit, CREDIT_SECONDS_MAX))
