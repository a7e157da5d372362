"""Every kind of file of one voter flipped and cut, at rest and under load: no acknowledged message
is lost while one replica is whole.

Slow: a voter starts again for every kind of file and damage. `ROT_KINDS` restricts it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.writers import Writer, writing
from support.clusters import content
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.consumers import monitor
from ringrift.log.errors import StreamError
from ringrift.log.holdings import damages, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.process import Process, cancel
from ringrift.server.voter import check

KINDS = {
    "block": "*/streams/*/msgs/*.blk",
    "index": "*/streams/*/msgs/index.db",
    "configuration": "*/streams/*/meta.inf",
    "checksum": "*/streams/*/meta.sum",
    "raft log": "*/_js_/S-*/msgs/*.blk",
    "raft snapshot": "*/_js_/S-*/snapshots/*",
    "raft term": "*/_js_/S-*/tav.idx",
    "raft peers": "*/_js_/S-*/peers.idx",
    "meta log": "*/_js_/_meta_/msgs/*.blk",
    "meta snapshot": "*/_js_/_meta_/snapshots/*",
    "consumer": "*/streams/*/obs/*/o.dat",
}
GAME_BYTES, GAMES_WRITTEN = 40_000, 500
"""several blocks of a stream, so that damage is not at its end"""
STARTED_SECONDS_MAX, CATCH_UP_SECONDS_MAX, WHOLE_SECONDS_MAX = 30.0, 90.0, 240.0


def chosen() -> dict[str, str]:
    names = os.environ.get("ROT_KINDS")
    return {name: KINDS[name] for name in (names.split(",") if names else KINDS)}


def files_of(store: Path, pattern: str) -> list[Path]:
    """The files of a kind, those of games and events."""
    found = (store / "jetstream").glob(pattern)
    return [path for path in sorted(found) if path.is_file() and path.stat().st_size > 8]


def damage(path: Path, how: str, plan: random.Random) -> None:
    body = bytearray(path.read_bytes())
    if how == "cut":
        body = body[: len(body) // 2]
    else:
        at = plan.randrange(len(body) - 3)
        body[at : at + 3] = bytes(byte ^ 0xFF for byte in body[at : at + 3])
    path.write_bytes(body)


def cases() -> Iterator[tuple[str, str, bool]]:
    for name, pattern in chosen().items():
        for how in ("flip", "cut"):
            yield how, pattern, name in ("block", "raft log")


async def answers(log: JetStreamLog, name: str) -> bool:
    return name in {held.server for held in await holdings(log.servers) or ()}


async def back(made: Voters, log: JetStreamLog, name: str) -> None:
    """Start a voter; one that refuses its store gets an empty one."""
    await made.start(name)
    try:
        await eventually(lambda: answers(log, name), STARTED_SECONDS_MAX, 0.5)
    except TimeoutError:
        await emptied(made, log, name)


async def emptied(made: Voters, log: JetStreamLog, name: str) -> None:
    """Give a voter an empty store, as an operator would do; it copies everything."""
    await made.stop(name)
    shutil.rmtree(made.store(name))
    check(made.home(name), empty=True)
    await made.start(name)
    await eventually(lambda: answers(log, name), STARTED_SECONDS_MAX, 0.5)


async def healed(made: Voters, log: JetStreamLog, name: str) -> str:
    """Wait until all copies are whole; a voter with a copy that does not catch up is emptied."""
    try:
        await eventually(lambda: whole(log), CATCH_UP_SECONDS_MAX, 1.0)
    except TimeoutError:
        await emptied(made, log, name)
        await eventually(lambda: whole(log), WHOLE_SECONDS_MAX, 1.0)
        return "whole again with an empty store"
    return "whole again"


async def whole(log: JetStreamLog) -> bool:
    """Whether every copy of games and events is current and holds the same."""
    try:
        for stream in (EVENTS, GAMES):
            cluster = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]
            replicas = cluster.get("replicas") or ()
            if len(replicas) != 2 or not all(peer.get("current") for peer in replicas):
                return False
        held = await holdings(log.servers) or []
    except StreamError:
        return False
    return len(held) == 3 and not damages(held)


@pytest.mark.slow
async def test_one_rotten_voter_costs_no_acknowledged_message(tmp_path: Path) -> None:
    plan = random.Random(int(os.environ.get("CHAOS_SEED", "1")))
    async with voters(tmp_path) as (made, log):
        for number in range(GAMES_WRITTEN):
            body = number.to_bytes(4, "big") * (GAME_BYTES // 4)
            await log.client.request("ringrift.game.hex8_2p.completed", body, timeout=5)
        watching = asyncio.create_task(monitor.main(Process("monitor", "node", log)))
        try:
            async with writing(made.url, (Writer, Writer), pause_seconds=0.02) as writers:
                for how, pattern, running in cases():
                    name = plan.choice("abc")
                    if not running:
                        # in order: else there is no index of a stream
                        await made.stop(name, by=signal.SIGTERM)
                    found = files_of(made.store(name), pattern)
                    assert found or "snapshots" in pattern, f"no file is {pattern}"
                    for path in found:
                        damage(path, how, plan)
                    if running:  # under load, then as after a crash
                        await asyncio.sleep(1)
                        await made.stop(name)
                    await back(made, log, name)
                    print(f"{how} {pattern} of {name}: {await healed(made, log, name)}", flush=True)
        finally:
            await cancel(watching)
        stored = {entry.id for entry in await content(log, EVENTS)}
        lost = [
            item.draft.id
            for writer in writers
            for item in writer.acknowledged
            if item.draft.id not in stored
        ]
        assert lost == []
        games = [entry.body[:4] for entry in await content(log, GAMES)]
        assert games == [number.to_bytes(4, "big") for number in range(GAMES_WRITTEN)]
