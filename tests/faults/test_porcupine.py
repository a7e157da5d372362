"""Porcupine, a checker of linearizability by others, judges histories of fault runs: real ones are
linearizable, and a planted violation of each kind is found.

Skipped without go, or where its module cannot be fetched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from chaos import servers
from chaos.histories import History, contend
from chaos.servers import inject, recovered
from simulator.hosts import FaultyWorld
from simulator.plan import AT_CALL, FAULT_SECONDS, plan_of
from simulator.world import _alive, _strike

from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process, cancel
from ringrift.tools.memory_log import MemoryLog
from ringrift.tools.simulation.clock import run

SOURCE = Path(__file__).parent / "porcupine"
BUILD_SECONDS_MAX = 120
Judge = Callable[[Path], tuple[int, str]]


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Judge a history: the exit status and what was printed."""
    if shutil.which("go") is None:
        pytest.skip("go")
    program = tmp_path_factory.mktemp("porcupine") / "judge"
    words = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(
        words, cwd=SOURCE, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX
    )
    if built.returncode and "dial tcp" in built.stderr:
        pytest.skip("network")
    assert built.returncode == 0, built.stderr

    def judged(path: Path) -> tuple[int, str]:
        found = subprocess.run([program, path], capture_output=True, text=True)
        return found.returncode, found.stdout + found.stderr

    return judged


def line(op: str, at: int, *, on: str, ok: bool | None = True, **fields: Any) -> dict[str, Any]:
    """A call that takes 5 ns from `at` on."""
    end = None if ok is None else at + 5
    renamed = {name.rstrip("_"): value for name, value in fields.items()}
    return {"client": "c", "op": op, "on": on, "call": at, "return": end, "ok": ok, **renamed}


def read(at: int, on: str, *entries: tuple[str, int]) -> dict[str, Any]:
    return line("read", at, on=on, entries=[{"id": id, "seq": seq} for id, seq in entries])


GOOD = {
    "append": [
        line("append", 0, on="l", id="a", expect=0, seq=3),
        line("append", 2, on="l", id="b", expect=0, ok=False),
        line("append", 10, on="l", id="c", expect=3, ok=None),
        line("append", 20, on="l", id="d", expect=7, seq=9),
        read(30, "l", ("a", 3), ("c", 7), ("d", 9)),
    ],
    "lease": [
        line("append", 0, on="l", id="a", expect=0, seq=1),
        line("fenced", 10, on="l", expect=1),
        line("append", 20, on="l", id="b", expect=1, seq=5),
        line("fenced", 30, on="l", expect=1, ok=False),
        line("fenced", 30, on="l", expect=5),
        read(40, "l", ("a", 1), ("b", 5)),
    ],
    "key": [
        line("cas", 0, on="k", from_="", to="x"),
        line("cas", 2, on="k", from_="", to="y", ok=False),
        line("cas", 10, on="k", from_="x", to="z", ok=None),
        line("cas", 20, on="k", from_="z", to="w"),
        line("get", 30, on="k", value="w"),
    ],
    "blob": [
        line("get", 0, on="b", value=""),
        line("put", 10, on="b", to="x"),
        line("put", 12, on="b", to="x"),
        line("get", 20, on="b", value="x"),
    ],
}
C_AND_D = (("c", 7), ("d", 9))
TWICE = line("append", 20, on="l", id="d", expect=3, seq=9)
NO_REASON = line("append", 30, on="l", id="b", expect=9, ok=False)
PLANTED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "an acknowledged event is lost": ("append", -1, read(30, "l", *C_AND_D)),
    "an event is stored twice": ("append", -1, read(30, "l", ("a", 3), *C_AND_D, ("d", 10))),
    "events in another order": ("append", -1, read(30, "l", ("c", 2), ("a", 3), ("d", 9))),
    "two appends with one expectation": ("append", 3, TWICE),
    "an append is refused without a reason": ("append", 1, NO_REASON),
    "a stale holder writes": ("lease", 3, line("fenced", 30, on="l", expect=1)),
    "a holder is fenced off": ("lease", 1, line("fenced", 10, on="l", expect=1, ok=False)),
    "two win a compare-and-set": ("key", 1, line("cas", 2, on="k", from_="", to="y")),
    "a key has a value that nobody set": ("key", -1, line("get", 30, on="k", value="y")),
    "a stored blob is missing": ("blob", -1, line("get", 20, on="b", value="")),
    "a stored blob has other bytes": ("blob", -1, line("get", 20, on="b", value="y")),
}


def stored(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


@pytest.mark.parametrize("kind", GOOD)
def test_a_history_by_the_rules_is_linearizable(judge: Judge, tmp_path: Path, kind: str) -> None:
    status, text = judge(stored(tmp_path / "history.jsonl", GOOD[kind]))
    assert (status, text.count(": linearizable\n")) == (0, 1)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_violation_is_found(judge: Judge, tmp_path: Path, planted: str) -> None:
    kind, at, instead = PLANTED[planted]
    lines = [*GOOD[kind]]
    lines[at] = instead
    status, text = judge(stored(tmp_path / "history.jsonl", lines))
    assert status == 1
    assert "NOT linearizable" in text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_log_of_the_simulator_is_linearizable(judge: Judge, tmp_path: Path, seed: int) -> None:
    history = History()

    async def contender(process: Process) -> None:
        chance = random.Random(process.node)
        # digests of blobs are computed in threads, which the virtual clock does not wait for
        await contend(history, process.log, process.node, chance, blobs=False)

    hosts = [f"contender{number}" for number in range(3)]
    # what a power cut takes was acknowledged
    faults = [fault for fault in plan_of(seed, hosts) if fault.kind != "power cut"]
    world = FaultyWorld(seed, faults, dict.fromkeys(hosts, ("selfplay", contender)))

    async def story() -> None:
        for fault in faults:
            if fault.kind not in AT_CALL:
                world.clock.call_at(fault.at, _strike, world, fault)
        async with _alive(world):
            await asyncio.sleep(FAULT_SECONDS)
        await history.read_ends(MemoryLog(world.broker), blobs=False)

    run(story(), world.clock)
    status, text = judge(history.write(tmp_path / "history.jsonl"))
    assert status == 0, text
    assert len(history.operations) > 100


@contextlib.asynccontextmanager
async def contending(history: History, url: str, count: int = 6) -> AsyncIterator[None]:
    """Clients that contend until the block ends."""
    names = [f"client{number}" for number in range(count)]
    logs = [await JetStreamLog.open(url, name=name) for name in names]
    tasks = [
        asyncio.create_task(contend(history, log, name, random.Random(name)))
        for name, log in zip(names, logs, strict=True)
    ]
    try:
        yield
    finally:
        await cancel(*tasks)
        for log in logs:
            await log.close()


@pytest.mark.slow  # three servers, elections
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_cluster_under_faults_is_linearizable(
    judge: Judge, tmp_path: Path, seed: int
) -> None:
    history, plan = History(), random.Random(seed)
    async with servers.cluster(tmp_path) as made:
        async with contending(history, made.cluster.url):
            for kind in ("kill", "freeze", "cut", "all"):
                await asyncio.sleep(plan.uniform(*servers.CALM_SECONDS))
                await inject(made, kind, plan)
                await recovered(made.log)
        await recovered(made.log)
        await history.read_ends(made.log)
    status, text = judge(history.write(tmp_path / "history.jsonl"))
    print(text)
    assert status == 0, text
    assert len(history.operations) > 50
