"""A real fleet that changes: three voters, two coordinators, six workers that come and go.

The workers are started, killed, drained, preempted and started again by a plan that follows from a
seed, and so is a coordinator. At the end no ticket waited for a minute while a node that was fit
for it was idle, and `ringrift why` traces every change of the fleet to what was observed or asked
for.

FLEET_SECONDS (200) is the length, FLEET_SEED (1) the seed of the plan.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from chaos import servers, waits
from chaos.waits import Idle, Look, Stay
from support import small_loop
from support.waiting import eventually

from ringrift.cluster.steering import apply_settings, record
from ringrift.cluster.supervisor import background
from ringrift.deciders.fleet.order import KIND_OF
from ringrift.events import Recorded, Settings, facts as f
from ringrift.events.settings_sources import from_arguments, load
from ringrift.events.tickets import OUTCOMES
from ringrift.insight.why import causes
from ringrift.log import read
from ringrift.log.errors import LogUnavailable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.log.topology import WORK_ACK_SECONDS

SECONDS = float(os.environ.get("FLEET_SECONDS", "200"))
SEED = int(os.environ.get("FLEET_SEED", "1"))
COORDINATORS = ("c1", "c2")
WORKERS = {
    "w1": "worker",
    "w2": "worker",
    "w3": "worker,evaluator",
    "w4": "worker,evaluator",
    "w5": "worker,evaluator,trainer",
    "w6": "worker,evaluator,trainer",
}
SETTINGS = small_loop.SETTINGS | {
    "selfplay.games_per_ticket": 4,
    "shard.games": 32,
    "training.min_samples": 2_000,
    "training.window_samples": 6_000,
}
FIRST = "w6"
"""the node that compiles the code, alone"""
PRICE = 0.25
BETWEEN_SECONDS = (5.0, 20.0)
AWAY_SECONDS = (5.0, 40.0)
DRAIN_SECONDS, NOTICE_SECONDS = 20.0, 15.0
WAYS = {"kill": 3, "drain": 2, "notice": 2, "coordinator": 1}
"""how a node goes, with weights"""
READY_SECONDS_MAX = 900.0
END_SECONDS_MAX = 60.0
TOLD_SECONDS = 60.0
"""between two lines of progress"""
OBSERVED = (
    *(f.NodePresenceChanged, f.NodeDescribed, f.ConsumerPresenceChanged, f.QuorumLevelChanged),
    *(f.TickRecorded, f.SettingsChanged, f.NodeDrainRequested, f.PreemptionNoticed),
    *(f.ConsumerStarted, f.ConsumerStopped, f.LeaseAcquired),
)
"""what no other fact causes: what was seen, asked for, or is the passing of time"""
CHANGES = (
    *(f.NodePresenceChanged, f.NodeDescribed, f.NodeUpdated, f.NodeJoined, f.NodeSuspected),
    *(f.NodeDegraded, f.NodeLost, f.NodeAssigned, f.NodeDrainRequested, f.PreemptionNoticed),
    *(f.LeaseAcquired, f.ProcessRestarted, f.BreakerOpened, f.BreakerReset),
)
Stays = Mapping[str, list[Stay]]


@dataclass
class Machine:
    """One `ringrift node run`, while it runs, and the times at which it was there."""

    name: str
    roles: str
    process: asyncio.subprocess.Process | None = None
    stays: list[Stay] = field(default_factory=list)
    """those that have ended"""
    since: float = math.inf
    """when it was started, if it is there"""

    async def start(self, data: Path, url: str) -> None:
        """Start it, with one process of each kind."""
        offer = ["--provider", "test", "--price", str(PRICE)] if self.roles != "coordinator" else []
        words = ["node", "run", "--roles", self.roles, "--node", self.name, *offer]
        words += ["--server", url, "--data", str(data / self.name)]
        words += ["--notice", f"{NOTICE_SECONDS}s"] if offer else []
        self.since = time.time()
        with (data / f"{self.name}.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ringrift.cli.main", *words),
                stdout=output,
                stderr=output,
                env=os.environ | {"RINGRIFT_THREADS": "1", "RINGRIFT_HEALTH_PORT": "0"},
            )

    async def leave(self, log: JetStreamLog, way: str) -> None:
        """Go in one of the ways of the plan."""
        assert self.process is not None
        since, until, self.since = self.since, time.time(), math.inf
        killed = way == "kill"
        if way == "drain":
            fact = f.NodeDrainRequested(node=self.name, seconds=DRAIN_SECONDS, why="the plan")
            await record(log, fact)
        elif way == "notice":
            self.process.send_signal(signal.SIGTERM)
        if not killed:
            try:
                async with asyncio.timeout(END_SECONDS_MAX):
                    await self.process.wait()
            except TimeoutError:
                killed = True
        await self.kill()
        self.stays.append(Stay(since, until, time.time() + killed * WORK_ACK_SECONDS))

    async def kill(self) -> None:
        """Kill all its processes, if it runs, as when a machine is lost."""
        if self.process is None:
            return
        for number in (*descendants(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        await self.process.wait()
        self.process = None

    def until(self, end: float) -> list[Stay]:
        """Its stays up to a moment."""
        newest = [Stay(self.since, end, end)] if self.since < end else []
        return self.stays + newest


def descendants(number: int) -> list[int]:
    """The processes that a process started, and theirs."""
    found = list[int]()
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [*descendants(child), child]
    return found


async def working(fleet: dict[str, Machine], log: JetStreamLog) -> set[str]:
    """The machines that have started their processes and do not leave."""
    starts = dict[str, float]()
    async for fact, meta in read.facts(log, f.ConsumerStarted):
        starts[fact.node] = meta.time.timestamp()
    return {name for name, one in fleet.items() if one.since < starts.get(name, 0.0)}


async def come_and_go(
    fleet: dict[str, Machine], made: servers.Servers, until: float, done: Counter[str]
) -> None:
    """Let nodes go and come back by the plan, a few at a time."""
    plan = random.Random(SEED)

    async def away(machine: Machine, way: str, seconds: float) -> None:
        await machine.leave(made.log, way)
        await asyncio.sleep(seconds)
        await machine.start(made.data, made.cluster.url)

    async with asyncio.TaskGroup() as group:
        while time.time() < until:
            await asyncio.sleep(plan.uniform(*BETWEEN_SECONDS))
            (way,) = plan.choices(list(WAYS), list(WAYS.values()))
            names = COORDINATORS if way == "coordinator" else tuple(WORKERS)
            machine, seconds = fleet[plan.choice(names)], plan.uniform(*AWAY_SECONDS)
            there = await working(fleet, made.log)
            if machine.name not in there or not there.intersection(COORDINATORS) - {machine.name}:
                continue
            print(f"{until - time.time():6.0f} s left: {machine.name} {way}", flush=True)
            done[way] += 1
            way = "kill" if way == "coordinator" else way
            group.create_task(away(machine, way, seconds))


async def tell(fleet: dict[str, Machine], log: JetStreamLog, until: float) -> None:
    """Print a line a minute."""
    while True:
        tickets = len([fact async for fact, _ in read.facts(log, *OUTCOMES)])
        up = sum(machine.since < math.inf for machine in fleet.values())
        left = f"{max(0.0, until - time.time()):6.0f} s left"
        print(f"{left}: {up} of {len(fleet)} nodes, {tickets} tickets finished", flush=True)
        await asyncio.sleep(TOLD_SECONDS)


async def observe(log: JetStreamLog, seen: list[Look]) -> None:
    """Look at the heartbeats every second."""
    presence = Presence(log)
    while True:
        with contextlib.suppress(LogUnavailable):
            beats = [one for one in await presence.all() if one.consumer in KIND_OF]
            busy = {(one.node, KIND_OF[one.consumer]): bool(one.busy) for one in beats}
            seen.append(Look(time.time(), busy))
        await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def running(made: servers.Servers) -> AsyncIterator[dict[str, Machine]]:
    """All nodes, once they have joined. The first worker compiles the code for all."""
    roles = dict.fromkeys(COORDINATORS, "coordinator") | WORKERS
    fleet = {name: Machine(name, role) for name, role in roles.items()}

    async def seen(names: set[str], kind: type[f.NodeJoined | f.EvaluationScored]) -> bool:
        ended = [x.name for x in fleet.values() if x.process and x.process.returncode is not None]
        assert ended == [], f"see {made.data}/*.log"
        return names <= {fact.node async for fact, _ in read.facts(made.log, kind)}

    try:
        for name in (*COORDINATORS, FIRST):
            await fleet[name].start(made.data, made.cluster.url)
        scored = partial(seen, {FIRST}, f.EvaluationScored)
        await eventually(scored, READY_SECONDS_MAX, every_seconds=1.0)
        for name in fleet.keys() - {*COORDINATORS, FIRST}:
            await fleet[name].start(made.data, made.cluster.url)
        joined = partial(seen, set(fleet), f.NodeJoined)
        await eventually(joined, READY_SECONDS_MAX, every_seconds=1.0)
        yield fleet
    finally:
        await asyncio.gather(*(machine.kill() for machine in fleet.values()))


async def history(log: JetStreamLog) -> list[Recorded]:
    """All facts, in their order."""
    return [recorded async for recorded in read.facts(log)]


async def unexplained(log: JetStreamLog, found: list[Recorded]) -> list[str]:
    """Changes of the fleet whose tree, as `why` prints it, does not end in what was observed or
    asked for."""
    wrong = list[str]()
    by_position = {recorded.meta.position: recorded for recorded in found}
    longest: dict[str, Recorded] = {}
    for recorded in found:
        event, meta = recorded
        if not isinstance(event, CHANGES):
            continue
        root = recorded
        while root.meta.cause in by_position:
            root = by_position[root.meta.cause]
        if root.meta.cause is not None or (root is not recorded) == isinstance(event, OBSERVED):
            wrong.append(f"{meta.position} {type(event).__name__} ends at {root.meta.position}")
        elif not isinstance(root.event, (*OBSERVED, f.ProcessRestarted)):
            wrong.append(f"{meta.position} {type(event).__name__}: {type(root.event).__name__}")
        longest[type(event).__name__] = recorded
    for name, recorded in longest.items():  # the newest of each type, as the command shows it
        tree = await causes.why(log, recorded)
        lines = "\n".join(causes.tree_lines(tree))
        chain = [recorded]
        while chain[-1].meta.cause in by_position:
            chain.append(by_position[chain[-1].meta.cause])
        hidden = [one.meta.position for one in chain if one.meta.position not in lines]
        wrong += [f"{name}: `why` does not show {position}" for position in hidden]
    return wrong


def summary(
    found: list[Recorded], stays: Stays, idles: list[Idle], done: Counter[str], end: float
) -> Iterator[str]:
    """What happened, in lines."""
    kinds = Counter(type(event).__name__ for event, _ in found)
    yield f"{SECONDS:g} s, seed {SEED}: {len(found):,} facts"
    started = sum(map(len, stays.values()))
    yield f"nodes started {started}, left: " + ", ".join(f"{way} {done[way]}" for way in WAYS)
    shares = waits.idle_shares(found, idles, end)
    every = waits.waits_of(found, end)
    for kind, (idle, worked) in shares.items():
        longest = max((one.until - one.since for one in every if one.kind == kind), default=0.0)
        count = sum(one.kind == kind for one in every)
        yield (
            f"{kind}: {count} tickets, {worked:.0f} s of work, the longest wait {longest:.0f} s; "
            f"{idle:.0f} s of nodes idle while tickets waited"
        )
    names = (kind.__name__ for kind in CHANGES)
    yield "changes explained: " + ", ".join(f"{name} {kinds[name]}" for name in names)


@pytest.mark.slow
async def test_no_ticket_waits_for_a_fleet_that_comes_and_goes(tmp_path: Path) -> None:
    done, seen = Counter[str](), list[Look]()
    async with servers.cluster(tmp_path) as made:
        print(f"\nlogs of all nodes and servers: {tmp_path}", flush=True)
        # given a loop without end on a fleet
        words = tuple(f"{name}={value}" for name, value in SETTINGS.items())
        settings = load(from_arguments(words), base=Settings(configs=("hex8_2p",), generations=0))
        await apply_settings(made.log, settings, "test")
        async with running(made) as fleet:
            # when its nodes come and go
            until = time.time() + SECONDS
            watching = [tell(fleet, made.log, until), observe(made.log, seen)]
            async with background(*watching):
                await come_and_go(fleet, made, until, done)
            end = time.time()
            found = await history(made.log)
            stays = {name: fleet[name].until(end) for name in WORKERS}
        # then every change has a reason, and no node was idle while there was work for it
        idles = waits.idles_of(found, stays, seen, end)
        beside = waits.waited(found, stays, idles, end)
        wrong = [line for seconds, line in beside if seconds > waits.TICK_SECONDS]
        wrong += [*waits.idled(found, idles, end), *waits.left_unassigned(found, stays)]
        wrong += await unexplained(made.log, found)
    (tmp_path / "history.txt").write_text("\n".join(map(str, found)))
    (tmp_path / "stays.txt").write_text(f"{end}\n{stays}\n{seen}")
    print("\n".join(summary(found, stays, idles, done, end)), flush=True)
    print(f"the longest beside an idle node: {beside[0][1]}", *wrong, sep="\n", flush=True)
    assert wrong == [], f"see {tmp_path}"
