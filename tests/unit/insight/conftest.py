"""A small loop that really turns: the deciders over the in-memory log, with workers that make up
games, networks and scores."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, Settings, decode, event_id
from ringrift.events.codec import Draft
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GameCompleted,
    ModelRegistered,
    Ranking,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import (
    EvaluationSettings,
    SelfplaySettings,
    ShardSettings,
    TrainingSettings,
)
from ringrift.events.tickets import tickets_of
from ringrift.runtime.decide import DeciderRun
from ringrift.tools.memory_log import MemoryLog

DECIDERS = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(
    generations=3,
    selfplay=SelfplaySettings(games=4, bootstrap_games=4, games_per_ticket=2),
    shard=ShardSettings(games=2),
    training=TrainingSettings(min_samples=40),
    evaluation=EvaluationSettings(baseline_starts=8, starts_per_ticket=32),
)


def digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


class World:
    """`turn` lets the loop run until all processes are idle; a second passes with every
    event."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.runs = [DeciderRun(decider, {}) for decider in DECIDERS]
        self.seconds = 0
        self.next_game, self.shards = 1, 0
        self.waiting: list[tuple[Fact, str]] = []

    async def put(
        self, fact: Fact, cause: str | None = None, key: str | int = 0, source: str = "worker@n1"
    ) -> str:
        """Write a fact and let the deciders react; its position."""
        self.seconds += 1
        time = START + timedelta(seconds=self.seconds)
        item = Draft(
            event=fact, id=event_id(type(fact), cause, key), cause=cause, source=source, time=time
        )
        (seq,) = await self.log.append([item])
        stream = item.kind.stream
        if stream == "EVENTS":
            await self._react(fact, seq)
        return f"{stream}/{seq}"

    async def _react(self, fact: Fact, seq: int) -> None:
        self.waiting.append((fact, f"EVENTS/{seq}"))
        entry = await self.log.get("EVENTS", seq)
        assert entry is not None
        event, meta = decode(entry.body, stream="EVENTS", seq=seq)
        for run in self.runs:
            for number, decision in enumerate(run.take(event, meta)):
                run.fold(decision, meta)
                await self.put(
                    decision, meta.position, f"{run.decider.name}.{number}", "planner@n1"
                )

    async def turn(self) -> None:
        while self.waiting:
            fact, position = self.waiting.pop(0)
            match fact:
                case SelfplayPlanned():
                    await self._play(fact, position)
                case TrainingRequested():
                    await self._train(fact, position)
                case EvaluationRequested():
                    await self._measure(fact, position)

    async def _play(self, plan: SelfplayPlanned, position: str) -> None:
        seat = Seat(participant="x", harness="gumbel", simulations=32, model=plan.model)
        for number, ticket in enumerate(tickets_of(plan, position)):
            node = f"n{1 + number % 2}"
            for index in range(ticket.games):
                await self.game(
                    f"{ticket.ticket}-{index}",
                    (seat, seat),
                    "selfplay",
                    ticket.ticket,
                    position,
                    node,
                )
            finished = SelfplayFinished(
                config=plan.config,
                generation=plan.generation,
                ticket=ticket.ticket,
                games=ticket.games,
                plies=60,
                play_seconds=2.0,
                node=node,
            )
            await self.put(finished, position, ticket.ticket)
        await self.export(plan.config)

    async def game(
        self, name: str, seats: Any, origin: Any, ticket: str, cause: str, node: str
    ) -> None:
        game = GameCompleted(
            game=name,
            config="hex8_2p",
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
        await self.put(game, cause, name)

    async def export(self, config: str) -> None:
        while await self.log.tail("GAMES") >= self.next_game + 1:
            first, index = self.next_game, self.shards
            self.next_game, self.shards = first + 2, index + 1
            shard = ShardExported(
                config=config,
                encoder="e",
                index=index,
                first_seq=first,
                last_seq=first + 1,
                games=2,
                samples=30,
                rejected=0,
                digest=digest("shard", index),
                size_bytes=10,
            )
            await self.put(shard, f"GAMES/{first + 1}", "e")

    async def _train(self, request: TrainingRequested, position: str) -> None:
        model = digest("model", request.generation)
        parents = (request.parent,) if request.parent else ()
        finished = TrainingFinished(
            config=request.config,
            generation=request.generation,
            ticket="t",
            model=model,
            steps=10,
            samples=request.samples,
            loss=3.0 / request.generation,
            policy_loss=1.0,
            value_loss=1.0,
            validation_loss=None,
            train_seconds=5.0,
            node="n1",
        )
        registered = ModelRegistered(
            config=request.config,
            model=model,
            generation=request.generation,
            architecture="v2-micro",
            encoder="e",
            parameters=9,
            parents=parents,
            ticket="t",
        )
        await self.put(finished, position)
        await self.put(registered, position)

    async def _measure(self, request: EvaluationRequested, position: str) -> None:
        seats, ticket = (request.candidate, request.opponent), f"evaluation-{position}"
        for index in range(2):
            await self.game(f"{ticket}-{index}", seats, "evaluation", ticket, position, "n2")
        pairs = request.starts
        wins = {"random": pairs, "heuristic": pairs * 3 // 4, "promotion": pairs * 5 // 8}[
            request.purpose
        ]
        names = tuple(seat.participant for seat in seats)
        counts = [(names, wins), (names[::-1], pairs - wins)]
        scored = EvaluationScored(
            config=request.config,
            generation=request.generation,
            ticket=ticket,
            candidate=names[0],
            candidate_model=request.candidate.model,
            opponent=names[1],
            purpose=request.purpose,
            round=request.round,
            games=2,
            wins=2.0
            * wins
            / pairs,  # two games stand for all: every game counted is one in the log
            scores=tuple(
                (score, count) for score, count in ((0.0, pairs - wins), (1.0, wins)) if count
            ),
            rankings=tuple(
                Ranking(order=order, ranks=(1, 2), count=2 * count)
                for order, count in counts
                if count
            ),
            play_seconds=3.0,
            node="n2",
        )
        await self.put(scored, position)
        await self.export(request.config)


@pytest.fixture
async def world() -> World:
    """Three generations of hex8_2p."""
    world = World()
    await world.put(SettingsChanged(version=1, settings=SETTINGS, why="test"), source="ringrift@n1")
    await world.turn()
    return world
