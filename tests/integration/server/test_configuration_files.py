"""The configuration files, read by nats-server."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.processes import AUTHORS
from ringrift.server.accounts import Accounts
from ringrift.server.address import free_port
from ringrift.server.binary import find_binary
from ringrift.server.configuration import (
    CONF_FILE,
    SHIPPED_CONF,
    USERS_FILE,
    VOTER_FILE,
    Voter,
    as_json,
    server_conf,
    voter_conf,
)
from ringrift.server.ensure import ensure
from ringrift.server.roles import roles

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "ops").mkdir()
    return tmp_path


def digest(folder: Path) -> str:
    """The server's digest of its settings, which does not depend on their notation."""
    command = [str(find_binary()), "-t", "-c", CONF_FILE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).partition("sha256:")[2]


def write(folder: Path, *, conf: str, voter: str, users: str) -> None:
    (folder / CONF_FILE).write_text(conf)
    (folder / VOTER_FILE).write_text(voter)
    (folder / USERS_FILE).write_text(users)


def test_the_readable_file_has_the_settings_of_the_embedded_server(home: Path) -> None:
    write(home, conf=SHIPPED_CONF, voter=voter_conf(Voter()), users=as_json({}))
    shipped = digest(home)
    (home / CONF_FILE).write_text(server_conf(Voter()))
    assert digest(home) == shipped


def test_the_server_accepts_the_files_of_a_voter_with_users(home: Path) -> None:
    voter = Voter(name="b", routes=("127.0.0.1:6222",), route_password="pw-x", leaf_port=7422)
    accounts = Accounts(home)
    accounts.make(roles(AUTHORS))
    users = as_json(accounts.configuration())
    write(home, conf=SHIPPED_CONF, voter=voter_conf(voter), users=users)
    assert digest(home)


async def test_the_configuration_at_the_root_starts_a_server(tmp_path: Path) -> None:
    check = await asyncio.create_subprocess_exec(
        find_binary(), "-t", "-c", ROOT / "nats.conf", cwd=tmp_path
    )
    assert await check.wait() == 0
    port = free_port()
    running = await asyncio.create_subprocess_exec(
        find_binary(),
        "-c",
        ROOT / "nats.conf",
        "-p",
        str(port),
        "-m",
        "0",
        "-l",
        tmp_path / "log",
        cwd=tmp_path,
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    log = await JetStreamLog.open(f"127.0.0.1:{port}", name="test")
                    break
                except Unreachable:
                    await asyncio.sleep(0.01)
        assert await ensure(log) == []
        assert log.client.max_payload == 8 * 1024 * 1024
        await log.close()
    finally:
        running.terminate()
        await running.wait()
