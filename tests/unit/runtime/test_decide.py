"""Running deciders: rebuilt after a crash, taken over, in conflict."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import B, planned, registered
from support.system import System, running, until

from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import EventMeta, Recorded, Settings, UnknownEvent, draft, encode
from ringrift.events.facts import (
    DeadLetterStored,
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    Ranking,
    RatingsUpdated,
    SelfplayPlanned,
    SettingsChanged,
)
from ringrift.events.settings import SelfplaySettings
from ringrift.log import read
from ringrift.runtime.decide import act, by_cause, own_decisions, replayed
from ringrift.runtime.process import Process

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLANNER = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER)
SETTINGS = Settings(selfplay=SelfplaySettings(bootstrap_games=20, games_per_ticket=8))


def settings(version: int = 1) -> SettingsChanged:
    return SettingsChanged(version=version, settings=SETTINGS, why="test")


def scored(wins: int, losses: int) -> EvaluationScored:
    """`wins` starts won twice, `losses` starts lost twice."""
    candidate, opponent = f"{B[:12]}:gumbel:s32", "baseline:random:s0"
    orders = [((candidate, opponent), wins), ((opponent, candidate), losses)]
    rankings = [Ranking(order=order, ranks=(1, 2), count=2 * n) for order, n in orders if n]
    return EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket="t",
        candidate=candidate,
        candidate_model=B,
        opponent=opponent,
        purpose="random",
        round=0,
        games=2 * (wins + losses),
        wins=2.0 * wins,
        scores=tuple((score, n) for score, n in ((0.0, losses), (1.0, wins)) if n),
        rankings=tuple(rankings),
        play_seconds=1.0,
        node="n",
    )


@contextlib.asynccontextmanager
async def planning(system: System) -> AsyncIterator[Process]:
    process = system.process("planner")
    async with running(act(process, PLANNER, "planner")):
        yield process
        process.stop()


async def test_a_decision_names_its_cause(system: System) -> None:
    seq = await system.write(settings())
    async with planning(system):
        plan, meta = await system.first(SelfplayPlanned)
    assert (plan.generation, plan.games, meta.cause) == (0, 20, f"EVENTS/{seq}")


async def test_a_restart_repeats_no_decision_and_continues(system: System) -> None:
    await system.write(settings())
    async with planning(system):
        await system.first(SelfplayPlanned)
    await system.write(settings(2), registered())
    async with planning(system):
        await system.count(EvaluationRequested, 2)
    assert len(await system.facts(SelfplayPlanned)) == 1


async def test_a_hot_standby_takes_over(system: System) -> None:
    await system.write(settings())
    async with planning(system) as standby:
        async with planning(system):
            await system.first(SelfplayPlanned)
        await system.write(registered())
        await system.count(EvaluationRequested, 2)
    assert not standby.standing_by
    assert len(await system.facts(SelfplayPlanned)) == 1


async def test_two_deciders_without_a_lease_decide_each_cause_once(system: System) -> None:
    raters = [system.process("rater"), system.process("rater")]
    async with running(*(act(rater, (elo.DECIDER,), None) for rater in raters)):
        for wins in range(20, 25):
            await system.write(replace(scored(wins, 2), ticket=f"t{wins}"))
        await system.count(RatingsUpdated, 5)
    causes = [meta.cause for _, meta in await system.recorded(RatingsUpdated)]
    assert len(causes) == len(set(causes)) == 5


async def test_an_undecodable_event_is_dead_lettered_and_skipped(system: System) -> None:
    await system.log.publish("EVENTS", "ringrift.settings.all.changed", b"not json", id="odd")
    await system.write(settings())
    async with planning(system):
        letter, _ = await system.first(DeadLetterStored)
        await system.first(SelfplayPlanned)
    assert letter.stream == "EVENTS"
    kept = await system.log.get("DEAD", letter.dead_seq)
    assert kept is not None
    assert kept.body == b"not json"


def of_a_newer_program(change: SettingsChanged, **unknown: Any) -> bytes:
    written = json.loads(encode(draft(change, cause=None, source="newer@node")))
    written["data"]["settings"]["selfplay"] |= unknown
    return json.dumps(written | {"program": "ringrift 9.9"}).encode()


async def test_nothing_is_decided_by_settings_that_are_known_in_part(system: System) -> None:
    subject = "ringrift.settings.all.changed"
    body = of_a_newer_program(settings(), colour="blue")
    seq = await system.log.publish("EVENTS", subject, body, id="newer")
    async with planning(system) as process:
        await until(lambda: process.doing.startswith("not deciding"))
        tick = await system.write(registered())
        await until(lambda: process.seq >= tick)
        assert process.newer == {("ringrift 9.9", ("settings.selfplay.colour",))}
        assert f"EVENTS/{seq} by ringrift 9.9 has settings.selfplay.colour" in process.doing
        assert not await system.facts(SelfplayPlanned)
        with pytest.raises(UnknownEvent, match="update it"):
            await process.settings()
        known, version = await read.settings_in_force(system.log)
        assert known == SETTINGS
        await system.write(SettingsChanged(version=version + 1, settings=known, why="set again"))
        await system.first(SelfplayPlanned)
        await until(lambda: process.doing == "acting as planner")


async def test_the_state_of_a_running_decider_is_that_of_a_replay(system: System) -> None:
    await system.write(settings(), scored(8, 8))
    rater = system.process("rater")
    async with running(act(rater, (elo.DECIDER,), None)):
        await system.first(RatingsUpdated)
        last = await system.write(settings(2))
        await until(lambda: rater.seq >= last)
        live = rater.fold_hashes["elo"]
    events = [item async for item in read.facts(system.log)]
    assert replayed(elo.DECIDER, events).fold_hash == live


async def test_own_decisions_are_indexed_by_their_cause(system: System) -> None:
    seq = await system.write(settings())
    async with planning(system):
        await system.first(SelfplayPlanned)
    assert list(await own_decisions(system.log, selfplay.DECIDER)) == [seq]


async def test_a_promoter_decides_on_facts_alone(system: System) -> None:
    await system.write(settings(), registered(), scored(32, 0))
    async with running(act(system.process("promoter"), (promotion.DECIDER,), "promoter")):
        verdict, _ = await system.first(ModelPromoted)
    assert verdict.model == B


def test_a_decision_stored_twice_is_folded_once() -> None:
    """A running decider has folded it at its cause, once; so must one that is rebuilt."""
    plan = planned()
    first, again = (
        Recorded(plan, EventMeta("EVENTS", seq, "s", "id", "planner@n1", NOW, "EVENTS/1"))
        for seq in (2, 9)
    )
    assert by_cause(selfplay.DECIDER, [first, again]) == {1: [first]}
