"""A made-up history of the loop over all configs, without end: the log that `replay` folds."""

import hashlib
from collections.abc import Iterator

from msgspec.structs import replace

from ringrift.deciders.loop.repeats import HEURISTIC, RANDOM
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    Ranking,
    Rating,
    RatingsUpdated,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    ShardRetired,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
    seats_of,
)
from ringrift.events.participants import network_seat

BOARDS = ("square8", "square19", "hex8", "hexagonal")
CONFIGS = tuple(f"{board}_{seats}p" for board in BOARDS for seats in (2, 3, 4))
TICKETS = 12
"""Tickets, and shards, of one generation."""
WINDOW = 8
KEPT_GENERATIONS = 3
"""Generations whose shards are kept: 36 shards of 4,800 samples are two windows."""
KINDS = {
    SelfplayFinished: "selfplay",
    TrainingFinished: "training",
    ModelRegistered: "training",
    EvaluationScored: "evaluation",
}

Step = tuple[Fact, int]
"""A fact, and how many events before it its cause is; 0 for none."""


def history() -> Iterator[tuple[Fact, int]]:
    """Facts without end, each with the sequence of its cause, 0 for none."""
    yield SettingsChanged(version=1, settings=Settings(configs=CONFIGS), why="bench"), 0
    seq, generation = 1, 0
    current: dict[str, str | None] = dict.fromkeys(CONFIGS)
    while True:
        for config in CONFIGS:
            for fact, back in _generation(config, generation, current[config]):
                seq += 1
                yield _with_ticket(fact, seq - back, back), seq - back if back else 0
            current[config] = _digest("model", config, generation)
        generation += 1


def _with_ticket(fact: Fact, request: int, back: int) -> Fact:
    """The fact with the ticket of the request that it answers, named as workers name it."""
    kind = KINDS.get(type(fact))
    if kind is None:
        return fact
    part = f"-{back - 1}" if kind == "selfplay" else ""
    return replace(fact, ticket=f"{kind}-events-{request}{part}")


def _generation(config: str, number: int, current: str | None) -> Iterator[Step]:
    """One generation of a config, from self-play to promotion."""
    model = _digest("model", config, number)
    planned = SelfplayPlanned(
        config=config,
        generation=number,
        games=64 * TICKETS,
        games_per_ticket=64,
        simulations=32,
        model=current,
        seed=1,
        settings_version=1,
    )
    yield planned, 1
    for ticket in range(TICKETS):
        finished = SelfplayFinished(
            config=config,
            generation=number,
            ticket="t",
            games=64,
            plies=9000,
            play_seconds=9.0,
            node="node1",
        )
        yield finished, ticket + 1
    yield TickRecorded(minute=number), 0
    if number >= KEPT_GENERATIONS:
        yield from _retired(config, number - KEPT_GENERATIONS)
    yield from _exported(config, number)
    yield from _training(config, number + 1, current, model)
    yield from _evaluations(config, number + 1, model)
    promoted = ModelPromoted(
        config=config,
        generation=number + 1,
        model=model,
        previous=current,
        evidence=None,
        why="bench",
        settings_version=1,
    )
    yield promoted, 2


def _shards(config: str, generation: int) -> list[tuple[int, str]]:
    """Index and digest of each shard of a generation."""
    return [
        (generation * TICKETS + number, _digest("shard", config, generation, number))
        for number in range(TICKETS)
    ]


def _retired(config: str, generation: int) -> Iterator[Step]:
    for number, (index, digest) in enumerate(_shards(config, generation)):
        fact = ShardRetired(
            config=config, digest=digest, index=index, why="bench", settings_version=1
        )
        yield fact, number + 1


def _exported(config: str, generation: int) -> Iterator[Step]:
    for index, digest in _shards(config, generation):
        fact = ShardExported(
            config=config,
            encoder="e1",
            index=index,
            first_seq=index * 64 + 1,
            last_seq=index * 64 + 64,
            games=64,
            samples=4800,
            rejected=0,
            digest=digest,
            size_bytes=300_000,
        )
        yield fact, 0


def _training(config: str, generation: int, parent: str | None, model: str) -> Iterator[Step]:
    shards = tuple(digest for _, digest in _shards(config, generation - 1))
    requested = TrainingRequested(
        config=config,
        generation=generation,
        architecture="v2-micro",
        parent=parent,
        shards=shards[-WINDOW:],
        samples=38_400,
        seed=1,
        reason="bench",
        settings_version=1,
    )
    yield requested, 1
    finished = TrainingFinished(
        config=config,
        generation=generation,
        ticket="t",
        model=model,
        steps=300,
        samples=38_400,
        loss=2.5,
        policy_loss=1.5,
        value_loss=1.0,
        validation_loss=2.6,
        train_seconds=60.0,
        node="node1",
    )
    yield finished, 1
    registered = ModelRegistered(
        config=config,
        model=model,
        generation=generation,
        architecture="v2-micro",
        encoder="e1",
        parameters=127_396,
        parents=(parent,) if parent else (),
        ticket="t",
    )
    yield registered, 2


def _evaluations(config: str, generation: int, model: str) -> Iterator[Step]:
    """Both baselines are requested, then scored and rated one after the other."""
    candidate = network_seat(model, 32)
    opponents, starts = (RANDOM, HEURISTIC), 48
    for number, opponent in enumerate(opponents):
        request = EvaluationRequested(
            config=config,
            generation=generation,
            candidate=candidate,
            opponent=opponent,
            purpose="random" if opponent is RANDOM else "heuristic",
            round=0,
            starts=starts,
            seed=1,
            settings_version=1,
        )
        yield request, number + 1
    names = [seat.participant for seat in (candidate, *opponents)]
    ratings = tuple(
        Rating(participant=name, elo=0.0, se=float(name != HEURISTIC.participant), games=96)
        for name in names
    )
    for number, opponent in enumerate(opponents):
        seats = seats_of(config)
        games, lost = starts * seats, 16
        order = (candidate.participant, *[opponent.participant] * (seats - 1))
        ranks = tuple(range(1, seats + 1))
        score = EvaluationScored(
            config=config,
            generation=generation,
            ticket="t",
            candidate=order[0],
            candidate_model=model,
            opponent=order[1],
            purpose="random" if opponent is RANDOM else "heuristic",
            round=0,
            games=games,
            wins=games - lost,
            scores=((0.5, 16), (1.0, starts - 16)),
            play_seconds=30.0,
            node="node1",
            rankings=(
                Ranking(order=order, ranks=ranks, count=games - lost),
                Ranking(order=order[::-1], ranks=ranks, count=lost),
            ),
        )
        yield score, 2 + number
        yield (
            RatingsUpdated(config=config, ratings=ratings, games=96, anchor=HEURISTIC.participant),
            1,
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
