"""Sessions with the `nats` command line on `nats-server -c nats.conf` in a fresh directory, and a
whole log read by a client in another language."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from support.nats_tool import Answer, at, nats, needs_nats, not_printed, on_terminal, sessions
from support.real_loop import RealLoop

from ringrift.cluster.doctor.system import declared
from ringrift.cluster.nats_context import of_environment, write
from ringrift.cluster.streams import consumer_infos, stream_infos
from ringrift.consumers.verification.whole import verify
from ringrift.events.facts import ModelRegistered
from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import CONSUMERS, EVENTS, GAMES, STREAMS
from ringrift.server.address import free_port
from ringrift.server.binary import find_binary
from ringrift.server.configuration import CONF_FILE, USERS_FILE, VOTER_FILE
from ringrift.server.contract import check_server
from ringrift.server.ensure import ensure

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[3]
HEARTBEAT = b'{"consumer":"selfplay","node":"n1","doing":"playing generation 1"}'
NODE_SECONDS_MAX = 120.0


@asynccontextmanager
async def fresh(folder: Path) -> AsyncIterator[JetStreamLog]:
    """A log, without streams, on a server that the files of the repository start."""
    (folder / "ops").mkdir(parents=True)
    for name in (CONF_FILE, VOTER_FILE, USERS_FILE):
        shutil.copy(ROOT / name, folder / name)
    port = free_port()
    with (folder / "log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            *(find_binary(), "-c", CONF_FILE, "-p", str(port), "-m", "0"),
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(10):
            while True:
                with suppress(Unreachable):
                    log = await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
                    break
                await asyncio.sleep(0.02)
        yield log
        await log.close()
    finally:
        server.terminate()
        await server.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealLoop]:
    """A loop of one generation on such a server."""
    async with fresh(tmp_path_factory.mktemp("fresh") / "server") as log:
        await ensure(log)
        loop = RealLoop()
        loop.log = log  # type: ignore[assignment]
        yield await loop.start()


def run(loop: RealLoop, *words: object) -> Answer:
    answer = nats(*words, options=at(loop.log.servers[0]))
    assert answer.returncode == 0, answer.text
    return answer


@needs_nats
async def test_the_files_of_the_contract_are_what_the_tool_takes(tmp_path: Path) -> None:
    async with fresh(tmp_path / "server") as log:
        options = at(log.servers[0])
        kinds = (("stream", [], "streams"), ("consumer", ["WORK"], "consumers"))
        for kind, of, folder in kinds:
            for file in sorted((ROOT / folder).glob("*.json")):
                added = nats(kind, "add", *of, "--config", file, options=options)
                assert added.returncode == 0, added.text
        for file in sorted((ROOT / "streams").glob("*.json")):
            edit = ("stream", "edit", file.stem, "--config", file, "--dry-run")
            edited = nats(*edit, options=options)
            assert (edited.returncode, edited.text) == (0, "")
        infos = {**await stream_infos(log), **await consumer_infos(log)}
        (finding,) = declared(infos)
        assert finding.level == "ok"
        assert f"{len(STREAMS)} streams and buckets and {len(CONSUMERS)} consumers" in finding.text
        assert await check_server(ROOT, log) == []
        assert await ensure(log) == []
        nats("stream", "edit", "DEAD", "--max-msgs", "7", "-f", options=options)
        assert await check_server(ROOT, log) == ["DEAD: max_msgs is 7, declared 100000"]


@needs_nats
async def test_the_log_is_looked_at_with_the_tool(loop: RealLoop) -> None:
    tail = await loop.tail()
    assert f"Messages: {tail}" in run(loop, "stream", "state", EVENTS).text
    assert '"ringrift.SettingsChanged.v2"' in run(loop, "stream", "get", EVENTS, 1).text
    subjects = run(loop, "stream", "subjects", EVENTS).text
    assert "ringrift.ratings.hex8_2p.updated" in subjects
    page = on_terminal("stream", "view", EVENTS, "3", options=at(loop.log.servers[0]), lines=9)
    assert page.count("ringrift.") >= 3
    heard = run(loop, "sub", "--stream", GAMES, "--all", "--count", 2, "--raw").text
    assert heard.count('"ringrift.GameCompleted.v') >= 2
    assert "OBJ_models" in run(loop, "stream", "report").text
    assert "selfplay-urgent" in run(loop, "consumer", "report", "WORK").text


@needs_nats
async def test_buckets_are_looked_at_with_the_tool(loop: RealLoop, tmp_path: Path) -> None:
    await loop.log.publish("KV_nodes", "$KV.nodes.n1", b"one")
    await loop.log.publish("KV_nodes", "$KV.nodes.n1", b"two")
    assert "nodes" in run(loop, "kv", "ls").text
    assert run(loop, "kv", "get", "nodes", "n1", "--raw").text.strip() == "two"
    assert "PUT" in run(loop, "kv", "history", "nodes", "n1").text
    model = (await loop.first(ModelRegistered)).event.model
    assert model in run(loop, "object", "ls", "models").text
    assert f"Digest: SHA-256 {model}" in run(loop, "object", "info", "models", model).text
    target = tmp_path / "network"
    run(loop, "object", "get", "models", model, "-O", target, "--no-progress")
    assert target.stat().st_size > 0


@needs_nats
async def test_checks_of_the_tool_pass(loop: RealLoop) -> None:
    for check in (
        "connection",
        "jetstream",
        *(f"stream --stream {stream.name}" for stream in STREAMS),
        *(f"consumer --stream WORK --consumer {consumer.name}" for consumer in CONSUMERS),
        "kv --bucket leases",
        f"message --stream {EVENTS} --subject ringrift.settings.all.changed",
    ):
        assert run(loop, "server", "check", *check.split()).text.startswith("OK ")


@needs_nats
async def test_a_backup_of_the_tool_is_the_whole_log(loop: RealLoop, tmp_path: Path) -> None:
    saved = tmp_path / "backup"
    run(loop, "backup", "account", saved, "--force")
    async with fresh(tmp_path / "other") as log:
        restored = nats("backup", "restore", "account", saved, options=at(log.servers[0]))
        assert restored.returncode == 0, restored.text
        for stream in (EVENTS, GAMES):
            assert await log.tail(stream) == await loop.log.tail(stream)
        report = await verify(log)
        assert [item for item in report.problems if item.level == "fail"] == []
        assert report.checked["game"] > 0
        assert await ensure(log) == []


@needs_nats
async def test_the_sessions_of_the_page_are_what_the_tool_prints(
    loop: RealLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write("ringrift", of_environment(loop.log.servers[0]))
    (tmp_path / "streams").symlink_to(ROOT / "streams")
    await loop.log.publish("KV_nodes", "$KV.nodes.n1", HEARTBEAT)
    found = sessions(ROOT / "docs" / "nats_tool.md", "ringrift")
    assert len(found) > 10
    for words, shown in found:
        answer = nats(*words, options=[], contexts=tmp_path, folder=tmp_path)
        assert (answer.returncode, not_printed(shown, answer)) == (0, []), answer.text


async def test_a_client_in_another_language_finds_every_message_valid(
    loop: RealLoop, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "examples" / "node" / "package.json", tmp_path)
    shutil.copy(ROOT / "tests" / "support" / "whole_log.mjs", tmp_path)
    if not shutil.which("npm"):
        pytest.skip("npm")
    installing = ("npm", "install", "--no-audit", "--no-fund", "--prefer-offline")
    for words in (installing, ("node", "whole_log.mjs", loop.log.servers[0], ROOT / "schemas")):
        process = await asyncio.create_subprocess_exec(
            *words, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), NODE_SECONDS_MAX)
        if process.returncode and words is installing:
            pytest.skip("packages")
        assert process.returncode == 0, output.decode()
    counts = dict(re.findall(r"(\w+) (\d+)", output.decode()))
    assert counts == {name: str(await loop.log.tail(name)) for name in (EVENTS, GAMES)}
