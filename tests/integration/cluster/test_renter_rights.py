"""The renter with the login of its role: what it needs is permitted, and nothing was refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.provider import Provider
from support.secured import secured
from support.system import running

from ringrift.consumers import hook, renter
from ringrift.events import Settings, facts as f
from ringrift.events.settings import RentingSettings
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.heartbeat import beat_once
from ringrift.runtime.process import Process


async def first(log: JetStreamLog, kind: type[f.NodeFact]) -> f.NodeFact:
    async with asyncio.timeout(30):
        return (await anext(read.follow(log, kind))).event


async def test_a_renter_with_its_own_login_rents_and_finds_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(tmp_path / "provider.json")
    provider.change(faults=["crash"], instances={"i-9": {"name": "stray", "offer": ""}})
    monkeypatch.setenv(hook.HOOK, provider.hook)
    monkeypatch.setattr(renter, "DELAYS_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(renter, "CALL_SECONDS", 0.0)
    offers = ("cheap:price=0.25:speed=1:vram=24:max=1",)
    renting = RentingSettings(offers=offers, budget_per_hour=1.0, reconcile_seconds=0.05)
    settings = Settings(configs=("hex8_2p",), renting=renting)
    async with secured(tmp_path / "secured") as place:
        log, operator = await place.log("renter"), await place.log("operator")
        person = Process("ringrift", "desk", operator)
        await person.append(f.SettingsChanged(version=1, settings=settings, why="t"), key=1)
        process = Process("renter", log.client.role, log)
        async with running(renter.main(process)):
            await person.append(f.TickRecorded(minute=1), key="tick")
            rented = await first(operator, f.NodeRented)
            await first(operator, f.OrphanFound)
            await beat_once(process)
        assert rented.node in provider.running()
    assert "permissions violation" not in caplog.text
