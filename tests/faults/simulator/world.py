"""One run: hosts and the faults of a plan; then calm until everything is done, and the check."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence

from ringrift.log.topology import LEASE_BUCKET
from ringrift.tools.memory_log import MemoryLog
from ringrift.tools.simulation.clock import run

from . import checker
from .hosts import FaultyWorld, Main, Result
from .plan import AT_CALL, FAULT_SECONDS, Fault
from .workload import DECIDERS, HELD, MAINS, MODELS, VERDICTS

SETTLE_SECONDS_MAX = 400.0
LOOK_SECONDS = 4.0


def simulate(
    seed: int, faults: Sequence[Fault], mains: Mapping[str, tuple[str, Main]] = MAINS
) -> Result:
    """Run a plan of faults, and check the history."""
    random.seed(seed)  # for the jitter of retries
    world = FaultyWorld(seed, faults, mains)
    return run(_run(world), world.clock)


async def _run(world: FaultyWorld) -> Result:
    log = MemoryLog(world.broker)
    for fault in world.faults:
        if fault.kind not in AT_CALL:
            world.clock.call_at(fault.at, _strike, world, fault)
    async with _alive(world):
        await asyncio.sleep(FAULT_SECONDS)
        for host in world.hosts.values():
            host.network.faults.clear()
        settled = await _settle(world, log)
        history = await checker.history(log)
        violations = [*world.accidents, *_violations(world, history, settled)]
        events, games = len(history["EVENTS"]), len(history["GAMES"])
        return Result(violations, events, games, world.clock.seconds)


@contextlib.asynccontextmanager
async def _alive(world: FaultyWorld) -> AsyncIterator[None]:
    """All hosts run until the block ends."""
    jobs = [asyncio.ensure_future(host.live()) for host in world.hosts.values()]
    try:
        yield
    finally:
        for host in world.hosts.values():
            if host.process is not None:
                host.process.log.dead = True
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def _strike(world: FaultyWorld, fault: Fault) -> None:
    """Let a fault happen now."""
    host, broker = world.hosts[fault.host], world.broker
    match fault.kind:
        case "kill":
            host.kill()
        case "freeze":
            host.network.frozen_until = world.clock.seconds + fault.amount
        case "clock step":
            host.clock_ahead += fault.amount
        case "drain" if host.process is not None:
            host.process.stop()
        case "redeliver":
            broker.held = {seq: (deliveries, 0.0) for seq, (deliveries, _) in broker.held.items()}
            broker.wake()
        case "expire lease":
            store = broker.stream(f"KV_{LEASE_BUCKET}")
            store._expiry = dict.fromkeys(store._expiry, world.clock.timestamp)
            broker.wake()
        case "poison":
            asyncio.ensure_future(_poison(world, fault))  # noqa: RUF006  the run outlives it
        case "server restart":
            broker.crash()
        case "power cut":
            world.power_cut = True
            broker.crash(unsynced_seconds=fault.amount)
            world.samples.clear()


async def _poison(world: FaultyWorld, fault: Fault) -> None:
    """Store messages that cannot be decoded."""
    log, name = MemoryLog(world.broker), f"poison {fault.at}"
    await log.publish("EVENTS", "ringrift.model.hex8_2p.registered", b"\xff{", id=name)
    await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b'{"type":"selfplay"', name)


async def _settle(world: FaultyWorld, log: MemoryLog) -> bool:
    """Wait until everything requested is done, seen twice in a row; False if it takes too long."""
    end, calm = world.clock.seconds + SETTLE_SECONDS_MAX, 0
    while world.clock.seconds < end:
        await asyncio.sleep(LOOK_SECONDS)
        calm = calm + 1 if await _quiet(world, log) else 0
        if calm == 2:
            return True
    return False


async def _quiet(world: FaultyWorld, log: MemoryLog) -> bool:
    tail = world.broker.stream("EVENTS").last_seq
    for role in ("planner", "promoter"):
        runs = [host.process for name, host in world.hosts.items() if name.startswith(role)]
        if not any(process is not None and process.seq >= tail for process in runs):
            return False
    if world.broker.stream("WORK").entries:
        return False
    history = await checker.history(log)
    verdicts = sum(isinstance(event, VERDICTS) for event, _ in history["EVENTS"])
    return verdicts == len(MODELS) and not checker.undone(history)


def _violations(world: FaultyWorld, history: checker.History, settled: bool) -> list[str]:
    ledgers = [host.network.acknowledged for host in world.hosts.values()]
    if world.power_cut:
        # what follows from a lost event is decided and done again; observations are republished
        ledgers = [
            [item for item in ledger if item.expect is None and item.draft.cause is None]
            for ledger in ledgers
        ]
        return [*checker.lost(history, ledgers, at_seq=False), *checker.doubled(history)]
    events = history["EVENTS"]
    found = [
        *checker.lost(history, ledgers, at_seq=True),
        *checker.doubled(history),
        *checker.disordered(ledgers),
        *checker.uncaused(history),
        *checker.overheld(events, HELD),
        *checker.undone(history),
    ]
    until = world.broker.stream("EVENTS").last_seq if settled else 0
    for decider in DECIDERS:
        found += checker.misdecided(events, decider, world.samples, until=until)
    if not settled:
        found.append(f"not settled within {SETTLE_SECONDS_MAX:g} s")
    return found
