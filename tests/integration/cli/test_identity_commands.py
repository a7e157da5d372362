"""Admitting and revoking nodes by commands, against a real server."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ringrift.events import Fact, draft
from ringrift.events.facts import SelfplayFinished
from ringrift.log import read
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog


def finished(node: str) -> SelfplayFinished:
    return SelfplayFinished(
        config="hex8_2p",
        generation=0,
        ticket=f"ticket-of-{node}",
        games=1,
        plies=30,
        play_seconds=1.0,
        node=node,
    )


async def written(url: str, key: NodeKey | None, fact: Fact, source: str) -> int:
    """Append a fact by a node with a key; return its sequence."""
    async with contextlib.AsyncExitStack() as leaving:
        log = await JetStreamLog.open(url, name="test")
        leaving.push_async_callback(log.close)
        log.signer = key
        (seq,) = await log.append([draft(fact, cause=None, source=source, key=source)])
        return seq


async def counted(url: str) -> set[int]:
    """Sequences of the facts that a reader with a connection of its own lets count."""
    async with contextlib.AsyncExitStack() as leaving:
        log = await JetStreamLog.open(url, name="test")
        leaving.push_async_callback(log.close)
        return {meta.seq async for _, meta in read.facts(log, SelfplayFinished)}


def test_a_node_is_admitted_and_revoked(system: Any, run: Any, tmp_path: Path) -> None:
    url, call, worker = system.server.url, system.call, NodeKey.new()
    assert "--make makes a key" in (run("node", "key", status=1) or run.err)
    own = run("node", "key", "--make").strip()
    assert run.json("node", "key") == {"key": own, "file": str(system.data / "node.nk")}
    run("node", "require-signatures", "--why", "test", status=1)
    assert "no node is admitted" in run.err
    assert "w1 is admitted as worker" in run("node", "admit", "w1", worker.key, "--roles", "worker")
    assert "already" in run("node", "admit", "w1", worker.key, "--roles", "worker")
    run("node", "admit", "w2", "U" + "A" * 55, "--roles", "worker", status=1)
    assert "is no public key: `ringrift node key` prints that of a machine" in run.err
    run("node", "admit", "w2", NodeKey.new().key, "--roles", "boss", status=1)
    assert "boss: give one or more of worker, trainer" in run.err
    run("node", "require-signatures", "--why", "test", status=1)
    assert "recent facts would not count" in run.err
    run("node", "require-signatures", "--why", "test", "--anyway")
    listed = run.json("node", "list")
    assert [(one["node"], one["roles"]) for one in listed["nodes"]] == [
        ("operator", ["operator"]),
        ("w1", ["worker"]),
    ]
    assert listed["required"]
    trusted = run.json("status")["trust"]
    assert trusted["admitted"] == {"operator": ["operator"], "w1": ["worker"]}
    assert f"required from {trusted['required_from']} on; admitted: operator" in run("status")
    good = call(written(url, worker, finished("w1"), "selfplay@w1"))
    bad = call(written(url, NodeKey.new(), finished("w3"), "selfplay@w3"))
    assert good in (found := call(counted(url)))
    assert bad not in found
    assert worker.key in run("node", "revoke", "w1", "--why", "sold")
    late = call(written(url, worker, finished("w1"), "selfplay@w1 again"))
    assert good in (found := call(counted(url)))
    assert late not in found
    assert run.json("pause", "--why", "commands of the operator count")["paused"]
