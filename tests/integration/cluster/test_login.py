"""Who may log in to a cluster: admitted and revoked by one command each, on running voters."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.nats_tool import NATS, needs_nats
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.cli.main import main
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import Forbidden, Unreachable
from ringrift.log.identity import KEY, NodeKey, key_path, make_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import CREDENTIALS, Login, read_login
from ringrift.log.topology import EVENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")
NSC = shutil.which("nsc")
OFF_SECONDS_MAX = 10.0
"""in which a revoked node is disconnected by every voter, also by one that was away"""
WAIT_SECONDS_MAX = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Voters]:
    """Three voters with all streams."""
    async with voters(tmp_path_factory.mktemp("cluster")) as (found, _):
        make_key(found.folder / "operator")
        yield found


async def command(made: Voters, *words: str, status: int = 0) -> str:
    """What a command of the operator prints."""
    said = io.StringIO()
    options = ("--server", made.url, "--data", str(made.folder / "operator"))
    with (
        made.as_role("operator"),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        assert await asyncio.to_thread(main, [*words, *options]) == status, said.getvalue()
    return said.getvalue()


async def admitted(made: Voters, node: str, roles: str = "worker") -> Login:
    """The login of a node that was admitted with a key of its own."""
    key = NodeKey.new()
    await command(made, "node", "admit", node, key.key, "--roles", roles)
    login = read_login(made.folder / "nodes" / f"{node}.creds")
    assert login.seed == "", "it stays on the node"
    return Login(login.user, token=login.token, seed=key.seed)


async def logged_in(made: Voters, login: Login, *names: str) -> JetStreamLog:
    """A log with a login, through some of the voters."""
    nodes = [node for node in made.nodes if not names or node.name in names]
    url = ",".join(f"nats://{node.host}:{node.port}" for node in nodes)
    return await JetStreamLog.open(url, name="test", login=login)


async def off(log: JetStreamLog) -> bool:
    return not log.client.is_connected


async def refused(made: Voters, login: Login, *names: str) -> bool:
    try:
        await (await logged_in(made, login, *names)).close()
    except Unreachable:
        return True
    return False


async def test_a_revoked_node_is_off_at_once_on_every_voter_and_stays_off(made: Voters) -> None:
    login = await admitted(made, "gpu1")
    other = await admitted(made, "gpu2")
    logs = [await logged_in(made, login, name) for name in "abc"]
    kept = await logged_in(made, other, "a")
    assert all([await log.tail(EVENTS) is not None for log in logs])
    began = time.monotonic()
    said = await command(made, "node", "revoke", "gpu1", "--why", "sold")
    assert "logged out by a, b, c: gpu1" in said
    for log in logs:
        await eventually(lambda log=log: off(log), OFF_SECONDS_MAX)
    assert time.monotonic() - began < OFF_SECONDS_MAX
    for name in "abc":
        assert await refused(made, login, name)
    assert kept.client.is_connected
    made.running["a"].send_signal(signal.SIGHUP)  # its configuration has the accounts as they were
    await kept.tail(EVENTS)
    assert await refused(made, login, "a")
    assert kept.client.is_connected
    again = await admitted(made, "gpu1")
    assert not await refused(made, again)
    for log in (*logs, kept):
        await log.close()


async def test_a_voter_that_was_away_learns_of_it(made: Voters) -> None:
    login = await admitted(made, "gpu3")
    await made.stop("c")
    said = await command(made, "node", "revoke", "gpu3", "--why", "sold")
    assert "logged out by a, b: gpu3" in said
    await made.start("c")
    await eventually(lambda: _answers(made, "c"), WAIT_SECONDS_MAX)
    await eventually(lambda: refused(made, login, "c"), OFF_SECONDS_MAX)
    await made.stop("c")  # and it does not forget, although its configuration is an older one
    await made.start("c")
    await eventually(lambda: _answers(made, "c"), WAIT_SECONDS_MAX)
    assert await refused(made, login, "c")


async def _answers(made: Voters, name: str) -> bool:
    with contextlib.suppress(Unreachable):
        operator = read_login(made.folder / "credentials" / "operator.creds")
        await (await logged_in(made, operator, name)).close()
        return True
    return False


async def test_a_node_writes_under_its_own_name_only(made: Voters) -> None:
    log = await logged_in(made, await admitted(made, "gpu4", "worker,evaluator"))
    own, other = (
        draft(
            ConsumerStarted(node=node, consumer="selfplay", instance="1", version="1"),
            cause=None,
            source=f"selfplay@{node}",
            key=1,
        )
        for node in ("gpu4", "gpu5")
    )
    await log.append([own])
    with pytest.raises(Forbidden, match=r"user 'gpu4' may not publish to .*gpu5"):
        await log.append([other])
    with pytest.raises(Forbidden):
        await log.publish("KV_nodes", "$KV.nodes.gpu5.x", b"{}")
    await log.publish("KV_nodes", "$KV.nodes.gpu4.x", b"{}")
    await log.close()


async def test_a_stolen_login_of_a_person_is_revoked_and_made_again(made: Voters) -> None:
    path = made.folder / "credentials" / "oncall.creds"
    stolen = read_login(path)
    assert not await refused(made, stolen)
    assert "oncall" in await command(made, "node", "revoke", "oncall", "--why", "stolen")
    assert await refused(made, stolen)
    assert not path.exists()


async def test_the_key_of_a_node_is_that_of_its_machine(
    made: Voters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path)
    await command(made, "node", "admit", "gpu6", key.key, "--roles", "worker")
    monkeypatch.setenv(KEY, str(key_path(tmp_path)))
    monkeypatch.setenv(CREDENTIALS, str(made.folder / "nodes" / "gpu6.creds"))
    log = await JetStreamLog.open(made.url, name="test")
    assert log.client.role == "gpu6"
    await log.close()
    said = await command(made, "node", "admit", "gpu6", NodeKey.new().key, "--roles", "x", status=1)
    assert "give one or more of worker" in said


@needs_nats
async def test_the_tool_reads_the_keys_and_changes_an_account(made: Voters) -> None:
    """`nats auth` and `nsc` keep their files so."""
    assert NATS is not None
    environment = {**os.environ, "XDG_DATA_HOME": str(made.folder), "XDG_CONFIG_HOME": "/none"}
    for words, expected in (
        (("operator", "ls"), "ringrift"),
        (("account", "info", "ringrift", "--operator", "ringrift"), "JetStream: true"),
        (("account", "keys", "ls", "ringrift", "--operator", "ringrift"), "coordinator"),
        (("user", "ls", "ringrift", "--operator", "ringrift"), "operator"),
        (("user", "info", "viewer", "ringrift", "--operator", "ringrift"), "Scoped: true"),
    ):
        done = subprocess.run(  # noqa: ASYNC221  nothing else runs
            [NATS, "auth", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert expected in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(NSC is None, reason="nsc")
async def test_nsc_finds_no_fault_and_adds_a_user_that_reads(made: Voters, tmp_path: Path) -> None:
    assert NSC is not None
    variables = {"XDG_DATA_HOME": str(made.folder), "XDG_CONFIG_HOME": str(tmp_path)}
    environment = {**os.environ, **variables, "HOME": str(tmp_path)}
    creds = str(tmp_path / "guest.creds")
    for words, expected in (
        (("validate", "--all-accounts"), "No issues found"),
        (("add", "user", "guest", "--account", "ringrift", "-K", "viewer"), "added user"),
        (("generate", "creds", "-a", "ringrift", "-n", "guest", "-o", creds), "guest.creds"),
    ):
        done = subprocess.run(  # noqa: ASYNC221  nothing else runs
            [NSC, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert expected in done.stdout + done.stderr
        assert done.returncode == 0
    guest = await JetStreamLog.open(made.url, name="guest", login=read_login(Path(creds)))
    assert await guest.tail(EVENTS) >= 0
    with pytest.raises(Forbidden):
        await guest.call(f"STREAM.PURGE.{EVENTS}", {})
    await guest.close()
