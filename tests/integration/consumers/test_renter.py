"""The renter on a real server, with a hook that is a program and keeps what it rents in a file."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import json
from support import embedded
from support.provider import Provider
from support.system import running

from ringrift.consumers import hook, renter
from ringrift.events import Fact, Settings, facts as f
from ringrift.events.settings import RentingSettings
from ringrift.log import read
from ringrift.log.errors import LogUnavailable
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process

OFFER = "cheap:price=0.25:speed=1:vram=24:max=1"
F = TypeVar("F", bound=Fact)
_keys = itertools.count()


class Fleet:
    """A provider, and the log of a renter."""

    def __init__(self, log: JetStreamLog, provider: Provider) -> None:
        self.log, self.provider = log, provider
        self.versions = itertools.count(1)
        self.writer = Process("test", "test", log)

    def renter(self) -> Any:
        """A renter that runs until the block ends."""
        return running(renter.main(Process("renter", "n", self.log)))

    async def write(self, *facts: Fact) -> None:
        """Append facts without a cause."""
        for fact in facts:
            await self.writer.append(fact, key=f"{next(_keys)}")

    async def tick(self) -> None:
        """Let a minute pass."""
        await self.write(f.TickRecorded(minute=1))

    async def settle(self, **changes: Any) -> None:
        """Put settings in force."""
        usual: dict[str, Any] = {
            "offers": (OFFER,),
            "budget_per_hour": 1.0,
            "reconcile_seconds": 0.05,
        }
        chosen = Settings(configs=("hex8_2p",), renting=RentingSettings(**(usual | changes)))
        await self.write(f.SettingsChanged(version=next(self.versions), settings=chosen, why="t"))

    async def next(self, kind: type[F], number: int = 1) -> F:
        """The fact of a kind of this number, once it is in the log."""
        async with asyncio.timeout(30):
            async for event, _ in read.follow(self.log, kind):
                number -= 1
                if not number:
                    return event
        raise AssertionError

    async def facts(self, kind: type[F]) -> list[F]:
        """The facts of a kind in the log."""
        return [event async for event, _ in read.facts(self.log, kind)]


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    provider = Provider(tmp_path / "provider.json")
    monkeypatch.setenv(hook.HOOK, provider.hook)
    monkeypatch.setattr(renter, "DELAYS_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(renter, "CALL_SECONDS", 0.0)
    async with embedded.running(tmp_path) as server, embedded.connected(server) as log:
        yield Fleet(log, provider)


async def test_a_node_is_rented_and_returned_by_the_hook(fleet: Fleet) -> None:
    await fleet.settle()
    async with fleet.renter():
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
        assert fleet.provider.running() == {rented.node: rented.instance}
        await fleet.settle(budget_per_hour=0.0)
        await fleet.tick()
        returned = await fleet.next(f.NodeReturned)
        assert (returned.node, returned.asked) == (rented.node, True)
    assert fleet.provider.running() == {}
    (call,) = fleet.provider.calls("rent")
    (request,) = [item async for item in read.facts(fleet.log, f.NodeRentRequested)]
    assert call["key"] == renter.key_of(request.meta)
    assert re.fullmatch("[0-9a-f]{32}", call["key"])
    assert call["cost_per_hour_max"] == 0.25


@pytest.mark.parametrize("fault", ["crash", "garbage", "hang"])
async def test_a_rent_whose_effect_is_unknown_is_asked_for_again_under_its_key(
    fleet: Fleet, fault: str
) -> None:
    fleet.provider.change(faults=[fault])
    await fleet.settle(hook_seconds=1.0)
    async with fleet.renter():
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
    assert fleet.provider.running() == {rented.node: "i-0"}
    assert len({call["key"] for call in fleet.provider.calls("rent")}) == 1
    assert len(fleet.provider.calls("rent")) == 2


async def test_a_renter_that_dies_before_it_records_what_it_rented_rents_nothing_twice(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, lost = Process.append, []

    async def losing(process: Process, fact: Fact, **more: Any) -> int:
        if isinstance(fact, f.NodeRented) and not lost:
            lost.append(fact)
            raise LogUnavailable("EVENTS", "gone")
        return await append(process, fact, **more)

    monkeypatch.setattr(Process, "append", losing)
    await fleet.settle()
    async with fleet.renter():
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
    assert fleet.provider.running() == {rented.node: "i-0"}
    assert lost == [rented]
    assert await fleet.facts(f.NodeRented) == [rented]


async def test_a_refusal_is_recorded_with_its_reason(fleet: Fleet) -> None:
    fleet.provider.change(faults=["refuse none is free"])
    await fleet.settle()
    async with fleet.renter():
        await fleet.tick()
        assert (await fleet.next(f.NodeRentFailed)).reason == "none is free"
        await fleet.tick()
        await fleet.next(f.NodeRented)
    first, second = fleet.provider.calls("rent")
    assert first["key"] != second["key"]


async def test_a_return_that_fails_stays_open(fleet: Fleet) -> None:
    await fleet.settle()
    async with fleet.renter():
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
        fleet.provider.change(faults=["refuse not now"])
        await fleet.settle(budget_per_hour=0.0)
        await fleet.tick()
        failed = await fleet.next(f.NodeReturnFailed)
    assert (failed.instance, failed.reason) == (rented.instance, "not now")
    assert fleet.provider.running() == {rented.node: rented.instance}


@pytest.mark.parametrize("allowed", [False, True])
async def test_what_runs_without_a_rent_is_found_and_returned_if_allowed(
    fleet: Fleet, allowed: bool
) -> None:
    stray = {"name": "Old Box", "offer": "cheap", "cost_per_hour": 0.3}
    fleet.provider.change(instances={"i-77": stray})
    await fleet.settle(budget_per_hour=0.0, returns_orphans=allowed)
    async with fleet.renter():
        found = await fleet.next(f.OrphanFound)
        assert (found.instance, found.offer, found.cost_per_hour) == ("i-77", "cheap", 0.3)
        await fleet.tick()
        if allowed:
            assert (await fleet.next(f.NodeReturned)).instance == "i-77"
    assert bool(fleet.provider.running()) is not allowed
    assert len(await fleet.facts(f.OrphanFound)) == 1


async def test_what_the_provider_ended_is_recorded(fleet: Fleet) -> None:
    await fleet.settle()
    process = Process("renter", "n", fleet.log)
    async with running(renter.main(process)):
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
        async with asyncio.timeout(30):
            while process.metrics.value("ringrift_rented_nodes") != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert process.metrics.value("ringrift_rented_cost_per_hour") == 0.25
        fleet.provider.change(instances={})
        gone = await fleet.next(f.NodeReturned)
    assert (gone.node, gone.instance, gone.asked) == (rented.node, rented.instance, False)


async def test_a_lost_node_is_restarted_by_the_hook(fleet: Fleet) -> None:
    await fleet.settle(restarts_max=1)
    async with fleet.renter():
        await fleet.tick()
        rented = await fleet.next(f.NodeRented)
        await fleet.write(f.NodeLost(node=rented.node, silent_seconds=1800.0))
        taken = await fleet.next(f.RecoveryActionTaken)
    assert (taken.node, taken.action, taken.done) == (rented.node, "restart", True)
    (call,) = fleet.provider.calls("restart")
    assert (call["name"], call["id"]) == (rented.node, rented.instance)


async def test_without_a_hook_the_lease_is_left_to_another(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = fleet.provider.hook
    monkeypatch.delenv(hook.HOOK)
    idle = Process("renter", "idle", fleet.log)
    await fleet.settle()
    async with running(renter.main(idle)):
        await asyncio.sleep(0)
        assert idle.doing == f"renting nothing: {hook.HOOK} is not set here"
        monkeypatch.setenv(hook.HOOK, command)
        async with fleet.renter():
            await fleet.tick()
            await fleet.next(f.NodeRented)


async def test_no_secret_of_the_hook_is_recorded(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "hook.sh"
    await asyncio.to_thread(script.write_text, "#!/bin/sh\necho s3cret >&2; exit 1\n")
    await asyncio.to_thread(script.chmod, 0o700)
    monkeypatch.setenv(hook.HOOK, str(script))
    await fleet.settle()
    async with fleet.renter():
        await fleet.tick()
        failed = await fleet.next(f.NodeRentFailed)
    assert failed.reason == "the hook ended with status 1 and no valid answer"
    stored = [event async for event, _ in read.facts(fleet.log, *renter.BOOK)]
    assert b"s3cret" not in json.encode(stored)
