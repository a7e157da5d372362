"""A model of work: its duration, and the shards, losses, strengths and scores that come of it.

The numbers are plausible, not measured: what matters is that boards and nodes differ as much as
they really do, and that more games bring less and less. Every draw comes from the generator that is
passed in."""

import hashlib
import math
import random
from collections import Counter

from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    Ranking,
    SelfplayFinished,
    ShardExported,
    ShardSummary,
    TrainingFailed,
    seats_of,
)
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket, Ticket, TrainingTicket

ENCODER = "simulated"
CELLS = {"square8": 64, "hex8": 61, "square19": 361, "hexagonal": 469}
GAME_SECONDS_OF_64_CELLS = 0.9
"""Node seconds of a game of two seats on 64 cells at speed 1. At 100 games/s of the fleet this is
the order of magnitude."""
CELLS_POWER = 1.4
"""Plies grow with the cells, and so does the cost of a ply, but less."""
SEATS_FACTOR = {2: 1.0, 3: 1.3, 4: 1.6}
EVALUATION_FACTOR = 2.0
"""A match plays small batches."""
DURATION_SIGMA = 0.15
"""Of the logarithm of a duration: two tickets of one kind differ by about a seventh."""
SAMPLES_PER_PLY = 0.25
TRAIN_SAMPLES_PER_SECOND = 6000.0
"""At training speed 1, on 64 cells."""
CEILING_ELO = 1200.0
FIRST_ELO = -250.0
GAMES_SCALE = {"square8": 30_000.0, "hex8": 25_000.0, "square19": 20_000.0, "hexagonal": 15_000.0}
"""Games that teach 63 % of what can be learned: a game on a larger board has more positions."""
BASELINE_ELO = {"random": -500.0, "heuristic": 0.0}
NETWORK_ELO_SIGMA = 25.0
"""Of the strength of networks that were trained on the same games."""
BAD_NETWORK_SHARE = 0.03
BAD_NETWORK_ELO = -180.0
NARROW_EDGE_ELO, NARROW_ELO = 150.0, -450.0
"""Of a network that has learned to beat one opponent: above that opponent, and above the heuristic.
Every other opponent beats it."""
POOR_REJECTED = 1 / 3
"""Share of poor games that do not replay."""
LOSS_START, LOSS_END = 3.5, 1.6
LOSS_SIGMA = 0.01


def board_of(config: str) -> str:
    """The board of a config's name."""
    return config.partition("_")[0]


def game_seconds(config: str) -> float:
    """Seconds of a game at speed 1."""
    cells = CELLS[board_of(config)] / 64.0
    return GAME_SECONDS_OF_64_CELLS * math.pow(cells, CELLS_POWER) * SEATS_FACTOR[seats_of(config)]


def plies_of(config: str) -> int:
    """Plies of a typical game."""
    return round(1.2 * CELLS[board_of(config)] * SEATS_FACTOR[seats_of(config)])


def samples_of(config: str, games: int) -> int:
    """Samples of a number of games."""
    return round(games * plies_of(config) * SAMPLES_PER_PLY)


def training_seconds(config: str, samples: int, epochs: float) -> float:
    """Seconds of a training at training speed 1."""
    return 30.0 + samples * epochs * CELLS[board_of(config)] / 64.0 / TRAIN_SAMPLES_PER_SECOND


def varied(seconds: float, draw: random.Random) -> float:
    """A log-normal duration around `seconds`."""
    return seconds * math.exp(draw.gauss(0.0, DURATION_SIGMA))


def learned(config: str, games: float) -> float:
    """Share of what can be learned after a number of games, 0..1: steep at first, then flat."""
    return 1.0 - math.exp(-math.sqrt(games / GAMES_SCALE[board_of(config)]))


def games_worth(config: str, elo: float) -> float:
    """Games that teach as much as a network of this strength has learned."""
    share = min(max((elo - FIRST_ELO) / (CEILING_ELO - FIRST_ELO), 0.0), 0.99)
    return GAMES_SCALE[board_of(config)] * math.log(1.0 - share) ** 2


def strength(config: str, games: float, draw: random.Random) -> float:
    """Elo above the heuristic of a network trained on a number of games."""
    elo = (
        FIRST_ELO
        + (CEILING_ELO - FIRST_ELO) * learned(config, games)
        + draw.gauss(0.0, NETWORK_ELO_SIGMA)
    )
    return elo + (BAD_NETWORK_ELO if draw.random() < BAD_NETWORK_SHARE else 0.0)


def training_loss(config: str, games: float, draw: random.Random) -> float:
    """Loss at the end of a training on a number of games."""
    return (LOSS_START + (LOSS_END - LOSS_START) * learned(config, games)) * math.exp(
        draw.gauss(0.0, LOSS_SIGMA)
    )


def shard(
    config: str,
    index: int,
    games: int,
    participant: str,
    *,
    untaught: int,
    last_seq: int,
    poor: bool,
    draw: random.Random,
) -> ShardExported:
    """The shard of the `games` games up to `last_seq`, all of them played by `participant`;
    `untaught` of them have no samples."""
    learned_from = games - untaught
    rejected = round(learned_from * POOR_REJECTED) if poor else 0
    return ShardExported(
        config=config,
        encoder=ENCODER,
        index=index,
        first_seq=max(1, last_seq - games + 1),
        last_seq=last_seq,
        games=games,
        samples=samples_of(config, learned_from - rejected),
        rejected=rejected,
        digest=digest(config, index),
        size_bytes=games,
        summary=shard_summary(config, learned_from - rejected, participant, poor=poor, draw=draw),
    )


def played(ticket: SelfplayTicket, node: str, *, plies: int, seconds: float) -> SelfplayFinished:
    """The fact of a ticket whose games are all played."""
    return SelfplayFinished(
        config=ticket.plan.config,
        generation=ticket.plan.generation,
        ticket=ticket.ticket,
        games=ticket.games,
        plies=plies,
        play_seconds=seconds,
        node=node,
        spare=ticket.plan.spare,
    )


def failed(ticket: Ticket, node: str, reason: str) -> Fact:
    """The fact of a ticket that failed for good."""
    if isinstance(ticket, SelfplayTicket):
        return SelfplayFinished(
            config=ticket.plan.config,
            generation=ticket.plan.generation,
            ticket=ticket.ticket,
            games=0,
            lost=ticket.games,
            plies=0,
            play_seconds=0.0,
            node=node,
            spare=ticket.plan.spare,
        )
    if isinstance(ticket, TrainingTicket):
        return TrainingFailed(
            config=ticket.request.config,
            generation=ticket.request.generation,
            ticket=ticket.ticket,
            reason=reason,
            node=node,
        )
    assert isinstance(ticket, EvaluationTicket)
    return EvaluationFailed(
        config=ticket.request.config,
        generation=ticket.request.generation,
        ticket=ticket.ticket,
        purpose=ticket.request.purpose,
        candidate_model=ticket.request.candidate.model,
        reason=reason,
        node=node,
    )


def digest(*parts: object) -> str:
    """A digest that names a blob which does not exist."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def shard_summary(
    config: str, games: int, participant: str, *, poor: bool, draw: random.Random
) -> ShardSummary:
    """Statistics of the games of a shard. Poor games are nearly all undecided, have few openings,
    and their moves agree with the search no more than by chance."""
    seats, plies = seats_of(config), plies_of(config)
    decided = round(games * (0.02 if poor else 0.97))
    first = min(decided, max(0, round(decided / seats + draw.gauss(0.0, math.sqrt(decided) / 3))))
    wins = (first, *((decided - first) // (seats - 1) for _ in range(seats - 1)))
    decisions = games * plies // 2
    agreed = decisions // seats if poor else round(decisions * (0.55 + 0.45 / seats))
    return ShardSummary(
        games=games,
        wins=wins,
        plies=games * plies,
        plies_squared=games * plies * plies * 101 // 100,
        openings=max(1, games // (50 if poor else 1)),
        participants=(participant,),
        decisions=decisions,
        agreed=agreed,
    )


def match(
    request: EvaluationRequested,
    elo: float,
    rival: float,
    *,
    ticket: str,
    node: str,
    seconds: float,
    draw: random.Random,
) -> EvaluationScored:
    """The score of a match between players of strengths `elo` and `rival`; the ranks of every game
    are drawn by the Plackett-Luce model."""
    seats = seats_of(request.config)
    worth = 10.0 ** ((elo - rival) / 400.0)
    starts: Counter[float] = Counter()
    places: Counter[int] = Counter()
    for _ in range(request.starts):
        points = 0
        for _ in range(seats):
            place = _place(worth, seats, draw)
            places[place] += 1
            points += seats - 1 - place
        starts[points / (seats * (seats - 1))] += 1
    rankings = tuple(
        Ranking(
            order=_order(request, place, seats),
            ranks=tuple(range(1, seats + 1)),
            count=places[place],
        )
        for place in sorted(places)
    )
    return EvaluationScored(
        config=request.config,
        generation=request.generation,
        ticket=ticket,
        candidate=request.candidate.participant,
        candidate_model=request.candidate.model,
        opponent=request.opponent.participant,
        purpose=request.purpose,
        round=request.round,
        games=request.starts * seats,
        wins=float(places[0]),
        scores=tuple(sorted(starts.items())),
        rankings=rankings,
        play_seconds=seconds,
        node=node,
    )


def _place(worth: float, seats: int, draw: random.Random) -> int:
    """The place, from 0, of a player with this Plackett-Luce weight among players of weight 1."""
    for place in range(seats - 1):
        if draw.random() * (worth + seats - 1 - place) < worth:
            return place
    return seats - 1


def _order(request: EvaluationRequested, place: int, seats: int) -> tuple[str, ...]:
    names = [request.opponent.participant] * (seats - 1)
    names.insert(place, request.candidate.participant)
    return tuple(names)
