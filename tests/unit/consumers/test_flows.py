"""The critical flows from end to end: deciders, dispatcher and exporter as they run, workers that
answer at once, one log.

Each flow is a chain of causes in the log: every event names the one before it (requirement
G15.20)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from ringrift.consumers import dispatcher, exporter, feedback, planner, promoter, rater
from ringrift.deciders.loop import evaluation, promotion, retention, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, Recorded, Settings, decode, draft
from ringrift.events.facts import (
    CurriculumReweighted,
    EvaluationRequested,
    EvaluationScored,
    ExplorationAdjusted,
    GameCompleted,
    HyperparametersAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    QualityAssessed,
    Ranking,
    RatingsUpdated,
    RegressionDetected,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    VelocityChanged,
)
from ringrift.events.settings import (
    EvaluationSettings,
    SelfplaySettings,
    ShardSettings,
    TrainingSettings,
)
from ringrift.events.tickets import (
    EvaluationTicket,
    SelfplayTicket,
    Ticket,
    TrainingTicket,
    decode_ticket,
)
from ringrift.learning.targets import Decision, encode
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION
from ringrift.runtime.decide import DeciderRun, replayed
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES

CONFIG, GENERATIONS = "hex8_2p", 6
SETTINGS = Settings(
    configs=(CONFIG,),
    generations=GENERATIONS,
    shard=ShardSettings(games=2),
    training=TrainingSettings(min_samples=1),
    selfplay=SelfplaySettings(bootstrap_games=2, games=2, games_per_ticket=1),
    evaluation=EvaluationSettings(starts_per_ticket=64, baseline_starts=64),
)
ROLES = (planner, promoter, rater, feedback, dispatcher, exporter)
DECIDERS = (
    selfplay.DECIDER,
    training.DECIDER,
    evaluation.DECIDER,
    retention.DECIDER,
    promotion.DECIDER,
    elo.DECIDER,
    *PROCESSES["feedback"].deciders,
)
FAILING, ABNORMAL = 2, 6
"""generations whose training fails at first, and whose loss jumps"""
SECONDS_MAX = 10.0
"""from a cause to the decision on it; milliseconds where nothing else runs"""

FLOWS: dict[str, tuple[type[Fact], ...]] = {
    "a plan becomes games, and those samples": (SelfplayPlanned, GameCompleted, ShardExported),
    "samples are assessed": (ShardExported, QualityAssessed),
    "samples become a network, which is measured": (
        ShardExported,
        TrainingRequested,
        ModelRegistered,
        EvaluationRequested,
        EvaluationScored,
    ),
    "results become ratings and a pace": (EvaluationScored, RatingsUpdated, VelocityChanged),
    "results promote, and the new network plays": (
        EvaluationScored,
        ModelPromoted,
        SelfplayPlanned,
    ),
    "a promotion moves the curriculum": (EvaluationScored, ModelPromoted, CurriculumReweighted),
    "a training that fails is asked for again": (
        TrainingRequested,
        TrainingFailed,
        TrainingRequested,
        TrainingFinished,
    ),
    "a loss that jumps moves exploration": (
        TrainingFinished,
        LossAnomalyDetected,
        ExplorationAdjusted,
    ),
    "a loss that jumps moves the next training": (
        TrainingFinished,
        LossAnomalyDetected,
        HyperparametersAdjusted,
    ),
    "a regression is rolled back": (
        EvaluationScored,
        RatingsUpdated,
        RegressionDetected,
        ModelRolledBack,
    ),
}


@functools.cache
def game(number: int) -> GameCompleted:
    """A random game with a target at its first choice."""
    rng, position, moves = (
        np.random.default_rng(number),
        Position.start(Config.parse(CONFIG)),
        list[str](),
    )
    while not position.over:
        code = int(rng.choice(position.legal_codes()))
        moves.append(position.token(code))
        position.play_code(code)
    seat = Seat(participant="x:gumbel:s8", harness="gumbel", simulations=8)
    target = Decision(0, np.zeros(2, np.float32), np.array([0]), np.ones(1, np.float32))
    return GameCompleted(
        game=f"game-{number}",
        config=CONFIG,
        origin="selfplay",
        ticket="t",
        seats=(seat, seat),
        pie=False,
        seed=number,
        moves=" ".join(moves),
        plies=position.ply,
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=encode(2, [target]),
        rules_version=RULES_VERSION,
        play_seconds=0.0,
        node="n",
        settings_version=1,
    )


def model(generation: int) -> str:
    return f"{generation:x}" * 64


def scored(request: EvaluationRequested, ticket: str, *, wins: bool = True) -> EvaluationScored:
    """Everything won, or lost; no games, or the exporter would wait for them."""
    order = (request.candidate.participant, request.opponent.participant)
    return EvaluationScored(
        config=CONFIG,
        generation=request.generation,
        ticket=ticket,
        candidate=order[0],
        candidate_model=request.candidate.model,
        opponent=order[1],
        purpose=request.purpose,
        round=request.round,
        games=0,
        wins=0.0,
        scores=((float(wins), request.starts),),
        play_seconds=1.0,
        node="n",
        rankings=(
            Ranking(order=order if wins else order[::-1], ranks=(1, 2), count=2 * request.starts),
        ),
    )


def answers(ticket: Ticket, failed: set[int]) -> Iterator[Fact]:
    """What workers would write."""
    match ticket:
        case SelfplayTicket():
            plan = ticket.plan
            yield game(2 * plan.generation + ticket.first_game)
            yield SelfplayFinished(
                config=CONFIG,
                generation=plan.generation,
                ticket=ticket.ticket,
                games=1,
                plies=1,
                play_seconds=1.0,
                node="n",
            )
        case TrainingTicket():
            generation = ticket.request.generation
            named = {"config": CONFIG, "generation": generation, "ticket": ticket.ticket}
            if generation == FAILING and generation not in failed:
                failed.add(generation)
                yield TrainingFailed(**named, reason="test", node="n")
                return
            loss = 9.0 if generation == ABNORMAL else 2.0
            yield TrainingFinished(
                **named,
                model=model(generation),
                steps=1,
                samples=1,
                loss=loss,
                policy_loss=1.0,
                value_loss=1.0,
                validation_loss=None,
                train_seconds=1.0,
                node="n",
            )
            yield ModelRegistered(
                **named,
                model=model(generation),
                architecture="v2-micro",
                encoder="e",
                parameters=1,
                parents=(),
            )
        case EvaluationTicket():
            yield scored(ticket.request, ticket.ticket)


async def labour(log: MemoryLog) -> None:
    """Do every ticket at once, for ever."""
    failed: set[int] = set()
    while True:
        for kind in ("selfplay", "training", "evaluation"):
            while (item := await log.next_ticket(kind, wait_seconds=0.0)) is not None:
                ticket = decode_ticket(item.body)
                for fact in answers(ticket, failed):
                    await log.append(
                        [draft(fact, cause=ticket.cause, source="test", key=ticket.ticket)]
                    )
                await item.ack()
        await asyncio.sleep(0)


async def until(log: MemoryLog, kind: type[Fact], count: int = 1) -> Recorded:
    """The event of a kind with that number."""
    async for entry in log.follow("EVENTS"):
        recorded = decode(entry.body, stream="EVENTS", seq=entry.seq)
        count -= isinstance(recorded.event, kind)
        if not count:
            return recorded
    raise AssertionError


async def live(log: MemoryLog) -> None:
    """Generations one after another, then a match that the newest network loses against the one
    before."""
    names = [role.__name__.rpartition(".")[2] for role in ROLES]
    runners = [Process(name, "test", MemoryLog(log.broker)) for name in names]
    tasks = [
        asyncio.create_task(role.main(runner)) for role, runner in zip(ROLES, runners, strict=True)
    ]
    tasks.append(asyncio.create_task(labour(MemoryLog(log.broker))))
    try:
        async with asyncio.timeout(60):
            await log.append(
                [
                    draft(
                        SettingsChanged(version=1, settings=SETTINGS, why="test"),
                        cause=None,
                        source="test",
                    )
                ]
            )
            await until(log, ModelPromoted, GENERATIONS)
            lost = EvaluationRequested(
                config=CONFIG,
                generation=GENERATIONS,
                candidate=evaluation.network_seat(model(GENERATIONS), 32),
                opponent=evaluation.network_seat(model(GENERATIONS - 1), 32),
                purpose="tournament",
                round=0,
                starts=1000,
                seed=1,
                settings_version=1,
            )
            await log.append(
                [
                    draft(
                        scored(lost, "by-hand", wins=False),
                        cause=None,
                        source="test",
                        key="by-hand",
                    )
                ]
            )
            await until(log, ModelRolledBack)
            await until(log, ExplorationAdjusted)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@functools.cache
def history() -> dict[str, Recorded]:
    """Everything that happened, by position."""
    log = MemoryLog(MemoryBroker())

    async def read() -> list[Recorded]:
        await live(log)
        return [
            decode(entry.body, stream=stream, seq=entry.seq)
            for stream in ("EVENTS", "GAMES")
            async for batch in log.read(stream)
            for entry in batch
        ]

    return {recorded.meta.position: recorded for recorded in asyncio.run(read())}


def chains(kinds: tuple[type[Fact], ...]) -> list[list[Recorded]]:
    """Every chain of causes through these types, its end first."""
    found = [[item] for item in history().values() if isinstance(item.event, kinds[-1])]
    for kind in reversed(kinds[:-1]):
        longer = (
            [*chain, history()[cause]]
            for chain in found
            if (cause := chain[-1].meta.cause) in history()
        )
        found = [chain for chain in longer if isinstance(chain[-1].event, kind)]
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_the_flow_runs_from_end_to_end_each_event_the_cause_of_the_next(flow: str) -> None:
    found = chains(FLOWS[flow])
    assert found
    for chain in found:
        for effect, cause in pairwise(chain):
            assert 0.0 <= (effect.meta.time - cause.meta.time).total_seconds() <= SECONDS_MAX


def test_each_step_of_the_loop_is_taken_once_a_generation() -> None:
    for kind, count in (
        (TrainingFinished, GENERATIONS),
        (ModelPromoted, GENERATIONS),
        (TrainingRequested, GENERATIONS + 1),
    ):
        assert sum(isinstance(item.event, kind) for item in history().values()) == count


def test_every_decision_is_derived_again_from_the_log() -> None:
    events = [item for item in history().values() if item.meta.stream == "EVENTS"]
    for decider in DECIDERS:
        run, own = DeciderRun(decider, {}), dict[int, list[Recorded]]()
        for item in events:
            if type(item.event) in decider.writes and item.meta.cause:
                own.setdefault(int(item.meta.cause.partition("/")[2]), []).append(item)
        for event, meta in events:
            decided = run.take(event, meta)
            recorded = own.get(meta.seq, [])
            assert decided == tuple(item.event for item in recorded) or meta.seq > max(
                own, default=0
            ), decider.name
            for fact in recorded:
                run.fold(*fact)
        assert run.state == replayed(decider, events).state
