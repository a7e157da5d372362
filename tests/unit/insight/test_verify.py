"""Verification finds whatever is broken: a fold, a snapshot, a decision, a blob."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.turning_loop import TurningLoop

from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    EvaluationScored,
    ModelRegistered,
    RatingsUpdated,
    SelfplayPlanned,
    ShardExported,
)
from ringrift.insight.verify import Problem, VerifyReport, verify
from ringrift.log.blobs import Blobs
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.topology import FOLD_BUCKET, MODEL_BUCKET, SHARD_BUCKET
from ringrift.runtime.folds import Folded, save


async def beat(loop: TurningLoop, **changes: Any) -> None:
    """Write a heartbeat of a consumer that has folded the whole log."""
    known = Heartbeat(
        consumer="planner",
        node="n1",
        instance="one",
        pid=1,
        doing="x",
        seq=await loop.tail(),
        errors=0,
        folds={run.decider.name: run.fold_hash for run in loop.runs},
    )
    await Presence(loop.log).beat(replace(known, **changes))


async def failures(loop: TurningLoop) -> list[Problem]:
    """Return the failures, except for the missing blobs of the invented networks."""
    found = (await verify(loop.log)).problems
    return [item for item in found if item.level == "fail" and "backup" not in item.text]


def of_these_deciders(loop: TurningLoop, report: VerifyReport) -> list[Problem]:
    """Return the problems without those of deciders that do not run in this loop."""
    run = {run.decider.name for run in loop.runs}
    return [item for item in report.problems if item.kind != "decision" or item.name in run]


def tamper(loop: TurningLoop, kind: type[Fact], old: bytes, new: bytes) -> int:
    """Change bytes of the newest event of a kind; return its sequence."""
    seq = recorded(loop, kind)[-1]
    entries = loop.log.broker.stream("EVENTS").entries
    assert old in entries[seq].body
    entries[seq] = replace(entries[seq], body=entries[seq].body.replace(old, new, 1))
    return seq


def remove(loop: TurningLoop, kind: type[Fact], number: int) -> None:
    """Remove one of the events of a kind."""
    del loop.log.broker.stream("EVENTS").entries[recorded(loop, kind)[number]]


def recorded(loop: TurningLoop, kind: type[Fact]) -> list[int]:
    """Return the sequences of the events of a kind."""
    mark = f"ringrift.{kind.__name__}.".encode()
    entries = loop.log.broker.stream("EVENTS").entries
    return [seq for seq, entry in entries.items() if mark in entry.body]


async def test_a_sound_system_has_no_failures(loop: TurningLoop) -> None:
    await beat(loop)
    for run in loop.runs:
        await save(Blobs(loop.log), run.decider, run.folded(await loop.tail()))
    report = await verify(loop.log)
    assert await failures(loop) == []
    assert report.checked["fold"] == report.checked["snapshot"] == len(loop.runs)
    own = [item for item in await loop.all() if item.meta.source == "planner@n1"]
    assert report.checked["decision"] == len(own)


async def test_missing_blobs_fail_for_networks_and_warn_for_shards(loop: TurningLoop) -> None:
    report = await verify(loop.log)
    found = of_these_deciders(loop, report)
    levels = {item.name.partition("/")[0]: item.level for item in found}
    assert not report.sound
    assert levels == {"models": "fail", "shards": "warn"}
    assert len(found) == len(await loop.all(ModelRegistered, ShardExported))


async def test_a_live_fold_with_another_digest_fails(loop: TurningLoop) -> None:
    await beat(loop, folds={"elo": "0" * 16})
    (problem,) = await failures(loop)
    assert (problem.kind, problem.name) == ("fold", "elo")
    assert "planner one on n1 reports 0000000000000000" in problem.text


async def test_a_live_fold_that_lags_is_compared_where_it_is(loop: TurningLoop) -> None:
    await beat(loop)
    scored = (await loop.first(EvaluationScored)).event
    await loop.put(replace(scored, ticket="again", candidate_model=None))
    assert await failures(loop) == []


async def test_a_decider_of_another_build_is_a_warning(loop: TurningLoop) -> None:
    await beat(loop, folds={"future": "0" * 16})
    found = [item for item in (await verify(loop.log)).problems if item.name == "future"]
    assert [(item.kind, item.level) for item in found] == [("fold", "warn")]


async def test_a_snapshot_with_another_digest_fails(loop: TurningLoop) -> None:
    folded = Folded(await loop.tail(), elo.Matches())
    await save(Blobs(loop.log), elo.DECIDER, folded)
    assert [(item.kind, item.name) for item in await failures(loop)] == [("snapshot", "elo")]


async def test_a_damaged_snapshot_fails(loop: TurningLoop) -> None:
    blobs = Blobs(loop.log)
    await save(blobs, elo.DECIDER, Folded(3, elo.Matches()))
    (name,) = await blobs.names(FOLD_BUCKET)
    await blobs.put_named(FOLD_BUCKET, name, b"x")
    found = [(item.kind, item.name) for item in await failures(loop)]
    assert found == [("blob", f"{FOLD_BUCKET}/{name}")]


@pytest.mark.parametrize("bucket", [MODEL_BUCKET, SHARD_BUCKET])
async def test_a_damaged_blob_fails(loop: TurningLoop, bucket: str) -> None:
    digest = await Blobs(loop.log).put(bucket, b"whole")
    entries = loop.log.broker.stream(f"OBJ_{bucket}").entries
    for seq, entry in entries.items():
        if entry.body == b"whole":
            entries[seq] = replace(entry, body=b"other")
    found = [(item.kind, item.name) for item in await failures(loop)]
    assert found == [("blob", f"{bucket}/{digest}")]


async def test_a_decision_with_other_values_fails(loop: TurningLoop) -> None:
    seq = tamper(loop, SelfplayPlanned, b'"games":4', b'"games":5')
    problem = (await failures(loop))[0]
    assert (problem.kind, problem.name) == ("decision", "selfplay")
    difference = f"SelfplayPlanned EVENTS/{seq}; derived again: games 5 should be 4"
    assert difference in problem.text


async def test_a_table_with_one_other_digit_fails(loop: TurningLoop) -> None:
    table = (await loop.all(RatingsUpdated))[-1].event
    text = str(table.ratings[0].elo).encode()
    tamper(loop, RatingsUpdated, text, text[:-1] + (b"2" if text.endswith(b"1") else b"1"))
    assert [(item.kind, item.name) for item in await failures(loop)] == [("decision", "elo")]


@pytest.mark.parametrize(
    ("cause", "reported"),
    [("EVENTS/1", "on EVENTS/1 the log has"), ("EVENTS/99999", "name EVENTS/99999 as their cause")],
)
async def test_a_decision_that_was_not_due_fails(
    loop: TurningLoop, cause: str, reported: str
) -> None:
    plan = (await loop.first(SelfplayPlanned)).event
    await loop.log.append([draft(plan, cause=cause, source="intruder", key="x")])
    found = [item for item in await failures(loop) if reported in item.text]
    assert "selfplay" in {item.name for item in found}


async def test_a_missing_decision_fails(loop: TurningLoop) -> None:
    remove(loop, RatingsUpdated, 1)
    (problem,) = await failures(loop)
    assert (problem.kind, problem.name) == ("decision", "elo")
    assert "the log has nothing; derived again: RatingsUpdated" in problem.text


async def test_a_decision_that_is_still_due_is_a_warning(loop: TurningLoop) -> None:
    remove(loop, RatingsUpdated, -1)
    found = of_these_deciders(loop, await verify(loop.log))
    assert [item.level for item in found if item.kind == "decision"] == ["warn"]


async def test_a_decision_that_a_running_consumer_missed_fails(loop: TurningLoop) -> None:
    remove(loop, RatingsUpdated, -1)
    await beat(loop)
    assert any("has not decided on" in item.text for item in await failures(loop))
