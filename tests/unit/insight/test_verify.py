"""Everything that can be broken is found: a fold, a snapshot, a decision, a blob."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ringrift.deciders.loop import rating as elo
from ringrift.events import draft
from ringrift.events.facts import (
    EvaluationScored,
    ModelRegistered,
    RatingsUpdated,
    SelfplayPlanned,
    ShardExported,
)
from ringrift.insight.verify import VerifyReport, verify
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.topology import MODEL_BUCKET, SHARD_BUCKET, SNAPSHOT_BUCKET
from ringrift.runtime.folds import Folded, save


async def beat(world: Any, **changes: Any) -> None:
    folds = {run.decider.name: run.fold_hash for run in world.runs}
    known = Heartbeat(
        consumer="planner",
        node="n1",
        instance="one",
        pid=1,
        doing="x",
        seq=await world.log.tail("EVENTS"),
        errors=0,
        folds=folds,
    )
    await Presence(world.log).beat(replace(known, **changes))


async def failures(world: Any) -> list[tuple[str, str, str]]:
    """Failures but for the made-up networks, which have no blobs."""
    report = await verify(world.log)
    return [
        (item.kind, item.name, item.text)
        for item in report.problems
        if item.level == "fail" and "backup" not in item.text
    ]


async def test_a_sound_system(world: Any) -> None:
    await beat(world)
    for run in world.runs:
        await save(Blobs(world.log), run.decider, run.folded(await world.log.tail("EVENTS")))
    report = await verify(world.log)
    assert await failures(world) == []
    assert report.checked["fold"] == report.checked["snapshot"] == len(world.runs)
    own = [item async for item in read.facts(world.log) if item.meta.source == "planner@n1"]
    assert report.checked["decision"] == len(own)


def problems(world: Any, report: VerifyReport) -> list[Any]:
    """Those of the deciders that this small world runs: nobody decides on feedback in it, which is
    a warning."""
    run = {run.decider.name for run in world.runs}
    return [item for item in report.problems if item.kind != "decision" or item.name in run]


async def test_networks_and_shards_without_blobs(world: Any) -> None:
    report: VerifyReport = await verify(world.log)
    assert not report.sound
    found = problems(world, report)
    assert {item.name.partition("/")[0]: item.level for item in found} == {
        "models": "fail",
        "shards": "warn",
    }
    named = [item async for item in read.facts(world.log, ModelRegistered, ShardExported)]
    assert len(found) == len(named)
    assert {item.level for item in report.problems if item not in found} == {"warn"}


async def test_a_live_fold_that_is_another(world: Any) -> None:
    await beat(world, folds={"elo": "0" * 16})
    ((kind, name, text),) = await failures(world)
    assert (kind, name) == ("fold", "elo")
    assert "planner one on n1 reports 0000000000000000" in text


async def test_a_live_fold_that_is_behind_is_compared_where_it_is(world: Any) -> None:
    await beat(world)
    await world.put(elo_input(await first(world)))
    assert await failures(world) == []


async def first(world: Any) -> Any:
    return (await anext(read.facts(world.log, EvaluationScored))).event


def elo_input(scored: Any) -> Any:
    return replace(scored, ticket="again", candidate_model=None)


async def test_a_snapshot_that_is_another(world: Any) -> None:
    await save(
        Blobs(world.log), elo.DECIDER, Folded(await world.log.tail("EVENTS"), elo.EloState())
    )
    ((kind, name, _),) = await failures(world)
    assert (kind, name) == ("snapshot", "elo")


async def test_a_damaged_snapshot(world: Any) -> None:
    blobs = Blobs(world.log)
    await save(blobs, elo.DECIDER, Folded(3, elo.EloState()))
    (name,) = await blobs.names(SNAPSHOT_BUCKET)
    await blobs.put_named(SNAPSHOT_BUCKET, name, b"x")
    ((kind, found, _),) = await failures(world)
    assert (kind, found) == ("blob", f"{SNAPSHOT_BUCKET}/{name}")


@pytest.mark.parametrize("bucket", [MODEL_BUCKET, SHARD_BUCKET])
async def test_a_blob_with_other_bytes(world: Any, bucket: str) -> None:
    blobs = Blobs(world.log)
    digest = await blobs.put(bucket, b"whole")
    stream = world.log.broker.stream(f"OBJ_{bucket}")
    for seq, entry in stream.entries.items():
        if entry.body == b"whole":
            stream.entries[seq] = replace(entry, body=b"other")
    ((kind, name, _),) = await failures(world)
    assert (kind, name) == ("blob", f"{bucket}/{digest}")


def tamper(world: Any, kind: type, old: bytes, new: bytes) -> int:
    """Change bytes of the last event of a kind, as a faulty disk or hand would."""
    stream = world.log.broker.stream("EVENTS")
    seq = max(
        seq
        for seq, entry in stream.entries.items()
        if f"ringrift.{kind.__name__}.".encode() in entry.body
    )
    assert old in stream.entries[seq].body
    stream.entries[seq] = replace(
        stream.entries[seq], body=stream.entries[seq].body.replace(old, new, 1)
    )
    return seq


async def test_a_decision_with_other_values(world: Any) -> None:
    seq = tamper(world, SelfplayPlanned, b'"games":4', b'"games":5')
    found = await failures(world)
    assert found[0][:2] == ("decision", "selfplay")
    assert f"SelfplayPlanned EVENTS/{seq}; derived again: games 5 should be 4" in found[0][2]


async def test_a_decision_that_was_never_due(world: Any) -> None:
    plan = (await anext(read.facts(world.log, SelfplayPlanned))).event
    await world.log.append([draft_of(plan, "EVENTS/1")])
    assert any(
        name == "selfplay" and "EVENTS/1 the log has" in text
        for _, name, text in await failures(world)
    )


async def test_a_decision_on_nothing(world: Any) -> None:
    plan = (await anext(read.facts(world.log, SelfplayPlanned))).event
    await world.log.append([draft_of(plan, "EVENTS/99999")])
    assert any("name EVENTS/99999 as their cause" in text for _, _, text in await failures(world))


def draft_of(fact: Any, cause: str) -> Any:
    return draft(fact, cause=cause, source="intruder", key="x")


async def test_a_missing_decision(world: Any) -> None:
    stream = world.log.broker.stream("EVENTS")
    tables = [
        seq for seq, entry in stream.entries.items() if b"ringrift.RatingsUpdated." in entry.body
    ]
    del stream.entries[tables[1]]
    ((kind, name, text),) = await failures(world)
    assert (kind, name) == ("decision", "elo")
    assert "the log has nothing; derived again: RatingsUpdated" in text


async def test_a_decision_that_a_running_consumer_owes(world: Any) -> None:
    stream = world.log.broker.stream("EVENTS")
    del stream.entries[
        max(
            seq
            for seq, entry in stream.entries.items()
            if b"ringrift.RatingsUpdated." in entry.body
        )
    ]
    report = await verify(world.log)
    assert [item.level for item in problems(world, report) if item.kind == "decision"] == ["warn"]
    await beat(world)
    assert any("has not decided on" in text for _, _, text in await failures(world))


async def test_a_table_of_other_bits(world: Any) -> None:
    table = [item async for item in read.facts(world.log, RatingsUpdated)][-1]
    elo_text = str(table.event.ratings[0].elo).encode()
    tamper(
        world, RatingsUpdated, elo_text, elo_text[:-1] + (b"1" if elo_text[-1:] != b"1" else b"2")
    )
    assert [(kind, name) for kind, name, _ in await failures(world)] == [("decision", "elo")]
