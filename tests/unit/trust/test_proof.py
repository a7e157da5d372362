"""A message is proven in the log, and the log to have only grown, to people who have nothing but
the file and the keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.system import System

from ringrift.errors import CommandError
from ringrift.events.facts import TickRecorded, TreeHeadRecorded
from ringrift.log.identity import NodeKey
from ringrift.log.topology import EVENTS
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust import certificate, proof
from ringrift.trust.attesting import prove
from ringrift.trust.certificate import Key, Keys
from ringrift.trust.heads import HeadWriter
from ringrift.trust.proof import Proof

KEY, OTHER = NodeKey.new(), NodeKey.new()
KEYS = Keys((Key("c1", KEY.key, ("coordinator",)), Key("c2", OTHER.key, ("coordinator",))))


@pytest.fixture
async def log(system: System) -> MemoryLog:
    """Two heads: of 20 messages at 21, and of 51."""
    process = system.process("verifier", "c1")
    process.log.signer = KEY
    for first, count in ((0, 20), (20, 30)):
        await system.write(*(TickRecorded(minute=first + number) for number in range(count)))
        await process.log.append(await HeadWriter(process).round())
    return system.log


def words(found: Proof, keys: Keys = KEYS) -> tuple[bool, str]:
    """What a proof says after it was written and read."""
    vouched, lines = proof.verify(proof.read(certificate.encoded(found)), keys)
    return vouched, "\n".join(lines)


@pytest.mark.parametrize(("seq", "size"), [(1, None), (17, 20), (20, 20), (21, None), (51, 51)])
async def test_a_message_is_proven(log: MemoryLog, seq: int, size: int | None) -> None:
    found = await prove(log, seq=seq, size=size)
    vouched, text = words(found)
    assert vouched
    assert f"EVENTS/{seq}, ringrift." in text
    assert f"is among the first {size or 51} messages" in text
    assert f"{found.root}, signed by c1" in text
    assert not words(found, Keys(KEYS.nodes[1:]))[0]


async def test_the_log_is_proven_to_have_only_grown(log: MemoryLog) -> None:
    found = await prove(log, old=20)
    vouched, text = words(found)
    assert vouched
    assert text.splitlines() == [
        "the first 20 of 51 messages are the same, in the same order",
        f"root of 20 messages: {found.old_root}, signed by c1",
        f"root of 51 messages: {found.root}, signed by c1",
    ]
    for old in range(1, 52):  # no head has these sizes: the reader compares the root
        vouched, text = words(await prove(log, old=old))
        assert vouched
        assert old in (20, 51) or "signed by no key that you trust" in text


async def test_whatever_is_changed_is_found(log: MemoryLog) -> None:
    grown, included = await prove(log, old=20), await prove(log, seq=17)
    assert included.event is not None
    wrong = "0" * 64
    for found in (
        replace(grown, old_root=wrong),
        replace(grown, root=wrong),
        replace(grown, old=19),
        replace(grown, path=(wrong, *grown.path[1:])),
        replace(included, root=wrong),
        replace(included, size=16),
        replace(included, event=replace(included.event, seq=18)),
        replace(included, event=replace(included.event, time_ns="1")),
        replace(included, root="x"),
    ):
        vouched, text = words(found)
        assert not vouched
        assert text.startswith("fails: ")
    assert not words(replace(included, size=50))[0], "the path may fit, but nobody signed the size"
    forged = [replace(it, body=it.body.replace(KEY.key, OTHER.key)) for it in grown.statements]
    assert not words(replace(grown, statements=tuple(forged)))[0]


async def test_who_signed_another_root_is_named(log: MemoryLog, system: System) -> None:
    liar = system.process("verifier", "c2")
    liar.log.signer = OTHER
    await liar.append(TreeHeadRecorded(node="c2", size=20, root="f" * 64, after=20, marks=""))
    vouched, text = words(await prove(log, seq=3, size=20))
    assert vouched
    assert text.endswith("signed another root of 20 messages: c2")


async def test_proofs_have_logarithmic_length(system: System) -> None:
    await system.write(*(TickRecorded(minute=number) for number in range(1000)))
    for number in (1, 500, 999):
        included = await prove(system.log, seq=number, size=1000)
        assert included.event is not None
        assert len(included.event.proof) <= 10
        assert len((await prove(system.log, old=number, size=1000)).path) <= 11


async def test_what_no_tree_covers_is_refused_in_a_line(log: MemoryLog) -> None:
    tail = await log.tail(EVENTS)
    for options in ({"seq": tail + 1}, {"seq": 30, "size": 20}, {"old": 52, "size": 60}):
        with pytest.raises(CommandError, match="no proof about message"):
            await prove(log, **options)
    for data in (b"", b"{}", b'{"format":"ringrift.proof.v1","size":1,"root":""}', b"\xff"):
        with pytest.raises(CommandError, match="no proof"):
            proof.read(data)


OFFLINE = """
import sys
from ringrift.cli.main import main
status = main(["proof", "verify", sys.argv[1], "--keys", sys.argv[2]])
loaded = {"torch", "numba", "nats", "numpy"} & sys.modules.keys()
sys.exit(f"imported {loaded}" if loaded else status)
"""


def ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_it_is_verified_offline_without_numerics(log: MemoryLog, tmp_path: Path) -> None:
    paths = [tmp_path / "proof.json", tmp_path / "keys.json"]
    paths[0].write_bytes(certificate.encoded(await prove(log, old=20)))
    for trusted, status in ((KEYS, 0), (Keys(KEYS.nodes[1:]), 1)):
        paths[1].write_bytes(msgspec.json.encode(trusted))
        command = [sys.executable, "-c", OFFLINE, *map(str, paths)]
        done = ran(command)
        assert (done.returncode, done.stderr) == (status, "")
