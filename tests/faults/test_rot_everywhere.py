"""Every kind of file of one voter flipped and cut, at rest and under load: no acknowledged message
is lost while one replica is whole.

Slow: a voter starts again for every kind of file and damage. `ROT_KINDS` restricts it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
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
from ringrift.server.raft_snapshots import damaged

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
BY_HAND = {"meta snapshot"}
"""with which a server does not start: `ringrift voter check` says which file to move away"""
GAME_BYTES, GAMES_WRITTEN = 40_000, 500
"""several blocks of a stream, so that damage is not at its end"""
TICKETS, DONE, IN_HAND = 30, 10, 5
STARTED_SECONDS_MAX, WHOLE_SECONDS_MAX = 30.0, 240.0


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
    """Kind of file, damage, and whether its server runs meanwhile."""
    for name in chosen():
        for how in ("flip", "cut"):
            yield name, how, name in ("block", "raft log")


async def answers(log: JetStreamLog, name: str) -> bool:
    return name in {held.server for held in await holdings(log.servers) or ()}


async def back(made: Voters, log: JetStreamLog, name: str) -> bool:
    """Start a voter, by hand if its server does not start. Whether it did."""
    await made.start(name)
    try:
        await eventually(lambda: answers(log, name), STARTED_SECONDS_MAX, 0.5)
    except TimeoutError:
        for path in damaged(made.store(name)):
            path.rename(made.home(name) / path.name)
        await made.start(name)
        await eventually(lambda: answers(log, name), STARTED_SECONDS_MAX, 0.5)
        return False
    return True


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


async def tickets(log: JetStreamLog) -> None:
    """Publish tickets, of which some are done and some in hand, so that consumers have a state."""
    for number in range(TICKETS):
        await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"%d" % number, f"t{number}")
    for number in range(DONE + IN_HAND):
        item = await log.next_ticket("selfplay", wait_seconds=10.0)
        assert item is not None
        if number < DONE:
            await item.ack()


async def waiting(log: JetStreamLog) -> list[int]:
    """The tickets that a worker gets."""
    found = []
    while (item := await log.next_ticket("selfplay", wait_seconds=2.0)) is not None:
        found.append(int(item.body))
    return found


@pytest.mark.slow
async def test_one_rotten_voter_costs_no_acknowledged_message(tmp_path: Path) -> None:
    plan = random.Random(int(os.environ.get("CHAOS_SEED", "1")))
    async with voters(tmp_path) as (made, log):
        for number in range(GAMES_WRITTEN):
            body = number.to_bytes(4, "big") * (GAME_BYTES // 4)
            await log.client.request("ringrift.game.hex8_2p.completed", body, timeout=5)
        await tickets(log)
        watching = asyncio.create_task(monitor.main(Process("monitor", "node", log)))
        try:
            async with writing(made.url, (Writer, Writer), pause_seconds=0.02) as writers:
                for kind, how, running in cases():
                    name, pattern = plan.choice("abc"), KINDS[kind]
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
                    began = time.monotonic()
                    by_itself = await back(made, log, name)
                    assert by_itself or kind in BY_HAND, (made.home(name) / "nats.log").read_text()
                    await eventually(lambda: whole(log), WHOLE_SECONDS_MAX, 1.0)
                    seconds = time.monotonic() - began
                    store = "" if by_itself else ", by hand"
                    print(
                        f"{how} {kind} of {name}: {len(found)} files, whole again "
                        f"{seconds:.0f} s after its start{store}",
                        flush=True,
                    )
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
        assert [int(entry.body) for entry in await log.queued()] == list(range(DONE, TICKETS))
        taken = await waiting(log)
        assert set(range(DONE + IN_HAND, TICKETS)) <= set(taken) <= set(range(DONE, TICKETS))
        assert len(set(taken)) == len(taken)
