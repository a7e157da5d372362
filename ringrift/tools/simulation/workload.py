"""What work takes and brings, as a model: durations, shards, losses, strengths and matches.

The numbers are plausible, not measured: what matters is that boards and nodes differ as much as
they really do, and that more games bring less and less. Every draw comes from the one generator
that is handed in."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter

from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    Ranking,
    ShardExported,
    ShardSummary,
)

ENCODER = "simulated"
CELLS = {"square8": 64, "hex8": 61, "square19": 361, "hexagonal": 469}
GAME_SECONDS_OF_64_CELLS = 0.9
"""node seconds for a game of two seats on 64 cells at speed 1: at 100 games/s of the fleet this is
the order of magnitude"""
CELLS_POWER = 1.4
"""plies grow with the cells, and so does the cost of a ply, but less"""
SEATS_FACTOR = {2: 1.0, 3: 1.3, 4: 1.6}
EVALUATION_FACTOR = 2.0
"""a match plays small batches"""
DURATION_SIGMA = 0.15
"""of the logarithm of a duration: two tickets of one sort differ by about a seventh"""
SAMPLES_A_PLY = 0.25
TRAIN_SAMPLES_A_SECOND = 6000.0
"""at training speed 1, on 64 cells"""
CEILING_ELO = 1200.0
FIRST_ELO = -250.0
GAMES_SCALE = {"square8": 30_000.0, "hex8": 25_000.0, "square19": 20_000.0, "hexagonal": 15_000.0}
"""games at which 63 % of what can be learned is: the larger boards have more positions a game"""
BASELINE_ELO = {"random": -500.0, "heuristic": 0.0}
NETWORK_ELO_SIGMA = 25.0
"""networks trained on the same games differ by so much"""
BAD_NETWORK_SHARE = 0.03
BAD_NETWORK_ELO = -180.0
NARROW_EDGE_ELO, NARROW_ELO = 150.0, -450.0
"""of a network that has learned to beat one opponent: above that one, and above the heuristic, so
that anybody else beats it"""
POOR_REJECTED = 1 / 3
"""share of poor games that do not replay"""
LOSS_START, LOSS_END = 3.5, 1.6
LOSS_SIGMA = 0.01


def board_of(config: str) -> str:
    """The board of a config's name."""
    return config.partition("_")[0]


def seats_of(config: str) -> int:
    """The seats of a config's name."""
    return int(config[-2])


def game_seconds(config: str) -> float:
    """Seconds a game at speed 1."""
    cells = CELLS[board_of(config)] / 64.0
    return GAME_SECONDS_OF_64_CELLS * math.pow(cells, CELLS_POWER) * SEATS_FACTOR[seats_of(config)]


def plies_of(config: str) -> int:
    """Usual plies of a game."""
    return round(1.2 * CELLS[board_of(config)] * SEATS_FACTOR[seats_of(config)])


def samples_of(config: str, games: int) -> int:
    """Samples of so many games."""
    return round(games * plies_of(config) * SAMPLES_A_PLY)


def training_seconds(config: str, samples: int, epochs: float) -> float:
    """Seconds of a training at training speed 1."""
    return 30.0 + samples * epochs * CELLS[board_of(config)] / 64.0 / TRAIN_SAMPLES_A_SECOND


def varied(seconds: float, draw: random.Random) -> float:
    """A duration as it happens to be: log-normal."""
    return seconds * math.exp(draw.gauss(0.0, DURATION_SIGMA))


def learned(config: str, games: float) -> float:
    """Share of what can be learned that so many games teach, 0..1: steep at first, then flat."""
    return 1.0 - math.exp(-math.sqrt(games / GAMES_SCALE[board_of(config)]))


def strength(config: str, games: float, draw: random.Random) -> float:
    """Elo above the heuristic of a network trained on so many games."""
    elo = (
        FIRST_ELO
        + (CEILING_ELO - FIRST_ELO) * learned(config, games)
        + draw.gauss(0.0, NETWORK_ELO_SIGMA)
    )
    return elo + (BAD_NETWORK_ELO if draw.random() < BAD_NETWORK_SHARE else 0.0)


def training_loss(config: str, games: float, draw: random.Random) -> float:
    """Loss at the end of a training on so many games."""
    return (LOSS_START + (LOSS_END - LOSS_START) * learned(config, games)) * math.exp(
        draw.gauss(0.0, LOSS_SIGMA)
    )


def shard(
    config: str,
    index: int,
    games: int,
    participant: str,
    *,
    last_seq: int,
    poor: bool,
    draw: random.Random,
) -> ShardExported:
    """The shard of so many games up to `last_seq`, each of them played by `participant`."""
    rejected = round(games * POOR_REJECTED) if poor else 0
    return ShardExported(
        config=config,
        encoder=ENCODER,
        index=index,
        first_seq=max(1, last_seq - games + 1),
        last_seq=last_seq,
        games=games,
        samples=samples_of(config, games - rejected),
        rejected=rejected,
        digest=digest(config, index),
        size_bytes=games,
        summary=shard_summary(config, games - rejected, participant, poor=poor, draw=draw),
    )


def digest(*parts: object) -> str:
    """A name for a blob that is not there."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def shard_summary(
    config: str, games: int, participant: str, *, poor: bool, draw: random.Random
) -> ShardSummary:
    """What the games of a shard were like; poor ones are nearly all undecided, open alike and agree
    with nobody."""
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
    """The score of a match between players so strong: every place of every game is drawn by
    Plackett and Luce's rule."""
    seats = seats_of(request.config)
    worth = 10.0 ** ((elo - rival) / 400.0)
    starts: Counter[float] = Counter()
    places: Counter[int] = Counter()
    for _ in range(request.starts):
        points = 0
        for _ in range(seats):
            place = next(
                (n for n in range(seats - 1) if draw.random() * (worth + seats - 1 - n) < worth),
                seats - 1,
            )
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


def _order(request: EvaluationRequested, place: int, seats: int) -> tuple[str, ...]:
    names = [request.opponent.participant] * (seats - 1)
    names.insert(place, request.candidate.participant)
    return tuple(names)
