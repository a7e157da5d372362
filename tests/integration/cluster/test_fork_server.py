"""Consumers as forks of one process: their logs, statuses and ends are those of processes that were
started for them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringrift.cluster.fork_server import LOST, ForkServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
MODULE = "slow_module"
SOURCE = """
import atexit, os, sys, threading, time
print(sys.argv[1:], os.environ["ASKED"], __name__, flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
if sys.argv[1] == "fail":
    threading.Thread(target=print, args=("a thread ended",)).start()
    atexit.register(print, "at exit")
    raise ValueError("for a reason")
sys.exit(int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1])
"""


@pytest.fixture
async def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForkServer]:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    server = ForkServer(["json", "ringrift.rules"])
    yield server
    await server.stop()


async def logged(log: Path, text: str) -> None:
    async with asyncio.timeout(60):
        while not log.exists() or text not in log.read_text():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


async def test_a_fork_has_its_own_arguments_environment_log_and_status(
    forks: ForkServer, tmp_path: Path
) -> None:
    environment = {**os.environ, "ASKED": "one"}
    words, log = ("-m", MODULE), tmp_path / "log"
    started = [await forks.start((*words, str(n)), environment, log) for n in (0, 3)]
    assert [await fork.wait() for fork in started] == [0, 3]
    assert [fork.returncode for fork in started] == [0, 3]
    assert log.read_text().splitlines() == ["['0'] one __main__", "['3'] one __main__"]
    with pytest.raises(FileNotFoundError):
        await forks.start((*words, "0"), environment, tmp_path / "missing" / "log")


async def test_a_fork_ends_as_python_ends_a_program(forks: ForkServer, tmp_path: Path) -> None:
    environment, log = {**os.environ, "ASKED": "end"}, tmp_path / "log"
    for word in ("no server", "fail"):
        fork = await forks.start(("-m", MODULE, word), environment, log)
        assert await fork.wait() == 1
    lines = log.read_text().splitlines()
    assert lines[1] == "no server"
    assert {"ValueError: for a reason", "a thread ended", "at exit"} <= set(lines)


async def test_a_killed_fork_is_reported_and_others_are_not_touched(
    forks: ForkServer, tmp_path: Path
) -> None:
    environment, log = {**os.environ, "ASKED": "two"}, tmp_path / "log"
    one, other = [
        await forks.start(("-m", MODULE, "wait", str(n)), environment, log) for n in range(2)
    ]
    one.send_signal(signal.SIGKILL)
    assert await one.wait() == -signal.SIGKILL
    assert other.returncode is None
    other.send_signal(signal.SIGTERM)
    assert await other.wait() == -signal.SIGTERM


async def test_forks_end_with_their_server_and_another_one_is_started(
    forks: ForkServer, tmp_path: Path
) -> None:
    environment, log = {**os.environ, "ASKED": "three"}, tmp_path / "log"
    fork = await forks.start(("-m", MODULE, "wait"), environment, log)
    await logged(log, "three")
    parent = int(Path(f"/proc/{fork.pid}/stat").read_text().rpartition(")")[2].split()[1])  # noqa: ASYNC240
    os.kill(parent, signal.SIGKILL)
    assert await fork.wait() == LOST
    await gone(fork.pid)
    again = await forks.start(("-m", MODULE, "0"), environment, log)
    assert await again.wait() == 0
