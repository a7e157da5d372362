"""Circuit breakers that processes share."""

from __future__ import annotations

from support.system import System, running, until

from ringrift.deciders.fleet.breaker import COOLDOWN_SECONDS, THRESHOLD_MIN
from ringrift.events.facts import BreakerOpened, BreakerReset
from ringrift.log.topology import BREAKER_SECONDS


async def test_failures_in_a_row_open_the_breaker_for_all_processes(system: System) -> None:
    failing, other = system.process(), system.process("evaluator")
    async with running(other.breakers.shared.follow()):
        for _ in range(THRESHOLD_MIN - 1):
            await failing.breakers.failed("node-test", "no luck")
            assert failing.breakers.allows("node-test")
        await failing.breakers.failed("node-test", "no luck")
        await until(lambda: not other.breakers.allows("node-test"))
        assert other.breakers.allows("node-other")
    (opened,) = await system.facts(BreakerOpened)
    assert opened.failures == THRESHOLD_MIN


async def test_a_successful_probe_closes_the_breaker(system: System) -> None:
    process = system.process()
    await system.open_breaker(process, "node-test")
    system.loop.clock.seconds += COOLDOWN_SECONDS + 1
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
