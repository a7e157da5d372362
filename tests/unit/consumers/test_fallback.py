"""A network that cannot be fetched: retries, then an older one and a fact that reports it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, promoted, requested
from support.system import PLAN as USUAL_PLAN, System

from ringrift.consumers import selfplay
from ringrift.consumers.networks.fetching import Networks, wanted_or_older
from ringrift.consumers.trainer import initial_weights
from ringrift.events import Fact
from ringrift.events.facts import (
    FallbackModelUsed,
    GameCompleted,
    ModelRolledBack,
    SelfplayFinished,
    SelfplayPlanned,
)
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import SelfplayTicket, TrainingTicket, tickets_of
from ringrift.log.errors import BlobMissing, LogUnavailable
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules import Config
from ringrift.runtime.process import Drained, Process

PLAN = replace(USUAL_PLAN, games=2, games_per_ticket=2, model=C)


@pytest.fixture
async def process(system: System) -> Process:
    return system.process()


async def ticket(system: System, *history: Fact) -> SelfplayTicket:
    """A ticket that needs network C, after some history."""
    (item,) = tickets_of(PLAN, f"EVENTS/{await system.write(*history, PLAN)}")
    assert isinstance(item, SelfplayTicket)
    return item


def rolled_back(model: str, current: str) -> ModelRolledBack:
    return ModelRolledBack(
        config=CONFIG, model=model, current=current, elo_drop=200.0, why="w", settings_version=1
    )


class Store:
    """Networks that can be fetched; network C only after some failures, or never (None)."""

    def __init__(self, *models: str, failures: int | None = None) -> None:
        self.models, self.failures, self.tries = models, failures, 0

    async def fetch(self, model: str) -> str:
        if model == C:
            self.tries += 1
            if self.failures is None or self.tries <= self.failures:
                raise BlobMissing("no such blob")
        elif model not in self.models:
            raise BlobMissing("no such blob")
        return model


async def test_a_network_that_can_be_fetched_in_the_end_is_used(
    system: System, process: Process
) -> None:
    item, store = await ticket(system, promoted(B), promoted(C)), Store(B, failures=4)
    assert await wanted_or_older(process, item, C, store.fetch) == (C, C)
    assert store.tries == 5
    assert await system.facts(FallbackModelUsed) == []


async def test_after_five_failures_an_older_network_is_used_and_recorded(
    system: System, process: Process
) -> None:
    item = await ticket(system, promoted(A), promoted(B), promoted(C))
    assert await wanted_or_older(process, item, C, Store(A, B).fetch) == (B, B)
    (fact,) = await system.facts(FallbackModelUsed)
    assert (fact.ticket, fact.wanted, fact.used) == (item.ticket, C, B)
    assert (fact.fetch_tries, fact.reason) == (5, "BlobMissing: no such blob")
    assert fact.age_seconds == pytest.approx(fact.fetch_seconds)


async def test_a_redelivered_ticket_records_the_fallback_once(
    system: System, process: Process
) -> None:
    item = await ticket(system, promoted(B), promoted(C))
    for _ in range(2):
        await wanted_or_older(process, item, C, Store(B).fetch)
    assert len(await system.facts(FallbackModelUsed)) == 1


@pytest.mark.parametrize(
    ("history", "stored", "used"),
    [
        ((promoted(A), promoted(B), promoted(C)), (A,), A),
        ((promoted(A), promoted(B), rolled_back(B, A), promoted(C)), (A, B), A),
        ((promoted(A), promoted(C), promoted(B)), (A, B), A),
        ((promoted(A), promoted(B)), (A, B), B),
        ((promoted(A), replace(promoted(B), config="square8_2p"), promoted(C)), (A, B), A),
    ],
    ids=[
        "the newest that can be fetched",
        "none that was rolled back",
        "none that was promoted later",
        "any if the wanted one was never promoted",
        "none of another config",
    ],
)
async def test_the_older_network_is(
    system: System, process: Process, history: tuple[Fact, ...], stored: tuple[str, ...], used: str
) -> None:
    item = await ticket(system, *history)
    assert await wanted_or_older(process, item, C, Store(*stored).fetch) == (used, used)


async def test_without_an_older_network_the_error_is_raised(
    system: System, process: Process
) -> None:
    item = await ticket(system, promoted(C))
    with pytest.raises(BlobMissing):
        await wanted_or_older(process, item, C, Store().fetch)
    assert await system.facts(FallbackModelUsed) == []


async def test_a_fetch_that_hangs_ends_after_the_time_limit(
    system: System, process: Process
) -> None:
    async def fetch(model: str) -> str:
        if model == C:
            await asyncio.Event().wait()
        return model

    process.controls.operation = OperationSettings(fetch_seconds_max=90.0)
    item = await ticket(system, promoted(B), promoted(C))
    assert await wanted_or_older(process, item, C, fetch) == (B, B)
    (fact,) = await system.facts(FallbackModelUsed)
    assert (fact.fetch_tries, fact.reason) == (1, "TimeoutError")
    assert fact.fetch_seconds == pytest.approx(90.0)


async def test_a_stopping_process_does_not_retry(system: System, process: Process) -> None:
    async def fetch(model: str) -> str:
        process.stop()
        raise LogUnavailable("away")

    item = await ticket(system, promoted(B), promoted(C))
    with pytest.raises(Drained):
        await wanted_or_older(process, item, C, fetch)


def network() -> bytes:
    config = Config.parse(CONFIG)
    return TowerCheckpoint.save(
        build("v2-micro", hex_board=True), architecture="v2-micro", config=config
    )


async def test_games_name_the_older_network_that_played_them(
    system: System, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_games(ticket: SelfplayTicket, *_: Any, **__: Any) -> Iterator[GameCompleted]:
        plans.append(ticket.plan)
        return iter(())

    older = await process.blobs.put(MODEL_BUCKET, network())
    item = await ticket(system, promoted(older), promoted(C))
    plans: list[SelfplayPlanned] = []
    monkeypatch.setattr(selfplay, "play_games", no_games)
    await selfplay._play(process, item, 1, Networks(process))
    assert plans == [replace(PLAN, model=older)]
    assert len(await system.facts(SelfplayFinished)) == 1


async def test_a_training_starts_from_the_older_network(system: System, process: Process) -> None:
    data = network()
    older = await process.blobs.put(MODEL_BUCKET, data)
    request = replace(requested(), parent=C)
    (item,) = tickets_of(request, f"EVENTS/{await system.write(promoted(older), request)}")
    assert isinstance(item, TrainingTicket)
    assert await initial_weights(process, item) == data
    assert [fact.used for fact in await system.facts(FallbackModelUsed)] == [older]
