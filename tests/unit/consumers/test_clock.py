"""The clock records a tick every minute."""

from __future__ import annotations

from support.system import System, running

from ringrift.consumers import clock
from ringrift.events.facts import TickRecorded


async def test_each_minute_has_one_tick_however_many_clocks_run(system: System) -> None:
    clocks = [system.process("clock"), system.process("clock")]
    async with running(*(clock.main(process) for process in clocks)):
        await system.count(TickRecorded, 3)
    now = int(system.clock.wall() // 60)
    assert [tick.minute for tick in await system.facts(TickRecorded)] == [now - 2, now - 1, now]


async def test_ticks_are_recorded_at_the_start_of_a_minute(system: System) -> None:
    system.loop.clock.seconds += 17.0
    async with running(clock.main(system.process("clock"))):
        await system.count(TickRecorded, 3)
    (_, *later) = [meta.time.second for _, meta in await system.recorded(TickRecorded)]
    assert later == [0, 0]
