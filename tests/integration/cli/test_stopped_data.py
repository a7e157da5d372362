"""Commands over a data directory without a running server: they start one and stop it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ringrift.cli.common import Source, opened
from ringrift.cli.main import main
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import PipelinePaused, SettingsChanged
from ringrift.events.settings import Settings
from ringrift.log.errors import DiskFull
from ringrift.log.jetstream import JetStreamLog
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure


async def write_and_stop(data: Path) -> None:
    """Leave a log with one event and no server."""
    server = await EmbeddedServer.start(data)
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    await log.append(
        [
            draft(
                SettingsChanged(version=1, settings=Settings(), why="test"),
                cause=None,
                source="test",
            )
        ]
    )
    await log.close()
    await server.stop()


@pytest.fixture
async def stopped_data(tmp_path: Path) -> Path:
    await write_and_stop(tmp_path)
    return tmp_path


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    asyncio.run(write_and_stop(tmp_path))
    return tmp_path


def test_commands_start_a_server_where_none_runs(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = stopped / "server.json"
    assert not address.exists()
    assert main(["status", "--data", str(stopped)]) == 0
    assert "settings version 1" in capsys.readouterr().out
    assert not address.exists()
    assert main(["pause", "--why", "a walk", "--data", str(stopped)]) == 0
    # a server that was killed leaves its address, where nothing answers
    address.write_text('{"url": "nats://127.0.0.1:9", "pid": 1}')
    assert main(["events", "tail", "--no-follow", "--data", str(stopped)]) == 0
    assert "a walk" in capsys.readouterr().out
    assert not address.exists()


def test_a_directory_without_a_log_is_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "tail", "--no-follow", "--data", str(tmp_path / "none")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no server is running for" in line
    assert not (tmp_path / "none").exists()


async def test_a_server_started_for_a_command_restarts_when_it_is_killed(
    stopped_data: Path,
) -> None:
    async with opened(Source(data=stopped_data)) as log:
        os.kill(json.loads((stopped_data / "server.json").read_bytes())["pid"], signal.SIGKILL)
        async with asyncio.timeout(20):
            seqs = await log.append(
                [
                    draft(
                        PipelinePaused(scope="all", kind="all", why="test"),
                        cause=None,
                        source="test",
                    )
                ]
            )
    assert seqs == [2]


async def test_a_command_whose_server_cannot_restart_reports_why(
    stopped_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(server: EmbeddedServer) -> None:
        raise DiskFull("no space left")

    async def look() -> None:
        async with opened(Source(data=stopped_data)):
            os.kill(json.loads((stopped_data / "server.json").read_bytes())["pid"], signal.SIGKILL)
            await asyncio.Event().wait()

    monkeypatch.setattr(EmbeddedServer, "restart", refuse)
    with pytest.raises(CommandError, match="no space left"):
        await look()


def test_a_terminated_command_stops_its_server(stopped: Path) -> None:
    """SIGTERM, for a shell lets background processes ignore SIGINT."""
    command = [
        sys.executable,
        "-m",
        "ringrift.cli.main",
        "events",
        "tail",
        "--since",
        "1",
        "--data",
        str(stopped),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as tail:
        signal.signal(signal.SIGINT, ignored)
        assert tail.stdout is not None
        assert "SettingsChanged" in tail.stdout.readline()
        tail.terminate()
        assert tail.wait(20) == 143
    assert not (stopped / "server.json").exists()
