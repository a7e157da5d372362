"""A fact counts if its author may write it and signed it: for every reader alike, from the recorded
point on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.examples import example
from support.system import System, running, until

from ringrift.consumers.verification.whole import verify
from ringrift.errors import CommandError
from ringrift.events import Fact, UndecodableEvent, draft, encode
from ringrift.events.facts import (
    LEAF_MARK_CHARS,
    AuditFinished,
    ConsumerStopped,
    DeadLetterStored,
    GameCompleted,
    NodeAdmitted,
    NodeAudit,
    NodeQuarantined,
    NodeReleased,
    NodeRevoked,
    PromotionAttested,
    SegmentArchived,
    SelfplayFinished,
    SettingsChanged,
    SignaturesRequired,
    StreamTrimmed,
    TickRecorded,
    TreeHeadRecorded,
)
from ringrift.events.registry import type_of
from ringrift.events.sealing import seal_of, sealed, sealed_together
from ringrift.events.settings import Settings
from ringrift.log import read
from ringrift.log.identity import NodeKey, find_key, make_key
from ringrift.log.keyring import Keyring, is_signed, raw_key
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.decide import act
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.unreadable import Unreadable
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust import admission, records
from ringrift.trust.heads import HeadWriter

OPERATOR, WORKER, COORDINATOR, STRANGER = (NodeKey.new() for _ in range(4))


def finished(node: str = "w1") -> SelfplayFinished:
    return SelfplayFinished(
        config="hex8_2p",
        generation=0,
        ticket="t",
        games=1,
        lost=0,
        plies=1,
        play_seconds=1.0,
        node=node,
    )


class Cluster:
    """A log with an operator, a worker and a coordinator."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.written = 0

    def log(self, key: NodeKey | None) -> MemoryLog:
        log = MemoryLog(self.system.broker)
        log.signer = key
        return log

    async def admit(self) -> Cluster:
        log = self.log(OPERATOR)
        await admission.admit(log, "w1", WORKER.key, ("worker",), "test")
        await admission.admit(log, "c1", COORDINATOR.key, ("coordinator",), "test")
        return self

    async def require(self) -> Cluster:
        await admission.require_signatures(self.log(OPERATOR), "test")
        return self

    async def write(self, key: NodeKey | None, fact: Fact, source: str = "selfplay@w1") -> int:
        self.written += 1
        item = draft(fact, cause=None, source=source, key=self.written)
        (seq,) = await self.log(key).append([item])
        return seq

    async def counted(self, stream: str = EVENTS) -> list[int]:
        """Sequences that every kind of reader reads: in bulk, one by one, and following."""
        log, tail = self.log(None), await self.log(None).tail(stream)
        bulk = [meta.seq async for _, meta in read.facts(log, stream=stream)]
        single = []
        for seq in range(1, tail + 1):
            try:
                found = await read.fact_at(self.log(None), f"{stream}/{seq}")
            except UndecodableEvent:
                continue
            single.append(found.meta.seq if found else 0)
        assert bulk == single
        return bulk


async def problem_at(cluster: Cluster, seq: int) -> str:
    """The only problem that a verification finds with a message."""
    report = await verify(cluster.log(None))
    (text,) = (item.text for item in report.problems if item.name == f"EVENTS/{seq}")
    return text


@pytest.fixture
async def cluster(system: System) -> Cluster:
    return await Cluster(system).admit()


def test_a_signature_holds_for_every_byte() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    body = encode(draft(finished(), cause=None, source="x@w1", time=moment))
    signed = sealed(body, WORKER)
    seal = seal_of(signed)
    assert seal is not None
    assert seal.author == WORKER.key
    assert seal.signed == body[:-1] + b',"author":"' + WORKER.key.encode() + b'"}'
    assert is_signed(seal)
    for at in range(0, len(signed), 7):
        other = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
        found = seal_of(other)
        assert found is None or not is_signed(found), at
    assert seal_of(body) is None


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_events_of_a_batch_share_a_signature_that_holds_for_each(size: int) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    bodies = [
        encode(draft(finished(), cause=None, source="x@w1", time=moment, key=number))
        for number in range(size)
    ]
    signed = sealed_together(bodies, WORKER)
    seals = {seal for body in signed if (seal := seal_of(body))}
    assert len(seals) == 1, "one verification is enough"
    assert all(is_signed(seal) and seal.author == WORKER.key for seal in seals)
    for body in signed[:2]:
        for at in range(0, len(body), 7):
            other = seal_of(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
            assert other is None or not is_signed(other), at


async def test_programs_that_do_not_know_batches_get_a_signature_for_each(cluster: Cluster) -> None:
    log, operator = cluster.log(WORKER), cluster.log(OPERATOR)

    async def shared(key: str) -> bool:
        events = [
            draft(finished(), cause=None, source="selfplay@w1", key=f"{key}{n}") for n in "ab"
        ]
        await log.know(EVENTS, await log.tail(EVENTS))
        seqs = await log.append(events)
        assert {*seqs} <= {*await cluster.counted()}
        bodies = [cluster.system.broker.stream(EVENTS).entries[seq].body for seq in seqs]
        return len({seal.signature for body in bodies if (seal := seal_of(body))}) == 1

    assert await shared("before any of them verifies")
    earlier = SignaturesRequired(why="by a program that knew no batches")
    await operator.append([draft(earlier, cause=None, source="ringrift", key="1")])
    assert not await shared("among them")
    await cluster.require()
    assert await shared("all know batches")


def test_a_public_key_has_a_checksum() -> None:
    assert len(raw_key(WORKER.key)) == 32
    swapped = WORKER.key[:10] + ("A" if WORKER.key[10] != "A" else "B") + WORKER.key[11:]
    with pytest.raises(ValueError, match="no public key"):
        raw_key(swapped)


async def test_before_the_recorded_point_every_fact_counts(cluster: Cluster) -> None:
    seq = await cluster.write(None, finished())
    other = await cluster.write(STRANGER, finished())
    assert {seq, other} <= {*await cluster.counted()}


async def test_after_it_only_facts_of_admitted_nodes_count(cluster: Cluster) -> None:
    old = await cluster.write(WORKER, finished())
    await cluster.require()
    good = await cluster.write(WORKER, finished())
    unsigned = await cluster.write(None, finished())
    strange = await cluster.write(STRANGER, finished())
    counted = await cluster.counted()
    assert {old, good} <= {*counted}
    assert not {unsigned, strange} & {*counted}


async def test_a_tree_head_of_a_stranger_covers_nothing(cluster: Cluster) -> None:
    """Else a forged head could stop coordinators from recording their own."""
    await cluster.require()
    for _ in range(3):
        await cluster.write(WORKER, finished())
    tail = await cluster.log(None).tail(EVENTS)
    marks = "A" * LEAF_MARK_CHARS * tail
    head = TreeHeadRecorded(node="c1", size=tail, root="0" * 64, after=0, marks=marks)
    await cluster.write(STRANGER, head, "verifier@c1")
    (own,) = await HeadWriter(cluster.system.process("verifier", "c1")).round()
    assert isinstance(own.event, TreeHeadRecorded)
    assert (own.event.after, own.event.size) == (0, tail + 1)


async def test_tree_heads_that_a_rewriter_of_the_store_made_do_not_count(cluster: Cluster) -> None:
    """They would agree with the store that it changed, but it cannot sign them."""
    await cluster.require()
    changed = await cluster.write(WORKER, finished())
    verifier = cluster.system.process("verifier", "c1")
    verifier.log.signer = COORDINATOR
    (seq,) = await verifier.log.append(await HeadWriter(verifier).round())
    entries = cluster.system.broker.stream(EVENTS).entries
    true = entries.pop(seq)
    entries[changed] = replace(entries[changed], stamp_ns=entries[changed].stamp_ns + 1)
    (item,) = await HeadWriter(verifier).round()
    entries[seq] = true
    report = await verify(cluster.log(None))
    assert any(f"EVENTS/{changed} was changed" in item.text for item in report.problems)
    for body, why in (
        (sealed(encode(item), STRANGER), "which is not admitted"),
        (encode(item), "no signature"),
    ):
        entries[seq] = replace(true, body=body)
        assert why in await problem_at(cluster, seq)


async def test_rights_of_a_newer_program_are_recorded_by_an_operator_only(cluster: Cluster) -> None:
    operator, known = cluster.log(OPERATOR), admission.rights_of("worker")
    assert not await admission.record_rights(operator), "nothing is new"
    fewer = replace(known, subjects=known.subjects[1:])
    await operator.append([draft(fewer, cause=None, source="ringrift", key="older")])
    assert not await admission.record_rights(cluster.log(WORKER))
    assert await admission.record_rights(operator)
    assert (await admission.standing(operator)).rights["worker"] == known


async def test_a_role_writes_only_its_own_facts_about_its_own_node(cluster: Cluster) -> None:
    await cluster.require()
    settings = SettingsChanged(version=1, settings=Settings(), why="mine")
    refused = [
        await cluster.write(WORKER, settings),
        await cluster.write(WORKER, TickRecorded(minute=1)),
        await cluster.write(WORKER, finished("w2")),
        await cluster.write(WORKER, finished(), source="selfplay@w2"),
        await cluster.write(COORDINATOR, finished()),
    ]
    good = await cluster.write(COORDINATOR, TickRecorded(minute=2), source="clock@c1")
    ruled = await cluster.write(OPERATOR, settings, source="ringrift")
    counted = {*await cluster.counted()}
    assert {good, ruled} <= counted
    assert not counted & {*refused}


async def test_a_changed_byte_makes_a_fact_of_an_admitted_node_void(cluster: Cluster) -> None:
    await cluster.require()
    seq = await cluster.write(WORKER, finished())
    entries = cluster.system.broker.stream(EVENTS).entries
    body = entries[seq].body.replace(b'"plies":1', b'"plies":9')
    entries[seq] = replace(entries[seq], body=body)
    assert seq not in await cluster.counted()


async def test_a_revoked_node_is_off_from_there_on(cluster: Cluster) -> None:
    await cluster.require()
    before = await cluster.write(WORKER, finished())
    game = example(type_of(GameCompleted))
    early = await cluster.write(WORKER, replace(game, node="w1"))
    await asyncio.sleep(1.0)
    assert await admission.revoke(cluster.log(OPERATOR), "w1", "sold") == [WORKER.key]
    await asyncio.sleep(1.0)
    after = await cluster.write(WORKER, finished())
    late = await cluster.write(WORKER, replace(game, node="w1"))
    counted = await cluster.counted()
    assert before in counted
    assert after not in counted
    assert [early] == await cluster.counted(GAMES)
    assert late > early


async def test_only_an_operator_admits(cluster: Cluster) -> None:
    other = NodeAdmitted(node="x", key=STRANGER.key, roles=("operator",), why="mine")
    for key in (None, STRANGER, WORKER, COORDINATOR):
        await cluster.write(key, other)
    revoked = NodeRevoked(node="operator", key=OPERATOR.key, why="mine")
    await cluster.write(OPERATOR, revoked)
    standing = await admission.standing(cluster.log(None))
    assert {*standing.admitted} == {OPERATOR.key, WORKER.key, COORDINATOR.key}
    with pytest.raises(CommandError, match="not that of an operator"):
        await admission.admit(cluster.log(WORKER), "x", STRANGER.key, ("worker",), "")
    with pytest.raises(CommandError, match="last operator"):
        await admission.revoke(cluster.log(OPERATOR), "operator", "")
    with pytest.raises(CommandError, match="no node 'nobody' is admitted; admitted: c1, oper"):
        await admission.revoke(cluster.log(OPERATOR), "nobody", "")
    with pytest.raises(CommandError, match="no public key: `ringrift node key`"):
        await admission.admit(cluster.log(OPERATOR), "x", "UABC", ("worker",), "")


async def test_admitting_twice_writes_once(cluster: Cluster) -> None:
    tail = await cluster.system.log.tail(EVENTS)
    log = cluster.log(OPERATOR)
    assert not await admission.admit(log, "w1", WORKER.key, ("worker",), "again")
    assert await admission.admit(log, "w1", WORKER.key, ("worker", "evaluator"), "more")
    assert await log.tail(EVENTS) == tail + 1


async def test_signatures_are_not_required_while_facts_lack_them(cluster: Cluster) -> None:
    await cluster.write(None, finished())
    with pytest.raises(CommandError, match="1 recent facts would not count: EVENTS/"):
        await cluster.require()
    await admission.require_signatures(cluster.log(OPERATOR), "test", anyway=True)
    with pytest.raises(CommandError, match="required already"):
        await cluster.require()


async def test_a_follower_knows_who_is_admitted(cluster: Cluster) -> None:
    await cluster.require()
    found = []
    log = cluster.log(None)
    follower = read.follow(log, SelfplayFinished)
    await cluster.write(WORKER, finished())
    found.append(await anext(follower))
    await cluster.write(STRANGER, finished())
    await admission.admit(cluster.log(OPERATOR), "w2", STRANGER.key, ("worker",), "new")
    seq = await cluster.write(STRANGER, finished("w2"), source="selfplay@w2")
    found.append(await anext(follower))
    assert [item.event.node for item in found] == ["w1", "w2"]
    assert found[-1].meta.seq == seq == log.ring.seq
    await follower.aclose()


async def test_a_forged_event_under_anothers_id_suppresses_nothing(cluster: Cluster) -> None:
    await cluster.require()
    item = draft(finished(), cause=None, source="selfplay@w1", key="one")
    (forged,) = await cluster.log(STRANGER).append([item])
    (seq,) = await cluster.log(WORKER).append([item])
    assert seq != forged
    assert seq in await cluster.counted()


async def test_a_log_that_lost_an_admission_forgets_it(cluster: Cluster) -> None:
    log = cluster.log(None)
    await admission.standing(log)
    assert WORKER.key in log.ring.standing.admitted
    stream = cluster.system.broker.stream(EVENTS)
    first = next(seq for seq, entry in stream.entries.items() if WORKER.key.encode() in entry.body)
    for seq in range(first, stream.last_seq + 1):
        del stream.entries[seq]
    await log.know(EVENTS, stream.last_seq + 1)
    assert {*log.ring.standing.admitted} == {OPERATOR.key}


def test_a_key_is_made_once_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    assert find_key(tmp_path) is None
    key = make_key(tmp_path / "data")
    path = tmp_path / "data" / "node.nk"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"SU")
    found = find_key(tmp_path / "data")
    assert make_key(tmp_path / "data").key == key.key == found.key if found else False
    assert [item.name for item in path.parent.iterdir()] == ["node.nk"]
    path.chmod(0o644)
    path.touch()
    with pytest.raises(CommandError, match="chmod 600"):
        find_key(tmp_path / "data")
    path.write_text("SUABC\n")
    path.chmod(0o600)
    with pytest.raises(CommandError, match="no seed of an nkey"):
        find_key(tmp_path / "data")


def test_an_empty_ring_lets_every_fact_count() -> None:
    assert Keyring().empty


async def test_a_refused_fact_is_dead_lettered_once_and_never_folded(cluster: Cluster) -> None:
    await cluster.require()
    system = cluster.system
    settings = SettingsChanged(version=1, settings=replace(Settings(), seed=7), why="mine")
    seq = await cluster.write(WORKER, settings)
    processes = [system.process("rater", node) for node in ("n1", "n2")]
    for process in processes:
        process.log.signer = COORDINATOR
        process.source = "rater@c1"
        process.unreadable = Unreadable(process.log, process.source, process.logger, lambda: 0.0)
    good = await cluster.write(OPERATOR, TickRecorded(minute=1), source="ringrift")
    async with running(*(act(process, PROCESSES["rater"].deciders, None) for process in processes)):
        await until(lambda: all(process.seq >= good for process in processes))
        stored, _ = await system.first(DeadLetterStored)
        await asyncio.sleep(10.0)
    assert (stored.stream, stored.seq) == (EVENTS, seq)
    assert "signed by node w1 (worker), which may not write ringrift.settings" in stored.reason
    assert len(await system.facts(DeadLetterStored)) == 1
    hashes = {str(process.fold_hashes) for process in processes}
    assert len(hashes) == 1
    assert (await read.settings_in_force(system.log))[1] == 0


async def test_a_letter_names_the_only_node_that_the_servers_let_write_there(
    cluster: Cluster,
) -> None:
    await cluster.require()
    system = cluster.system
    left = ConsumerStopped(node="w1", consumer="selfplay", instance="1", why="test")
    process = system.process("rater", "c1")
    process.log.signer = COORDINATOR
    own = await cluster.write(STRANGER, left)
    good = await cluster.write(OPERATOR, TickRecorded(minute=1), source="ringrift")
    async with running(act(process, PROCESSES["rater"].deciders, None)):
        await until(lambda: process.seq >= good)
        stored, _ = await system.first(DeadLetterStored)
    assert stored.seq == own
    assert stored.reason.endswith("not admitted; only node w1, or a person, may write there")


async def test_verification_names_a_fact_that_does_not_count(cluster: Cluster) -> None:
    await cluster.require()
    seq = await cluster.write(STRANGER, finished())
    text = await problem_at(cluster, seq)
    assert f"signed by {STRANGER.key}, which is not admitted" in text


@pytest.mark.parametrize("key", [WORKER, None])
async def test_readers_are_not_sent_to_an_archive_that_does_not_count(
    cluster: Cluster, key: NodeKey | None
) -> None:
    log = (await cluster.require()).log(None)
    before = await log.tail(EVENTS)
    forged = replace(example(type_of(SegmentArchived)), stream=EVENTS, first_seq=1, last_seq=before)
    for fact in (forged, StreamTrimmed(stream=EVENTS, last_seq=before)):
        await cluster.write(key, fact, source="archiver@w1")
    assert await log.archive.trimmed(EVENTS) == 0
    assert log.archive.segments[EVENTS] == []
    assert await cluster.counted() == list(range(1, before + 1))


async def test_the_records_say_who_attests_the_current_network(cluster: Cluster) -> None:
    log, now, before = cluster.log(None), "ab" * 32, "cd" * 32
    attested = PromotionAttested(
        config="hex8_2p", node="c1", model=now, promotion=9, root="00" * 32
    )
    old = replace(attested, model=before, promotion=5, node="c3")
    for fact in (old, replace(attested, node="c2", promotion=7)):
        await cluster.write(COORDINATOR, fact, source="verifier@c1")
    await cluster.require()
    await cluster.write(COORDINATOR, attested, source="verifier@c1")
    await cluster.write(WORKER, replace(attested, node="w1"), source="verifier@w1")
    found = await records.trust(log, {"hex8_2p": now, "hex8_3p": before, "hex8_4p": None})
    assert found.attested == {"hex8_2p": ("c1",), "hex8_3p": ()}
    assert found.required_from is not None
    first, *lines = found.lines()
    assert first.endswith("admitted: c1 (coordinator), operator (operator), w1 (worker)")
    assert lines == [
        "current network of hex8_2p: attested by c1",
        "current network of hex8_3p: unattested",
    ]


async def test_a_log_without_keys_has_no_records_to_show(system: System) -> None:
    assert list((await records.trust(system.log, {"hex8_2p": "ab" * 32})).lines()) == []


async def test_the_records_say_who_is_audited_and_quarantined(system: System) -> None:
    found = NodeAudit(node="w1", first_seq=1, games=9, decisions=9, broken=("g1", "g2", "g3"))
    other = NodeAudit(node="w2", first_seq=2, games=5, decisions=5)
    await system.write(
        AuditFinished(
            node="w3",
            head="EVENTS/1",
            first_seq=1,
            last_seq=14,
            found=(found, other),
            skipped=0,
            search_seconds=1.0,
        ),
        NodeQuarantined(node="w1", clean_seq=0, evidence=29.7, games=9, why="games fail"),
        NodeQuarantined(node="w2", clean_seq=0, evidence=0, games=5, why="by mistake"),
        NodeReleased(node="w2", why="a mistake"),
    )
    assert list((await records.trust(system.log, {})).lines()) == [
        "node w1 is quarantined: games fail; `ringrift breakers reset node-w1` releases it",
        "games audited: w1 9 (3 failed), w2 5 (0 failed)",
    ]
