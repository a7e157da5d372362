"""Verification finds whatever is lost, broken or forged, and nothing in a sound log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.real_loop import RealLoop
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.consumers.verification.report import SHOWN_MAX, Problem, VerifyReport
from ringrift.consumers.verification.whole import Verification, verify
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    EvaluationScored,
    GameCompleted,
    ModelRegistered,
    RatingsUpdated,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
)
from ringrift.log import marks
from ringrift.log.blobs import Blobs
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.topology import EVENTS, FOLD_BUCKET, GAMES, MODEL_BUCKET, SHARD_BUCKET
from ringrift.runtime.authorship import runners
from ringrift.runtime.folds import Folded, program, save
from ringrift.runtime.process import Process
from ringrift.trust.heads import HeadWriter

FOLDED = ("fold", "snapshot", "decision", "blob")
"""What a loop with invented games, scores and shards can be compared by."""


@pytest.fixture
async def loop() -> TurningLoop:
    """A loop of three generations with invented games."""
    loop = TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    await loop.turn()
    return loop


@pytest.fixture
async def real() -> RealLoop:
    """A loop whose log is sound."""
    return await RealLoop().start()


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
    """Return the failures of folds and decisions, except for the missing blobs of the invented
    networks."""
    found = (await verify(loop.log)).problems
    failed = [item for item in found if item.level == "fail" and item.kind in FOLDED]
    return [item for item in failed if "backup" not in item.text]


async def head(loop: TurningLoop) -> None:
    """Record a tree head of everything."""
    writer = HeadWriter(Process("verifier", "n1", loop.log))
    await loop.log.append(await writer.round())


def of_these_deciders(loop: TurningLoop, report: VerifyReport) -> list[Problem]:
    """Return the problems without those of deciders that do not run in this loop."""
    run = {run.decider.name for run in loop.runs}
    found = [item for item in report.problems if item.kind in FOLDED]
    return [item for item in found if item.kind != "decision" or item.name in run]


def tamper(loop: TurningLoop, kind: type[Fact], old: bytes, new: bytes, at: int = -1) -> int:
    """Change bytes of one of the events of a kind; return its sequence."""
    seq = recorded(loop, kind)[at]
    entries = stream_of(loop, kind)
    assert old in entries[seq].body
    entries[seq] = replace(entries[seq], body=entries[seq].body.replace(old, new, 1))
    return seq


def stream_of(loop: TurningLoop, kind: type[Fact]) -> Any:
    """Return the messages of the stream of a kind, by sequence."""
    return loop.log.broker.stream(GAMES if kind is GameCompleted else EVENTS).entries


def remove(loop: TurningLoop, kind: type[Fact], number: int) -> int:
    """Remove one of the events of a kind; return its sequence."""
    seq = recorded(loop, kind)[number]
    del stream_of(loop, kind)[seq]
    return seq


def recorded(loop: TurningLoop, kind: type[Fact]) -> list[int]:
    """Return the sequences of the events of a kind."""
    mark = f"ringrift.{kind.__name__}.".encode()
    return [seq for seq, entry in stream_of(loop, kind).items() if mark in entry.body]


async def test_a_sound_log_has_no_problems(real: RealLoop) -> None:
    await beat(real)
    report = await verify(real.log)
    assert of_these_deciders(real, report) == []
    assert {item.kind for item in report.problems} <= {"decision"}
    assert report.checked["game"] == await real.log.tail(GAMES) == report.games_seq
    assert report.checked["shard"] == len(await real.all(ShardExported)) > 0
    assert report.checked["score"] == len(await real.all(EvaluationScored)) > 0
    *_, summary = report.lines()
    assert summary.endswith("all agree with the log")


async def test_games_of_later_requests_wait_for_them(real: RealLoop) -> None:
    whole = Verification(real.log, Presence(real.log), await marks.newest(real.log))
    for until in (1, 3, await real.tail() - 2, None):
        await whole.advance(until)
        failed = [item for item in whole.report().problems if item.level == "fail"]
        assert failed == []
    assert whole.checked["score"] == len(await real.all(EvaluationScored))


def lost_event(loop: RealLoop) -> str:
    return f"EVENTS/{remove(loop, RatingsUpdated, 0)}: 1 message is missing"


def lost_games(loop: RealLoop) -> str:
    for seq in (1, 2, 3):
        del stream_of(loop, GameCompleted)[seq]
    return "GAMES/1..3: 3 messages are missing"


def lost_end(loop: RealLoop) -> str:
    entries = stream_of(loop, GameCompleted)
    del entries[max(entries)]
    return f"GAMES/{max(entries) + 1}: 1 message is missing"


def another_winner(loop: RealLoop) -> str:
    seq, entries = recorded(loop, GameCompleted)[-1], stream_of(loop, GameCompleted)
    envelope = json.loads(entries[seq].body)
    data = envelope["data"]
    data |= {"winner": 3 - data["winner"], "ranks": data["ranks"][::-1]}
    entries[seq] = replace(entries[seq], body=json.dumps(envelope).encode())
    return "in the record"


def another_score(loop: RealLoop) -> str:
    """The results of the candidate and of its opponent are swapped."""
    seq, entries = recorded(loop, EvaluationScored)[-1], stream_of(loop, EvaluationScored)
    envelope = json.loads(entries[seq].body)
    data = envelope["data"]
    for ranking in data["rankings"]:
        ranking["order"].reverse()
    data["wins"] = data["games"] - data["wins"]
    data["scores"] = [[1.0 - score, count] for score, count in reversed(data["scores"])]
    entries[seq] = replace(entries[seq], body=json.dumps(envelope).encode())
    return "differs from its games"


def another_shard(loop: RealLoop) -> str:
    tamper(loop, ShardExported, b'"samples":', b'"samples":1')
    return "made again differs: samples 1"


def another_digest(loop: RealLoop) -> str:
    digest = b'"digest":"'
    at = newest(loop, ShardExported).index(digest) + len(digest)
    old = newest(loop, ShardExported)[at : at + 8]
    tamper(loop, ShardExported, digest + old, digest + (b"0" * 8))
    return "digest 00000000"


def garbage(loop: RealLoop) -> str:
    seq = recorded(loop, RatingsUpdated)[0]
    entries = stream_of(loop, RatingsUpdated)
    entries[seq] = replace(entries[seq], body=b"\x00garbage")
    return "cannot be decoded"


def newest(loop: RealLoop, kind: type[Fact]) -> bytes:
    body: bytes = stream_of(loop, kind)[recorded(loop, kind)[-1]].body
    return body


@pytest.mark.parametrize(
    "damage",
    [
        lost_event,
        lost_games,
        lost_end,
        another_winner,
        another_score,
        another_shard,
        another_digest,
        garbage,
    ],
)
async def test_whatever_is_lost_or_changed_is_named(
    real: RealLoop, damage: Callable[[RealLoop], str]
) -> None:
    text = damage(real)
    report = await verify(real.log)
    assert not report.sound
    assert any(text in item.text for item in report.problems if item.level == "fail")


async def test_a_match_that_was_played_again_may_have_taken_another_time(real: RealLoop) -> None:
    tamper(real, EvaluationScored, b'"play_seconds":', b'"play_seconds":1')
    assert "score" not in {item.kind for item in (await verify(real.log)).problems}


async def forge(loop: TurningLoop, fact: Fact, cause: str | None, source: str) -> None:
    """Append a fact that no process of the loop would write."""
    await loop.log.append([draft(fact, cause=cause, source=source, key="forged")])


async def test_a_decision_by_the_wrong_author_is_named(real: RealLoop) -> None:
    await forge(real, (await real.first(SelfplayPlanned)).event, "EVENTS/1", "selfplay@n9")
    texts = [item.text for item in (await verify(real.log)).problems]
    assert "SelfplayPlanned was written by 'selfplay@n9'; planner may write it" in texts


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (None, "SelfplayPlanned is a decision without a cause"),
        ("EVENTS/9999", "which is not earlier, as its cause"),
        ("GAMES/9999", "but GAMES ends with"),
    ],
)
async def test_a_decision_without_its_cause_is_named(
    real: RealLoop, cause: str | None, text: str
) -> None:
    await forge(real, (await real.first(SelfplayPlanned)).event, cause, "planner@n1")
    assert any(text in item.text for item in (await verify(real.log)).problems)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "is stored again; the first one counts"),
        ({"game": "another"}, "does not belong to its ticket"),
        ({"ticket": "selfplay-events-9999-0"}, "which no request asks for"),
        ({"config": "square8_2p"}, "which no request asks for"),
    ],
)
async def test_a_game_that_nobody_asked_for_is_named(
    real: RealLoop, changes: dict[str, str], text: str
) -> None:
    game, meta = await real.first(GameCompleted)
    await forge(real, replace(game, **changes), meta.cause, "selfplay@n1")
    assert any(text in item.text for item in (await verify(real.log)).problems)


async def test_a_game_of_people_needs_no_request(real: RealLoop) -> None:
    game, _ = await real.first(GameCompleted)
    of_people = replace(game, origin="human", game="human-1", ticket="human-1")
    await forge(real, of_people, None, "web@n1")
    assert not any("human-1" in item.text for item in (await verify(real.log)).problems)


async def test_a_log_that_lost_its_end_is_recognised(real: RealLoop) -> None:
    await verify(real.log)
    broker = real.log.broker
    stream, tail = broker.stream(EVENTS), await real.tail()
    for seq in range(tail - 2, tail + 1):
        del stream.entries[seq]
    stream.last_seq = tail - 3
    (text,) = await marks.losses(real.log)
    assert f"EVENTS ends with {tail - 3}, but it went up to {tail}" in text
    assert any("3 messages are lost" in item.text for item in (await verify(real.log)).problems)


async def test_an_accepted_loss_is_no_loss_any_more(real: RealLoop) -> None:
    await verify(real.log)
    stream = real.log.broker.stream(EVENTS)
    del stream.entries[stream.last_seq]
    stream.last_seq -= 1
    await verify(real.log, accept=True)
    assert await marks.losses(real.log) == []


async def test_events_that_were_replaced_are_recognised(real: RealLoop) -> None:
    await verify(real.log)
    seq, entries = 1, stream_of(real, SettingsChanged)
    body = entries[seq].body.replace(b'"id":"', b'"id":"other-', 1)
    entries[seq] = replace(entries[seq], body=body)
    texts = [item.text for item in (await verify(real.log)).problems]
    assert any("are not the messages that were verified before" in text for text in texts)


def test_the_text_is_a_summary() -> None:
    problems = [Problem("blob", f"models/{number}", "fail", "damaged") for number in range(20)]
    report = VerifyReport(sound=False, seq=1, games_seq=1, checked={}, problems=problems)
    lines = list(report.lines())
    assert len(lines) == SHOWN_MAX + 3
    assert lines[-3].endswith("and 15 more, see --json")
    assert lines[-1].endswith("20 losses or differences")


@pytest.mark.parametrize(
    ("seqs", "lines"),
    [
        ((0, 0, 0), ["the log is empty: "]),
        ((7, 0, 0), ["no tree head covers EVENTS/1..7 yet", "EVENTS/1..7: "]),
        ((7, 3, 7), ["tree heads agree with EVENTS/1..7", "EVENTS/1..7, GAMES/1..3: "]),
        (
            (7, 3, 5),
            [
                "tree heads agree with EVENTS/1..5; EVENTS/6..7 is not covered yet",
                "EVENTS/1..7, GAMES/1..3: ",
            ],
        ),
    ],
)
def test_only_ranges_with_messages_are_named(seqs: tuple[int, int, int], lines: list[str]) -> None:
    seq, games_seq, covered = seqs
    report = VerifyReport(
        sound=True, seq=seq, games_seq=games_seq, covered=covered, checked={}, problems=[]
    )
    found = list(report.lines())
    assert len(found) == len(lines)
    assert found[:-1] == lines[:-1]
    assert found[-1].startswith(f"{lines[-1]}0 streams, ")


async def test_a_missing_stream_is_named(real: RealLoop) -> None:
    del real.log.broker._streams["DEAD"]
    texts = [item.text for item in (await verify(real.log)).problems]
    assert any("stream DEAD does not exist" in text for text in texts)


async def test_a_sound_system_has_no_failures(loop: TurningLoop) -> None:
    await beat(loop)
    for run in loop.runs:
        (author,) = runners(run.decider.name)
        await save(Blobs(loop.log), run.decider, run.folded(await loop.tail()), author)
    report = await verify(loop.log)
    assert await failures(loop) == []
    assert report.checked["fold"] == report.checked["snapshot"] == len(loop.runs)
    kinds = {kind for run in loop.runs for kind in run.decider.writes}
    assert report.checked["decision"] == len(await loop.all(*kinds))


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
    await save(Blobs(loop.log), elo.DECIDER, folded, "rater@n1")
    assert [(item.kind, item.name) for item in await failures(loop)] == [("snapshot", "elo")]


async def test_a_snapshot_by_another_author_fails(loop: TurningLoop) -> None:
    right = next(run for run in loop.runs if run.decider is elo.DECIDER)
    await save(Blobs(loop.log), elo.DECIDER, right.folded(await loop.tail()), "trainer@n1")
    (problem,) = await failures(loop)
    assert "its author 'trainer@n1' does not run elo" in problem.text


async def test_a_damaged_snapshot_fails(loop: TurningLoop) -> None:
    blobs = Blobs(loop.log)
    await save(blobs, elo.DECIDER, Folded(3, elo.Matches()), "rater@n1")
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
    seq = tamper(loop, SelfplayPlanned, b'"simulations":32', b'"simulations":33')
    problem = (await failures(loop))[0]
    assert (problem.kind, problem.name) == ("decision", "selfplay")
    difference = f"SelfplayPlanned EVENTS/{seq}; derived again: simulations 33 should be 32"
    assert difference in problem.text


OTHER = "ringrift 0.0.9+0123456789abcdef"


def by_program(loop: TurningLoop, kind: type[Fact], program: str, at: int = 0) -> int:
    """Let a decision of a kind be one of another program; return its sequence."""
    seq, entries = recorded(loop, kind)[at], stream_of(loop, kind)
    body = json.dumps(json.loads(entries[seq].body) | {"program": program}).encode()
    entries[seq] = replace(entries[seq], body=body)
    return seq


@pytest.mark.parametrize("theirs", [True, False])
async def test_decisions_of_another_program_are_distinguished_from_forged_ones(
    loop: TurningLoop, theirs: bool
) -> None:
    for at in (0, 1, 2):
        by_program(loop, RatingsUpdated, OTHER if theirs else program(), at)
    remove(loop, RatingsUpdated, 1)
    tamper(loop, RatingsUpdated, b'"games": ', b'"games": 1', at=0)
    report = await verify(loop.log)
    decisions = [item for item in report.problems if item.kind == "decision"]
    assert any(item.level == "fail" for item in decisions) is not theirs
    assert report.by_others == ({OTHER: 2} if theirs else {})
    texts = [item.text for item in decisions if item.name == OTHER]
    assert texts == ["2 decisions by another program, not derived again here"] * theirs


async def test_decisions_of_two_programs_on_one_cause_are_no_update(loop: TurningLoop) -> None:
    plan, meta = await loop.first(SelfplayPlanned)
    item = draft(plan, cause=meta.cause, source="planner@n1", key="x", program=OTHER)
    await loop.log.append([item])
    assert {item.name for item in await failures(loop)} == {"selfplay"}


async def test_an_equal_decision_of_another_program_is_derived_again(loop: TurningLoop) -> None:
    by_program(loop, SelfplayPlanned, OTHER)
    report = await verify(loop.log)
    assert report.by_others == {}
    assert await failures(loop) == []


async def test_a_fold_of_another_program_is_not_compared(loop: TurningLoop) -> None:
    await beat(loop, folds={"elo": "0" * 16}, code="0123456789abcdef")
    assert await failures(loop) == []
    texts = [item.text for item in (await verify(loop.log)).problems]
    assert "folds with other deciders (0123456789abcdef), not compared" in texts


async def test_a_table_with_one_other_digit_fails(loop: TurningLoop) -> None:
    table = (await loop.all(RatingsUpdated))[-1].event
    text = str(table.ratings[0].elo).encode()
    tamper(loop, RatingsUpdated, text, text[:-1] + (b"2" if text.endswith(b"1") else b"1"))
    assert [(item.kind, item.name) for item in await failures(loop)] == [("decision", "elo")]


async def test_a_decision_that_was_not_due_fails(loop: TurningLoop) -> None:
    plan = (await loop.first(SelfplayPlanned)).event
    await loop.log.append([draft(plan, cause="EVENTS/1", source="intruder", key="x")])
    found = [item for item in await failures(loop) if "on EVENTS/1 the log has" in item.text]
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


async def test_a_changed_byte_is_named_by_the_tree_head_and_accepted_once(real: RealLoop) -> None:
    await head(real)
    report = await verify(real.log)
    assert report.sound
    assert report.checked["head"] == 1
    assert (report.covered, report.seq) == (await real.tail() - 1, await real.tail())
    *_, text, _ = report.lines()
    assert text.endswith(f"; EVENTS/{report.seq}..{report.seq} is not covered yet")
    entries = stream_of(real, SettingsChanged)
    seq = recorded(real, SettingsChanged)[0]
    entries[seq] = replace(entries[seq], stamp_ns=entries[seq].stamp_ns + 1)
    found = (await verify(real.log, accept=True)).problems
    assert any(f"EVENTS/{seq} was changed" in item.text for item in found)
    await head(real)
    assert not any("tree head" in item.text for item in (await verify(real.log)).problems)
