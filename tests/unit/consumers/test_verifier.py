"""The verifier tells what it finds about everything, and within a minute about what is new."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace
from support.real_loop import RealLoop
from support.system import System, running

from ringrift.consumers import verifier
from ringrift.events import draft
from ringrift.events.facts import GameCompleted, VerificationFailed, VerificationPassed
from ringrift.log import marks
from ringrift.log.presence import SILENT_SECONDS, Heartbeat, Presence
from ringrift.log.topology import GAMES
from ringrift.tools.memory_log import MemoryLog


async def looped(system: System) -> RealLoop:
    """A sound log in the system."""
    loop = RealLoop()
    loop.log = MemoryLog(system.broker)
    return await loop.start()


async def test_a_sound_log_passes_and_is_marked(system: System) -> None:
    await looped(system)
    process = system.process("verifier")
    async with running(verifier.main(process)):
        passed, _ = await system.first(VerificationPassed)
        await asyncio.sleep(3 * verifier.ROUND_SECONDS)
    assert passed.games == await system.log.tail(GAMES) == passed.games_seq
    assert (await marks.newest(system.log)).tails[GAMES] == passed.games_seq
    assert await system.facts(VerificationFailed) == []


async def test_a_forged_game_is_reported_within_a_minute(system: System) -> None:
    loop = await looped(system)
    async with running(verifier.main(system.process("verifier"))):
        await system.first(VerificationPassed)
        game, meta = await loop.first(GameCompleted)
        other = replace(game, game="forged", winner=3 - game.winner, ranks=game.ranks[::-1])
        item = draft(other, cause=meta.cause, source="selfplay@n9", key="forged")
        await system.log.append([item])
        began = system.clock.wall()
        failed, _ = await system.first(VerificationFailed)
    assert system.clock.wall() - began < 60.0
    assert (failed.whole, failed.failures) == (False, len(failed.found))
    assert any("in the record" in text for text in failed.found)


async def test_everything_is_compared_again_every_day(system: System) -> None:
    await looped(system)
    async with running(verifier.main(system.process("verifier"))):
        await system.first(VerificationPassed)
        del system.broker.stream(GAMES).entries[1]
        await asyncio.sleep(verifier.WHOLE_SECONDS)
        failed, _ = await system.first(VerificationFailed)
    assert failed.whole
    assert any("GAMES/1: 1 message is missing" in text for text in failed.found)


async def test_a_fold_that_differs_is_reported_once(system: System) -> None:
    loop = await looped(system)
    async with running(verifier.main(system.process("verifier"))):
        await system.first(VerificationPassed)
        for _ in range(8):
            beat = Heartbeat(
                consumer="rater",
                node="n1",
                instance="one",
                pid=1,
                doing="x",
                seq=await loop.tail(),
                errors=0,
                folds={"elo": "0" * 16},
            )
            await Presence(system.log, system.clock.wall).beat(beat)
            await asyncio.sleep(SILENT_SECONDS / 2)
        failed, _ = await system.first(VerificationFailed)
    assert "rater one on n1 reports 0000000000000000" in failed.found[0]
    assert len(await system.facts(VerificationFailed)) < 3
