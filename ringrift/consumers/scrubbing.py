"""Compares what each server holds of each stream, repairs copies that hold less than others, and
records voters whose disks are short.

A part of the monitor. It needs the logins `scrubber` and `repairer` beside its own; without the
second it only reports."""

import asyncio
import contextlib
from collections.abc import Sequence

from ringrift.deciders.fleet.pressure import tier_after
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.errors import StreamError, Unreachable
from ringrift.log.holdings import Damage, Held, confirmed, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import login_beside
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.process import Process
from ringrift.server.repair import repair

SCRUB_SECONDS = 30.0
REPAIR_AGAIN_SECONDS = 600.0
"""after an attempt that failed"""
START_SECONDS_MAX = 60.0
"""after which a voter that takes no part in a stream is reported: it may be reading its disk"""
REPAIRER = "repairer"
RECORDED = (f.ReplicaDamaged, f.ReplicaRepaired, f.VoterDiskChanged)


class Scrubber:
    """The damaged copies that are known, by stream and voter, and when a repair was last tried; the
    disks that are short."""

    def __init__(self, process: Process, fence: Expect) -> None:
        self._process, self._fence = process, fence
        self.known: dict[tuple[str, str], float | None] = {}
        self.idle: dict[tuple[str, str], float] = {}
        """since when a voter takes no part in a stream"""
        self.tiers: dict[str, f.Tier] = {}
        """of the disks of voters, unless normal"""

    async def learn(self) -> None:
        """Read which damages and short disks are in the log."""
        async for event, _ in read.facts(self._process.log, *RECORDED):
            if isinstance(event, f.VoterDiskChanged):
                self._know(event.voter, event.tier)
            elif isinstance(event, f.ReplicaDamaged):
                self.known[event.stream, event.voter] = None
            elif isinstance(event, f.ReplicaRepaired):
                self.known.pop((event.stream, event.voter), None)

    async def take(self, found: Sequence[Damage]) -> None:
        """Record the damages that were found or are gone, and repair what is due."""
        found = self._lasting(found)
        self._process.metrics.set("ringrift_replicas_damaged", len(found))
        damaged = {(each.stream, each.server) for each in found}
        for stream, voter in sorted(self.known.keys() - damaged):
            await self._repaired(stream, voter, replaced=False)
        for damage in found:
            key = (damage.stream, damage.server)
            if key not in self.known:
                self._process.logger.error("replica damaged", text=str(damage))
                fact = f.ReplicaDamaged(
                    voter=damage.server,
                    stream=damage.stream,
                    messages=damage.messages,
                    whole=damage.whole,
                    last=damage.last,
                    idle=damage.idle,
                )
                await self._append(fact, damage.stream)
                self.known[key] = None
            if not damage.idle:  # a new copy would be idle too: its server has to start again
                await self._repair(damage)

    def _lasting(self, found: Sequence[Damage]) -> list[Damage]:
        """Damages without the copies of a voter that may just be starting."""
        now = self._process.clock.monotonic()
        idle = [(each.stream, each.server) for each in found if each.idle]
        self.idle = {key: self.idle.get(key, now) for key in idle}
        starting = {key for key, since in self.idle.items() if now - since < START_SECONDS_MAX}
        return [each for each in found if (each.stream, each.server) not in starting]

    async def _repair(self, damage: Damage) -> None:
        key, now = (damage.stream, damage.server), self._process.clock.monotonic()
        tried = self.known[key]
        if tried is not None and now - tried < REPAIR_AGAIN_SECONDS:
            return
        self.known[key] = now
        try:
            if not await repaired(self._process.log, damage):
                return
        except (StreamError, TimeoutError) as error:
            text = str(error) or "no answer in time"
            self._process.logger.warning("replica not repaired", stream=damage.stream, error=text)
            return
        await self._repaired(*key, replaced=True)

    async def _repaired(self, stream: str, voter: str, *, replaced: bool) -> None:
        self._process.logger.info("replica repaired", stream=stream, voter=voter)
        fact = f.ReplicaRepaired(voter=voter, stream=stream, replaced=replaced)
        await self._append(fact, stream)
        self.known.pop((stream, voter), None)

    async def look_at_disks(self, held: Sequence[Held]) -> None:
        """Record voters whose disks entered another tier, or that left the cluster meanwhile."""
        shares = {each.server: each.disk for each in held if each.disk is not None}
        members = {name for each in held for name in each.members}
        if members:
            shares |= dict.fromkeys(self.tiers.keys() - members, 0.0)
        thresholds = self._process.controls.operation
        for voter, used in sorted(shares.items()):
            before = self.tiers.get(voter, "normal")
            tier = tier_after(before, used, thresholds, "disk")
            if tier != before:
                self._process.logger.warning("disk of voter", voter=voter, tier=tier, used=used)
                fact = f.VoterDiskChanged(voter=voter, tier=tier, previous=before, used=used)
                await self._append(fact, "disk")
            self._know(voter, tier)

    def _know(self, voter: str, tier: f.Tier) -> None:
        self.tiers.pop(voter, None)
        if tier != "normal":
            self.tiers[voter] = tier

    async def _append(
        self, fact: f.ReplicaDamaged | f.ReplicaRepaired | f.VoterDiskChanged, what: str
    ) -> None:
        tail = await self._process.log.tail(EVENTS)
        key = f"{what}.{fact.voter}.{tail}"
        await self._process.append(fact, key=key, expect=self._fence)


async def scrub(process: Process, fence: Expect) -> None:
    """Compare all copies again and again, until cancelled. Raises ConcurrencyError when another
    monitor has taken over."""
    scrubber = Scrubber(process, fence)
    await scrubber.learn()
    while True:
        with contextlib.suppress(Unreachable):
            held = await holdings(process.log.servers)
            if held is not None:
                await scrubber.look_at_disks(held)
                await scrubber.take(await confirmed(lambda: _look(process.log)))
        await asyncio.sleep(SCRUB_SECONDS)


async def look_twice(log: Log) -> list[Damage] | None:
    """The damaged copies; None if the servers cannot be asked. Raises Unreachable."""
    if await holdings(log.servers) is None:
        return None
    return await confirmed(lambda: _look(log))


async def _look(log: Log) -> list[Held]:
    return await holdings(log.servers) or []


async def repaired(log: Log, damage: Damage) -> bool:
    """Repair a copy; False if there is no login for it. Raises StreamError, TimeoutError."""
    login = login_beside(REPAIRER)
    if login is None:
        return False
    repairing = await JetStreamLog.open(",".join(log.servers), name=REPAIRER, login=login)
    try:
        await repair(repairing, damage, lambda: _look(repairing))
    finally:
        await repairing.close()
    return True
