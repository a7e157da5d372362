"""The alerter on a real server, with a real receiver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import embedded
from support.receiver import receiving
from support.system import running

from ringrift.consumers import alerter
from ringrift.events import Settings, facts as f
from ringrift.events.settings import AlertSettings
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process


async def test_an_alert_is_raised_posted_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGRIFT_ALERTS_TOKEN", "s3cret")
    async with embedded.running(tmp_path) as server, embedded.connected(server) as log:
        process = Process("alerter", "n", log)
        with receiving() as receiver:
            chosen = AlertSettings(webhook=receiver.url, after_seconds=0.0)
            settings = Settings(configs=(), alerts=chosen)
            await process.append(f.SettingsChanged(version=1, settings=settings, why="t"), key=1)
            gone = f.ConsumerPresenceChanged(consumer="trainer", present=False)
            back = f.ConsumerPresenceChanged(consumer="trainer", present=True)
            await process.append(gone, key="gone")
            async with running(alerter.main(process)):
                await delivered(log, 1)
                await process.append(back, key="back")
                await delivered(log, 2)
        statuses = [json.loads(content)["status"] for _, _, content in receiver.seen]
        assert statuses == ["firing", "resolved"]
        everything = b"".join([entry.body async for batch in log.read("EVENTS") for entry in batch])
    assert b"s3cret" not in everything


async def delivered(log: JetStreamLog, count: int) -> None:
    """Return once so many deliveries are recorded."""
    async for _ in read.follow(log, f.AlertDelivered):
        count -= 1
        if not count:
            return
