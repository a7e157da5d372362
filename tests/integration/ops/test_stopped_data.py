"""Commands over a data directory whose server does not run: one is started for the command and stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringrift.events import draft
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings import Settings
from ringrift.ops.cli import main
from ringrift.streams.ensure import ensure
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.server import EmbeddedServer


async def write_and_stop(data: Path) -> None:
    """A log with one event in it, and no server."""
    server = await EmbeddedServer.start(data)
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log.ask)
    await log.append([draft(SettingsChanged(version=1, settings=Settings(), why="test"), cause=None, source="test")])
    await log.close()
    await server.stop()


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    asyncio.run(write_and_stop(tmp_path))
    return tmp_path


def test_commands_read_and_write_where_no_server_runs(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = stopped / "server.json"
    assert not address.exists()
    assert main(["status", "--data", str(stopped)]) == 0
    assert "settings version 1" in capsys.readouterr().out
    assert not address.exists()
    assert main(["pause", "--why", "a walk", "--data", str(stopped)]) == 0
    # a server that was killed leaves its address: nobody answers there
    address.write_text('{"url": "nats://127.0.0.1:9", "pid": 1}')
    assert main(["events", "tail", "--no-follow", "--data", str(stopped)]) == 0
    assert "a walk" in capsys.readouterr().out
    assert not address.exists()


def test_a_directory_without_a_log_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "tail", "--no-follow", "--data", str(tmp_path / "none")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no server runs over" in line
    assert not (tmp_path / "none").exists()

