"""A network that cannot be fetched: tries, then an older one and a fact that says so; on the
in-memory log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from ringrift.consumers import selfplay
from ringrift.consumers.networks import fallback
from ringrift.consumers.networks.cache import Networks
from ringrift.consumers.networks.fallback import wanted_or_older
from ringrift.consumers.training import inputs
from ringrift.events import Fact, decode, draft
from ringrift.events.facts import (
    FallbackModelUsed,
    ModelPromoted,
    ModelRolledBack,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingRequested,
)
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import SelfplayTicket, TrainingTicket, tickets_of
from ringrift.log.errors import BlobMissing, LogUnavailable
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.log.retry import Backoff
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import save
from ringrift.rules import Config
from ringrift.runtime.process import Drained, Process

A, B, C = "a" * 64, "b" * 64, "c" * 64
PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=3,
    games=2,
    games_per_ticket=2,
    simulations=4,
    model=C,
    seed=1,
    settings_version=0,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fallback, "PAUSES", Backoff(first_seconds=0.0, longest_seconds=0.0, budget_seconds=None)
    )


@pytest.fixture
def process() -> Process:
    log = MemoryLog(MemoryBroker())
    return Process("selfplay", "test", log)


async def write(process: Process, *facts: Fact) -> int:
    key = await process.log.tail("EVENTS")
    return (
        await process.log.append(
            [draft(fact, cause=None, source="test", key=key + i) for i, fact in enumerate(facts)]
        )
    )[-1]


async def ticket(process: Process, *history: Fact) -> SelfplayTicket:
    """A ticket of `PLAN` after some history."""
    (item,) = tickets_of(PLAN, f"EVENTS/{await write(process, *history, PLAN)}")
    assert isinstance(item, SelfplayTicket)
    return item


def promoted(model: str, config: str = "hex8_2p") -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rolled_back(model: str, current: str) -> ModelRolledBack:
    return ModelRolledBack(
        config="hex8_2p", model=model, current=current, elo_drop=200.0, why="w", settings_version=1
    )


async def told(process: Process) -> list[FallbackModelUsed]:
    entries = [entry async for batch in process.log.read("EVENTS") for entry in batch]
    facts = [decode(entry.body, stream="EVENTS", seq=entry.seq).event for entry in entries]
    return [fact for fact in facts if isinstance(fact, FallbackModelUsed)]


class Store:
    """Networks that can be fetched; the wanted one after so many failures, never if None."""

    def __init__(self, *models: str, after: int | None = None) -> None:
        self.models, self.after, self.tries = models, after, 0

    async def fetch(self, model: str) -> str:
        if model == C:
            self.tries += 1
            if self.after is None or self.tries <= self.after:
                raise BlobMissing("no such blob")
        elif model not in self.models:
            raise BlobMissing("no such blob")
        return model


async def test_four_failures_are_forgiven(process: Process) -> None:
    store = Store(B, after=4)
    assert await wanted_or_older(
        process, await ticket(process, promoted(B), promoted(C)), C, store.fetch
    ) == (C, C)
    assert (store.tries, await told(process)) == (5, [])


async def test_after_five_the_network_before_is_used_and_told(process: Process) -> None:
    item, store = await ticket(process, promoted(A), promoted(B), promoted(C)), Store(A, B)
    assert await wanted_or_older(process, item, C, store.fetch) == (B, B)
    (fact,) = await told(process)
    assert (fact.ticket, fact.wanted, fact.used, fact.fetch_tries, fact.node) == (
        item.ticket,
        C,
        B,
        5,
        "test",
    )
    assert fact.reason == "BlobMissing: no such blob"
    assert 0.0 <= fact.age_seconds < 60.0


async def test_a_ticket_that_comes_again_tells_it_once(process: Process) -> None:
    item = await ticket(process, promoted(B), promoted(C))
    for _ in range(2):
        await wanted_or_older(process, item, C, Store(B).fetch)
    assert len(await told(process)) == 1


@pytest.mark.parametrize(
    ("history", "there", "used"),
    [
        ((promoted(A), promoted(B), promoted(C)), (A,), A),
        ((promoted(A), promoted(B), rolled_back(B, A), promoted(C)), (A, B), A),
        ((promoted(A), promoted(C), promoted(B)), (A, B), A),
        ((promoted(A), promoted(B)), (A, B), B),
        ((promoted(A), promoted(B, config="square8_2p"), promoted(C)), (A, B), A),
    ],
    ids=[
        "older still",
        "not one rolled back",
        "not one that came later",
        "wanted was never current",
        "of its own config",
    ],
)
async def test_which_one_is_used(
    process: Process, history: tuple[Fact, ...], there: tuple[str, ...], used: str
) -> None:
    item = await ticket(process, *history)
    assert await wanted_or_older(process, item, C, Store(*there).fetch) == (used, used)


async def test_without_an_older_one_the_ticket_fails_as_before(process: Process) -> None:
    with pytest.raises(BlobMissing):
        await wanted_or_older(process, await ticket(process, promoted(C)), C, Store().fetch)
    assert await told(process) == []


async def test_a_fetch_that_hangs_is_given_up_in_time(process: Process) -> None:
    process.controls.operation = OperationSettings(fetch_seconds_max=0.02)

    async def fetch(model: str) -> str:
        if model == C:
            await asyncio.Event().wait()
        return model

    assert await wanted_or_older(
        process, await ticket(process, promoted(B), promoted(C)), C, fetch
    ) == (B, B)
    (fact,) = await told(process)
    assert (fact.fetch_tries, fact.reason) == (1, "TimeoutError")


async def test_a_log_that_is_away_counts_and_a_drain_ends_the_trying(process: Process) -> None:
    async def fetch(model: str) -> str:
        process.stop()
        raise LogUnavailable("away")

    with pytest.raises(Drained):
        await wanted_or_older(process, await ticket(process, promoted(B), promoted(C)), C, fetch)


def blob() -> bytes:
    return save(
        build("v2-micro", hex_board=True), architecture="v2-micro", config=Config.parse("hex8_2p")
    )


async def test_games_are_played_by_the_older_network_and_say_so(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = await process.blobs.put(MODEL_BUCKET, blob())
    item = await ticket(process, promoted(older), promoted(C))
    plans: list[SelfplayPlanned] = []

    async def played(process: Process, make: object) -> AsyncIterator[Fact]:
        assert callable(make)
        make()
        for _ in ():
            yield

    monkeypatch.setattr(selfplay, "from_thread", played)
    monkeypatch.setattr(selfplay, "play_games", lambda ticket, *_, **__: plans.append(ticket.plan))
    await selfplay._play(process, item, 1, Networks(process))
    assert plans == [msgspec.structs.replace(PLAN, model=older)]
    last = await process.log.last("EVENTS", "ringrift.selfplay.hex8_2p.finished")
    assert isinstance(decode(last.body, stream="EVENTS", seq=last.seq).event, SelfplayFinished)


async def test_a_training_begins_with_the_older_network(process: Process) -> None:
    data = blob()
    older = await process.blobs.put(MODEL_BUCKET, data)
    request = TrainingRequested(
        config="hex8_2p",
        generation=1,
        architecture="v2-micro",
        parent=C,
        shards=(),
        samples=1,
        seed=1,
        reason="r",
        settings_version=0,
    )
    (item,) = tickets_of(request, f"EVENTS/{await write(process, promoted(older), request)}")
    assert isinstance(item, TrainingTicket)
    assert await inputs.initial_weights(process, item) == data
    assert [fact.used for fact in await told(process)] == [older]
