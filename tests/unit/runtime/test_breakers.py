"""Circuit breakers that processes share."""

from __future__ import annotations

from support.system import System, running, until

from ringrift.events.facts import BreakerEscalated, BreakerOpened, BreakerReset
from ringrift.events.settings import OperationSettings
from ringrift.log.topology import BREAKER_SECONDS

SETTINGS = OperationSettings()


async def test_failures_in_a_row_open_the_breaker_for_all_processes(system: System) -> None:
    failing, other = system.process(), system.process("evaluator")
    async with running(other.breakers.shared.follow()):
        for _ in range(SETTINGS.breaker_failures_min - 1):
            await failing.breakers.failed("node-test", "no luck")
            assert failing.breakers.allows("node-test")
        await failing.breakers.failed("node-test", "no luck")
        await until(lambda: not other.breakers.allows("node-test"))
        assert other.breakers.allows("node-other")
    (opened,) = await system.facts(BreakerOpened)
    assert opened.failures == SETTINGS.breaker_failures_min


async def test_a_successful_probe_closes_the_breaker(system: System) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    system.loop.clock.seconds += SETTINGS.breaker_waits[0] + 1
    assert process.breakers.allows("node-test"), "due for a probe"
    await process.breakers.probing("node-test")
    assert not process.breakers.allows("node-test"), "one probe at a time"
    await process.breakers.worked("node-test")
    assert process.breakers.allows("node-test")
    assert len(await system.facts(BreakerReset)) == 1


async def test_an_open_breaker_expires(system: System) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    assert process.breakers.shared.all().keys() == {"node-test"}
    system.loop.clock.seconds += BREAKER_SECONDS + 1
    assert process.breakers.shared.all() == {}


async def test_each_failed_probe_raises_the_tier_and_is_recorded(system: System) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    waits = SETTINGS.breaker_waits
    for wait in (*waits, waits[-1]):
        system.loop.clock.seconds += wait + 1
        await process.breakers.probing("node-test")
        await process.breakers.failed("node-test", "still no luck")
        assert not process.breakers.allows("node-test")
    facts = await system.facts(BreakerEscalated)
    assert [fact.tier for fact in facts] == [1, 2, 3, 3, 3]
    assert [fact.retry_seconds for fact in facts] == [*waits[1:], waits[-1], waits[-1]]


async def test_work_that_began_before_the_breaker_opened_does_not_escalate_it(
    system: System,
) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    until = process.breakers.shared.all()["node-test"].until
    await process.breakers.failed("node-test", "it began earlier")
    assert process.breakers.shared.all()["node-test"].until == until
    assert await system.facts(BreakerEscalated) == []


async def test_an_operator_sets_the_threshold_and_the_waits(system: System) -> None:
    process = system.process()
    process.controls.operation = OperationSettings(
        breaker_failures_min=2, breaker_failures_max=2, breaker_waits=(5.0,)
    )
    await process.breakers.failed("store", "no luck")
    assert process.breakers.allows("store")
    await process.breakers.failed("store", "no luck")
    assert not process.breakers.allows("store")
    system.loop.clock.seconds += 5.0
    assert process.breakers.allows("store")


async def test_an_operator_sets_when_a_breaker_is_forgotten(system: System) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    system.loop.clock.seconds += 4.0
    assert not process.breakers.allows("node-test"), "the first probe is due after 10 s"
    process.controls.operation = OperationSettings(breaker_hours=0.001)
    assert process.breakers.allows("node-test")
