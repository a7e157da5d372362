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
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chaos import servers
from support import small_loop
from support.waiting import eventually

from ringrift.cluster.steering import apply_settings, record
from ringrift.deciders.fleet.order import KIND_OF
from ringrift.events import Fact, Recorded, Settings, facts as f
from ringrift.events.settings_sources import from_arguments, load
from ringrift.events.tickets import OUTCOMES, REQUESTS, Ticket, kind_of, tickets_of
from ringrift.insight.why import causes
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import WORK_ACK_SECONDS
from ringrift.runtime.usage import SAMPLE_SECONDS

SECONDS = float(os.environ.get("FLEET_SECONDS", "200"))
SEED = int(os.environ.get("FLEET_SEED", "1"))
COORDINATORS = ("c1", "c2")
WORKERS = {
    "w1": "worker",
    "w2": "worker",
    "w3": "worker,evaluator",
    "w4": "worker,evaluator",
    "w5": "evaluator,trainer",
    "w6": "evaluator,trainer",
}
PRICE = 0.25
BETWEEN_SECONDS = (5.0, 20.0)
AWAY_SECONDS = (5.0, 40.0)
DRAIN_SECONDS, NOTICE_SECONDS = 20.0, 15.0
WAYS = {"kill": 3, "drain": 2, "notice": 2, "coordinator": 1}
"""how a node goes, with weights"""
READY_SECONDS_MAX = 900.0
WORKS_SECONDS_MAX = 120.0
END_SECONDS_MAX = 60.0
assert SAMPLE_SECONDS > WORK_ACK_SECONDS, "the tickets of a killed worker are delivered again"
STARTED_SECONDS = 10.0
"""from the start of a worker until it takes tickets: kernels are compiled or loaded"""
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
Span = tuple[float, float]
"""two moments in seconds since 1970"""


@dataclass
class Machine:
    """One `ringrift node run`, while it runs, and the times at which it was there."""

    name: str
    roles: str
    process: asyncio.subprocess.Process | None = None
    leaving: bool = False
    """whether it goes, or is away"""
    up: list[Span] = field(default_factory=list)
    _since: float = 0.0

    async def start(self, data: Path, url: str) -> None:
        """Start it, with one process of each kind."""
        offer = ["--provider", "test", "--price", str(PRICE)] if self.roles != "coordinator" else []
        words = ["node", "run", "--roles", self.roles, "--node", self.name, *offer]
        words += ["--server", url, "--data", str(data / self.name)]
        words += ["--notice", f"{NOTICE_SECONDS}s"] if offer else []
        with (data / f"{self.name}.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ringrift.cli.main", *words),
                stdout=output,
                stderr=output,
                env=os.environ | {"RINGRIFT_THREADS": "1", "RINGRIFT_HEALTH_PORT": "0"},
            )
        self._since = time.time()

    async def end(self, number: int, seconds_max: float = END_SECONDS_MAX) -> None:
        """Send a signal and wait for the end, or kill it."""
        assert self.process is not None
        self.up.append((self._since, time.time()))  # it takes no tickets from now on
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
        try:
            async with asyncio.timeout(seconds_max):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        self.process = None

    async def leave(self, log: JetStreamLog, way: str) -> None:
        """Go in one of the ways of the plan."""
        if way == "drain":
            fact = f.NodeDrainRequested(node=self.name, seconds=DRAIN_SECONDS, why="the plan")
            await record(log, fact)
        await self.end({"kill": signal.SIGKILL, "notice": signal.SIGTERM}.get(way, 0))


async def come_and_go(
    fleet: dict[str, Machine], made: servers.Servers, until: float, done: Counter[str]
) -> None:
    """Let nodes go and come back by the plan, a few at a time."""
    plan, back = random.Random(SEED), set[asyncio.Task[None]]()

    async def away(machine: Machine, way: str, seconds: float) -> None:
        await machine.leave(made.log, way)
        await asyncio.sleep(seconds)
        await machine.start(made.data, made.cluster.url)
        machine.leaving = False

    while time.time() < until:
        await asyncio.sleep(plan.uniform(*BETWEEN_SECONDS))
        (way,) = plan.choices(list(WAYS), list(WAYS.values()))
        names = COORDINATORS if way == "coordinator" else tuple(WORKERS)
        machine, seconds = fleet[plan.choice(names)], plan.uniform(*AWAY_SECONDS)
        acting = [name for name in COORDINATORS if not fleet[name].leaving]
        if machine.leaving or acting == [machine.name]:
            continue
        machine.leaving = True
        print(f"{until - time.time():5.0f} s left: {machine.name} {way}", flush=True)
        done[way] += 1
        task = asyncio.create_task(away(machine, "kill" if way == "coordinator" else way, seconds))
        back.add(task)
        task.add_done_callback(back.discard)
    await asyncio.gather(*back)


@contextlib.asynccontextmanager
async def running(made: servers.Servers) -> AsyncIterator[dict[str, Machine]]:
    """All nodes, once they have joined and the first games are played: kernels are compiled."""
    roles = dict.fromkeys(COORDINATORS, "coordinator") | WORKERS
    fleet = {name: Machine(name, role) for name, role in roles.items()}
    try:
        for machine in fleet.values():
            await machine.start(made.data, made.cluster.url)

        async def all_there() -> bool:
            ended = [
                x.name for x in fleet.values() if x.process and x.process.returncode is not None
            ]
            assert ended == [], f"see {made.data}/*.log"
            facts = [one async for one, _ in read.facts(made.log, f.NodeJoined, f.SelfplayFinished)]
            joined = {one.node for one in facts if isinstance(one, f.NodeJoined)}
            return joined >= fleet.keys() and any(isinstance(x, f.SelfplayFinished) for x in facts)

        await eventually(all_there, READY_SECONDS_MAX, every_seconds=1.0)
        yield fleet
    finally:
        await asyncio.gather(
            *(machine.end(signal.SIGKILL) for machine in fleet.values() if machine.process)
        )


async def history(log: JetStreamLog) -> list[Recorded]:
    """All facts, in their order."""
    return [recorded async for recorded in read.facts(log)]


def work_of(fact: Fact) -> float:
    """The seconds of work behind an outcome."""
    names = ("play_seconds", "train_seconds", "search_seconds")
    return max(float(getattr(fact, name, 0.0)) for name in names)


def spans_of_waiting(found: list[Recorded], end: float) -> list[tuple[Ticket, Span]]:
    """From the request of each ticket to the start of the work that finished it."""
    waiting, spans = dict[str, tuple[Ticket, float]](), list[tuple[Ticket, Span]]()
    for event, meta in found:
        at = meta.time.timestamp()
        if isinstance(event, REQUESTS):
            waiting |= {each.ticket: (each, at) for each in tickets_of(event, meta.position)}
        elif isinstance(event, OUTCOMES) and event.ticket in waiting:
            ticket, since = waiting.pop(event.ticket)
            spans.append((ticket, (since, max(since, at - work_of(event)))))
    return spans + [(ticket, (since, end)) for ticket, since in waiting.values()]


def spans_of_assignment(found: list[Recorded], node: str, kind: str, end: float) -> list[Span]:
    """When a node was to take tickets of a kind: of the fleet, only those that it is assigned."""
    spans, since = list[Span](), None
    for event, meta in found:
        if isinstance(event, f.NodeAssigned) and event.node == node:
            at = meta.time.timestamp()
            if since is not None:
                spans.append((since, at))
            since = at if kind in event.kinds else None
    return spans if since is None else [*spans, (since, end)]


def spans_of_running(found: list[Recorded], machine: Machine, kind: str) -> list[Span]:
    """When a process of a node took tickets of a kind, by its own reports and the plan."""
    names = {name for name, its_kind in KIND_OF.items() if its_kind == kind}
    lives = (f.ConsumerStarted, f.ConsumerStopped)
    starts = [
        meta.time.timestamp()
        for event, meta in found
        if isinstance(event, lives) and event.node == machine.name and event.consumer in names
        if isinstance(event, f.ConsumerStarted)
    ]
    spans = list[Span]()
    for since, until in machine.up:
        started = next((at for at in starts if since <= at < until), None)
        if started is not None:
            spans.append((started + STARTED_SECONDS, until))
    return spans


def covers(spans: Iterable[Span], whole: Span) -> bool:
    """Whether one of the spans contains a whole one."""
    return any(since <= whole[0] and whole[1] <= until for since, until in spans)


def kept_waiting(found: list[Recorded], fleet: Iterable[Machine], end: float) -> Iterator[str]:
    """Tickets that waited for the whole time of a sample of the cores' use, in which a node that
    was fit for them did no work of their kind.

    A busy node may hold one of those tickets, without a fact that says so."""
    waits = spans_of_waiting(found, end)
    fit = {
        (machine.name, kind): (
            spans_of_running(found, machine, kind),
            spans_of_assignment(found, machine.name, kind, end),
        )
        for machine in fleet
        for kind in KIND_OF.values()
    }
    for event, meta in found:
        if not isinstance(event, f.UtilisationSampled):
            continue
        span = (meta.time.timestamp() - event.seconds, meta.time.timestamp())
        busy = {(name, kind) for name, use in event.nodes.items() for kind in use.busy}
        for kind in KIND_OF.values():
            waiting = [
                ticket.ticket
                for ticket, one in waits
                if kind_of(ticket) == kind and covers([one], span)
            ]
            idle = [
                name
                for (name, its_kind), spans in fit.items()
                if its_kind == kind and (name, kind) not in busy
                if all(covers(each, span) for each in spans)
            ]
            held = sum(its_kind == kind for _, its_kind in busy)
            if idle and len(waiting) > held:
                yield f"{meta.position}: {waiting} waited while {idle} were idle"


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


@pytest.mark.slow
async def test_no_ticket_waits_for_a_fleet_that_comes_and_goes(tmp_path: Path) -> None:
    done = Counter[str]()
    async with servers.cluster(tmp_path) as made:
        # given a loop without end on a fleet
        words = tuple(f"{name}={value}" for name, value in small_loop.SETTINGS.items())
        settings = load(from_arguments(words), base=Settings(configs=("hex8_2p",), generations=0))
        await apply_settings(made.log, settings, "test")
        async with running(made) as fleet:
            # when its nodes come and go
            until = time.time() + SECONDS
            await come_and_go(fleet, made, until, done)
            end = time.time()
            found = await history(made.log)
        # then every fact has a reason, and no node was idle while there was work for it
        workers = [fleet[name] for name in WORKERS]
        wrong = [*kept_waiting(found, workers, end)]
        wrong += await unexplained(made.log, found)
    kinds = Counter(type(event).__name__ for event, _ in found)
    shown = {kind.__name__: kinds[kind.__name__] for kind in (*CHANGES, *OUTCOMES)}
    print(f"\n{SECONDS:g} s, seed {SEED}: {dict(done)}; {len(found):,} facts, {shown}")
    assert wrong == []
    assert kinds["SelfplayFinished"]
    assert kinds["NodeAssigned"] > len(WORKERS)
