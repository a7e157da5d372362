"""Pausing, pressure, breakers and dead letters in processes on the in-memory log."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from ringrift.consumers import dispatcher, monitor
from ringrift.consumers.monitoring import measures, presence
from ringrift.deciders.fleet.breaker import THRESHOLD_MIN, Breaker
from ringrift.events import Fact, Recorded, codec, decode, draft, encode
from ringrift.events.facts import (
    BreakerOpened,
    BreakerReset,
    ConsumerStarted,
    ConsumerStopped,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    DeadLetterStored,
    ModelPromoted,
    NodeAssigned,
    NodeJoined,
    NodePresenceChanged,
    NodePressureChanged,
    PipelinePaused,
    PipelineResumed,
    SelfplayFinished,
    SelfplayPlanned,
    TickRecorded,
    VelocityChanged,
    WorkEscalated,
)
from ringrift.events.registry import REGISTRY
from ringrift.events.tickets import decode_ticket, encode_ticket, subject_of, tickets_of
from ringrift.log.entry import Entry
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.log.presence import Heartbeat, Presence
from ringrift.runtime import work as working
from ringrift.runtime.cluster_view import cluster_view
from ringrift.runtime.dead_letter_retry import dropped, retry, unresolved
from ringrift.runtime.logs import configure_logs
from ringrift.runtime.process import Process
from ringrift.runtime.processes import LEASED, PROCESSES
from ringrift.runtime.relief import relieve
from ringrift.runtime.work import work

PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=0,
    games=3,
    games_per_ticket=1,
    simulations=4,
    model=None,
    seed=1,
    settings_version=0,
)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(working, "PAUSED_SECONDS", 0.0)
    monkeypatch.setattr(working, "RETRY_DELAYS_SECONDS", (0.0, 0.0, 0.0))


def process(broker: MemoryBroker, name: str = "selfplay", node: str = "test") -> Process:
    log = MemoryLog(broker)
    return Process(name, node, log)


async def write(broker: MemoryBroker, fact: Fact, key: str = "0") -> int:
    return (await MemoryLog(broker).append([draft(fact, cause=None, source="test", key=key)]))[0]


async def facts(broker: MemoryBroker, kind: type[Fact]) -> list[Recorded]:
    entries = [entry async for batch in MemoryLog(broker).read("EVENTS") for entry in batch]
    events = [
        decode(entry.body, stream="EVENTS", seq=entry.seq)
        for entry in entries
        if entry.body.startswith(b'{"spec')
    ]
    return [item for item in events if isinstance(item.event, kind)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  states of other tasks have no event to wait for
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(*jobs: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def failed(process: Process, ticket: object, reason: str) -> Fact:
    return PipelineResumed(scope="all", why=reason)


def paused(**changes: str) -> PipelinePaused:
    return PipelinePaused(**{"scope": "all", "kind": "selfplay", "why": "test"} | changes)


# assignment and ageing


async def test_a_node_assigned_to_other_work_takes_no_ticket_and_one_preempted_hands_back(
    broker: MemoryBroker,
) -> None:
    runner, began = process(broker, node="gpu1"), list[str]()
    seq = await write(broker, PLAN)
    for ticket in tickets_of(PLAN, f"EVENTS/{seq}")[:1]:
        await runner.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)

    async def handle(process: Process, ticket: object, deliveries: int) -> None:
        began.append(ticket.ticket)
        while True:
            process.check_stop()
            await asyncio.sleep(0)

    start = await runner.controls.load()
    async with running(work(runner, "selfplay", handle, failed), runner.controls.follow(start)):
        await until(lambda: len(began) == 1)
        await write(broker, assigned("other", "training"), "1")
        await write(broker, assigned("gpu1", "training"), "2")
        await until(lambda: runner.doing == "waiting: node gpu1 is assigned to other work")
        await write(broker, assigned("gpu1", "selfplay"), "3")
        await until(lambda: len(began) == 2)


def assigned(node: str, kind: str) -> NodeAssigned:
    return NodeAssigned(
        node=node,
        kinds=(kind,),
        ticket_seconds=1.0,
        why="w",
        preempts=kind == "training",
        settings_version=1,
    )


async def test_what_has_aged_and_is_not_done_is_put_in_front(broker: MemoryBroker) -> None:
    runner = process(broker, "dispatcher")
    seq = await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        await until(lambda: len(broker.stream("WORK").entries) == 3)
        done = SelfplayFinished(
            config="hex8_2p",
            generation=0,
            ticket=f"selfplay-events-{seq}-0",
            games=1,
            plies=1,
            play_seconds=1.0,
            node="n",
        )
        await write(broker, done)
        request = WorkEscalated(
            config="hex8_2p",
            kind="selfplay",
            request=f"EVENTS/{seq}",
            waited_seconds=1.0,
            settings_version=1,
        )
        await write(broker, request)
        await until(lambda: len(broker.stream("WORK").entries) == 5)
    item = await runner.log.next_ticket("selfplay", wait_seconds=1)
    assert item.subject == "ringrift.work.selfplay.1.hex8_2p"


async def test_a_ticket_that_vanished_is_asked_for_again_with_the_tick_but_not_for_ever(
    broker: MemoryBroker,
) -> None:
    runner = process(broker, "dispatcher")
    seq = await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        await until(lambda: len(broker.stream("WORK").entries) == 3)
        await write(broker, TickRecorded(minute=0), "t0")
        done = SelfplayFinished(
            config="hex8_2p",
            generation=0,
            ticket=f"selfplay-events-{seq}-1",
            games=1,
            plies=1,
            play_seconds=1.0,
            node="n",
        )
        last = await write(broker, done)
        await until(lambda: runner.seq == last)
        assert (
            len(broker.stream("WORK").entries) == 3
        )  # nothing is missing: the tick changed nothing
        for look in range(1, dispatcher.VANISHED_MAX + 2):
            await runner.log.purge("WORK", "ringrift.work.selfplay.5.hex8_2p")
            last = await write(
                broker, TickRecorded(minute=look * dispatcher.QUEUE_CHECK_MINUTES), f"t{look}"
            )
            await until(lambda last=last: runner.seq == last)
            queued = {
                decode_ticket(entry.body).ticket for entry in broker.stream("WORK").entries.values()
            }
            wanted = {f"selfplay-events-{seq}-{number}" for number in (0, 2)}
            assert queued == (wanted if look <= dispatcher.VANISHED_MAX else set())


async def test_a_paused_ticket_has_not_vanished(broker: MemoryBroker) -> None:
    runner = process(broker, "dispatcher")
    await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        await until(lambda: len(broker.stream("WORK").entries) == 3)
        await write(broker, paused())
        last = await write(broker, TickRecorded(minute=dispatcher.QUEUE_CHECK_MINUTES))
        await until(lambda: runner.seq == last)
    assert not broker.stream("WORK").entries


# pausing


async def test_a_paused_worker_takes_no_ticket_finishes_the_one_in_hand_and_goes_on_when_resumed(
    broker: MemoryBroker,
) -> None:
    runner, done = process(broker), list[str]()
    seq = await write(broker, PLAN)
    for ticket in tickets_of(PLAN, f"EVENTS/{seq}"):
        await runner.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)
    in_hand, release = asyncio.Event(), asyncio.Event()

    async def handle(process: Process, ticket: object, deliveries: int) -> None:
        in_hand.set()
        await release.wait()
        done.append(ticket.ticket)

    start = await runner.controls.load()
    async with running(work(runner, "selfplay", handle, failed), runner.controls.follow(start)):
        await in_hand.wait()
        await write(broker, paused())
        await until(lambda: runner.controls.pauses.stops("all", "selfplay"))
        release.set()
        await until(lambda: runner.doing == "waiting: selfplay is paused")
        assert len(done) == 1
        await write(broker, PipelineResumed(scope="all", kind="selfplay", why="test"))
        await until(lambda: len(done) == 3)


async def test_a_pause_outlives_the_process_and_stops_one_config_only(broker: MemoryBroker) -> None:
    await write(broker, paused(scope="hex8_2p"))
    other = process(broker)
    await other.controls.load()
    assert other.controls.pauses.stops("hex8_2p", "selfplay")
    assert not other.controls.pauses.stops("hex8_3p", "selfplay")
    done: list[str] = []

    async def handle(process: Process, ticket: object, deliveries: int) -> None:
        done.append(ticket.plan.config)

    for config in ("hex8_2p", "hex8_3p"):
        plan = SelfplayPlanned(
            **{
                **{f: getattr(PLAN, f) for f in PLAN.__struct_fields__},
                "config": config,
                "games": 1,
            }
        )
        (ticket,) = tickets_of(plan, f"EVENTS/{await write(broker, plan, config)}")
        await other.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)
    async with running(work(other, "selfplay", handle, failed)):
        await until(lambda: done == ["hex8_3p"])
    assert await facts(broker, DeadLetterStored) == []


async def test_the_dispatcher_looks_at_the_queue_again_only_when_a_pause_ends(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of resumptions of what was never paused must not keep it from new requests."""
    runner, looks = process(broker, "dispatcher"), list[int]()
    bring_back = dispatcher._put_back

    async def counted(process: Process, known: dispatcher.Outstanding) -> None:
        looks.append(known.seq)
        await bring_back(process, known)

    monkeypatch.setattr(dispatcher, "_put_back", counted)
    async with running(dispatcher.main(runner)):
        await until(lambda: runner.doing == "dispatching")
        for number in range(20):
            await write(
                broker, PipelineResumed(scope="square19_4p", kind="all", why="test"), number
            )
        await write(broker, PLAN)
        await until(lambda: len(broker.stream("WORK").entries) == 3)
    assert looks == [0]


async def test_the_dispatcher_takes_paused_tickets_off_the_queue_and_brings_each_back_once(
    broker: MemoryBroker,
) -> None:
    runner = process(broker, "dispatcher")
    await write(broker, PLAN)

    async def queued() -> list[str]:
        return sorted(decode_ticket(entry.body).ticket for entry in await runner.log.queued())

    async def soon(expected: list[str]) -> None:
        async with asyncio.timeout(10):
            while await queued() != expected:  # noqa: ASYNC110  the queue has no event to wait for
                await asyncio.sleep(0.005)

    every = [f"selfplay-events-1-{number}" for number in range(3)]
    async with running(dispatcher.main(runner)):
        await soon(every)
        await write(broker, paused())
        await soon([])
        await write(broker, PLAN, "while paused")
        await write(broker, PipelineResumed(scope="all", kind="selfplay", why="test"))
        await soon(every + [f"selfplay-events-3-{number}" for number in range(3)])
        await write(broker, PLAN, "after")
        await soon(
            every + [f"selfplay-events-{seq}-{number}" for seq in (3, 5) for number in range(3)]
        )


async def test_a_ticket_that_was_lost_comes_back_with_the_tick_and_one_that_was_done_does_not(
    broker: MemoryBroker,
) -> None:
    runner = process(broker, "dispatcher")
    seq = await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        await until(lambda: len(broker.stream("WORK").entries) == 3)
        await write(
            broker,
            SelfplayFinished(
                config="hex8_2p",
                generation=0,
                ticket=f"selfplay-events-{seq}-0",
                games=1,
                plies=1,
                play_seconds=1.0,
                node="n",
            ),
        )
        broker.stream("WORK").entries.clear()  # a server came back without what it had acknowledged
        for minute in (dispatcher.QUEUE_CHECK_MINUTES + 1, 2 * dispatcher.QUEUE_CHECK_MINUTES):
            ticked = await write(broker, TickRecorded(minute=minute), f"{minute}")
            await until(lambda ticked=ticked: runner.seq == ticked)
            assert bool(broker.stream("WORK").entries) == (
                minute % dispatcher.QUEUE_CHECK_MINUTES == 0
            )
        await write(broker, TickRecorded(minute=3 * dispatcher.QUEUE_CHECK_MINUTES), "again")
        await write(broker, PLAN, "after")
        await until(lambda: len(broker.stream("WORK").entries) == 5)
    brought = [decode_ticket(entry.body).ticket for entry in await runner.log.queued()]
    assert brought[:2] == [f"selfplay-events-{seq}-{number}" for number in (1, 2)]


async def test_a_dispatcher_that_starts_while_paused_puts_nothing_on_the_queue(
    broker: MemoryBroker,
) -> None:
    await write(broker, PLAN)
    await write(broker, paused(scope="hex8_2p", kind="all"))
    runner = process(broker, "dispatcher")
    async with running(dispatcher.main(runner)):
        await until(lambda: runner.doing == "dispatching")
        assert await runner.log.queued() == []


# pressure


async def test_pressure_is_told_once_a_node_and_stops_new_tickets(broker: MemoryBroker) -> None:
    one, two = process(broker), process(broker, "evaluator")
    for runner in (one, two):
        await relieve(runner, {"ram": 0.72, "disk": 0.1, "files": 0.0})
        await relieve(runner, {"ram": 0.71, "disk": 0.1, "files": 0.0})
    ((fact, _),) = await facts(broker, NodePressureChanged)
    assert (fact.node, fact.resource, fact.consumer, fact.tier, fact.previous) == (
        "test",
        "ram",
        "",
        "warning",
        "normal",
    )
    assert not one.pressure.takes_work
    await relieve(one, {"ram": 0.66})
    assert not one.pressure.takes_work, "hysteresis"
    await relieve(one, {"ram": 0.1})
    assert one.pressure.takes_work
    assert [item.event.tier for item in await facts(broker, NodePressureChanged)] == [
        "warning",
        "normal",
    ]
    assert one.metrics.value("ringrift_resource_used_ratio", "ram") == 0.1


async def test_an_emergency_of_memory_ends_the_process_unless_it_began_in_it(
    broker: MemoryBroker,
) -> None:
    born_into, runner = process(broker), process(broker)
    await relieve(born_into, {"ram": 0.95})
    assert not born_into.stopping
    await relieve(runner, {"ram": 0.5, "disk": 0.5})
    await relieve(runner, {"ram": 0.5, "disk": 0.999})
    assert not runner.stopping, "leaving frees no disk"
    await relieve(runner, {"ram": 0.95})
    assert runner.stopping
    assert runner.why_stopped == "ram is in its emergency tier"


async def test_each_tier_of_memory_has_its_action_in_a_worker(broker: MemoryBroker) -> None:
    """No new tickets; fewer games at once; then the ticket in hand is handed back and the process
    ends."""
    runner, began = process(broker), asyncio.Event()
    seq = await write(broker, PLAN)
    for ticket in tickets_of(PLAN, f"EVENTS/{seq}")[:2]:
        await runner.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)

    async def handle(process: Process, ticket: object, deliveries: int) -> None:
        began.set()
        while runner.pressure.worst[1] != "normal":
            process.check_stop()
            await asyncio.sleep(0)

    await relieve(runner, {"ram": 0.72})
    working_ = asyncio.ensure_future(work(runner, "selfplay", handle, failed))
    async with running(working_):
        await until(lambda: runner.doing == "waiting: ram is in its warning tier")
        assert (runner.pressure.batch(64), began.is_set()) == (32, False)
        await relieve(runner, {"ram": 0.5})
        await until(lambda: began.is_set())
        began.clear()
        await until(lambda: runner.doing == "waiting for work")
        seq = await write(broker, PLAN, "more")
        (ticket, *_) = tickets_of(PLAN, f"EVENTS/{seq}")
        await relieve(runner, {"ram": 0.65})
        await runner.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)
        await began.wait()
        await relieve(runner, {"vram": 0.85})
        assert (runner.pressure.batch(64), runner.stopping) == (16, False)
        await relieve(runner, {"vram": 0.95})
        async with asyncio.timeout(10):
            await working_
    assert runner.why_stopped == "vram is in its emergency tier"
    assert (await process(broker).log.next_ticket("selfplay", wait_seconds=1)).deliveries == 2


async def test_an_emergency_hands_the_lease_over_at_once(broker: MemoryBroker) -> None:
    one, other = process(broker, "planner", "a"), process(broker, "planner", "b")
    held: list[str] = []

    async def lead(runner: Process) -> None:
        async with runner.lease("planner"):
            held.append(runner.node)
            await runner.wait_for_stop()

    async with running(lead(one)):
        await until(lambda: held == ["a"])
        async with running(lead(other)):
            await until(lambda: other.standing_by)
            await relieve(one, {"ram": 0.5})
            await relieve(one, {"ram": 0.95})
            async with asyncio.timeout(5):  # not the 15 s after which a lease expires
                while held != ["a", "b"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)


# breakers


async def test_a_node_that_fails_again_and_again_is_quarantined_probed_and_released(
    broker: MemoryBroker,
) -> None:
    runner, other = process(broker), process(broker, "evaluator")
    clock = [datetime.now(UTC).timestamp()]
    runner.breakers._now = other.breakers._now = lambda: clock[0]
    async with running(other.breakers.follow()):
        for _ in range(THRESHOLD_MIN - 1):
            await runner.breakers.failed("node-test", "no luck")
            assert runner.breakers.allows("node-test")
        await runner.breakers.failed("node-test", "no luck")
        await until(lambda: not other.breakers.allows("node-test"))
        assert other.breakers.allows("node-other")
        clock[0] += 200
        assert other.breakers.allows("node-test"), "due for a probe"
        await other.breakers.probing("node-test")
        assert not other.breakers.allows("node-test"), "one probe at a time"
        await other.breakers.worked("node-test")
        assert other.breakers.allows("node-test")
    assert [item.event.failures for item in await facts(broker, BreakerOpened)] == [THRESHOLD_MIN]
    assert len(await facts(broker, BreakerReset)) == 1


async def test_a_breaker_is_forgotten_after_six_hours(broker: MemoryBroker) -> None:
    runner = process(broker)
    await runner.breakers._put("node-test", Breaker(state="open", until=9e9, why="w"))
    assert not runner.breakers.allows("node-test")
    runner.breakers._bucket.now = lambda: datetime.now(UTC).timestamp() + 6 * 3600 + 1
    assert runner.breakers.allows("node-test")


async def test_a_quarantined_node_takes_no_tickets(broker: MemoryBroker) -> None:
    runner = process(broker)
    await runner.breakers._put("node-test", Breaker(state="open", until=9e12, why="w"))
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await write(broker, PLAN)}")
    await runner.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), ticket.ticket)

    async def handle(process: Process, ticket: object, deliveries: int) -> None:
        raise AssertionError

    async with running(work(runner, "selfplay", handle, failed)):
        await until(lambda: runner.doing == "waiting: node test is quarantined")


# dead letters


async def bury_event(broker: MemoryBroker, body: bytes) -> int:
    runner = process(broker, "rater")
    seq = await runner.log.publish("EVENTS", "ringrift.settings.all.changed", body)
    await runner.dead_letter(
        (await runner.log.get("EVENTS", seq)), stream="EVENTS", deliveries=1, reason="undecodable"
    )
    return seq


async def test_a_letter_is_told_once_however_much_later_it_is_met_again(
    broker: MemoryBroker,
) -> None:
    seq = await bury_event(broker, b"poison")
    broker.stream("EVENTS")._ids.clear()  # more than an hour later
    runner = process(broker, "rater")
    await runner.dead_letter(
        Entry(seq, "ringrift.settings.all.changed", 0, b"poison"),
        stream="EVENTS",
        deliveries=1,
        reason="again",
    )
    assert len(await facts(broker, DeadLetterStored)) == 1
    broker.stream("EVENTS").purge(
        "ringrift.dead-letter.rater.stored"
    )  # a crash had come between letter and fact
    await runner.dead_letter(
        Entry(seq, "ringrift.settings.all.changed", 0, b"poison"),
        stream="EVENTS",
        deliveries=1,
        reason="again",
    )
    assert len(await facts(broker, DeadLetterStored)) == 1


async def test_an_event_of_an_older_version_decodes_once_there_is_an_upcaster(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = json.loads(encode(draft(paused(), cause=None, source="test")))
    stored["data"]["reason"] = stored["data"].pop("why")
    await bury_event(broker, json.dumps(stored).encode())
    log = MemoryLog(broker)
    (letter,) = (await unresolved(log)).letters.values()
    assert isinstance(await retry(log, letter), DeadLetterRetryFailed)
    import msgspec

    newer = msgspec.structs.replace(
        REGISTRY["PipelinePaused"],
        version=2,
        upcasters={
            1: lambda data: {
                ("why" if name == "reason" else name): value for name, value in data.items()
            }
        },
    )
    monkeypatch.setitem(codec.REGISTRY, "PipelinePaused", newer)
    monkeypatch.setattr(codec, "_CURRENT", msgspec.json.Decoder(codec._typed_envelope(newer)))
    outcome = await retry(log, letter)
    assert isinstance(outcome, DeadLetterResolved)
    assert (outcome.outcome, "PipelinePaused" in outcome.why) == ("decodes", True)


async def test_a_ticket_goes_on_the_queue_again(broker: MemoryBroker) -> None:
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await write(broker, PLAN)}")
    runner = process(broker)
    entry = Entry(7, subject_of(ticket), 0, encode_ticket(ticket))
    await runner.dead_letter(entry, stream="WORK", deliveries=4, reason="no luck", answered=True)
    (letter,) = (await unresolved(runner.log)).letters.values()
    assert letter.answered
    outcome = await retry(runner.log, letter)
    assert isinstance(outcome, DeadLetterResolved)
    assert [decode_ticket(item.body).ticket for item in await runner.log.queued()] == [
        ticket.ticket
    ]
    await write(broker, outcome)
    assert (await unresolved(runner.log)).letters == {}


async def test_a_dropped_letter_is_resolved_and_its_bytes_stay(broker: MemoryBroker) -> None:
    await bury_event(broker, b"poison")
    log = MemoryLog(broker)
    (letter,) = (await unresolved(log)).letters.values()
    await write(broker, dropped(letter, "of no use"))
    assert (await unresolved(log)).letters == {}
    assert (await log.get("DEAD", letter.dead_seq)).body == b"poison"


# the monitor


async def test_the_monitor_tells_of_nodes_tries_letters_and_closes_breakers(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "OBSERVE_SECONDS", 0.01)
    monkeypatch.setattr(measures, "MEASURE_SECONDS", 0.01)
    seq = await bury_event(broker, b"poison")
    runner = process(broker, "monitor")
    await runner.breakers._put("node-test", Breaker(state="open", until=9e12, why="w"))
    await Presence(runner.log).beat(
        Heartbeat(
            consumer="selfplay",
            node="gpu1",
            instance="i",
            pid=1,
            doing="",
            seq=0,
            errors=0,
            folds={},
        )
    )
    request = DeadLetterRetryRequested(
        consumer="rater", stream="EVENTS", seq=seq, dead_seq=1, attempt=1
    )
    (asked,) = await runner.log.append(
        [draft(request, cause="EVENTS/1", source="monitor@before")]
    )  # unanswered by one who died

    async def told(kind: type[Fact]) -> list[Recorded]:
        async with asyncio.timeout(10):
            while not (found := await facts(broker, kind)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found

    async with running(monitor.main(runner)):
        assert [item.event.node for item in await told(NodeJoined)] == ["gpu1"]
        ((retried, meta),) = await told(DeadLetterRetryFailed)
        assert (retried.seq, meta.cause) == (seq, f"EVENTS/{asked}")
        await write(broker, BreakerReset(target="node-test", why="repaired"))
        await until(lambda: runner.breakers.allows("node-test"))
        await until(lambda: runner.metrics.value("ringrift_dead_letters_unresolved") is not None)
        await Presence(runner.log).beat(
            Heartbeat(
                consumer="selfplay",
                node="gpu1",
                instance="i",
                pid=1,
                doing="",
                seq=0,
                errors=0,
                folds={},
                left=True,
            )
        )
        async with asyncio.timeout(10):
            while len(await told(NodePresenceChanged)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    seen = [
        (item.event.present, item.event.left) for item in await facts(broker, NodePresenceChanged)
    ]
    assert seen == [(True, False), (False, True)]
    assert len(await facts(broker, DeadLetterRetryFailed)) == 1


def test_a_node_that_said_goodbye_to_an_earlier_monitor_is_not_missed() -> None:
    known = presence.Known()
    for event in (
        NodePresenceChanged(node="a", present=True, left=False, silent_seconds=0, processes=1),
        ConsumerStarted(node="a", consumer="rater", instance="1", version="1"),
        ConsumerStopped(node="a", consumer="rater", instance="1", why="told to stop"),
        NodePresenceChanged(node="b", present=True, left=False, silent_seconds=0, processes=1),
        ConsumerStarted(node="b", consumer="rater", instance="2", version="1"),
    ):
        known.take(event)
    assert [(item.node, item.present, item.left) for item in known.changes({})] == [
        ("a", False, True),
        ("b", False, False),
    ]


async def test_the_monitors_metrics_tell_how_each_config_stands(broker: MemoryBroker) -> None:
    runner, model = process(broker, "monitor"), "ab" * 32
    await measures.measure_configs(runner)
    assert runner.metrics.value("ringrift_generation", "hex8_2p") is None
    for generation in (1, 2):
        promoted = ModelPromoted(
            config="hex8_2p",
            generation=generation,
            model=model,
            previous=None,
            evidence=None,
            why="w",
            settings_version=1,
        )
        await write(broker, promoted, f"{generation}")
    changed = VelocityChanged(
        config="hex8_2p",
        model=model,
        elo_per_hour=None,
        pace=None,
        elo_above_heuristic=120.5,
        settings_version=1,
    )
    await write(broker, changed)
    await write(broker, NodeJoined(node="gpu1", rejoined=False), "1")
    await write(broker, NodeJoined(node="gpu1", rejoined=True), "2")
    await measures.measure_configs(runner)
    value = runner.metrics.value
    assert value("ringrift_generation", "hex8_2p") == 2
    assert value("ringrift_elo_above_heuristic", "hex8_2p") == 120.5
    assert value("ringrift_nodes_reconnected_total") == 1
    assert value("ringrift_elo_velocity", "hex8_2p") is None, "unknown before a second network"


async def test_the_cluster_at_a_glance(broker: MemoryBroker) -> None:
    log = MemoryLog(broker)
    for name in PROCESSES:
        beat = Heartbeat(
            consumer=name,
            node="a",
            instance=name,
            pid=1,
            doing="",
            seq=0,
            errors=0,
            folds={},
            tier="warning" if name == "rater" else "normal",
        )
        await Presence(log).beat(beat)
    for role in LEASED:
        await log.publish("KV_leases", f"$KV.leases.{role}", b'{"holder":"a.1","claim":"c"}')
    await write(broker, paused(scope="hex8_2p", why="maintenance"))
    await bury_event(broker, b"poison")
    view = await cluster_view(log, dead_letters_max=1)
    assert view.roles == dict.fromkeys(
        ("planner", "promoter", "monitor", "feedback", "clock"), "a.1"
    )
    assert (view.memory_tier, view.dead_letters, view.paused) == (
        "warning",
        1,
        {"hex8_2p/selfplay": "maintenance"},
    )
    assert view.nodes["a"].processes == len(PROCESSES)
    assert view.resilience.score == pytest.approx(0.85)
    assert [line.partition(":")[0] for line in view.advice] == ["memory", "dead letters", "paused"]
    assert "alarm" in view.advice[1]


async def test_a_loop_without_feedback_and_clock_is_not_whole(broker: MemoryBroker) -> None:
    log = MemoryLog(broker)
    for name in PROCESSES.keys() - {"feedback", "clock"}:
        await Presence(log).beat(
            Heartbeat(
                consumer=name, node="a", instance=name, pid=1, doing="", seq=0, errors=0, folds={}
            )
        )
    for role in ("planner", "promoter", "monitor"):
        await log.publish("KV_leases", f"$KV.leases.{role}", b'{"holder":"a.1","claim":"c"}')
    view = await cluster_view(log)
    assert (view.roles["feedback"], view.roles["clock"]) == (None, None)
    assert (view.resilience.coordinator, view.resilience.processes) == (
        pytest.approx(3 / 5),
        pytest.approx(9 / 11),
    )
    assert [line.partition(";")[0] for line in view.advice] == [
        "coordinator: no process acts as feedback, clock",
        "processes: start feedback, clock with `ringrift up` or their systemd units",
    ]


# logs


def test_logs_are_json_lines_with_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import structlog

    monkeypatch.setenv("RINGRIFT_LOG", "json")
    try:
        configure_logs()
        try:
            raise ValueError("no luck")
        except ValueError:
            structlog.get_logger().error(
                "failed", id="X:EVENTS/1:0", cause="EVENTS/1", exc_info=True
            )
    finally:
        structlog.reset_defaults()
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["id"], line["cause"], line["level"]) == (
        "failed",
        "X:EVENTS/1:0",
        "EVENTS/1",
        "error",
    )
    assert "ValueError: no luck" in line["exception"]
