"""A loop on a real server, in which everything is signed and one of two workers invents targets:
two auditors find it, a coordinator quarantines it, and its games are retracted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from support import forgeries
from support.system import running

from ringrift.consumers import auditor, feedback, selfplay, verifier
from ringrift.events import Fact, facts as f
from ringrift.events.settings import AuditSettings, Settings
from ringrift.events.tickets import (
    SelfplayTicket,
    decode_ticket,
    encode_ticket,
    subject_of,
    tickets_of,
)
from ringrift.learning.play import Host, play_games
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process
from ringrift.tools.bench.log import served
from ringrift.trust.admission import admit, require_signatures

F = TypeVar("F", bound=Fact)
ROLES = {
    "c1": ("coordinator",),
    "a1": ("auditor",),
    "a2": ("auditor",),
    "honest": ("worker",),
    "liar": ("worker",),
}
SETTINGS = Settings(audit=AuditSettings(decisions=0.05, new_games=0, compute_share=1.0))
PLAN = replace(forgeries.PLAN, games=48, games_per_ticket=12)
SECONDS_MAX = 120.0

Opened = Callable[[str], Any]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Opened]:
    """Opens a connection of a node, which signs with a key of its own, to a server on which
    signatures are required."""
    async with served(tmp_path) as operator, contextlib.AsyncExitStack() as closing:
        operator.signer, keys = NodeKey.new(), {node: NodeKey.new() for node in ROLES}
        for node, roles in ROLES.items():
            await admit(operator, node, keys[node].key, roles, "test")
        await require_signatures(operator, "test", anyway=True)

        async def opened(node: str) -> JetStreamLog:
            if node == "operator":
                return operator
            log = await JetStreamLog.open(",".join(operator.servers), name=node)
            closing.push_async_callback(log.close)
            log.signer = keys[node]
            return log

        yield opened


async def first(log: JetStreamLog, kind: type[F]) -> F:
    """The first fact of a kind, once there is one."""
    async with asyncio.timeout(SECONDS_MAX):
        async for fact, _ in read.follow(log, kind, after=0):
            return fact
    raise AssertionError


async def lie(process: Process) -> None:
    """Take tickets and answer them with games whose targets no search gave."""
    while True:
        item = await process.log.next_ticket("selfplay", wait_seconds=1.0)
        if item is None:
            continue
        ticket = decode_ticket(item.body)
        assert isinstance(ticket, SelfplayTicket)
        games = await asyncio.to_thread(
            lambda ticket=ticket: list(
                play_games(ticket, SETTINGS.selfplay, Host(node=process.node, threads=1))
            )
        )
        for game in map(forgeries.invented_targets, games):
            await process.log.append([process.draft(game, cause=ticket.cause, key=game.game)])
        await item.ack()


@pytest.mark.slow
async def test_a_lying_worker_is_found_and_its_games_are_retracted(
    fleet: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(auditor, "ROUND_SECONDS", 0.3)
    log = await fleet("operator")
    writer = Process("ringrift", "operator", log)
    await writer.append(f.SettingsChanged(version=1, settings=SETTINGS, why="test"), key="s")
    await writer.append(PLAN, key="plan")
    plan = await read.latest(log, f.SelfplayPlanned)
    assert plan is not None
    for ticket in tickets_of(plan.event, plan.meta.position):
        await log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)
    honest, liar = [Process("selfplay", node, await fleet(node)) for node in ("honest", "liar")]
    jobs = [
        verifier.main(Process("verifier", "c1", await fleet("c1"))),
        feedback.main(Process("feedback", "c1", await fleet("c1"))),
        *[auditor.main(Process("auditor", node, await fleet(node))) for node in ("a1", "a2")],
    ]
    async with running(selfplay.main(honest), lie(liar), *jobs):
        quarantine = await first(log, f.NodeQuarantined)
        retraction = await first(log, f.GamesRetracted)
    assert (quarantine.node, retraction.node) == ("liar", "liar")
    audits = [fact async for fact, _ in read.facts(log, f.AuditFinished)]
    accusers = {
        fact.node for fact in audits for one in fact.found if one.node == "liar" and one.differing
    }
    assert accusers == {"a1", "a2"}
    clean = [one for fact in audits for one in fact.found if one.node == "honest"]
    assert not [one for one in clean if one.differing or one.broken]
    with contextlib.suppress(StreamError):  # a liar cannot speak for another node
        forged = f.AuditFinished(
            node="a1",
            head="EVENTS/1",
            first_seq=1,
            last_seq=1,
            found=(f.NodeAudit(node="honest", first_seq=1, games=3, decisions=1, broken=("g",)),),
            skipped=0,
            search_seconds=0.0,
        )
        await liar.append(forged, key="forged")
    assert len([one async for one in read.facts(log, f.AuditFinished)]) == len(audits)
