"""ops/README.md, step by step, on loopback: three voters with TLS and keys, two workers, a
trainer, an evaluator, two coordinators.

A generation is played, trained, evaluated and judged on it, and the second coordinator stands
by."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest
from support.clusters import port_with_neighbours
from support.system import PLAN
from support.waiting import eventually

from ringrift.cluster.local import environment
from ringrift.events.facts import ModelPromoted, PromotionRejected
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning.play import Host, play_games
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.processes import LEASED
from ringrift.server.binary import find_binary

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "generations": 1,
    "selfplay.games": 8,
    "selfplay.bootstrap_games": 8,
    "selfplay.games_per_ticket": 4,
    "selfplay.simulations": 4,
    "selfplay.considered": 4,
    "shard.games": 4,
    "training.min_samples": 50,
    "training.epochs": 1.0,
    "training.batch": 64,
    "evaluation.simulations": 4,
    "evaluation.starts_per_ticket": 2,
    "evaluation.baseline_starts": 2,
    "promotion.starts_max": 4,
    "operation.pressure.warning": 0.97,
    "operation.pressure.critical": 0.98,
    "operation.pressure.emergency": 0.99,
}
"""small; and a test machine's memory is full of other things"""
JUDGED_SECONDS_MAX = 900
"""on two busy cores, where every process compiles the rules first; two minutes when they are
compiled"""
READY_SECONDS_MAX = 300
"""each try starts Python: a second alone, half a minute on a machine with ten others at work"""
VOTERS = "abc"
NODES = {
    "gpu1": "worker",
    "gpu2": "worker",
    "gpu3": "trainer",
    "gpu4": "evaluator",
    "coordinator1": "coordinator",
    "coordinator2": "coordinator",
}


class Fleet:
    """All running processes, and the command line as the operator."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.variables: dict[str, str] = {}
        """how the operator reaches the cluster"""
        self.running: dict[str, asyncio.subprocess.Process] = {}

    async def command(self, *words: str, status: int | None = 0) -> str:
        """The standard output of a command."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringrift.cli.main",
            *words,
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert status is None or process.returncode == status, (words, out.decode(), err.decode())
        return out.decode()

    async def status(self) -> dict[str, Any]:
        """The document of `ringrift status`; empty while servers are too busy to answer."""
        found: dict[str, Any] = json.loads(
            await self.command("status", "--json", status=None) or "{}"
        )
        return found

    async def start(
        self, name: str, *words: str, cwd: Path, without: Collection[str] = (), **more: str
    ) -> None:
        own = {key: value for key, value in self.environment.items() if key not in without}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                *words,
                cwd=cwd,
                env={**own, **more},
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
            )

    async def stop(self, names: Collection[str]) -> None:
        """Send SIGTERM to processes, and SIGKILL to those that take too long."""
        chosen = [process for name, process in self.running.items() if name in names]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in chosen:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
            if chosen:
                await asyncio.wait(
                    [asyncio.create_task(process.wait()) for process in chosen], timeout=40
                )


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGRIFT_")}
    fleet = Fleet(tmp_path, {**clean, "PYTHONPATH": str(ROOT)})
    yield fleet
    await fleet.stop(NODES)
    await fleet.stop(VOTERS)


@pytest.mark.slow
async def test_the_readme_gives_a_cluster_on_which_the_loop_runs(fleet: Fleet) -> None:
    await asyncio.to_thread(compile_search)
    ports = [port_with_neighbours() for _ in range(3)]
    nodes = ",".join(f"{name}=127.0.0.1:{port}" for name, port in zip(VOTERS, ports, strict=True))
    assert len(set(ports)) == 3
    said = await fleet.command(
        "cluster", "init", "--nodes", nodes, "--output", "cluster", "--tls"
    )  # step 1
    assert "RINGRIFT_SERVER=tls://" in said
    for name in VOTERS:  # step 3
        home = str(fleet.folder / "cluster" / "voters" / name)
        await fleet.command("voter", "check", "--directory", home)
        await fleet.start(name, str(find_binary()), "-c", "nats.conf", cwd=Path(home))
    fleet.variables = {
        "RINGRIFT_SERVER": ",".join(f"tls://127.0.0.1:{port}" for port in ports),
        "RINGRIFT_CREDENTIALS": str(fleet.folder / "cluster" / "credentials" / "operator.creds"),
        "RINGRIFT_CA": str(fleet.folder / "cluster" / "authority" / "ca.pem"),
    }
    fleet.environment |= fleet.variables
    await fleet.command("node", "key", "--make")
    async with asyncio.timeout(READY_SECONDS_MAX):  # step 4, as soon as the voters meet
        while "as declared" not in await fleet.command(  # noqa: ASYNC110
            "contract", "apply", "--replicas", "3", status=None
        ):
            await asyncio.sleep(0.5)
    assert '"healthy":true' in await fleet.command("doctor", "--json")
    given = [
        word
        for name, value in SETTINGS.items()
        for word in ("--set", f"{name}={json.dumps(value)}")
    ]
    await fleet.command("settings", *given)
    for name, role in NODES.items():  # step 5
        data = str(fleet.folder / name)
        key = (await fleet.command("node", "key", "--make", "--data", data)).strip()
        await fleet.command("node", "admit", name, key, "--roles", role)
        words = ["node", "run", "--roles", role, "--data", data]
        words += ["--credentials", str(fleet.folder / "cluster" / "nodes" / f"{name}.creds")]
        await fleet.start(
            name,
            sys.executable,
            "-m",
            "ringrift.cli.main",
            *words,
            cwd=fleet.folder,
            without=("RINGRIFT_SERVER", "RINGRIFT_CA", "RINGRIFT_CREDENTIALS"),
            RINGRIFT_THREADS="1",
        )
    await fleet.command("node", "require-signatures", "--why", "all nodes are admitted")
    with environment(fleet.variables):  # not by a command again and again, which takes a core
        log = await JetStreamLog.open(fleet.environment["RINGRIFT_SERVER"], name="test")
        await eventually(lambda: _judged(log), JUDGED_SECONDS_MAX, 1.0)
        await log.close()
    async with asyncio.timeout(READY_SECONDS_MAX):
        while not (known := await fleet.status()):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    standing_by = [
        beat["doing"] for beat in known["consumers"] if beat["doing"].startswith("standing by")
    ]
    assert {f"standing by for {role}" for role in LEASED} <= set(standing_by)
    assert known["cluster"]["quorum"] == "HEALTHY"
    assert {name for name, node in known["cluster"]["nodes"].items() if node["processes"]} == set(
        NODES
    )
    assert known["dead_letters"] == 0


def compile_search() -> None:
    """Compile the search here: workers have the lowest priority, and each would do it."""
    (ticket, *_) = tickets_of(PLAN, "EVENTS/2")
    assert isinstance(ticket, SelfplayTicket)
    assert list(play_games(ticket, SelfplaySettings(), Host(node="test")))


async def _judged(log: JetStreamLog) -> bool:
    """Whether the first network has been promoted or rejected."""
    return any([await read.latest(log, kind) for kind in (ModelPromoted, PromotionRejected)])
