"""A small loop of hex8_2p on the in-memory log: the real deciders, and workers that answer with
invented games, networks and scores."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import Fact, Recorded, Settings, event_id, facts as f
from ringrift.events.codec import Draft
from ringrift.events.settings import (
    EvaluationSettings,
    SelfplaySettings,
    ShardSettings,
    TrainingSettings,
)
from ringrift.events.tickets import tickets_of
from ringrift.log import read
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.authorship import writers
from ringrift.runtime.decide import DeciderRun
from ringrift.tools.memory_log import MemoryLog
from support import loop_facts

F = TypeVar("F", bound=Fact)
DECIDERS = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(
    generations=3,
    selfplay=SelfplaySettings(games=4, bootstrap_games=4, games_per_ticket=2),
    shard=ShardSettings(games=2),
    training=TrainingSettings(min_samples=40),
    evaluation=EvaluationSettings(baseline_starts=8, starts_per_ticket=32),
)
SHARE_WON = {"random": 1.0, "heuristic": 0.75, "promotion": 0.625}


def digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


class TurningLoop:
    """The log and its deciders. Every event takes a second."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.runs = [DeciderRun(decider, {}) for decider in DECIDERS]
        self._seconds = self._shards = 0
        self._waiting: list[tuple[Fact, str]] = []

    async def put(
        self, fact: Fact, cause: str | None = None, key: str | int = 0, source: str = ""
    ) -> str:
        """Record a fact, by default of a process that may write it, let the deciders react, and
        return its position."""
        self._seconds += 1
        item = Draft(
            event=fact,
            id=event_id(type(fact), cause, key),
            cause=cause,
            source=source or f"{writers(type(fact))[-1]}@n1",
            time=START + timedelta(seconds=self._seconds),
        )
        (seq,) = await self.log.append([item])
        position = f"{item.kind.stream}/{seq}"
        if item.kind.stream == EVENTS:
            self._waiting.append((fact, position))
            recorded = await read.fact_at(self.log, position)
            assert recorded is not None
            decided = []
            for run in self.runs:
                for number, decision in enumerate(run.take(*recorded)):
                    run.fold(decision, recorded.meta)
                    decided.append((decision, f"{run.decider.name}.{number}"))
            for decision, name in decided:  # all have read the event by now, as in the log
                await self.put(decision, position, name)
        return position

    async def turn(self) -> None:
        """Let the workers answer requests until none is left."""
        while self._waiting:
            fact, position = self._waiting.pop(0)
            match fact:
                case f.SelfplayPlanned():
                    await self._play(fact, position)
                case f.TrainingRequested():
                    await self._train(fact, position)
                case f.EvaluationRequested():
                    await self._evaluate(fact, position)

    def game(self, name: str, seats: tuple[f.Seat, ...], **changes: Any) -> f.GameCompleted:
        """Return a game of a ticket."""
        return game(name, seats, **changes)

    async def all(self, *kinds: type[F]) -> list[Recorded[F]]:
        """Return the recorded events of some kinds."""
        return [item async for item in read.facts(self.log, *kinds)]

    async def first(self, kind: type[F]) -> Recorded[F]:
        """Return the first recorded event of a kind."""
        return (await self.all(kind))[0]

    async def tail(self) -> int:
        """Return the newest sequence of `EVENTS`."""
        return await self.log.tail(EVENTS)

    def evaluator_of(self, request: f.EvaluationRequested) -> str:
        """Return the node that plays a match: others play the other tickets of a split round."""
        return f"n{2 + request.round % request.split}" if request.split else "n2"

    async def _play(self, plan: f.SelfplayPlanned, position: str) -> None:
        seat = f.Seat(participant="x", harness="gumbel", simulations=32, model=plan.model)
        for number, ticket in enumerate(tickets_of(plan, position)):
            node, name = f"n{1 + number % 2}", ticket.ticket
            for index in range(ticket.games):
                played = self.game(f"{name}-{index}", (seat, seat), ticket=name, node=node)
                await self.put(played, position, played.game)
            finished = replace(
                loop_facts.played(plan.generation, ticket.games),
                ticket=name,
                plies=60,
                play_seconds=2.0,
                node=node,
            )
            await self.put(finished, position, name)
        await self._export()

    async def _export(self) -> None:
        """Export every two games as a shard."""
        while await self.log.tail(GAMES) >= 2 * self._shards + 2:
            first = 2 * self._shards + 1
            shard = replace(
                loop_facts.exported(self._shards, 2, 30, digest("shard", self._shards)),
                first_seq=first,
                last_seq=first + 1,
            )
            self._shards += 1
            await self.put(shard, f"{GAMES}/{first + 1}", "e")

    async def _train(self, request: f.TrainingRequested, position: str) -> None:
        model = digest("model", request.generation)
        finished = replace(
            loop_facts.finished(model, request.generation),
            samples=request.samples,
            loss=3.0 / request.generation,
            train_seconds=5.0,
            node="n1",
        )
        parents = (request.parent,) if request.parent else ()
        registered = replace(loop_facts.registered(model, request.generation), parents=parents)
        await self.put(finished, position)
        await self.put(registered, position)

    async def _evaluate(self, request: f.EvaluationRequested, position: str) -> None:
        seats, ticket = (
            (request.candidate, request.opponent),
            tickets_of(request, position)[0].ticket,
        )
        for index in range(2):  # two games stand for all: every game counted is in the log
            played = self.game(
                f"{ticket}-{index}", seats, ticket=ticket, node="n2", origin="evaluation"
            )
            await self.put(played, position, played.game)
        wins = int(request.starts * SHARE_WON[request.purpose])
        losses = request.starts - wins
        names = tuple(seat.participant for seat in seats)
        rankings = [(names, wins), (names[::-1], losses)]
        scored = f.EvaluationScored(
            config=request.config,
            generation=request.generation,
            ticket=ticket,
            candidate=names[0],
            candidate_model=request.candidate.model,
            opponent=names[1],
            purpose=request.purpose,
            round=request.round,
            games=2,
            wins=2.0 * wins / request.starts,
            scores=tuple((score, count) for score, count in ((0.0, losses), (1.0, wins)) if count),
            rankings=tuple(
                f.Ranking(order=order, ranks=(1, 2), count=2 * count)
                for order, count in rankings
                if count
            ),
            play_seconds=3.0,
            node=self.evaluator_of(request),
        )
        await self.put(scored, position)
        await self._export()


def game(
    name: str,
    seats: tuple[f.Seat, ...],
    *,
    ticket: str = "t",
    node: str = "n1",
    origin: Any = "selfplay",
) -> f.GameCompleted:
    """Return a game that seat 1 won after 30 plies."""
    return f.GameCompleted(
        game=name,
        config=loop_facts.CONFIG,
        origin=origin,
        ticket=ticket,
        seats=seats,
        pie=False,
        seed=1,
        moves="a1 b2",
        plies=30,
        winner=1,
        reason="territory",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(1, 0),
        targets=b"x",
        rules_version=1,
        play_seconds=1.0,
        node=node,
        settings_version=1,
    )
