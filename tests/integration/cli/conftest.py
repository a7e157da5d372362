"""A real server over a temporary directory with a small history in it, for commands that look at a
running system."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from support.object_stores import s3

from ringrift.cli.main import main
from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, Settings, draft
from ringrift.events.facts import (
    EvaluationScored,
    GameCompleted,
    Ranking,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
)
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Presence
from ringrift.rules import Config, Position
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

__all__ = ["s3"]
T = TypeVar("T")
GAME = "selfplay-events-2-0-0"
MODEL = "ab" * 32


@dataclass
class System:
    """A server over `data`. `call` runs a coroutine next to it; `seqs` are sequences of the history
    by name."""

    data: Path
    call: Callable[[Coroutine[Any, Any, Any]], Any]
    server: EmbeddedServer
    seqs: dict[str, int] = field(default_factory=dict)
    game: str = GAME


class Run:
    """Runs commands on a system; `err` is the standard error of the last one."""

    def __init__(self, system: System, capsys: pytest.CaptureFixture[str]) -> None:
        self._system, self._capsys = system, capsys
        self.err = ""

    def __call__(self, *words: str, status: int = 0) -> str:
        found = main([*words, "--data", str(self._system.data)])
        out, self.err = self._capsys.readouterr()
        assert found == status, (out, self.err)
        return out

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self(*words, "--json", status=status))


@pytest.fixture(autouse=True)
def logs_on_standard_error() -> Iterator[None]:
    """Keep logs of processes that run inside a test out of the results of commands.

    Configured for each test: tests of other files that run in between reset structlog.
    """
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(system: System, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(system, capsys)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=loop.run_forever
    )  # commands run a loop of their own on the main thread
    thread.start()

    def call(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    data = tmp_path_factory.mktemp("system")
    server = call(EmbeddedServer.start(data))
    system = System(data, call, server)
    try:
        call(_history(system))
        yield system
    finally:
        call(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _history(system: System) -> None:
    log = await JetStreamLog.open(system.server.url, name="test")
    try:
        await ensure(log)
        note = system.seqs

        async def put(name: str, fact: Fact, cause: int | None = None, key: int = 0) -> int:
            where = f"EVENTS/{cause}" if cause else None
            (note[name],) = await log.append([draft(fact, cause=where, source="test", key=key)])
            return note[name]

        settings = await put(
            "settings", SettingsChanged(version=1, settings=Settings(generations=2), why="test")
        )
        plan = await put("plan", planned(), settings)
        await log.append_each([draft(played(), cause=f"EVENTS/{plan}", source="test")])
        finished = SelfplayFinished(
            config="hex8_2p",
            generation=0,
            ticket="selfplay-events-2-0",
            games=1,
            plies=30,
            play_seconds=1.0,
            node="test",
        )
        await put("finished", finished, plan)
        state = elo.DECIDER.initial()
        for number, wins in enumerate((3, 5)):
            seq = await put(f"scored{number}", scored(wins), key=number)
            entry = await log.get("EVENTS", seq)
            assert entry is not None
            event, meta = entry.recorded("EVENTS")
            state = elo.DECIDER.evolve(state, event, Context.of(meta))
            await put(f"rated{number}", elo.table(state, "hex8_2p"), seq)
        note["garbage"] = await log.publish(
            "EVENTS", "ringrift.pipeline.all.paused", b'{"not": "ours"', headers={}
        )
        beat = Heartbeat(
            consumer="rater",
            node="test",
            instance="one",
            pid=1,
            doing="rating",
            seq=note["rated1"],
            errors=0,
            folds={"elo": "0" * 16},
        )
        await Presence(log).beat(beat)
    finally:
        await log.close()


def planned() -> SelfplayPlanned:
    return SelfplayPlanned(
        config="hex8_2p",
        generation=0,
        games=1,
        games_per_ticket=1,
        simulations=4,
        model=None,
        seed=1,
        settings_version=1,
    )


def played() -> GameCompleted:
    """A game of which seat 1 made the first legal move of 30 plies and resigned."""
    position, moves = Position.start(Config.parse("hex8_2p")), list[str]()
    for _ in range(30):
        moves.append(position.legal()[0])
        position.play(moves[-1])
    moves.append("resign")
    position.play("resign")
    seat = Seat(
        participant="baseline:gumbel:4", harness="gumbel", simulations=4, evaluator="heuristic"
    )
    return GameCompleted(
        game=GAME,
        config="hex8_2p",
        origin="selfplay",
        ticket="selfplay-events-2-0",
        seats=(seat, seat),
        pie=False,
        seed=1,
        moves=" ".join(moves),
        plies=len(moves),
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=b"x" * 1000,
        rules_version=1,
        play_seconds=0.1,
        node="test",
        settings_version=1,
    )


def scored(wins: int) -> EvaluationScored:
    """Eight games of a network against random play."""
    names = (f"{MODEL[:12]}:gumbel:4", "baseline:random:0")
    rankings = (
        Ranking(order=names, ranks=(1, 2), count=wins),
        Ranking(order=names[::-1], ranks=(1, 2), count=8 - wins),
    )
    return EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket=f"evaluation-events-{wins}",
        candidate=names[0],
        candidate_model=MODEL,
        opponent=names[1],
        purpose="random",
        round=0,
        games=8,
        wins=wins,
        scores=((0.5, 4),),
        rankings=rankings,
        play_seconds=1.0,
        node="test",
    )


def append(system: System, *facts: Fact) -> list[int]:
    """Append facts to the log."""

    async def work() -> list[int]:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            return [
                (await log.append([draft(fact, cause=None, source="test", key=f"{id(fact)}")]))[0]
                for fact in facts
            ]
        finally:
            await log.close()

    return list(system.call(work()))
