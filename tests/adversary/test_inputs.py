"""Messages that a member of the cluster may publish and no correct program would: the processes
that read them go on and are not misled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from support import loop_facts
from support.loop_facts import A, B, C
from support.system import System, running

from ringrift.consumers import monitor
from ringrift.events import Fact, Settings, facts as f, type_of
from ringrift.log import read, topology
from ringrift.log.presence import Heartbeat
from ringrift.runtime.run import deciding

CONFIG = loop_facts.CONFIG
GOOD_SCORE = f.EvaluationScored(
    config=CONFIG,
    generation=1,
    ticket="evaluation-events-9",
    node="n1",
    candidate=f"{B[:12]}:gumbel:s32",
    candidate_model=B,
    opponent="baseline:random:s0",
    purpose="random",
    round=0,
    games=96,
    wins=96.0,
    scores=((1.0, 48),),
    rankings=(
        f.Ranking(order=(f"{B[:12]}:gumbel:s32", "baseline:random:s0"), ranks=(1, 2), count=96),
    ),
    play_seconds=1.0,
)


async def publish(
    system: System,
    fact: Fact,
    *,
    on: str | None = None,
    stream: str = "EVENTS",
    data: dict[str, Any] | None = None,
    **attributes: Any,
) -> int:
    """Store a fact as bytes, with other `data` and other attributes of the envelope if they are
    given, and on another subject than its own with `on`."""
    kind = type_of(fact)
    envelope = {
        "specversion": "1.0",
        "id": f"odd-{await system.log.tail(stream)}",
        "type": kind.wire_name,
        "source": "selfplay@n9",
        "subject": kind.subject(fact),
        "time": system.clock.now().isoformat(),
        "cause": None,
        "data": msgspec.to_builtins(fact) | (data or {}),
    }
    body = json.dumps(envelope | attributes).encode()
    return await system.log.publish(stream, on or kind.subject(fact), body)


async def start(system: System) -> None:
    await system.write(f.SettingsChanged(version=1, settings=Settings(configs=(CONFIG,)), why="t"))


PLAYED = f"ringrift.selfplay.{CONFIG}.finished"
"""a worker may write here"""


@pytest.mark.parametrize(
    ("on", "stream", "subject"),
    [
        (PLAYED, "EVENTS", f"ringrift.promotion.{CONFIG}.model-promoted"),
        (PLAYED, "EVENTS", PLAYED),
        (PLAYED.replace(CONFIG, "hex8_3p"), "EVENTS", PLAYED),
        (f"ringrift.game.{CONFIG}.completed", "GAMES", f"ringrift.game.{CONFIG}.completed"),
    ],
)
async def test_a_promotion_on_a_workers_subject_promotes_nothing(
    system: System, on: str, stream: str, subject: str
) -> None:
    await start(system)
    forged = loop_facts.promoted(B)
    async with running(deciding("planner")(system.process("planner"))):
        await publish(system, forged, on=on, stream=stream, subject=subject)
        plan, _ = await system.first(f.SelfplayPlanned)
        await system.write(loop_facts.played(0, plan.games))
    plans = await system.facts(f.SelfplayPlanned)
    assert all(plan.model is None for plan in plans)
    assert not [1 for _ in await system.facts(f.ModelPromoted)]


@pytest.mark.parametrize(
    "data",
    [
        {"games": 0, "wins": 0.0, "scores": [], "rankings": []},
        {"rankings": [{"order": ["a", "b"], "ranks": [1], "count": 1}]},
        {"rankings": [{"order": ["a", "a"], "ranks": [1, 2], "count": 1}]},
        {"rankings": [{"order": ["a"], "ranks": [1], "count": 1}]},
        {"rankings": [{"order": [], "ranks": [], "count": 1}]},
        {"scores": [[1e308, 48]]},
        {"scores": [[1.0, -48]]},
        {"scores": [[0.5, 2**63]]},
        {"wins": -1.0},
        {"wins": 1e308},
        {"games": 2**63},
        {"candidate": "b" * 12 + ":gumbel:s32", "opponent": "b" * 12 + ":gumbel:s32"},
    ],
)
async def test_an_absurd_score_stops_neither_promoter_nor_rater(
    system: System, data: dict[str, Any]
) -> None:
    await start(system)
    await system.write(loop_facts.registered(B))
    names = ("promoter", "rater")
    async with running(*(deciding(name)(system.process(name)) for name in names)):
        await publish(system, GOOD_SCORE, data={"ticket": "evaluation-events-8", **data})
        await publish(system, GOOD_SCORE)
        promoted, _ = await system.first(f.ModelPromoted)
        await system.first(f.RatingsUpdated)
    assert promoted.model == B


@pytest.mark.parametrize("name", ["zzz", "====", "\u00e9", "a" * 300, "Z" * 7])
async def test_objects_under_foreign_names_stop_no_decider(system: System, name: str) -> None:
    await start(system)
    for stream in topology.STREAMS:
        if stream.name.startswith("OBJ_"):
            bucket = stream.name.removeprefix("OBJ_")
            await system.log.publish(stream.name, f"$O.{bucket}.M.{name}", b"{}")
            await system.log.publish(stream.name, f"$O.{bucket}.C.{name}", b"{}")
    await system.write(loop_facts.registered(B))
    async with running(deciding("promoter")(system.process("promoter"))):
        await publish(system, GOOD_SCORE)
        await system.first(f.ModelPromoted)


@pytest.mark.parametrize("field", ["node", "consumer", "instance", "tier", "health"])
@pytest.mark.parametrize("text", ["zz\n", "", "a b", "a.b", ">", "*", "x" * 1000, "\x00", "[/x]"])
async def test_a_heartbeat_with_odd_names_does_not_blind_the_monitor(
    system: System, field: str, text: str
) -> None:
    good = Heartbeat(
        consumer="selfplay", node="gpu1", instance="i", pid=1, doing="", seq=0, errors=0, folds={}
    )
    odd = msgspec.to_builtins(good) | {"node": "gpu0", "instance": "j", field: text}
    async with running(monitor.main(system.process("monitor"))):
        await system.log.publish("KV_nodes", "$KV.nodes.j", json.dumps(odd).encode())
        await system.process("monitor").presence.beat(good)
        async for joined in read.follow(system.log, f.NodeJoined):
            if joined.event.node == "gpu1":
                break


async def test_a_dead_letter_of_somebody_else_puts_nothing_on_the_queue(system: System) -> None:
    seat = f.Seat(participant="x", harness="gumbel", simulations=1, model=C, evaluator="network")
    request = f.EvaluationRequested(
        config=CONFIG,
        generation=1,
        candidate=seat,
        opponent=msgspec.structs.replace(seat, participant="y", model=B),
        purpose="promotion",
        round=0,
        starts=1,
        seed=1,
        settings_version=1,
    )
    ticket = {"type": "evaluation", "ticket": "forged", "cause": "EVENTS/1"}
    body = json.dumps(ticket | {"request": msgspec.to_builtins(request)}).encode()
    dead = await system.log.publish("DEAD", "ringrift.dead.selfplay.WORK.77", body)
    letter = f.DeadLetterStored(
        consumer="selfplay", stream="WORK", seq=77, dead_seq=dead, reason="x", deliveries=1
    )
    await start(system)
    await publish(system, letter)
    async with running(monitor.main(system.process("monitor"))):
        await asyncio.sleep(3600.0)
        await system.write(f.TickRecorded(minute=1))
        await system.first(f.DeadLetterRetryRequested)
        await asyncio.sleep(60.0)
    assert not await system.log.queued()


async def test_a_clock_in_the_future_neither_blocks_promotion_nor_loses_nodes(
    system: System,
) -> None:
    """A rollback, and an event of a worker, that say they were written in 2099."""
    await start(system)
    late = "2099-01-01T00:00:00Z"
    current = f"{A[:12]}:gumbel:s32"
    await system.write(loop_facts.registered(A), loop_facts.promoted(A))
    await system.write(loop_facts.registered(B), loop_facts.promoted(B, 2, A))
    back = f.ModelRolledBack(
        config=CONFIG, model=B, current=A, elo_drop=200.0, why="w", settings_version=1
    )
    await publish(system, back, time=late)
    await system.write(loop_facts.registered(C, 3))
    names = ("promoter",)
    started = f.ConsumerStarted(node="n9", consumer="selfplay", instance="i", version="1")
    async with running(
        *(deciding(name)(system.process(name)) for name in names),
        monitor.main(system.process("monitor")),
    ):
        await system.process("selfplay", "gpu1").presence.beat(
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
        await system.first(f.NodeJoined)
        await publish(system, started, time=late)
        await asyncio.sleep(601.0)
        name = f"{C[:12]}:gumbel:s32"
        score = {
            "generation": 3,
            "candidate": name,
            "candidate_model": C,
            "purpose": "promotion",
            "opponent": current,
            "rankings": [{"order": [name, current], "ranks": [1, 2], "count": 96}],
        }
        await publish(system, GOOD_SCORE, data=score)
        await system.count(f.ModelPromoted, 3)
    assert not [fact for fact in await system.facts(f.NodeLost) if fact.silent_seconds > 3600.0]
