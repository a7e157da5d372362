"""One run: hosts that live, die and are started again, a workload, and the faults of a plan; then
calm, and the check."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from ringrift.consumers import dispatcher
from ringrift.consumers.games.publishing import publish_games
from ringrift.deciders.loop import evaluation, promotion, selfplay
from ringrift.events import Fact, Recorded, Settings, UndecodableEvent, decode
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationScored,
    GameCompleted,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    Ranking,
    SelfplayFinished,
    SettingsChanged,
)
from ringrift.events.settings import EvaluationSettings, PromotionSettings, SelfplaySettings
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket, Ticket
from ringrift.log.errors import StreamError
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.log.topology import LEASE_BUCKET
from ringrift.runtime.clock import Clock
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.republish import republish_lost
from ringrift.runtime.work import is_done, work
from simulator import checker
from simulator.checker import Sample
from simulator.clock import VirtualLoop, run
from simulator.faulty import FaultyLog, Network
from simulator.plan import AT_CALL, FAULT_SECONDS, Fault

EPOCH = 1_800_000_000.0
SETTLE_SECONDS_MAX = 400.0
SETTINGS = Settings(
    selfplay=SelfplaySettings(bootstrap_games=4, games=4, games_per_ticket=2),
    promotion=PromotionSettings(starts_max=8),
    evaluation=EvaluationSettings(starts_per_ticket=4, baseline_starts=16),
)
PLANNER = (selfplay.DECIDER, evaluation.DECIDER)
DECIDERS = (*PLANNER, promotion.DECIDER)
HELD = {"planner": [kind for decider in PLANNER for kind in decider.writes]}
VERDICTS = (ModelPromoted, PromotionRejected)
MODELS = tuple(letter * 64 for letter in "ab")

Main = Callable[[Process], Awaitable[None]]


class Quiet:
    """A logger that says nothing."""

    def bind(self, **_: Any) -> Quiet:
        return self

    def info(self, *_: Any, **__: Any) -> None:
        return

    warning = error = info


class SimulatedProcess(Process):
    """A real process whose clock is the simulator's, and whose folds are noted."""

    log: FaultyLog

    def __init__(self, host: Host, log: FaultyLog) -> None:
        clock = Clock(lambda: host.world.loop.time() + host.clock_ahead, host.world.now)
        name, node = host.consumer, f"{host.name}-{host.lives}"
        super().__init__(name, node, log, clock)
        self.instance, self.logger, self._host = str(host.lives), Quiet(), host

    def folded(self, seq: int, folds: Any) -> None:
        super().folded(seq, folds)
        if not self.log.dead and self._host.network.chance.random() < 0.2:
            self._host.world.samples += [
                Sample(name, seq, fold.fold_hash) for name, fold in folds.items()
            ]


class Host:
    """A place where one consumer runs: started again a while after it has ended, as its supervisor
    would."""

    def __init__(self, world: World, name: str, consumer: str, main: Main) -> None:
        self.world, self.name, self.consumer, self.main = world, name, consumer, main
        self.lives, self.clock_ahead = 0, 0.0
        faults = [fault for fault in world.faults if fault.kind in AT_CALL and fault.host == name]
        self.network = Network(f"{world.seed}/{name}", faults, self.kill, world.sent)
        self.process: SimulatedProcess | None = None
        self._running: asyncio.Future[Any] | None = None

    async def live(self) -> None:
        """For ever."""
        while True:
            self.lives += 1
            log = FaultyLog(self.world.broker, self.network)
            self.process = SimulatedProcess(self, log)
            mending = asyncio.ensure_future(
                self.process.keep_running("republish", lambda: republish_lost(self.process))
            )
            self._running = asyncio.ensure_future(self.main(self.process))
            try:
                await asyncio.wait([self._running])
                error = None if self._running.cancelled() else self._running.exception()
                if error is not None and not isinstance(error, StreamError):
                    self.world.accidents.append(f"crashed: {self.name} with {error!r}")
            finally:
                log.dead = True
                for task in (self._running, mending):
                    task.cancel()
                await asyncio.gather(self._running, mending, return_exceptions=True)
            await asyncio.sleep(self.network.chance.uniform(0.2, 5.0))

    def kill(self) -> None:
        """Kill -9: whatever it awaits, it awaits no longer, and nothing it still tries gets
        through."""
        if self.process is not None and self._running is not None:
            self.process.log.dead = True
            self._running.cancel()


class Result(NamedTuple):
    """What came of a run."""

    violations: list[str]
    events: int
    games: int
    seconds: float


class World:
    """A server, the hosts, and what befalls them."""

    def __init__(
        self,
        seed: int,
        faults: Sequence[Fault],
        loop: VirtualLoop,
        mains: dict[str, tuple[str, Main]],
    ) -> None:
        self.seed, self.faults, self.loop = seed, faults, loop
        self.broker = MemoryBroker(self.now)
        self.samples: list[Sample] = []
        self.power_cut = False
        self.accidents: list[str] = []
        self.sent: set[str] = set()
        self.hosts = {
            name: Host(self, name, consumer, main) for name, (consumer, main) in mains.items()
        }

    def now(self) -> float:
        """The server's clock, seconds since 1970."""
        return EPOCH + self.loop.time()

    async def run(self) -> Result:
        """Faults, then calm until nothing is left to do, then the check."""
        jobs = [asyncio.ensure_future(host.live()) for host in self.hosts.values()]
        jobs += [
            asyncio.ensure_future(self._strike(fault))
            for fault in self.faults
            if fault.kind not in AT_CALL
        ]
        try:
            await asyncio.sleep(FAULT_SECONDS)
            for host in self.hosts.values():
                host.network.faults.clear()
            settled = await self._settle()
            return self._judged(settled)
        finally:
            for host in self.hosts.values():
                if host.process is not None:
                    host.process.log.dead = True
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _strike(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        host = self.hosts[fault.host]
        match fault.kind:
            case "kill":
                host.kill()
            case "freeze":
                host.network.frozen_until = self.loop.time() + fault.amount
            case "clock step":
                host.clock_ahead += fault.amount
            case "drain" if host.process is not None:
                host.process.stop()
            case "redeliver":
                self.broker.held = {
                    seq: (deliveries, 0.0) for seq, (deliveries, _) in self.broker.held.items()
                }
                self.broker.wake()
            case "expire lease":
                store = self.broker.stream(f"KV_{LEASE_BUCKET}")
                store._expiry = dict.fromkeys(store._expiry, self.now())
                self.broker.wake()
            case "poison":
                log = MemoryLog(self.broker)
                await log.publish(
                    "EVENTS", "ringrift.model.hex8_2p.registered", b"\xff{", id=f"poison {fault.at}"
                )
                await log.publish_ticket(
                    "ringrift.work.selfplay.5.hex8_2p", b'{"type":"selfplay"', f"poison {fault.at}"
                )
            case "server restart":
                self.broker.crash()
            case "power cut":
                self.power_cut = True
                self.broker.crash(unsynced_seconds=fault.amount)
                self.samples.clear()

    async def _settle(self) -> bool:
        """Whether everything asked for is done within the time allowed."""
        end = self.loop.time() + SETTLE_SECONDS_MAX
        calm = 0
        while self.loop.time() < end:
            await asyncio.sleep(4.0)
            calm = calm + 1 if self._quiet() else 0
            if calm == 2:
                return True
        return False

    def _quiet(self) -> bool:
        tail = self.broker.stream("EVENTS").last_seq
        for role in ("planner", "promoter"):
            runs = [host.process for name, host in self.hosts.items() if name.startswith(role)]
            if not any(process is not None and process.seq >= tail for process in runs):
                return False
        if self.broker.stream("WORK").entries:
            return False
        history = self.history()
        verdicts = sum(isinstance(event, VERDICTS) for event, _ in history["EVENTS"])
        return verdicts == len(MODELS) and not checker.undone(history)

    def history(self) -> dict[str, list[Recorded]]:
        """All events, by stream."""
        found: dict[str, list[Recorded]] = {}
        for stream in ("EVENTS", "GAMES"):
            found[stream] = []
            for entry in self.broker.stream(stream).entries.values():
                with contextlib.suppress(UndecodableEvent):
                    found[stream].append(decode(entry.body, stream=stream, seq=entry.seq))
        return found

    def _judged(self, settled: bool) -> Result:
        history, ledgers = (
            self.history(),
            [host.network.acknowledged for host in self.hosts.values()],
        )
        events = history["EVENTS"]
        if self.power_cut:  # what follows from what the server forgot is decided and done again, observations are written again
            ledgers = [
                [item for item in ledger if item.expect is None and item.draft.cause is None]
                for ledger in ledgers
            ]
            violations = [*checker.lost(history, ledgers, at_seq=False), *checker.doubled(history)]
        else:
            violations = [
                *checker.lost(history, ledgers, at_seq=True),
                *checker.doubled(history),
                *checker.disordered(ledgers),
                *checker.uncaused(history),
                *checker.overheld(events, HELD),
                *checker.undone(history),
            ]
            until = self.broker.stream("EVENTS").last_seq if settled else 0
            for decider in DECIDERS:
                violations += checker.misdecided(events, decider, self.samples, until=until)
            if not settled:
                violations.append(f"not settled within {SETTLE_SECONDS_MAX:g} s")
        return Result(
            [*self.accidents, *violations], len(events), len(history["GAMES"]), self.loop.time()
        )


async def planner(process: Process) -> None:
    await act(process, PLANNER, "planner")


async def promoter(process: Process) -> None:
    """Two of them act at once: the log lets one win."""
    await act(process, (promotion.DECIDER,), None)


async def player(process: Process) -> None:
    await work(process, "selfplay", play, given_up)


async def measurer(process: Process) -> None:
    await work(process, "evaluation", measure, given_up)


async def operator(process: Process) -> None:
    """Switches the config on and registers three networks, one after the other; every fact until it
    is acknowledged."""
    facts: list[Fact] = [SettingsChanged(version=1, settings=SETTINGS, why="simulated")]
    facts += [
        ModelRegistered(
            config="hex8_2p",
            model=model,
            generation=number,
            architecture="v2-micro",
            encoder="e",
            parameters=1,
            parents=(),
            ticket=f"trained-{number}",
        )
        for number, model in enumerate(MODELS, 1)
    ]
    for number, fact in enumerate(facts):
        await asyncio.sleep(some_seconds(process, fact, 0.0, 12.0))
        while True:
            with contextlib.suppress(StreamError):
                await process.log.append(
                    [process.draft(fact, cause=None, key=f"simulated-{number}")]
                )
                break
            await asyncio.sleep(1.0)
    await process.wait_for_stop()


def some_seconds(process: Process, what: object, least: float, most: float) -> float:
    """How long this process takes for something: always the same."""
    return random.Random(f"{process.node}/{what}").uniform(least, most)


async def play(process: Process, ticket: Ticket, deliveries: int) -> None:
    """As the self-play worker does, but for the games."""
    assert isinstance(ticket, SelfplayTicket)
    if await is_done(process, ticket, SelfplayFinished):
        return
    ids = [f"{ticket.ticket}-{index}" for index in range(ticket.games)]
    async with publish_games(process, ticket, ids, deliveries) as publish:
        for name in ids:
            await asyncio.sleep(some_seconds(process, name, 0.1, 3.0))
            process.check_stop()
            await publish(game(process, ticket, name))
    fact = SelfplayFinished(
        config="hex8_2p",
        generation=ticket.plan.generation,
        ticket=ticket.ticket,
        games=ticket.games,
        plies=1,
        play_seconds=1.0,
        node=process.node,
    )
    await process.log.append([process.draft(fact, cause=ticket.cause, key=ticket.ticket)])


def game(process: Process, ticket: SelfplayTicket, name: str) -> GameCompleted:
    return GameCompleted(
        game=name,
        config="hex8_2p",
        origin="selfplay",
        ticket=ticket.ticket,
        seats=(),
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="r",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=b"",
        rules_version=1,
        play_seconds=0.0,
        node=process.node,
        settings_version=0,
    )


async def measure(process: Process, ticket: Ticket, deliveries: int) -> None:
    """As the evaluator does, but for the match: a stronger network wins each start."""
    assert isinstance(ticket, EvaluationTicket)
    request = ticket.request
    if await is_done(process, ticket, EvaluationScored):
        return
    await asyncio.sleep(some_seconds(process, ticket.ticket, 0.1, 4.0))
    me, other, pairs = request.candidate.participant, request.opponent.participant, request.starts
    fact = EvaluationScored(
        config="hex8_2p",
        generation=request.generation,
        ticket=ticket.ticket,
        candidate=me,
        candidate_model=request.candidate.model,
        opponent=other,
        purpose=request.purpose,
        round=request.round,
        games=2 * pairs,
        wins=2.0 * pairs,
        scores=((1.0, pairs),),
        rankings=(Ranking(order=(me, other), ranks=(1, 2), count=2 * pairs),),
        play_seconds=1.0,
        node=process.node,
    )
    await process.log.append([process.draft(fact, cause=ticket.cause)])


def given_up(process: Process, ticket: Ticket, reason: str) -> Fact:
    """What the log says of a ticket that could not be done."""
    if isinstance(ticket, SelfplayTicket):
        return SelfplayFinished(
            config="hex8_2p",
            generation=ticket.plan.generation,
            ticket=ticket.ticket,
            games=0,
            lost=ticket.games,
            plies=0,
            play_seconds=0.0,
            node=process.node,
        )
    assert isinstance(ticket, EvaluationTicket)
    return EvaluationFailed(
        config="hex8_2p",
        generation=ticket.request.generation,
        ticket=ticket.ticket,
        purpose=ticket.request.purpose,
        candidate_model=ticket.request.candidate.model,
        reason=reason,
        node=process.node,
    )


MAINS: dict[str, tuple[str, Main]] = {
    "planner-a": ("planner", planner),
    "planner-b": ("planner", planner),
    "promoter-a": ("promoter", promoter),
    "promoter-b": ("promoter", promoter),
    "dispatcher": ("dispatcher", dispatcher.main),
    "player-a": ("selfplay", player),
    "player-b": ("selfplay", player),
    "measurer": ("evaluator", measurer),
    "operator": ("operator", operator),
}
"""the hosts: the consumer that runs there, and what it runs"""


def simulate(
    seed: int, faults: Sequence[Fault], mains: dict[str, tuple[str, Main]] | None = None
) -> Result:
    """One run of a plan, from the beginning to the check."""
    random.seed(seed)  # the jitter of pauses
    return run(lambda loop: World(seed, faults, loop, mains or MAINS).run())
